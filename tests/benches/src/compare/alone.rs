//! A node by itself: what its process takes in memory for each key, and how quickly it starts from
//! its log, and from a snapshot with a log behind it.

use std::path::Path;
use std::time::Duration;

use kv_store::command::Command;
use raft_core::entry::{Draft, EntryKind, SessionStamp, Stamp};
use raft_core::types::{Index, Term};
use serde::Serialize;

use super::cluster::{Cluster, Launch, NodeView, PATIENCE, Programs, System};
use super::load::Load;
use super::snapshots::{FLAG, LOOK_INTERVAL, NO_SNAPSHOTS, is_building};
use crate::clock;
use crate::error::BenchError;
use crate::keys::key;
use crate::loaded_store::STEP;
use crate::measurement::float;
use crate::native::NativeClient;
use crate::resident;

/// How much log lies behind the snapshot at a start: the entries as they stand in it. Units:
/// bytes.
const LOG_BYTES_BEHIND: u64 = 256 << 20;

/// Everything that was measured of one node.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Alone {
    /// How many keys it has.
    pub keys: u64,
    /// What its process had in memory before the first of them. Units: bytes.
    pub empty_bytes: u64,
    /// When each of them was set once. Units: bytes.
    pub filled_bytes: u64,
    /// When a snapshot of that was built. Units: bytes.
    pub built_bytes: u64,
    /// A start from the log alone, of which each entry set another key.
    pub replay: Started,
    /// The same process as it was then. Units: bytes.
    pub replayed_bytes: u64,
    /// A start from a snapshot of all keys and exactly so much log behind it.
    pub start: Started,
    /// The same process as it was then. Units: bytes.
    pub started_bytes: u64,
}

/// How a node started.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Started {
    /// The entries that it applied again.
    pub entries: u64,
    /// From the start of the process until it said anything. Units: seconds.
    pub open_seconds: f64,
    /// From there until all entries were applied again, an election included. Units: seconds.
    pub ready_seconds: f64,
}

impl Started {
    /// Both together.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.open_seconds + self.ready_seconds
    }
}

/// Measures it with data under `folder`; of `load`, only keys and the size of values are used.
///
/// Errors: the first thing that goes wrong ends the run.
pub async fn run(programs: &Programs, folder: &Path, load: &Load) -> Result<Alone, BenchError> {
    let value = vec![b'v'; usize::try_from(load.value_size).unwrap_or(usize::MAX)];
    let numbers: Vec<u64> = (0..load.keys).map(|number| number * STEP % load.keys).collect();
    let flags = vec![FLAG.to_owned(), NO_SNAPSHOTS.to_owned()];
    let launch = Launch { nodes: 1, flags, ..Launch::default() };
    let mut cluster = Cluster::launch(System::Kvorum, programs, folder, &launch)?;
    let empty_bytes = resident_bytes(&mut cluster).await?;
    put_each(&mut cluster, &numbers, &value).await?;
    let filled_bytes = resident_bytes(&mut cluster).await?;
    let replay = restart(&mut cluster).await?;
    let replayed_bytes = resident_bytes(&mut cluster).await?;
    build(&mut cluster).await?;
    // A process that built a snapshot of what it was told, and not of what it read.
    let built_bytes = built_bytes(programs, folder, (&launch, &numbers, &value)).await?;
    let behind = usize::try_from(LOG_BYTES_BEHIND / entry_bytes(&value)).unwrap_or(usize::MAX);
    let again: Vec<u64> = numbers.iter().cycle().take(behind).copied().collect();
    put_each(&mut cluster, &again, &value).await?;
    let start = restart(&mut cluster).await?;
    let started_bytes = resident_bytes(&mut cluster).await?;
    cluster.end().await?;
    let keys = load.keys;
    Ok(Alone {
        keys,
        empty_bytes,
        filled_bytes,
        built_bytes,
        replay,
        replayed_bytes,
        start,
        started_bytes,
    })
}

async fn built_bytes(
    programs: &Programs,
    folder: &Path,
    (launch, numbers, value): (&Launch, &[u64], &[u8]),
) -> Result<u64, BenchError> {
    let folder = folder.join("built");
    let mut cluster = Cluster::launch(System::Kvorum, programs, &folder, launch)?;
    put_each(&mut cluster, numbers, value).await?;
    build(&mut cluster).await?;
    let bytes = resident_bytes(&mut cluster).await?;
    cluster.end().await?;
    Ok(bytes)
}

/// What a put of a key takes in the log. Units: bytes.
fn entry_bytes(value: &[u8]) -> u64 {
    let (mut draft, mut body) = (Draft::default(), bytes::BytesMut::new());
    Command::Put { key: &key(0), value }.encode(&mut body);
    draft.push(EntryKind::Command, &SessionStamp::default(), &body);
    let (term, first) = (Term(1), Index(1));
    let stamp = Stamp { term, first, log_time: 0, feature_level: 1, wall_time: 0, seed: 0 };
    draft.stamp(&stamp).bytes().len() as u64
}

