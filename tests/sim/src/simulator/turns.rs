//! Nodes at work: ticks, turns, and what follows from them.

use raft_core::consensus::ready::{Notice, Persist};
use raft_core::replica::event::{Answer, Effects, Event, Outcome, Ticket};
use raft_core::replica::log_files::LogFact;
use raft_core::replica::snapshots::{SnapshotFact, SnapshotOrder};
use raft_core::wal::WalError;

use crate::simulator::disk::Crash;
use crate::simulator::node::{Done, Job};
use crate::simulator::schedule::What;
use crate::simulator::world::World;

/// How long a message waits at most until its node looks at it. Units: microseconds.
const WAKE_US: u64 = 150;

/// After how long a disk without work marks its log as synced. Units: microseconds.
const IDLE_US: u64 = 5_000;

/// After how long a log that found no room is written again. Units: microseconds.
const FULL_DISK_RETRY_US: u64 = 500_000;

/// How fast disks are when all faults are over. Units: microseconds.
const HEALTHY_DISK_US: (u64, u64) = (50, 500);

impl World {
    /// Puts an event into a node's inbox.
    pub(crate) fn tell(&mut self, node: usize, event: Event) {
        let delay_us = self.dice.below(WAKE_US);
        let Some(process) = &mut self.nodes[node].process else { return };
        process.inbox.push(event);
        if !process.is_woken {
            process.is_woken = true;
            let life = self.nodes[node].life;
            self.schedule.after(delay_us, What::Wake { node, life });
        }
    }

    /// The clock of a node ticks.
    pub(crate) fn tick(&mut self, node: usize, life: u64) {
        if self.nodes[node].life != life || self.nodes[node].process.is_none() {
            return;
        }
        let delay_us = self.nodes[node].virtual_us(self.plan.tick_us);
        self.schedule.after(delay_us, What::Tick { node, life });
        if !self.nodes[node].is_paused {
            self.tell(node, Event::Tick);
        }
    }

    /// A node looks into its inbox.
    pub(crate) fn wake(&mut self, node: usize, life: u64) {
        let is_paused = self.nodes[node].is_paused;
        let Some(process) = self.nodes[node].in_life(life) else { return };
        process.is_woken = false;
        if is_paused {
            return;
        }
        let events = std::mem::take(&mut process.inbox);
        if !self.plan.turns_per_event {
            self.turn(node, events);
            return;
        }
        if events.is_empty() {
            self.turn(node, Vec::new());
        }
        for event in events {
            self.turn(node, vec![event]);
        }
    }

    fn turn(&mut self, node: usize, events: Vec<Event>) {
        self.counts.turns += 1;
        if self.trace.is_read() {
            self.say_events(node, &events);
        }
        let now = self.nodes[node].local(self.schedule.now());
        let id = self.nodes[node].id;
        let asked = tickets_of_reads(&events);
        let process = self.nodes[node].process.as_mut().expect("only who runs takes turns");
        let effects = process.run(now, events);
        let has_others = 1 < process.replica.raft().configuration().all_voters().len();
        if has_others {
            self.counts.reads_by_lease += answered_at_once(&asked, &effects);
        }
        self.judge.turned(node, &process.replica, &effects, &mut self.counts);
        let status = process.replica.status();
        let limits = &self.plan.limits;
        let tail_bytes = process.replica.raft().log().tail_bytes();
        let tail_max = limits.tail_bytes_max + limits.pending_bytes_max;
        let words = [
            self.schedule.now(),
            node as u64,
            status.term.0,
            status.last_index.0,
            status.commit_index.0,
            status.applied_index.0,
            status.state_hash,
            effects.envelopes.len() as u64,
            effects.answers.list.len() as u64,
        ];
        self.trace.note(&words);
        // One round more than the limit, or what a follower was sent from a disk at once.
        let is_within = tail_bytes <= tail_max + limits.window_bytes_max + (1 << 19) + (1 << 16);
        assert!(
            is_within,
            "I21 n{id} holds {tail_bytes} bytes of its log, the limit is {tail_max}"
        );
        self.follow(node, effects);
    }

