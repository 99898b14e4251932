//! Makes time pass for actors.

use std::time::Duration;

use actix::{Message, Recipient};
use actix_rt::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// Sends a tick every `interval` from the thread that also obeys it, so that there is never
/// more than one in flight; a late one is not made up for.
pub(crate) fn start<M>(interval: Duration, tick: M, to: Recipient<M>) -> JoinHandle<()>
where
    M: Message<Result = ()> + Copy + Send + 'static,
{
    actix_rt::spawn(async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while to.connected() {
            ticks.tick().await;
            to.do_send(tick);
        }
    })
}
