//! What went wrong in other systems, group C, second part: disks that are slow, stop or fail
//! while entries are on their way to them. Each test is named after its row in `docs/raft.md`.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

use raft_core::consensus::message::{Envelope, Message};
use raft_core::entry::Entries;
use raft_core::hard_state::{Configuration, HardState, Standing};
use raft_core::types::{EntryId, Incarnation, Index, NodeId, Term};
use raft_core::wal::disk::{Disk, DiskError};
use raft_core::wal::memory_disk::MemoryDisk;
use raft_core::wal::{Wal, WalError, WalOptions};
use sim::cluster::{Cluster, acknowledged, envelope, id, node};
use sim::entries::entries;
use sim::lone_raft::LoneRaft;

fn append(prev: EntryId, commit_index: u64, entries: Vec<Entries>) -> Message {
    Message::AppendEntries { prev, commit_index: Index(commit_index), round: 0, entries }
}

/// The answers that agree, as term and match index.
fn acks<'a>(sent: impl IntoIterator<Item = &'a Envelope>) -> Vec<(u64, u64)> {
    let term = |envelope: &Envelope| envelope.term.0;
    sent.into_iter().filter_map(|e| Some((term(e), acknowledged(e)?))).collect()
}

fn options() -> WalOptions {
    WalOptions {
        segment_bytes: 1024,
        incarnation: Incarnation(7),
        configuration: Configuration::of([node(1), node(2), node(3)]).encode(),
        base: EntryId::ZERO,
    }
}

fn hard_state(term: u64, commit: u64) -> HardState {
    HardState {
        term: Term(term),
        vote: NodeId::new(1),
        commit_index: Index(commit),
        standing: Standing::Full,
    }
}

/// The ids of everything that a log holds.
fn ids<D: Disk>(wal: &mut Wal<D>) -> Vec<EntryId> {
    let runs = wal.read(Index(1), wal.last().index.next(), usize::MAX).expect("a log reads");
    runs.iter().flat_map(Entries::iter).map(|entry| entry.id()).collect()
}

/// A disk that fails at some of the calls that would change something, or at every read.
#[derive(Debug)]
struct Failing {
    disk: MemoryDisk,
    /// How many changes were asked for.
    changes: usize,
    /// Which of them fail.
    failing: Range<usize>,
    is_readable: Rc<Cell<bool>>,
}

impl Failing {
    fn change(&mut self) -> Result<&mut MemoryDisk, DiskError> {
        self.changes += 1;
        if self.failing.contains(&(self.changes - 1)) {
            return Err(DiskError::Failed("the disk is gone".into()));
        }
        Ok(&mut self.disk)
    }
}

impl Disk for Failing {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.disk.list()
    }
    fn create(&mut self, name: &str, length: u64) -> Result<(), DiskError> {
        self.change()?.create(name, length)
    }
    fn len(&mut self, name: &str) -> Result<u64, DiskError> {
        self.disk.len(name)
    }
    fn read(&mut self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        if !self.is_readable.get() {
            return Err(DiskError::Failed("the sector cannot be read".into()));
        }
        self.disk.read(name, offset, into)
    }
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.change()?.write(name, offset, bytes)
    }
    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.change()?.append(name, bytes)
    }
    fn sync(&mut self, name: &str) -> Result<(), DiskError> {
        self.change()?.sync(name)
    }
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.change()?.rename(from, to)
    }
    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.change()?.remove(name)
    }
}

/// A log whose disk fails at some of the changes that come after it was opened.
fn failing_wal(disk: MemoryDisk, failing: Range<usize>) -> Wal<Failing> {
    let (wal, _) = Wal::open(disk, options()).expect("a log opens");
    let is_readable = Rc::new(Cell::new(true));
    let disk = Failing { disk: wal.into_disk(), changes: 0, failing, is_readable };
    let (wal, _) = Wal::open(disk, options()).expect("a log opens");
    let disk = wal.into_disk();
    assert_eq!(disk.changes, 0, "to open a log that was closed well changes nothing");
    Wal::open(disk, options()).expect("a log opens").0
}