    /// Does what a node wants done.
    fn follow(&mut self, node: usize, effects: Effects) {
        if self.trace.is_read() {
            self.say_effects(node, &effects);
        }
        for notice in &effects.notices {
            match notice {
                Notice::Admitted { .. } => {
                    self.counts.admissions += 1;
                    self.judge.admitted(node);
                }
                Notice::ForeignIncarnation { .. } => self.counts.foreign_messages += 1,
                Notice::Installed { .. } => {
                    self.counts.installs += 1;
                    self.note_watched_install(node);
                }
                Notice::Role { .. }
                | Notice::WaitingFor(_)
                | Notice::Members { .. }
                | Notice::Removed
                | Notice::DiskFull { .. }
                | Notice::MemoryFull { .. }
                | Notice::Fenced { .. }
                | Notice::NoMajorityOfStates { .. }
                | Notice::Detail(_)
                | Notice::SlowDisk => {}
            }
        }
        if let Some(configuration) = &effects.configuration {
            let process = self.nodes[node].process.as_mut().expect("it has just taken a turn");
            process.set_configuration(configuration);
        }
        for envelope in effects.envelopes {
            self.send(envelope, false);
        }
        for envelope in effects.bulk {
            self.send(envelope, true);
        }
        let jobs = effects.persist.map(Job::Persist).into_iter();
        let jobs = jobs.chain(effects.cut_before.map(Job::Cut));
        for job in jobs.chain(effects.fetch.map(Job::Fetch)) {
            self.give_to_disk(node, job);
        }
        for order in effects.snapshots {
            if let SnapshotOrder::Discard { id } = &order {
                self.judge.discarded(node, *id);
            }
            self.give_order(node, order);
        }
        self.hand_out(node, &effects.answers);
        if let Some(applied) = effects.applied {
            self.watches_applied(node, applied.revision);
        }
        if effects.more {
            self.wake_again(node);
        }
    }

    fn wake_again(&mut self, node: usize) {
        let life = self.nodes[node].life;
        let process = self.nodes[node].process.as_mut().expect("it has just taken a turn");
        if !process.is_woken {
            process.is_woken = true;
            self.schedule.after(1, What::Wake { node, life });
        }
    }

    fn give_to_disk(&mut self, node: usize, job: Job) {
        let process = self.nodes[node].process.as_mut().expect("it has just taken a turn");
        process.jobs.push_back(job);
        if process.jobs.len() == 1 {
            self.start_job(node);
        }
    }

    fn give_order(&mut self, node: usize, order: SnapshotOrder) {
        let process = self.nodes[node].process.as_mut().expect("it has just taken a turn");
        process.orders.push_back(order);
        if process.orders.len() == 1 {
            self.start_order(node);
        }
    }

    fn start_order(&mut self, node: usize) {
        let delay_us = self.disk_us(node);
        let life = self.nodes[node].life;
        self.schedule.after(delay_us, What::OrderDone { node, life });
    }

    /// How long the disk of a node takes for something.
    fn disk_us(&mut self, node: usize) -> u64 {
        let is_slow = self.nodes[node].is_disk_slow;
        let range = if self.is_healed() {
            HEALTHY_DISK_US
        } else if is_slow {
            self.plan.slow_disk_us
        } else {
            self.plan.disk_us
        };
        self.dice.between(range)
    }

    fn start_job(&mut self, node: usize) {
        let delay_us = self.disk_us(node);
        let life = self.nodes[node].life;
        if std::mem::take(&mut self.nodes[node].is_doomed) && !self.is_healed() {
            self.schedule.after(delay_us / 2, What::PowerFails { node, life });
        }
        self.schedule.after(delay_us, What::DiskDone { node, life });
    }

