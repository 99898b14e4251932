//! Bugs that Raft implementations had with the majorities of a changing membership. Each test
//! is named after its entry in `docs/raft.md` and says in its own words what must hold.

use raft_core::consensus::message::Message;
use raft_core::consensus::ready::RoleName;
use sim::cluster::{Cluster, envelope, is_named, named, node};

/// Makes n2 the leader by the votes of `voters`; nobody has any of its entries yet, but has
/// answered a heartbeat.
fn elect_without_entries(cluster: &mut Cluster, voters: &[u64]) {
    cluster.stand(2);
    cluster.deliver_named("RequestVote");
    cluster.deliver_named("RequestVoteResponse");
    assert_eq!(cluster.role(2), RoleName::Leader);
    cluster.drop_messages(|e| is_named(e, "AppendEntries") && voters.contains(&e.to.number()));
    cluster.tick_node(node(2));
    cluster.deliver_named("Heartbeat");
    cluster.deliver(|e| is_named(e, "HeartbeatResponse") && voters.contains(&e.from.number()));
    cluster.drop_messages(|e| is_named(e, "AppendEntries") && voters.contains(&e.to.number()));
}

/// Two leaders of adjacent terms each want one voter more or less. The first one's change is
/// on the nodes of `first_side` only; the second one's reaches only those of `second_side`,
/// a majority of what it wants. If it were decided before the second leader has committed in
/// its term, the first leader could still be elected by its side.
fn two_leaders_change(first: &str, second: &str, first_side: &[u64], second_side: &[u64]) {
    let mut cluster = Cluster::with_learners(4, node(1), &[5, 6]);
    let before = cluster.members_at(1);
    cluster.ask(1, first);
    let reached: Vec<u64> = first_side.iter().copied().filter(|&id| id == 1 || id == 5).collect();
    cluster.settle_among(&reached);
    cluster.drop_messages(|_| true);
    assert_ne!(cluster.members_at(1), before, "a change is in force when it is appended");
    reached.iter().for_each(|&id| cluster.isolate(id));
    elect_without_entries(&mut cluster, &[3, 4]);
    cluster.settle_among(&[2, 6]);
    cluster.ask(2, second);
    assert_eq!(cluster.members_at(2), before, "nothing of this term is committed");
    cluster.settle_among(second_side);
    cluster.drop_messages(|_| true);
    cluster.heal();
    second_side.iter().for_each(|&id| cluster.isolate(id));
    cluster.campaign(node(1));
    cluster.settle_among(first_side);
    cluster.heal();
    cluster.run(600);
    let leader = cluster.leaders()[0];
    let members = cluster.members_at(leader);
    let configuration = cluster.status(node(leader)).configuration;
    for id in configuration.members.keys().map(|id| id.number()) {
        assert_eq!(cluster.members_at(id), members, "one membership on n{id}");
    }
}

/// E1: two leaders that follow each other add a voter and remove one.
#[test]
fn rel_e01_a_leader_that_has_committed_nothing_in_its_term_removes_nobody() {
    two_leaders_change("promote=5", "remove=1", &[1, 4, 5], &[2, 3]);
}

/// E1: two leaders that follow each other add a voter each.
#[test]
fn rel_e01_a_leader_that_has_committed_nothing_in_its_term_adds_nobody() {
    two_leaders_change("promote=5", "promote=6", &[1, 4, 5], &[2, 3, 6]);
}

/// E1: two leaders that follow each other remove a voter each.
#[test]
fn rel_e01_two_removals_by_two_leaders_leave_one_membership() {
    two_leaders_change("remove=4", "remove=1", &[1, 3], &[2, 4]);
}

/// E2: a new leader votes, counts and goes on with the newest membership in its log, though
/// it does not know that to be committed.
#[test]
fn rel_e02_a_new_leader_builds_on_the_newest_membership_in_its_log() {
    let mut cluster = Cluster::with_learners(3, node(1), &[4]);
    cluster.ask(1, "promote=4");
    cluster.deliver(|e| e.to == node(2));
    cluster.drop_messages(|_| true);
    cluster.crash(node(1));
    assert_eq!(cluster.members_at(2), "voters=1,2,3,4");
    cluster.stand(2);
    cluster.deliver(|e| is_named(e, "RequestVote") && e.to == node(3));
    cluster.deliver_named("RequestVoteResponse");
    assert_eq!(cluster.role(2), RoleName::Candidate, "two of four are no majority");
    cluster.deliver(|e| is_named(e, "RequestVote") && e.to == node(4));
    cluster.deliver_named("RequestVoteResponse");
    assert_eq!(cluster.role(2), RoleName::Leader);
    cluster.settle();
    cluster.tick(15);
    cluster.settle();
    cluster.ask(2, "remove=1");
    cluster.run(150);
    assert_eq!(cluster.answer("remove=1"), Some("voters=2,3,4"));
}

