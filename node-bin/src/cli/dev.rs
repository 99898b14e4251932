//! `kvorum dev`: a whole cluster in this process, and a prompt.

mod command;
mod keyboard;
mod line;
mod playing;
mod report;
mod session;

use std::io::{self, Write as _};
use std::process::ExitCode;

use kv_store::store::Store;
use kvorum_client::prompt::{self, Entered};

use tokio::signal::unix::{SignalKind, signal};

use self::command::{Command, WORDS, parse};
use self::keyboard::Keyboard;
use self::report::ReportWriter;
use self::session::{Outcome, Session};
use super::settings::{DevArguments, TransportName};
use super::{new_store, store_checks};
use crate::doors::resp::RespOptions;
use crate::error::StartError;
use crate::local_cluster::{ClusterOptions, LocalCluster, Storage, Transport};
use crate::logging::LogControl;
use crate::node::{MEMORY_MAX, SNAPSHOT_LOG_BYTES};

/// Exit code after Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Runs the cluster until the user leaves.
pub(super) fn run(arguments: &DevArguments, logs: LogControl) -> Result<ExitCode, StartError> {
    let scale = arguments.time_scale;
    let (report, story) = match &arguments.report {
        Some(path) => {
            ReportWriter::begin(path).map(|(report, story)| (Some(report), Some(story)))?
        }
        None => (None, None),
    };
    let options = ClusterOptions {
        is_playground: true,
        console_messages: arguments.console_messages.map(Into::into),
        story,
        snapshot_log_bytes: SNAPSHOT_LOG_BYTES,
        memory_max: MEMORY_MAX,
        lease_reads: false,
        nodes: arguments.nodes,
        transport: match arguments.transport {
            TransportName::Memory => Transport::Memory,
            TransportName::Tcp => Transport::Tcp { first_port: arguments.port },
        },
        storage: Storage::Directory(arguments.data_dir.clone()),
        election_timeout_ms: scale.of_ms(arguments.election_timeout_ms),
        heartbeat_interval_ms: scale.of_ms(arguments.heartbeat_interval_ms),
        time_scale_percent: scale.percent,
        checks: store_checks(),
        // A cluster to play with may lose everything at once.
        resp: Some(RespOptions { allows_flush: true }),
        logs: Some(logs),
        store_doors: true,
    };
    let mut cluster = LocalCluster::start(options, || new_store(MEMORY_MAX))?;
    cluster.open_doors(arguments.port)?;
    greet(arguments, &cluster);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Thread)?;
    let mut session = Session::new(cluster);
    let code = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            code = async {
                session.settle().await;
                converse(&mut session).await
            } => code,
            _ = terminate.recv() => Ok(ExitCode::SUCCESS),
        }
    });
    session.cluster().stop();
    // The last who could tell anything.
    drop(session);
    if let Some(report) = report {
        report.finish();
    }
    code.map_err(StartError::Thread)
}

fn greet(arguments: &DevArguments, cluster: &LocalCluster<Store>) {
    let addresses: Vec<&str> = cluster.members().values().map(String::as_str).collect();
    eprintln!(
        "kvorum {}: {} nodes at {}",
        env!("CARGO_PKG_VERSION"),
        addresses.len(),
        addresses.join(", ")
    );
    eprintln!("data in {}", arguments.data_dir.display());
    let doors: Vec<String> = cluster.client_addresses().into_values().collect();
    eprintln!("from another terminal: kvctl --endpoints {} status", doors.join(","));
    if let Some(door) = doors.first() {
        eprintln!("dashboard at http://{door}/");
    }
    eprintln!("help shows what can be typed here");
}

/// Carries out line by line. A line that fails makes a script fail, and a person try again.
async fn converse(session: &mut Session) -> io::Result<ExitCode> {
    let mut keyboard = Keyboard::new("kvorum> ", WORDS)?;
    let mut code = ExitCode::SUCCESS;
    loop {
        let entered = tokio::select! {
            entered = keyboard.next() => entered,
            order = session.cluster().next_order() => {
                session.cluster().serve(order).await;
                continue;
            }
        };
        let outcome = match entered {
            Ok(Entered::End) => return Ok(code),
            Ok(Entered::Interrupted) => return Ok(ExitCode::from(INTERRUPTED)),
            Ok(Entered::Line(line)) => carry_out(session, &mut keyboard, &line).await,
            Err(error) => Err(error.to_string()),
        };
        let has_failed = match outcome {
            Ok(Outcome::Silent) => false,
            Ok(Outcome::Exit) => return Ok(code),
            Ok(Outcome::Interrupted) => return Ok(ExitCode::from(INTERRUPTED)),
            Ok(Outcome::Said(text)) => {
                say(&text);
                false
            }
            Ok(Outcome::Failed) => true,
            Err(error) => {
                say(format!("error: {error}").as_bytes());
                true
            }
        };
        if has_failed && !keyboard.is_terminal() {
            code = ExitCode::FAILURE;
        }
    }
}

async fn carry_out(
    session: &mut Session,
    keyboard: &mut Keyboard,
    line: &str,
) -> Result<Outcome, String> {
    let words = prompt::split(line).map_err(|error| error.to_string())?;
    match parse(&words)? {
        None => Ok(Outcome::Silent),
        Some(Command::OfKvctl { words }) => session.carry_out(&words, keyboard).await,
        Some(command) => tokio::select! {
            outcome = session.run(command) => outcome,
            () = keyboard.enough(false) => Ok(Outcome::Interrupted),
        },
    }
}

/// Prints one answer. When nobody reads any more, the next line of input will not come either.
fn say(text: &[u8]) {
    let mut output = io::stdout().lock();
    let said = output.write_all(text).and_then(|()| output.write_all(b"\n"));
    let _ = said.and_then(|()| output.flush());
}