/// C14: three leaders write the same index one after the other while the disk is slow; the
/// completion of an earlier write says nothing about the last one.
#[test]
fn rel_c14_the_completion_of_an_overwritten_entry_proves_nothing() {
    let mut node = LoneRaft::new(3, &[entries(1, 1, &["put a 1"])]);
    for (leader, term) in [(2, 2), (3, 3), (2, 4)] {
        let written = entries(term, 2, &["put x 1"]);
        node.take(leader, term, append(id(1, 1), 0, vec![written]));
    }
    assert_eq!((node.batches.len(), acks(&node.sent)), (3, vec![]));
    for (batch, durable) in [(1, 1), (2, 1)] {
        node.persisted(batch);
        assert_eq!(node.raft.log().durable_index(), Index(durable), "after batch {batch}");
        assert!(acks(&node.sent).iter().all(|&(term, _)| term < 4));
    }
    node.persisted(3);
    assert_eq!(node.raft.log().durable_index(), Index(2));
    assert_eq!(acks(&node.sent).last(), Some(&(4, 2)));
}

/// C15: entries that are being written are cut off and then come again, the same: the first
/// write does not make them durable, for the disk will write over it before they come again.
#[test]
fn rel_c15_identical_entries_that_come_again_are_durable_only_by_their_last_write() {
    let mut cluster = Cluster::led_by(5, node(1));
    (1..=4).for_each(|id| cluster.isolate(id));
    cluster.hold_sync(node(5), true);
    assert_eq!((cluster.last(5), cluster.commit_index(5)), (id(1, 3), 3));
    let same = entries(1, 4, &["put a 1", "put a 2"]);
    let other = entries(2, 4, &["put b 1"]);
    for (leader, term, written) in [(1, 1, &same), (2, 2, &other), (1, 3, &same)] {
        let append = append(id(1, 3), 3, vec![written.clone()]);
        cluster.inject(envelope(node(leader), node(5), term, append));
        cluster.heal();
        cluster.deliver(|e| e.to == node(5));
    }
    assert_eq!(cluster.last(5), id(1, 5));
    let durable = |cluster: &Cluster| cluster.replica(node(5)).raft().log().durable_index();
    cluster.sync(node(5), 1);
    assert_eq!((durable(&cluster), acks(cluster.bag())), (Index(3), vec![(1, 5)]));
    cluster.sync(node(5), 1);
    assert_eq!((durable(&cluster), acks(cluster.bag()).len()), (Index(3), 2));
    // What a loss of power would leave at this moment.
    assert_eq!(cluster.ids_on_disk(node(5)).last(), Some(&id(2, 4)));
    cluster.sync(node(5), 1);
    assert_eq!((durable(&cluster), acks(cluster.bag())[2]), (Index(5), (3, 5)));
}

/// C17: completions that are reported in the wrong order lose nothing, and take nothing back.
#[test]
fn rel_c17_completions_in_the_wrong_order_lose_nothing() {
    let mut node = LoneRaft::new(1, &[]);
    node.lead();
    assert!(node.propose(&["put a 1"]));
    node.turn();
    assert!(node.propose(&["put a 2"]));
    node.turn();
    let newest = node.batches.len() as u64;
    assert_eq!((node.raft.log().last().index, node.raft.log().commit_index().0), (Index(3), 0));
    node.persisted(newest);
    for late in [newest - 2, newest - 1, newest] {
        node.persisted(late);
        assert_eq!(node.raft.log().durable_index(), Index(3), "batch {late} was reported late");
        assert_eq!(node.raft.log().commit_index(), Index(3));
    }
    node.turn();
    assert!(node.propose(&["put a 3"]));
    node.turn();
    node.persist_all();
    assert_eq!(node.raft.log().commit_index(), Index(4));
}

