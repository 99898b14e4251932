//! Bugs of other implementations, part B: pre-votes among nodes whose terms and logs differ.
//! Each test is named after its row in `docs/raft.md`.

use raft_core::consensus::message::Message;
use raft_core::consensus::ready::RoleName;
use sim::cluster::{Cluster, envelope, named, node};

/// Tells a node, as its leader would, to stand for election, and lets nobody hear of it.
fn stand_unheard(cluster: &mut Cluster, id: u64) {
    let (term, leader) = (cluster.term(id), cluster.status(node(id)).leader);
    let leader = leader.expect("it follows a leader");
    cluster.inject(envelope(leader, node(id), term, Message::TimeoutNow));
    cluster.deliver_named("TimeoutNow");
    cluster.drop_messages(named("RequestVote"));
    assert_eq!((cluster.role(id), cluster.term(id)), (RoleName::Candidate, term + 1));
}

/// B1: a node that missed a term comes back at the moment at which the leader is cut off. Its
/// pre-vote is of an earlier term than the one who asks, and counts all the same.
#[test]
fn rel_b01_a_node_that_is_a_term_behind_helps_to_elect_a_leader() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.isolate(3);
    cluster.hand_over(node(1));
    cluster.settle();
    assert_eq!((cluster.leaders(), cluster.term(3)), (vec![2], 1));
    // n3 doubts its leader, unheard; then it is back and the leader, n2, is gone.
    cluster.campaign(node(3));
    assert_eq!((cluster.role(3), cluster.term(3)), (RoleName::PreCandidate, 1));
    cluster.heal();
    cluster.isolate(2);
    cluster.campaign(node(1));
    cluster.settle();
    assert!(cluster.was_told(&["n3 -> n1 t1 PreVoteResponse next=t3 granted=true"]));
    assert_eq!((cluster.role(1), cluster.term(1)), (RoleName::Leader, 3));
    assert_eq!((cluster.status(node(3)).leader, cluster.term(3)), (Some(node(1)), 3));
}

/// B2: one node stands without having asked first, as a node would that does not pre-vote at
/// all: its term is later and its log shorter than those of the others, whose leader ends.
#[test]
fn rel_b02_a_candidate_that_did_not_pre_vote_does_not_block_those_who_do() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.isolate(3);
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.settle();
    assert!(cluster.answer("w").is_some());
    stand_unheard(&mut cluster, 3);
    cluster.crash(node(1));
    cluster.heal();
    assert!(cluster.last(3) < cluster.last(2) && cluster.term(2) < cluster.term(3));
    // n2 is refused, learns the term by that, and is not refused again.
    cluster.campaign(node(2));
    cluster.settle();
    assert!(cluster.was_told(&["n3 -> n2 t2 PreVoteResponse next=t2 granted=false"]));
    assert_eq!((cluster.role(2), cluster.term(2)), (RoleName::Follower, 2));
    cluster.time_out(node(2));
    cluster.settle();
    assert_eq!((cluster.leaders(), cluster.term(2)), (vec![2], 3));
}

/// B3: who asks for pre-votes knows no leader any more, and begins without anything that was
/// answered to an earlier question.
#[test]
fn rel_b03_asking_for_pre_votes_begins_without_a_leader_and_without_votes() {
    let mut cluster = Cluster::led_by(5, node(1));
    cluster.crash(node(1));
    assert_eq!(cluster.status(node(2)).leader, Some(node(1)));
    cluster.campaign(node(2));
    assert_eq!(cluster.role(2), RoleName::PreCandidate);
    assert_eq!(cluster.status(node(2)).leader, None);
    // n3 alone answers the first question, n4 alone the second: at no time two of the others.
    cluster.drop_messages(|e| e.to != node(3));
    cluster.settle();
    assert!(cluster.was_told(&["n3 -> n2 t1 PreVoteResponse next=t2 granted=true"]));
    cluster.time_out(node(2));
    cluster.drop_messages(|e| e.to != node(4));
    cluster.settle();
    assert!(cluster.was_told(&["n4 -> n2 t1 PreVoteResponse next=t2 granted=true"]));
    assert_eq!((cluster.role(2), cluster.term(2)), (RoleName::PreCandidate, 1));
    cluster.time_out(node(2));
    cluster.settle();
    assert_eq!(cluster.leaders(), [2]);
}

/// B4: those with the longer logs are in an earlier term, those in the later term have the
/// shorter logs, and neither are a majority: a refusal teaches the later term, and one of the
/// longer logs leads.
#[test]
fn rel_b04_long_logs_of_an_early_term_and_short_logs_of_a_late_one_elect_a_leader() {
    let mut cluster = Cluster::led_by(5, node(1));
    cluster.crash(node(5));
    for (low, high) in [(1, 3), (1, 4), (2, 3), (2, 4)] {
        cluster.part(low, high);
    }
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.settle();
    stand_unheard(&mut cluster, 3);
    stand_unheard(&mut cluster, 4);
    assert!([3, 4].iter().all(|&id| cluster.last(id) < cluster.last(2)));
    assert!([3, 4].iter().all(|&id| cluster.term(2) < cluster.term(id)));
    cluster.run(400);
    assert_eq!(cluster.leaders(), [], "neither half is a majority of five");
    cluster.heal();
    cluster.run(600);
    let leaders = cluster.leaders();
    assert!(leaders == [1] || leaders == [2], "{leaders:?}");
    cluster.run(100);
    assert!(cluster.answer("w").is_some());

    // The same in single steps: one question, one lesson, one more question.
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.isolate(3);
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.settle();
    stand_unheard(&mut cluster, 3);
    cluster.crash(node(1));
    cluster.heal();
    for _ in 0..2 {
        cluster.time_out(node(2));
        cluster.settle();
    }
    assert_eq!(cluster.leaders(), [2]);
}

