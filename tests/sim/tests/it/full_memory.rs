//! Memory that is full: what would add to the state is refused, and everything else goes on.

use sim::cluster::{Cluster, node};

/// A value that fills the memory of `limited`.
const LARGE: &str = "put a 123456789012345";

/// Three nodes, led by the first, that take no more than 16 bytes each, but for slack of one.
fn limited(ids: &[u64]) -> Cluster {
    let mut cluster = Cluster::led_by(3, node(1));
    ids.iter().for_each(|&id| cluster.limit_memory(node(id), 16));
    cluster
}

fn submitted(cluster: &mut Cluster, at: u64, label: &str, command: &str) -> String {
    cluster.submit(node(at), label, command, None);
    cluster.run(100);
    cluster.answer(label).unwrap_or("nothing yet").to_owned()
}

#[test]
fn what_would_add_is_refused_at_every_node_until_there_is_room() {
    let mut cluster = limited(&[1, 2, 3]);
    assert_eq!(submitted(&mut cluster, 2, "fills", LARGE), "r1");
    for at in 1..=3 {
        assert!(cluster.was_told(&[&format!("n{at} has no room in memory")]), "n{at} is silent");
        let label = format!("grows at {at}");
        assert_eq!(submitted(&mut cluster, at, &label, "put b 1"), "refused: NoSpace");
        cluster.read(node(at), &format!("read at {at}"), "a");
        cluster.run(100);
        assert_eq!(cluster.answer(&format!("read at {at}")), Some("123456789012345"));
    }
    assert_eq!(submitted(&mut cluster, 3, "makes room", "delete a"), "r2");
    for at in 1..=3 {
        assert!(cluster.was_told(&[&format!("n{at} has room in memory again")]));
    }
    assert_eq!(submitted(&mut cluster, 2, "grows again", "put b 1"), "r3");
    assert_eq!(cluster.status(node(1)).live_bytes, 2);
}

#[test]
fn a_command_that_was_executed_is_answered_although_it_would_grow() {
    let mut cluster = limited(&[1, 2, 3]);
    for (at, label) in [(1, "first"), (1, "at the leader"), (2, "at a follower")] {
        cluster.submit(node(at), label, LARGE, Some((7, 1)));
        cluster.run(100);
        assert_eq!(cluster.answer(label), Some("r1"), "{label}");
    }
    cluster.submit(node(1), "another", "put b 1", Some((7, 2)));
    cluster.run(100);
    assert_eq!(cluster.answer("another"), Some("refused: NoSpace"));
    assert_eq!(cluster.value(1, "b"), None);
}

#[test]
fn a_leader_lets_in_what_others_let_through_only_for_a_little_more() {
    let mut cluster = limited(&[1]);
    assert_eq!(submitted(&mut cluster, 1, "fills", LARGE), "r1");
    assert_eq!(submitted(&mut cluster, 1, "at the leader", "put b 1"), "refused: NoSpace");
    // The limit of 16 bytes has a slack of one.
    assert_eq!(submitted(&mut cluster, 2, "within the slack", "put b 1"), "r2");
    assert_eq!(submitted(&mut cluster, 2, "beyond it", "put c 1"), "nothing yet");
    assert_eq!(submitted(&mut cluster, 2, "makes room", "delete a"), "r3");
    // Nobody has said what becomes of it, so it may still happen.
    cluster.run(1_000);
    assert_eq!(cluster.answer("beyond it"), Some("r4"), "it is asked for again");
}

/// Who has led before has let it in; whoever leads next does not ask.
#[test]
fn what_is_in_a_log_is_applied_whatever_room_there_is() {
    let mut cluster = Cluster::led_by(3, node(1));
    assert_eq!(submitted(&mut cluster, 1, "fills", LARGE), "r1");
    cluster.limit_memory(node(2), 16);
    assert_eq!(submitted(&mut cluster, 1, "beyond the other's", "put b 1"), "r2");
    cluster.run(100);
    assert_eq!(cluster.value(2, "b"), Some("1"));
    assert_eq!(submitted(&mut cluster, 2, "there", "put c 1"), "refused: NoSpace");
}
