//! One node: the real consensus, a disk, and what is on its way to the disk.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use raft_core::configuration::{Configuration, Decision};
use raft_core::consensus::error::ProposeError;
use raft_core::consensus::log::{RaftLog, Slice};
use raft_core::consensus::message::{Envelope, Message};
use raft_core::consensus::ready::{Persist, RoleName};
use raft_core::consensus::{Raft, RaftConfig, binding};
use raft_core::entry::{Draft, Entries, EntryKind, EntryRef, SessionStamp, Stamp};
use raft_core::hard_state::{HardState, Standing};
use raft_core::types::{EntryId, Incarnation, Index, NodeId, Term, Time};

use crate::bounds::Bounds;
use crate::history::{Content, Fact, Removed, What};
use crate::members::Members;

/// Timers are as short as they can be, so that no run is as long as a sync that counts as slow.
const HEARTBEAT_INTERVAL_US: u64 = 1;
const ELECTION_TIMEOUT_US: u64 = 100;

/// By how much a clock jumps when a timer is to run out: whatever was noted before is then too
/// long ago for any purpose (see `raft_core::consensus::digest`).
const JUMP_US: u64 = 10 * ELECTION_TIMEOUT_US;

/// By how much a clock moves when a leader looks at its members: what was sent before has then
/// waited too long for an answer, and whoever was heard of still was so of late, as long as
/// fewer of these than an election timeout happen in a run.
const LOOK_US: u64 = 3 * HEARTBEAT_INTERVAL_US;

/// The term in which the cluster was founded, before the model begins.
const FOUNDING_TERM: Term = Term(1);

/// What is durable.
#[derive(Clone, Debug)]
struct Disk {
    hard_state: HardState,
    /// One entry each.
    entries: Vec<Entries>,
}

/// A node.
#[derive(Clone)]
pub(crate) struct Node {
    raft: Raft,
    now: Time,
    disk: Disk,
    /// Batches that are not on disk yet.
    pending: VecDeque<Persist>,
    bounds: Arc<Bounds>,
    /// Of all of this.
    pub(crate) digest: u64,
    /// The log in memory, and the one on disk.
    pub(crate) log: Vec<Content>,
    pub(crate) durable_log: Vec<Content>,
}

/// What a node did in a step.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) envelopes: Vec<Envelope>,
    pub(crate) applied: Vec<Content>,
    /// How many entries were applied before.
    pub(crate) applied_before: usize,
    /// What became durable.
    pub(crate) hard_state: Option<HardState>,
    pub(crate) removed: Option<Removed>,
}

impl Node {
    /// A member of a cluster that was founded and has committed its first entry.
    pub(crate) fn founded(number: u64, bounds: &Bounds) -> (Self, Output) {
        let payload = binding::encode(&bindings(bounds.nodes));
        let mut draft = Draft::default();
        draft.push(EntryKind::Bind, &SessionStamp::default(), &payload);
        let (term, first) = (FOUNDING_TERM, Index(1));
        let founding = draft.stamp(&Stamp {
            term,
            first,
            log_time: 0,
            feature_level: 1,
            wall_time: 0,
            seed: 0,
        });
        let hard_state = HardState {
            term: FOUNDING_TERM,
            vote: None,
            commit_index: first,
            standing: Standing::Full,
        };
        let disk = Disk { hard_state, entries: vec![founding] };
        Self::started(id_of(number), Arc::new(bounds.clone()), disk)
    }

