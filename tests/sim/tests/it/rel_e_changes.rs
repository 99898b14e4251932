//! Bugs that Raft implementations had with changes of the membership, with those who join and
//! those who leave. Each test is named after its entry in `docs/raft.md` and says in its own
//! words what must hold.

use raft_core::consensus::RaftConfig;
use raft_core::consensus::message::{AppendResult, Envelope, Message};
use raft_core::consensus::ready::RoleName;
use raft_core::types::EntryId;
use sim::cluster::{Cluster, change_of, node};
use sim::lone_raft::LoneRaft;

/// E9: whoever is added hears of the leader in the same turn, with a question about the end of
/// the log and not about its beginning.
#[test]
fn rel_e09_a_new_member_is_asked_at_once_about_the_end_of_the_log() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.ask(1, "add=a4");
    let last = cluster.last(1);
    assert!(cluster.was_told(&["n1 -> n4", "AppendEntries", &format!("prev={last}")]));
}

/// E11: a leader that is asked to remove itself lets another one do it, is not counted
/// afterwards, and leads nobody.
#[test]
fn rel_e11_a_leader_that_is_to_leave_hands_over_first() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.ask(2, "remove=1");
    cluster.run(100);
    assert_eq!(cluster.answer("remove=1"), Some("voters=2,3"));
    assert_eq!((cluster.role(1), cluster.leaders().len()), (RoleName::Follower, 1));
    let term = cluster.term(2);
    assert!(cluster.was_told(&["n1 hears that it was removed"]));
    cluster.take_told();
    cluster.run(1000);
    assert!(!cluster.was_told(&["n1 ->", "Heartbeat "]), "it does not go on leading");
    assert_eq!(cluster.term(2), term, "nor does it disturb those who stay");
    let leader = cluster.leaders()[0];
    let other = 5 - leader;
    cluster.crash(node(other));
    cluster.submit(node(leader), "alone", "put a 1", None);
    cluster.run(50);
    assert_eq!(cluster.answer("alone"), None, "n1 is not counted");
}

/// E11: a request to remove the leader that the leader takes in itself is decided by its
/// successor, without being asked for again.
#[test]
fn rel_e11_the_successor_decides_on_the_removal_of_the_leader() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.ask(1, "remove=1");
    cluster.run(100);
    let leader = cluster.leaders()[0];
    assert_ne!(leader, 1);
    assert_eq!(cluster.members_at(leader), "voters=2,3");
}

/// E11: if nobody of the present voters stays, the leader hands over to one of those who come,
/// who ends the change.
#[test]
fn rel_e11_all_voters_are_replaced_at_once() {
    let mut cluster = Cluster::with_learners(3, node(1), &[4, 5, 6]);
    cluster.ask(1, "promote=4,5,6 remove=1,2,3");
    cluster.settle();
    let joint = "voters=4,5,6 outgoing=1,2,3";
    assert_eq!(cluster.answer("promote=4,5,6 remove=1,2,3"), Some(joint));
    cluster.run(100);
    (4..=6).for_each(|id| assert_eq!(cluster.members_at(id), "voters=4,5,6"));
    (1..=3).for_each(|id| assert_eq!(cluster.role(id), RoleName::Follower));
    (1..=3).for_each(|id| cluster.crash(node(id)));
    cluster.submit(node(4), "w", "put a 1", None);
    cluster.run(50);
    assert_eq!(cluster.answer("w"), Some("r1"));
}

