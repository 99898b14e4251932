//! Clocks of single nodes: processes that stand still, and timers that run out one at a time.

use raft_core::consensus::ready::RoleName;
use raft_core::replica::event::Event;
use raft_core::types::NodeId;

use super::{Cluster, ELECTION_TIMEOUT_US, HEARTBEAT_INTERVAL_US, node};

impl Cluster {
    /// Lets time pass that no node notices: their processes do not run meanwhile.
    pub fn pass(&mut self, ms: u64) {
        self.now = self.now.after(ms * 1_000);
    }

    /// Lets time pass as `run` does, a millisecond at a time, while the clocks of some nodes are
    /// faster than the others' by so many microseconds in each. `each` looks at every step, and
    /// ends it by saying so.
    pub fn run_drifting(
        &mut self,
        ms: u64,
        (fast, ahead_us): (&[u64], u64),
        mut each: impl FnMut(&mut Self) -> bool,
    ) {
        for _ in 0..ms {
            for &id in fast {
                self.members.get_mut(&node(id)).expect("a member").ahead_us += ahead_us;
            }
            self.tick(1);
            self.settle();
            if each(self) {
                return;
            }
        }
    }

    /// Tells one node what time it is.
    pub fn tick_node(&mut self, id: NodeId) {
        self.handle(id, Event::Tick);
    }

    /// Lets the clock of one node alone go on, as a process that runs all the time would see
    /// it, until its timer runs out and it asks for votes; also if it has asked before.
    ///
    /// Panics: if its timer does not run out.
    pub fn time_out(&mut self, id: NodeId) {
        let told_before = self.told.len();
        for _ in 0..=2 * ELECTION_TIMEOUT_US / HEARTBEAT_INTERVAL_US {
            self.members.get_mut(&id).expect("a member").ahead_us += HEARTBEAT_INTERVAL_US;
            self.handle(id, Event::Tick);
            let asks = [format!("n{id} pre-candidate"), format!("n{id} candidate")];
            let is_asking = |line: &String| asks.iter().any(|ask| line.starts_with(ask));
            if self.told[told_before..].iter().any(is_asking) {
                return;
            }
        }
        panic!("the timer of {id:?} does not run out");
    }

    /// Lets time pass that only one node notices, until it has taken on this role.
    ///
    /// Panics: if it does not within ten election timeouts.
    pub fn wait_for_role(&mut self, id: u64, role: RoleName) {
        for _ in 0..10 * ELECTION_TIMEOUT_US / HEARTBEAT_INTERVAL_US {
            if self.role(id) == role {
                return;
            }
            self.pass(HEARTBEAT_INTERVAL_US / 1_000);
            self.tick_node(node(id));
        }
        panic!("n{id} does not become a {}", role.as_str());
    }
}
