//! Envelopes as frames.
//!
//! `Envelope` and `Message` say themselves how they look (`raft_core::consensus::message`):
//! structs as arrays, a message as a map of one short name to its fields, entries and commands
//! as one `bin`. Here they are framed, and what arrives is checked as far as it can be without
//! knowing anything of Raft's state.

use bytes::BytesMut;
use raft_core::consensus::message::{AppendResult, Envelope, Message};
use raft_core::entry::{Entries, EntryRef, INDEX_MAX, TERM_MAX};
use raft_core::types::{EntryId, Incarnation, Index, NodeId, Term};

use crate::frame::{self, FrameError, PEER_FRAME_BYTES_MAX};

/// Whose envelopes a connection may carry: the handshake settled both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The sender.
    pub from: NodeId,
    /// The sender's incarnation.
    pub incarnation: Incarnation,
    /// The receiver.
    pub to: NodeId,
}

/// Appends an envelope to `output` as a frame.
///
/// Errors: `FrameError::TooLarge`; nothing was appended. Appends are made smaller than a frame,
/// so this is a mistake of the caller, who should log it and drop the envelope.
pub fn put(output: &mut BytesMut, envelope: &Envelope) -> Result<(), FrameError> {
    frame::put(output, PEER_FRAME_BYTES_MAX, envelope)
}

/// Reads the content of a frame, verifying the checksum of every entry in it.
///
/// Errors: any `FrameError`; the caller must close the connection and say why in the log.
pub fn read(content: &[u8], ends: &Ends) -> Result<Envelope, FrameError> {
    let envelope: Envelope = frame::read(content)?;
    let found = Ends { from: envelope.from, incarnation: envelope.incarnation, to: envelope.to };
    if found != *ends {
        return Err(FrameError::Misaddressed { from: found.from.number(), to: found.to.number() });
    }
    if !is_plausible(envelope.term) || !says_something_possible(&envelope.message) {
        return Err(FrameError::Implausible(envelope.message.name()));
    }
    Ok(envelope)
}

/// The latest log time that a leader can have counted: 36,000 years. A later one, after which
/// every lease and session would be over, is a lie. Units: microseconds.
const LOG_TIME_US_MAX: u64 = 1 << 60;

fn says_something_possible(message: &Message) -> bool {
    match message {
        Message::PreVote { next_term, last } => is_plausible(*next_term) && is_plausible_id(last),
        Message::PreVoteResponse { next_term, .. } => is_plausible(*next_term),
        Message::RequestVote { last, .. } => is_plausible_id(last),
        Message::AppendEntries { prev, commit_index, entries, .. } => {
            is_plausible_id(prev)
                && is_plausible_index(*commit_index)
                && follow_each_other(*prev, entries)
                && entries.iter().flat_map(Entries::iter).all(has_plausible_time)
        }
        Message::AppendEntriesResponse { result, .. } => match result {
            AppendResult::Accepted { match_index } => is_plausible_index(*match_index),
            AppendResult::Rejected { prev_index, hint } => {
                is_plausible_index(*prev_index) && is_plausible_id(hint)
            }
        },
        Message::Heartbeat { commit_index, log_time, .. } => {
            is_plausible_index(*commit_index) && is_plausible_time(*log_time)
        }
        Message::ReadIndexResponse { index, .. }
        | Message::StateHash { index, .. }
        | Message::AgreedHash { index, .. }
        | Message::RequestSnapshot { least: index } => is_plausible_index(*index),
        Message::InstallSnapshot { id, offset, data } => {
            let end = offset.checked_add(data.len() as u64);
            is_plausible_id(&id.last) && end.is_some_and(|end| end <= id.bytes)
        }
        Message::InstallSnapshotResponse { id, next_offset, .. } => {
            is_plausible_id(&id.last) && *next_offset <= id.bytes
        }
        Message::RequestVoteResponse { .. }
        | Message::HeartbeatResponse { .. }
        | Message::ReadIndex { .. }
        | Message::TimeoutNow
        | Message::AskEmpty
        | Message::AnswerEmpty { .. }
        | Message::Transfer { .. }
        | Message::Space { .. }
        | Message::NotAMember
        | Message::AskPromise { .. }
        | Message::Promise { .. }
        | Message::Forward { .. } => true,
    }
}

/// Whether the runs continue `prev` without a gap and without falling terms (Raft §5.3).
fn follow_each_other(mut prev: EntryId, runs: &[Entries]) -> bool {
    runs.iter().all(|run| {
        let follows = run.first_index() == prev.index.next() && prev.term <= run.term();
        prev = run.last_id();
        follows
    })
}

fn is_plausible(term: Term) -> bool {
    term <= TERM_MAX
}

fn is_plausible_index(index: Index) -> bool {
    index <= INDEX_MAX
}

fn is_plausible_time(log_time: u64) -> bool {
    log_time <= LOG_TIME_US_MAX
}

fn has_plausible_time(entry: EntryRef<'_>) -> bool {
    is_plausible_time(entry.log_time())
}

fn is_plausible_id(id: &EntryId) -> bool {
    is_plausible(id.term) && is_plausible_index(id.index)
}
