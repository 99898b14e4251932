//! Disks without room: what needs no room goes on, and nothing is acknowledged that is not on
//! the disks of a majority.

use sim::cluster::{Cluster, node};

#[test]
fn one_full_disk_costs_nothing_but_leadership_there() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.fill_disk(node(1), true);
    cluster.settle();
    cluster.submit(node(1), "a", "put a 1", None);
    cluster.settle();
    assert_eq!(cluster.answer("a"), Some("r1"), "the two others have it on disk");
    // A disk that takes more than a second for a batch is no place for a leader.
    cluster.run(2_000);
    assert_ne!(cluster.leaders(), [1]);
    cluster.submit(node(1), "b", "put b 1", None);
    cluster.run(500);
    assert_eq!(cluster.answer("b"), Some("r2"), "through the node with the full disk");
}

#[test]
fn without_a_majority_with_room_writes_are_refused_everywhere_and_reads_go_on() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.submit(node(1), "before", "put a 1", None);
    cluster.settle();
    cluster.fill_disk(node(2), true);
    cluster.fill_disk(node(3), true);
    cluster.run(20);
    for (id, label) in [(1, "at the leader"), (2, "at a follower"), (3, "at another")] {
        cluster.submit(node(id), label, "put a 2", None);
        cluster.settle();
        assert_eq!(cluster.answer(label), Some("refused: NoSpace"), "{label}");
    }
    for (id, label) in [(1, "read 1"), (3, "read 3")] {
        cluster.read(node(id), label, "a");
        cluster.settle();
        assert_eq!(cluster.answer(label), Some("1"), "{label}");
    }
    cluster.run(3_000);
    assert_eq!(cluster.leaders(), [1], "a full disk elects nobody");
    cluster.fill_disk(node(3), false);
    cluster.run(20);
    cluster.submit(node(2), "after", "put a 3", None);
    cluster.run(100);
    assert_eq!(cluster.answer("after"), Some("r2"), "service returns by itself");
}

#[test]
fn what_was_taken_in_before_is_acknowledged_only_when_it_is_on_disk() {
    let mut cluster = Cluster::led_by(3, node(1));
    for id in 1..=3 {
        cluster.fill_disk(node(id), true);
    }
    // The news is not at the leader yet when the command comes.
    cluster.submit(node(2), "early", "put a 1", None);
    cluster.run(500);
    assert_ne!(cluster.answer("early"), Some("r1"));
    for id in 1..=3 {
        cluster.fill_disk(node(id), false);
    }
    cluster.run(500);
    cluster.submit(node(2), "late", "put a 2", None);
    cluster.run(500);
    assert!(cluster.answer("late").is_some_and(|answer| answer.starts_with('r')));
}
