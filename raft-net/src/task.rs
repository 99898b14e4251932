//! Local tasks that end with their owner.

use std::future::Future;

use actix::prelude::*;
use tokio::task::JoinHandle;

/// Ends an actor of this crate, with every connection that it owns.
///
/// Needed because their tasks report to them: such an actor does not end by being forgotten.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;

/// A task on the thread of its owner, ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Task(JoinHandle<()>);

impl Task {
    pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) -> Self {
        Self(actix_rt::spawn(future))
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
