//! One replica without a cluster around it, whose orders about snapshot files wait until the
//! test executes them, and whose files answer when the test says so.

use std::collections::VecDeque;

use bytes::Bytes;
use raft_core::configuration::Configuration;
use raft_core::consensus::RaftConfig;
use raft_core::consensus::log::RaftLog;
use raft_core::consensus::message::{Envelope, Message};
use raft_core::consensus::ready::Persist;
use raft_core::hard_state::{HardState, Standing};
use raft_core::replica::Replica;
use raft_core::replica::event::{Event, Outcome};
use raft_core::replica::snapshot_files::SnapshotFiles;
use raft_core::replica::snapshots::{SnapshotFact, SnapshotOrder};
use raft_core::snapshot::SnapshotId;
use raft_core::types::{EntryId, Incarnation, Index, Term, Time};
use raft_core::wal::memory_disk::MemoryDisk;
use raft_core::wal::snapshots::Snapshots;

use crate::cluster::course::Course;
use crate::cluster::{envelope, node};
use crate::entries::entries;
use crate::machine::Registers;

/// Node 1 of three, a follower with real snapshot files on a disk in memory.
#[derive(Debug)]
pub struct LoneReplica {
    /// The node.
    pub replica: Replica<Registers>,
    /// Its snapshot files.
    pub files: SnapshotFiles<MemoryDisk>,
    /// What is still to be done with the files, in this order.
    pub orders: VecDeque<SnapshotOrder>,
    /// What became of orders, as far as the node was not told.
    pub facts: VecDeque<SnapshotFact>,
    /// Where the log was cut.
    pub cuts: Vec<Index>,
    /// The batches that were handed out; each is durable at once.
    pub batches: Vec<Persist>,
    /// The messages that were handed out.
    pub sent: Vec<Envelope>,
    /// The outcomes that were handed out.
    pub outcomes: Vec<Outcome>,
    now: Time,
    course: Course,
}

impl LoneReplica {
    /// A node with an empty log, no snapshot, and settings of which `settings` changes some.
    ///
    /// Panics: never, because a disk in memory without limits works.
    #[must_use]
    pub fn new(settings: impl Fn(&mut RaftConfig)) -> Self {
        let configuration = Configuration::of((1..=3).map(node));
        let mut config = RaftConfig::new(node(1), Incarnation(1_000), configuration);
        config.snapshot_part_interval_us = 0;
        config.trailing_entries = 0;
        settings(&mut config);
        let term = Term(1);
        let hard_state = HardState { term, standing: Standing::Full, ..HardState::default() };
        let log = RaftLog::restore(EntryId::ZERO, Vec::new(), Vec::new(), Index::ZERO);
        let now = Time(1_000_000);
        let (files, _) = Snapshots::open(MemoryDisk::default()).expect("the disk works");
        Self {
            replica: Replica::new(config, hard_state, log, Registers::default(), now),
            files: SnapshotFiles::new(files),
            orders: VecDeque::new(),
            facts: VecDeque::new(),
            cuts: Vec::new(),
            batches: Vec::new(),
            sent: Vec::new(),
            outcomes: Vec::new(),
            now,
            course: Course::default(),
        }
    }

    /// Takes an event, without a turn behind it.
    pub fn hear(&mut self, event: Event) {
        self.replica.handle(self.now, event);
    }

    /// Lets time pass, with a tick and turns at its end.
    pub fn wait(&mut self, us: u64) {
        self.now = self.now.after(us);
        self.hear(Event::Tick);
        self.turn();
    }

    /// Takes turns until nothing more follows from what was heard.
    ///
    /// Panics: if anything goes back that must not.
    pub fn turn(&mut self) {
        loop {
            let effects = self.replica.turn(self.now);
            self.course.moved_on(&self.replica);
            self.orders.extend(effects.snapshots);
            self.cuts.extend(effects.cut_before);
            self.sent.extend(effects.envelopes);
            self.sent.extend(effects.bulk);
            self.outcomes.extend(effects.answers.list.into_iter().map(|answer| answer.outcome));
            let number = effects.persist.as_ref().map(|batch| batch.number);
            self.batches.extend(effects.persist);
            if let Some(number) = number {
                self.hear(Event::Persisted { number });
            } else if !effects.more {
                return;
            }
        }
    }

