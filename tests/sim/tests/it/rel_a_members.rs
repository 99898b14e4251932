//! Bugs of other implementations, part A: nodes that join, load snapshots, or were once alone.
//! Each test is named after its row in `docs/raft.md`.

use raft_core::configuration::{Change, Configuration};
use raft_core::consensus::log::RaftLog;
use raft_core::consensus::message::{Envelope, Message};
use raft_core::consensus::ready::RoleName;
use raft_core::consensus::{Raft, RaftConfig};
use raft_core::hard_state::{HardState, Standing};
use raft_core::snapshot::{SnapshotId, SnapshotState};
use raft_core::types::{EntryId, Incarnation, Index, Term, Time};
use sim::cluster::{Cluster, envelope, named, node};

/// A13: a log that begins behind a snapshot and holds nothing else ends where the snapshot
/// ends: that is what a candidate says of it, and what a voter compares with.
#[test]
fn rel_a13_an_empty_log_behind_a_snapshot_ends_where_the_snapshot_ends() {
    let covered = EntryId { term: Term(5), index: Index(100) };
    let restart = || {
        let voters = Configuration::of((1..=3).map(node));
        let config = RaftConfig::new(node(1), Incarnation(1_000), voters);
        let standing = Standing::Full;
        let hard_state = HardState { term: Term(6), standing, ..HardState::default() };
        let log = RaftLog::restore(covered, vec![], vec![], covered.index);
        Raft::new(config, hard_state, log, Time(0))
    };
    let mut raft = restart();
    let mut now = Time(0);
    while raft.role_name() == RoleName::Follower {
        now = now.after(10_000);
        raft.tick(now);
    }
    let yes = Message::PreVoteResponse { next_term: Term(7), granted: true };
    raft.step(now, envelope(node(2), node(1), 6, yes));
    assert_eq!(raft.role_name(), RoleName::Candidate);
    let asked: Vec<EntryId> = raft.ready(now).messages.iter().filter_map(last_of).collect();
    assert_eq!(asked, [covered; 4], "to two voters, first a pre-vote and then a vote");

    for (term, index, granted) in [(4, 200, false), (5, 99, false), (5, 100, true), (6, 1, true)] {
        let last = EntryId { term: Term(term), index: Index(index) };
        let mut raft = restart();
        let ask = Message::RequestVote { last, transfer: false };
        raft.step(Time(0), envelope(node(2), node(1), 7, ask));
        assert_eq!(raft.hard_state().vote == Some(node(2)), granted, "{last}");
    }
}

/// The log's end that a candidate names.
fn last_of(envelope: &Envelope) -> Option<EntryId> {
    match envelope.message {
        Message::PreVote { last, .. } | Message::RequestVote { last, .. } => Some(last),
        _ => None,
    }
}

/// A14: whoever does not know the members, or knows that it does not vote, never stands for
/// election, whatever it is told.
#[test]
fn rel_a14_who_is_no_voter_or_knows_no_members_never_campaigns() {
    for standing in [Standing::Unbound, Standing::Full] {
        let config = RaftConfig::new(node(4), Incarnation(4), Configuration::default());
        let hard_state = HardState { term: Term(1), standing, ..HardState::default() };
        let log = RaftLog::restore(EntryId::ZERO, vec![], vec![], Index::ZERO);
        let mut raft = Raft::new(config, hard_state, log, Time(0));
        let heartbeat = Message::Heartbeat { commit_index: Index::ZERO, round: 0, log_time: 0 };
        for (now, message) in [(1_000, heartbeat), (2_000, Message::TimeoutNow)] {
            raft.step(Time(now), envelope(node(1), node(4), 3, message));
        }
        for ms in 0..5_000 {
            raft.tick(Time(ms * 1_000));
            assert_eq!((raft.role_name(), raft.term()), (RoleName::Follower, Term(3)));
        }
        assert!(raft.ready(Time(5_000_000)).messages.iter().all(|e| !named("PreVote")(e)));
    }

    let mut cluster = Cluster::led_by(3, node(1));
    cluster.take_in(1, 4);
    (2..=3).for_each(|id| cluster.crash(node(id)));
    let term = cluster.term(1);
    cluster.inject(envelope(node(1), node(4), term, Message::TimeoutNow));
    cluster.settle();
    cluster.crash(node(1));
    cluster.run(5_000);
    assert_eq!((cluster.role(4), cluster.term(4)), (RoleName::Follower, term));
    assert!(!cluster.was_told(&["n4 ->", "PreVote"]));
}

/// A19, for a cluster that has grown: who founded it alone is one voter of three now, and if
/// nobody answers it asks again.
#[test]
fn rel_a19_who_was_once_the_only_voter_does_campaign_again() {
    let mut cluster = Cluster::with_settings(1, |config| config.auto_promote = true);
    cluster.found(node(1));
    let both = ["host 2", "host 3"].map(str::to_owned).to_vec();
    cluster.change(node(1), "add", &Change { add: both, ..Change::default() });
    cluster.settle();
    (2..=3).for_each(|id| cluster.start_new(node(id)));
    cluster.run(200);
    assert_eq!(cluster.status(node(1)).configuration.voters.len(), 3);
    cluster.hand_over(node(1));
    cluster.run(50);
    assert_ne!(cluster.leaders(), [1]);
    cluster.isolate(1);
    cluster.campaign(node(1));
    for _ in 0..3 {
        cluster.time_out(node(1));
    }
    assert_eq!(cluster.role(1), RoleName::PreCandidate);
}

/// A26, the half about snapshots: what a snapshot brings is old, and neither the term nor the
/// vote of the node that loads it goes back.
#[test]
fn rel_a26_loading_a_snapshot_lowers_no_term_and_forgets_no_vote() {
    let voters = Configuration::of((1..=3).map(node));
    let config = RaftConfig::new(node(1), Incarnation(1_000), voters.clone());
    let hard_state = HardState {
        term: Term(9),
        vote: Some(node(3)),
        standing: Standing::Full,
        ..HardState::default()
    };
    let log = RaftLog::restore(EntryId::ZERO, vec![], vec![], Index::ZERO);
    let mut raft = Raft::new(config, hard_state, log, Time(0));
    let last = EntryId { term: Term(5), index: Index(100) };
    let id = SnapshotId { last, bytes: 10, checksum: 1 };
    let state = SnapshotState { configuration: voters, ..SnapshotState::default() };
    raft.install(Time(0), id, state);
    assert_eq!(raft.log().last(), last);
    assert_eq!((raft.term(), raft.hard_state().vote), (Term(9), Some(node(3))));
    let ask = Message::RequestVote { last, transfer: true };
    raft.step(Time(0), envelope(node(2), node(1), 9, ask));
    assert_eq!(raft.hard_state().vote, Some(node(3)));
}
