//! The rolling hash after each of the newest commands, by which people find the first one that
//! nodes executed differently. It is the node's own: what it holds depends on when the node was
//! started, and no command may be answered from it.

use std::collections::VecDeque;

use raft_core::types::Index;

/// Commands of which the hash is known; that of an earlier one is forgotten. 256 KiB.
const TRAIL_COMMANDS_MAX: usize = 16_384;

/// Indexes of commands, ascending, with the hash after each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail(VecDeque<(u64, u64)>);

impl Trail {
    /// Notes the hash after a command.
    pub(crate) fn note(&mut self, index: Index, hash: u64) {
        if self.0.len() == TRAIL_COMMANDS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((index.0, hash));
    }

    /// What is known from an index on.
    pub(crate) fn from(&self, index: u64) -> impl Iterator<Item = (u64, u64)> {
        let begin = self.0.partition_point(|(known, _)| *known < index);
        self.0.range(begin..).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_commands_are_known() {
        let mut trail = Trail::default();
        assert_eq!(trail.from(0).count(), 0);
        (1..=20_000).for_each(|n| trail.note(Index(2 * n), n));
        assert_eq!(trail.from(0).count(), TRAIL_COMMANDS_MAX);
        assert_eq!(trail.from(39_997).collect::<Vec<_>>(), [(39_998, 19_999), (40_000, 20_000)]);
        assert_eq!(trail.from(40_001).count(), 0);
    }
}
