//! Watch: follows what this node has applied, for those who want to be told.
//!
//! Owns: how far the store has come; nobody can subscribe yet.
//! Facts in: `Applied` (Consensus). Limits: none needed without subscribers.

use actix::{Actor, Context, Handler, Message};
use raft_core::replica::event::Applied as Progress;

use crate::fault::FaultGuard;

/// Reports how far the state machine has come; one message per turn at most.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct Applied(pub Progress);

/// The actor.
#[derive(Debug)]
pub(crate) struct Watch {
    newest: Option<Progress>,
    _fault: FaultGuard,
}

impl Watch {
    pub(crate) fn new(fault: FaultGuard) -> Self {
        Self { newest: None, _fault: fault }
    }
}

impl Actor for Watch {
    type Context = Context<Self>;
}

impl Handler<Applied> for Watch {
    type Result = ();

    fn handle(&mut self, Applied(progress): Applied, _: &mut Self::Context) {
        assert!(
            self.newest.is_none_or(|newest| newest.index < progress.index),
            "the store moves forward"
        );
        self.newest = Some(progress);
    }
}