/// E2: what a deposed leader had appended is not in force any more once it is overwritten.
#[test]
fn rel_e02_an_overwritten_membership_is_not_in_force() {
    let mut cluster = Cluster::with_learners(3, node(1), &[4]);
    cluster.isolate(1);
    cluster.ask(1, "promote=4");
    cluster.run(2500);
    assert_eq!(cluster.answer("promote=4"), Some("refused: Unknown"));
    assert_eq!(cluster.members_at(1), "voters=1,2,3,4");
    cluster.heal();
    cluster.run(50);
    assert_eq!(cluster.members_at(1), "voters=1,2,3 learners=4");
}

/// E3: a node that was promoted and does not know it yet votes, or its vote would be missing.
#[test]
fn rel_e03_a_promoted_node_that_takes_itself_for_a_learner_votes() {
    let mut cluster = Cluster::with_learners(3, node(1), &[4]);
    cluster.ask(1, "promote=4");
    cluster.settle_among(&[1, 2, 3]);
    assert_eq!(cluster.answer("promote=4"), Some("voters=1,2,3,4"));
    cluster.drop_messages(|_| true);
    cluster.crash(node(1));
    assert_eq!(cluster.members_at(4), "voters=1,2,3 learners=4");
    cluster.campaign(node(2));
    cluster.settle();
    assert_eq!(cluster.role(2), RoleName::Leader, "n4 makes three of four");
}

/// E4: a learner neither campaigns nor is leadership handed to it, whoever asks.
#[test]
fn rel_e04_a_learner_never_campaigns() {
    let mut cluster = Cluster::with_learners(3, node(1), &[4]);
    let term = cluster.term(1);
    cluster.isolate(4);
    for _ in 0..100 {
        cluster.pass(10);
        cluster.tick_node(node(4));
    }
    assert!(!cluster.was_told(&["n4 ->", "Vote"]), "its timer has long run out");
    cluster.heal();
    cluster.run(100);
    cluster.transfer(node(1), "to a learner", Some(node(4)));
    cluster.settle();
    assert_eq!(cluster.answer("to a learner"), Some("refused: NotHandedOver"));
    assert!(!cluster.was_told(&["n1 -> n4", "TimeoutNow"]));
    cluster.inject(envelope(node(2), node(1), term, Message::Transfer { to: Some(node(4)) }));
    cluster.inject(envelope(node(1), node(4), term, Message::TimeoutNow));
    cluster.settle();
    assert_eq!((cluster.role(4), cluster.term(4)), (RoleName::Follower, term));
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.settle();
    assert_eq!(cluster.answer("w"), Some("r1"), "nothing is being handed over");
}

/// E5: whose demotion is committed, as far as it knows, does not campaign.
#[test]
fn rel_e05_a_node_whose_demotion_is_committed_does_not_campaign() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.ask(1, "demote=3");
    cluster.settle();
    cluster.run(10);
    assert_eq!(cluster.commit_index(3), cluster.last(3).index.0);
    cluster.isolate(3);
    for _ in 0..100 {
        cluster.pass(10);
        cluster.tick_node(node(3));
    }
    assert!(!cluster.was_told(&["n3 ->", "Vote"]), "its timer has long run out");
}