    /// Takes a message of another node, with turns behind it.
    pub fn take(&mut self, from: u64, term: u64, message: Message) {
        self.hear(Event::Received(vec![envelope(node(from), node(1), term, message)]));
        self.turn();
    }

    /// Takes commands of `n2`, the leader of term 1, behind what it has, all of them committed.
    pub fn apply(&mut self, commands: &[&str]) {
        let prev = self.replica.raft().log().last();
        let entries = entries(1, prev.index.0 + 1, commands);
        let commit_index = entries.last_index();
        let entries = vec![entries];
        self.take(2, 1, Message::AppendEntries { prev, commit_index, round: 0, entries });
        assert_eq!(self.applied(), commit_index.0, "what is committed is applied");
    }

    /// Up to which entry everything was applied.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.replica.status().applied_index.0
    }

    /// Up to which entry the newest snapshot goes of which the node knows that it is durable.
    #[must_use]
    pub fn snapshot_index(&self) -> u64 {
        self.replica.status().snapshot_index.0
    }

    /// The value of a register.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.replica.machine().get(key)
    }

    /// Executes the oldest order; what became of it waits. Returns whether there was one.
    pub fn execute(&mut self) -> bool {
        let Some(order) = self.orders.pop_front() else { return false };
        self.facts.extend(self.files.execute(order));
        true
    }

    /// Executes every order that was given so far.
    pub fn execute_all(&mut self) {
        while self.execute() {}
    }

    /// Tells the node the oldest fact, with turns behind it. Returns whether there was one.
    pub fn tell(&mut self) -> bool {
        let Some(fact) = self.facts.pop_front() else { return false };
        self.hear(Event::Snapshot(fact));
        self.turn();
        true
    }

    /// Executes and tells everything until nothing is left to be done.
    pub fn settle(&mut self) {
        while self.execute() || self.tell() {}
    }

    /// Executes and tells until what is told next satisfies `is_next`.
    ///
    /// Panics: if that never is.
    pub fn settle_until(&mut self, is_next: impl Fn(&SnapshotFact) -> bool) {
        while !self.facts.front().is_some_and(&is_next) {
            assert!(self.execute() || self.tell(), "what is waited for does not come");
        }
    }

    /// Begins a snapshot of what is applied, with turns behind it.
    pub fn begin_snapshot(&mut self) {
        self.replica.begin_snapshot();
        self.turn();
    }

    /// The newest snapshot that can be read, and its file.
    ///
    /// Panics: if there is none.
    pub fn file(&mut self) -> (SnapshotId, Bytes) {
        let id = self.replica.raft().snapshot().expect("it has a snapshot");
        let order = SnapshotOrder::Read { id, offset: 0, bytes_max: usize::MAX };
        match self.files.execute(order) {
            Some(SnapshotFact::Piece { data: Some(data), .. }) => (id, data),
            other => panic!("the file of {id} cannot be read: {other:?}"),
        }
    }

    /// Whether the file of a snapshot is still there.
    pub fn has_file(&mut self, id: SnapshotId) -> bool {
        let read = self.files.execute(SnapshotOrder::Read { id, offset: 0, bytes_max: 1 });
        matches!(read, Some(SnapshotFact::Piece { data: Some(_), .. }))
    }

    /// The states of snapshots that others were told, as what is wanted next and whether it is
    /// in place; they are forgotten.
    pub fn take_answers(&mut self) -> Vec<(Envelope, bool)> {
        let answers = std::mem::take(&mut self.sent).into_iter();
        let answers = answers.filter_map(|envelope| match envelope.message {
            Message::InstallSnapshotResponse { installed, .. } => Some((envelope, installed)),
            _ => None,
        });
        answers.collect()
    }
}

/// A snapshot of a node that has applied these commands of term 1, and its file.
#[must_use]
pub fn snapshot_of(commands: &[&str]) -> (SnapshotId, Bytes) {
    let mut other = LoneReplica::new(|_| {});
    other.apply(commands);
    other.begin_snapshot();
    other.settle();
    other.file()
}
