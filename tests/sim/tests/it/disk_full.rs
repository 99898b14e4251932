//! Disks without room: what needs no room goes on, and nothing is acknowledged that is not on
//! the disks of a majority.

use raft_core::types::NodeId;
use sim::cluster::{Cluster, is_named, node};

/// Nodes 2 and 3 find room again and have news of it that arrives nowhere.
fn all_but_the_news(news_lost: fn(&mut Cluster)) -> Cluster {
    let mut cluster = Cluster::led_by(3, node(1));
    for id in [2, 3] {
        cluster.fill_disk(node(id), true);
    }
    cluster.run(100);
    cluster.submit(node(2), "full", "put a 1", None);
    cluster.settle();
    assert_eq!(cluster.answer("full"), Some("refused: NoSpace"));
    news_lost(&mut cluster);
    cluster.run(200);
    cluster
}

/// A command that is asked for at a node is executed.
fn check_taken(cluster: &mut Cluster, at: NodeId) {
    cluster.submit(at, "now", "put a 2", None);
    cluster.run(100);
    assert_eq!(cluster.answer("now"), Some("r1"), "service returns by itself");
}

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

#[test]
fn followers_say_that_they_have_room_until_the_leader_knows() {
    let mut cluster = all_but_the_news(|cluster| {
        cluster.fill_disk(node(2), false);
        cluster.fill_disk(node(3), false);
        cluster.drop_messages(|message| is_named(message, "Space"));
    });
    check_taken(&mut cluster, node(1));
}

#[test]
fn a_follower_that_has_missed_the_news_is_told_again() {
    let mut cluster = all_but_the_news(|cluster| {
        cluster.fill_disk(node(2), false);
        cluster.fill_disk(node(3), false);
        cluster.deliver(|message| message.to == node(1));
        cluster.drop_messages(|message| is_named(message, "Space"));
    });
    check_taken(&mut cluster, node(3));
}

/// A node that starts again does not know that it had said anything.
#[test]
fn a_full_disk_is_forgotten_with_the_process_that_found_it_full() {
    let mut cluster = all_but_the_news(|cluster| {
        for id in [2, 3] {
            cluster.hold_sync(node(id), false);
            cluster.crash(node(id));
            cluster.restart(node(id));
        }
    });
    assert_eq!(cluster.leaders(), [1]);
    check_taken(&mut cluster, node(1));
}
