//! The way of single requests through this node, for those who asked for it.
//!
//! A write is known by its session and serial on every node, so nothing travels with it: before
//! it is sent every node is told to look out for it, and afterwards asked what it saw. A query is
//! known by its connection at the node that is asked; the others note what they are asked for
//! next. While nobody asks, nobody looks.

use raft_core::consensus::message::{AppendResult, Envelope, Message};
use raft_core::entry::{ClientId, Draft, Entries, SessionStamp};
use raft_core::replica::event::{Effects, Event, Ticket};
use raft_core::types::Index;

/// Requests that are looked out for at a time; the oldest makes way.
const TRACES_MAX: usize = 16;

/// For how long. Units: microseconds.
const LIFETIME_US: u64 = 60_000_000;

/// What is noted of one write at most.
const NOTES_MAX: usize = 64;

/// A write by its session and serial, or with serial 0 the queries of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceId {
    client: ClientId,
    serial: u64,
}

/// Something that a node saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// By the node's monotonic clock. Units: microseconds.
    pub(crate) at_us: u64,
    /// A word for what, and the other node or number that it is about.
    pub(crate) step: (&'static str, u64),
}

/// The writes that are looked out for.
#[derive(Debug, Default)]
pub(crate) struct Traces(Vec<Trace>);

#[derive(Debug)]
struct Trace {
    id: TraceId,
    begun_us: u64,
    ticket: Option<Ticket>,
    index: Option<Index>,
    /// The batch of the log that has it.
    batch: Option<u64>,
    /// Whether the others are being asked whether who leads still does.
    is_confirming: bool,
    notes: Vec<Note>,
}

impl TraceId {
    /// Reads `<issued at>-<random>:<serial>`, as `kvctl` writes it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (session, serial) = text.rsplit_once(':')?;
        let (issued_at, random) = session.split_once('-')?;
        let client = ClientId {
            issued_at: issued_at.parse().ok()?,
            random: u64::from_str_radix(random, 16).ok()?,
        };
        Some(Self { client, serial: serial.parse().ok()? })
    }

    /// Whether this is the request.
    pub(crate) fn is(self, session: &SessionStamp) -> bool {
        self.client == session.client && self.serial == session.serial
    }

    fn is_in(self, entries: &[Entries]) -> Option<Index> {
        let found = entries.iter().flat_map(Entries::iter).find(|it| self.is(&it.session()));
        found.map(|entry| entry.id().index)
    }

    fn is_among(self, commands: &[u8]) -> bool {
        Draft::decode(commands)
            .is_ok_and(|draft| draft.iter().any(|entry| self.is(&entry.session())))
    }
}

impl Traces {
    /// Whether there is anything to look out for.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Looks out for a write from now on.
    pub(crate) fn begin(&mut self, now_us: u64, id: TraceId) {
        self.0.retain(|trace| trace.id != id && now_us < trace.begun_us + LIFETIME_US);
        if TRACES_MAX <= self.0.len() {
            self.0.remove(0);
        }
        let notes = Vec::new();
        self.0.push(Trace {
            id,
            begun_us: now_us,
            ticket: None,
            index: None,
            batch: None,
            is_confirming: false,
            notes,
        });
    }

    /// What was seen of a write; `None` if nobody looks out for it.
    pub(crate) fn notes(&self, id: TraceId) -> Option<&[Note]> {
        self.0.iter().find(|trace| trace.id == id).map(|trace| trace.notes.as_slice())
    }

    /// Notes that Api took a request of this name; returns the name if somebody looks out for it.
    pub(crate) fn taken(
        &mut self,
        now_us: u64,
        session: &SessionStamp,
        ticket: Ticket,
    ) -> Option<TraceId> {
        let trace = self.0.iter_mut().find(|trace| trace.id.is(session))?;
        trace.ticket = Some(ticket);
        trace.note(now_us, "request", 0);
        Some(trace.id)
    }