/// E7: a joint membership is left once, by whoever leads, beside other entries in flight.
#[test]
fn rel_e07_a_joint_membership_is_left_once_after_a_change_of_leader() {
    let mut cluster = Cluster::with_learners(3, node(1), &[4, 5]);
    cluster.ask(1, "promote=4,5");
    assert_eq!(cluster.members_at(1), "voters=1,2,3,4,5 outgoing=1,2,3");
    cluster.settle();
    let joint = cluster.last(1).index.0;
    cluster.crash(node(1));
    cluster.stand(2);
    cluster.settle();
    cluster.submit(node(2), "w", "put a 1", None);
    for _ in 0..5 {
        cluster.tick(5);
    }
    cluster.settle();
    cluster.run(100);
    assert_eq!(cluster.last(2).index.0, joint + 3, "its first entry, the put, and the end");
    for id in 2..=5 {
        assert_eq!(cluster.members_at(id), "voters=1,2,3,4,5");
    }
    assert_eq!(cluster.answer("w"), Some("r1"));
}

/// E7: whoever starts again inside a joint membership knows both halves.
#[test]
fn rel_e07_a_restart_inside_a_joint_membership_restores_both_halves() {
    let mut cluster = Cluster::with_learners(3, node(1), &[4, 5]);
    cluster.ask(1, "promote=4,5 remove=2,3");
    cluster.settle();
    let joint = "voters=1,4,5 outgoing=1,2,3";
    (1..=5).for_each(|id| cluster.crash(node(id)));
    (1..=5).for_each(|id| cluster.restart(node(id)));
    (1..=5).for_each(|id| assert_eq!(cluster.members_at(id), joint));
    cluster.crash(node(2));
    cluster.crash(node(3));
    cluster.campaign(node(4));
    cluster.run(50);
    assert_eq!(cluster.leaders(), [] as [u64; 0], "the old half has lost its majority");
    cluster.restart(node(2));
    cluster.run(600);
    assert_eq!(cluster.members_at(4), "voters=1,4,5", "and now it is left");
}

/// E8: in a joint membership an entry needs a majority of each half; whoever is in one half
/// counts there alone, and the leader counts what is on its own disk.
#[test]
fn rel_e08_a_joint_commit_needs_a_majority_of_each_half() {
    let mut cluster = Cluster::with_learners(3, node(1), &[4, 5]);
    let before = cluster.commit_index(1);
    cluster.hold_sync(node(1), true);
    cluster.ask(1, "promote=4,5 remove=2,3");
    cluster.settle_among(&[1, 2, 4]);
    assert_eq!(cluster.commit_index(1), before, "the leader has not synced it itself");
    cluster.hold_sync(node(1), false);
    assert_eq!(cluster.commit_index(1), before + 1);

    let mut cluster = Cluster::with_learners(3, node(1), &[4, 5]);
    cluster.ask(1, "promote=4,5 remove=2,3");
    cluster.settle_among(&[1, 2, 3]);
    assert_eq!(cluster.commit_index(1), before, "nobody else of the new half has it");
    cluster.settle_among(&[1, 4]);
    assert_eq!(cluster.commit_index(1), before + 1);

    let mut cluster = Cluster::with_learners(3, node(1), &[4, 5]);
    cluster.ask(1, "promote=4,5 remove=2,3");
    cluster.settle_among(&[1, 4, 5]);
    assert_eq!(cluster.commit_index(1), before, "nobody else of the old half has it");
    cluster.settle_among(&[1, 2]);
    assert_eq!(cluster.commit_index(1), before + 1);
}

/// E8: in a joint membership a candidate needs votes of a majority of each half.
#[test]
fn rel_e08_a_joint_election_needs_a_majority_of_each_half() {
    for (candidate, voters) in [(2, [3, 4, 5]), (4, [5, 2, 3])] {
        let mut cluster = Cluster::with_learners(3, node(1), &[4, 5]);
        cluster.ask(1, "promote=4,5 remove=2,3");
        cluster.settle();
        cluster.crash(node(1));
        cluster.stand(candidate);
        for voter in voters {
            assert_eq!(cluster.role(candidate), RoleName::Candidate, "before n{voter} votes");
            cluster.deliver(|e| is_named(e, "RequestVote") && e.to == node(voter));
            cluster.deliver_named("RequestVoteResponse");
        }
        assert_eq!(cluster.role(candidate), RoleName::Leader);
    }
}

