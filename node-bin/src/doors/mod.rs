//! Doors: takes the connections of protocols that are not the native one.
//!
//! Facts taken: `DoorAccepted` (Listener).
//! Limits: none of its own; a connection that is turned away has `TURN_AWAY_DEADLINE` to go.

mod etcd;
mod http;
pub(crate) mod resp;
mod stranger;

pub(crate) use etcd::{Behind, Hashing, SnapshotSource};
pub(crate) use http::{Backstage, Hosts, Introduction, Web};

use std::time::Duration;

use actix::{Actor, Context, Handler};
use raft_net::listener::DoorAccepted;

use crate::fault::FaultGuard;

/// How long a connection that is turned away may take to read why.
const TURN_AWAY_DEADLINE: Duration = Duration::from_secs(5);

/// The actor.
#[derive(Debug)]
pub(crate) struct Doors {
    _fault: FaultGuard,
}

impl Doors {
    pub(crate) fn new(fault: FaultGuard) -> Self {
        Self { _fault: fault }
    }
}

impl Actor for Doors {
    type Context = Context<Self>;
}

impl Handler<DoorAccepted> for Doors {
    type Result = ();

    fn handle(&mut self, accepted: DoorAccepted, _: &mut Self::Context) {
        let DoorAccepted { speaks, stream, from, .. } = accepted;
        let ends = stranger::turn_away(stream, speaks, from);
        actix_rt::spawn(async {
            // Who is still there after the deadline does not read.
            let _ = tokio::time::timeout(TURN_AWAY_DEADLINE, ends).await;
        });
    }
}
