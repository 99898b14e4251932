//! `kvctl elect`: stands for election, or shows who wins.

use std::io::Write;
use std::os::unix::ffi::OsStrExt as _;

use super::arguments::{ElectArguments, Shared};
use super::commands::Told;
use super::lock::Claim;
use super::stop::Stop;
use super::{CommandError, output, trace};
use crate::client::{Client, Options};
use crate::{Interest, KeyRange, WatchOptions};

/// Carries the command out. Returns the exit code.
pub(super) async fn run(
    (output, errors): Told<'_>,
    shared: &Shared,
    arguments: ElectArguments,
    stop: &mut Stop<'_>,
) -> Result<u8, CommandError> {
    let ElectArguments { name, value, claim, listen } = arguments;
    if listen && shared.trace {
        return Err(trace::not_traced());
    }
    if listen {
        return tokio::select! {
            result = show_winners(output, shared, name.as_bytes()) => result,
            () = stop.comes() => Ok(0),
        };
    }
    let (claimed, trace) = Claim::begin(shared, claim.ttl).await?;
    let held = tokio::select! {
        held = claimed.win(&name, value.as_bytes(), claim) => held,
        () = stop.comes() => Err(CommandError::Interrupted),
    };
    if let Some(trace) = trace {
        trace.tell(shared.write_out, errors, shared.timeout()).await?;
    }
    let result = match held {
        Ok(held) => claimed.hold(output, shared.write_out, &held, stop).await,
        Err(error) => Err(error),
    };
    claimed.end().await;
    result
}

/// Shows the winner, and each one after it.
async fn show_winners(
    output: &mut dyn Write,
    shared: &Shared,
    name: &[u8],
) -> Result<u8, CommandError> {
    let options = Options { timeout: shared.timeout() };
    let client = Client::connect(shared.endpoints.clone(), options).await?;
    let claims = [name, b"/"].concat();
    let interest = Interest::of(KeyRange::prefix(&claims));
    let mut watch = client.watch(&interest, WatchOptions::default()).await?;
    let mut shown = None;
    loop {
        let winner = client.winner(name).await?;
        let identity = winner.as_ref().map(|kv| (kv.key.clone(), kv.mod_revision));
        if let Some(kv) = winner.filter(|_| identity != shown) {
            output::winner(output, shared.write_out, &kv)?;
            output.flush()?;
        }
        shown = identity;
        watch.next().await?;
    }
}
