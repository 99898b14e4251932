//! Taps: one behind the outlets of each actor, so that what goes from one actor to another stays
//! in its order. They show a message and pass it on.

use std::any::{Any, type_name};
use std::fmt::Debug;

use actix::{Actor, Context, Handler, Recipient};
use raft_net::network::{Facts, PeerConnected, PeerLost, Received, SetPeers, Transmit};
use raft_net::publication::{Heard, Spread};

use super::{ConsoleMessages, Opened, Shown, cut, is_heartbeat};
use crate::consensus::{
    Answered, Describe, Described, Greet, Greeted, Read, ReadLocally, Submit, Transfer,
};
use crate::fault::FaultGuard;
use crate::log_store::{Configure, CutBefore, DiskFull, Fetch, Fetched, Persist, Persisted};
use crate::snapshot_store::{Orders as SnapshotOrders, SnapshotTold, SnapshotsMoved};
use crate::watch::{Applied, ChangesRead, Orders, Pushed, ReadChanges};
use crate::{api, consensus};

/// The places to which an actor speaks.
pub(crate) trait Tapped: Sized {
    /// The same with a tap in between.
    fn tapped(self, console: &Opened, fault: FaultGuard) -> Self;
}

/// Where LogStore reports to.
#[derive(Clone, Debug)]
pub(crate) struct LogFacts {
    pub(crate) persisted: Recipient<Persisted>,
    pub(crate) fetched: Recipient<Fetched>,
    pub(crate) full: Recipient<DiskFull>,
}

/// Where SnapshotStore reports to.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotFacts {
    pub(crate) moved: Recipient<SnapshotsMoved>,
    pub(crate) told: Recipient<SnapshotTold>,
}

/// To whom Watch speaks.
#[derive(Clone, Debug)]
pub(crate) struct WatchWords {
    pub(crate) read_changes: Recipient<ReadChanges>,
    pub(crate) pushed: Recipient<Pushed>,
}

/// The actor.
struct Tap<O> {
    outlets: O,
    shown: Recipient<Shown>,
    detail: ConsoleMessages,
    _fault: FaultGuard,
}

impl<O: Unpin + 'static> Actor for Tap<O> {
    type Context = Context<Self>;
}

impl<O> Tap<O> {
    fn show<M: Any + Debug>(&self, (from, to): (&str, &str), message: &M) {
        let any: &dyn Any = message;
        if let Some(Transmit { envelopes, bulk }) = any.downcast_ref() {
            for envelope in envelopes.iter().chain(bulk).filter(|it| !is_heartbeat(it)) {
                let (from, to) = (format!("n{}", envelope.from), format!("n{}", envelope.to));
                let (name, payload) = (envelope.message.name(), self.payload(&envelope.message));
                self.tell(from, to, name.to_owned(), payload);
            }
            return;
        }
        let mut name = type_name::<M>().rsplit("::").next().unwrap_or_default().to_owned();
        if let Some(Received { envelopes }) = any.downcast_ref() {
            let heard = envelopes.iter().filter(|it| !is_heartbeat(it));
            let heard: Vec<String> =
                heard.map(|it| format!("{} of n{}", it.message.name(), it.from)).collect();
            if heard.is_empty() {
                return;
            }
            name = format!("{name} {}", heard.join(", "));
        }
        self.tell(from.to_owned(), to.to_owned(), name, self.payload(message));
    }

    fn payload(&self, message: &impl Debug) -> String {
        match self.detail {
            ConsoleMessages::Names => String::new(),
            ConsoleMessages::Full => cut(message),
        }
    }

    fn tell(&self, from: String, to: String, name: String, payload: String) {
        self.shown.do_send(Shown { from, to, name, payload });
    }
}

/// The outlets of an actor, and who is behind each.
macro_rules! taps {
    ($outlets:ty, $from:literal, $($field:ident: $message:ty => $to:literal),* $(,)?) => {
        impl Tapped for $outlets {
            fn tapped(self, console: &Opened, fault: FaultGuard) -> Self {
                let (outlets, shown) = (self.clone(), console.shown.clone());
                let tap = Tap { outlets, shown, detail: console.detail, _fault: fault }.start();
                let mut tapped = self;
                $(tapped.$field = tap.clone().recipient();)*
                tapped.told_of_roles(console);
                tapped
            }
        }

        $(impl Handler<$message> for Tap<$outlets> {
            type Result = ();

            fn handle(&mut self, message: $message, _: &mut Self::Context) {
                self.show(($from, $to), &message);
                self.outlets.$field.do_send(message);
            }
        })*
    };
}

/// Only Consensus knows the role of its node.
trait ToldOfRoles {
    fn told_of_roles(&mut self, _: &Opened) {}
}

impl ToldOfRoles for api::Outlets {}
impl ToldOfRoles for Facts {}
impl ToldOfRoles for LogFacts {}
impl ToldOfRoles for SnapshotFacts {}
impl ToldOfRoles for WatchWords {}

impl ToldOfRoles for consensus::Outlets {
    fn told_of_roles(&mut self, console: &Opened) {
        self.role = Some(console.role.clone());
    }
}

taps! { consensus::Outlets, "Consensus",
    persist: Persist => "LogStore",
    fetch: Fetch => "LogStore",
    cut_before: CutBefore => "LogStore",
    configure: Configure => "LogStore",
    snapshots: SnapshotOrders => "SnapshotStore",
    transmit: Transmit => "Network",
    set_peers: SetPeers => "Network",
    applied: Applied => "Watch",
    changes_read: ChangesRead => "Watch",
    answered: Answered => "Api",
    greeted: Greeted => "Api",
    described: Described => "Api",
}

taps! { api::Outlets, "Api",
    submit: Submit => "Consensus",
    read: Read => "Consensus",
    read_locally: ReadLocally => "Consensus",
    greet: Greet => "Consensus",
    describe: Describe => "Consensus",
    transfer: Transfer => "Consensus",
    watch: Orders => "Watch",
    spread: Spread => "Network",
}

taps! { Facts, "Network",
    received: Received => "Consensus",
    connected: PeerConnected => "Consensus",
    lost: PeerLost => "Consensus",
    heard: Heard => "Api",
}

taps! { LogFacts, "LogStore",
    persisted: Persisted => "Consensus",
    fetched: Fetched => "Consensus",
    full: DiskFull => "Consensus",
}

taps! { SnapshotFacts, "SnapshotStore",
    moved: SnapshotsMoved => "Consensus",
    told: SnapshotTold => "Api",
}

taps! { WatchWords, "Watch",
    read_changes: ReadChanges => "Consensus",
    pushed: Pushed => "Api",
}
