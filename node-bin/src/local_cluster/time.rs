//! How time passes for the nodes of a cluster: slower, not at all, or a little at a time.
//!
//! Time is what the nodes' Raft goes by. While it stands still no timer runs and nothing that a
//! node sends leaves it; what was on its way arrives, and a client's command is taken in.

use std::time::Duration;

use raft_core::replica::StateMachine;
use raft_net::client_protocol::playground::TimeScale;
use tokio::time::{Instant, sleep};

use super::playground::LOOK_INTERVAL;
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
    /// Whether it passes for a step, behind which it stands still again.
    is_stepping: bool,
}

impl TimePassing {
    pub(super) fn of_percent(begun_percent: u64) -> Self {
        let scale = TimeScale { percent: begun_percent };
        Self { begun_percent, scale, is_frozen: false, is_stepping: false }
    }

    /// What a node is told.
    pub(super) fn pace(&self) -> Pace {
        Pace { slower_percent: self.slower_percent(), is_frozen: self.is_frozen }
    }

    /// What passes for the nodes in so much time outside, if it does not stand still.
    pub(super) fn inside(&self, outside: Duration) -> Duration {
        let percent = u32::try_from(self.slower_percent()).unwrap_or(u32::MAX).max(1);
        outside.saturating_mul(100) / percent
    }

    fn slower_percent(&self) -> u64 {
        self.scale.percent.saturating_mul(100) / self.begun_percent.max(1)
    }
}

/// Time that passes for a step, and stands still again also if nobody waits for its end.
struct Stepping<'c, S: StateMachine + Send + Unpin + 'static>(&'c mut LocalCluster<S>);

impl<S: StateMachine + Send + Unpin + 'static> Drop for Stepping<'_, S> {
    fn drop(&mut self) {
        // Somebody may have let time go on for good, or stand still at once.
        if std::mem::take(&mut self.0.time.is_stepping) {
            self.0.time.is_frozen = true;
            self.0.tell_time();
        }
    }
}

impl<S: StateMachine + Send + Unpin + 'static> LocalCluster<S> {
    /// Makes time pass so much slower for all nodes than it does outside, from now on.
    ///
    /// Errors: `LeaseReads` if the nodes trust their clocks.
    pub fn set_time_scale(&mut self, scale: TimeScale) -> Result<(), PlaceError> {
        self.check_no_leases()?;
        self.time.scale = scale;
        self.tell_time();
        Ok(())
    }

    /// Makes time stand still for all nodes: no timer runs, and nothing leaves a node.
    ///
    /// Errors: `Frozen` if it does already; `LeaseReads` if the nodes trust their clocks.
    pub fn freeze(&mut self) -> Result<(), PlaceError> {
        self.check_no_leases()?;
        if std::mem::replace(&mut self.time.is_frozen, true) {
            return Err(PlaceError::Frozen);
        }
        self.time.is_stepping = false;
        self.tell_time();
        Ok(())
    }

    /// Lets time go on.
    ///
    /// Errors: `NotFrozen` if it does.
    pub fn thaw(&mut self) -> Result<(), PlaceError> {
        let is_stepping = std::mem::take(&mut self.time.is_stepping);
        if !std::mem::replace(&mut self.time.is_frozen, false) && !is_stepping {
            return Err(PlaceError::NotFrozen);
        }
        self.tell_time();
        Ok(())
    }

    /// Lets so much time pass for the nodes, while it stands still before and afterwards; somebody
    /// who freezes or thaws it meanwhile ends the step. Returns how much has passed.
    ///
    /// Errors: `NotFrozen`, or `StepTooLong` if it would take longer than a minute outside.
    pub async fn step(&mut self, time: Duration) -> Result<Duration, PlaceError> {
        if !self.time.is_frozen {
            return Err(PlaceError::NotFrozen);
        }
        if STEP_MAX < self.outside(time) {
            return Err(PlaceError::StepTooLong);
        }
        self.thaw()?;
        self.time.is_stepping = true;
        let stepping = Stepping(self);
        let mut left = time;
        // Somebody may change meanwhile how fast time passes.
        while stepping.0.time.is_stepping && !left.is_zero() {
            let (before, pause) = (Instant::now(), stepping.0.outside(left).min(LOOK_INTERVAL));
            stepping.0.meanwhile(sleep(pause)).await;
            let percent = stepping.0.scale_percent().max(1);
            left = left.saturating_sub(before.elapsed().saturating_mul(100) / percent);
        }
        drop(stepping);
        Ok(time.saturating_sub(left))
    }

    /// How long so much time of the nodes takes outside.
    fn outside(&self, inside: Duration) -> Duration {
        inside.saturating_mul(self.scale_percent()) / 100
    }

    fn scale_percent(&self) -> u32 {
        u32::try_from(self.time.scale.percent).unwrap_or(u32::MAX)
    }

    /// Promises by clocks hold only while all clocks go as fast: nodes are told one after the
    /// other how time passes.
    fn check_no_leases(&self) -> Result<(), PlaceError> {
        if self.options.lease_reads { Err(PlaceError::LeaseReads) } else { Ok(()) }
    }

    /// Says that what needs time to pass cannot be done while it does not.
    ///
    /// Errors: `Frozen`.
    pub(super) fn check_time_passes(&self) -> Result<(), PlaceError> {
        if self.is_frozen() { Err(PlaceError::Frozen) } else { Ok(()) }
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
