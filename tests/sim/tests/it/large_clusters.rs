//! Clusters as large as they may be.

use sim::cluster::{Cluster, node};

/// Fifty voters elect a leader, commit and read, and go on while a majority of them is there,
/// not without one.
#[test]
fn fifty_voters_work_while_a_majority_is_there() {
    let mut cluster = Cluster::led_by(50, node(1));
    for id in 27..=50 {
        cluster.crash(node(id));
    }
    cluster.submit(node(2), "w", "put a 1", None);
    cluster.run(100);
    assert_eq!(cluster.answer("w"), Some("r1"));
    cluster.read(node(3), "r", "a");
    cluster.run(100);
    assert_eq!(cluster.answer("r"), Some("1"));
    cluster.crash(node(26));
    cluster.submit(node(2), "later", "put a 2", None);
    cluster.run(100);
    assert_eq!(cluster.answer("later"), None, "25 of 50 are no majority");
    cluster.restart(node(40));
    cluster.run(2_000);
    assert_eq!(cluster.answer("later"), Some("r2"));
}

/// Nine voters are as many as there may be unless the settings say otherwise: a tenth is
/// refused, and stays a learner.
#[test]
fn a_tenth_voter_needs_another_setting() {
    let mut cluster = Cluster::with_learners(9, node(1), &[10]);
    cluster.ask(1, "promote=10");
    cluster.settle();
    let answer = cluster.answer("promote=10").expect("it is decided");
    assert!(answer.starts_with("no: "), "{answer}");
    assert!(cluster.members_at(1).ends_with("learners=10"));

    let mut cluster = Cluster::led_by_with(9, node(1), |config| config.voters_max = 10);
    cluster.grow(node(1), &[10]);
    cluster.ask(1, "promote=10");
    cluster.settle();
    assert_eq!(cluster.members_at(1), "voters=1,2,3,4,5,6,7,8,9,10");
}
