//! Snapshots of this node for its clients: which one is the newest, and pieces of it.

use actix::Handler;
use raft_core::replica::event::{Refusal, Ticket};
use raft_core::types::Index;
use raft_net::client_protocol::{Op, PIECE_BYTES_MAX, Reply};

use super::Api;
use crate::consensus::WantSnapshot;
use crate::snapshot_store::{AskSnapshot, SnapshotTold, SnapshotWord};

impl Api {
    /// Takes a request about snapshots, which was counted.
    pub(super) fn on_snapshots(&mut self, ticket: Ticket, op: &Op<'_>) {
        let piece = match op {
            Op::Snapshot { covers } => {
                self.outlets.want_snapshot.do_send(WantSnapshot { covers: Index(*covers) });
                None
            }
            Op::SnapshotPiece(wanted) => {
                let Some(client) = self.connections.get_mut(&ticket.connection) else { return };
                // One piece at a time, so that what is read for a client is bounded.
                if client.reads_snapshot {
                    self.end(ticket, |_| Reply::Refused(Refusal::Overloaded));
                    return;
                }
                client.reads_snapshot = true;
                let bytes_max = wanted.bytes_max.min(PIECE_BYTES_MAX);
                let bytes_max = usize::try_from(bytes_max).expect("a piece fits memory");
                Some((wanted.of.into(), wanted.offset, bytes_max))
            }
            _ => return,
        };
        self.outlets.snapshots.do_send(AskSnapshot { ticket, piece });
    }
}

impl Handler<SnapshotTold> for Api {
    type Result = ();

    fn handle(&mut self, SnapshotTold { ticket, word }: SnapshotTold, context: &mut Self::Context) {
        match &word {
            SnapshotWord::Newest(newest) => {
                self.end(ticket, |_| Reply::Snapshot(newest.map(|id| Box::new(id.into()))));
            }
            SnapshotWord::Piece(piece) => {
                if let Some(client) = self.connections.get_mut(&ticket.connection) {
                    client.reads_snapshot = false;
                }
                self.end(ticket, |_| Reply::SnapshotPiece(piece.as_deref()));
            }
        }
        self.settle(context);
    }
}
