//! What must hold in every state, and what must happen in some so that the rest means anything.

use stateright::Property;

use crate::cluster::Cluster;
use crate::history::{Breach, Content};
use crate::world::World;

/// All of them.
pub(crate) fn all(world: &World) -> Vec<Property<World>> {
    let mut all = vec![
        Property::always("no node notices that something cannot be", |_, it: &Cluster| {
            !matches!(it.past.history.breach, Some(Breach::Panic(_)))
        }),
        Property::always("one leader per term", |_, it: &Cluster| {
            !matches!(it.past.history.breach, Some(Breach::TwoLeaders(_)))
        }),
        Property::always("one vote per term, on disk before it is sent", |_, it: &Cluster| {
            !matches!(
                it.past.history.breach,
                Some(Breach::TwoVotes(..) | Breach::VoteNotDurable(..))
            )
        }),
        Property::always("logs that agree on an entry agree before it", |_, it: &Cluster| {
            logs_match(it)
        }),
        Property::always("a leader has everything that was committed before", |_, it: &Cluster| {
            leaders_are_complete(it)
        }),
        Property::always("what is committed never changes", |_, it: &Cluster| {
            !matches!(it.past.history.breach, Some(Breach::CommittedTwice(_)))
        }),
        Property::always("what is committed is on a majority of disks", |_, it: &Cluster| {
            is_durable(it)
        }),
        Property::always("what is applied is what was committed, in order", |_, it: &Cluster| {
            !matches!(it.past.history.breach, Some(Breach::AppliedWrongly(_)))
        }),
    ];
    all.extend(happenings(world));
    all
}

/// What must happen somewhere within these bounds.
fn happenings(world: &World) -> Vec<Property<World>> {
    let mut all = vec![Property::sometimes("a leader is elected", |_, it: &Cluster| {
        !it.past.history.leaders.is_empty()
    })];
    let bounds = &world.bounds;
    if 1 < bounds.terms {
        all.push(Property::sometimes("a second leader is elected", |_, it: &Cluster| {
            1 < it.past.history.leaders.len()
        }));
    }
    if 0 < bounds.proposals {
        all.push(Property::sometimes("a command is committed", |_, it: &Cluster| {
            it.past.history.committed.iter().any(|entry| 0 < entry.content.proposal)
        }));
        all.push(Property::sometimes(
            "a command is on every disk and applied",
            |_, it: &Cluster| {
                it.nodes.iter().all(|node| {
                    node.durable_log
                        .iter()
                        .take(node.applied_count())
                        .any(|entry| 0 < entry.proposal)
                })
            },
        ));
    }
    if 0 < bounds.proposals && 1 < bounds.terms {
        all.push(Property::sometimes(
            "a command is committed under a second leader",
            |_, it: &Cluster| {
                1 < it.past.history.leaders.len()
                    && it.past.history.committed.iter().any(|entry| {
                        0 < entry.content.proposal
                            && it
                                .past
                                .history
                                .leaders
                                .first_key_value()
                                .is_some_and(|(first, _)| *first < entry.in_term)
                    })
            },
        ));
        all.push(Property::sometimes("an entry is removed from a log", |_, it: &Cluster| {
            it.past.history.has_truncated
        }));
    }
    all
}

fn logs_match(cluster: &Cluster) -> bool {
    let logs: Vec<&[Content]> = cluster
        .nodes
        .iter()
        .flat_map(|node| [node.log.as_slice(), node.durable_log.as_slice()])
        .collect();
    logs.iter().enumerate().all(|(place, one)| {
        logs[..place].iter().all(|other| {
            let common = one.iter().zip(*other).rposition(|(a, b)| a.id == b.id);
            common.is_none_or(|last| one[..=last] == other[..=last])
        })
    })
}

fn leaders_are_complete(cluster: &Cluster) -> bool {
    cluster.nodes.iter().filter(|node| node.leads()).all(|leader| {
        let earlier = cluster.past.history.committed.iter().enumerate();
        let mut earlier = earlier.filter(|(_, entry)| entry.in_term < leader.term());
        earlier.all(|(place, entry)| leader.log.get(place) == Some(&entry.content))
    })
}

fn is_durable(cluster: &Cluster) -> bool {
    cluster.past.history.committed.iter().enumerate().all(|(place, entry)| {
        let holds =
            cluster.nodes.iter().filter(|node| node.durable_log.get(place) == Some(&entry.content));
        cluster.nodes.len() / 2 < holds.count()
    })
}
