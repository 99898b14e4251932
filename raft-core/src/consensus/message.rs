//! What nodes say to each other, one variant per half of a remote procedure call.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::entry::Entries;
use crate::snapshot::SnapshotId;
use crate::types::{EntryId, Incarnation, Index, NodeId, Term};

/// A message with its addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The sender.
    pub from: NodeId,
    /// The sender's incarnation; a message of an incarnation other than the bound one is void.
    pub incarnation: Incarnation,
    /// The receiver.
    pub to: NodeId,
    /// The sender's term when it wrote the message.
    pub term: Term,
    /// What it says.
    pub message: Message,
}

/// What one node says to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// "Would you vote for me in `next_term`?" Changes nothing at the receiver
    /// (Ongaro 2014 §9.6).
    #[serde(rename = "pv")]
    PreVote {
        /// The term that the sender would campaign in.
        next_term: Term,
        /// The last entry of the sender's log.
        last: EntryId,
    },
    /// The answer to `PreVote`.
    #[serde(rename = "pvr")]
    PreVoteResponse {
        /// The `next_term` of the question.
        next_term: Term,
        /// Whether the sender would vote for the receiver.
        granted: bool,
    },
    /// Asks for the receiver's vote in the envelope's term (Raft §5.2).
    #[serde(rename = "rv")]
    RequestVote {
        /// The last entry of the candidate's log (Raft §5.4.1).
        last: EntryId,
        /// Set when the leader itself asked the candidate to campaign: the receiver then does
        /// not hold on to that leader (Ongaro 2014 §3.10).
        transfer: bool,
    },
    /// The answer to `RequestVote`.
    #[serde(rename = "rvr")]
    RequestVoteResponse {
        /// Whether the sender voted for the receiver in the envelope's term.
        granted: bool,
    },
    /// Entries, or a probe for where the logs agree if there are none (Raft §5.3).
    #[serde(rename = "ae")]
    AppendEntries {
        /// The entry before the first one here.
        prev: EntryId,
        /// The leader's commit index.
        commit_index: Index,
        /// The read round in which this was sent; the answer echoes it.
        round: u64,
        /// Consecutive runs of entries, each of one term.
        entries: Vec<Entries>,
    },
    /// The answer to `AppendEntries`.
    #[serde(rename = "aer")]
    AppendEntriesResponse {
        /// The round of the question.
        round: u64,
        /// Whether the sender's word counts (see `Standing`).
        counts: bool,
        /// Whether and how far the logs agree.
        result: AppendResult,
    },
    /// "I still lead", with as much of the commit index as the receiver is known to hold.
    #[serde(rename = "hb")]
    Heartbeat {
        /// min(match index of the receiver, commit index).
        commit_index: Index,
        /// The read round in which this was sent; the answer echoes it.
        round: u64,
        /// The leader's log time, so that an idle log does not hide how late it is. Units:
        /// microseconds.
        log_time: u64,
    },
    /// The answer to `Heartbeat`.
    #[serde(rename = "hbr")]
    HeartbeatResponse {
        /// The round of the question.
        round: u64,
        /// Whether the sender's word counts (see `Standing`).
        counts: bool,
    },
    /// Asks the leader for an index up to which the sender must have applied before it may
    /// answer the reads it has collected (Ongaro 2014 §6.4).
    #[serde(rename = "ri")]
    ReadIndex {
        /// Chosen by the sender, never used twice; the answer echoes it.
        context: u64,
    },
    /// The answer to `ReadIndex`.
    #[serde(rename = "rir")]
    ReadIndexResponse {
        /// The context of the question.
        context: u64,
        /// Apply up to here first, then read.
        index: Index,
    },
    /// Tells the receiver to campaign at once (Ongaro 2014 §3.10).
    #[serde(rename = "tn")]
    TimeoutNow,
    /// Asks the leader to hand leadership over. Nobody answers: whoever asked sees the next
    /// leader, or none in time.
    #[serde(rename = "tr")]
    Transfer {
        /// To whom; to whoever has most if it is not said.
        to: Option<NodeId>,
    },
    /// A piece of a snapshot for a follower whose next entries nobody has any more
    /// (Raft §7, Figure 13).
    #[serde(rename = "is")]
    InstallSnapshot {
        /// Which snapshot.
        id: SnapshotId,
        /// Where in its file the piece stands.
        offset: u64,
        /// The piece.
        data: Bytes,
    },
    /// The answer to `InstallSnapshot`.
    #[serde(rename = "isr")]
    InstallSnapshotResponse {
        /// The snapshot of the question.
        id: SnapshotId,
        /// The offset that the sender wants next.
        next_offset: u64,
        /// The sender holds, durably, everything that the snapshot covers.
        installed: bool,
        /// Whether the sender's word counts (see `Standing`).
        counts: bool,
    },
    /// From a follower: whether its disk has no room. From the leader: whether commands are
    /// refused because no majority has. Said when it changes, and again while it is so.
    #[serde(rename = "sp")]
    Space {
        /// Whether there is no room.
        is_full: bool,
    },
    /// The hash of the sender's state after the entry at `index`.
    #[serde(rename = "sh")]
    StateHash {
        /// The entry.
        index: Index,
        /// The hash.
        hash: u64,
    },
    /// The hash that a majority has after the entry at `index`.
    #[serde(rename = "ah")]
    AgreedHash {
        /// The entry.
        index: Index,
        /// The hash.
        hash: u64,
    },
    /// Asks the leader for a snapshot although the log is whole: the sender's state is wrong.
    #[serde(rename = "rs")]
    RequestSnapshot {
        /// The snapshot must cover this entry.
        least: Index,
    },
    /// The answer to a member of old times that asks for votes: it was removed for ever.
    #[serde(rename = "nam")]
    NotAMember,
    /// "I have an empty directory; do you have one too?" Asked until the sender may take part.
    #[serde(rename = "ask")]
    AskEmpty,
    /// The answer to `AskEmpty`.
    #[serde(rename = "emp")]
    AnswerEmpty {
        /// Whose question this answers: an answer to an earlier life of the receiver is void.
        asked_by: Incarnation,
        /// Whether the sender has never voted, seen a term or held an entry.
        empty: bool,
    },
    /// Commands that clients gave to a follower, on their way to the leader. There is no
    /// answer: the follower learns the outcome when it applies the entries, and sends the
    /// commands again if it does not.
    #[serde(rename = "fw")]
    Forward {
        /// A `Draft`, encoded.
        commands: Bytes,
    },
    /// From the leader: asks a voter to promise that it will elect nobody for a while
    /// (Ongaro 2014 §6.4.1). Sent only with lease reads.
    #[serde(rename = "ap")]
    AskPromise {
        /// Numbers the questions of this leader; the answer echoes it.
        round: u64,
        /// How long a promise is wanted at most. Units: microseconds.
        at_most_us: u64,
    },
    /// The answer to `AskPromise`: from when it was written, the sender neither votes nor
    /// pre-votes nor campaigns for so long by its own clock, whatever happens.
    #[serde(rename = "pr")]
    Promise {
        /// The round of the question.
        round: u64,
        /// For how long. Units: microseconds.
        promise_us: u64,
    },
}

