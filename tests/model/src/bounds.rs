//! How large a world is.

/// What may happen in a world, and how often. Everything else is unbounded: any message may be
/// lost or overtaken, and nobody says when anything happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Nodes, all of them voters.
    pub nodes: u64,
    /// Terms behind the one in which the cluster was founded.
    pub terms: u64,
    /// Commands that leaders are given.
    pub proposals: u8,
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
}

/// Three nodes and nothing else.
const QUIET: Bounds = Bounds {
    nodes: 3,
    terms: 1,
    proposals: 0,
    crashes: 0,
    slow_writes: 0,
    timeouts: 1,
    doubts: 0,
    heartbeats: 0,
    quorum_checks: 0,
    duplicates: 0,
    in_flight: 3,
};

/// Worlds that are known by name.
pub const WORLDS: [(&str, Bounds); 4] = [
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
];
