//! Makes time pass for Consensus.

use std::time::Duration;

use actix::Recipient;
use actix_rt::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::consensus::Tick;

/// Sends a `Tick` every `interval` from the thread that also obeys it, so that there is never
/// more than one in flight; a late one is not made up for.
pub(crate) fn start(interval: Duration, to: Recipient<Tick>) -> JoinHandle<()> {
    actix_rt::spawn(async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while to.connected() {
            ticks.tick().await;
            to.do_send(Tick);
        }
    })
}
