//! What happens to a replica, and what it wants done about it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::configuration::Configuration;
use crate::consensus::message::Envelope;
use crate::consensus::peers::PeerProgress;
use crate::consensus::ready::{Fetch, Notice, Persist, RoleName};
use crate::entry::{Draft, Entries};
use crate::replica::snapshots::{SnapshotFact, SnapshotOrder};
use crate::types::{Incarnation, Index, NodeId, Term};

/// Names a request to whoever made it; the replica only echoes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// The connection, or whatever the caller tells its clients apart by.
    pub connection: u64,
    /// The request on that connection.
    pub request: u64,
}

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// Time has passed. Idempotent; sent every few milliseconds.
    Tick,
    /// Messages of other nodes arrived, in this order.
    Received(Vec<Envelope>),
    /// Clients want these commands replicated.
    Submit(Submission),
    /// Clients want these queries answered as of now (linearizable).
    Read(Vec<Query>),
    /// Clients want these queries answered from this node's state at once, however old it is.
    ReadLocally(Vec<LocalQuery>),
    /// Every `Persist` up to and with this number is on disk.
    Persisted {
        /// The highest such number.
        number: u64,
    },
    /// The answer to `Effects::fetch`.
    Fetched {
        /// Entries from the asked index on, at least one, in consecutive runs.
        entries: Vec<Entries>,
    },
    /// The control link from this peer stands.
    PeerConnected {
        /// The peer.
        peer: NodeId,
        /// The connection, numbered upwards by the reporter.
        connection: u64,
        /// The highest feature level that the version there applies.
        feature_level: u16,
    },
    /// The control link from this peer has ended: the process there is gone, or the network
    /// said so.
    PeerLost {
        /// The peer.
        peer: NodeId,
        /// The connection that ended; if a newer one stands the fact is ignored.
        connection: u64,
    },
    /// The node is about to stop: hand leadership to a follower that has everything.
    HandOver,
    /// Somebody wants this node to stand for election now; nothing happens if it leads, or may
    /// not.
    Campaign,
    /// Somebody wants this node to give up leadership to nobody in particular, if it has it.
    StepDown,
    /// Somebody wants leadership handed over; answered, with nothing, when it is.
    Transfer {
        /// Who waits.
        ticket: Ticket,
        /// To whom; to whoever has most if it is not said.
        to: Option<NodeId>,
        /// How long it may take at most. Units: microseconds.
        timeout_us: u64,
    },
    /// Whether the disk has no room for the log; said when it changes.
    DiskFull {
        /// Whether it is full.
        is_full: bool,
    },
    /// What became of an order about snapshots.
    Snapshot(SnapshotFact),
    /// Somebody wants a snapshot that covers an entry, if it is applied. Unless the newest one
    /// does, one is begun as soon as none is being built; `Status::snapshot_index` says when it
    /// is there.
    SnapshotWanted {
        /// The entry.
        covers: Index,
    },
}

/// Commands of one turn with who asked for each.
#[derive(Debug)]
pub struct Submission {
    /// The commands. One without a session stamp gets the node's own.
    pub draft: Draft,
    /// Who waits for the answer to each command, in the order of the draft.
    pub tickets: Vec<Ticket>,
    /// How long the clients wait at most. Units: microseconds.
    pub timeout_us: u64,
    /// The calendar clock. Units: microseconds since 1970.
    pub wall_time: u64,
}

/// One read.
#[derive(Debug)]
pub struct Query {
    /// Who waits for the answer.
    pub ticket: Ticket,
    /// What to ask the state machine.
    pub body: Bytes,
    /// How long the client waits at most. Units: microseconds.
    pub timeout_us: u64,
}

/// One read of this node's own state.
#[derive(Debug)]
pub struct LocalQuery {
    /// Who waits for the answer.
    pub ticket: Ticket,
    /// What to ask the state machine.
    pub body: Bytes,
}

/// How old the state may be that a local read was answered from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staleness {
    /// The last entry that it has applied.
    pub applied_index: Index,
    /// How long ago the node last had contact with a leader, or with a majority while it leads
    /// itself; `None` if it never had. What was committed later is surely missing, and of what
    /// was committed before only what had come here is there. Units: microseconds.
    pub contact_age_us: Option<u64>,
}

