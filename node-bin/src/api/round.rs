//! What clients asked for since the last turn.

use bytes::Bytes;
use raft_core::configuration::Change;
use raft_core::entry::{Draft, EntryKind, SessionStamp};
use raft_core::replica::event::{LocalQuery, Query, Submission, Ticket};

/// Requests on their way to Consensus; bodies are copied here for the only time.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// One for each waiting time in use, of which there are few.
    writes: Vec<Writes>,
    queries: Vec<Query>,
    local_queries: Vec<LocalQuery>,
}

#[derive(Debug)]
struct Writes {
    timeout_us: u64,
    draft: Draft,
    tickets: Vec<Ticket>,
}

impl Round {
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.queries.is_empty() && self.local_queries.is_empty()
    }

    pub(super) fn write(
        &mut self,
        ticket: Ticket,
        session: &SessionStamp,
        timeout_us: u64,
        body: &[u8],
    ) {
        self.add((ticket, session), EntryKind::Command, timeout_us, body);
    }

    /// Adds a change of the members, which goes the same way as a command.
    pub(super) fn change(
        &mut self,
        ticket: Ticket,
        session: &SessionStamp,
        timeout_us: u64,
        change: &Change,
    ) {
        self.add((ticket, session), EntryKind::Change, timeout_us, &change.encode());
    }

    fn add(
        &mut self,
        (ticket, session): (Ticket, &SessionStamp),
        kind: EntryKind,
        timeout_us: u64,
        body: &[u8],
    ) {
        let place = self.writes.iter().position(|writes| writes.timeout_us == timeout_us);
        let place = place.unwrap_or_else(|| {
            self.writes.push(Writes { timeout_us, draft: Draft::default(), tickets: Vec::new() });
            self.writes.len() - 1
        });
        let writes = &mut self.writes[place];
        writes.draft.push(kind, session, body);
        writes.tickets.push(ticket);
    }

    pub(super) fn read(&mut self, ticket: Ticket, timeout_us: u64, body: &[u8]) {
        self.queries.push(Query { ticket, body: super::owned(body), timeout_us });
    }

    /// As `read`, of a body that nobody else has.
    pub(super) fn read_owned(&mut self, ticket: Ticket, timeout_us: u64, body: Bytes) {
        self.queries.push(Query { ticket, body, timeout_us });
    }

    pub(super) fn read_locally(&mut self, ticket: Ticket, body: &[u8]) {
        self.local_queries.push(LocalQuery { ticket, body: super::owned(body) });
    }

    pub(super) fn take_submissions(&mut self, wall_time: u64) -> Vec<Submission> {
        let writes = std::mem::take(&mut self.writes);
        let submission = |Writes { timeout_us, draft, tickets }| Submission {
            draft,
            tickets,
            timeout_us,
            wall_time,
        };
        writes.into_iter().map(submission).collect()
    }

    pub(super) fn take_queries(&mut self) -> Vec<Query> {
        std::mem::take(&mut self.queries)
    }

    pub(super) fn take_local_queries(&mut self) -> Vec<LocalQuery> {
        std::mem::take(&mut self.local_queries)
    }
}