async fn put_each(cluster: &mut Cluster, numbers: &[u64], value: &[u8]) -> Result<(), BenchError> {
    let mut client = client(cluster).await?;
    let begun = clock::now();
    client.put_each(numbers, value).await.map_err(BenchError::io("the node"))?;
    eprintln!("{} keys were set in {:.1} s", numbers.len(), begun.elapsed().as_secs_f64());
    Ok(())
}

/// Has a snapshot made that covers all there is.
async fn build(cluster: &mut Cluster) -> Result<(), BenchError> {
    let mut client = client(cluster).await?;
    let told = || BenchError::io("the node");
    let covers = client.status().await.map_err(told())?.applied_index;
    let give_up = clock::now() + PATIENCE;
    while client.snapshot(covers).await.map_err(told())?.is_none_or(|index| index < covers)
        || is_building(cluster.data(0))
    {
        if give_up < clock::now() {
            let what = "a snapshot of all there is".to_owned();
            return Err(BenchError::Deadline { what, waited: PATIENCE });
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}

async fn client(cluster: &mut Cluster) -> Result<NativeClient, BenchError> {
    let (leader, _) = cluster.leader().await?;
    NativeClient::connect(cluster.address(leader)).await.map_err(BenchError::io("the node"))
}

/// What the process of the only node has in memory, when it leads and is at rest. Units: bytes.
async fn resident_bytes(cluster: &mut Cluster) -> Result<u64, BenchError> {
    cluster.leader().await?;
    tokio::time::sleep(REST).await;
    let told = BenchError::io("the memory of the node");
    let bytes = cluster.pids().into_iter().map(resident::bytes_of).sum::<std::io::Result<u64>>();
    let bytes = bytes.map_err(told)?;
    eprintln!("the node has {bytes} bytes in memory");
    Ok(bytes)
}

/// Until what was put off has been done.
const REST: Duration = Duration::from_secs(2);

/// Kills the only node and starts it again.
async fn restart(cluster: &mut Cluster) -> Result<Started, BenchError> {
    let (_, before) = cluster.leader().await?;
    cluster.kill(0).await?;
    let began = clock::now();
    cluster.restart(0).await?;
    cluster.until(0, LOOK_INTERVAL, |_| true).await?;
    let opened = clock::now();
    let is_ready = |view: &NodeView| view.leader.is_some() && before.committed <= view.applied;
    let view = cluster.until(0, LOOK_INTERVAL, is_ready).await?;
    let started = Started {
        entries: view.applied - view.snapshot,
        open_seconds: (opened - began).as_secs_f64(),
        ready_seconds: (clock::now() - opened).as_secs_f64(),
    };
    eprintln!("{} entries were applied again in {:.2} s", started.entries, started.seconds());
    Ok(started)
}

impl Alone {
    /// The rows of the figures with their bounds, as Markdown.
    #[must_use]
    pub fn rows(&self) -> String {
        let Self { replay, start, .. } = self;
        let per_second = float(replay.entries) / replay.seconds();
        let per_key = |bytes: u64| float(bytes) / float(self.keys);
        let verdict = |is_met: bool| if is_met { "yes" } else { "no" };
        let most = per_key(self.filled_bytes.max(self.built_bytes));
        format!(
            "| memory of a node's process for each of {} keys, bytes | {:.0} when each was set \
             once, {:.0} when a snapshot was built then; {:.0} after a start from the log, {:.0} \
             from a snapshot and the log behind it; a node without keys has {} kB | at most 460 \
             (the first two) | {} |\n\
             | start from the log alone, entries per second | {per_second:.0} ({} entries; {:.2} s \
             to open, {:.2} s to be ready) | at least 300000 | {} |\n\
             | start from a snapshot and 256 MiB of log, s | {:.2} ({} entries; {:.2} s to open, \
             {:.2} s to be ready) | below 5 | {} |\n",
            self.keys,
            per_key(self.filled_bytes),
            per_key(self.built_bytes),
            per_key(self.replayed_bytes),
            per_key(self.started_bytes),
            self.empty_bytes / 1024,
            verdict(most <= 460.0),
            replay.entries,
            replay.open_seconds,
            replay.ready_seconds,
            verdict(300_000.0 <= per_second),
            start.seconds(),
            start.entries,
            start.open_seconds,
            start.ready_seconds,
            verdict(start.seconds() < 5.0),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_head_and_the_put() {
        let (short, long) = (entry_bytes(&[b'v'; 100]), entry_bytes(&[b'v'; 200]));
        assert_eq!(long - short, 100);
        assert!((128..300).contains(&short), "{short}");
    }
}