/// Whether and how far a follower's log agrees with the leader's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppendResult {
    /// The logs agree, durably, up to and with this index.
    #[serde(rename = "ok")]
    Accepted {
        /// The last index that the append verified.
        match_index: Index,
    },
    /// The follower does not have the entry `prev`.
    #[serde(rename = "no")]
    Rejected {
        /// `prev.index` of the refused append, by which a stale refusal is told apart.
        prev_index: Index,
        /// The last place where the logs may still agree: the follower's last entry, or the
        /// last one before the term that conflicts (Raft §5.3, the accelerated search).
        hint: EntryId,
    },
}

impl Message {
    /// The name of the message as the paper spells it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PreVote { .. } => "PreVote",
            Self::PreVoteResponse { .. } => "PreVoteResponse",
            Self::RequestVote { .. } => "RequestVote",
            Self::RequestVoteResponse { .. } => "RequestVoteResponse",
            Self::AppendEntries { .. } => "AppendEntries",
            Self::AppendEntriesResponse { .. } => "AppendEntriesResponse",
            Self::Heartbeat { .. } => "Heartbeat",
            Self::HeartbeatResponse { .. } => "HeartbeatResponse",
            Self::ReadIndex { .. } => "ReadIndex",
            Self::ReadIndexResponse { .. } => "ReadIndexResponse",
            Self::TimeoutNow => "TimeoutNow",
            Self::Transfer { .. } => "Transfer",
            Self::InstallSnapshot { .. } => "InstallSnapshot",
            Self::InstallSnapshotResponse { .. } => "InstallSnapshotResponse",
            Self::Space { .. } => "Space",
            Self::StateHash { .. } => "StateHash",
            Self::AgreedHash { .. } => "AgreedHash",
            Self::RequestSnapshot { .. } => "RequestSnapshot",
            Self::NotAMember => "NotAMember",
            Self::AskEmpty => "AskEmpty",
            Self::AnswerEmpty { .. } => "AnswerEmpty",
            Self::Forward { .. } => "Forward",
            Self::AskPromise { .. } => "AskPromise",
            Self::Promise { .. } => "Promise",
        }
    }

    /// Whether only the leader of the message's term sends it (Raft §5.2).
    pub(crate) const fn is_from_leader(&self) -> bool {
        matches!(
            self,
            Self::AppendEntries { .. }
                | Self::Heartbeat { .. }
                | Self::InstallSnapshot { .. }
                | Self::AskPromise { .. }
        )
    }
}

