//! A machine with a disk, and the process on it while it runs.

use std::collections::{BTreeSet, VecDeque};

use raft_core::consensus::RaftConfig;
use raft_core::consensus::ready::{Fetch, Persist};
use raft_core::hard_state::Configuration;
use raft_core::replica::Replica;
use raft_core::replica::event::{Effects, Event, Ticket};
use raft_core::replica::log_files::LogFact;
use raft_core::replica::snapshots::{SnapshotFact, SnapshotOrder};
use raft_core::types::{Incarnation, Index, NodeId, Time};
use raft_core::wal::WalError;

use crate::simulator::dice::Dice;
use crate::simulator::disk::Crash;
use crate::simulator::files::Files;
use crate::simulator::plan::{Limits, Plan};
use crate::simulator::storage::{Disks, Opened, Storage, UnderWay};
use crate::simulator::tale::Tale;
use crate::simulator::watch_actor::WatchActor;
use crate::simulator::witness::Witness;

/// One node of the cluster.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) incarnation: Incarnation,
    /// How often it was started.
    pub(crate) life: u64,
    pub(crate) process: Option<Process>,
    pub(crate) disks: Disks,
    pub(crate) is_paused: bool,
    pub(crate) is_disk_slow: bool,
    /// The power fails in the middle of the next batch.
    pub(crate) is_doomed: bool,
    /// Nobody knows what it has promised, so it never starts again; or it has not joined yet.
    pub(crate) is_lost: bool,
    /// What the members said of themselves when it joined; `None` for a founder.
    pub(crate) told: Option<Configuration>,
    /// It has lost a directory.
    pub(crate) was_wiped: bool,
    /// Its directory has one copy of its promises less, until it starts again.
    pub(crate) lacks_a_copy: bool,
    /// The highest feature level that the version there applies; versions are never older than
    /// the ones before them.
    feature_level: u16,
    /// The longest promise to elect nobody that its directory notes. Units: microseconds.
    promised_us: u64,
    /// Its clock: what it shows at virtual time 0, and microseconds per virtual second.
    clock: (u64, u64),
    /// What its calendar shows. Units: microseconds before or after virtual time.
    calendar_us: i64,
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

/// What became of a job.
#[derive(Debug)]
pub(crate) struct Done {
    /// Batches that are on disk now.
    pub(crate) persisted: Vec<Persist>,
    pub(crate) facts: Vec<LogFact>,
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
    /// Batches that the log has taken in and that are not on disk.
    writing: VecDeque<Persist>,
    /// Whether another attempt to write what found no room is planned.
    pub(crate) is_writing_again: bool,
    /// Orders about snapshot files, which have a thread of their own.
    pub(crate) orders: VecDeque<SnapshotOrder>,
    /// Requests that it has taken and not answered.
    pub(crate) unanswered: BTreeSet<Ticket>,
    pub(crate) watches: WatchActor,
    tale: Tale,
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
            disks: Disks::default(),
            is_paused: false,
            is_disk_slow: false,
            is_doomed: false,
            is_lost: false,
            told: None,
            was_wiped: false,
            lacks_a_copy: false,
            calendar_us: 0,
            promised_us: 0,
            feature_level: 1,
            clock: (dice.below(1 << 40), 1_000_000 - skew + dice.between((0, 2 * skew))),
        }
    }

    /// What its clock shows.
    pub(crate) fn local(&self, now: u64) -> Time {
        let (start, speed) = self.clock;
        Time(start + now * speed / 1_000_000)
    }

    /// Its clock jumps ahead, as after sleep.
    pub(crate) fn jump(&mut self, ahead_us: u64) {
        self.clock.0 += ahead_us;
    }

    /// The machine starts again, and its clock anywhere.
    pub(crate) fn restart_clock(&mut self, start: u64) {
        self.clock.0 = start;
    }

    /// Somebody sets its calendar.
    pub(crate) fn set_calendar(&mut self, off_us: i64) {
        self.calendar_us = off_us;
    }

    /// What its calendar shows.
    pub(crate) fn wall_time(&self, now: u64) -> u64 {
        now.saturating_add_signed(self.calendar_us)
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
        self.disks.log.wipe();
        self.disks.snapshots.wipe();
        self.incarnation = Incarnation(dice.word());
        self.was_wiped = true;
        self.promised_us = 0;
    }

    /// Starts the process on a log that was opened.
    pub(crate) fn start(
        &mut self,
        now: u64,
        opened: Opened,
        (limits, configuration, care): (&Limits, Configuration, (bool, u64)),
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
        (config.auto_promote, config.voter_gone_us) = care;
        self.feature_level =
            self.feature_level.max(1 + u16::from(self.life % 4 == self.id.number() % 4));
        config.feature_level_max = self.feature_level;
        config.trailing_entries = limits.trailing_entries;
        config.snapshot_piece_bytes = limits.snapshot_piece_bytes;
        config.lease_reads = limits.lease_reads;
        config.promised_us = self.promised_us;
        if limits.lease_reads {
            self.promised_us = limits.election_timeout_us;
        }
        let (hard_state, now) = (opened.recovered.hard_state, self.local(now));
        let replica = match opened.snapshot {
            Some(snapshot) => Replica::resume(config, hard_state, log, snapshot, now),
            None => Replica::new(config, hard_state, log, Witness::default(), now),
        };
        let replica = replica.with_session_limits(limits.sessions);
        self.process = Some(Process {
            tale: Tale::begin(now, replica.raft()),
            replica,
            storage: opened.storage,
            files: opened.files,
            inbox: Vec::new(),
            is_woken: false,
            jobs: VecDeque::new(),
            writing: VecDeque::new(),
            is_writing_again: false,
            orders: VecDeque::new(),
            unanswered: BTreeSet::new(),
            watches: WatchActor::default(),
        });
        self.lacks_a_copy = false;
        self.is_paused = false;
    }

    /// Puts a later version there, for its next start.
    pub(crate) fn raise_feature_level(&mut self, level: u16) {
        self.feature_level = self.feature_level.max(level);
    }

    /// What it tells its peers that it applies.
    pub(crate) fn feature_level(&self) -> u16 {
        self.feature_level
    }

    /// Ends the process and leaves its disks behind.
    ///
    /// Returns what its log was at work on.
    pub(crate) fn crash(&mut self, crash: Crash, dice: &mut Dice) -> Option<UnderWay> {
        let mut process = self.process.take().expect("it was running");
        let mut writing: Vec<Persist> = process.writing.drain(..).collect();
        let under_way = match process.jobs.pop_front() {
            Some(Job::Cut(first)) if writing.is_empty() => Some(UnderWay::Cut(first)),
            Some(Job::Persist(persist)) => {
                process.storage.add(persist.clone());
                writing.push(persist);
                Some(UnderWay::Persist(writing))
            }
            _ => (!writing.is_empty()).then_some(UnderWay::Persist(writing)),
        };
        process.storage.crash(under_way.as_ref(), crash, dice);
        process.files.crash(process.orders.pop_front(), crash, dice);
        under_way
    }
}

