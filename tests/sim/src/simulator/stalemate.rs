//! Whether anybody can still be elected.

use raft_core::consensus::Raft;
use raft_core::hard_state::Standing;

use crate::simulator::world::World;

impl World {
    /// Whether nobody leads and none of these nodes can get the votes of a majority, because too
    /// few of them count: an operator has taken votes away, by changes that were asked for one
    /// after the other, while a node was damaged that nobody knew of.
    pub(crate) fn is_stalemate(&self, core: &[usize]) -> bool {
        let running = core.iter().filter_map(|&node| self.nodes[node].process.as_ref());
        let rafts: Vec<&Raft> = running.map(|process| process.replica.raft()).collect();
        let counts = |raft: &Raft| raft.hard_state().standing == Standing::Full;
        let wins = |candidate: &&Raft| {
            let configuration = candidate.configuration();
            let votes = |id| {
                rafts.iter().any(|raft| {
                    let is_no_better = raft.log().last() <= candidate.log().last();
                    raft.config().id == id && counts(raft) && is_no_better
                })
            };
            counts(candidate)
                && configuration
                    .halves()
                    .all(|half| half.len() / 2 < half.iter().filter(|id| votes(**id)).count())
        };
        !core.iter().any(|&node| self.leads(node)) && !rafts.iter().any(wins)
    }
}
