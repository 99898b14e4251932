//! What every node keeps, whatever its role (Raft Figure 2, "all servers").

use std::collections::{BTreeMap, BTreeSet};

use crate::configuration::Configuration;
use crate::consensus::config::RaftConfig;
use crate::consensus::log::RaftLog;
use crate::consensus::message::{Envelope, Message};
use crate::consensus::persistence::Persistence;
use crate::consensus::ready::{Notice, ReadState, SnapshotPiece, SnapshotRead};
use crate::consensus::rng::Rng;
use crate::hard_state::{HardState, Standing};
use crate::snapshot::SnapshotId;
use crate::teeth::is_removed;
use crate::types::{Incarnation, NodeId, Term, Time};

/// The lowest and highest wait before a voter whose link to the leader ended pre-votes, and
/// before it asks again. Units: microseconds. The gap between two voters decides who wins.
const LOST_LEADER_FIRST_US: (u64, u64) = (5_000, 20_000);
const LOST_LEADER_AGAIN_US: (u64, u64) = (10_000, 20_000);
/// As above, for an election that was not decided: votes need a sync, so it waits longer.
const LOST_LEADER_ELECTION_US: (u64, u64) = (30_000, 120_000);

/// The common state of a node.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// Settings.
    pub config: RaftConfig,
    /// All randomness.
    pub rng: Rng,
    /// The latest term seen. Source: Raft Figure 2, currentTerm.
    pub(super) term: Term,
    /// Whom this node voted for in `term`. Source: Raft Figure 2, votedFor.
    pub(super) vote: Option<NodeId>,
    pub(super) standing: Standing,
    /// The log. Source: Raft Figure 2, log[].
    pub log: RaftLog,
    /// Which incarnation answers for an id, by committed entries.
    pub bindings: BTreeMap<NodeId, Incarnation>,
    /// The nodes that said, in this life of ours, that they have an empty directory.
    pub said_empty: BTreeSet<NodeId>,
    /// The control link from each peer, by connection number.
    pub links: BTreeMap<NodeId, u64>,
    /// The highest feature level that each peer applies whose link stands, as it said then.
    pub levels: BTreeMap<NodeId, u16>,
    /// The leader whose link ended, until it or another one is heard of again.
    pub lost_leader: Option<NodeId>,
    /// When a leader was last heard of, or a majority by this node as one.
    pub contact_at: Option<Time>,
    /// When the election timer, or that of a campaign, began; for operators.
    pub(super) timer_began: Time,
    /// Until when this node elects nobody, because it has promised so. Only grows.
    pub(super) promised_until: Time,
    /// What may be sent now.
    pub messages: Vec<Envelope>,
    /// What may be sent now over the bulk links.
    pub bulk: Vec<Envelope>,
    /// What promises durability: held back until the newest batch is on disk.
    pub after_sync: Vec<Envelope>,
    /// Batches on their way to the disk.
    pub persistence: Persistence,
    /// Reads that may be answered.
    pub reads: Vec<ReadState>,
    /// The newest snapshot that is durable here, whole, and may be sent.
    pub snapshot: Option<SnapshotId>,
    /// What snapshots are read and written for.
    pub snapshot_reads: Vec<SnapshotRead>,
    /// What the leader sent of a snapshot.
    pub snapshot_pieces: Vec<SnapshotPiece>,
    /// Whether a snapshot is being put in the place of the state machine.
    pub is_installing: bool,
    /// Whether this node's state machine is known to be wrong.
    pub is_fenced: bool,
    /// Whether the disk has no room for the log.
    pub disk_is_full: bool,
    /// Whether a member said that this node is none any more.
    pub is_removed: bool,
    /// For operators.
    pub notices: Vec<Notice>,
}

impl State {
    pub(crate) fn new(
        config: RaftConfig,
        hard_state: HardState,
        mut log: RaftLog,
        now: Time,
    ) -> Self {
        log.begin_with(&config.configuration);
        let promised_us =
            if is_removed("promises-survive-restarts") { 0 } else { config.promised_us };
        Self {
            rng: Rng::new(config.seed),
            config,
            term: hard_state.term,
            vote: hard_state.vote.filter(|_| !is_removed("votes-survive")),
            standing: hard_state.standing,
            log,
            bindings: BTreeMap::new(),
            said_empty: BTreeSet::new(),
            links: BTreeMap::new(),
            levels: BTreeMap::new(),
            lost_leader: None,
            contact_at: None,
            timer_began: now,
            promised_until: now.after(promised_us),
            messages: Vec::new(),
            bulk: Vec::new(),
            after_sync: Vec::new(),
            persistence: Persistence::new(hard_state),
            reads: Vec::new(),
            snapshot: None,
            snapshot_reads: Vec::new(),
            snapshot_pieces: Vec::new(),
            is_installing: false,
            is_fenced: false,
            disk_is_full: false,
            is_removed: false,
            notices: Vec::new(),
        }
    }

    /// This node.
    pub(crate) fn id(&self) -> NodeId {
        self.config.id
    }

    /// The latest term seen.
    pub(crate) fn term(&self) -> Term {
        self.term
    }

    /// Whom this node voted for in its term.
    pub(crate) fn vote(&self) -> Option<NodeId> {
        self.vote
    }

    /// How much this node's word counts.
    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether this node may vote, campaign and be counted.
    pub(crate) fn counts(&self) -> bool {
        self.standing == Standing::Full || is_removed("only-the-admitted-count")
    }

