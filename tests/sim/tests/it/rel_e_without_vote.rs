//! Bugs of changes of the membership, third part: nodes that lose their vote by a change that
//! is not committed yet. One of them may be the only node that can complete it (Ongaro 2014
//! §4.2.2). Each test is named after its entry in `docs/raft.md`.

use raft_core::configuration::{Change, Configuration, Decision};
use raft_core::consensus::message::{AppendResult, Message};
use raft_core::consensus::ready::RoleName;
use raft_core::entry::{Draft, Entries, EntryKind, SessionStamp, Stamp};
use raft_core::types::{EntryId, Index, Term, Time};
use sim::cluster::{Cluster, is_named, node};
use sim::lone_raft::LoneRaft;

/// n3 is to be the only voter. The joint membership is committed; the end of the change is on
/// n1 and n2, which lose their votes by it, and n3 has lost it.
fn only_those_who_leave_know() -> Cluster {
    let mut cluster = Cluster::led_by(3, node(3));
    cluster.ask(3, "demote=1,2");
    cluster.settle();
    assert_eq!(cluster.answer("demote=1,2"), Some("voters=3 outgoing=1,2,3 learners=1,2"));
    cluster.hold_sync(node(3), true);
    cluster.tick(5);
    cluster.settle();
    (1..=3).for_each(|id| assert_eq!(cluster.members_at(id), "voters=3 learners=1,2"));
    cluster.crash(node(3));
    cluster.hold_sync(node(3), false);
    cluster.restart(node(3));
    assert_eq!(cluster.members_at(3), "voters=3 outgoing=1,2,3 learners=1,2");
    cluster.take_told();
    cluster
}

/// E29: the only voter to be has lost the end of the change; those who lose their votes by it
/// are the only ones who can be elected, and they complete it.
#[test]
fn rel_e29_a_node_without_a_vote_completes_the_change() {
    let mut cluster = only_those_who_leave_know();
    cluster.run(2_000);
    assert_eq!(cluster.leaders(), [3], "who has no vote hands over");
    (1..=3).for_each(|id| assert_eq!(cluster.members_at(id), "voters=3 learners=1,2"));
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.run(100);
    assert_eq!(cluster.answer("w"), Some("r1"));
    cluster.take_told();
    cluster.crash(node(3));
    cluster.run(2_000);
    assert!(!cluster.was_told(&["Vote"]), "now that it is committed nobody else stands");
}

/// E29: with one of two voters to go it is the same: the one that stays has lost the change.
#[test]
fn rel_e29_one_voter_of_two_remains() {
    let mut cluster = Cluster::led_by(2, node(2));
    cluster.hold_sync(node(2), true);
    cluster.ask(2, "demote=1");
    cluster.settle();
    assert_eq!(cluster.members_at(1), "voters=2 learners=1");
    cluster.crash(node(2));
    cluster.hold_sync(node(2), false);
    cluster.restart(node(2));
    assert_eq!(cluster.members_at(2), "voters=1,2");
    cluster.run(2_000);
    assert_eq!(cluster.leaders(), [2]);
    assert_eq!(cluster.members_at(2), "voters=2 learners=1");
}

/// E29: a candidate without a vote does not count its own, and neither does a leader count its
/// own disk.
#[test]
fn rel_e29_a_leader_without_a_vote_does_not_count_itself() {
    let mut cluster = Cluster::led_by(3, node(3));
    cluster.hold_sync(node(3), true);
    cluster.ask(3, "demote=1");
    cluster.deliver(|e| e.to == node(1));
    cluster.drop_messages(|_| true);
    cluster.crash(node(3));
    cluster.hold_sync(node(3), false);
    cluster.restart(node(3));
    assert_eq!(cluster.members_at(1), "voters=2,3 learners=1");
    let before = cluster.commit_index(1);
    cluster.stand(1);
    cluster.deliver(|e| is_named(e, "RequestVote") && e.to == node(2));
    cluster.deliver_named("RequestVoteResponse");
    assert_eq!(cluster.role(1), RoleName::Candidate, "one of two voted for it");
    cluster.deliver_named("RequestVote");
    cluster.deliver_named("RequestVoteResponse");
    assert_eq!(cluster.role(1), RoleName::Leader);
    cluster.settle_among(&[1, 2]);
    assert_eq!(cluster.commit_index(1), before, "one of two has it");
    cluster.settle();
    assert_ne!(cluster.commit_index(1), before);
    cluster.run(20);
    assert_eq!(cluster.leaders().len(), 1);
    assert_ne!(cluster.leaders(), [1], "it led only for that");
}

