//! Commands about the connection's state, and about channels.

use bytes::{Bytes, BytesMut};
use raft_net::resp::{Protocol, ReplyWriter};

use super::{Ask, Conversation, Desk, Pending, Step, telling};
use crate::doors::resp::numbers::integer;
use crate::doors::resp::plan::{Making, Plan, Refused, Replies, is};
use crate::doors::resp::shape::Shape;
use crate::doors::resp::subscribing::{self, Speaking};
use crate::doors::resp::table::Control;
use crate::doors::resp::transaction::watching;

impl Conversation {
    /// Carries out a command about the connection's state.
    pub(super) fn control(
        &mut self,
        control: Control,
        words: &[&[u8]],
        desk: &mut Desk,
        out: &mut BytesMut,
    ) -> Step {
        match control {
            Control::Multi if self.multi.is_open() => {
                self.refuse("ERR MULTI calls can not be nested", out);
            }
            Control::Multi => {
                self.multi.open();
                self.say(out, |reply| reply.status("OK"));
            }
            Control::Exec => return self.exec(desk, out),
            Control::Discard if self.multi.is_open() => {
                self.multi.close();
                self.say(out, |reply| reply.status("OK"));
            }
            Control::Discard => self.refuse("ERR DISCARD without MULTI", out),
            Control::Watch => return self.watch(words, desk, out),
            Control::Unwatch => {
                self.multi.unwatch();
                self.say(out, |reply| reply.status("OK"));
            }
            Control::Quit => {
                self.say(out, |reply| reply.status("OK"));
                self.is_closing = true;
            }
            Control::Reset => return self.reset(desk, out),
            Control::Wait => return self.wait(words, out),
        }
        Step::Done
    }

    /// Asks how many nodes have what was written before, when that is answered. Nothing could be
    /// waited for beyond it.
    fn wait(&mut self, words: &[&[u8]], out: &mut BytesMut) -> Step {
        let timeout =
            integer(words[2]).map_err(|_| "ERR timeout is not an integer or out of range");
        let wrong = match (integer(words[1]), timeout) {
            (Err(refused), _) => Some(refused),
            (_, Err(text)) => Some(text.into()),
            (_, Ok(..0)) => Some("ERR timeout is negative".into()),
            (Ok(_), Ok(_)) => None,
        };
        if let Some(refused) = wrong {
            self.refuse(&refused, out);
            return Step::Done;
        }
        if !self.pending.is_empty() {
            return Step::Blocked;
        }
        let (request, _) = self.begin(None, false);
        self.pending.push_back(Pending::Copies { is_silent: self.is_silent() });
        Step::Asked(Ask { request, write: None, is_of_node: true })
    }

    /// Whether a command may stand in a transaction.
    pub(super) fn check_queued(&self, name: &str, words: &[&[u8]]) -> Result<(), Refused> {
        let is_muted = name == "client"
            && is(words[1], "reply")
            && !words.get(2).is_some_and(|it| is(it, "on"));
        if ["save", "wait"].contains(&name) || is_muted {
            return Err("ERR Command not allowed inside a transaction".into());
        }
        Ok(())
    }

    fn reset(&mut self, desk: &mut Desk, out: &mut BytesMut) -> Step {
        if !self.pending.is_empty() {
            return Step::Blocked;
        }
        self.multi.close();
        desk.channels.registry_mut().leave(self.subscriber);
        self.is_subscribed = false;
        self.client.protocol = Protocol::default();
        self.client.name.clear();
        self.client.request_id = None;
        self.client.replies = Replies::All;
        self.say(out, |reply| reply.status("RESET"));
        Step::Done
    }

    fn exec(&mut self, desk: &mut Desk, out: &mut BytesMut) -> Step {
        if !self.multi.is_open() {
            self.refuse("ERR EXEC without MULTI", out);
            return Step::Done;
        }
        if self.multi.is_spoilt() {
            self.multi.close();
            let text = "EXECABORT Transaction discarded because of previous errors.";
            self.refuse(text, out);
            return Step::Done;
        }
        let speaks = self.multi.speaks();
        if 0 < self.reads || speaks && !self.pending.is_empty() {
            return Step::Blocked;
        }
        let taken = self.multi.take();
        let commands = taken.words();
        let seed = desk.next_seed();
        let Desk { cursors, options, node_address, limits, wall_time, body, .. } = desk;
        let mut making = Making {
            client: &mut self.client,
            cursors,
            options: *options,
            now_ms: *wall_time / 1_000,
            seed,
            node_address,
        };
        let step = match taken.plan(&mut making, &commands) {
            Plan { operation: None, shape, .. } => {
                self.tell_without_asking(&shape, desk, out);
                Step::Done
            }
            plan => self.ask(plan, (body, limits), out),
        };
        self.is_held |= speaks && matches!(step, Step::Asked(_));
        self.client.request_id = None;
        step
    }

    /// Replies to a transaction of which nothing is of the store.
    fn tell_without_asking(&mut self, shape: &Shape, desk: &mut Desk, out: &mut BytesMut) {
        let mut bytes = BytesMut::new();
        let reply = ReplyWriter::new(&mut bytes, self.client.protocol);
        telling(desk, self.subscriber, reply).tell(shape, None);
        self.note_subscriptions(desk);
        self.say(out, |reply| reply.raw(&bytes));
    }

    fn watch(&mut self, words: &[&[u8]], desk: &mut Desk, out: &mut BytesMut) -> Step {
        if self.multi.is_open() {
            self.refuse("ERR WATCH inside MULTI is not allowed", out);
            return Step::Done;
        }
        let keys = &words[1..];
        let asked = self
            .multi
            .check_watch(keys.len())
            .and_then(|()| self.encode(watching(keys), false, (&mut desk.body, &desk.limits)));
        if let Err(refused) = asked {
            self.refuse(&refused, out);
            return Step::Done;
        }
        let (request, write) = self.begin(None, false);
        let keys = keys.iter().map(|key| Bytes::copy_from_slice(key)).collect();
        let (is_write, is_silent) = (write.is_some(), self.is_silent());
        self.pending.push_back(Pending::Watch { keys, is_write, is_silent });
        // What follows may be EXEC, which needs to know what the keys were.
        self.is_held = true;
        Step::Asked(Ask { request, write, is_of_node: false })
    }

    /// Carries out a command about channels; unless it only asks, when everything before it is
    /// done.
    pub(super) fn speak(
        &mut self,
        words: &[&[u8]],
        desk: &mut Desk,
        out: &mut BytesMut,
    ) -> Result<Step, Refused> {
        let only_asks = is(words[0], "ping") || is(words[0], "pubsub");
        if !only_asks && !self.pending.is_empty() {
            return Ok(Step::Blocked);
        }
        self.client.request_id = None;
        let (subscriber, is_silent) = (self.subscriber, self.is_silent());
        let mut speaking = Speaking { channels: &mut desk.channels, subscriber, is_silent };
        if only_asks {
            let mut bytes = BytesMut::new();
            let mut reply = ReplyWriter::new(&mut bytes, self.client.protocol);
            subscribing::carry_out(words, &mut speaking, &mut reply)?;
            self.say(out, |reply| reply.raw(&bytes));
            return Ok(Step::Done);
        }
        let mut reply = ReplyWriter::new(out, self.client.protocol);
        let done = subscribing::carry_out(words, &mut speaking, &mut reply);
        self.note_subscriptions(desk);
        done.map(|()| Step::Done)
    }

    /// Notes whether it is told messages.
    pub(super) fn note_subscriptions(&mut self, desk: &Desk) {
        self.is_subscribed = desk.channels.registry().has(self.subscriber);
    }
}