impl Process {
    /// Takes events, and then a turn.
    pub(crate) fn run(&mut self, now: Time, events: impl IntoIterator<Item = Event>) -> Effects {
        for event in events {
            self.tale.event(now, self.replica.raft(), &event);
            self.replica.handle(now, event);
        }
        let effects = self.replica.turn(now);
        self.tale.turn(now, self.replica.raft(), &effects);
        effects
    }

    /// Does the job that is due, and of those behind it as many as belong to one drain of the
    /// mailbox if it `drains`. Writes nothing while batches wait for room.
    ///
    /// Errors: the node must end.
    pub(crate) fn finish_job(&mut self, drains: bool) -> Result<Done, WalError> {
        let facts = match self.jobs.pop_front().expect("a job was begun") {
            Job::Persist(persist) => {
                let waits_for_room = self.storage.has_waiting();
                self.take_in(persist);
                while drains && let Some(Job::Persist(_)) = self.jobs.front() {
                    let Some(Job::Persist(persist)) = self.jobs.pop_front() else { break };
                    self.take_in(persist);
                }
                if waits_for_room { Vec::new() } else { self.storage.flush()? }
            }
            Job::Cut(first) => self.storage.cut_before(first)?,
            Job::Fetch(fetch) => self.storage.fetch(fetch)?,
        };
        Ok(self.done(facts))
    }

    /// Tries to write what waits for room.
    ///
    /// Errors: the node must end.
    pub(crate) fn write_again(&mut self) -> Result<Done, WalError> {
        self.is_writing_again = false;
        let facts = self.storage.flush()?;
        Ok(self.done(facts))
    }

    fn take_in(&mut self, persist: Persist) {
        self.writing.push_back(persist.clone());
        self.storage.add(persist);
    }

    fn done(&mut self, facts: Vec<LogFact>) -> Done {
        let number_of = |fact: &LogFact| match fact {
            LogFact::Persisted { number } => Some(*number),
            LogFact::DiskFull { .. } | LogFact::Fetched { .. } => None,
        };
        let newest = facts.iter().filter_map(number_of).max().unwrap_or(0);
        let count = self.writing.partition_point(|persist| persist.number <= newest);
        Done { persisted: self.writing.drain(..count).collect(), facts }
    }

    /// Whether batches wait for room.
    pub(crate) fn has_waiting(&self) -> bool {
        self.storage.has_waiting()
    }

    /// Makes the next segment in advance.
    pub(crate) fn prepare_spare(&mut self) {
        self.storage.prepare_spare();
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

    /// Says on disk that everything is synced. Errors: the node must end.
    pub(crate) fn mark(&mut self) -> Result<(), WalError> {
        self.storage.mark()
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