    /// The disk of a node has finished a job.
    pub(crate) fn disk_done(&mut self, node: usize, life: u64) {
        let drains = self.dice.chance(500);
        let Some(process) = self.nodes[node].in_life(life) else { return };
        let is_cut = matches!(process.jobs.front(), Some(Job::Cut(_)));
        match process.finish_job(drains) {
            Ok(done) => {
                self.counts.cuts += u64::from(is_cut);
                self.job_done(node, done);
            }
            Err(error) => return self.disk_fails(node, &error),
        }
        let process = self.nodes[node].in_life(life).expect("it goes on");
        if !process.jobs.is_empty() {
            self.start_job(node);
        } else if !process.has_waiting() {
            self.schedule.after(IDLE_US, What::DiskIdle { node, life });
        }
    }

    /// A node tries again to write what found no room.
    pub(crate) fn write_again(&mut self, node: usize, life: u64) {
        let Some(process) = self.nodes[node].in_life(life) else { return };
        match process.write_again() {
            Ok(done) => self.job_done(node, done),
            Err(error) => return self.disk_fails(node, &error),
        }
        self.schedule.after(IDLE_US, What::DiskIdle { node, life });
    }

    fn job_done(&mut self, node: usize, done: Done) {
        for persist in &done.persisted {
            self.note_persisted(node, persist);
        }
        for fact in done.facts {
            let event = match fact {
                LogFact::Persisted { number } => Event::Persisted { number },
                LogFact::Fetched { entries } => {
                    self.counts.fetches += 1;
                    Event::Fetched { entries }
                }
                LogFact::DiskFull { is_full } => {
                    self.say(|| format!("n{} has room: {}", node + 1, !is_full));
                    self.counts.full_disks += u64::from(is_full);
                    Event::DiskFull { is_full }
                }
            };
            self.tell(node, event);
        }
        let prepares = self.plan.prepares_spares && self.dice.chance(500);
        let life = self.nodes[node].life;
        let process = self.nodes[node].process.as_mut().expect("it has done a job");
        if process.has_waiting() {
            let is_due = std::mem::replace(&mut process.is_writing_again, true);
            if !is_due {
                self.schedule.after(FULL_DISK_RETRY_US, What::WriteAgain { node, life });
            }
        } else if prepares {
            process.prepare_spare();
        }
    }

    /// A disk did not do what it was asked, and the node ends.
    fn disk_fails(&mut self, node: usize, error: &WalError) {
        self.say(|| format!("n{} ends: {error}", node + 1));
        self.counts.disk_faults += 1;
        self.counts.damages_read += u64::from(matches!(error, WalError::Damaged { .. }));
        self.crash(node, Crash::Process);
    }

    /// The snapshot files of a node are as its oldest order wanted them.
    pub(crate) fn order_done(&mut self, node: usize, life: u64) {
        let Some(process) = self.nodes[node].in_life(life) else { return };
        let fact = process.finish_order();
        let has_more = !process.orders.is_empty();
        if has_more {
            self.start_order(node);
        }
        let Some(fact) = fact else { return };
        match &fact {
            SnapshotFact::Finished { id } => {
                self.counts.snapshots += 1;
                self.judge.covered(node, *id);
            }
            SnapshotFact::Received { id, is_whole: true, .. } => {
                let piece_bytes = self.plan.limits.snapshot_piece_bytes as u64;
                self.counts.long_transfers += u64::from(piece_bytes < id.bytes);
                self.judge.covered(node, *id);
            }
            SnapshotFact::Piece { data: None, .. } => self.counts.pieces_gone += 1,
            SnapshotFact::Failed { why } => {
                self.counts.snapshots_failed += 1;
                self.say(|| format!("n{} no snapshot: {why}", node + 1))
            }
            _ => {}
        }
        self.tell(node, Event::Snapshot(fact));
    }