    /// Learns which request it is.
    pub(crate) fn is_asked(&mut self, id: TraceId, ticket: Ticket) {
        for trace in self.0.iter_mut().filter(|trace| trace.id == id) {
            trace.ticket = Some(ticket);
        }
    }

    /// Forgets what nobody looks out for any more.
    fn forget(&mut self, now_us: u64) {
        self.0.retain(|trace| now_us < trace.begun_us + LIFETIME_US);
    }

    /// Notes that Api answers the request of a ticket.
    pub(crate) fn replied(&mut self, now_us: u64, ticket: Ticket) {
        self.forget(now_us);
        for trace in self.0.iter_mut().filter(|trace| trace.ticket == Some(ticket)) {
            trace.note(now_us, "reply", 0);
        }
    }

    /// Looks at what happens to Consensus. `took_us` is how long a batch took that is reported.
    pub(crate) fn event(&mut self, now_us: u64, event: &Event, took_us: u64) {
        self.forget(now_us);
        for trace in &mut self.0 {
            match event {
                Event::Submit(submission) => {
                    let both = submission.draft.iter().zip(&submission.tickets);
                    if let Some((_, ticket)) =
                        both.into_iter().find(|(entry, _)| trace.id.is(&entry.session()))
                    {
                        trace.ticket = Some(*ticket);
                        let count = u64::try_from(submission.tickets.len()).unwrap_or(0);
                        trace.note(now_us, "round", count);
                    }
                }
                Event::Read(queries)
                    if queries.iter().any(|query| trace.ticket == Some(query.ticket)) =>
                {
                    trace.is_confirming = true;
                    let count = u64::try_from(queries.len()).unwrap_or(0);
                    trace.note(now_us, "queries", count);
                }
                Event::Received(envelopes) => {
                    envelopes.iter().for_each(|envelope| trace.received(now_us, envelope));
                }
                Event::Persisted { number } if trace.batch.is_some_and(|it| it <= *number) => {
                    trace.batch = None;
                    trace.note(now_us, "synced", took_us);
                }
                _ => {}
            }
        }
    }

    /// Looks at what Consensus does next.
    pub(crate) fn effects(&mut self, now_us: u64, effects: &Effects, commit_index: Index) {
        for trace in &mut self.0 {
            if let Some(persist) = &effects.persist
                && let Some(index) = trace.id.is_in(&persist.entries)
            {
                trace.index = Some(index);
                trace.batch = Some(persist.number);
                trace.note(now_us, "log", index.0);
            }
            effects.envelopes.iter().for_each(|envelope| trace.sent(now_us, envelope));
            if trace.index.is_some_and(|index| index <= commit_index) {
                let index = trace.index.map_or(0, |index| index.0);
                trace.note_once(now_us, "committed", index);
            }
            if let (Some(applied), Some(index)) = (&effects.applied, trace.index)
                && index <= applied.index
            {
                trace.note_once(now_us, "applied", applied.revision);
            }
            let is_its = |ticket| trace.ticket == Some(ticket);
            if effects.answers.list.iter().any(|answer| is_its(answer.ticket)) {
                trace.note_once(now_us, "answered", 0);
                trace.is_confirming = false;
            }
        }
    }
}

