//! Disks that answer with errors: what says nothing about a file changes nothing about it, and
//! what could not be written is written again.

use std::cell::Cell;
use std::rc::Rc;

use raft_core::configuration::Configuration;
use raft_core::consensus::ready::{Fetch, Persist};
use raft_core::hard_state::HardState;
use raft_core::replica::event::Event;
use raft_core::replica::log_files::{LogFact, LogFiles};
use raft_core::replica::snapshot_files::SnapshotFiles;
use raft_core::replica::snapshots::{SnapshotFact, SnapshotOrder};
use raft_core::snapshot::SnapshotId;
use raft_core::types::{EntryId, Incarnation, Index, Term};
use raft_core::wal::disk::{Disk, DiskError};
use raft_core::wal::memory_disk::MemoryDisk;
use raft_core::wal::snapshots::Snapshots;
use raft_core::wal::{Wal, WalOptions};
use sim::cluster::node;
use sim::entries::entries;
use sim::lone_replica::{LoneReplica, snapshot_of};
use sim::machine::Registers;

/// A disk whose reads fail while it is told so.
#[derive(Clone, Debug, Default)]
struct Unreadable {
    disk: MemoryDisk,
    fails: Rc<Cell<bool>>,
}

impl Disk for Unreadable {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.disk.list()
    }
    fn create(&mut self, name: &str, length: u64) -> Result<(), DiskError> {
        self.disk.create(name, length)
    }
    fn len(&mut self, name: &str) -> Result<u64, DiskError> {
        self.disk.len(name)
    }
    fn read(&mut self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        // The header and the trailer can be read, and nothing between them.
        if self.fails.get() && 32 <= offset && offset + 32 < self.disk.len(name)? {
            return Err(DiskError::Failed("the sector cannot be read".into()));
        }
        self.disk.read(name, offset, into)
    }
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.write(name, offset, bytes)
    }
    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.append(name, bytes)
    }
    fn sync(&mut self, name: &str) -> Result<(), DiskError> {
        self.disk.sync(name)
    }
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.disk.rename(from, to)
    }
    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.disk.remove(name)
    }
}

fn keep<D: Disk>(files: &mut SnapshotFiles<D>, (id, data): &(SnapshotId, bytes::Bytes)) {
    let order = SnapshotOrder::Receive { id: *id, offset: 0, data: data.clone() };
    let kept = files.execute(order);
    assert!(matches!(kept, Some(SnapshotFact::Received { is_whole: true, .. })), "{kept:?}");
}

/// A start that cannot read a snapshot now is no reason to do without it for ever: then the log
/// that was cut behind it would not reach back, and the node would be quarantined.
#[test]
fn a_snapshot_that_cannot_be_read_at_a_start_is_not_set_aside() {
    let (snapshot, mut disk) = (snapshot_of(&["put a 1", "put b 2"]), Unreadable::default());
    let (opened, _) = Snapshots::open(disk.clone()).unwrap();
    let mut files = SnapshotFiles::new(opened);
    keep(&mut files, &snapshot);
    disk.disk = files.into_disk().disk;
    disk.fails.set(true);
    let failed = SnapshotFiles::open(disk.clone(), &Registers::default()).map(|_| ());
    assert!(failed.is_err(), "it says nothing about the snapshot");
    disk.fails.set(false);
    let (_, found) = SnapshotFiles::open(disk, &Registers::default()).unwrap();
    assert_eq!(found.newest.map(|(id, _)| id), Some(snapshot.0));
    assert_eq!(found.set_aside, Vec::<String>::new());
}

/// A leader that gave up its snapshot, because it could not read it or nobody could use it,
/// makes another also when nothing was committed since.
#[test]
fn a_snapshot_that_is_given_up_is_made_anew_in_an_idle_cluster() {
    let mut lone = LoneReplica::new(|_| {});
    lone.apply(&["put a 1", "put b 2", "put c 3"]);
    lone.begin_snapshot();
    lone.settle();
    let (id, data) = lone.file();
    lone.hear(Event::Snapshot(SnapshotFact::Piece { id, offset: 0, data: None }));
    lone.turn();
    assert_eq!(lone.replica.raft().snapshot(), None, "it is of no use");
    lone.settle();
    assert_eq!(lone.file(), (id, data), "it is made anew, from the same state");
}

