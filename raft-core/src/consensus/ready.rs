//! What Raft wants done after a turn (etcd: Ready).

use std::sync::Arc;

use bytes::Bytes;

use crate::configuration::Configuration;
use crate::consensus::detail::Detail;
use crate::consensus::message::Envelope;
use crate::entry::Entries;
use crate::hard_state::HardState;
use crate::snapshot::SnapshotId;
use crate::types::{EntryId, Index, NodeId, Term};

/// The role of a node (Raft §5.1, Ongaro 2014 §9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleName {
    /// Follows a leader or waits for one.
    Follower,
    /// Asks whether an election would be worth while.
    PreCandidate,
    /// Stands for election.
    Candidate,
    /// Leads.
    Leader,
}

impl RoleName {
    /// The word that users see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Follower => "follower",
            Self::PreCandidate => "pre-candidate",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        }
    }
}

/// What the driver must do after a turn.
///
/// Messages that promise durability are held back inside Raft until the batch they depend on
/// was reported as persisted, so the driver may send everything it finds here at once (I13).
#[derive(Debug, Default)]
pub struct Ready {
    /// To be sent over the control links.
    pub messages: Vec<Envelope>,
    /// To be sent over the bulk links.
    pub bulk: Vec<Envelope>,
    /// To be written and synced behind every earlier batch, then reported to
    /// `Raft::persisted`.
    pub persist: Option<Persist>,
    /// To be read from disk and handed to `Raft::fetched`; at most one is outstanding.
    pub fetch: Option<Fetch>,
    /// Committed entries to apply, in order, each handed out once.
    pub committed: Vec<Entries>,
    /// Reads that may be answered once the state machine has applied their index.
    pub reads: Vec<ReadState>,
    /// Pieces of snapshots to be read, for followers.
    pub snapshot_reads: Vec<SnapshotRead>,
    /// Pieces of a snapshot to be written, from the leader.
    pub snapshot_pieces: Vec<SnapshotPiece>,
    /// The log before this entry is not needed any more and may be cut off.
    pub cut_before: Option<Index>,
    /// The configuration, if another one is in force than at the last turn.
    pub configuration: Option<Arc<Configuration>>,
    /// What an operator wants to know, in order.
    pub notices: Vec<Notice>,
}

/// A batch for the log.
#[derive(Clone, Debug)]
pub struct Persist {
    /// Numbered upwards without gaps from 1.
    pub number: u64,
    /// Set when a snapshot took the log's place: the log is replaced by an empty one behind
    /// this entry before anything else of the batch is written.
    pub base: Option<EntryId>,
    /// The hard state from this batch on.
    pub hard_state: HardState,
    /// Consecutive runs. The first one replaces everything in the log from its first index on.
    pub entries: Vec<Entries>,
}

/// A request for entries that are no longer in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The first index wanted.
    pub first: Index,
    /// The index after the last one wanted.
    pub end: Index,
    /// How many bytes at most, but at least one entry.
    pub bytes_max: usize,
}

/// A request for a piece of a snapshot file; the answer goes to `Raft::snapshot_read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotRead {
    /// Which snapshot.
    pub id: SnapshotId,
    /// Where the piece begins.
    pub offset: u64,
    /// How long it is at most.
    pub bytes_max: usize,
}

/// A piece of a snapshot file that the leader sent; how far the file has come goes to
/// `Raft::snapshot_received`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotPiece {
    /// Which snapshot.
    pub id: SnapshotId,
    /// Where the piece stands.
    pub offset: u64,
    /// Its bytes.
    pub data: Bytes,
}

/// A confirmed read (etcd: `ReadState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadState {
    /// The context that the read was registered with.
    pub context: u64,
    /// Apply up to here first, then read.
    pub index: Index,
}

/// Something an operator wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The role, term or leader changed.
    Role {
        /// The role now.
        role: RoleName,
        /// The term now.
        term: Term,
        /// Who leads, as far as known.
        leader: Option<NodeId>,
        /// Which timer, or whose term or message, brought it about.
        reason: &'static str,
        /// The node whose message it was.
        because_of: Option<NodeId>,
    },
    /// The node's word counts from now on.
    Admitted {
        /// Which rule let it in.
        reason: &'static str,
    },
    /// The node waits, with an empty directory, for word of these nodes.
    WaitingFor(Vec<NodeId>),
    /// The members or their roles changed.
    Members {
        /// From now on.
        configuration: Arc<Configuration>,
    },
    /// The cluster has removed this node for ever.
    Removed,
    /// A snapshot took the place of the log up to here.
    Installed {
        /// The last entry that it covers.
        last: EntryId,
    },
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
        is_full: bool,
    },
    /// The state machine takes as much memory as it may, or less again.
    MemoryFull {
        /// Whether it takes as much.
        is_full: bool,
        /// How much it may. Units: bytes.
        live_bytes_max: u64,
    },
    /// The leader's own disk is so slow that it gives leadership away.
    SlowDisk,
    /// A message was void because the cluster knows the sender's id under another incarnation.
    ForeignIncarnation {
        /// The id.
        peer: NodeId,
    },
    /// What only those want to know who watch closely; too much for a log.
    Detail(Detail),
}
