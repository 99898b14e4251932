//! What leaders do for the membership by themselves when voters are gone (design of the
//! cluster's life: replaced in one joint change, an odd number, never fewer than three).

use raft_core::consensus::RaftConfig;
use sim::cluster::{Cluster, node};

/// How long voters may be away in these tests. Units: milliseconds.
const GONE_MS: u64 = 2_000;

fn patient(config: &mut RaftConfig) {
    config.auto_promote = true;
    config.voter_gone_us = GONE_MS * 1_000;
}

/// A cluster of these voters with one learner, number `voters + 1`, that stays one.
fn with_spare(voters: u64) -> Cluster {
    let mut cluster = Cluster::with_settings(voters, patient);
    cluster.found(node(1));
    cluster.ask(1, &format!("add=a{}", voters + 1));
    cluster.settle();
    cluster.join(node(voters + 1), node(1));
    cluster.run(100);
    cluster
}

#[test]
fn a_voter_that_is_gone_is_replaced_by_a_learner_in_one_change() {
    let mut cluster = with_spare(3);
    assert_eq!(cluster.members_at(1), "voters=1,2,3 learners=4");
    cluster.crash(node(3));
    cluster.run(GONE_MS - 300);
    assert_eq!(cluster.members_at(1), "voters=1,2,3 learners=4", "it may come back");
    cluster.run(600);
    assert_eq!(cluster.members_at(1), "voters=1,2,4 learners=3");
    assert_eq!(cluster.members_at(4), "voters=1,2,4 learners=3");
    cluster.restart(node(3));
    cluster.run(GONE_MS * 2);
    assert_eq!(cluster.members_at(3), "voters=1,2,4 learners=3", "who comes back is a spare");
    cluster.crash(node(2));
    cluster.run(GONE_MS + 300);
    assert_eq!(cluster.members_at(1), "voters=1,3,4 learners=2", "and votes when it is needed");
}

#[test]
fn of_five_voters_two_that_are_gone_lose_their_vote_and_get_it_back() {
    let mut cluster = Cluster::with_settings(5, patient);
    cluster.found(node(1));
    cluster.crash(node(4));
    cluster.run(GONE_MS * 2);
    assert_eq!(cluster.members_at(1), "voters=1,2,3,4,5", "four voters survive no more than five");
    cluster.crash(node(5));
    cluster.run(GONE_MS * 2);
    assert_eq!(cluster.members_at(1), "voters=1,2,3 learners=4,5");
    cluster.crash(node(3));
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.run(GONE_MS * 2);
    assert!(cluster.answer("w").is_some(), "a third loss is survived");
    assert_eq!(cluster.members_at(1), "voters=1,2,3 learners=4,5", "three voters stay");
    (3..=5).for_each(|id| cluster.restart(node(id)));
    cluster.run(GONE_MS);
    assert_eq!(cluster.members_at(5), "voters=1,2,3,4,5");
}

#[test]
fn one_of_four_that_is_gone_leaves_three() {
    let mut cluster = Cluster::with_settings(4, patient);
    cluster.found(node(1));
    cluster.crash(node(2));
    cluster.run(GONE_MS * 2);
    assert_eq!(cluster.members_at(1), "voters=1,3,4 learners=2");
}

#[test]
fn nobody_is_replaced_by_a_learner_that_is_gone_too_or_was_demoted() {
    let mut cluster = with_spare(3);
    cluster.crash(node(4));
    cluster.crash(node(3));
    cluster.run(GONE_MS * 2);
    assert_eq!(cluster.members_at(1), "voters=1,2,3 learners=4");

    let mut cluster = Cluster::with_settings(4, patient);
    cluster.found(node(1));
    cluster.ask(1, "demote=4");
    cluster.settle();
    cluster.crash(node(3));
    cluster.run(GONE_MS * 2);
    assert_eq!(cluster.members_at(1), "voters=1,2,3 learners=4", "an operator said so");
}

#[test]
fn a_leader_that_may_not_promote_replaces_nobody_and_zero_waits_for_ever() {
    let settings: [fn(&mut RaftConfig); 2] = [
        |config| (config.auto_promote, config.voter_gone_us) = (false, GONE_MS * 1_000),
        |config| (config.auto_promote, config.voter_gone_us) = (true, 0),
    ];
    for settings in settings {
        let mut cluster = Cluster::with_settings(5, settings);
        cluster.found(node(1));
        (4..=5).for_each(|id| cluster.crash(node(id)));
        cluster.run(GONE_MS * 3);
        assert_eq!(cluster.members_at(1), "voters=1,2,3,4,5");
    }
}

/// A new leader gives every voter the whole time: it cannot know what the one before heard.
#[test]
fn a_new_leader_waits_from_its_election_on() {
    let mut cluster = with_spare(3);
    cluster.crash(node(3));
    cluster.run(GONE_MS - 300);
    cluster.hand_over(node(1));
    cluster.run(600);
    assert_eq!(cluster.leaders(), [2]);
    assert_eq!(cluster.members_at(2), "voters=1,2,3 learners=4");
    cluster.run(GONE_MS);
    assert_eq!(cluster.members_at(2), "voters=1,2,4 learners=3");
}