/// E13: what makes no sense is refused in words, changes nothing and is in nobody's way.
#[test]
fn rel_e13_impossible_changes_are_refused_and_change_nothing() {
    let mut cluster = Cluster::with_learners(3, node(1), &[4]);
    let before = cluster.members_at(1);
    for (words, answer) in [
        ("remove=1,2,3", "no: nobody would be left to vote"),
        ("demote=1,2,3", "no: nobody would be left to vote"),
        ("add=a4", "no: node 4 has that address"),
        ("readdress=2@a4", "no: node 4 has that address"),
        ("readdress=2@", "no: an address has between 1 and 255 bytes"),
        ("remove=9", "no: node 9 is not a member"),
        ("promote=2", "no: node 2 is not a learner"),
        ("demote=4", "no: node 4 is not a voter"),
        ("promote=4 remove=4", "no: node 4 is to be removed and changed at once"),
    ] {
        cluster.ask(1, words);
        cluster.settle();
        assert_eq!(cluster.answer(words), Some(answer), "{words}");
        assert_eq!(cluster.members_at(1), before, "{words}");
    }
    cluster.ask(1, "promote=4");
    cluster.settle();
    assert_eq!(cluster.answer("promote=4"), Some("voters=1,2,3,4"));
}

/// E13: a change is refused while another one is under way, until that one is applied; a joint
/// one until it is left.
#[test]
fn rel_e13_one_change_at_a_time() {
    let mut cluster = Cluster::with_learners(3, node(1), &[4, 5]);
    let busy = "no: another change of the members is under way; try again when it is done";
    cluster.ask(1, "promote=4");
    cluster.ask(1, "remove=2");
    cluster.settle();
    assert_eq!(cluster.answer("remove=2"), Some(busy));
    assert_eq!(cluster.members_at(1), "voters=1,2,3,4 learners=5");
    cluster.ask(1, "promote=5 remove=2");
    cluster.settle();
    cluster.ask(1, "remove=3");
    cluster.settle();
    assert_eq!(cluster.answer("remove=3"), Some(busy), "the membership is joint");
    cluster.run(20);
    cluster.ask(1, "demote=3");
    cluster.settle();
    assert_eq!(cluster.answer("demote=3"), Some("voters=1,4,5 learners=3"));
}

/// E14: learners that are away hold up neither commits nor reads, and changes of the voters do
/// not end what learners get.
#[test]
fn rel_e14_learners_hold_up_nothing_and_are_not_forgotten() {
    let mut cluster = Cluster::with_learners(3, node(1), &[4, 5]);
    (3..=5).for_each(|id| cluster.isolate(id));
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.read(node(1), "r", "a");
    cluster.settle();
    assert_eq!((cluster.answer("w"), cluster.answer("r")), (Some("r1"), Some("1")));
    cluster.heal();
    cluster.isolate(4);
    for words in ["demote=2", "remove=3", "add=a6"] {
        cluster.ask(1, words);
        cluster.run(20);
    }
    assert_eq!(cluster.members_at(1), "voters=1 learners=2,4,5,6");
    cluster.submit(node(1), "w2", "put a 2", None);
    cluster.run(20);
    for learner in [2, 5] {
        assert_eq!(cluster.value(learner, "a"), Some("2"), "n{learner}");
    }
}

/// E15: what is on its way to a removed node, and never arrives, holds up nothing, and what
/// comes from it late is harmless.
#[test]
fn rel_e15_unanswered_messages_to_a_removed_node_hold_up_nothing() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.submit(node(1), "w1", "put a 1", None);
    cluster.settle_among(&[1, 2]);
    cluster.keep("to n3", |e| e.to == node(3));
    cluster.ask(1, "remove=3");
    cluster.settle_among(&[1, 2]);
    assert_eq!(cluster.answer("remove=3"), Some("voters=1,2"));
    cluster.send_kept("to n3");
    cluster.settle();
    cluster.submit(node(1), "w2", "put a 2", None);
    cluster.settle();
    assert_eq!(cluster.answer("w2"), Some("r2"));
    assert_eq!((cluster.leaders(), cluster.members_at(1).as_str()), (vec![1], "voters=1,2"));
}

