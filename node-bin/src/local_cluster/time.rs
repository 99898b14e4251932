//! How time passes for the nodes of a cluster: slower, not at all, or a little at a time.
//!
//! Time is what the nodes' Raft goes by. While it stands still no timer runs and nothing that a
//! node sends leaves it; what was on its way arrives, and a client's command is taken in.

use std::time::Duration;

use raft_core::replica::StateMachine;
use raft_net::client_protocol::playground::TimeScale;

use super::{LocalCluster, PlaceError};
use crate::node::Node;
use crate::pace::Pace;

/// The longest time that a step may take outside.
const STEP_MAX: Duration = Duration::from_secs(60);

/// How time passes.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimePassing {
    /// What timeouts were stretched by when the nodes were told them. Units: hundredths.
    begun_percent: u64,
    pub(super) scale: TimeScale,
    pub(super) is_frozen: bool,
}

impl TimePassing {
    pub(super) fn of_percent(begun_percent: u64) -> Self {
        let scale = TimeScale { percent: begun_percent };
        Self { begun_percent, scale, is_frozen: false }
    }

    /// What a node is told.
    pub(super) fn pace(&self) -> Pace {
        let slower_percent = self.scale.percent.saturating_mul(100) / self.begun_percent.max(1);
        Pace { slower_percent, is_frozen: self.is_frozen }
    }
}

impl<S: StateMachine + Send + Unpin + 'static> LocalCluster<S> {
    /// Makes time pass so much slower for all nodes than it does outside, from now on.
    pub fn set_time_scale(&mut self, scale: TimeScale) {
        self.time.scale = scale;
        self.tell_time();
    }

    /// Makes time stand still for all nodes: no timer runs, and nothing leaves a node.
    ///
    /// Errors: `Frozen` if it does already.
    pub fn freeze(&mut self) -> Result<(), PlaceError> {
        if std::mem::replace(&mut self.time.is_frozen, true) {
            return Err(PlaceError::Frozen);
        }
        self.tell_time();
        Ok(())
    }

    /// Lets time go on.
    ///
    /// Errors: `NotFrozen` if it does.
    pub fn thaw(&mut self) -> Result<(), PlaceError> {
        if !std::mem::replace(&mut self.time.is_frozen, false) {
            return Err(PlaceError::NotFrozen);
        }
        self.tell_time();
        Ok(())
    }

    /// Lets so much time pass for the nodes, while it stands still before and afterwards.
    ///
    /// Errors: `NotFrozen`, or `StepTooLong` if it would take longer than a minute outside.
    pub async fn step(&mut self, time: Duration) -> Result<(), PlaceError> {
        if !self.time.is_frozen {
            return Err(PlaceError::NotFrozen);
        }
        let percent = u32::try_from(self.time.scale.percent).unwrap_or(u32::MAX);
        let outside = time.saturating_mul(percent) / 100;
        if STEP_MAX < outside {
            return Err(PlaceError::StepTooLong);
        }
        self.thaw()?;
        tokio::time::sleep(outside).await;
        self.freeze()
    }

    /// Whether time stands still for the nodes.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.time.is_frozen
    }

    /// Tells every node how time passes, and its pages. One that stands still reads it when it
    /// goes on.
    fn tell_time(&mut self) {
        for node in self.places.keys().filter_map(|&id| self.living(id)) {
            self.tell_time_to(node);
        }
        self.tell_links();
    }

    pub(super) fn tell_time_to(&self, node: &Node) {
        node.set_pace(self.time.pace());
    }
}