/// C19: a leader counts itself like any other node, when its own disk has it; a cluster of one
/// commits nothing before.
#[test]
fn rel_c19_a_leader_counts_itself_only_when_its_own_disk_has_it() {
    let mut alone = Cluster::led_by(1, node(1));
    alone.hold_sync(node(1), true);
    let before = alone.commit_index(1);
    alone.submit(node(1), "w", "put a 1", None);
    alone.run(20);
    assert_eq!((alone.commit_index(1), alone.answer("w")), (before, None));
    assert_eq!(alone.value(1, "a"), None);
    alone.sync(node(1), 1);
    assert_eq!((alone.commit_index(1), alone.answer("w")), (before + 1, Some("r1")));

    let mut cluster = Cluster::led_by(3, node(1));
    (1..=2).for_each(|id| cluster.hold_sync(node(id), true));
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.settle();
    cluster.run(30);
    assert_eq!((cluster.commit_index(1), cluster.answer("w")), (2, None), "on n3's disk only");
    cluster.sync(node(2), 1);
    cluster.settle();
    assert_eq!(cluster.answer("w"), Some("r1"), "two others are a majority");
    assert_eq!(cluster.replica(node(1)).raft().log().durable_index(), Index(2));
    cluster.crash(node(1));
    cluster.hold_sync(node(2), false);
    cluster.run(600);
    assert!((2..=3).all(|id| cluster.value(id, "a") == Some("1")));
}

/// C21: committed entries are handed out in pages, none skipped and none twice, whatever the
/// length of entries and pages, at first and when they are replayed from disk.
#[test]
fn rel_c21_pages_of_committed_entries_have_no_gap_and_no_overlap() {
    let mut cluster = Cluster::led_by_with(3, node(1), |config| config.tail_bytes_max = 1);
    cluster.isolate(3);
    (1..=2).for_each(|id| cluster.hold_sync(node(id), true));
    let kib = [0, 1, 100, 300, 511, 512, 513, 0, 256, 256, 0, 600, 1500, 3, 511, 1];
    for (n, kib) in kib.iter().enumerate() {
        let value = "v".repeat(kib * 1024 + n);
        cluster.submit(node(1), &format!("w{n}"), &format!("put k {value}"), None);
    }
    cluster.settle();
    assert_eq!(cluster.commit_index(1), 2);
    (1..=2).for_each(|id| cluster.hold_sync(node(id), false));
    cluster.settle();
    cluster.tick(10);
    cluster.settle();
    let all: Vec<EntryId> = (3..3 + kib.len() as u64).map(|index| id(1, index)).collect();
    let applied = |cluster: &Cluster, id| cluster.replica(node(id)).machine().applied().to_vec();
    assert_eq!(applied(&cluster, 1), all);
    assert_eq!(applied(&cluster, 2), all);
    assert!((0..kib.len()).all(|n| cluster.answer(&format!("w{n}")).is_some()));
    // Each of the others replays it from its disk, or gets it from there.
    for crashed in [2, 1] {
        let known = cluster.hard_state_on_disk(crashed).commit_index;
        cluster.crash(node(crashed));
        cluster.restart(node(crashed));
        assert_eq!(cluster.hard_state_on_disk(crashed).commit_index, known);
        cluster.run(600);
        assert_eq!(applied(&cluster, crashed), all);
        assert!(known <= cluster.hard_state_on_disk(crashed).commit_index, "it never goes back");
    }
    cluster.heal();
    cluster.run(1_000);
    assert_eq!(applied(&cluster, 3), all);
}

/// C24: a batch for the disk is made for each new entry, term and vote, and for nothing else.
#[test]
fn rel_c24_what_must_be_synced_is_written_and_nothing_else() {
    let mut node = LoneRaft::new(3, &[entries(1, 1, &["put a 1"])]);
    let mut batches = 0;
    let mut check = |node: &LoneRaft, more: usize, what: &str| {
        batches += more;
        assert_eq!(node.batches.len(), batches, "{what}");
    };
    node.turn();
    check(&node, 0, "nothing has happened");
    node.take(2, 1, Message::Heartbeat { commit_index: Index(0), round: 3, log_time: 0 });
    check(&node, 0, "a heartbeat");
    node.take(2, 1, append(id(1, 1), 0, vec![entries(1, 2, &["put a 2"])]));
    check(&node, 1, "an entry");
    node.take(2, 1, append(id(1, 1), 0, vec![entries(1, 2, &["put a 2"])]));
    check(&node, 0, "the same entry again");
    node.take(2, 1, append(id(1, 2), 2, vec![]));
    check(&node, 0, "a commit index alone, which a leader can tell again");
    assert_eq!(node.raft.log().commit_index(), Index(2));
    node.take(3, 5, Message::RequestVote { last: id(0, 0), transfer: true });
    check(&node, 1, "a term without a vote");
    assert_eq!(node.batches[1].hard_state.vote, None);
    node.take(3, 5, Message::RequestVote { last: id(4, 9), transfer: true });
    check(&node, 1, "a vote");
    let written = node.batches[2].hard_state;
    assert_eq!((written.term, written.vote, written.commit_index.0), (Term(5), NodeId::new(3), 2));
    node.take(3, 5, Message::RequestVote { last: id(4, 9), transfer: true });
    check(&node, 0, "the same vote again");
}

