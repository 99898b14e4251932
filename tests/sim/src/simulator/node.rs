//! A machine with a disk, and the process on it while it runs.

use std::collections::{BTreeSet, VecDeque};

use raft_core::consensus::RaftConfig;
use raft_core::consensus::ready::{Fetch, Persist};
use raft_core::entry::Entries;
use raft_core::hard_state::Configuration;
use raft_core::replica::Replica;
use raft_core::replica::event::{Effects, Event, Ticket};
use raft_core::replica::snapshots::{SnapshotFact, SnapshotOrder};
use raft_core::types::{Incarnation, Index, NodeId, Time};

use crate::simulator::dice::Dice;
use crate::simulator::disk::Crash;
use crate::simulator::files::Files;
use crate::simulator::plan::{Limits, Plan};
use crate::simulator::storage::{Disks, Opened, Storage, UnderWay};
use crate::simulator::witness::Witness;

/// One node of the cluster.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) incarnation: Incarnation,
    /// How often it was started.
    pub(crate) life: u64,
    pub(crate) process: Option<Process>,
    /// The disks while no process runs.
    pub(crate) disks: Option<Disks>,
    pub(crate) is_paused: bool,
    pub(crate) is_disk_slow: bool,
    /// The power fails in the middle of the next batch.
    pub(crate) is_doomed: bool,
    /// Nobody knows what it has promised, so it never starts again.
    pub(crate) is_lost: bool,
    /// It has lost a directory.
    pub(crate) was_wiped: bool,
    /// Its clock: what it shows at virtual time 0, and microseconds per virtual second.
    clock: (u64, u64),
}

/// Something for the log to do, in order.
#[derive(Debug)]
pub(crate) enum Job {
    /// A batch to be written and synced.
    Persist(Persist),
    /// What stands before this entry is not needed any more.
    Cut(Index),
    /// Entries to be read.
    Fetch(Fetch),
}

/// A job that is done.
#[derive(Debug)]
pub(crate) enum Done {
    /// A batch is on disk.
    Persisted(Persist),
    /// The log was cut.
    Cut,
    /// Entries were read.
    Fetched(Vec<Entries>),
}

/// A running process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) replica: Replica<Witness>,
    storage: Storage,
    files: Files,
    pub(crate) inbox: Vec<Event>,
    /// Whether a `Wake` is on its way.
    pub(crate) is_woken: bool,
    pub(crate) jobs: VecDeque<Job>,
    /// Orders about snapshot files, which have a thread of their own.
    pub(crate) orders: VecDeque<SnapshotOrder>,
    /// Requests that it has taken and not answered.
    pub(crate) unanswered: BTreeSet<Ticket>,
}

impl Node {
    /// A machine with an empty disk.
    pub(crate) fn new(place: usize, plan: &Plan, dice: &mut Dice) -> Self {
        let skew = plan.skew_per_mille * 1_000;
        Self {
            id: id_of(place),
            incarnation: Incarnation(dice.word()),
            life: 0,
            process: None,
            disks: Some(Disks::default()),
            is_paused: false,
            is_disk_slow: false,
            is_doomed: false,
            is_lost: false,
            was_wiped: false,
            clock: (dice.below(1 << 40), 1_000_000 - skew + dice.between((0, 2 * skew))),
        }
    }

    /// What its clock shows.
    pub(crate) fn local(&self, now: u64) -> Time {
        let (start, speed) = self.clock;
        Time(start + now * speed / 1_000_000)
    }

    /// How long something lasts that takes `local_us` by its clock.
    pub(crate) fn virtual_us(&self, local_us: u64) -> u64 {
        local_us * 1_000_000 / self.clock.1
    }

    /// The process, if it still is the one of this life.
    pub(crate) fn in_life(&mut self, life: u64) -> Option<&mut Process> {
        self.process.as_mut().filter(|_| self.life == life)
    }

    /// Empties the directory of a node that is down.
    pub(crate) fn wipe(&mut self, dice: &mut Dice) {
        self.disks = Some(Disks::default());
        self.incarnation = Incarnation(dice.word());
        self.was_wiped = true;
    }

