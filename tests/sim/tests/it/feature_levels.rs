//! Versions that know different commands in one cluster: what leaders write rises to what
//! every member can apply, and never falls.

use raft_core::consensus::RaftConfig;
use raft_core::consensus::log::Slice;
use raft_core::consensus::message::Message;
use raft_core::entry::{FEATURE_LEVEL, FEATURE_LEVEL_MIN};
use sim::cluster::{Cluster, node};
use sim::lone_replica::{LoneReplica, snapshot_of};

/// The level of the newest entry that a node has, which it has applied.
fn applied(cluster: &Cluster, id: u64) -> u16 {
    let log = cluster.replica(node(id)).raft().log();
    let last = log.last().index;
    assert_eq!(log.applied_index(), last);
    let Slice::InMemory(runs) = log.slice(&(last..last.next()), usize::MAX) else {
        panic!("the newest entry is in memory")
    };
    runs[0].iter().last().expect("an entry").feature_level()
}

fn write(cluster: &mut Cluster, leader: u64, label: &str) {
    cluster.submit(node(leader), label, "put a 1", None);
    cluster.run(100);
    assert!(cluster.answer(label).is_some(), "{label}");
}

/// Every node hears from every other one which level the version there applies.
fn meet(cluster: &mut Cluster, levels: &[(u64, u16)]) {
    for &(at, _) in levels {
        for &(peer, level) in levels.iter().filter(|(peer, _)| *peer != at) {
            cluster.connect(node(at), node(peer), level);
        }
    }
}

#[test]
fn a_leader_writes_what_every_member_can_apply_once_it_has_met_them_all() {
    let mut cluster = Cluster::led_by(3, node(1));
    write(&mut cluster, 1, "unmet");
    assert_eq!(applied(&cluster, 1), FEATURE_LEVEL_MIN, "who was not met may be of any version");
    meet(&mut cluster, &[(1, FEATURE_LEVEL), (2, FEATURE_LEVEL), (3, FEATURE_LEVEL_MIN)]);
    write(&mut cluster, 1, "mixed");
    assert_eq!(applied(&cluster, 1), FEATURE_LEVEL_MIN, "node 3 would not know it");
    meet(&mut cluster, &[(1, FEATURE_LEVEL), (3, FEATURE_LEVEL)]);
    write(&mut cluster, 1, "equal");
    assert_eq!([1, 2, 3].map(|id| applied(&cluster, id)), [FEATURE_LEVEL; 3]);
}

/// Whoever was met may be replaced by an older version while it is away.
#[test]
fn what_a_member_said_counts_only_while_its_link_stands() {
    let mut cluster = Cluster::led_by(3, node(1));
    meet(&mut cluster, &[(1, FEATURE_LEVEL), (3, FEATURE_LEVEL)]);
    cluster.lose_link(node(1), node(3));
    meet(&mut cluster, &[(1, FEATURE_LEVEL), (2, FEATURE_LEVEL)]);
    write(&mut cluster, 1, "one is away");
    assert_eq!(applied(&cluster, 1), FEATURE_LEVEL_MIN);
}

#[test]
fn a_learner_counts_as_much_as_a_voter() {
    let mut cluster = Cluster::with_learners(3, node(1), &[4]);
    meet(&mut cluster, &[(1, FEATURE_LEVEL), (2, FEATURE_LEVEL), (3, FEATURE_LEVEL)]);
    write(&mut cluster, 1, "unmet learner");
    assert_eq!(applied(&cluster, 1), FEATURE_LEVEL_MIN);
    meet(&mut cluster, &[(1, FEATURE_LEVEL), (4, FEATURE_LEVEL)]);
    write(&mut cluster, 1, "all met");
    assert_eq!(applied(&cluster, 4), FEATURE_LEVEL);
}

/// What was agreed stays: a leader that has met nobody goes on at the level of its log, also
/// when nothing but a snapshot of that is left.
#[test]
fn a_level_never_falls() {
    let mut cluster = Cluster::led_by(3, node(1));
    meet(&mut cluster, &[(1, FEATURE_LEVEL), (2, FEATURE_LEVEL), (3, FEATURE_LEVEL)]);
    write(&mut cluster, 1, "raised");
    cluster.snapshot(node(2));
    for id in [1, 2, 3] {
        cluster.crash(node(id));
        cluster.restart(node(id));
    }
    cluster.stand(2);
    cluster.run(100);
    write(&mut cluster, 2, "after it");
    assert_eq!([1, 2, 3].map(|id| applied(&cluster, id)), [FEATURE_LEVEL; 3]);
}

#[test]
fn a_node_that_holds_back_holds_all() {
    let held: fn(&mut RaftConfig) = |config| config.feature_level_max = FEATURE_LEVEL_MIN;
    let mut cluster = Cluster::led_by_with(3, node(1), held);
    meet(&mut cluster, &[(1, FEATURE_LEVEL_MIN), (2, FEATURE_LEVEL), (3, FEATURE_LEVEL)]);
    write(&mut cluster, 1, "held");
    assert_eq!(applied(&cluster, 1), FEATURE_LEVEL_MIN);
}

/// Whoever put an older version in the place of a newer one hears it before anything differs.
#[test]
#[should_panic(expected = "was written under feature level 2, and this version knows up to 1")]
fn a_version_that_does_not_know_the_level_of_an_entry_does_not_apply_it() {
    let held: fn(&mut RaftConfig) = |config| {
        let is_older = config.id == node(3);
        config.feature_level_max = if is_older { FEATURE_LEVEL_MIN } else { FEATURE_LEVEL };
    };
    let mut cluster = Cluster::led_by_with(3, node(1), held);
    meet(&mut cluster, &[(1, FEATURE_LEVEL), (2, FEATURE_LEVEL), (3, FEATURE_LEVEL)]);
    write(&mut cluster, 1, "too new");
}

/// The same of a snapshot, which is looked at before anything of it is in use.
#[test]
#[should_panic(expected = "was written under feature level 2, and this version knows up to 0")]
fn a_version_that_does_not_know_the_level_of_a_snapshot_does_not_load_it() {
    let (id, data) = snapshot_of(&["put a 1", "put b 2"]);
    let mut older = LoneReplica::new(|config| config.feature_level_max = FEATURE_LEVEL_MIN - 1);
    older.take(2, 1, Message::InstallSnapshot { id, offset: 0, data });
    older.settle();
}