/// C27: the rollback of many entries, over several segments, is there after a crash as a whole
/// or not at all, wherever the crash came; and so are the terms of what is left.
#[test]
fn rel_c27_a_rollback_over_segments_is_whole_or_not_there() {
    let long = "put a ".to_owned() + &"x".repeat(250);
    let (mut wal, _) = Wal::open(MemoryDisk::default(), options()).unwrap();
    for index in 1..=12 {
        let run = entries(index.min(6), index, &[&long]);
        wal.append(&hard_state(index.min(6), 1), &[run]).unwrap();
    }
    let old: Vec<EntryId> = (1..=12).map(|index| id(index.min(6), index)).collect();
    let new = [id(1, 1), id(7, 2), id(8, 3)];
    let rollback = [entries(7, 2, &[&long]), entries(8, 3, &["put b 1"])];
    let before = wal.into_disk();
    let segments = before.clone().list().unwrap().iter().filter(|f| f.starts_with("wal-")).count();
    assert!(3 < segments, "what is rolled back lies in several segments");
    let (mut kept_old, mut kept_new) = (0, 0);
    for changes in 0..12 {
        for pattern in 0..8u64 {
            let mut wal = failing_wal(before.clone(), changes..usize::MAX);
            let result = wal.append(&hard_state(8, 1), &rollback);
            let mut disk = wal.into_disk().disk;
            // Each sector that was not synced is kept or lost by a pattern of its own.
            disk.crash(|_, offset| pattern >> (offset / 512 % 3) & 1 == 1);
            let (mut wal, recovered) = Wal::open(disk, options()).unwrap();
            let found = ids(&mut wal);
            assert_eq!(recovered.last, *found.last().unwrap());
            let mut starts = found.clone();
            starts.dedup_by_key(|id| id.term);
            assert_eq!(recovered.terms, starts);
            assert_eq!(recovered.damage, None);
            if found == old {
                assert!(result.is_err(), "what was reported as durable is there");
                kept_old += 1;
            } else {
                assert_eq!(found, new, "after {changes} changes, pattern {pattern}");
                kept_new += 1;
            }
        }
    }
    assert!(0 < kept_old && 0 < kept_new, "{kept_old} and {kept_new}");
}

/// C28: when a rollback could not be written the log takes nothing more, so no second entry
/// of an index ever stands behind the first one.
#[test]
fn rel_c28_after_a_failed_rollback_nothing_is_written_behind_it() {
    let (mut wal, _) = Wal::open(MemoryDisk::default(), options()).unwrap();
    wal.append(&hard_state(1, 0), &[entries(1, 1, &["put a 1", "put a 2"])]).unwrap();
    let before = wal.into_disk();
    // The term first: slot write, slot sync; then the batch, and then its sync. The disk
    // fails once and works again.
    for (change, failed) in [(0, "write"), (1, "sync"), (2, "write"), (3, "sync")] {
        let mut wal = failing_wal(before.clone(), change..change + 1);
        let fault = wal.append(&hard_state(2, 0), &[entries(2, 2, &["put b 1"])]).unwrap_err();
        assert!(matches!(fault, WalError::Fault { action, .. } if action == failed), "{fault}");
        assert_eq!(wal.last(), id(1, 2), "no promise was made");
        let again = wal.append(&hard_state(3, 0), &[entries(3, 2, &["put c 1"])]);
        assert_eq!(again, Err(fault));
        let disk = wal.into_disk();
        assert_eq!(disk.changes, change + 1, "nothing was written after the failure");
        let (mut wal, recovered) = Wal::open(disk, options()).unwrap();
        let found = ids(&mut wal);
        assert!(found == [id(1, 1), id(1, 2)] || found == [id(1, 1), id(2, 2)], "{found:?}");
        assert_eq!(recovered.damage, None);
    }
}

