//! A few named nodes and a bag of messages between them, moved by hand.
//!
//! Nothing happens by itself: messages wait until they are delivered or dropped, disks sync at
//! once unless they are held, and time passes when it is told to. What must hold between nodes
//! is checked after every step.

mod checks;
mod clocks;
pub(crate) mod course;
mod disk;
mod membership;
mod memory;
mod questions;
mod snapshots;
mod views;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use raft_core::consensus::RaftConfig;
use raft_core::consensus::message::{Envelope, Message};
use raft_core::consensus::ready::{Notice, RoleName};
use raft_core::entry::{ClientId, Draft, EntryKind, SessionStamp};
use raft_core::hard_state::Configuration;
use raft_core::replica::Replica;
use raft_core::replica::event::{
    Answers, Effects, Event, LocalQuery, Outcome, Query, Status, Submission, Ticket,
};
use raft_core::types::{EntryId, Incarnation, Index, NodeId, Time};

use self::checks::Checks;
use self::course::Course;
use self::disk::Disk;
pub use self::membership::{change_of, in_words};
pub use self::questions::{acknowledged, id};
use self::snapshots::Files;
pub use self::views::named;
use crate::machine::Registers;

/// The election timeout of every node; waits are random between it and twice it. Units:
/// microseconds.
pub const ELECTION_TIMEOUT_US: u64 = 100_000;
/// The heartbeat interval of every node. Units: microseconds.
pub const HEARTBEAT_INTERVAL_US: u64 = 10_000;

/// How long clients wait. Units: microseconds.
const CLIENT_TIMEOUT_US: u64 = 2_000_000;

/// Turns that a `settle` may take before it is taken for a loop.
const SETTLE_TURNS_MAX: usize = 10_000;

/// One node: a replica while it runs, and a disk that outlives it.
#[derive(Debug)]
struct Member {
    replica: Option<Replica<Registers>>,
    disk: Disk,
    files: Files,
    incarnation: Incarnation,
    holds_sync: bool,
    lives: u64,
    /// The longest promise that its directory notes. Units: microseconds.
    promised_us: u64,
    /// How far this node's clock is ahead of the others'. Units: microseconds.
    ahead_us: u64,
    seen: Seen,
    course: Course,
}

/// What was last reported of a node, so that only changes are.
#[derive(Debug, Default)]
struct Seen {
    commit_index: Index,
    term: u64,
}

/// A cluster whose every step is chosen.
#[derive(Debug)]
pub struct Cluster {
    members: BTreeMap<NodeId, Member>,
    configuration: Configuration,
    /// Who the members were when a node that joined asked for them.
    told_members: BTreeMap<NodeId, Configuration>,
    /// What the settings of every node differ in from the usual ones.
    settings: fn(&mut RaftConfig),
    bag: VecDeque<Envelope>,
    kept: BTreeMap<String, Vec<Envelope>>,
    cut: BTreeSet<(NodeId, NodeId)>,
    now: Time,
    requests: u64,
    labels: BTreeMap<Ticket, String>,
    /// The requests whose answers are decisions on the membership.
    changes: BTreeSet<Ticket>,
    /// The requests whose answers show a state.
    reads: BTreeSet<Ticket>,
    answers: Vec<(String, String)>,
    checks: Checks,
    told: Vec<String>,
}

/// The node with this number.
///
/// Panics: for zero.
#[must_use]
pub fn node(number: u64) -> NodeId {
    NodeId::new(number).expect("a script names nodes from 1")
}

impl Cluster {
    /// Nodes with empty directories that know of each other and nothing else.
    #[must_use]
    pub fn empty(count: u64) -> Self {
        Self::with_settings(count, |_| {})
    }