    /// Starts the process on a log that was opened.
    pub(crate) fn start(
        &mut self,
        now: u64,
        opened: Opened,
        (limits, configuration, auto_promote): (&Limits, Configuration, bool),
        dice: &mut Dice,
    ) {
        let tail_max = dice.pick(&[1, 40]);
        let log = opened.raft_log(&configuration, tail_max, dice);
        let mut config = RaftConfig::new(self.id, self.incarnation, configuration);
        config.seed = dice.word();
        config.election_timeout_us = limits.election_timeout_us;
        config.heartbeat_interval_us = limits.heartbeat_interval_us;
        config.append_bytes_max = limits.append_bytes_max;
        config.window_appends_max = limits.window_appends_max;
        config.window_bytes_max = limits.window_bytes_max;
        config.tail_bytes_max = limits.tail_bytes_max;
        config.pending_bytes_max = limits.pending_bytes_max;
        config.snapshot_log_bytes = limits.snapshot_log_bytes;
        config.auto_promote = auto_promote;
        config.trailing_entries = limits.trailing_entries;
        let (hard_state, now) = (opened.recovered.hard_state, self.local(now));
        let replica = match opened.snapshot {
            Some(snapshot) => Replica::resume(config, hard_state, log, snapshot, now),
            None => Replica::new(config, hard_state, log, Witness::default(), now),
        };
        self.process = Some(Process {
            replica,
            storage: opened.storage,
            files: opened.files,
            inbox: Vec::new(),
            is_woken: false,
            jobs: VecDeque::new(),
            orders: VecDeque::new(),
            unanswered: BTreeSet::new(),
        });
        self.is_paused = false;
    }

    /// Ends the process and leaves its disks behind.
    ///
    /// Returns what its log was at work on.
    pub(crate) fn crash(&mut self, crash: Crash, dice: &mut Dice) -> Option<UnderWay> {
        let mut process = self.process.take().expect("it was running");
        let under_way = match process.jobs.pop_front() {
            Some(Job::Persist(persist)) => Some(UnderWay::Persist(persist)),
            Some(Job::Cut(first)) => Some(UnderWay::Cut(first)),
            Some(Job::Fetch(_)) | None => None,
        };
        let log = process.storage.crash(under_way.as_ref(), crash, dice);
        let snapshots = process.files.crash(process.orders.pop_front(), crash, dice);
        self.disks = Some(Disks { log, snapshots });
        under_way
    }
}

impl Process {
    /// Takes events, and then a turn.
    pub(crate) fn run(&mut self, now: Time, events: impl IntoIterator<Item = Event>) -> Effects {
        events.into_iter().for_each(|event| self.replica.handle(now, event));
        self.replica.turn(now)
    }

    /// Does the job that is due.
    pub(crate) fn finish_job(&mut self) -> Option<Done> {
        Some(match self.jobs.pop_front()? {
            Job::Persist(persist) => {
                self.storage.append(&persist);
                Done::Persisted(persist)
            }
            Job::Cut(first) => {
                self.storage.cut_before(first);
                Done::Cut
            }
            Job::Fetch(Fetch { first, end, bytes_max }) => {
                Done::Fetched(self.storage.read(first, end, bytes_max))
            }
        })
    }

    /// Executes the order that is due, and returns what the replica is to be told of it.
    pub(crate) fn finish_order(&mut self) -> Option<SnapshotFact> {
        let order = self.orders.pop_front().expect("an order was begun");
        self.files.execute(order)
    }

    /// Another configuration is in force.
    pub(crate) fn set_configuration(&mut self, configuration: &Configuration) {
        self.storage.set_configuration(configuration);
    }

    /// Says on disk that everything is synced.
    pub(crate) fn mark(&mut self) {
        self.storage.mark();
    }
}

/// The id of the node at this place.
pub(crate) fn id_of(place: usize) -> NodeId {
    NodeId::new(place as u64 + 1).expect("above zero")
}

/// The place of the node with this id.
pub(crate) fn place_of(id: NodeId) -> usize {
    usize::try_from(id.number() - 1).expect("few nodes")
}
