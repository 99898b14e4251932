//! Requests to hand leadership over. Nothing in the log says that it worked: whoever asked is
//! answered when somebody else is seen to lead.

use crate::replica::event::{Refusal, Ticket};
use crate::types::{NodeId, Time};

/// After how many election timeouts a request has failed. A hand-over is given up after one;
/// the rest is for the question on its way and for the election.
const PATIENCE: u64 = 4;

#[derive(Debug)]
struct Pending {
    ticket: Ticket,
    to: Option<NodeId>,
    /// Who led when it was asked for.
    from: Option<NodeId>,
    deadline: Time,
}

/// When a request has failed that may take `timeout_us`.
pub(crate) fn deadline(now: Time, timeout_us: u64, election_timeout_us: u64) -> Time {
    now.after(timeout_us.min(PATIENCE * election_timeout_us))
}

/// All requests that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct Transfers {
    pending: Vec<Pending>,
}

impl Transfers {
    /// Adds a request that was made while `from` led.
    pub(crate) fn add(
        &mut self,
        deadline: Time,
        ticket: Ticket,
        (to, from): (Option<NodeId>, Option<NodeId>),
    ) {
        self.pending.push(Pending { ticket, to, from, deadline });
    }

    /// Ends the requests that `leader` fulfils, with `Ok`, and those that are too late.
    pub(crate) fn end(
        &mut self,
        now: Time,
        leader: Option<NodeId>,
        mut each: impl FnMut(Ticket, Result<(), Refusal>),
    ) {
        self.pending.retain(|request| {
            let is_done = match request.to {
                Some(to) => leader == Some(to),
                None => leader.is_some() && leader != request.from,
            };
            if is_done {
                each(request.ticket, Ok(()));
            } else if request.deadline <= now {
                each(request.ticket, Err(Refusal::NotHandedOver));
            }
            !is_done && now < request.deadline
        });
    }
}
