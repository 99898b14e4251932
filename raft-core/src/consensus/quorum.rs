//! Majorities, as arithmetic on the configured voters.

use crate::hard_state::Configuration;
use crate::types::NodeId;

/// The highest value that a majority of the voters has reached, where `reached` gives each
/// voter's value and voters that have not spoken have the lowest one (Raft §5.3, §5.4).
///
/// Panics: if the configuration has no voter.
pub fn reached_by_majority<V: Copy + Ord>(
    configuration: &Configuration,
    reached: impl Fn(NodeId) -> V,
) -> V {
    let mut values: Vec<V> = configuration.voters.iter().map(|&voter| reached(voter)).collect();
    values.sort_unstable_by(|a, b| b.cmp(a));
    values[configuration.quorum() - 1]
}

/// How an election stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteResult {
    /// A majority granted.
    Won,
    /// So many refused that no majority is possible.
    Lost,
    /// Open.
    Pending,
}

/// Counts votes; `vote` gives what each voter said, `None` if nothing yet (Raft §5.2).
pub fn vote_result(
    configuration: &Configuration,
    vote: impl Fn(NodeId) -> Option<bool>,
) -> VoteResult {
    let (mut granted, mut refused) = (0, 0);
    for &voter in &configuration.voters {
        match vote(voter) {
            Some(true) => granted += 1,
            Some(false) => refused += 1,
            None => {}
        }
    }
    let quorum = configuration.quorum();
    if quorum <= granted {
        VoteResult::Won
    } else if configuration.voters.len() - quorum < refused {
        VoteResult::Lost
    } else {
        VoteResult::Pending
    }
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
}
