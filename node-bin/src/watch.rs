//! Watch: who watches the store on this node.
//!
//! Owns: every watch and how far it is, and when watches of the monitor are due. Commands in:
//! `Orders`, `MonitorOrders`, `CountWatches` (Api), `WatchTick`.
//! Facts in: `Applied`, `ChangesRead` (Consensus). Commands out: `ReadChanges` (to Consensus).
//! Facts out: `Pushed`, `MonitorDue`, `WatchesCounted` (to Api).
//! Limits: those of `kv_store::watching`; at most one `ReadChanges` is under way, and nothing is
//! kept for anybody.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient, SpawnHandle};
use kv_store::command::Limits;
use kv_store::watching::{CHANGES_BYTES_MAX, Order, Owner, Push, Tally, Watching};
use raft_core::replica::changes::{Changes, NoChanges};
use raft_core::replica::event::Applied as Progress;

use crate::fault::FaultGuard;

/// Reports how far the state machine has come; one message per turn at most.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct Applied(pub Progress);

/// Reads what changed from a revision on.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct ReadChanges {
    /// The revision.
    pub from: u64,
    /// How much at once, the last revision apart. Units: bytes.
    pub bytes_max: usize,
}

/// Brings what changed, or says why there is nothing.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub(crate) struct ChangesRead(pub Result<Changes, NoChanges>);

/// Does what clients want of their watches.
#[derive(Message, Debug, Default)]
#[rtype(result = "()")]
pub(crate) struct Orders {
    /// What they want, in this order.
    pub orders: Vec<Order>,
    /// What connections have not read yet of what they were sent. Units: bytes.
    pub unread: Vec<(u64, usize)>,
}

/// Brings what is to be told to watches, in this order.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Pushed(pub Vec<Push>);

/// Lets a while pass: whoever asked for that is told how far it is.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct WatchTick;

/// Begins and ends watches of the monitor, whose values are asked for again and again.
#[derive(Message, Debug, Default)]
#[rtype(result = "()")]
pub(crate) struct MonitorOrders {
    /// Which begin, and how often each is due. Units: milliseconds.
    pub begin: Vec<(Owner, u64)>,
    /// Which end.
    pub end: Vec<Owner>,
}

/// Says that a watch of the monitor is to be told its values.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct MonitorDue(pub Owner);

/// Asks how many watches there are.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct CountWatches {
    /// What the answer is to carry.
    pub task: u64,
}

/// Says how many watches there are.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct WatchesCounted {
    /// As it was asked.
    pub task: u64,
    /// How many.
    pub tally: Tally,
}

/// Where facts go.
#[derive(Debug)]
pub(crate) struct Outlets {
    pub(crate) read_changes: Recipient<ReadChanges>,
    pub(crate) pushed: Recipient<Pushed>,
    pub(crate) due: Recipient<MonitorDue>,
    pub(crate) counted: Recipient<WatchesCounted>,
}

/// The actor.
#[derive(Debug)]
pub(crate) struct Watch {
    watching: Watching,
    outlets: Outlets,
    /// What makes watches of the monitor due.
    timers: BTreeMap<Owner, SpawnHandle>,
    _fault: FaultGuard,
}

impl Watch {
    pub(crate) fn new(outlets: Outlets, fault: FaultGuard) -> Self {
        let watching = Watching::new(Limits::default());
        Self { watching, outlets, timers: BTreeMap::new(), _fault: fault }
    }

    fn hand_on(&mut self) {
        if let Some(from) = self.watching.wants() {
            self.outlets.read_changes.do_send(ReadChanges { from, bytes_max: CHANGES_BYTES_MAX });
        }
        let pushes = self.watching.take_pushes();
        if !pushes.is_empty() {
            self.outlets.pushed.do_send(Pushed(pushes));
        }
    }
}

impl Actor for Watch {
    type Context = Context<Self>;
}

impl Handler<Applied> for Watch {
    type Result = ();

    fn handle(&mut self, Applied(progress): Applied, _: &mut Self::Context) {
        self.watching.applied(progress.revision);
        self.hand_on();
    }
}

impl Handler<ChangesRead> for Watch {
    type Result = ();

    fn handle(&mut self, ChangesRead(changes): ChangesRead, _: &mut Self::Context) {
        self.watching.take(changes);
        self.hand_on();
    }
}

impl Handler<Orders> for Watch {
    type Result = ();

    fn handle(&mut self, Orders { orders, unread }: Orders, _: &mut Self::Context) {
        for (connection, unread_bytes) in unread {
            self.watching.has_read(connection, unread_bytes);
        }
        orders.into_iter().for_each(|order| self.watching.obey(order));
        self.hand_on();
    }
}

impl Handler<WatchTick> for Watch {
    type Result = ();

    fn handle(&mut self, _: WatchTick, _: &mut Self::Context) {
        self.watching.tick();
        self.hand_on();
    }
}

impl Handler<MonitorOrders> for Watch {
    type Result = ();

    fn handle(&mut self, orders: MonitorOrders, context: &mut Self::Context) {
        for (owner, interval_ms) in orders.begin {
            self.outlets.due.do_send(MonitorDue(owner));
            let interval = Duration::from_millis(interval_ms);
            let timer = context.run_interval(interval, move |own, _| {
                own.outlets.due.do_send(MonitorDue(owner));
            });
            if let Some(before) = self.timers.insert(owner, timer) {
                context.cancel_future(before);
            }
        }
        for owner in orders.end {
            if let Some(timer) = self.timers.remove(&owner) {
                context.cancel_future(timer);
            }
        }
    }
}

impl Handler<CountWatches> for Watch {
    type Result = ();

    fn handle(&mut self, CountWatches { task }: CountWatches, _: &mut Self::Context) {
        self.outlets.counted.do_send(WatchesCounted { task, tally: self.watching.tally() });
    }
}
