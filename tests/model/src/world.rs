//! What can happen next, for the model checker.

use raft_core::types::NodeId;
use stateright::{Model, Property};

use crate::bounds::Bounds;
use crate::cluster::{Action, Cluster, Step};
use crate::properties;

/// Messages that one step sends at most while three nodes are no busier than here; messages are
/// lost only where room for so many is missing, because until then to lose one and to let it
/// wait are the same. The second number is for leaders that also tell somebody to leave or to
/// campaign.
const SENT_AT_ONCE: (usize, usize) = (2, 3);

/// A cluster with bounds.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) bounds: Bounds,
}

impl Model for World {
    type State = Cluster;
    type Action = Step;

    fn init_states(&self) -> Vec<Cluster> {
        vec![self.bounds.start.cluster(&self.bounds)]
    }

    fn actions(&self, cluster: &Cluster, steps: &mut Vec<Step>) {
        let (bounds, spent) = (&self.bounds, &cluster.spent);
        if cluster.past.history.breach.is_some() {
            return;
        }
        let may_be_slow = spent.slow_writes < bounds.slow_writes;
        // As long as nothing has happened to any node but the first, the others are alike, and
        // what happens to one of them happens to the second.
        let may_happen = |node: NodeId| spent.is_told_apart || node.number() <= 2;
        let mut push = |action: Action, writes: bool| {
            if !may_happen(action.concerns()) {
                return;
            }
            if writes && may_be_slow {
                steps.push(Step { action: action.clone(), is_slow: true });
            }
            steps.push(Step { action, is_slow: false });
        };
        let sent_at_once = if bounds.change_members() { SENT_AT_ONCE.1 } else { SENT_AT_ONCE.0 };
        let is_full = bounds.in_flight < cluster.flights.len() + sent_at_once;
        for flight in &cluster.flights {
            push(Action::Deliver(flight.clone()), true);
            if spent.duplicates < bounds.duplicates {
                push(Action::DeliverAndKeep(flight.clone()), true);
            }
            if is_full {
                push(Action::Lose(flight.clone()), false);
            }
        }
        // Before anything has happened all nodes are alike: it is the first who times out first.
        let is_untouched = spent.timeouts == 0 && !spent.is_told_apart;
        for node in cluster.nodes.iter().take(if is_untouched { 1 } else { usize::MAX }) {
            let id = node.id();
            let mut offer = |is_possible: bool, action: Action| {
                if is_possible {
                    let writes = matches!(
                        action,
                        Action::Propose(_) | Action::Ask(..) | Action::LookAtMembers(_)
                    );
                    push(action, writes);
                }
            };
            let leads = node.leads();
            offer(node.is_writing(), Action::Persist(id));
            offer(!leads && spent.timeouts < bounds.timeouts, Action::TimeOut(id));
            offer(node.follows() && spent.doubts < bounds.doubts, Action::Doubt(id));
            offer(leads && spent.heartbeats < bounds.heartbeats, Action::SendHeartbeats(id));
            offer(leads && spent.quorum_checks < bounds.quorum_checks, Action::CheckQuorum(id));
            offer(leads && spent.proposals < bounds.proposals, Action::Propose(id));
            for change in 0..bounds.changes.len() {
                let is_new = spent.changes & (1 << change) == 0;
                offer(is_new && node.can_decide(), Action::Ask(id, change));
            }
            offer(leads && spent.looks < bounds.looks, Action::LookAtMembers(id));
            offer(!is_untouched && spent.crashes < bounds.crashes, Action::Restart(id));
        }
    }

    fn next_state(&self, cluster: &Cluster, step: Step) -> Option<Cluster> {
        cluster.after(&step, &self.bounds)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}