    /// As `empty`, with other settings on every node.
    #[must_use]
    pub fn with_settings(count: u64, settings: fn(&mut RaftConfig)) -> Self {
        let ids: Vec<NodeId> = (1..=count).map(node).collect();
        let mut cluster = Self {
            members: BTreeMap::new(),
            configuration: Configuration::of(ids.iter().copied()),
            told_members: BTreeMap::new(),
            settings,
            bag: VecDeque::new(),
            kept: BTreeMap::new(),
            cut: BTreeSet::new(),
            now: Time(1_000_000),
            requests: 0,
            labels: BTreeMap::new(),
            changes: BTreeSet::new(),
            reads: BTreeSet::new(),
            answers: Vec::new(),
            checks: Checks::default(),
            told: Vec::new(),
        };
        for id in ids {
            cluster.add_empty(id);
        }
        cluster
    }

    /// Starts a node with an empty directory.
    fn add_empty(&mut self, id: NodeId) {
        let member = Member {
            replica: None,
            disk: Disk::default(),
            files: Files::default(),
            incarnation: Incarnation(id.number() * 1_000),
            holds_sync: false,
            lives: 0,
            promised_us: 0,
            ahead_us: 0,
            seen: Seen::default(),
            course: Course::default(),
        };
        self.members.insert(id, member);
        self.start(id);
    }

    /// A cluster that was founded and is led by `leader`, with nothing on its way.
    ///
    /// Panics: if the founding does not come about.
    #[must_use]
    pub fn led_by(count: u64, leader: NodeId) -> Self {
        let mut cluster = Self::empty(count);
        cluster.found(leader);
        cluster
    }

    /// Founds a cluster of empty directories, led by `leader`, with nothing on its way.
    ///
    /// Panics: if the founding does not come about.
    pub fn found(&mut self, leader: NodeId) {
        self.tick(1);
        self.settle();
        self.campaign(leader);
        self.settle();
        self.tick(15);
        self.settle();
        assert_eq!(self.status(leader).role, RoleName::Leader, "the founder leads");
        self.told.clear();
    }

    /// What happened since this was last asked.
    pub fn take_told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    fn start(&mut self, id: NodeId) {
        let now = self.time_of(id);
        let configuration = self.founding_of(id);
        let member = self.members.get_mut(&id).expect("a member");
        member.lives += 1;
        let mut config = RaftConfig {
            election_timeout_us: ELECTION_TIMEOUT_US,
            heartbeat_interval_us: HEARTBEAT_INTERVAL_US,
            seed: id.number() * 7919 + member.lives,
            auto_promote: false,
            // Time passes only when a script says so.
            snapshot_part_interval_us: 0,
            ..RaftConfig::new(id, member.incarnation, configuration.clone())
        };
        (self.settings)(&mut config);
        config.promised_us = member.promised_us;
        if config.lease_reads {
            member.promised_us = member.promised_us.max(config.election_timeout_us);
        }
        let disks = (&member.disk, &mut member.files);
        let replica = snapshots::recover(config, &configuration, disks, now);
        member.seen.term = replica.status().term.0;
        member.course = Course::begin(member.disk.hard_state().commit_index);
        self.checks.covers(id, replica.raft().log().base().index);
        member.replica = Some(replica);
        self.turn(id);
    }

    fn time_of(&self, id: NodeId) -> Time {
        self.now.after(self.members[&id].ahead_us)
    }

    /// The ids of all nodes.
    #[must_use]
    pub fn ids(&self) -> Vec<NodeId> {
        self.members.keys().copied().collect()
    }

    /// Whether the node runs.
    #[must_use]
    pub fn is_up(&self, id: NodeId) -> bool {
        self.members[&id].replica.is_some()
    }

    /// What a running node says of itself.
    ///
    /// Panics: if it does not run.
    #[must_use]
    pub fn status(&self, id: NodeId) -> Status {
        self.replica(id).status()
    }

    /// A running node's replica.
    ///
    /// Panics: if it does not run.
    #[must_use]
    pub fn replica(&self, id: NodeId) -> &Replica<Registers> {
        self.members[&id].replica.as_ref().unwrap_or_else(|| panic!("{id:?} is down"))
    }

    /// The ids of the entries that a restart of the node would find.
    #[must_use]
    pub fn ids_on_disk(&self, id: NodeId) -> Vec<EntryId> {
        self.members[&id].disk.ids()
    }