    fn started(id: NodeId, bounds: Arc<Bounds>, disk: Disk) -> (Self, Output) {
        let now = Time(0);
        let first = first_configuration(&bounds);
        let mut config = RaftConfig::new(id, incarnation_of(id), first.clone());
        config.heartbeat_interval_us = HEARTBEAT_INTERVAL_US;
        config.election_timeout_us = ELECTION_TIMEOUT_US;
        // A leader changes nothing of itself, except that it completes what it was asked for.
        config.auto_promote = false;
        if bounds.appends_are_single {
            config.append_bytes_max = 1;
        }
        let mut terms: Vec<EntryId> = disk.entries.iter().map(Entries::last_id).collect();
        terms.dedup_by_key(|id| id.term);
        let commit_index = disk.hard_state.commit_index;
        let log = RaftLog::restore(EntryId::ZERO, terms, disk.entries.clone(), commit_index);
        let log = log.with_configurations((Index::ZERO, first), configurations(&disk.entries));
        let raft = Raft::new(config, disk.hard_state, log, now);
        let (pending, digest) = (VecDeque::new(), 0);
        let (log, durable_log) = (Vec::new(), Vec::new());
        let mut node = Self { raft, now, disk, pending, bounds, digest, log, durable_log };
        let output = node.finish();
        (node, output)
    }

    /// Loses what was not synced, and starts again.
    pub(crate) fn restart(&self) -> (Self, Output) {
        Self::started(self.id(), self.bounds.clone(), self.disk.clone())
    }

    /// Takes a message.
    pub(crate) fn take(&mut self, envelope: Envelope) -> Output {
        self.raft.step(self.now, envelope);
        self.finish()
    }

    /// Lets the election timer run out.
    pub(crate) fn time_out(&mut self) -> Output {
        // A process that finds that it did not run waits a heartbeat longer.
        self.jump();
        self.raft.tick(self.now);
        self.now = self.now.after(HEARTBEAT_INTERVAL_US);
        self.raft.tick(self.now);
        self.finish()
    }

    /// Lets an election timeout pass, but not yet the timer of this node run out.
    pub(crate) fn doubt(&mut self) -> Output {
        self.jump();
        self.finish()
    }

    /// Lets a leader send heartbeats, before it asks whether it reaches a majority.
    pub(crate) fn send_heartbeats(&mut self) -> Output {
        self.jump();
        self.raft.tick(self.now);
        self.finish()
    }

    /// Lets a leader ask whether it reaches a majority. Its heartbeats are lost.
    pub(crate) fn check_quorum(&mut self) -> Output {
        let output = self.time_out();
        Output { envelopes: Vec::new(), ..output }
    }

    /// The oldest batch reaches the disk.
    pub(crate) fn persist(&mut self) -> Output {
        let batch = self.pending.pop_front().expect("somebody has looked");
        let Persist { number, base, hard_state, entries } = batch;
        assert!(base.is_none(), "there are no snapshots here");
        if let Some(first) = entries.first().map(Entries::first_index) {
            self.disk.entries.retain(|entry| entry.first_index() < first);
        }
        self.disk.entries.extend(entries.iter().flat_map(single));
        self.disk.hard_state = hard_state;
        self.raft.persisted(self.now, number);
        Output { hard_state: Some(hard_state), ..self.finish() }
    }

    /// Gives a leader a command.
    pub(crate) fn propose(&mut self, proposal: u8) -> Output {
        let mut draft = Draft::default();
        draft.push(EntryKind::Command, &SessionStamp::default(), &[proposal]);
        self.raft.propose(self.now, 0, draft).expect("it leads");
        self.finish()
    }

    /// Asks a leader for a change. It may want to hand over first, and then nothing is in the
    /// log yet.
    pub(crate) fn ask(&mut self, change: usize) -> Output {
        let mut draft = Draft::default();
        let payload = self.bounds.changes[change].to_change().encode();
        draft.push(EntryKind::Change, &SessionStamp::default(), &payload);
        let asked = self.raft.propose(self.now, 0, draft);
        let is_wanted = matches!(asked, Ok(_) | Err((ProposeError::HandingOver, _)));
        assert!(is_wanted, "a leader that can decide decides, or hands over: {asked:?}");
        self.finish()
    }