/// E16: a node that was removed while it was down comes back with its old log: it disturbs
/// nobody, is told, and its id is not given to anybody else.
#[test]
fn rel_e16_a_removed_node_that_comes_back_disturbs_nobody() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.crash(node(3));
    cluster.ask(1, "remove=3");
    cluster.run(20);
    let term = cluster.term(1);
    cluster.restart(node(3));
    assert_eq!(cluster.members_at(3), "voters=1,2,3", "it does not know");
    cluster.run(1000);
    assert!(cluster.was_told(&["n3 hears that it was removed"]));
    assert_eq!((cluster.leaders(), cluster.term(1)), (vec![1], term));
    cluster.take_told();
    cluster.run(1000);
    assert!(!cluster.was_told(&["n3 ->"]), "it has stopped asking");
    cluster.ask(1, "add=a3");
    cluster.settle();
    assert_eq!(cluster.answer("add=a3"), Some("voters=1,2 learners=4 added=4"));
}

/// E16: a learner that was removed while it was away asks those it knows, and is told.
#[test]
fn rel_e16_a_learner_that_was_removed_while_it_was_away_is_told() {
    let mut cluster = Cluster::with_learners(3, node(1), &[4]);
    cluster.isolate(4);
    cluster.ask(1, "remove=4");
    cluster.run(50);
    cluster.heal();
    cluster.run(20);
    assert!(!cluster.was_told(&["n4 hears that it was removed"]), "nobody speaks to it");
    cluster.run(400);
    assert!(cluster.was_told(&["n4 hears that it was removed"]));
    cluster.take_told();
    cluster.run(1_000);
    assert!(!cluster.was_told(&["n4 ->"]), "it asks no more");
}

/// E16: replaying a log in which nodes came and went brings none of them back.
#[test]
fn rel_e16_a_replay_does_not_bring_back_those_who_left() {
    let mut cluster = Cluster::with_learners(3, node(1), &[4]);
    cluster.ask(1, "promote=4 remove=3");
    cluster.run(40);
    cluster.ask(1, "remove=2");
    cluster.run(40);
    for id in [1, 4] {
        cluster.crash(node(id));
    }
    for id in [1, 4] {
        cluster.restart(node(id));
        assert_eq!(cluster.members_at(id), "voters=1,4");
    }
    cluster.run(600);
    let leader = cluster.leaders()[0];
    assert_eq!(cluster.members_at(leader), "voters=1,4");
    cluster.crash(node(5 - leader));
    cluster.submit(node(leader), "w", "put a 1", None);
    cluster.run(50);
    assert_eq!(cluster.answer("w"), None, "n2 and n3, who are up, do not count");
}

fn one_entry_at_a_time(config: &mut RaftConfig) {
    config.append_bytes_max = 1;
    config.window_appends_max = 1;
}

/// E17: whoever joins gets memberships of old times with the log, in which it is not even
/// known; it goes on, and remembers the newest one when it starts again.
#[test]
fn rel_e17_older_memberships_do_not_stop_a_joining_node() {
    let mut cluster = Cluster::with_settings(3, one_entry_at_a_time);
    cluster.found(node(1));
    cluster.grow(node(1), &[4, 5]);
    cluster.ask(1, "promote=4,5 remove=2");
    cluster.run(40);
    cluster.ask(1, "add=a6");
    cluster.settle();
    cluster.join(node(6), node(1));
    assert_eq!(cluster.members_at(6), "voters=1,3,4,5 learners=6");
    let mut seen = Vec::new();
    for _ in 0..400 {
        cluster.tick(1);
        cluster.deliver(|_| true);
        assert!(cluster.appends_to(6).len() <= 1, "one entry at a time");
        let members = cluster.members_at(6);
        if seen.last() != Some(&members) {
            seen.push(members);
        }
        assert_eq!(cluster.role(6), RoleName::Follower);
    }
    assert!(seen.contains(&"voters=1,2,3 learners=4".to_owned()), "{seen:?}");
    assert_eq!(seen.last().map(String::as_str), Some("voters=1,3,4,5 learners=6"));
    cluster.crash(node(6));
    cluster.restart(node(6));
    assert_eq!(cluster.members_at(6), "voters=1,3,4,5 learners=6");
    cluster.run(50);
    cluster.ask(1, "promote=6");
    cluster.settle();
    assert_eq!(cluster.answer("promote=6"), Some("voters=1,3,4,5,6"));
}

