//! `etcd-load`: puts a closed loop of requests on an etcd cluster and prints one JSON object.

use std::io::BufRead as _;
use std::process::ExitCode;
use std::time::Duration;

use benches::clock;
use benches::error::BenchError;
use benches::etcd::load::{self, Load, Op};
use benches::probe::{Probe, Protocol};
use clap::Parser;
use tokio::sync::mpsc;

/// How long the probe waits for a write to be acknowledged before it gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Puts a closed loop of puts or gets on an etcd cluster and prints one JSON object.
#[derive(Debug, Parser)]
#[command(name = "etcd-load", version)]
struct Arguments {
    /// The members, or the only one that is to bear the load
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',', required = true)]
    endpoints: Vec<String>,
    /// What is asked for; gets are linearizable
    #[arg(long, value_enum, default_value = "put")]
    op: Op,
    /// HTTP/2 connections
    #[arg(long, value_name = "N", default_value = "100")]
    connections: u64,
    /// Requests at once, over all connections
    #[arg(long, value_name = "N", default_value = "1000")]
    clients: u64,
    /// The length of a value
    #[arg(long, value_name = "BYTES", default_value = "256")]
    value_size: usize,
    /// How many different keys
    #[arg(long, value_name = "N", default_value = "100000")]
    keys: u64,
    /// How long is measured
    #[arg(long, value_name = "SECONDS", default_value = "5")]
    seconds: f64,
    /// How long the load runs before it is measured
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    warm_up_seconds: f64,
    /// Writes every key once before anything else
    #[arg(long)]
    fill: bool,
    /// The servers' processes, for their CPU time
    #[arg(long, value_name = "PID,...", value_delimiter = ',')]
    pids: Vec<u32>,
    /// Threads of this program
    #[arg(long, value_name = "N", default_value = "1")]
    threads: usize,
    /// Writes to all endpoints instead, and for each line on standard input prints how long it
    /// took from then until a write was acknowledged
    #[arg(long)]
    probe: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = if arguments.threads < 2 {
        tokio::runtime::Builder::new_current_thread().enable_all().build()
    } else {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(arguments.threads)
            .enable_all()
            .build()
    };
    let result = runtime
        .map_err(BenchError::io("the program's threads"))
        .and_then(|runtime| runtime.block_on(run(arguments)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), BenchError> {
    if arguments.probe {
        return probe(&arguments.endpoints).await;
    }
    let seconds = |text: &str, seconds: f64| {
        Duration::try_from_secs_f64(seconds)
            .map_err(|error| BenchError::Setting(format!("{text} {seconds}: {error}")))
    };
    let load = Load {
        warm_up: seconds("--warm-up-seconds", arguments.warm_up_seconds)?,
        measured: seconds("--seconds", arguments.seconds)?,
        endpoints: arguments.endpoints,
        op: arguments.op,
        connections: arguments.connections.min(arguments.clients),
        clients: arguments.clients,
        value_size: arguments.value_size,
        keys: arguments.keys,
        fill: arguments.fill,
        pids: arguments.pids,
    };
    print_json(&load::run(&load).await?);
    Ok(())
}

async fn probe(endpoints: &[String]) -> Result<(), BenchError> {
    let mut probe = Probe::start(Protocol::Etcd, endpoints)?;
    probe.settle(1, PATIENCE).await?;
    let (sender, mut moments) = mpsc::channel(1);
    std::thread::spawn(move || {
        for _ in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(clock::now()).is_err() {
                return;
            }
        }
    });
    loop {
        tokio::select! {
            moment = moments.recv() => match moment {
                Some(moment) => print_json(&probe.after(moment, PATIENCE).await?),
                None => return Ok(()),
            },
            settled = probe.settle(1, PATIENCE) => settled?,
        }
    }
}

fn print_json<T: serde::Serialize>(value: &T) {
    println!("{}", serde_json::to_string(value).expect("plain data has a JSON form"));
}