    /// Lets a leader that still hears of others look whether there is anything to do about the
    /// members. Its heartbeats are lost.
    pub(crate) fn look_at_members(&mut self) -> Output {
        self.now = self.now.after(LOOK_US);
        self.raft.tick(self.now);
        let mut output = self.finish();
        output.envelopes.retain(|it| !matches!(it.message, Message::Heartbeat { .. }));
        output
    }

    fn jump(&mut self) {
        self.now = self.now.after(JUMP_US);
    }

    /// Takes all that the node wants done.
    fn finish(&mut self) -> Output {
        let mut output = Output { applied_before: self.applied_count(), ..Output::default() };
        loop {
            let ready = self.raft.ready(self.now);
            let is_idle = ready.messages.is_empty()
                && ready.bulk.is_empty()
                && ready.persist.is_none()
                && ready.committed.is_empty();
            output.envelopes.extend(ready.messages.into_iter().chain(ready.bulk));
            self.pending.extend(ready.persist);
            for entry in ready.committed.iter().flat_map(Entries::iter) {
                if entry.kind() == EntryKind::Bind {
                    self.raft.bind(&binding::decode(entry.payload()));
                }
                output.applied.push(content(entry));
            }
            if is_idle {
                break;
            }
        }
        let log = self.memory();
        output.removed = removed(&self.log, &log);
        self.log = log;
        let in_force = Members::of(self.raft.configuration());
        assert_eq!(in_force, self.members_by(&self.log), "the members are those of the log");
        self.durable_log = self.disk.entries.iter().flat_map(Entries::iter).map(content).collect();
        self.digest = self.hashed();
        output
    }

    fn memory(&self) -> Vec<Content> {
        let range = Index(1)..self.last().index.next();
        match self.raft.log().slice(&range, usize::MAX) {
            Slice::InMemory(runs) => runs.iter().flat_map(Entries::iter).map(content).collect(),
            Slice::OnDisk => unreachable!("the whole log is in memory"),
        }
    }

    fn hashed(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        // What a node does depends on them, and what came of a step is remembered by digest.
        self.bounds.hash(&mut hasher);
        self.raft.digest(self.now, self.bounds.change_members()).hash(&mut hasher);
        hash_hard_state(&self.disk.hard_state, &mut hasher);
        self.durable_log.hash(&mut hasher);
        for batch in &self.pending {
            hash_hard_state(&batch.hard_state, &mut hasher);
            let entries = batch.entries.iter().flat_map(Entries::iter);
            entries.map(content).collect::<Vec<_>>().hash(&mut hasher);
        }
        hasher.finish()
    }

    pub(crate) fn id(&self) -> NodeId {
        self.raft.config().id
    }

    pub(crate) fn term(&self) -> Term {
        self.raft.term()
    }

    /// The term that a restart would find.
    pub(crate) fn durable_term(&self) -> Term {
        self.disk.hard_state.term
    }

    pub(crate) fn leads(&self) -> bool {
        self.raft.role_name() == RoleName::Leader
    }

    pub(crate) fn follows(&self) -> bool {
        self.raft.role_name() == RoleName::Follower && self.raft.leader().is_some()
    }

