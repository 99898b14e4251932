//! Messages on channels, between the clients of this node and to the other nodes.
//!
//! They go no further than this actor and Network: no log has them, so they are told while there
//! is no leader too.

use actix::Handler;
use bytes::BytesMut;
use raft_core::replica::event::{Refusal, Ticket};
use raft_net::client_protocol::{Op, Reply, Response, WatchEnded};
use raft_net::publication::{Heard, Publication, Spread};
use raft_net::resp::Protocol;

use super::{Api, resp};
use crate::channels::{Channels, Delivery, Limit, Matched, Subscriber, Topic};
use crate::doors::resp::encoded_message;

/// With so much for the other nodes it is sent at once, and not at the end of the turn.
/// Units: bytes.
const SPREAD_BYTES: usize = 4 * 1024 * 1024;

const SLOW: &str = "the connection has left too many messages unread; subscribe again";

/// A message as connections are told it, written once for all that are told the same.
struct Written<'d> {
    pattern: Option<&'d [u8]>,
    publication: &'d Publication,
    resp: [Option<BytesMut>; 2],
}

impl Written<'_> {
    fn for_resp(&mut self, protocol: Protocol) -> &[u8] {
        let place = match protocol {
            Protocol::Resp2 => 0,
            Protocol::Resp3 => 1,
        };
        let (pattern, publication) = (self.pattern, self.publication);
        self.resp[place].get_or_insert_with(|| encoded_message(protocol, pattern, publication))
    }
}

impl Api {
    pub(super) fn channels(&mut self) -> &mut Channels {
        self.resp.channels()
    }

    /// Takes a request if it is about channels; returns whether it was.
    pub(super) fn on_channels(&mut self, ticket: Ticket, op: &Op<'_>) -> bool {
        let subscriber = Subscriber { connection: ticket.connection, subscription: ticket.request };
        match op {
            Op::Publish { .. } | Op::Subscribe { .. } if self.draining.is_some() => {
                self.say(subscriber, Reply::Refused(Refusal::Stopping));
            }
            Op::Publish { channel, message } => {
                let told = self.channels().publish(subscriber, channel, message);
                let reply = told.map_or_else(refused, |told| Reply::Published(told.count));
                self.say(subscriber, reply);
            }
            Op::Subscribe { channels, patterns } => {
                self.deliver();
                let channels = channels.iter().map(|name| (Topic::Channel, &name[..]));
                let patterns = patterns.iter().map(|name| (Topic::Pattern, &name[..]));
                let reply = self.subscribe(subscriber, channels.chain(patterns));
                self.say(subscriber, reply);
            }
            Op::Unwatch if self.channels().registry().has(subscriber) => {
                self.deliver();
                self.channels().registry_mut().leave(subscriber);
                self.end_subscription(subscriber, WatchEnded::UNWATCHED, "the client ended it");
            }
            _ => return false,
        }
        true
    }

    fn subscribe<'n>(
        &mut self,
        subscriber: Subscriber,
        names: impl Iterator<Item = (Topic, &'n [u8])>,
    ) -> Reply<'static> {
        let registry = self.channels().registry_mut();
        if registry.has(subscriber) {
            registry.leave(subscriber);
            return Reply::Malformed("a subscription of this id was there, both are ended".into());
        }
        for (topic, name) in names {
            if let Err(limit) = registry.subscribe(subscriber, topic, name) {
                registry.leave(subscriber);
                return refused(limit);
            }
        }
        if !registry.has(subscriber) {
            return Reply::Malformed("a subscription needs a channel or a pattern".into());
        }
        Reply::Subscribed
    }

    /// Appends a reply to its connection's output, which is flushed at the end of the message.
    fn say(&mut self, to: Subscriber, reply: Reply<'_>) {
        let Some(client) = self.connections.get_mut(&to.connection) else { return };
        if client.respond(&Response { id: to.subscription, reply }) {
            self.touched.push(to.connection);
        }
    }

    fn end_subscription(&mut self, subscriber: Subscriber, why: u8, text: &str) {
        let ended = WatchEnded { why, revision: 0, text: text.to_owned() };
        self.say(subscriber, Reply::Ended(Box::new(ended)));
    }

    /// Tells what was said to whom it concerns, goes on with every connection that was told or
    /// answered something, and writes once to each.
    pub(super) fn settle(&mut self, context: &mut <Self as actix::Actor>::Context) {
        loop {
            self.deliver();
            if self.touched_resp.is_empty() {
                break;
            }
            self.go_on_touched(context);
        }
        self.flush_touched();
        self.time_tasks(context);
        if !self.round.is_empty() {
            self.plan_flush(context);
        }
        match self.channels().spread_bytes() {
            Some(bytes) if SPREAD_BYTES < bytes => self.spread(),
            Some(_) => self.plan_flush(context),
            None => {}
        }
    }

    /// Sends what was said to the other nodes.
    pub(super) fn spread(&mut self) {
        let publications = self.channels().take_spread();
        if !publications.is_empty() {
            self.outlets.spread.do_send(Spread { publications });
        }
    }

    pub(super) fn deliver(&mut self) {
        for Delivery { publication, matched } in self.channels().take_deliveries() {
            for Matched { pattern, subscribers } in matched {
                let pattern = pattern.as_deref();
                let mut written =
                    Written { pattern, publication: &publication, resp: [None, None] };
                for subscriber in subscribers {
                    if resp::is_resp(subscriber.connection) {
                        self.tell_resp(subscriber.connection, |protocol, tell| {
                            tell(written.for_resp(protocol));
                        });
                    } else {
                        self.tell_subscription(subscriber, &written);
                    }
                }
            }
        }
    }

    /// Tells a native client a message, or that it is told no more because it reads none.
    fn tell_subscription(&mut self, subscriber: Subscriber, written: &Written<'_>) {
        // It may have been ended by an earlier message of the turn.
        if !self.channels().registry().has(subscriber) {
            return;
        }
        let Written { pattern, publication, .. } = written;
        let Publication { channel, message } = publication;
        let message = Reply::Message { pattern: *pattern, channel, message };
        self.say(subscriber, message);
        let Some(client) = self.connections.get_mut(&subscriber.connection) else { return };
        let Some(unread) = client.unread_messages() else { return };
        if self.channels().unread.note(subscriber.connection, unread) {
            // They share an output, so no other of its subscriptions is told anything either.
            for subscriber in self.channels().registry_mut().leave_all(subscriber.connection) {
                self.end_subscription(subscriber, WatchEnded::SLOW, SLOW);
            }
        }
    }
}

fn refused(limit: Limit) -> Reply<'static> {
    match limit {
        Limit::Node | Limit::Untold => Reply::Refused(Refusal::Overloaded),
        Limit::Name | Limit::Message | Limit::Connection | Limit::Listed | Limit::OfItself => {
            Reply::Malformed(limit.to_string().into())
        }
    }
}

impl Handler<Heard> for Api {
    type Result = ();

    fn handle(&mut self, Heard { publications, .. }: Heard, context: &mut Self::Context) {
        publications.into_iter().for_each(|publication| self.channels().hear(publication));
        self.settle(context);
    }
}