    /// The answer to the request of this label, if it has come.
    #[must_use]
    pub fn answer(&self, label: &str) -> Option<&str> {
        let found = self.answers.iter().find(|(name, _)| name == label);
        found.map(|(_, answer)| answer.as_str())
    }

    /// The messages that are on their way.
    pub fn bag(&self) -> impl Iterator<Item = &Envelope> {
        self.bag.iter()
    }

    fn handle(&mut self, id: NodeId, event: Event) {
        if !self.members.contains_key(&id) {
            return;
        }
        let now = self.time_of(id);
        let member = self.members.get_mut(&id).expect("a member");
        if let Some(replica) = &mut member.replica {
            replica.handle(now, event);
            self.turn(id);
        }
    }

    fn turn(&mut self, id: NodeId) {
        loop {
            let now = self.time_of(id);
            let member = self.members.get_mut(&id).expect("a member");
            let Some(replica) = &mut member.replica else { return };
            let effects = replica.turn(now);
            let Effects { envelopes, bulk, persist, fetch, answers, notices, more, .. } = effects;
            notices.iter().for_each(|notice| self.tell_notice(id, notice));
            for envelope in envelopes.into_iter().chain(bulk) {
                self.send(envelope);
            }
            self.tell_answers(id, &answers);
            self.tell_commit(id);
            let member = self.members.get_mut(&id).expect("a member");
            if let Some(persist) = persist {
                member.disk.write(persist);
            }
            if let Some(first) = effects.cut_before {
                member.disk.cut_before(first);
            }
            let holds_sync = member.holds_sync;
            let fetched = fetch.map(|fetch| member.disk.read(&fetch));
            let has_news = self.execute_snapshot_orders(id, effects.snapshots);
            if let Some(entries) = fetched {
                let member = self.members.get_mut(&id).expect("a member");
                let replica = member.replica.as_mut().expect("it runs");
                replica.handle(now, Event::Fetched { entries });
                continue;
            }
            if (!holds_sync && self.sync_once(id, usize::MAX)) || has_news {
                continue;
            }
            if !more {
                return;
            }
        }
    }

    fn sync_once(&mut self, id: NodeId, count: usize) -> bool {
        let now = self.time_of(id);
        let member = self.members.get_mut(&id).expect("a member");
        let synced = member.disk.sync(count);
        synced.iter().for_each(|batch| self.checks.synced(id, batch));
        let (Some(last), Some(replica)) = (synced.last(), &mut member.replica) else {
            return false;
        };
        replica.handle(now, Event::Persisted { number: last.number });
        true
    }

    fn send(&mut self, envelope: Envelope) {
        self.checks.leaves(&envelope);
        if self.cut.contains(&(envelope.from, envelope.to)) {
            self.told.push(format!("lost {envelope}"));
        } else {
            self.told.push(envelope.to_string());
            self.bag.push_back(envelope);
        }
    }

    fn tell_notice(&mut self, id: NodeId, notice: &Notice) {
        self.told.push(match notice {
            Notice::Role { role, term, reason, .. } => {
                format!("n{id} {} t{term}: {reason}", role.as_str())
            }
            Notice::Admitted { reason } => format!("n{id} counts: {reason}"),
            Notice::WaitingFor(peers) => format!("n{id} waits for word of {peers:?}"),
            Notice::ForeignIncarnation { peer } => format!("n{id} ignores another n{peer}"),
            Notice::Members { configuration } => {
                format!("n{id} {}", in_words(configuration))
            }
            Notice::Removed => format!("n{id} hears that it was removed"),
            Notice::Installed { last } => format!("n{id} has a snapshot up to {last}"),
            Notice::Fenced { index } => format!("n{id} differs from the majority at {index}"),
            Notice::NoMajorityOfStates { index } => format!("n{id} finds no majority at {index}"),
            Notice::DiskFull { is_full: true } => format!("n{id} has no room on its disk"),
            Notice::DiskFull { is_full: false } => format!("n{id} has room again"),
            Notice::MemoryFull { is_full: true, .. } => format!("n{id} has no room in memory"),
            Notice::MemoryFull { is_full: false, .. } => format!("n{id} has room in memory again"),
            Notice::SlowDisk => format!("n{id} has a slow disk"),
            // Scripts show what it leads to.
            Notice::Detail(_) => return,
        });
    }

