//! The classes of faults, by name, and which of them a run has had.

use crate::simulator::plan::{FAULTS, Transport};
use crate::simulator::world::World;

/// What a run has had of a class of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It was drawn, and it happened.
    On,
    /// It was not drawn.
    Off,
    /// It was drawn and never came about; the run counts neither way.
    Absent,
}

/// A class that is not struck from time to time but belongs to a whole run.
struct Lasting {
    name: &'static str,
    is_drawn: fn(&World) -> bool,
    has_happened: fn(&World) -> bool,
}

/// The classes beside `FAULTS`.
const LASTING: [Lasting; 11] = [
    lasting("datagrams", |w| w.plan.transport == Transport::Datagram, |w| 0 < w.counts.messages),
    lasting("lost messages", |w| 0 < w.plan.loss_per_mille, |w| 0 < w.counts.messages_lost),
    lasting("doubled messages", |w| 0 < w.plan.twice_per_mille, |w| 0 < w.counts.messages_doubled),
    lasting("late messages", |w| 0 < w.plan.late_per_mille, |w| 0 < w.counts.messages_late),
    lasting("lost requests", |w| 0 < w.plan.clients.loss_per_mille, |w| 0 < w.counts.client_losses),
    lasting("clock drift", |w| 0 < w.plan.skew_per_mille, |_| true),
    lasting("rough start", |w| w.plan.starts_roughly, |w| 0 < w.counts.rough_strikes),
    lasting("snapshots", |w| w.plan.limits.makes_snapshots(), |w| 0 < w.counts.snapshots),
    lasting("typed commands", |w| 0 < w.plan.clients.typed_per_mille, |w| 0 < w.counts.typed),
    lasting("watches", |w| 0 < w.plan.clients.watchers, |w| 0 < w.counts.watch_changes),
    lasting("changed members", |w| w.operator.interval_us.is_some(), |w| 0 < w.counts.changes_made),
];

const fn lasting(
    name: &'static str,
    is_drawn: fn(&World) -> bool,
    has_happened: fn(&World) -> bool,
) -> Lasting {
    Lasting { name, is_drawn, has_happened }
}

/// The names of all classes.
pub(crate) fn names() -> Vec<String> {
    let struck = FAULTS.iter().map(|fault| format!("{fault:?}"));
    struck.chain(LASTING.iter().map(|class| class.name.to_owned())).collect()
}

/// What a run that is over has had, in the order of the names.
pub(crate) fn presences(world: &World) -> Vec<Presence> {
    let presence = |is_drawn: bool, has_happened: bool| match (is_drawn, has_happened) {
        (false, _) => Presence::Off,
        (true, true) => Presence::On,
        (true, false) => Presence::Absent,
    };
    let struck = world.plan.weights.iter().zip(&world.strikes);
    let struck = struck.map(|(weight, strikes)| presence(0 < *weight, 0 < *strikes));
    let lasting = LASTING.iter().map(|c| presence((c.is_drawn)(world), (c.has_happened)(world)));
    struck.chain(lasting).collect()
}
