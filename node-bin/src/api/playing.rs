//! What clients want to see done to this node or its cluster: handed to whoever may, if anybody
//! may.

use actix::Handler;
use raft_core::replica::event::Ticket;
use raft_net::client_protocol::Reply;
use raft_net::client_protocol::playground::{PlayOrder, Played};

use super::Api;
use super::connection::Connection;
use crate::playground::{AskedToPlay, PlayEnded, Waits, Wish};

impl Api {
    /// Hands an order on.
    ///
    /// Errors: why nobody takes it, for the client.
    pub(super) fn play(&self, ticket: Ticket, order: &PlayOrder) -> Result<(), String> {
        let Some(play) = &self.outlets.play else {
            return Err("nobody may play with this node: that takes kvorum dev, or a node that \
                        was started with --playground"
                .to_owned());
        };
        let here =
            self.connections.get(&ticket.connection).map(Connection::here).unwrap_or_default();
        let wish = Wish::Play { play: order.to_play()?, page: None };
        play.do_send(AskedToPlay { waits: Waits::Client { ticket, here }, wish });
        Ok(())
    }
}

impl Handler<PlayEnded> for Api {
    type Result = ();

    fn handle(&mut self, ended: PlayEnded, _: &mut Self::Context) {
        let PlayEnded { ticket, outcome, told } = ended;
        let is_done = outcome.is_ok();
        let text = outcome.unwrap_or_else(|why| why);
        self.end(ticket, |_| Reply::Played(Box::new(Played { is_done, text })));
        self.flush_touched();
        if let Some(told) = told {
            // Whoever waits may have lost patience.
            let _ = told.send(());
        }
    }
}
