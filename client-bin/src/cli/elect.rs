//! `kvctl elect`: stands for election, or shows who wins.

use std::os::unix::ffi::OsStrExt as _;

use super::arguments::{ElectArguments, Shared};
use super::lock::Claim;
use super::{CommandError, Console, Interrupts, output};
use crate::client::{Client, Options};
use crate::{Interest, KeyRange, WatchOptions};

/// Carries the command out. Returns the exit code.
pub(super) async fn run(
    console: &mut Console<'_>,
    shared: &Shared,
    arguments: ElectArguments,
) -> Result<u8, CommandError> {
    let ElectArguments { name, value, claim, listen } = arguments;
    let mut interrupts = Interrupts::new()?;
    if listen {
        return tokio::select! {
            result = show_winners(console, shared, name.as_bytes()) => result,
            () = interrupts.next() => Ok(0),
        };
    }
    let claimed = Claim::begin(shared, claim.ttl).await?;
    let held = tokio::select! {
        held = claimed.win(&name, value.as_bytes(), claim) => held,
        () = interrupts.next() => Err(CommandError::Interrupted),
    };
    let result = match held {
        Ok(held) => claimed.hold(console, shared.write_out, &held, &mut interrupts).await,
        Err(error) => Err(error),
    };
    claimed.end().await;
    result
}

/// Shows the winner, and each one after it.
async fn show_winners(
    console: &mut Console<'_>,
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
            output::winner(console.output, shared.write_out, &kv)?;
            console.output.flush()?;
        }
        shown = identity;
        watch.next().await?;
    }
}
