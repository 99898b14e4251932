//! A backup takes the place of all keys and leases of a running cluster.

use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kv_store::command::{Answer, Command, RestorePlan, RestoreStep};
use raft_core::snapshot::SnapshotState;
use raft_net::client_protocol::NodeStatus;

use super::error::BackupError;
use super::file::{BackupFile, Contents};
use super::line::Line;
use crate::client::{Client, Options, decode, no_answer_to_a_write};
use crate::error::ClientError;
use crate::requests::Work;

/// The time that is left of leases and keys goes on so long after the restore has begun, and a
/// second later for so many bytes.
const GRACE_MS: u64 = 5_000;
const BYTES_PER_SECOND: u64 = 10 * 1024 * 1024;

/// How long it is tried to drop what was staged.
const ABANDON_TIME_MAX: Duration = Duration::from_secs(2);

/// What a restore would do.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What the backup holds; every byte of it was verified.
    pub contents: Contents,
    /// Whether its keys take a new revision, because theirs are of another history.
    pub is_foreign: bool,
    /// The cluster that it is restored into.
    pub cluster_id: u64,
    file: BackupFile,
}

/// What a restore has done.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The new revision of the store, which is the oldest that can be read.
    pub revision: u64,
}

/// Verifies a backup, and looks whether it can be restored into the cluster.
///
/// Errors: `BackupError`; nothing was done.
pub async fn plan(
    endpoints: &[String],
    path: &Path,
    within: Duration,
) -> Result<Planned, BackupError> {
    let file = BackupFile::open(path)?;
    let contents = file.contents()?;
    let mut line = Line::open(endpoints, within).await?;
    // Without a leader nothing can be restored, which is said when it is tried.
    line.is_current().await;
    let status = line.status().await?;
    let (live_bytes, live_bytes_max) = (contents.summary.live_bytes, status.live_bytes_max);
    if live_bytes_max != 0 && live_bytes_max <= live_bytes {
        return Err(BackupError::NoRoom { live_bytes, live_bytes_max });
    }
    let agreed = status.feature_level;
    let needed = Command::Restore { step: RestoreStep::Abandon { id: 0 } }.feature_level();
    if agreed != 0 && agreed < needed {
        return Err(BackupError::FeatureLevel { needed, agreed });
    }
    let cluster_id = file.head.map(|head| head.cluster_id);
    let is_own = cluster_id == Some(status.cluster_id) && is_own(&contents, &status);
    Ok(Planned { contents, is_foreign: !is_own, cluster_id: status.cluster_id, file })
}

/// Whether the backup can be of the past of this node's cluster. A cluster that was founded anew
/// from the same list has the same id and another past.
fn is_own(contents: &Contents, status: &NodeStatus) -> bool {
    let SnapshotState { bindings, .. } = &contents.state;
    let here = |id: u64| status.incarnations.iter().find(|(known, _)| *known == id);
    let common = bindings.iter().filter_map(|(id, it)| Some((it.0, here(id.number())?.1)));
    let mut known = 0;
    let all_same = common.inspect(|_| known += 1).all(|(there, here)| there == here);
    all_same && 0 < known && contents.summary.revision <= status.revision
}

/// Puts the backup in the place of all keys and leases. Each request may take `within`.
///
/// Errors: `BackupError`. Everything is as it was, except after `Unknown`: then it may have been
/// the last request that was not answered, and `kvctl status` says by the revision what became of
/// it.
pub async fn restore(
    endpoints: &[String],
    planned: &Planned,
    within: Duration,
) -> Result<Restored, BackupError> {
    let client = Client::connect(endpoints.to_vec(), Options { timeout: within }).await?;
    let id = fastrand::u64(1..);
    let done = send(&client, id, planned).await;
    if done.is_err() {
        let client = client.each(ABANDON_TIME_MAX);
        // Otherwise the cluster drops it by itself, after a while.
        let _ = step(&client, &RestoreStep::Abandon { id }).await;
    }
    done
}

async fn send(client: &Client, id: u64, planned: &Planned) -> Result<Restored, BackupError> {
    let Contents { state, summary } = &planned.contents;
    let plan = RestorePlan {
        id,
        revision: summary.revision,
        is_foreign: planned.is_foreign,
        log_time: state.log_time,
        grace_ms: GRACE_MS + 1_000 * summary.live_bytes / BYTES_PER_SECOND,
    };
    step(client, &RestoreStep::Begin(plan)).await?;
    let (mut reading, mut pieces) = (planned.file.read()?, 0);
    while let Some(records) = reading.next_piece()? {
        step(client, &RestoreStep::Piece { id, number: pieces, records: &records }).await?;
        pieces += 1;
    }
    let revision = step(client, &RestoreStep::Finish { id, pieces }).await?;
    Ok(Restored { revision })
}

/// Takes a step, exactly once; returns the revision of the store.
async fn step(client: &Client, step: &RestoreStep<'_>) -> Result<u64, ClientError> {
    let mut body = BytesMut::new();
    Command::Restore { step: step.clone() }.encode(&mut body);
    let answer: Bytes = client.ask(Work::Write(body.freeze())).await?;
    match decode(&answer)? {
        Answer::Done { revision } => Ok(revision),
        other => Err(no_answer_to_a_write(&other)),
    }
}
