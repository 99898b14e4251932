//! Bugs that Raft implementations had with memberships and transfers beside snapshots. Each
//! test is named after its entry in `docs/raft.md` and says in its own words what must hold.

use bytes::Bytes;
use raft_core::configuration::{Change, Configuration, Decision};
use raft_core::consensus::message::Message;
use raft_core::consensus::ready::RoleName;
use raft_core::entry::{Draft, Entries, EntryKind, SessionStamp, Stamp};
use raft_core::snapshot::{SnapshotId, SnapshotState};
use raft_core::types::{EntryId, Index, Term, Time};
use sim::cluster::{Cluster, node};
use sim::entries::entries;
use sim::lone_raft::LoneRaft;

/// Three voters led by n1 and the learner n4, whose logs keep nothing that a snapshot has if
/// they can help it.
fn cluster() -> Cluster {
    let mut cluster = Cluster::led_by_with(3, node(1), |config| config.trailing_entries = 0);
    cluster.grow(node(1), &[4]);
    cluster
}

/// Writes at `leader`, and makes a snapshot there that covers it.
fn write_and_cut(cluster: &mut Cluster, leader: u64) {
    for n in 0..5 {
        cluster.submit(node(leader), "w", &format!("put a {n}"), None);
        cluster.run(10);
    }
    cluster.snapshot(node(leader));
    let base = cluster.replica(node(leader)).raft().log().base();
    assert!(cluster.last(leader).index.0 <= base.index.0 + 1, "its log is cut");
}

fn snapshot_at(term: u64, index: u64) -> SnapshotId {
    let last = EntryId { term: Term(term), index: Index(index) };
    SnapshotId { last, bytes: 10, checksum: 1 }
}

/// E6: while a snapshot is being put in the place of the state, the node does not stand for
/// election, whoever asks for it.
#[test]
fn rel_e06_a_node_that_installs_a_snapshot_does_not_campaign() {
    let mut lone = LoneRaft::new(3, &[entries(1, 1, &["put a 1"])]);
    lone.take(2, 1, Message::Heartbeat { commit_index: Index(0), round: 0, log_time: 0 });
    lone.raft.snapshot_received(snapshot_at(1, 9), 10, true);
    lone.turn();
    lone.sent.clear();
    lone.take(2, 1, Message::TimeoutNow);
    lone.run(3_000);
    assert_eq!((lone.raft.role_name(), lone.sent.len()), (RoleName::Follower, 0));
    lone.raft.install_failed();
    lone.run(1_000);
    assert_eq!(lone.raft.role_name(), RoleName::PreCandidate, "now it may");
}

/// E6: a candidate to whom the leader of its term sends a snapshot follows and takes it.
#[test]
fn rel_e06_a_candidate_takes_a_snapshot_of_the_leader_of_its_term() {
    let mut lone = LoneRaft::new(3, &[entries(1, 1, &["put a 1"])]);
    lone.run(1_000);
    let next_term = Term(2);
    lone.take(3, 1, Message::PreVoteResponse { next_term, granted: true });
    assert_eq!(lone.raft.role_name(), RoleName::Candidate);
    let (id, data) = (snapshot_at(1, 9), Bytes::from_static(b"0123456789"));
    lone.hear(2, 2, Message::InstallSnapshot { id, offset: 0, data });
    assert_eq!((lone.raft.role_name(), lone.raft.leader()), (RoleName::Follower, Some(node(2))));
    assert_eq!(lone.raft.ready(Time(9_000_000)).snapshot_pieces.len(), 1);
}

/// E12: a node that learns from a snapshot that it does not vote any more accepts that.
#[test]
fn rel_e12_a_demotion_inside_a_snapshot_is_accepted() {
    let mut cluster = cluster();
    cluster.isolate(3);
    cluster.run(250);
    cluster.ask(1, "demote=3");
    cluster.run(20);
    write_and_cut(&mut cluster, 1);
    cluster.heal();
    cluster.run(100);
    assert!(cluster.was_told(&["n3 has a snapshot up to"]));
    assert_eq!(cluster.members_at(3), "voters=1,2 learners=3,4");
    let term = cluster.term(1);
    cluster.isolate(3);
    cluster.take_told();
    cluster.run(1_000);
    assert!(!cluster.was_told(&["n3 ->", "Vote"]), "it does not vote");
    assert_eq!((cluster.leaders(), cluster.term(1)), (vec![1], term));
}