/// E17: a node that joins and starts again before it counts does not depose the leader.
#[test]
fn rel_e17_a_joining_node_that_starts_again_deposes_nobody() {
    let mut cluster = Cluster::with_settings(3, one_entry_at_a_time);
    cluster.found(node(1));
    cluster.ask(1, "add=a4");
    cluster.settle();
    cluster.join(node(4), node(1));
    let term = cluster.term(1);
    for _ in 0..100 {
        cluster.tick(1);
        if cluster.last(4).index.0 == 0 {
            cluster.deliver(|_| true);
        }
    }
    assert_eq!(cluster.last(4).index.0, 1, "it has a log");
    assert!(!cluster.was_told(&["n4 counts"]));
    cluster.crash(node(4));
    cluster.restart(node(4));
    cluster.run(100);
    assert_eq!((cluster.leaders(), cluster.term(1)), (vec![1], term));
    assert!(cluster.was_told(&["n4 counts"]));
}

/// E17: a joining node whose log was damaged before it counted refuses what it had acknowledged,
/// in the same term and from the same directory, and is sent everything again.
#[test]
fn rel_e17_a_joining_node_that_loses_its_log_gets_it_again() {
    let answer = |result| Message::AppendEntriesResponse { round: 0, counts: false, result };
    let mut one = LoneRaft::new(3, &[]);
    one.lead();
    let first = one.raft.log().last().index;
    one.take(3, 1, answer(AppendResult::Accepted { match_index: first }));
    assert!(one.propose(&["a"]));
    one.turn();
    one.sent.clear();
    let lost = AppendResult::Rejected { prev_index: first, hint: EntryId::ZERO };
    one.take(3, 1, answer(lost));
    let prevs: Vec<EntryId> = one.sent.iter().filter_map(prev_of_append_to_3).collect();
    assert_eq!(prevs, [EntryId::ZERO]);
}

fn prev_of_append_to_3(envelope: &Envelope) -> Option<EntryId> {
    match envelope.message {
        Message::AppendEntries { prev, .. } if envelope.to == node(3) => Some(prev),
        _ => None,
    }
}

/// E21: a leader that is only in the half that goes hands over to one of the half that comes,
/// and the change is ended within an election timeout.
#[test]
fn rel_e21_a_leader_of_the_leaving_half_hands_over_before_the_change_ends() {
    let mut cluster = Cluster::with_learners(3, node(2), &[4, 5]);
    cluster.ask(2, "promote=4,5 demote=1");
    cluster.settle();
    let joint = "voters=2,3,4,5 outgoing=1,2,3 learners=1";
    (1..=5).for_each(|id| assert_eq!(cluster.members_at(id), joint));
    cluster.crash(node(2));
    cluster.campaign(node(1));
    cluster.settle();
    assert_eq!(cluster.leaders(), [1], "it leads by the votes of both halves");
    cluster.run(100);
    assert_ne!(cluster.leaders(), [1]);
    let leader = cluster.leaders()[0];
    assert_eq!(cluster.members_at(leader), "voters=2,3,4,5 learners=1");
    cluster.submit(node(leader), "w", "put a 1", None);
    cluster.settle();
    assert_eq!(cluster.answer("w"), Some("r1"));
}

