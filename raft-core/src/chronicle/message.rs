//! Messages between nodes as they are told: short, and under a number by which sending and
//! arrival find each other.

use serde::Serialize;

use crate::consensus::message::{AppendResult, Envelope, Message};
use crate::entry::Entries;
use crate::types::{Index, NodeId, Term};

/// A message that was sent or has arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Passed {
    /// To whom, if this node sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<NodeId>,
    /// From whom, if it arrived here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<NodeId>,
    /// Its name as the paper spells it.
    #[serde(rename = "type")]
    pub name: &'static str,
    /// The same at both ends; a message that is sent again has it again.
    pub id: u32,
    /// The term in which it was written, if that is not the node's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_term: Option<Term>,
    /// Whether it only keeps a leader in its place, or answers one that does.
    #[serde(skip_serializing_if = "is_false")]
    pub is_heartbeat: bool,
    /// Of entries: the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Index>,
    /// Of entries: the last one; of an answer to them, up to which the logs agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Index>,
    /// Of an answer: whether it says yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub granted: Option<bool>,
    /// So many messages like it were not told since the last one that was.
    #[serde(skip_serializing_if = "is_zero")]
    pub skipped: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// Messages that are counted together when some are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Election,
    Heartbeat,
    Entries,
    Other,
}

/// What is told of a message, and what its number is made of.
#[derive(Clone, Copy, Debug)]
struct Gist {
    kind: Kind,
    about: u64,
    first: Option<Index>,
    last: Option<Index>,
    granted: Option<bool>,
}

impl Gist {
    const fn of(kind: Kind, about: u64) -> Self {
        Self { kind, about, first: None, last: None, granted: None }
    }

    const fn up_to(self, last: Index) -> Self {
        Self { last: Some(last), ..self }
    }

    const fn saying(self, granted: bool) -> Self {
        Self { granted: Some(granted), ..self }
    }
}

/// Two numbers in one; most of what they say is in their lower bits.
const fn both(one: u64, other: u64) -> u64 {
    one.rotate_left(24) ^ other
}

fn gist(message: &Message) -> Gist {
    let (election, other) = (Kind::Election, Kind::Other);
    match message {
        Message::AppendEntries { prev, round, entries, .. } => {
            let last = entries.last().map_or(prev.index, Entries::last_index);
            let first = (!entries.is_empty()).then(|| prev.index.next());
            let gist = Gist::of(Kind::Entries, both(last.0, *round));
            Gist { first, ..gist.up_to(last) }
        }
        Message::AppendEntriesResponse { round, result, .. } => {
            let (last, granted) = match result {
                AppendResult::Accepted { match_index } => (*match_index, true),
                AppendResult::Rejected { hint, .. } => (hint.index, false),
            };
            Gist::of(Kind::Entries, both(last.0, *round)).up_to(last).saying(granted)
        }
        Message::Heartbeat { commit_index, round, log_time } => {
            let about = both(both(commit_index.0, *round), *log_time);
            Gist::of(Kind::Heartbeat, about).up_to(*commit_index)
        }
        Message::HeartbeatResponse { round, .. } => Gist::of(Kind::Heartbeat, *round),
        Message::PreVote { next_term, .. } => Gist::of(election, next_term.0),
        Message::PreVoteResponse { next_term, granted } => {
            Gist::of(election, next_term.0).saying(*granted)
        }
        Message::RequestVoteResponse { granted } => Gist::of(election, 0).saying(*granted),
        Message::RequestVote { .. }
        | Message::TimeoutNow
        | Message::Transfer { .. }
        | Message::NotAMember
        | Message::AskEmpty
        | Message::AnswerEmpty { .. } => Gist::of(election, 0),
        Message::ReadIndex { context } => Gist::of(other, *context),
        Message::ReadIndexResponse { context, index } => Gist::of(other, *context).up_to(*index),
        Message::InstallSnapshot { id, offset, .. } => {
            Gist::of(other, both(id.last.index.0, *offset)).up_to(id.last.index)
        }
        Message::InstallSnapshotResponse { id, next_offset, installed, .. } => {
            let gist = Gist::of(other, both(id.last.index.0, *next_offset));
            gist.up_to(id.last.index).saying(*installed)
        }
        Message::StateHash { index, .. } | Message::AgreedHash { index, .. } => {
            Gist::of(other, index.0).up_to(*index)
        }
        Message::AskPromise { round, .. } | Message::Promise { round, .. } => {
            Gist::of(other, *round)
        }
        Message::Forward { commands } => {
            Gist::of(other, u64::try_from(commands.len()).unwrap_or(u64::MAX))
        }
        Message::Space { .. } | Message::RequestSnapshot { .. } => Gist::of(other, 0),
    }
}

/// A message, as far as it is looked at before it is known whether it is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glance {
    gist: Gist,
    pub(super) id: u32,
}

impl Glance {
    pub(super) fn at(envelope: &Envelope) -> Self {
        let gist = gist(&envelope.message);
        let ends = both(envelope.from.number(), envelope.to.number());
        let which = both(both(envelope.term.0, ends), envelope.message.name().len() as u64);
        let mixed = (gist.about ^ which.rotate_left(48)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // The upper half depends on every bit below it.
        let id = u32::try_from((mixed ^ (mixed << 13)) >> 32).unwrap_or(0);
        Self { gist, id }
    }

    pub(super) const fn kind(&self) -> Kind {
        self.gist.kind
    }

    /// How the message is told, after so many like it were skipped.
    pub(super) fn told(self, (envelope, is_sent): (&Envelope, bool), own: Term, n: u64) -> Passed {
        let Gist { kind, first, last, granted, .. } = self.gist;
        Passed {
            to: is_sent.then_some(envelope.to),
            from: (!is_sent).then_some(envelope.from),
            name: envelope.message.name(),
            id: self.id,
            of_term: (envelope.term != own).then_some(envelope.term),
            is_heartbeat: kind == Kind::Heartbeat,
            first,
            last,
            granted,
            skipped: n,
        }
    }
}
