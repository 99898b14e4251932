//! Watches on their way between clients and Watch.

use actix::Handler;
use bytes::Bytes;
use kv_store::watching::{CHANGE_BYTES_MAX, End, Order, Owner, Push, Word};
use raft_core::replica::event::{Refusal, Ticket};
use raft_net::client_protocol::{Op, Reply, Response, WatchEnded};
use raft_net::frame::CLIENT_FRAME_BYTES_MAX;

use super::Api;
use crate::watch::Pushed;

/// What a frame has beside the changes, at most. Units: bytes.
const OVERHEAD_BYTES: usize = 64;

/// The longest change has room in a frame.
const _: () = assert!(CHANGE_BYTES_MAX + OVERHEAD_BYTES <= CLIENT_FRAME_BYTES_MAX);

impl Api {
    /// Takes a request if it is about a watch; returns whether it was.
    pub(super) fn on_watch(&mut self, ticket: Ticket, op: &Op<'_>) -> bool {
        let owner = Owner { connection: ticket.connection, watch: ticket.request };
        let order = match op {
            Op::Watch { start, marks, body } => {
                let (start, marks, interest) = (*start, *marks, Bytes::copy_from_slice(body));
                Order::Watch { owner, start, marks, interest }
            }
            Op::Unwatch => Order::Unwatch(owner),
            Op::Mark => Order::Mark(owner),
            Op::Write { .. }
            | Op::Read { .. }
            | Op::Status
            | Op::Monitor(_)
            | Op::Change { .. }
            | Op::Transfer { .. }
            | Op::Play(_)
            | Op::Publish { .. }
            | Op::Subscribe { .. }
            | Op::ReadLocally { .. }
            | Op::Snapshot { .. }
            | Op::SnapshotPiece(_) => return false,
        };
        if self.draining.is_some() {
            self.tell(owner, Reply::Refused(Refusal::Stopping));
        } else if let Some(client) = self.connections.get_mut(&owner.connection) {
            client.has_watches = true;
            self.orders.orders.push(order);
        }
        true
    }

    /// Tells Watch what clients want and what they have read, if there is anything.
    pub(super) fn tell_watch(&mut self) {
        if !self.orders.orders.is_empty() || !self.orders.unread.is_empty() {
            self.outlets.watch.do_send(std::mem::take(&mut self.orders));
        }
    }

    /// Appends a word to its connection's output, which is flushed at the end of the message.
    fn tell(&mut self, owner: Owner, reply: Reply<'_>) {
        let Some(client) = self.connections.get_mut(&owner.connection) else { return };
        client.owes_word = true;
        if client.respond(&Response { id: owner.watch, reply }) {
            self.touched.push(owner.connection);
        }
    }
}

impl Handler<Pushed> for Api {
    type Result = ();

    fn handle(&mut self, Pushed(pushes): Pushed, _: &mut Self::Context) {
        for Push { owner, word } in pushes {
            let Some(word) = self.tell_stream(owner, word) else { continue };
            let reply = match &word {
                Word::Begun { revision, newest: _ } => Reply::Watching(*revision),
                Word::Changed { changes, is_cut } => {
                    Reply::Events { is_cut: *is_cut, body: changes }
                }
                Word::Mark { revision } => Reply::Mark(*revision),
                Word::Malformed { why } => Reply::Malformed(why.as_str().into()),
                Word::Overloaded => Reply::Refused(Refusal::Overloaded),
                Word::Ended(end) => Reply::Ended(Box::new(ended(*end))),
            };
            self.tell(owner, reply);
        }
        self.flush_touched();
    }
}

fn ended(end: End) -> WatchEnded {
    let (why, revision) = match end {
        End::Unwatched => (WatchEnded::UNWATCHED, 0),
        End::Compacted { oldest } => (WatchEnded::COMPACTED, oldest),
        End::Slow { resume_at } => (WatchEnded::SLOW, resume_at),
        End::TooLarge { revision } => (WatchEnded::TOO_LARGE, revision),
        End::NotHere { resume_at } => (WatchEnded::NOT_HERE, resume_at),
    };
    WatchEnded { why, revision, text: end.to_string() }
}
