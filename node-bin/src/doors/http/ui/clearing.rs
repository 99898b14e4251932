//! Deletes every key, a few at a time: nobody waits long for a step of it.

use kv_store::command::{Answer, Command, KeyRange, Query};
use raft_core::entry::SessionStamp;

use super::super::rest::{Refused, node};
use crate::doors::etcd::Behind;

/// Keys that go in one step.
const KEYS_PER_STEP: u64 = 500;

/// Deletes whatever there is, until nothing is left. Returns what was done, on one line.
///
/// Errors: why it ended before; what was deleted until then stays deleted.
pub(super) async fn clear(behind: &Behind) -> Result<String, Refused> {
    let mut deleted = 0;
    loop {
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