    /// Whether it counts, also after a crash: for what this node says or does without waiting
    /// for its disk.
    pub(crate) fn counts_durably(&self) -> bool {
        self.counts() && self.persistence.durable_standing() == Standing::Full
    }

    /// Whether this node has never voted, seen a term or held an entry.
    pub(crate) fn is_empty(&self) -> bool {
        self.term == Term::ZERO && self.log.last().index.0 == 0
    }

    /// What must be on disk.
    pub(crate) fn hard_state(&self) -> HardState {
        HardState {
            term: self.term,
            vote: self.vote,
            commit_index: self.log.commit_index(),
            standing: self.standing,
        }
    }

    /// The configuration in force.
    pub(crate) fn configuration(&self) -> &Configuration {
        self.log.configuration()
    }

    /// Whether this node may be elected: it votes or is to lose its vote, and nothing is being
    /// put in its place.
    pub(crate) fn may_campaign(&self) -> bool {
        let is_prevented = self.is_installing || self.is_removed || self.is_fenced;
        self.is_electable() && !is_prevented
    }

    /// Whether this node votes by the newest configuration in its log, or by the one at its
    /// commit index or any since: until its loss of the vote is committed, this may be the only
    /// node whose log allows it to lead, and so to complete that change (Ongaro 2014 §4.2.2).
    pub(crate) fn is_electable(&self) -> bool {
        let own = self.id();
        let is_voter = self.configuration().is_voter(own);
        let membership = self.log.membership();
        is_voter
            || (!is_removed("votes-are-lost-by-commit")
                && membership.since(self.log.commit_index()).any(|made| made.is_voter(own)))
    }

    /// Every other member.
    pub(crate) fn peers(&self) -> Vec<NodeId> {
        let own = self.id();
        self.configuration().members.keys().copied().filter(|&id| id != own).collect()
    }

    /// Every other node that votes.
    pub(crate) fn voting_peers(&self) -> Vec<NodeId> {
        let own = self.id();
        self.configuration().all_voters().into_iter().filter(|&id| id != own).collect()
    }

    /// Enters a later term, in which no vote was given yet (Raft §5.1).
    ///
    /// Panics: if the term is not later (I8).
    pub(crate) fn enter_term(&mut self, term: Term) {
        assert!(self.term < term, "terms only grow (I8)");
        self.term = term;
        self.vote = None;
    }

    /// Gives this node's vote in its term.
    ///
    /// Panics: if it was given to somebody else (I11).
    pub(crate) fn vote_for(&mut self, node: NodeId) {
        assert!(self.vote.is_none_or(|given| given == node), "one vote per term (I11)");
        self.vote = Some(node);
    }

    /// Changes how much this node's word counts.
    pub(crate) fn admit(&mut self, reason: &'static str) {
        if self.standing != Standing::Full {
            self.standing = Standing::Full;
            self.notices.push(Notice::Admitted { reason });
        }
    }

    /// Queues a message that promises nothing.
    pub(crate) fn send(&mut self, to: NodeId, message: Message) {
        let envelope = self.envelope(to, message);
        self.messages.push(envelope);
    }

    /// Queues a message to every other voter.
    pub(crate) fn broadcast(&mut self, message: &Message) {
        for peer in self.voting_peers() {
            self.send(peer, message.clone());
        }
    }

    /// Queues a message that may leave only when everything so far is on disk (I13).
    pub(crate) fn send_after_sync(&mut self, to: NodeId, message: Message) {
        let envelope = self.envelope(to, message);
        self.after_sync.push(envelope);
    }

    /// Queues a message for the bulk link.
    pub(crate) fn send_bulk(&mut self, to: NodeId, message: Message) {
        let envelope = self.envelope(to, message);
        self.bulk.push(envelope);
    }

    fn envelope(&self, to: NodeId, message: Message) -> Envelope {
        let incarnation = self.config.incarnation;
        Envelope { from: self.id(), incarnation, to, term: self.term, message }
    }

    /// When a node that hears nothing should doubt its leader: random in [t, 2t), or soon if
    /// the leader's link is known to have ended; then from when it is free to, so that the
    /// promises of several voters do not end in a split vote.
    pub(crate) fn election_deadline(&mut self, now: Time) -> Time {
        self.timer_began = now;
        let t = self.config.election_timeout_us;
        match self.lost_leader {
            Some(_) => {
                let (low, high) = self.scaled(LOST_LEADER_FIRST_US);
                let wait = self.rng.in_range(low, high);
                self.free_at(now).after(wait)
            }
            None => now.after(self.rng.in_range(t, 2 * t)),
        }
    }

    /// When a pre-vote or an election that is still open should be given up.
    pub(crate) fn campaign_deadline(&mut self, now: Time, is_pre_vote: bool) -> Time {
        self.timer_began = now;
        let t = self.config.election_timeout_us;
        let (low, high) = match (self.lost_leader, is_pre_vote) {
            (Some(_), true) => self.scaled(LOST_LEADER_AGAIN_US),
            (Some(_), false) => self.scaled(LOST_LEADER_ELECTION_US),
            (None, _) => (t, 2 * t),
        };
        now.after(self.rng.in_range(low, high))
    }

    fn scaled(&self, (low, high): (u64, u64)) -> (u64, u64) {
        let percent = self.config.time_scale_percent;
        (low * percent / 100, high * percent / 100)
    }
}