/// E11: a node that is removed by the newest entry of its log is elected, commits that without
/// counting itself, decides nothing else, and hands over to a voter.
#[test]
fn rel_e11_a_removed_leader_leads_until_its_removal_is_committed() {
    let mut one = LoneRaft::new(3, &[]);
    one.take(2, 1, append(&without_the_first(3), Index::ZERO));
    one.persist_all();
    assert!(!one.raft.configuration().is_member(node(1)));
    one.lead();
    one.persist_all();
    let last = one.raft.log().last();
    assert_eq!((one.raft.role_name(), last.index), (RoleName::Leader, Index(2)));
    one.take(2, 2, acknowledged(last.index));
    assert_eq!(one.raft.log().commit_index(), Index::ZERO, "one of two");
    assert!(one.propose_round(change()).is_none(), "it decides on no change");
    one.take(3, 2, acknowledged(last.index));
    assert_eq!(one.raft.log().commit_index(), last.index);
    assert!(one.raft.is_removed());
    // It binds the others when it hears of them, and whoever takes over has to have that too.
    for _ in 0..2 {
        one.persist_all();
        let last = one.raft.log().last();
        (2..=3).for_each(|peer| one.take(peer, 2, acknowledged(last.index)));
    }
    one.run(1);
    let told: Vec<u64> = one
        .sent
        .iter()
        .filter(|envelope| matches!(envelope.message, Message::TimeoutNow))
        .map(|envelope| envelope.to.number())
        .collect();
    assert!(told == [2] || told == [3], "{told:?}");
    assert!(one.propose_round(change()).is_none(), "nor does it now");
}

/// E5: a node that has been told that its demotion is committed does not campaign, though it
/// has not applied that yet.
#[test]
fn rel_e05_a_demotion_that_is_committed_and_not_applied_is_final() {
    let mut one = LoneRaft::new(3, &[]);
    one.hear(2, 1, append(&without_the_first(3), Index(1)));
    let log = one.raft.log();
    assert_eq!((log.commit_index(), log.applied_index()), (Index(1), Index::ZERO));
    for ms in 0..10_000 {
        one.raft.tick(Time(1_000_000 + ms * 1_000));
        assert_eq!(one.raft.role_name(), RoleName::Follower);
    }
}

/// The first entry of a log, by which the first of `count` voters is removed.
fn without_the_first(count: u64) -> Entries {
    let mut configuration = Configuration::of((1..=count).map(node));
    configuration.voters.remove(&node(1));
    configuration.members.remove(&node(1));
    let decision = Decision::Made { added: Vec::new(), configuration };
    let mut draft = Draft::default();
    draft.push(EntryKind::Configure, &SessionStamp::default(), &decision.encode());
    draft.stamp(&Stamp {
        term: Term(1),
        first: Index(1),
        log_time: 0,
        feature_level: 1,
        wall_time: 0,
        seed: 0,
    })
}

fn append(entries: &Entries, commit_index: Index) -> Message {
    let entries = vec![entries.clone()];
    Message::AppendEntries { prev: EntryId::ZERO, commit_index, round: 0, entries }
}

fn acknowledged(match_index: Index) -> Message {
    let result = AppendResult::Accepted { match_index };
    Message::AppendEntriesResponse { round: 0, counts: true, result }
}

/// A round that asks for a change of the members.
fn change() -> Draft {
    let change = Change { add: vec!["a9".to_owned()], ..Change::default() };
    let mut draft = Draft::default();
    draft.push(EntryKind::Change, &SessionStamp::default(), &change.encode());
    draft
}
