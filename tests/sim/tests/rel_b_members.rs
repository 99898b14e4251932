//! Bugs of other implementations, parts A and B, as far as they concern nodes that join, leave
//! and have never been members. Each test is named after its row in `docs/raft.md`.

use raft_core::configuration::{Change, Configuration};
use raft_core::consensus::log::RaftLog;
use raft_core::consensus::message::{Envelope, Message};
use raft_core::consensus::ready::RoleName;
use raft_core::consensus::{Raft, RaftConfig};
use raft_core::hard_state::{HardState, Standing};
use raft_core::snapshot::{SnapshotId, SnapshotState};
use raft_core::types::{EntryId, Incarnation, Index, Term, Time};
use sim::cluster::{Cluster, ELECTION_TIMEOUT_US, envelope, named, node};

const ELECTION_TIMEOUT_MS: u64 = ELECTION_TIMEOUT_US / 1_000;

/// Takes a new node in as a learner and waits until it has everything.
fn take_in(cluster: &mut Cluster, leader: u64, id: u64) {
    let add = Change { add: vec![format!("host {id}")], ..Change::default() };
    cluster.change(node(leader), "add", &add);
    cluster.settle();
    cluster.start_new(node(id));
    cluster.run(100);
    assert_eq!(cluster.last(id), cluster.last(leader));
    assert!(cluster.status(node(id)).configuration.learners.contains(&node(id)));
}

/// Makes a voter of a learner.
fn promote(cluster: &mut Cluster, leader: u64, id: u64) {
    let promote = Change { promote: [node(id)].into(), ..Change::default() };
    cluster.change(node(leader), "promote", &promote);
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
        let heartbeat = Message::Heartbeat { commit_index: Index::ZERO, round: 0 };
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
    take_in(&mut cluster, 1, 4);
    (2..=3).for_each(|id| cluster.crash(node(id)));
    let term = cluster.term(1);
    cluster.inject(envelope(node(1), node(4), term, Message::TimeoutNow));
    cluster.settle();
    cluster.crash(node(1));
    cluster.run(5_000);
    assert_eq!((cluster.role(4), cluster.term(4)), (RoleName::Follower, term));
    assert!(!cluster.was_told(&["n4 ->", "PreVote"]));
}

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

/// A19, for a cluster that has grown: who founded it alone is one voter of three now, and if
/// nobody answers it asks again.
#[test]
fn rel_a19_who_was_once_the_only_voter_does_campaign_again() {
    let mut cluster = Cluster::led_by(1, node(1));
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

/// B12: a learner becomes a voter, and then it takes a while until it is heard of again. That
/// is no reason for the leader to give up, at whatever moment between two of its checks for a
/// majority it happens.
#[test]
fn rel_b12_a_new_voter_that_has_not_spoken_yet_does_not_depose_the_leader() {
    for after_ms in (0..=2 * ELECTION_TIMEOUT_MS).step_by(5) {
        let mut cluster = Cluster::led_by(1, node(1));
        take_in(&mut cluster, 1, 2);
        cluster.run(after_ms);
        promote(&mut cluster, 1, 2);
        assert!(cluster.status(node(1)).configuration.voters.contains(&node(2)));
        let slow = |cluster: &mut Cluster| cluster.keep("slow", |e| e.from == node(2));
        for _ in 0..ELECTION_TIMEOUT_MS / 10 - 1 {
            cluster.deliver(|e| e.to == node(2));
            slow(&mut cluster);
            cluster.tick(10);
            assert_eq!(cluster.role(1), RoleName::Leader, "{after_ms} ms");
        }
        slow(&mut cluster);
        cluster.send_kept("slow");
        cluster.run(300);
        assert_eq!((cluster.leaders(), cluster.leaderships()), (vec![1], 1), "{after_ms} ms");
        assert_eq!(cluster.commit_index(2), cluster.last(1).index.0);
    }
}

/// B19: a voter that was removed, and did not hear of it, goes on asking for votes, in later
/// terms too: the members stay with their leader in their term, and tell it; then it is quiet.
#[test]
fn rel_b19_a_removed_node_that_campaigns_disturbs_nobody() {
    for has_stood in [false, true] {
        let mut cluster = Cluster::led_by(3, node(1));
        cluster.isolate(3);
        cluster.run(20);
        let remove = Change { remove: [node(3)].into(), ..Change::default() };
        cluster.change(node(1), "remove", &remove);
        cluster.run(50);
        assert!(!cluster.status(node(2)).configuration.is_member(node(3)));
        if has_stood {
            // As a candidate of a later term, whom its old leader had told to stand.
            cluster.inject(envelope(node(1), node(3), 1, Message::TimeoutNow));
            cluster.deliver_named("TimeoutNow");
            assert_eq!((cluster.role(3), cluster.term(3)), (RoleName::Candidate, 2));
        }
        cluster.run(400);
        assert_eq!(cluster.role(3), RoleName::PreCandidate, "it asks, and is not heard");
        cluster.heal();
        for _ in 0..2 {
            let last = cluster.last(3);
            let ask = Message::RequestVote { last, transfer: true };
            cluster.inject(envelope(node(3), node(1), 7, ask.clone()));
            cluster.inject(envelope(node(3), node(2), 7, ask));
            cluster.run(500);
        }
        cluster.take_told();
        cluster.run(3_000);
        assert_eq!((cluster.leaders(), cluster.leaderships()), (vec![1], 1));
        assert_eq!((cluster.term(1), cluster.term(2)), (1, 1));
        assert!(!cluster.was_told(&["n3 ->"]), "it is quiet");
        cluster.submit(node(2), "w", "put a 1", None);
        cluster.run(20);
        assert!(cluster.answer("w").is_some());
    }
}