/// E24: a voter that starts again with an empty disk neither votes nor is counted; it comes
/// back under a new id only.
#[test]
fn rel_e24_a_voter_with_an_empty_disk_comes_back_under_a_new_id() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.submit(node(1), "w1", "put a 1", None);
    cluster.settle();
    cluster.crash(node(3));
    cluster.wipe(node(3));
    cluster.restart(node(3));
    cluster.run(50);
    cluster.isolate(2);
    cluster.submit(node(1), "w2", "put a 2", None);
    cluster.run(50);
    assert_eq!(cluster.answer("w2"), None, "n3 has forgotten who it was");
    cluster.heal();
    cluster.crash(node(1));
    cluster.take_told();
    cluster.campaign(node(2));
    cluster.run(200);
    assert!(!cluster.was_told(&["n3 ->", "VoteResponse"]));
    cluster.restart(node(1));
    cluster.run(600);
    let leader = cluster.leaders()[0];
    cluster.ask(leader, "remove=3");
    cluster.run(20);
    cluster.crash(node(3));
    cluster.grow(node(leader), &[4]);
    cluster.ask(leader, "promote=4");
    cluster.settle();
    assert_eq!(cluster.answer("promote=4"), Some("voters=1,2,4"));
}

/// E25: while a voter is down, nodes may be added; only those that run and have nearly
/// everything are promoted, and another address promotes nobody.
#[test]
fn rel_e25_only_who_runs_and_has_caught_up_is_promoted() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.crash(node(3));
    cluster.ask(1, "add=a4");
    cluster.run(20);
    assert_eq!(cluster.answer("add=a4"), Some("voters=1,2,3 learners=4 added=4"));
    cluster.ask(1, "promote=4");
    cluster.settle();
    let behind = "no: node 4 has not caught up with the log; try again later";
    assert_eq!(cluster.answer("promote=4"), Some(behind), "it does not even run");
    cluster.ask(1, "readdress=4@b4");
    cluster.settle();
    assert_eq!(cluster.answer("readdress=4@b4"), Some("voters=1,2,3 learners=4"));
    cluster.join(node(4), node(1));
    cluster.run(50);
    let again = change_of(&["promote=4"]).expect("a change");
    cluster.change(node(1), "now", &again);
    cluster.settle();
    assert_eq!(cluster.answer("now"), Some("voters=1,2,3,4"));
}

/// E25: a change after which those who are there would be no majority is refused.
#[test]
fn rel_e25_a_change_that_would_stop_the_cluster_is_refused() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.crash(node(3));
    cluster.run(200);
    cluster.ask(1, "remove=2");
    cluster.settle();
    let answer = cluster.answer("remove=2").expect("a decision");
    assert!(answer.starts_with("no: the voters that can be reached now"), "{answer}");
    cluster.ask(1, "remove=3");
    cluster.settle();
    assert_eq!(cluster.answer("remove=3"), Some("voters=1,2"));
}

/// E25: whoever answers and does not count yet, because no committed entry binds its directory,
/// is no part of the majority that must be there.
#[test]
fn rel_e25_who_is_there_and_does_not_count_is_no_majority() {
    let mut cluster = Cluster::empty(3);
    cluster.tick(1);
    cluster.deliver(|e| e.to == node(3));
    cluster.crash(node(3));
    cluster.settle();
    cluster.campaign(node(1));
    cluster.run(150);
    cluster.hold_sync(node(2), true);
    cluster.restart(node(3));
    cluster.run(30);
    cluster.ask(1, "demote=2");
    cluster.settle();
    assert_eq!(cluster.members_at(1), "voters=1,2,3", "n1 and n3 could not commit anything");
    cluster.hold_sync(node(2), false);
    cluster.run(20);
    let answer = cluster.answer("demote=2").expect("a decision");
    assert!(answer.starts_with("no: the voters that can be reached now"), "{answer}");
    let again = change_of(&["demote=2"]).expect("a change");
    cluster.change(node(1), "now", &again);
    cluster.settle();
    assert_eq!(cluster.answer("now"), Some("voters=1,3 learners=2"));
}

