//! Reads of one node's own state, which say how old it may be.

use raft_core::consensus::ready::RoleName;
use sim::cluster::{Cluster, node};

/// Reads x at a node and returns what comes back, which is at once.
fn read(cluster: &mut Cluster, id: u64, label: &str) -> String {
    cluster.read_locally(node(id), label, "x");
    cluster.answer(label).expect("nobody is asked").to_owned()
}

/// Three nodes led by n1; x = old is entry 3, and everybody has applied it.
fn with_old() -> Cluster {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.submit(node(1), "old", "put x old", None);
    cluster.settle();
    cluster.tick(10);
    cluster.settle();
    cluster
}

#[test]
fn a_local_read_says_how_far_it_is_and_when_the_leader_was_heard_of() {
    let mut cluster = with_old();
    for id in 1..=3 {
        assert_eq!(read(&mut cluster, id, &format!("n{id}")), "old at 3 heard Some(0)");
    }
    cluster.isolate(3);
    cluster.submit(node(1), "new", "put x new", None);
    cluster.settle();
    cluster.tick(40);
    cluster.settle();
    assert_eq!(read(&mut cluster, 3, "far"), "old at 3 heard Some(40)");
    assert_eq!(read(&mut cluster, 2, "near"), "new at 4 heard Some(0)");
    assert_eq!(read(&mut cluster, 1, "leader"), "new at 4 heard Some(0)", "n2 is a majority");
}

#[test]
fn a_leader_without_a_majority_says_since_when() {
    let mut cluster = with_old();
    cluster.part(1, 2);
    cluster.tick(10);
    cluster.settle();
    assert_eq!(read(&mut cluster, 1, "with n3"), "old at 3 heard Some(0)");
    cluster.part(1, 3);
    cluster.pass(70);
    assert_eq!(read(&mut cluster, 1, "alone"), "old at 3 heard Some(70)");
    cluster.run(200);
    assert_ne!(cluster.role(1), RoleName::Leader);
    assert_eq!(read(&mut cluster, 1, "deposed"), "old at 3 heard Some(270)", "it keeps counting");
}

#[test]
fn who_has_never_heard_of_a_leader_says_so_and_a_restart_forgets() {
    let mut cluster = Cluster::empty(3);
    assert_eq!(read(&mut cluster, 2, "empty"), "nothing at 0 heard None");
    let mut cluster = with_old();
    cluster.crash(node(3));
    cluster.restart(node(3));
    let restarted = read(&mut cluster, 3, "restarted");
    assert!(restarted.ends_with("heard None"), "{restarted}");
    cluster.tick(10);
    cluster.settle();
    assert_eq!(read(&mut cluster, 3, "again"), "old at 3 heard Some(0)");

    let mut alone = Cluster::led_by(1, node(1));
    alone.pass(5_000);
    let said = read(&mut alone, 1, "alone");
    assert!(said.ends_with("heard Some(0)"), "it is a majority: {said}");
}