/// What the driver must do after a turn. The order of the fields is the order of urgency; the
/// driver may do all of it at the same time.
#[derive(Debug, Default)]
pub struct Effects {
    /// Messages to send now over the control links, in this order per receiver.
    pub envelopes: Vec<Envelope>,
    /// The same over the bulk links.
    pub bulk: Vec<Envelope>,
    /// To be written and synced after every earlier `Persist`, then reported by
    /// `Event::Persisted`.
    pub persist: Option<Persist>,
    /// Older entries that the replica needs from disk; answered by `Event::Fetched`. At most
    /// one is outstanding.
    pub fetch: Option<Fetch>,
    /// Answers to hand out.
    pub answers: Answers,
    /// How far the state machine has come, if it moved.
    pub applied: Option<Applied>,
    /// Orders about snapshot files, in this order; they may take long.
    pub snapshots: Vec<SnapshotOrder>,
    /// The log before this entry is not needed any more.
    pub cut_before: Option<Index>,
    /// Who is in the cluster, if that is not what the last turn said; once at the start.
    pub configuration: Option<Arc<Configuration>>,
    /// What an operator wants to read in the log, in order.
    pub notices: Vec<Notice>,
    /// There is more to apply: take another turn when others had theirs.
    pub more: bool,
}

/// Answers of one turn; their bytes lie in one buffer.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// The answers' bytes, back to back.
    pub bytes: Bytes,
    /// Who gets what.
    pub list: Vec<Answer>,
    /// The node's term at the end of the turn.
    pub term: Term,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who asked.
    pub ticket: Ticket,
    /// What is answered.
    pub outcome: Outcome,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The state machine's answer, a range of `Answers::bytes`.
    Answered(Range<usize>),
    /// The same for a local read, with how old it may be; elsewhere, so that other answers are
    /// no longer for it.
    AnsweredLocally(Range<usize>, Box<Staleness>),
    /// The session rules decided, in the log, that the command is not to be executed.
    Session(SessionRefusal),
    /// Nothing was decided.
    Refused(Refusal),
}

/// What the session rules say to a command that they do not let through. An answer, not a
/// refusal: every node says the same, and repeating the command cannot change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionRefusal {
    /// The client itself said that it has the answer to this serial.
    AlreadyAcknowledged,
    /// The serial is too far above what the client has acknowledged.
    WindowExceeded,
    /// The cluster has forgotten the client, or may have: whether the command was executed
    /// before cannot be told, so it was not executed now. Begin a new session.
    SessionExpired,
}

/// Why a request was not decided here and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No leader was found in time and the request went nowhere: nothing was done. Try again.
    NoLeader,
    /// Too much is in flight here: nothing was done. Try again later.
    Overloaded,
    /// The command is longer than an entry may be: nothing was done. Do not try again.
    TooLarge,
    /// The node is stopping: nothing was done. Try another node.
    Stopping,
    /// There is no room for it, on the disks of a majority or in memory: nothing was done. Try
    /// again when there is; what makes room is not refused for lack of memory.
    NoSpace,
    /// This node's state differs from that of the majority and is being replaced: nothing was
    /// done. Ask another node.
    Fenced,
    /// Nobody took over leadership in time, or the one who was named cannot. Who leads stays
    /// as it is.
    NotHandedOver,
    /// The write may or may not have taken effect. Only the same session and serial may be
    /// tried again.
    Unknown,
}

/// How far the state machine has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The last entry applied.
    pub index: Index,
    /// The state machine's revision after it.
    pub revision: u64,
}

/// What `status` shows of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This node.
    pub node: NodeId,
    /// Its role.
    pub role: RoleName,
    /// Its term.
    pub term: Term,
    /// Who leads, as far as it knows.
    pub leader: Option<NodeId>,
    /// Its commit index.
    pub commit_index: Index,
    /// Its applied index.
    pub applied_index: Index,
    /// The last entry of its log.
    pub last_index: Index,
    /// The state machine's revision.
    pub revision: u64,
    /// Log time at the last applied entry. Units: microseconds.
    pub log_time: u64,
    /// The state machine's hash.
    pub state_hash: u64,
    /// What its state takes in memory, about. Units: bytes.
    pub live_bytes: u64,
    /// How many leases it has.
    pub leases: u64,
    /// What that may be before commands that add to it are refused. Units: bytes.
    pub live_bytes_max: u64,
    /// For whom it waits, if it has an empty directory.
    pub waiting_for: Vec<NodeId>,
    /// Whether the state machine differs from the majority's, and waits to be replaced.
    pub is_fenced: bool,
    /// The last entry that the newest snapshot of this node covers, zero without one.
    pub snapshot_index: Index,
    /// Who is in the cluster, as far as this node knows.
    pub configuration: Configuration,
    /// Whether the cluster has removed this node, as far as it knows.
    pub is_removed: bool,
    /// The highest feature level of what it has applied.
    pub feature_level: u16,
    /// The highest feature level that it can apply.
    pub feature_level_max: u16,
    /// Which incarnation answers for an id.
    pub bindings: BTreeMap<NodeId, Incarnation>,
    /// Whether there was ever a command, as far as it has applied the log.
    pub has_commands: bool,
    /// How far the others are; nothing unless this node leads.
    pub peers: Vec<PeerProgress>,
}
