//! How large a world is.

use crate::members::Ask;
use crate::start::Start;

/// What may happen in a world, and how often. Everything else is unbounded: any message may be
/// lost or overtaken, and nobody says when anything happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// Nodes.
    pub nodes: u64,
    /// How many of them, the last ones, do not vote in the beginning.
    pub learners: u64,
    /// Where it begins.
    pub start: Start,
    /// Terms behind the one in which the cluster was founded.
    pub terms: u64,
    /// Commands that leaders are given.
    pub proposals: u8,
    /// Changes of the members that leaders are asked for, each once and in any order, as soon
    /// as they would make them.
    pub changes: &'static [Ask],
    /// Times that a leader looks whether there is anything to do about the members, while it
    /// hears of others.
    pub looks: u8,
    /// Nodes that crash, lose what was not synced, and start again.
    pub crashes: u8,
    /// Batches that are not on disk at once, so that anything may happen before; whatever else
    /// the same node writes until then waits behind them.
    pub slow_writes: u8,
    /// Election timers that run out.
    pub timeouts: u8,
    /// Followers that have not heard of their leader for an election timeout although their own
    /// timer runs longer, so that they would vote for somebody else.
    pub doubts: u8,
    /// Rounds of heartbeats.
    pub heartbeats: u8,
    /// Times that a leader looks whether it still reaches a majority.
    pub quorum_checks: u8,
    /// Messages that are delivered and stay on their way.
    pub duplicates: u8,
    /// Different messages on their way at once; a node that would send more waits until one has
    /// arrived or is lost.
    pub in_flight: usize,
    /// Whether an append carries one entry at most; otherwise it carries all that there are.
    pub appends_are_single: bool,
}

/// Three nodes and nothing else.
const QUIET: Bounds = Bounds {
    nodes: 3,
    learners: 0,
    start: Start::Founded,
    terms: 1,
    proposals: 0,
    changes: &[],
    looks: 0,
    crashes: 0,
    slow_writes: 0,
    timeouts: 1,
    doubts: 0,
    heartbeats: 0,
    quorum_checks: 0,
    duplicates: 0,
    in_flight: 3,
    appends_are_single: false,
};

impl Bounds {
    /// Whether the members can change here.
    pub(crate) fn change_members(&self) -> bool {
        !self.changes.is_empty()
    }
}

/// Worlds that are known by name.
pub const WORLDS: [(&str, Bounds); 8] = [
    // One leader, whose only command reaches everybody: over within a second.
    ("small", Bounds { proposals: 1, heartbeats: 1, ..QUIET }),
    // Who leads, over three elections, when votes and crashes meet.
    ("election", Bounds { terms: 3, timeouts: 3, doubts: 1, crashes: 1, slow_writes: 1, ..QUIET }),
    // Two leaders and two commands.
    ("replication", Bounds { terms: 2, timeouts: 2, doubts: 1, proposals: 2, ..QUIET }),
    // Two leaders, a command, a slow disk and a crash.
    (
        "crash",
        Bounds {
            terms: 2,
            timeouts: 2,
            doubts: 1,
            proposals: 1,
            crashes: 1,
            slow_writes: 1,
            ..QUIET
        },
    ),
    // Of three voters one is to be a learner and another to leave, each in one step.
    (
        "shrink",
        Bounds {
            start: Start::Led,
            terms: 3,
            timeouts: 2,
            doubts: 1,
            changes: &[Ask { demote: &[3], ..Ask::NOTHING }, Ask { remove: &[1], ..Ask::NOTHING }],
            in_flight: 2,
            ..QUIET
        },
    ),
    // A learner takes the place of a voter, through a joint configuration, and the other voter
    // is to leave. If that comes first, the halves have nobody in common.
    (
        "joint",
        Bounds {
            learners: 1,
            start: Start::Led,
            terms: 3,
            timeouts: 2,
            changes: &[
                Ask { promote: &[3], demote: &[1], ..Ask::NOTHING },
                Ask { remove: &[2], ..Ask::NOTHING },
            ],
            looks: 1,
            crashes: 1,
            slow_writes: 1,
            ..QUIET
        },
    ),
    // A learner is to vote and a voter is to leave, each in one step, when votes, a slow disk
    // and a crash meet.
    (
        "members",
        Bounds {
            learners: 1,
            start: Start::Led,
            terms: 3,
            timeouts: 3,
            changes: &[Ask { promote: &[3], ..Ask::NOTHING }, Ask { remove: &[1], ..Ask::NOTHING }],
            crashes: 1,
            slow_writes: 1,
            in_flight: 2,
            ..QUIET
        },
    ),
    // Raft Figure 8 from (c) on.
    (
        "figure-8",
        Bounds {
            start: Start::TwoLeadersFell,
            terms: 4,
            timeouts: 2,
            doubts: 1,
            appends_are_single: true,
            ..QUIET
        },
    ),
];