    fn tell_answers(&mut self, id: NodeId, answers: &Answers) {
        for answer in &answers.list {
            let shows = !matches!(answer.outcome, Outcome::Refused(_) | Outcome::Session(_));
            if shows && self.reads.contains(&answer.ticket) {
                let running = self.members.values().filter_map(|member| member.replica.as_ref());
                let in_force = running.map(|replica| replica.raft().configuration());
                self.checks.shows(self.replica(id).raft(), in_force);
            }
            let label = self.labels.get(&answer.ticket).cloned().unwrap_or_default();
            let text = match &answer.outcome {
                Outcome::Answered(range) if range.is_empty() => "done".to_owned(),
                Outcome::Answered(range) if self.changes.contains(&answer.ticket) => {
                    membership::decided(&answers.bytes[range.clone()])
                }
                Outcome::Answered(range) => {
                    String::from_utf8_lossy(&answers.bytes[range.clone()]).into_owned()
                }
                Outcome::AnsweredLocally(range, staleness) => {
                    let value = String::from_utf8_lossy(&answers.bytes[range.clone()]);
                    let age_ms = staleness.contact_age_us.map(|us| us / 1_000);
                    format!("{value} at {} heard {age_ms:?}", staleness.applied_index)
                }
                Outcome::Session(refusal) => format!("{refusal:?}"),
                Outcome::Refused(refusal) => format!("refused: {refusal:?}"),
            };
            self.told.push(format!("{label} => {text}"));
            self.answers.push((label, text));
        }
    }

    fn tell_commit(&mut self, id: NodeId) {
        let member = self.members.get_mut(&id).expect("a member");
        let replica = member.replica.as_ref().expect("it runs");
        member.course.moved_on(replica);
        let (raft, status) = (replica.raft(), replica.status());
        assert!(member.seen.term <= status.term.0, "terms only grow");
        member.seen.term = status.term.0;
        if status.role == RoleName::Leader {
            self.checks.leads(raft);
        }
        let before = member.seen.commit_index;
        if before < status.commit_index {
            member.seen.commit_index = status.commit_index;
            self.told.push(format!("n{id} commits {}", status.commit_index));
        }
        self.checks.commits(raft, before.next().min(status.commit_index));
        let state = (status.revision, status.state_hash);
        self.checks.has_state(id, status.applied_index, state);
    }

    /// Lets time pass on every node, which hear nothing meanwhile.
    pub fn tick(&mut self, ms: u64) {
        self.now = self.now.after(ms * 1_000);
        self.ids().into_iter().for_each(|id| self.handle(id, Event::Tick));
    }

    /// Lets time pass in small steps, in which everything is delivered.
    pub fn run(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(5) {
            self.tick(5);
            self.settle();
        }
    }

    /// Lets a node's election timer run out: everybody hears nothing for an election timeout,
    /// and then its clock alone goes on.
    pub fn campaign(&mut self, id: NodeId) {
        self.now = self.now.after(ELECTION_TIMEOUT_US);
        // In steps, as a process that runs all the time would see it.
        for _ in 0..2 * ELECTION_TIMEOUT_US / HEARTBEAT_INTERVAL_US {
            let replica = self.replica(id);
            if replica.status().role != RoleName::Follower {
                return;
            }
            self.members.get_mut(&id).expect("a member").ahead_us += HEARTBEAT_INTERVAL_US;
            self.handle(id, Event::Tick);
        }
    }

    fn take_from_bag(&mut self, which: impl Fn(&Envelope) -> bool) -> Vec<Envelope> {
        let (taken, left) = std::mem::take(&mut self.bag).into_iter().partition(which);
        self.bag = left;
        Vec::from_iter::<VecDeque<Envelope>>(taken)
    }

    /// Delivers the messages that are on their way now and that `which` picks.
    pub fn deliver(&mut self, which: impl Fn(&Envelope) -> bool) {
        for envelope in self.take_from_bag(which) {
            self.handle(envelope.to, Event::Received(vec![envelope]));
        }
    }