impl fmt::Display for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.message.name();
        write!(f, "n{} -> n{} t{} {name}", self.from, self.to, self.term)?;
        match &self.message {
            Message::PreVote { next_term, last } => write!(f, " next=t{next_term} last={last}"),
            Message::PreVoteResponse { next_term, granted } => {
                write!(f, " next=t{next_term} granted={granted}")
            }
            Message::RequestVote { last, transfer } => {
                write!(f, " last={last}{}", if *transfer { " transfer" } else { "" })
            }
            Message::RequestVoteResponse { granted } => write!(f, " granted={granted}"),
            Message::AppendEntries { prev, commit_index, entries, .. } => {
                write!(f, " prev={prev} commit={commit_index}")?;
                entries.iter().try_for_each(|run| write!(f, " {run:?}"))
            }
            Message::AppendEntriesResponse { result, counts, .. } => {
                match result {
                    AppendResult::Accepted { match_index } => write!(f, " match={match_index}")?,
                    AppendResult::Rejected { prev_index, hint } => {
                        write!(f, " rejected={prev_index} hint={hint}")?;
                    }
                }
                f.write_str(if *counts { "" } else { " observer" })
            }
            Message::Heartbeat { commit_index, round, .. } => {
                write!(f, " commit={commit_index} round={round}")
            }
            Message::HeartbeatResponse { round, .. } => write!(f, " round={round}"),
            Message::ReadIndex { context } => write!(f, " context={context}"),
            Message::ReadIndexResponse { context, index } => {
                write!(f, " context={context} index={index}")
            }
            Message::AnswerEmpty { empty, .. } => write!(f, " empty={empty}"),
            Message::Forward { commands } => write!(f, " {} bytes", commands.len()),
            Message::Transfer { to: Some(to) } => write!(f, " to=n{to}"),
            Message::InstallSnapshot { id, offset, data } => {
                write!(f, " last={} offset={offset} {} bytes", id.last, data.len())
            }
            Message::InstallSnapshotResponse { id, next_offset, installed, .. } => {
                write!(f, " last={} next={next_offset} installed={installed}", id.last)
            }
            Message::StateHash { index, hash } | Message::AgreedHash { index, hash } => {
                write!(f, " index={index} hash={hash:016x}")
            }
            Message::RequestSnapshot { least } => write!(f, " least={least}"),
            Message::Space { is_full } => write!(f, " full={is_full}"),
            Message::AskPromise { round, at_most_us } => {
                write!(f, " round={round} at-most={at_most_us}us")
            }
            Message::Promise { round, promise_us } => {
                write!(f, " round={round} for={promise_us}us")
            }
            Message::TimeoutNow
            | Message::AskEmpty
            | Message::NotAMember
            | Message::Transfer { to: None } => Ok(()),
        }
    }
}
