//! The wires of a node that somebody may play with.

use std::time::Duration;

use actix::prelude::*;
use raft_core::types::NodeId;
use tokio::time::Instant;

use super::{Network, Received};
use crate::faults::{Fate, Faults, Held, Packet, SetFaults};
use crate::inquiry::Inquired;
use crate::preface::LinkClass;
use crate::publication::Heard;

/// What is wrong with the wires, and what is on its way because of that.
#[derive(Debug)]
pub(super) struct Faulty {
    faults: Faults,
    held: Held,
    /// When `Release` comes next, if something waits.
    wakes_at: Option<Instant>,
}

/// Says that something that was held may be due.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
struct Release;

impl Faulty {
    pub(super) fn new(faults: Faults) -> Self {
        Self { faults, held: Held::default(), wakes_at: None }
    }

    /// Whether something for this link leaves now; otherwise it is lost, or is kept for later.
    pub(super) fn lets_go(
        &mut self,
        (to, class): (NodeId, LinkClass),
        packet: impl FnOnce() -> Packet,
    ) -> bool {
        let delay = match self.faults.fate(to) {
            // What waits from a time when the peer was further away goes first.
            Fate::Leaves if self.held.has(to) || self.faults.is_frozen => Duration::ZERO,
            Fate::Leaves => return true,
            Fate::IsLost => return false,
            Fate::Waits(delay) => delay,
        };
        self.held.keep(Instant::now(), delay, (to, class), packet());
        false
    }
}

impl Network {
    /// Makes sure to be woken when the next thing that waits is due.
    pub(super) fn plan_release(&mut self, ctx: &mut Context<Self>) {
        let Some(faulty) = &mut self.faulty else { return };
        let Some(due) = faulty.held.next_due().filter(|_| !faulty.faults.is_frozen) else { return };
        if faulty.wakes_at.is_none_or(|wakes_at| due < wakes_at) {
            faulty.wakes_at = Some(due);
            ctx.notify_later(Release, due.saturating_duration_since(Instant::now()));
        }
    }
}

impl Handler<Release> for Network {
    type Result = ();

    fn handle(&mut self, _: Release, ctx: &mut Self::Context) {
        let Some(faulty) = &mut self.faulty else { return };
        faulty.wakes_at = None;
        if faulty.faults.is_frozen {
            return;
        }
        for (to, class, packet) in faulty.held.take_due(Instant::now()) {
            // What was on its way when the link was cut is lost, too.
            if faulty.faults.fate(to) == Fate::IsLost {
                continue;
            }
            let Some(link) = self.links.get_mut(&(to, class)) else { continue };
            match packet {
                Packet::Envelope(envelope) => link.push(&envelope),
                Packet::Publications(frame) => link.spread(&frame),
            }
            link.flush();
        }
        self.plan_release(ctx);
    }
}

impl Handler<SetFaults> for Network {
    type Result = ();

    fn handle(&mut self, SetFaults(faults): SetFaults, ctx: &mut Self::Context) {
        match &mut self.faulty {
            Some(faulty) => faulty.faults = faults,
            None => tracing::warn!("nobody may play with this node: its wires stay as they are"),
        }
        // What has waited for time to go on leaves.
        self.plan_release(ctx);
    }
}

/// From the node's own readers, on its way to Consensus.
impl Handler<Received> for Network {
    type Result = ();

    fn handle(&mut self, fact: Received, _: &mut Self::Context) {
        let Received { mut envelopes } = fact;
        if let Some(faulty) = &self.faulty {
            envelopes.retain(|envelope| faulty.faults.hears(envelope.from));
        }
        if !envelopes.is_empty() {
            self.facts.received.do_send(Received { envelopes });
        }
    }
}

/// The same on its way to Api.
impl Handler<Heard> for Network {
    type Result = ();

    fn handle(&mut self, fact: Heard, _: &mut Self::Context) {
        let is_cut = |faulty: &Faulty| !faulty.faults.hears(fact.from);
        if !self.faulty.as_ref().is_some_and(is_cut) {
            self.facts.heard.do_send(fact);
        }
    }
}

/// What other nodes ask and answer about values, on its way to Api.
impl Handler<Inquired> for Network {
    type Result = ();

    fn handle(&mut self, fact: Inquired, _: &mut Self::Context) {
        let is_cut = |faulty: &Faulty| !faulty.faults.hears(fact.from);
        if !self.faulty.as_ref().is_some_and(is_cut) {
            self.facts.inquired.do_send(fact);
        }
    }
}