    /// Delivers until nothing is on its way any more.
    ///
    /// Panics: if that takes for ever.
    pub fn settle(&mut self) {
        for _ in 0..SETTLE_TURNS_MAX {
            if self.bag.is_empty() {
                return;
            }
            self.deliver(|_| true);
        }
        panic!("messages go round in a circle: {:?}", self.bag);
    }

    /// Loses the messages on their way that `which` picks.
    pub fn drop_messages(&mut self, which: impl Fn(&Envelope) -> bool) {
        for envelope in self.take_from_bag(which) {
            self.told.push(format!("lost {envelope}"));
        }
    }

    /// Takes messages that `which` picks out of the bag, to be delivered later, perhaps often.
    pub fn keep(&mut self, name: &str, which: impl Fn(&Envelope) -> bool) {
        let kept = self.take_from_bag(which);
        self.kept.entry(name.to_owned()).or_default().extend(kept);
    }

    /// Puts a copy of what was kept back on its way.
    ///
    /// Panics: if nothing was kept under the name.
    pub fn send_kept(&mut self, name: &str) {
        let kept = self.kept.get(name).unwrap_or_else(|| panic!("nothing is kept as {name}"));
        self.bag.extend(kept.iter().cloned());
    }

    /// Puts a message that no node wrote on its way.
    pub fn inject(&mut self, envelope: Envelope) {
        self.bag.push_back(envelope);
    }