/// C29: while older entries are read from disk, or if they cannot be, nothing is sent in their
/// place: no append that begins nowhere, and none with a gap.
#[test]
fn rel_c29_entries_that_cannot_be_read_are_not_replaced_by_anything() {
    let old = entries(1, 1, &["put a 1", "put a 2", "put a 3"]);
    let mut node = LoneRaft::new(3, &[old.clone(), entries(1, 4, &["put a 4"])]);
    node.lead();
    node.persist_all();
    node.sent.clear();
    let result = raft_core::consensus::message::AppendResult::Rejected {
        prev_index: Index(4),
        hint: id(1, 1),
    };
    let refusal = Message::AppendEntriesResponse { round: 0, counts: true, result };
    node.take(2, node.raft.term().0, refusal);
    assert_eq!(node.fetches.last().map(|f| (f.first, f.end)), Some((Index(2), Index(4))));
    let appends = |node: &LoneRaft| {
        let prevs = node.sent.iter().filter_map(|e| match &e.message {
            Message::AppendEntries { prev, entries, .. } => Some((*prev, entries.clone())),
            _ => None,
        });
        prevs.collect::<Vec<_>>()
    };
    node.run(100);
    assert_eq!(appends(&node), [], "the disk is asked, and n2 waits");
    node.fetched(vec![]);
    node.fetched(vec![old.slice(Index(3)..Index(4), usize::MAX).unwrap()]);
    assert_eq!(appends(&node), [], "the entry that n2 needs next is not among them");
    let asked = old.slice(Index(2)..Index(4), usize::MAX).unwrap();
    node.fetched(vec![asked.clone()]);
    assert_eq!(appends(&node), [(id(1, 1), vec![asked])]);

    let (mut wal, _) = Wal::open(MemoryDisk::default(), options()).unwrap();
    wal.append(&hard_state(1, 0), &[old]).unwrap();
    let is_readable = Rc::new(Cell::new(true));
    let disk = wal.into_disk();
    let disk = Failing { disk, changes: 0, failing: 0..0, is_readable: is_readable.clone() };
    let (mut wal, _) = Wal::open(disk, options()).unwrap();
    is_readable.set(false);
    let read = wal.read(Index(1), Index(4), usize::MAX);
    assert!(read.is_err(), "what cannot be read is not nothing: {read:?}");
    assert!(Wal::open(wal.into_disk(), options()).is_err(), "nor is it an empty log");
}

/// C38: a batch that could not be written is never reported, so nothing that waits for it is
/// sent, and nothing behind it either.
#[test]
fn rel_c38_a_batch_that_failed_is_not_acknowledged_nor_is_any_behind_it() {
    let mut node = LoneRaft::new(3, &[]);
    // Slot write, slot sync, batch write, batch sync; then a batch that fails in its sync, and
    // a disk that works again.
    let mut wal = failing_wal(MemoryDisk::default(), 5..6);
    let mut prev = EntryId::ZERO;
    let mut results = Vec::new();
    for index in 1..=3 {
        let written = entries(1, index, &["put a 1"]);
        node.take(2, 1, append(prev, index - 1, vec![written]));
        prev = id(1, index);
        let batch = node.batches.last().unwrap().clone();
        let result = wal.append(&batch.hard_state, &batch.entries);
        if result.is_ok() {
            node.persisted(batch.number);
        }
        results.push(result.is_ok());
    }
    assert_eq!(results, [true, false, false]);
    assert_eq!(acks(&node.sent), [(1, 1)]);
    assert_eq!(node.raft.log().durable_index(), Index(1));
    node.run(2_000);
    assert_eq!(acks(&node.sent), [(1, 1)]);
    assert!(!node.sent.iter().any(|e| e.message.name() == "RequestVote"), "{:?}", node.sent);
}