/// A follower whose disk does not take a piece says nothing, and is asked again later: only
/// what does not verify is a reason to think that the snapshot is damaged.
#[test]
fn a_piece_that_finds_no_room_is_not_called_damaged() {
    let (id, data) = snapshot_of(&["put a 1", "put b 2"]);
    let disk = MemoryDisk::with_capacity(Some(10));
    let mut files = SnapshotFiles::new(Snapshots::open(disk).unwrap().0);
    let order = |data: &bytes::Bytes| SnapshotOrder::Receive { id, offset: 0, data: data.clone() };
    assert_eq!(files.execute(order(&data)), None);
    let mut wrong = data.to_vec();
    wrong[40] ^= 1;
    let told = files.execute(order(&wrong.into()));
    let thrown_away = SnapshotFact::Received { id, next_offset: 0, is_whole: false };
    assert_eq!(told, Some(thrown_away));
}

fn log_files(disk: MemoryDisk) -> LogFiles<MemoryDisk> {
    let configuration = Configuration::of([node(1)]).encode();
    let (incarnation, base) = (Incarnation(7), EntryId::ZERO);
    let options = WalOptions { segment_bytes: 1024, incarnation, configuration, base };
    LogFiles::new(Wal::open(disk, options).expect("a log opens").0)
}

fn batch(number: u64, term: u64, first: u64, commands: &[&str]) -> Persist {
    let hard_state = HardState { term: Term(term), ..HardState::default() };
    let entries = vec![entries(term, first, commands)];
    Persist { number, base: None, hard_state, entries }
}

fn numbers(facts: &[LogFact]) -> Vec<u64> {
    let number = |fact: &LogFact| match fact {
        LogFact::Persisted { number } => Some(*number),
        LogFact::DiskFull { .. } | LogFact::Fetched { .. } => None,
    };
    facts.iter().filter_map(number).collect()
}

/// What waits is written as one batch as far as each entry follows the last one.
#[test]
fn batches_that_follow_each_other_are_written_and_reported_as_one() {
    let mut files = log_files(MemoryDisk::default());
    for batch in [batch(1, 1, 1, &["a", "b"]), batch(2, 1, 3, &["c"]), batch(3, 2, 3, &["d"])] {
        files.add(batch);
    }
    assert_eq!(numbers(&files.flush().unwrap()), [2, 3], "the last one replaces an entry");
    assert_eq!(files.batches(), 2);
    assert!(!files.has_waiting());
}

/// Without room nothing is lost and nothing reported: it is written when there is room.
#[test]
fn what_finds_no_room_waits_and_is_written_later() {
    let mut disk = MemoryDisk::default();
    disk = log_files(disk).into_disk();
    disk.set_capacity(Some(0));
    let mut files = log_files(disk);
    let long = "x".repeat(800);
    files.add(batch(1, 1, 1, &["short"]));
    assert_eq!(numbers(&files.flush().unwrap()), [1], "the segment has room for this");
    files.add(batch(2, 1, 2, &[&long]));
    files.add(batch(3, 1, 3, &["behind it"]));
    let facts = files.flush().unwrap();
    assert!(matches!(facts[..], [LogFact::DiskFull { is_full: true }]), "{facts:?}");
    assert!(files.flush().unwrap().is_empty(), "that was said");
    let fetch = Fetch { first: Index(1), end: Index(4), bytes_max: usize::MAX };
    let facts = files.fetch(fetch).unwrap();
    assert!(
        matches!(&facts[..], [LogFact::Fetched { entries }] if entries[0].last_index() == Index(1)),
        "what is on disk can be read: {facts:?}"
    );
    assert!(files.has_waiting());
    let mut disk = files.into_disk();
    disk.set_capacity(None);
    let mut files = log_files(disk);
    for batch in [batch(2, 1, 2, &[&long]), batch(3, 1, 3, &["behind it"])] {
        files.add(batch);
    }
    assert_eq!(numbers(&files.flush().unwrap()), [3]);
}