/// E10: with one voter less, what was not committed before may be.
#[test]
fn rel_e10_the_removal_of_a_voter_commits_what_has_a_majority_now() {
    let mut cluster = Cluster::led_by(4, node(1));
    cluster.submit(node(1), "w", "put a 1", None);
    let write = cluster.last(1).index.0;
    cluster.settle_among(&[1, 2]);
    cluster.drop_messages(|_| true);
    assert_eq!(cluster.commit_index(1), write - 1, "two of four");
    cluster.ask(1, "remove=4");
    assert_eq!(cluster.commit_index(1), write, "two of three");
    assert_eq!(cluster.answer("w"), Some("r1"));
}

/// E20: of three only one is to stay; the two others cannot elect anybody.
#[test]
fn rel_e20_those_who_were_removed_elect_nobody() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.ask(1, "remove=2,3");
    cluster.settle();
    cluster.run(20);
    assert_eq!(cluster.members_at(1), "voters=1");
    cluster.submit(node(1), "w", "put a 1", None);
    assert_eq!(cluster.answer("w"), Some("r1"), "n1 is its own majority");
    cluster.crash(node(1));
    for id in [2, 3, 2, 3] {
        cluster.campaign(node(id));
        cluster.run(100);
        assert_eq!(cluster.leaders(), [] as [u64; 0]);
    }
    cluster.restart(node(1));
    cluster.run(400);
    assert_eq!(cluster.leaders(), [1]);
    assert!(cluster.was_told(&["n2 hears that it was removed"]));
}

/// E22: whoever was just promoted does not follow a call to campaign before it has the entry
/// that promotes it, and nobody counts the vote of who is no voter.
#[test]
fn rel_e22_a_promoted_node_without_its_promotion_does_not_campaign() {
    let mut cluster = Cluster::with_learners(3, node(1), &[4, 5]);
    cluster.ask(1, "promote=4");
    cluster.settle_among(&[1, 2, 3]);
    let late = cluster.bag().filter(|e| e.to == node(4)).count();
    assert_ne!(late, 0, "the entry is on its way to n4");
    cluster.transfer(node(1), "to n4", Some(node(4)));
    assert!(!cluster.was_told(&["n1 -> n4", "TimeoutNow"]), "n4 lacks an entry");
    let term = cluster.term(1);
    cluster.inject(envelope(node(1), node(4), term, Message::TimeoutNow));
    cluster.deliver_named("TimeoutNow");
    assert_eq!((cluster.role(4), cluster.term(4)), (RoleName::Follower, term));
    cluster.settle();
    assert_eq!(cluster.answer("to n4"), Some("done"), "with the entry it does");
    assert_eq!(cluster.role(4), RoleName::Leader);
}

/// E22: the vote of a learner or of a stranger elects nobody.
#[test]
fn rel_e22_votes_of_those_who_have_none_do_not_elect() {
    let mut cluster = Cluster::with_learners(3, node(1), &[4, 5]);
    cluster.crash(node(1));
    cluster.stand(2);
    cluster.drop_messages(named("RequestVote"));
    let term = cluster.term(2);
    for stranger in [4, 5, 9] {
        let vote = Message::RequestVoteResponse { granted: true };
        cluster.inject(envelope(node(stranger), node(2), term, vote));
    }
    cluster.settle();
    assert_eq!(cluster.role(2), RoleName::Candidate);
}

/// E28: a membership that was appended and never committed leaves nothing behind: neither
/// peers, nor progress, nor a majority.
#[test]
fn rel_e28_nothing_is_left_of_an_overwritten_membership() {
    let mut cluster = Cluster::with_learners(3, node(1), &[4]);
    cluster.isolate(1);
    cluster.ask(1, "promote=4");
    cluster.ask(1, "add=a6");
    cluster.run(2500);
    assert_eq!(cluster.members_at(1), "voters=1,2,3,4", "nobody waits for it any more");
    cluster.heal();
    cluster.run(50);
    cluster.campaign(node(1));
    cluster.settle();
    cluster.run(50);
    assert_eq!(cluster.leaders(), [1]);
    assert_eq!(cluster.members_at(1), "voters=1,2,3 learners=4");
    let before = cluster.commit_index(1);
    cluster.isolate(3);
    cluster.isolate(4);
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.settle();
    assert_eq!(cluster.commit_index(1), before + 1, "two of three, not of four");
    cluster.heal();
    cluster.run(50);
    cluster.ask(1, "add=a5");
    cluster.settle();
    assert_eq!(cluster.answer("add=a5"), Some("voters=1,2,3 learners=4,5 added=5"));
}
