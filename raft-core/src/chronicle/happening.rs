//! The happenings, with the names under which users see them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::chronicle::message::Passed;
use crate::types::{EntryId, Index, NodeId, Term, Time};

/// Something that happened on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Counted from 1 in each run of the node, without gaps.
    pub seq: u64,
    /// When, by the node's monotonic clock.
    pub at: Time,
    /// The node's term then.
    pub term: Term,
    /// What.
    pub what: What,
}

/// What can happen. The names of variants and fields are stable: users read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// The node runs: how it found itself on its disk.
    Started {
        /// The last entry of its log.
        last: EntryId,
        /// How far it knows the log to be committed.
        commit: Index,
        /// Whom it voted for in its term.
        #[serde(skip_serializing_if = "Option::is_none")]
        vote: Option<NodeId>,
        /// Who votes, by its log.
        voters: Vec<NodeId>,
        /// Where each member is reached.
        addresses: BTreeMap<NodeId, String>,
    },
    /// The role, term or leader changed.
    Role {
        /// The role now.
        role: &'static str,
        /// Who leads, as far as known.
        #[serde(skip_serializing_if = "Option::is_none")]
        leader: Option<NodeId>,
        /// Which timer, or whose term or message, brought it about.
        reason: &'static str,
        /// The node whose message it was.
        #[serde(skip_serializing_if = "Option::is_none")]
        because_of: Option<NodeId>,
    },
    /// A timer began or ran out. That it begins anew with each word of the leader is not told.
    Timer {
        /// Which: `election`.
        what: &'static str,
        /// What it did.
        is: TimerIs,
        /// How long it runs. Units: milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        of_ms: Option<u64>,
    },
    /// The node asks for votes.
    VoteAsked {
        /// Whether it only asks whether an election would be worth while.
        pre_vote: bool,
        /// The term that it would lead.
        for_term: Term,
        /// Whom it asks.
        of: Vec<NodeId>,
    },
    /// The node gives its vote.
    VoteGiven {
        /// Whether it only says that it would.
        pre_vote: bool,
        /// The term that the candidate would lead.
        for_term: Term,
        /// The candidate.
        to: NodeId,
    },
    /// The node refuses its vote.
    VoteRefused {
        /// Whether it only says that it would.
        pre_vote: bool,
        /// The term that the candidate would lead.
        for_term: Term,
        /// The candidate.
        to: NodeId,
        /// Why.
        reason: &'static str,
    },
    /// A candidate counts an answer.
    VoteCounted {
        /// Whether it was only asked whether an election would be worth while.
        pre_vote: bool,
        /// Whose answer.
        from: NodeId,
        /// What it says.
        granted: bool,
        /// As many are for the candidate by now.
        votes: u64,
    },
    /// A message was sent or has arrived.
    Message(Passed),
    /// Entries were put into the log.
    Appended {
        /// The first one.
        first: Index,
        /// The last one.
        last: Index,
        /// How many turns this was, if it was not one.
        #[serde(skip_serializing_if = "is_one")]
        turns: u64,
    },
    /// Entries of the log that were not committed made way for the leader's.
    Replaced {
        /// The first one.
        first: Index,
        /// The last one.
        last: Index,
    },
    /// Entries are on this node's disk.
    Persisted {
        /// The first one.
        first: Index,
        /// The last one.
        last: Index,
        /// How many turns this was, if it was not one.
        #[serde(skip_serializing_if = "is_one")]
        turns: u64,
    },
    /// Entries are known to be committed.
    Committed {
        /// The first one.
        first: Index,
        /// The last one.
        last: Index,
        /// How far the state machine has come.
        applied: Index,
        /// The nodes that have the last one, as the leader knows; nobody on other nodes.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        held_by: Vec<NodeId>,
        /// How many turns this was, if it was not one.
        #[serde(skip_serializing_if = "is_one")]
        turns: u64,
    },
    /// A follower refused an append: its log lacks what comes before. Told by the leader.
    Behind {
        /// The follower.
        peer: NodeId,
        /// The last entry that the two may have in common.
        last: EntryId,
    },
    /// A follower that was behind has everything again. Told by the leader.
    CaughtUp {
        /// The follower.
        peer: NodeId,
        /// The last entry that it has.
        last: Index,
    },
    /// A snapshot was made here, or took the place of the state here.
    Snapshot {
        /// Which of both.
        is: SnapshotMove,
        /// The last entry that it covers.
        last: EntryId,
    },
    /// The members changed.
    Members {
        /// Who votes.
        voters: Vec<NodeId>,
        /// Who votes no more when a change is complete.
        outgoing: Vec<NodeId>,
        /// Who listens.
        learners: Vec<NodeId>,
        /// Where each is reached.
        addresses: BTreeMap<NodeId, String>,
    },
    /// The link from a peer stands, or has ended.
    Link {
        /// The peer.
        peer: NodeId,
        /// Whether it stands.
        up: bool,
    },
    /// The node waits, with an empty directory, for word of these.
    Waiting {
        /// The nodes.
        of: Vec<NodeId>,
    },
    /// The node's word counts from now on.
    Admitted {
        /// Which rule let it in.
        reason: &'static str,
    },
    /// The cluster has removed this node for ever.
    Removed,
    /// This node's state differs from the majority's after this entry.
    Fenced {
        /// The entry.
        index: Index,
    },
    /// No majority of the voters has the same state after this entry.
    NoMajorityOfStates {
        /// The entry.
        index: Index,
    },
    /// The disk has no room for the log, or has room again.
    DiskFull {
        /// Whether it is full.
        full: bool,
    },
    /// Live data takes as much memory as it may, or less again.
    MemoryFull {
        /// Whether it does.
        full: bool,
    },
    /// The leader's own disk is so slow that it gives leadership away.
    SlowDisk,
    /// A message was void: the cluster knows its sender's id on another data directory.
    ForeignNode {
        /// The id.
        peer: NodeId,
    },
}