/// E18: a membership that stood in a log which a snapshot replaces is gone with it.
#[test]
fn rel_e18_a_snapshot_replaces_the_membership_of_the_log_that_it_replaces() {
    let mut cluster = cluster();
    cluster.isolate(1);
    cluster.ask(1, "promote=4");
    cluster.run(2_500);
    assert_eq!(cluster.members_at(1), "voters=1,2,3,4");
    let leader = cluster.leaders()[0];
    cluster.ask(leader, "add=a5");
    cluster.run(150);
    write_and_cut(&mut cluster, leader);
    cluster.heal();
    cluster.run(200);
    assert!(cluster.was_told(&["n1 has a snapshot up to"]));
    assert_eq!(cluster.members_at(1), "voters=1,2,3 learners=4,5");
    cluster.crash(node(1));
    cluster.restart(node(1));
    assert_eq!(cluster.members_at(1), "voters=1,2,3 learners=4,5");
}

/// Entries of term 1 from `first` on: a change to `configuration`, and a command.
fn configure(first: u64, configuration: &Configuration) -> Entries {
    let made = Decision::Made { added: vec![], configuration: configuration.clone() };
    let mut draft = Draft::default();
    draft.push(EntryKind::Configure, &SessionStamp::default(), &made.encode());
    draft.push(EntryKind::Command, &SessionStamp::default(), b"put a 1");
    let first = Index(first);
    draft.stamp(&Stamp {
        term: Term(1),
        first,
        log_time: 0,
        feature_level: 1,
        wall_time: 0,
        seed: 0,
    })
}

/// E18: the older membership that a snapshot brings does not take the place of the newer one
/// that stands in the log behind it.
#[test]
fn rel_e18_a_snapshot_does_not_bring_back_an_older_membership() {
    let three = Configuration::of((1..=3).map(node));
    let change = Change { add: vec!["a4".to_owned()], ..Change::default() };
    let (four, _) = three.changed(&change, 9, |_| false).expect("a change");
    let mut lone = LoneRaft::new(3, &[entries(1, 1, &["put a 1", "put a 2"])]);
    let prev = EntryId { term: Term(1), index: Index(2) };
    let append = Message::AppendEntries {
        prev,
        commit_index: Index(1),
        round: 0,
        entries: vec![configure(3, &four)],
    };
    lone.take(2, 1, append);
    lone.persist_all();
    assert_eq!(lone.raft.configuration(), &four);
    let state = SnapshotState { configuration: three.clone(), ..SnapshotState::default() };
    lone.raft.install(Time(9_000_000), snapshot_at(1, 2), state);
    assert_eq!(lone.raft.configuration(), &four);
    assert_eq!(lone.raft.log().last().index, Index(4));
}

/// E19: at a start the newest membership is in force, be it in the log or in the snapshot.
#[test]
fn rel_e19_a_start_finds_the_newest_membership_in_log_or_snapshot() {
    let mut cluster = cluster();
    cluster.ask(1, "promote=4");
    cluster.run(20);
    let restart = |cluster: &mut Cluster, members: &str| {
        (1..=4).for_each(|id| cluster.crash(node(id)));
        (1..=4).for_each(|id| cluster.restart(node(id)));
        (1..=4).for_each(|id| assert_eq!(cluster.members_at(id), members, "n{id}"));
        cluster.run(1_000);
        cluster.leaders()[0]
    };
    for _ in 0..3 {
        cluster.submit(node(1), "w", "put a 1", None);
        cluster.run(20);
    }
    (1..=4).for_each(|id| cluster.snapshot(node(id)));
    let leader = restart(&mut cluster, "voters=1,2,3,4");
    cluster.ask(leader, "add=a5");
    cluster.run(50);
    let leader = restart(&mut cluster, "voters=1,2,3,4 learners=5");
    cluster.submit(node(leader), "w", "put a 2", None);
    cluster.run(20);
    (1..=4).for_each(|id| cluster.snapshot(node(id)));
    restart(&mut cluster, "voters=1,2,3,4 learners=5");
}

