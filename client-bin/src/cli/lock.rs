//! `kvctl lock`: holds a lock while a command runs.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::arguments::{ClaimArguments, Format, LockArguments, Shared};
use super::commands::Told;
use super::stop::Stop;
use super::trace::Trace;
use super::{CommandError, WRONG_USAGE, output};
use crate::client::{Client, Options};
use crate::error::ClientError;
use crate::locks::Held;

/// The variable in which a command finds its lock.
const LOCK_VARIABLE: &str = "KVORUM_LOCK";

/// How long a command may take to end when its lock is lost.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// A name that is claimed, with the lease of the claim.
pub(super) struct Claim {
    pub(super) client: Client,
    lease: u64,
}

/// Carries the command out. Returns the exit code.
pub(super) async fn run(
    (output, errors): Told<'_>,
    shared: &Shared,
    arguments: LockArguments,
    stop: &mut Stop<'_>,
) -> Result<u8, CommandError> {
    let LockArguments { name, claim, command } = arguments;
    let (claimed, trace) = Claim::begin(shared, claim.ttl).await?;
    let held = tokio::select! {
        held = claimed.win(&name, b"", claim) => held,
        () = stop.comes() => Err(CommandError::Interrupted),
    };
    if let Some(trace) = trace {
        trace.tell(shared.write_out, errors, shared.timeout()).await?;
    }
    let result = match held {
        Ok(held) if command.is_empty() => claimed.hold(output, shared.write_out, &held, stop).await,
        Ok(held) => claimed.hold_for(command, &held, stop).await,
        Err(error) => Err(error),
    };
    claimed.end().await;
    result
}

impl Claim {
    /// Connects and asks for a lease; members look out for what makes the claim if that is
    /// wanted: the lease, the claim, and the queries by which it waits.
    pub(super) async fn begin(
        shared: &Shared,
        ttl: Duration,
    ) -> Result<(Self, Option<Trace<'_>>), CommandError> {
        let options = Options { timeout: shared.timeout() };
        let client = Client::connect(shared.endpoints.clone(), options).await?;
        let trace = if shared.trace {
            let names = [1, 2, 0].map(|serial| format!("{}:{serial}", client.session())).to_vec();
            Some(Trace::begin(&shared.endpoints, names, shared.timeout()).await?)
        } else {
            None
        };
        let lease = client.grant_lease(ttl).await?;
        Ok((Self { client, lease }, trace))
    }

    /// Waits until the name is held.
    pub(super) async fn win(
        &self,
        name: &OsString,
        value: &[u8],
        claim: ClaimArguments,
    ) -> Result<Held, CommandError> {
        let won = async {
            tokio::select! {
                held = self.client.campaign(name.as_bytes(), value, self.lease) => Ok(held?),
                over = self.client.keep_alive(self.lease) => Err(self.lost(name, over)),
            }
        };
        match claim.wait {
            None => won.await,
            Some(wait) => timeout(wait, won).await.unwrap_or_else(|_| {
                Err(CommandError::NotToBeHad(name.to_string_lossy().into_owned()))
            }),
        }
    }

    /// Says that it is held, and holds it until somebody has had enough.
    pub(super) async fn hold(
        &self,
        output: &mut dyn std::io::Write,
        format: Format,
        held: &Held,
        stop: &mut Stop<'_>,
    ) -> Result<u8, CommandError> {
        tell(output, format, held)?;
        tokio::select! {
            over = self.client.keep_alive(self.lease) => {
                Err(self.lost(&OsString::from_vec(held.key.to_vec()), over))
            }
            () = stop.comes() => Ok(0),
        }
    }

    async fn hold_for(
        &self,
        command: Vec<OsString>,
        held: &Held,
        stop: &mut Stop<'_>,
    ) -> Result<u8, CommandError> {
        let variable = [&held.key[..], format!("@{}", held.revision).as_bytes()].concat();
        let (program, arguments) = command.split_first().expect("there is a command");
        let started = Command::new(program)
            .args(arguments)
            .env(LOCK_VARIABLE, OsString::from_vec(variable))
            .stdin(Stdio::inherit())
            .spawn();
        let name = program.to_string_lossy();
        let cannot = |error| CommandError::Usage(format!("cannot run {name:?}: {error}"));
        let mut child = started.map_err(cannot)?;
        loop {
            tokio::select! {
                status = child.wait() => return status.map(code_of).map_err(cannot),
                over = self.client.keep_alive(self.lease) => {
                    end(&mut child).await;
                    return Err(self.lost(&OsString::from_vec(held.key.to_vec()), over));
                }
                // The terminal tells the command too, and the lock is held until it has ended.
                () = stop.comes() => {}
            }
        }
    }

    fn lost(&self, name: &OsString, over: Result<(), ClientError>) -> CommandError {
        match over {
            Ok(()) => CommandError::Lost(name.to_string_lossy().into_owned()),
            Err(error) => error.into(),
        }
    }

    /// Gives everything back. If that cannot be said, the lease ends by itself.
    pub(super) async fn end(&self) {
        let _ = self.client.revoke_lease(self.lease).await;
    }
}

fn tell(output: &mut dyn std::io::Write, format: Format, held: &Held) -> std::io::Result<()> {
    #[derive(Serialize)]
    struct Document {
        held: String,
        revision: u64,
    }
    match format {
        Format::Simple => {
            output.write_all(&held.key)?;
            writeln!(output, "@{}", held.revision)?;
        }
        Format::Json => {
            output::json(output, &Document { held: held.to_string(), revision: held.revision })?;
        }
        Format::Table => output::table(output, &["HELD"], &[vec![held.to_string()]])?,
    }
    output.flush()
}

/// Asks a command to end, and ends it if it does not.
async fn end(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(pid, Signal::TERM);
    }
    if timeout(END_PATIENCE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// The exit code of a command, as a shell tells it.
fn code_of(status: ExitStatus) -> u8 {
    let of_signal = status.signal().map(|signal| 128 + signal);
    status.code().or(of_signal).and_then(|code| u8::try_from(code).ok()).unwrap_or(WRONG_USAGE)
}