/// What a timer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimerIs {
    /// It begins.
    Begun,
    /// It ran out.
    RanOut,
}

/// What became of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotMove {
    /// It was made here and is durable.
    Made,
    /// It took the place of the state.
    Installed,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_one(turns: &u64) -> bool {
    *turns == 1
}

impl What {
    /// The name that users see.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Role { .. } => "role",
            Self::Timer { .. } => "timer",
            Self::VoteAsked { .. } => "vote_asked",
            Self::VoteGiven { .. } => "vote_given",
            Self::VoteRefused { .. } => "vote_refused",
            Self::VoteCounted { .. } => "vote_counted",
            Self::Message(_) => "message",
            Self::Appended { .. } => "appended",
            Self::Replaced { .. } => "replaced",
            Self::Persisted { .. } => "persisted",
            Self::Committed { .. } => "committed",
            Self::Behind { .. } => "behind",
            Self::CaughtUp { .. } => "caught_up",
            Self::Snapshot { .. } => "snapshot",
            Self::Members { .. } => "members",
            Self::Link { .. } => "link",
            Self::Waiting { .. } => "waiting",
            Self::Admitted { .. } => "admitted",
            Self::Removed => "removed",
            Self::Fenced { .. } => "fenced",
            Self::NoMajorityOfStates { .. } => "no_majority_of_states",
            Self::DiskFull { .. } => "disk_full",
            Self::MemoryFull { .. } => "memory_full",
            Self::SlowDisk => "slow_disk",
            Self::ForeignNode { .. } => "foreign_node",
        }
    }

    /// Whether it is of a kind that may come with every turn. Such must not push out others
    /// where only some are kept.
    #[must_use]
    pub const fn is_frequent(&self) -> bool {
        matches!(
            self,
            Self::Message(_)
                | Self::Appended { .. }
                | Self::Persisted { .. }
                | Self::Committed { .. }
        )
    }
}