    fn note_persisted(&mut self, node: usize, persist: &Persist) {
        self.counts.persisted += 1;
        self.judge.persisted(node, persist);
        let Persist { number, hard_state, entries, .. } = persist;
        self.say(|| format!("n{} has synced batch {number} {hard_state:?} {entries:?}", node + 1));
    }

    /// A disk that has nothing to do marks its log.
    pub(crate) fn disk_idle(&mut self, node: usize, life: u64) {
        let Some(process) = self.nodes[node].in_life(life) else { return };
        if process.jobs.is_empty()
            && !process.has_waiting()
            && let Err(error) = process.mark()
        {
            self.disk_fails(node, &error);
        }
    }

    fn say_events(&mut self, node: usize, events: &[Event]) {
        for event in events {
            let text = match event {
                Event::Tick => continue,
                Event::Received(envelopes) => {
                    let all: Vec<String> = envelopes.iter().map(ToString::to_string).collect();
                    all.join("; ")
                }
                Event::Submit(submission) => format!("submit {:?}", submission.tickets),
                Event::Read(queries) => format!("{} queries", queries.len()),
                Event::Snapshot(SnapshotFact::Part { part: Some(part) }) => {
                    format!("a part of {} bytes", part.len())
                }
                Event::Snapshot(SnapshotFact::Piece { id, offset, data }) => {
                    let bytes = data.as_ref().map_or(0, bytes::Bytes::len);
                    format!("a piece of {bytes} bytes at {offset} of {id}")
                }
                other => format!("{other:?}"),
            };
            self.say(|| format!("n{} <- {text}", node + 1));
        }
    }

    fn say_effects(&mut self, node: usize, effects: &Effects) {
        let id = node + 1;
        for notice in &effects.notices {
            self.say(|| format!("n{id} notice {notice:?}"));
        }
        for envelope in effects.envelopes.iter().chain(&effects.bulk) {
            self.say(|| format!("n{id} sends {envelope}"));
        }
        if let Some(persist) = &effects.persist {
            let Persist { number, hard_state, entries, .. } = persist;
            self.say(|| format!("n{id} writes batch {number} {hard_state:?} {entries:?}"));
        }
        if let Some(base) = effects.persist.as_ref().and_then(|persist| persist.base) {
            self.say(|| format!("n{id} begins its log anew behind {base}"));
        }
        if let Some(first) = effects.cut_before {
            self.say(|| format!("n{id} cuts its log before {first}"));
        }
        for order in &effects.snapshots {
            self.say(|| format!("n{id} orders {}", Shown(order)));
        }
        if let Some(fetch) = &effects.fetch {
            self.say(|| format!("n{id} {fetch:?}"));
        }
        if let Some(applied) = effects.applied {
            self.say(|| format!("n{id} {applied:?}"));
        }
        for answer in &effects.answers.list {
            self.say(|| format!("n{id} {answer:?}"));
        }
    }
}

/// Who asks for reads among these events.
fn tickets_of_reads(events: &[Event]) -> Vec<Ticket> {
    let queries = events.iter().filter_map(|event| match event {
        Event::Read(queries) => Some(queries),
        _ => None,
    });
    queries.flatten().map(|query| query.ticket).collect()
}

/// How many of these reads were answered in the very turn in which they came.
fn answered_at_once(asked: &[Ticket], effects: &Effects) -> u64 {
    let is_read = |answer: &&Answer| {
        asked.contains(&answer.ticket) && matches!(answer.outcome, Outcome::Answered(_))
    };
    effects.answers.list.iter().filter(is_read).count() as u64
}

/// An order without the bytes in it.
struct Shown<'o>(&'o SnapshotOrder);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            SnapshotOrder::Append { part } => write!(f, "a part of {} bytes", part.len()),
            SnapshotOrder::Receive { id, offset, data } => {
                write!(f, "{} bytes at {offset} of {id} to be kept", data.len())
            }
            other => write!(f, "{other:?}"),
        }
    }
}
