//! The safety catalogue, third part: members, and those who are far behind. Each test is named
//! after its entry in `docs/scenarios.md` and says in its own words what must hold.

use raft_core::consensus::message::Message;
use sim::cluster::{Cluster, change_of, envelope, node};

/// S-27: one change at a time; a learner catches up before it counts; what was appended is in
/// force; whoever removes the leader gets another one.
#[test]
fn ref_s27_members_change_one_step_at_a_time() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.ask(1, "add=a4");
    assert_eq!(cluster.members_at(1), "voters=1,2,3 learners=4", "in force before it is committed");
    cluster.ask(1, "add=a5");
    cluster.settle();
    let busy = "no: another change of the members is under way; try again when it is done";
    assert_eq!(cluster.answer("add=a5"), Some(busy));
    cluster.join(node(4), node(1));
    cluster.run(60);
    cluster.grow(node(1), &[5]);
    cluster.isolate(2);
    cluster.isolate(3);
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.run(60);
    assert_eq!(cluster.answer("w"), None, "learners count for nothing");
    cluster.heal();
    cluster.run(100);
    cluster.ask(1, "promote=4");
    cluster.settle();
    assert_eq!(cluster.answer("promote=4"), Some("voters=1,2,3,4 learners=5"));
    cluster.ask(2, "remove=1");
    cluster.run(200);
    assert_eq!(cluster.answer("remove=1"), Some("voters=2,3,4 learners=5"));
    assert!(!cluster.leaders().contains(&1));
}

/// S-27: a voter that has just died was heard of a moment ago, but its link has ended, and no
/// change counts on it: the rest would wait for it for ever.
#[test]
fn ref_s27_a_voter_whose_link_has_just_ended_is_not_counted_on() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.crash(node(3));
    cluster.lose_link(node(1), node(3));
    cluster.ask(1, "remove=2");
    cluster.settle_among(&[1, 2]);
    let answer = cluster.answer("remove=2").expect("two of three decide");
    assert!(answer.contains("the cluster would stand still"), "{answer}");
    cluster.restart(node(3));
    cluster.run(500);
    cluster.ask(1, "remove=2");
    cluster.run(100);
    assert_eq!(cluster.members_at(1), "voters=1,3", "it has come back, and is heard of again");
}

/// S-27: a node that is added twice before it has started is the same member.
#[test]
fn ref_s27_a_node_that_is_added_twice_is_one_member() {
    let mut cluster = Cluster::led_by(3, node(1));
    let change = change_of(&["add=a4"]).expect("a change");
    for label in ["once", "twice"] {
        cluster.change(node(1), label, &change);
        cluster.settle();
        assert_eq!(cluster.answer(label), Some("voters=1,2,3 learners=4 added=4"));
    }
}

/// S-27: a leader that promotes learners by itself leaves alone whom somebody demoted.
#[test]
fn ref_s27_who_is_demoted_stays_a_learner() {
    let mut cluster = Cluster::with_settings(3, |config| config.auto_promote = true);
    cluster.found(node(1));
    cluster.ask(1, "demote=3");
    cluster.run(200);
    assert_eq!(cluster.members_at(1), "voters=1,2 learners=3");
    cluster.ask(1, "add=a4");
    cluster.settle();
    cluster.join(node(4), node(1));
    cluster.run(200);
    assert_eq!(cluster.members_at(1), "voters=1,2,4 learners=3", "whoever joins is promoted");
    cluster.ask(2, "promote=3");
    cluster.run(50);
    assert_eq!(cluster.members_at(1), "voters=1,2,3,4");
}

/// S-27: a removed node that has not heard of its removal moves nobody, not even with votes
/// that it asks for as if the leader had told it to.
#[test]
fn ref_s27_a_removed_node_cannot_disturb() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.ask(1, "remove=3");
    cluster.run(20);
    let (term, last) = (cluster.term(1), cluster.last(1));
    for other in [1, 2] {
        let question = Message::RequestVote { last, transfer: true };
        cluster.inject(envelope(node(3), node(other), term + 5, question));
    }
    cluster.settle();
    assert_eq!((cluster.leaders(), cluster.term(1), cluster.term(2)), (vec![1], term, term));
    cluster.run(1000);
    assert_eq!(cluster.term(1), term);
}

/// S-29: a follower that is behind by two, a hundred or ten thousand entries catches up when it
/// is back, without a new write; the leader goes on answering meanwhile.
#[test]
fn ref_s29_a_follower_catches_up_from_any_distance_without_a_new_write() {
    for distance in [2, 100, 10_000] {
        let mut cluster = Cluster::led_by(3, node(1));
        cluster.isolate(3);
        for n in 0..distance {
            cluster.submit(node(1), &format!("w{n}"), "add a 1", None);
        }
        cluster.settle();
        assert_eq!(cluster.value(1, "a"), Some(distance.to_string().as_str()));
        cluster.heal();
        let last = cluster.last(1);
        cluster.tick(25);
        cluster.deliver(|_| true);
        cluster.read(node(1), "meanwhile", "a");
        cluster.settle_among(&[1, 2]);
        assert!(cluster.answer("meanwhile").is_some(), "nobody waits for n3");
        cluster.run(100);
        assert_eq!((cluster.last(3), cluster.last(1)), (last, last));
        assert_eq!(cluster.value(3, "a"), cluster.value(1, "a"), "{distance}");
    }
}
