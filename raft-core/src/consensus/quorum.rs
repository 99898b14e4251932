//! Majorities, as arithmetic on the configured voters.

use std::collections::BTreeSet;

use crate::configuration::Configuration;
use crate::teeth::is_removed;
use crate::types::NodeId;

/// The highest value that a majority of the voters has reached, where `reached` gives each
/// voter's value and voters that have not spoken have the lowest one (Raft §5.3, §5.4). In a
/// joint configuration: that a majority of each half has reached (Ongaro 2014 §4.3).
///
/// Panics: if the configuration has no voter.
pub fn reached_by_majority<V: Copy + Ord>(
    configuration: &Configuration,
    reached: impl Fn(NodeId) -> V,
) -> V {
    let of_half = |half: &BTreeSet<NodeId>| {
        let mut values: Vec<V> = half.iter().map(|&voter| reached(voter)).collect();
        values.sort_unstable_by(|a, b| b.cmp(a));
        values[half.len() / 2]
    };
    let halves = configuration.halves().map(of_half);
    let reached = if is_removed("both-halves-decide") { halves.max() } else { halves.min() };
    reached.expect("a cluster that decides has voters")
}

/// How an election stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VoteResult {
    /// So many refused that no majority is possible.
    Lost,
    /// Open.
    Pending,
    /// A majority granted.
    Won,
}

/// Counts votes; `vote` gives what each voter said, `None` if nothing yet (Raft §5.2). In a
/// joint configuration each half must be won, and one that is lost decides.
///
/// Panics: if the configuration has no voter.
pub fn vote_result(
    configuration: &Configuration,
    vote: impl Fn(NodeId) -> Option<bool>,
) -> VoteResult {
    let of_half = |half: &BTreeSet<NodeId>| {
        let count = |wanted| half.iter().filter(|&&voter| vote(voter) == Some(wanted)).count();
        let quorum = half.len() / 2 + 1;
        if quorum <= count(true) {
            VoteResult::Won
        } else if half.len() - quorum < count(false) {
            VoteResult::Lost
        } else {
            VoteResult::Pending
        }
    };
    let halves = configuration.halves().map(of_half);
    let result = if is_removed("both-halves-elect") { halves.max() } else { halves.min() };
    result.expect("a cluster that votes has voters")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voters(count: u64) -> Configuration {
        Configuration::of((1..=count).filter_map(NodeId::new))
    }

    /// Tries every assignment of three values to the voters against the definition: the
    /// largest value v such that more than half of the voters reached at least v.
    #[test]
    fn the_majority_value_is_the_definition_for_one_to_seven_voters() {
        for count in 1..=7u32 {
            let configuration = voters(u64::from(count));
            for assignment in 0..3u64.pow(count) {
                let value = |node: NodeId| {
                    assignment / 3u64.pow(u32::try_from(node.number()).unwrap() - 1) % 3
                };
                let naive = (0..3u64)
                    .filter(|&v| {
                        let reached =
                            configuration.voters.iter().filter(|&&n| v <= value(n)).count();
                        configuration.voters.len() < 2 * reached
                    })
                    .max()
                    .unwrap();
                assert_eq!(reached_by_majority(&configuration, value), naive);
            }
        }
    }

    #[test]
    fn an_election_is_won_lost_or_open_by_the_definition() {
        for count in 1..=7u32 {
            let configuration = voters(u64::from(count));
            for assignment in 0..3u64.pow(count) {
                let vote = |node: NodeId| match assignment
                    / 3u64.pow(u32::try_from(node.number()).unwrap() - 1)
                    % 3
                {
                    0 => None,
                    1 => Some(false),
                    _ => Some(true),
                };
                let of =
                    |wanted| configuration.voters.iter().filter(|&&n| vote(n) == wanted).count();
                let (granted, open) = (of(Some(true)), of(None));
                let expected = if configuration.voters.len() < 2 * granted {
                    VoteResult::Won
                } else if 2 * (granted + open) <= configuration.voters.len() {
                    VoteResult::Lost
                } else {
                    VoteResult::Pending
                };
                assert_eq!(vote_result(&configuration, vote), expected);
            }
        }
    }

    #[test]
    fn a_joint_decision_needs_both_halves() {
        let mut joint = voters(3);
        joint.outgoing = (3..=5).filter_map(NodeId::new).collect();
        let of = |granted: &'static [u64]| {
            vote_result(&joint, |id| granted.contains(&id.number()).then_some(true))
        };
        assert_eq!(of(&[1, 2]), VoteResult::Pending);
        assert_eq!(of(&[1, 2, 4]), VoteResult::Pending);
        assert_eq!(of(&[1, 2, 4, 5]), VoteResult::Won);
        assert_eq!(of(&[1, 3, 4]), VoteResult::Won);
        let refused = vote_result(&joint, |id| Some(id.number() < 4));
        assert_eq!(refused, VoteResult::Lost);
        assert_eq!(reached_by_majority(&joint, NodeId::number), 2);
        assert_eq!(reached_by_majority(&joint, |id| 6 - id.number()), 2);
    }
}