    /// Loses everything that is sent from one node to another from now on.
    pub fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
        self.drop_messages(|envelope| (envelope.from, envelope.to) == (from, to));
    }

    /// Ends every cut.
    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// Tells `at` that its link from `peer` has ended, as a closed connection would.
    pub fn lose_link(&mut self, at: NodeId, peer: NodeId) {
        self.handle(at, Event::PeerConnected { peer, connection: self.now.0, feature_level: 1 });
        self.handle(at, Event::PeerLost { peer, connection: self.now.0 });
    }

    /// Has the link from `peer` stand at a node, and the version there apply `feature_level`.
    pub fn connect(&mut self, at: NodeId, peer: NodeId, feature_level: u16) {
        self.handle(at, Event::PeerConnected { peer, connection: self.now.0, feature_level });
    }

    /// Ends a node; what it had not synced is gone.
    pub fn crash(&mut self, id: NodeId) {
        let member = self.members.get_mut(&id).expect("a member");
        member.replica = None;
        member.disk.lose_power();
        member.files.lose_power();
        member.seen.commit_index = Index::ZERO;
        self.bag.retain(|envelope| envelope.to != id);
    }

    /// Starts a node again on its disk.
    ///
    /// Panics: if it runs.
    pub fn restart(&mut self, id: NodeId) {
        assert!(!self.is_up(id), "{id:?} is up");
        self.start(id);
    }

    /// Replaces the disk of a node that is down by an empty one.
    pub fn wipe(&mut self, id: NodeId) {
        assert!(!self.is_up(id), "{id:?} is up");
        let member = self.members.get_mut(&id).expect("a member");
        member.disk = Disk::default();
        member.files = Files::default();
        member.promised_us = 0;
        member.incarnation = Incarnation(member.incarnation.0 + 1);
        member.seen.term = 0;
    }

    /// Makes everything behind `last` unreadable on the disk of a node that is down.
    pub fn damage(&mut self, id: NodeId, last: Index) {
        assert!(!self.is_up(id), "{id:?} is up");
        self.members.get_mut(&id).expect("a member").disk.damage(last);
    }

    /// Stops syncing on a node, or goes on and syncs what was waiting.
    pub fn hold_sync(&mut self, id: NodeId, holds: bool) {
        self.members.get_mut(&id).expect("a member").holds_sync = holds;
        if !holds {
            self.turn(id);
        }
    }

    /// Takes the room from a node's disk, so that nothing is synced, or gives it back.
    pub fn fill_disk(&mut self, id: NodeId, is_full: bool) {
        self.members.get_mut(&id).expect("a member").holds_sync = is_full;
        self.handle(id, Event::DiskFull { is_full });
    }

    /// Syncs the oldest `count` batches of a node whose syncs are held.
    pub fn sync(&mut self, id: NodeId, count: usize) {
        if self.sync_once(id, count) {
            self.turn(id);
        }
    }

    fn ticket(&mut self, label: &str) -> Ticket {
        self.requests += 1;
        let ticket = Ticket { connection: 1, request: self.requests };
        self.labels.insert(ticket, label.to_owned());
        ticket
    }

    /// Gives a node a command, under a session if `client` is given; its answer is told under
    /// `label`.
    pub fn submit(&mut self, id: NodeId, label: &str, command: &str, client: Option<(u64, u64)>) {
        self.submit_entry((id, label), (EntryKind::Command, command.as_bytes()), client);
    }

    fn submit_entry(
        &mut self,
        (id, label): (NodeId, &str),
        (kind, payload): (EntryKind, &[u8]),
        client: Option<(u64, u64)>,
    ) {
        let ticket = self.ticket(label);
        if kind == EntryKind::Change {
            self.changes.insert(ticket);
        }
        let stamp = client.map_or_else(SessionStamp::default, |(random, serial)| SessionStamp {
            client: ClientId { issued_at: 0, random },
            serial,
            acknowledged: 0,
        });
        let mut draft = Draft::default();
        draft.push(kind, &stamp, payload);
        let submission = Submission {
            draft,
            tickets: vec![ticket],
            timeout_us: CLIENT_TIMEOUT_US,
            wall_time: 0,
        };
        self.handle(id, Event::Submit(submission));
    }

    /// Asks a node for a register; the answer is told under `label`.
    pub fn read(&mut self, id: NodeId, label: &str, key: &str) {
        let ticket = self.ticket(label);
        self.reads.insert(ticket);
        let body = Bytes::copy_from_slice(key.as_bytes());
        let query = Query { ticket, body, timeout_us: CLIENT_TIMEOUT_US };
        self.handle(id, Event::Read(vec![query]));
    }

    /// Asks a node for a register as it stands there; the answer is told under `label`, with
    /// the index it is of and how many milliseconds ago a leader was heard of.
    pub fn read_locally(&mut self, id: NodeId, label: &str, key: &str) {
        let ticket = self.ticket(label);
        self.reads.insert(ticket);
        let body = Bytes::copy_from_slice(key.as_bytes());
        self.handle(id, Event::ReadLocally(vec![LocalQuery { ticket, body }]));
    }

    /// Asks a node to hand its leadership over.
    pub fn hand_over(&mut self, id: NodeId) {
        self.handle(id, Event::HandOver);
    }

    /// Wants a node to stand for election now.
    pub fn stand_at_once(&mut self, id: NodeId) {
        self.handle(id, Event::Campaign);
    }

    /// Wants a node to give up leadership.
    pub fn step_down(&mut self, id: NodeId) {
        self.handle(id, Event::StepDown);
    }

    /// One line about a node.
    #[must_use]
    pub fn describe(&self, id: NodeId) -> String {
        if !self.is_up(id) {
            return format!("n{id} down");
        }
        let status = self.status(id);
        let raft = self.replica(id).raft();
        let values = self.replica(id).machine().values().iter();
        let values: Vec<String> = values.map(|(key, value)| format!("{key}={value}")).collect();
        let leader = status.leader.filter(|&leader| leader != id);
        let of = leader.map_or_else(String::new, |leader| format!(" of n{leader}"));
        format!(
            "n{id} {}{of} t{} last={} commit={} [{}]",
            status.role.as_str(),
            status.term,
            raft.log().last(),
            status.commit_index,
            values.join(" ")
        )
    }
}

/// Whether an envelope is of this kind, by the name that the paper gives it.
#[must_use]
pub fn is_named(envelope: &Envelope, name: &str) -> bool {
    envelope.message.name() == name
}

/// An envelope with this content.
#[must_use]
pub fn envelope(from: NodeId, to: NodeId, term: u64, message: Message) -> Envelope {
    let incarnation = Incarnation(from.number() * 1_000);
    Envelope { from, incarnation, to, term: raft_core::types::Term(term), message }
}
