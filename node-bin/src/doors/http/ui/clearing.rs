//! Deletes every key, a few at a time: nobody waits long for a step of it.

use std::time::Duration;

use http::StatusCode;
use kv_store::command::{Answer, Command, KeyRange, Query};
use raft_core::entry::SessionStamp;
use tokio::time::Instant;

use super::super::rest::{Refused, node};
use crate::doors::etcd::Behind;

/// How long it may take; then it is to be asked again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Keys that go in one step.
const KEYS_PER_STEP: u64 = 500;

/// Deletes whatever there is, until nothing is left. Returns what was done, on one line.
///
/// Errors: why it ended before; what was deleted until then stays deleted.
pub(super) async fn clear(behind: &Behind) -> Result<String, Refused> {
    let mut deleted = 0;
    let deadline = Instant::now() + PATIENCE;
    loop {
        if deadline <= Instant::now() {
            let why = format!("{deleted} keys deleted so far; clear the store again");
            return Err(Refused::new(StatusCode::GATEWAY_TIMEOUT, why));
        }
        let range = KeyRange::prefix(b"");
        let said = node::read(behind, &Query::Keys { range, limit: KEYS_PER_STEP }, false).await?;
        let Answer::Range { kvs, .. } = said.answer()? else {
            return Err(Refused::other_answer());
        };
        if kvs.is_empty() {
            return Ok(format!("{deleted} keys deleted"));
        }
        let ranges = kvs.iter().map(|kv| KeyRange::single(kv.key)).collect();
        let said =
            node::write(behind, &Command::Delete { ranges }, SessionStamp::default()).await?;
        match said.answer()? {
            Answer::Deleted { count, .. } => deleted += count,
            _ => return Err(Refused::other_answer()),
        }
    }
}