/// B5: of four nodes one is down for good; the other two went through terms without the one
/// that is just coming back, with its old term and short log. Three of four elect.
#[test]
fn rel_b05_a_node_that_comes_back_from_an_old_term_completes_the_majority() {
    let mut cluster = Cluster::led_by(4, node(1));
    cluster.crash(node(4));
    for (leader, next) in [(1, 2), (2, 1), (1, 2)] {
        cluster.submit(node(leader), "w", &format!("put a {leader}"), None);
        cluster.settle();
        cluster.hand_over(node(leader));
        cluster.run(20);
        assert_eq!(cluster.leaders(), [next]);
    }
    cluster.crash(node(1));
    cluster.run(600);
    assert_eq!(cluster.leaders(), [], "two of four");
    assert_eq!([cluster.term(2), cluster.term(3)], [4, 4]);
    cluster.restart(node(4));
    assert!(cluster.term(4) == 1 && cluster.last(4) < cluster.last(3));
    // n2 asks it before it has asked anybody.
    cluster.time_out(node(2));
    cluster.settle();
    assert!(cluster.was_told(&["n4 -> n2 t1 PreVoteResponse next=t5 granted=true"]));
    assert_eq!((cluster.leaders(), cluster.term(2)), (vec![2], 5));
    cluster.run(100);
    assert_eq!(cluster.last(4), cluster.last(2));
}

/// B11: a candidate that was cut off, and is in a later term than everybody else, comes back to
/// a leader whom nobody doubts: the answer to that leader's next word frees it.
#[test]
fn rel_b11_a_candidate_of_a_later_term_is_freed_when_it_comes_back() {
    for by_append in [false, true] {
        let mut cluster = Cluster::led_by(3, node(1));
        cluster.isolate(3);
        stand_unheard(&mut cluster, 3);
        cluster.run(50);
        assert_eq!((cluster.leaders(), cluster.term(1)), (vec![1], 1));
        cluster.heal();
        // One word of the leader, and nothing else, reaches the candidate.
        if by_append {
            cluster.submit(node(1), "w", "put a 1", None);
        } else {
            cluster.pass(10);
            cluster.tick_node(node(1));
        }
        cluster.deliver(|e| e.to == node(3));
        cluster.settle();
        assert!(2 <= cluster.term(1), "the leader has learned of the later term");
        cluster.run(600);
        assert_eq!(cluster.leaders().len(), 1);
        assert!(cluster.ids().iter().all(|id| cluster.status(*id).leader.is_some()));
    }
}

/// B13: who was told to campaign by the leader is elected at once by nodes that have just
/// heard that leader, the leader included: it asks no pre-votes, and nobody's patience binds.
#[test]
fn rel_b13_who_is_handed_leadership_is_elected_by_nodes_that_just_heard_the_leader() {
    let mut cluster = Cluster::led_by(5, node(1));
    cluster.tick(10);
    cluster.settle();
    cluster.take_told();
    cluster.hand_over(node(1));
    cluster.settle();
    assert_eq!((cluster.leaders(), cluster.term(2)), (vec![2], 2));
    assert!(!cluster.was_told(&["PreVote"]));
    assert!((3..=5).all(|id| {
        cluster.was_told(&[&format!("n{id} -> n2 t2 RequestVoteResponse granted=true")])
    }));
}

/// B14: a leader that goes of its own will says so, or its connections close; then nobody waits
/// until the patience that it was granted has run out.
#[test]
fn rel_b14_nobody_waits_for_a_leader_that_has_gone_of_its_own_will() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.tick(10);
    cluster.settle();
    // It hands over, its word is lost, and its process ends.
    cluster.hand_over(node(1));
    cluster.drop_messages(named("TimeoutNow"));
    cluster.crash(node(1));
    for id in [2, 3] {
        cluster.lose_link(node(id), node(1));
        assert_eq!(cluster.status(node(id)).leader, None);
    }
    cluster.time_out(node(3));
    cluster.settle();
    assert_eq!(cluster.leaders(), [3]);

    // By the clock of everybody: well within the time in which it had been heard.
    let mut cluster = Cluster::led_by(5, node(1));
    cluster.tick(10);
    cluster.settle();
    cluster.crash(node(1));
    (2..=5).for_each(|id| cluster.lose_link(node(id), node(1)));
    cluster.run(75);
    assert_eq!(cluster.leaders().len(), 1);
}

/// B18: forgetting a leader early would be wrong if that leader answered reads by its clock
/// alone. It does not: cut off by an election that by its clock cannot have happened, it
/// answers nothing.
#[test]
fn rel_b18_an_early_election_causes_no_stale_read() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.submit(node(1), "old", "put x old", None);
    cluster.settle();
    cluster.tick(10);
    cluster.settle();
    cluster.isolate(1);
    for id in [2, 3] {
        cluster.lose_link(node(id), node(1));
    }
    cluster.time_out(node(2));
    cluster.settle();
    cluster.submit(node(2), "new", "put x new", None);
    cluster.settle();
    assert!(cluster.answer("new").is_some());
    assert_eq!(cluster.leaders(), [1, 2]);
    cluster.read(node(1), "read", "x");
    cluster.settle();
    assert_eq!(cluster.answer("read"), None);
    cluster.heal();
    cluster.run(300);
    assert_eq!(cluster.answer("read"), Some("new"));
}