/// E26: who was promoted and who was removed is the same after everybody started again.
#[test]
fn rel_e26_promotions_and_removals_outlast_a_restart_of_everybody() {
    let mut cluster = Cluster::with_learners(3, node(1), &[4]);
    cluster.ask(1, "promote=4");
    cluster.run(20);
    cluster.ask(1, "remove=3");
    cluster.run(20);
    (1..=4).for_each(|id| cluster.crash(node(id)));
    [2, 3, 4].iter().for_each(|&id| cluster.restart(node(id)));
    assert_eq!(cluster.members_at(4), "voters=1,2,4");
    cluster.run(1000);
    let leader = cluster.leaders()[0];
    assert_ne!(leader, 3, "n2 and n4 are the majority");
    cluster.submit(node(leader), "w", "put a 1", None);
    cluster.run(20);
    assert_eq!(cluster.answer("w"), Some("r1"), "n4 is counted");
}

/// E27: two operators each remove a voter at the same time, through different nodes: one change
/// is made, the other one is refused, and both are told what happened.
#[test]
fn rel_e27_of_two_changes_at_the_same_time_each_answer_is_what_happened() {
    let mut cluster = Cluster::led_by(5, node(1));
    cluster.ask(2, "remove=4");
    cluster.ask(3, "remove=5");
    cluster.run(100);
    let busy = "no: another change of the members is under way; try again when it is done";
    assert_eq!(cluster.members_at(1), "voters=1,2,3,5");
    assert_eq!(cluster.answer("remove=4"), Some("voters=1,2,3,5"));
    assert_eq!(cluster.answer("remove=5"), Some(busy));
}

/// E27: a change that is asked for again, before everybody knows that it was refused, is not
/// made behind that answer.
#[test]
fn rel_e27_a_refused_change_that_is_repeated_is_not_made_behind_the_answer() {
    let mut cluster = Cluster::with_learners(3, node(1), &[4]);
    cluster.isolate(4);
    cluster.run(150);
    let change = change_of(&["promote=4"]).expect("a change");
    cluster.change_as(node(1), "first", &change, Some((7, 1)));
    assert_eq!(cluster.answer("first"), None, "refused, and nobody else knows it yet");
    cluster.heal();
    for _ in 0..40 {
        cluster.tick(1);
        cluster.settle_among(&[1, 4]);
    }
    cluster.change_as(node(1), "again", &change, Some((7, 1)));
    cluster.run(100);
    let answers = [cluster.answer("first"), cluster.answer("again")];
    assert_eq!(answers[0], answers[1]);
    let is_made = cluster.members_at(1) != "voters=1,2,3 learners=4";
    assert_eq!(is_made, !answers[0].expect("an answer").starts_with("no"), "{answers:?}");
}

/// E27: a change that its session does not allow is not made.
#[test]
fn rel_e27_a_change_that_its_session_refuses_is_not_made() {
    let mut cluster = Cluster::led_by(3, node(1));
    let change = change_of(&["add=a4"]).expect("a change");
    cluster.change_as(node(1), "far ahead", &change, Some((7, 5000)));
    cluster.settle();
    assert_eq!(cluster.answer("far ahead"), Some("WindowExceeded"));
    assert_eq!(cluster.members_at(1), "voters=1,2,3");
}

/// E27: a change whose leader stepped down before it was committed, and came back, is decided
/// anew and not put into the log once more as it was decided before.
#[test]
fn rel_e27_a_change_that_waits_over_a_change_of_leader_is_decided_anew() {
    let mut cluster = Cluster::led_by(3, node(1));
    (2..=3).for_each(|id| cluster.isolate(id));
    cluster.ask(1, "demote=3");
    cluster.run(400);
    assert_ne!(cluster.role(1), RoleName::Leader, "it reached nobody");
    cluster.heal();
    cluster.run(1_200);
    assert_eq!(cluster.answer("demote=3"), Some("voters=1,2 learners=3"));
    let leader = cluster.leaders()[0];
    assert_eq!(cluster.members_at(leader), "voters=1,2 learners=3");
}