impl Trace {
    fn note(&mut self, at_us: u64, word: &'static str, about: u64) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(Note { at_us, step: (word, about) });
        }
    }

    fn note_once(&mut self, at_us: u64, word: &'static str, about: u64) {
        let is_of_one = matches!(word, "committed" | "applied" | "answered");
        let is_same = |note: &Note| note.step.0 == word && (is_of_one || note.step.1 == about);
        if !self.notes.iter().any(is_same) {
            self.note(at_us, word, about);
        }
    }

    fn received(&mut self, now_us: u64, envelope: &Envelope) {
        let from = envelope.from.number();
        match &envelope.message {
            Message::Forward { commands } if self.id.is_among(commands) => {
                self.note_once(now_us, "forward-from", from);
            }
            Message::AppendEntries { entries, .. } => {
                if let Some(index) = self.id.is_in(entries) {
                    self.index = Some(index);
                    self.note_once(now_us, "append-from", from);
                }
            }
            Message::AppendEntriesResponse {
                result: AppendResult::Accepted { match_index },
                ..
            } if self.index.is_some_and(|index| index <= *match_index) => {
                self.note_once(now_us, "stored-from", from);
            }
            Message::ReadIndex { .. } if self.id.serial == 0 => {
                self.is_confirming = true;
                self.note_once(now_us, "index-asked-by", from);
            }
            Message::ReadIndexResponse { .. } if self.is_confirming => {
                self.note_once(now_us, "index-from", from);
            }
            Message::HeartbeatResponse { .. } if self.is_confirming => {
                self.note_once(now_us, "confirm-from", from);
            }
            _ => {}
        }
    }

    fn sent(&mut self, now_us: u64, envelope: &Envelope) {
        let to = envelope.to.number();
        match &envelope.message {
            Message::Forward { commands } if self.id.is_among(commands) => {
                self.note_once(now_us, "forward-to", to);
            }
            Message::AppendEntries { entries, .. } if self.id.is_in(entries).is_some() => {
                self.note_once(now_us, "append-to", to);
            }
            Message::AppendEntriesResponse {
                result: AppendResult::Accepted { match_index },
                ..
            } if self.index.is_some_and(|index| index <= *match_index) => {
                self.note_once(now_us, "stored-to", to);
            }
            Message::ReadIndex { .. } if self.is_confirming => {
                self.note_once(now_us, "index-asked-of", to);
            }
            Message::ReadIndexResponse { .. } if self.is_confirming => {
                self.is_confirming = false;
                self.note_once(now_us, "index-to", to);
            }
            Message::Heartbeat { .. } if self.is_confirming => {
                self.note_once(now_us, "confirm-to", to);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use raft_core::entry::EntryKind;
    use raft_core::replica::event::Submission;

    use super::*;

    fn session(serial: u64) -> SessionStamp {
        let client = ClientId { issued_at: 7, random: 0xabc };
        SessionStamp { client, serial, acknowledged: 0 }
    }

    #[test]
    fn a_name_is_read_as_it_is_written() {
        let id = TraceId::parse("7-0000000000000abc:3").unwrap();
        assert!(id.is(&session(3)) && !id.is(&session(4)));
        for bad in ["", "7-abc", "7:3", "x-abc:3", "7-xyz:3", "7-abc:x"] {
            assert_eq!(TraceId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_what_was_asked_for_is_noted() {
        let mut traces = Traces::default();
        let id = TraceId::parse("7-abc:3").unwrap();
        traces.begin(10, id);
        let ticket = Ticket { connection: 5, request: 6 };
        let submit = |serial| {
            let mut draft = Draft::default();
            draft.push(EntryKind::Command, &session(serial), b"x");
            let tickets = vec![ticket];
            Event::Submit(Submission { draft, tickets, timeout_us: 1, wall_time: 1 })
        };
        traces.event(20, &submit(2), 0);
        assert_eq!(traces.notes(id), Some(&[][..]));
        traces.event(30, &submit(3), 0);
        traces.replied(40, ticket);
        let steps: Vec<_> = traces.notes(id).unwrap().iter().map(|note| note.step).collect();
        assert_eq!(steps, [("round", 1), ("reply", 0)]);
    }

    #[test]
    fn old_traces_make_way() {
        let mut traces = Traces::default();
        let id = |serial: usize| TraceId::parse(&format!("7-abc:{serial}")).unwrap();
        for serial in 1..=TRACES_MAX + 1 {
            traces.begin(0, id(serial));
        }
        assert!(traces.notes(id(1)).is_none() && traces.notes(id(2)).is_some());
        traces.begin(LIFETIME_US, id(99));
        assert_eq!(traces.0.len(), 1);
    }
}