    pub(crate) fn is_writing(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(crate) fn applied_count(&self) -> usize {
        usize::try_from(self.raft.log().applied_index().0).expect("logs are short")
    }

    /// Whether it leads and would decide on a change now.
    pub(crate) fn can_decide(&self) -> bool {
        self.raft.can_decide(self.now) && !self.raft.is_handing_over()
    }

    /// Whether it may be elected: it votes by the newest configuration in its log, or, as what
    /// came later may still go away, by the newest one that it knows to be committed or any
    /// since (Ongaro 2014 §4.2.2).
    pub(crate) fn may_lead(&self) -> bool {
        let since = self.committed().len()..=self.log.len();
        since.map(|end| self.members_by(&self.log[..end])).any(|it| it.is_voter(self.id()))
    }

    /// Who is in the cluster, if this is the log.
    pub(crate) fn members_by(&self, log: &[Content]) -> Members {
        let newest = log.iter().rev().find_map(Content::members);
        newest.unwrap_or_else(|| Members::of(&first_configuration(&self.bounds)))
    }

    /// What the node knows to be committed.
    pub(crate) fn commits(&self) -> Fact {
        Fact::Commits(self.committed().to_vec(), self.term(), self.members_by(&self.log))
    }

    fn committed(&self) -> &[Content] {
        let count = usize::try_from(self.raft.log().commit_index().0).expect("logs are short");
        &self.log[..count]
    }

    fn last(&self) -> EntryId {
        self.raft.log().last()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, role, term) = (self.id(), self.raft.role_name().as_str(), self.term());
        let (commit, pending) = (self.raft.log().commit_index(), self.pending.len());
        write!(f, "n{id} {role} t{term} vote={:?}", self.raft.hard_state().vote)?;
        write!(f, " log={:?} commit={commit} durable={}", ids(&self.log), self.durable_log.len())?;
        write!(f, " batches={pending}")?;
        match self.log.iter().rev().find_map(Content::members) {
            Some(members) => write!(f, " members={members:?}"),
            None => Ok(()),
        }
    }
}

fn ids(log: &[Content]) -> Vec<EntryId> {
    log.iter().map(|content| content.id).collect()
}

/// The commit index on disk is hashed too: a restart finds it.
fn hash_hard_state(hard_state: &HardState, hasher: &mut impl Hasher) {
    let HardState { term, vote, commit_index, standing } = hard_state;
    (term, vote, commit_index, *standing as u8).hash(hasher);
}

fn content(entry: EntryRef<'_>) -> Content {
    let what = match entry.kind() {
        EntryKind::Command => What::Command(entry.payload()[0]),
        EntryKind::Configure => match Decision::decode(entry.payload()) {
            Some(Decision::Made { configuration, .. }) => {
                What::Members(Members::of(&configuration))
            }
            Some(Decision::Refused(_)) | None => What::Refusal,
        },
        EntryKind::Bind | EntryKind::Noop | EntryKind::Change => What::Own,
    };
    Content { id: entry.id(), what }
}

/// What of a log is not there any more.
fn removed(before: &[Content], after: &[Content]) -> Option<Removed> {
    let common = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let gone = &before[common..];
    let has_change = gone.iter().any(Content::is_change);
    (!gone.is_empty()).then_some(if has_change { Removed::Change } else { Removed::Entries })
}

/// Who was in the cluster when it was founded.
fn first_configuration(bounds: &Bounds) -> Configuration {
    let ids = (1..=bounds.nodes).map(id_of);
    let voters = bounds.nodes - bounds.learners;
    let learners = ids.clone().filter(|id| voters < id.number()).collect();
    Configuration::known(ids.map(|id| (id, String::new())).collect(), &learners)
}

/// The configurations that a log on disk makes, as a start finds them.
fn configurations(entries: &[Entries]) -> Vec<(Index, Configuration)> {
    let made = |entry: EntryRef<'_>| match Decision::decode(entry.payload()) {
        Some(Decision::Made { configuration, .. }) => Some((entry.id().index, configuration)),
        Some(Decision::Refused(_)) | None => None,
    };
    entries.iter().flat_map(Entries::configure_entries).filter_map(made).collect()
}

fn single(run: &Entries) -> Vec<Entries> {
    let indexes = (run.first_index().0..=run.last_index().0).map(Index);
    let parts = indexes.filter_map(|index| run.slice(index..index.next(), usize::MAX));
    parts.collect()
}

fn bindings(nodes: u64) -> BTreeMap<NodeId, Incarnation> {
    (1..=nodes).map(id_of).map(|id| (id, incarnation_of(id))).collect()
}

fn incarnation_of(id: NodeId) -> Incarnation {
    Incarnation(id.number())
}

/// The id with this number, which is above zero.
pub(crate) fn id_of(number: u64) -> NodeId {
    NodeId::new(number).expect("nodes are counted from 1")
}