/// E23: a membership that is rolled back gives way to the one before, whose entry only a
/// snapshot has, also if the node started again in between.
#[test]
fn rel_e23_the_membership_before_is_known_though_its_entry_is_cut_off() {
    for starts_again in [false, true] {
        let mut cluster = cluster();
        cluster.ask(1, "promote=4");
        cluster.run(20);
        cluster.submit(node(1), "w", "put a 1", None);
        cluster.run(20);
        cluster.submit(node(1), "w", "put a 2", None);
        cluster.run(20);
        cluster.isolate(1);
        cluster.ask(1, "add=a5");
        cluster.run(2_500);
        cluster.snapshot(node(1));
        let base = cluster.replica(node(1)).raft().log().base();
        assert_eq!(base.index.0 + 2, cluster.last(1).index.0, "the change is not in the snapshot");
        if starts_again {
            cluster.crash(node(1));
            cluster.restart(node(1));
        }
        assert_eq!(cluster.members_at(1), "voters=1,2,3,4 learners=5");
        cluster.heal();
        cluster.run(100);
        assert!(!cluster.was_told(&["n1 has a snapshot up to"]));
        assert_eq!(cluster.members_at(1), "voters=1,2,3,4");
    }
}

/// F5: leadership can be handed to a node that has just loaded a snapshot and has no entry
/// behind it.
#[test]
fn rel_f05_leadership_goes_to_a_node_right_after_its_snapshot() {
    let mut cluster = cluster();
    cluster.isolate(3);
    cluster.run(250);
    write_and_cut(&mut cluster, 1);
    cluster.heal();
    let has_loaded = (0..100).any(|_| {
        cluster.tick(5);
        cluster.deliver(|_| true);
        cluster.was_told(&["n3 has a snapshot up to"])
    });
    assert!(has_loaded);
    cluster.transfer(node(1), "to n3", Some(node(3)));
    cluster.run(20);
    assert_eq!((cluster.leaders(), cluster.answer("to n3")), (vec![3], Some("done")));
}

/// S-24: what a snapshot brings takes the place of the whole state: what was deleted before it
/// does not live on where the deletion was missed.
#[test]
fn ref_s24_what_was_deleted_stays_deleted_where_a_snapshot_is_loaded() {
    let mut cluster = cluster();
    cluster.submit(node(1), "w", "put gone 1", None);
    cluster.run(20);
    assert_eq!(cluster.value(3, "gone"), Some("1"));
    cluster.isolate(3);
    cluster.run(250);
    cluster.submit(node(1), "d", "delete gone", None);
    cluster.run(20);
    write_and_cut(&mut cluster, 1);
    cluster.heal();
    cluster.run(100);
    assert!(cluster.was_told(&["n3 has a snapshot up to"]));
    let values = cluster.replica(node(1)).machine().values().clone();
    assert_eq!(values.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(cluster.replica(node(3)).machine().values(), &values);
    cluster.crash(node(3));
    cluster.restart(node(3));
    cluster.run(50);
    assert_eq!(cluster.replica(node(3)).machine().values(), &values);
}

/// S-29: a follower whose next entries are gone catches up by a snapshot without a new write.
#[test]
fn ref_s29_a_follower_behind_a_snapshot_catches_up_without_a_new_write() {
    let mut cluster = cluster();
    cluster.isolate(3);
    cluster.run(250);
    write_and_cut(&mut cluster, 1);
    let last = cluster.last(1);
    cluster.heal();
    cluster.run(100);
    assert!(cluster.was_told(&["n3 has a snapshot up to"]));
    assert_eq!((cluster.last(1), cluster.last(3)), (last, last));
    assert_eq!(cluster.value(3, "a"), Some("4"));
}
