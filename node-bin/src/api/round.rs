//! What clients asked for since the last turn.

use bytes::{Bytes, BytesMut};
use raft_core::configuration::Change;
use raft_core::entry::{Draft, EntryKind, SessionStamp};
use raft_core::replica::event::{LocalQuery, Query, Submission, Ticket};

/// Requests on their way to Consensus; bodies are copied here for the only time.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// One for each waiting time in use, of which there are few.
    writes: Vec<Writes>,
    queries: Questions,
    local_queries: Questions,
}

/// Questions of a turn, whose bodies lie behind each other in one buffer.
#[derive(Debug, Default)]
struct Questions {
    bodies: BytesMut,
    /// Who asks, how long it waits in microseconds, and where its body ends.
    list: Vec<(Ticket, u64, usize)>,
}

impl Questions {
    fn add(&mut self, ticket: Ticket, timeout_us: u64, body: &[u8]) {
        self.bodies.extend_from_slice(body);
        self.list.push((ticket, timeout_us, self.bodies.len()));
    }

    fn take<T>(&mut self, make: impl Fn(Ticket, u64, Bytes) -> T) -> Vec<T> {
        if self.list.is_empty() {
            return Vec::new();
        }
        let (bodies, mut begin) = (self.bodies.split().freeze(), 0);
        let made = self.list.drain(..).map(|(ticket, timeout_us, end)| {
            let body = bodies.slice(begin..end);
            begin = end;
            make(ticket, timeout_us, body)
        });
        made.collect()
    }
}

#[derive(Debug)]
struct Writes {
    timeout_us: u64,
    draft: Draft,
    tickets: Vec<Ticket>,
}

impl Round {
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.queries.list.is_empty() && self.local_queries.list.is_empty()
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
        self.queries.add(ticket, timeout_us, body);
    }

    pub(super) fn read_locally(&mut self, ticket: Ticket, body: &[u8]) {
        self.local_queries.add(ticket, 0, body);
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
        self.queries.take(|ticket, timeout_us, body| Query { ticket, body, timeout_us })
    }

    pub(super) fn take_local_queries(&mut self) -> Vec<LocalQuery> {
        self.local_queries.take(|ticket, _, body| LocalQuery { ticket, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_question_has_its_own_body() {
        let mut round = Round::default();
        for turn in 0..3 {
            let bodies: [&[u8]; 3] = [b"one", b"", b"three"];
            for (number, body) in bodies.iter().enumerate() {
                let ticket = Ticket { connection: turn, request: number as u64 };
                round.read(ticket, 7 + turn, body);
                round.read_locally(ticket, body);
            }
            assert!(!round.is_empty());
            let (queries, local) = (round.take_queries(), round.take_local_queries());
            assert!(round.is_empty());
            for (number, body) in bodies.iter().enumerate() {
                let ticket = Ticket { connection: turn, request: number as u64 };
                assert_eq!((queries[number].ticket, &queries[number].body[..]), (ticket, *body));
                assert_eq!((local[number].ticket, &local[number].body[..]), (ticket, *body));
                assert_eq!(queries[number].timeout_us, 7 + turn);
            }
            assert_eq!((queries.len(), local.len()), (3, 3));
        }
    }
}
