//! Watch: who watches the store on this node.
//!
//! Owns: every watch and how far it is. Commands in: `Orders` (Api), `WatchTick`.
//! Facts in: `Applied`, `ChangesRead` (Consensus). Commands out: `ReadChanges` (to Consensus).
//! Facts out: `Pushed` (to Api).
//! Limits: those of `kv_store::watching`; at most one `ReadChanges` is under way, and nothing is
//! kept for anybody.

use actix::{Actor, Context, Handler, Message, Recipient};
use kv_store::command::Limits;
use kv_store::watching::{CHANGES_BYTES_MAX, Order, Push, Watching};
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

/// The actor.
#[derive(Debug)]
pub(crate) struct Watch {
    watching: Watching,
    read_changes: Recipient<ReadChanges>,
    pushed: Recipient<Pushed>,
    _fault: FaultGuard,
}

impl Watch {
    pub(crate) fn new(
        read_changes: Recipient<ReadChanges>,
        pushed: Recipient<Pushed>,
        fault: FaultGuard,
    ) -> Self {
        let watching = Watching::new(Limits::default());
        Self { watching, read_changes, pushed, _fault: fault }
    }

    fn hand_on(&mut self) {
        if let Some(from) = self.watching.wants() {
            self.read_changes.do_send(ReadChanges { from, bytes_max: CHANGES_BYTES_MAX });
        }
        let pushes = self.watching.take_pushes();
        if !pushes.is_empty() {
            self.pushed.do_send(Pushed(pushes));
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
