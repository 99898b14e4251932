//! What a node would tell of itself, and what must hold of that.

use raft_core::chronicle::{Chronicle, What};
use raft_core::consensus::Raft;
use raft_core::consensus::ready::RoleName;
use raft_core::replica::event::{Effects, Event};
use raft_core::types::{Index, Term, Time};

/// The chronicle of a node, read as it is written.
#[derive(Debug)]
pub(crate) struct Tale {
    chronicle: Chronicle,
    newest: u64,
    committed: Index,
    told: (RoleName, Term),
}

impl Tale {
    pub(crate) fn begin(now: Time, raft: &Raft) -> Self {
        let mut tale = Self {
            chronicle: Chronicle::begin(now, raft),
            newest: 0,
            committed: raft.log().commit_index(),
            told: (RoleName::Follower, raft.term()),
        };
        tale.read();
        assert_eq!(tale.newest, 1, "a life begins with one event");
        tale
    }

    pub(crate) fn event(&mut self, now: Time, raft: &Raft, event: &Event) {
        self.chronicle.event(now, raft, event);
    }

    pub(crate) fn turn(&mut self, now: Time, raft: &Raft, effects: &Effects) {
        self.chronicle.turn(now, raft, effects);
        self.read();
        let is = (raft.role_name(), raft.term());
        assert_eq!(self.told, is, "every change of role and term is told");
        assert!(self.committed <= raft.log().commit_index(), "nothing is told too early");
    }

    /// Numbers have no gap, and of what is committed nothing is left out or told twice.
    fn read(&mut self) {
        for happening in self.chronicle.take() {
            assert_eq!(happening.seq, self.newest + 1, "no number is left out");
            self.newest = happening.seq;
            match happening.what {
                What::Role { role, .. } => self.told = (named(role), happening.term),
                What::Committed { first, last, turns, .. } => {
                    assert_eq!(first, self.committed.next(), "no entry is left out");
                    assert!(first <= last && turns <= last.since(self.committed), "one by one");
                    self.committed = last;
                }
                _ => {}
            }
        }
    }
}

fn named(role: &str) -> RoleName {
    let all = [RoleName::Follower, RoleName::PreCandidate, RoleName::Candidate, RoleName::Leader];
    all.into_iter().find(|name| name.as_str() == role).expect("a role that there is")
}
