//! What must hold in every state, and what must happen in some so that the rest means anything.

use std::sync::Arc;

use raft_core::types::NodeId;
use stateright::Property;

use crate::bounds::Bounds;
use crate::cluster::Cluster;
use crate::history::{Breach, Content, History, Removed};
use crate::members::{Ask, Members};
use crate::node::Node;
use crate::start::Start;
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
        Property::always("whoever is elected has a vote", |_, it: &Cluster| {
            !matches!(it.past.history.breach, Some(Breach::LeaderWithoutVote(..)))
        }),
        Property::always("one change of the members is open", |_, it: &Cluster| {
            has_one_open_change(it)
        }),
    ];
    all.extend(happenings(world));
    all
}

/// What must happen somewhere within these bounds.
fn happenings(world: &World) -> Vec<Property<World>> {
    let bounds = &world.bounds;
    let mut all = vec![Property::sometimes("a leader is elected", |_, it: &Cluster| {
        !it.past.history.leaders.is_empty()
    })];
    if 1 < bounds.terms {
        all.push(Property::sometimes("a second leader is elected", |_, it: &Cluster| {
            1 < it.past.history.leaders.len()
        }));
    }
    if 0 < bounds.proposals {
        all.extend(happenings_of_commands(1 < bounds.terms));
    }
    if bounds.change_members() {
        all.extend(happenings_of_changes(bounds));
    }
    if bounds.start == Start::TwoLeadersFell {
        all.extend(happenings_of_figure_8());
    }
    all
}

fn happenings_of_commands(leaders_change: bool) -> Vec<Property<World>> {
    let mut all = vec![
        Property::sometimes("a command is committed", |_, it: &Cluster| {
            it.past.history.committed.iter().any(|entry| entry.content.is_command())
        }),
        Property::sometimes("a command is on every disk and applied", |_, it: &Cluster| {
            it.nodes.iter().all(|node| {
                node.durable_log.iter().take(node.applied_count()).any(Content::is_command)
            })
        }),
    ];
    if leaders_change {
        all.push(Property::sometimes(
            "a command is committed under a second leader",
            |_, it: &Cluster| {
                let History { leaders, committed, .. } = &it.past.history;
                let is_later = |term| leaders.keys().next().is_some_and(|first| *first < term);
                1 < leaders.len()
                    && committed
                        .iter()
                        .any(|entry| entry.content.is_command() && is_later(entry.in_term))
            },
        ));
        all.push(Property::sometimes("an entry is removed from a log", |_, it: &Cluster| {
            it.past.history.removed.is_some()
        }));
    }
    all
}

fn happenings_of_changes(bounds: &Bounds) -> Vec<Property<World>> {
    let mut all =
        vec![Property::sometimes("all changes are committed", |world: &World, it: &Cluster| {
            world.bounds.changes.len() <= changes_committed(&it.past.history)
        })];
    // With two voters both have to vote for a leader that does not have it, so one must have
    // lost it.
    let may_be_lost = 0 < bounds.crashes && 0 < bounds.slow_writes;
    if 2 < bounds.nodes - bounds.learners || may_be_lost {
        all.push(Property::sometimes("a change is removed from a log", |_, it: &Cluster| {
            it.past.history.removed == Some(Removed::Change)
        }));
    }
    if bounds.changes.iter().any(Ask::names_several) {
        all.push(Property::sometimes(
            "a leader is elected while the members are joint",
            |_, it: &Cluster| {
                it.nodes.iter().filter(|node| node.leads()).any(|leader| {
                    let own = leader.log.partition_point(|it| it.id.term < leader.term());
                    leader.members_by(&leader.log[..own]).is_joint()
                })
            },
        ));
    }
    all
}

fn happenings_of_figure_8() -> Vec<Property<World>> {
    vec![
        Property::sometimes(
            "a leader's entry of an earlier term is on a majority of disks and not committed",
            |_, it: &Cluster| {
                is_spread(it, |leader, place, entry| leader.log.get(place) == Some(&entry))
            },
        ),
        Property::sometimes(
            "a leader is elected without an entry that is on a majority of disks",
            |_, it: &Cluster| {
                is_spread(it, |leader, place, entry| leader.log.get(place) != Some(&entry))
            },
        ),
    ]
}

/// Whether there is an entry that is not committed and on a majority of disks, and a leader of
/// a later term of whom this is true, given the place of the entry.
fn is_spread(cluster: &Cluster, is_so: impl Fn(&Node, usize, Content) -> bool) -> bool {
    let first = cluster.past.history.committed.len();
    let leaders = || cluster.nodes.iter().filter(|node| node.leads());
    cluster.nodes.iter().flat_map(|node| node.durable_log.iter().enumerate().skip(first)).any(
        |(place, entry)| {
            let holders = holders(cluster, place, entry).count();
            cluster.nodes.len() < 2 * holders
                && leaders().any(|it| entry.id.term < it.term() && is_so(it, place, *entry))
        },
    )
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
    let mut committed = cluster.past.history.committed.iter().enumerate();
    committed.all(|(place, entry)| entry.by.is_majority(holders(cluster, place, &entry.content)))
}

/// On whose disks an entry is.
fn holders(cluster: &Cluster, place: usize, entry: &Content) -> impl Iterator<Item = NodeId> {
    let holds = move |node: &&Arc<Node>| node.durable_log.get(place) == Some(entry);
    cluster.nodes.iter().filter(holds).map(|node| node.id())
}

/// Whether no log has more than one change that is not committed yet (Ongaro 2014 §4.1).
fn has_one_open_change(cluster: &Cluster) -> bool {
    let committed = &cluster.past.history.committed;
    let is_open = |&(place, entry): &(usize, &Content)| {
        entry.is_change() && committed.get(place).is_none_or(|it| it.content != *entry)
    };
    let mut logs = cluster.nodes.iter().flat_map(|node| [&node.log, &node.durable_log]);
    logs.all(|log| log.iter().enumerate().filter(is_open).count() <= 1)
}

/// How many changes that were asked for are committed; the end of a joint configuration is none
/// of them.
fn changes_committed(history: &History) -> usize {
    let made: Vec<Members> =
        history.committed.iter().filter_map(|entry| entry.content.members()).collect();
    let ends = made.windows(2).filter(|pair| pair[0].is_joint()).count();
    made.len() - ends
}
