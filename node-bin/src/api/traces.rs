//! The way of single requests through this node, for those who asked for it.

use actix::Handler;
use raft_core::entry::SessionStamp;
use raft_core::replica::event::{Answer, Ticket};
use raft_net::client_protocol::{MonitorEntry, MonitorError, MonitorPart, Op};

use super::Api;
use super::monitor::{Own, QUESTIONS, TRACE};
use crate::consensus::{Trace, Traced};
use crate::monitor::trace::{Note, TraceId};

impl Api {
    /// Notes a request, if somebody looks out for it.
    pub(super) fn trace_request(&mut self, ticket: Ticket, op: &Op<'_>) {
        if self.monitor.traces.is_empty() {
            return;
        }
        let session = match op {
            Op::Write { session, .. } => *session,
            Op::Read { .. } | Op::ReadLocally { .. } => {
                let connection = self.connections.get(&ticket.connection);
                let Some(client) = connection.and_then(|it| it.client) else { return };
                SessionStamp { client, ..SessionStamp::default() }
            }
            _ => return,
        };
        let now_us = self.monitor.clock().now().0;
        if let Some(id) = self.monitor.traces.taken(now_us, &session, ticket) {
            self.outlets.trace.do_send(Trace::Asked { id, ticket });
        }
    }

    /// Notes answers, if somebody looks out for them.
    pub(super) fn trace_answers(&mut self, answers: &[Answer]) {
        if self.monitor.traces.is_empty() {
            return;
        }
        let now_us = self.monitor.clock().now().0;
        for answer in answers {
            self.monitor.traces.replied(now_us, answer.ticket);
        }
    }

    /// Has a write looked out for, or asks what was seen of it.
    ///
    /// Returns why not.
    pub(super) fn begin_trace(
        &mut self,
        number: u64,
        rest: &str,
        begins: bool,
    ) -> Option<MonitorError> {
        let name = rest.strip_prefix(TRACE).unwrap_or_default();
        let Some(id) = TraceId::parse(name) else {
            let text = format!("{name:?} names no request: <session>:<serial>");
            return Some(MonitorError { code: MonitorError::UNKNOWN_PATH, text });
        };
        if begins {
            self.monitor.traces.begin(self.monitor.clock().now().0, id);
        }
        let ticket = Ticket { connection: QUESTIONS, request: number };
        self.own_of(number, Own::Tracing(id));
        self.outlets.trace.do_send(Trace::Tell { ticket, id, begins });
        None
    }
}

impl Handler<Traced> for Api {
    type Result = ();

    fn handle(&mut self, Traced { ticket, notes }: Traced, context: &mut Self::Context) {
        let number = ticket.request;
        if let Some(id) = self.monitor.take_trace(number) {
            let found = match (notes, self.monitor.traces.notes(id)) {
                (Some(notes), Some(own)) => {
                    let mut all: Vec<Note> = own.iter().chain(&notes).cloned().collect();
                    all.sort_by_key(|note| note.at_us);
                    let entries = all.iter().map(entry).collect();
                    Ok(MonitorPart { entries, ..MonitorPart::default() })
                }
                (None, _) | (_, None) => {
                    let text = "nobody looks out for that request".to_owned();
                    Err(MonitorError { code: MonitorError::UNKNOWN_PATH, text })
                }
            };
            self.add_own(number, found);
            self.end_task_if_whole(number);
        }
        self.settle(context);
    }
}

fn entry(Note { at_us, step: (word, about) }: &Note) -> MonitorEntry {
    let value = format!("{word} {about}").into();
    MonitorEntry { path: format!("{TRACE}{at_us}"), value, settable: false }
}
