//! Bugs of other implementations, part B: networks of which a part does not work. Each test is
//! named after its row in `docs/raft.md`.

use raft_core::consensus::ready::RoleName;
use sim::cluster::{Cluster, node};

/// B6: n1 and n3 do not reach each other, n2 reaches both, n3 leads. It leads on, whether n1
/// sees its connection end or only silence.
#[test]
fn rel_b06_a_voter_that_alone_does_not_reach_the_leader_deposes_nobody() {
    for sees_the_end in [false, true] {
        let mut cluster = Cluster::led_by(3, node(3));
        cluster.part(1, 3);
        if sees_the_end {
            cluster.lose_link(node(1), node(3));
        }
        cluster.run(3_000);
        assert_eq!((cluster.leaders(), cluster.leaderships()), (vec![3], 1));
        cluster.submit(node(3), "w", "put a 1", None);
        cluster.run(20);
        assert!(cluster.answer("w").is_some());
        cluster.heal();
        cluster.run(300);
        assert_eq!((cluster.leaders(), cluster.leaderships()), (vec![3], 1));
        assert_eq!(cluster.last(1), cluster.last(3));
    }
}

/// B7: the old leader n1 reaches only the bridge n2, which reaches n3 and n4 too; n5 is cut
/// off. n1 commits nothing and so gives up, although the bridge hears and answers it, and the
/// three elect one of them.
#[test]
fn rel_b07_a_leader_that_reaches_only_a_bridge_does_not_pin_the_others() {
    let mut cluster = Cluster::led_by(5, node(1));
    cluster.isolate(5);
    cluster.part(1, 3);
    cluster.part(1, 4);
    cluster.run(600);
    let leaders = cluster.leaders();
    assert!(leaders.len() == 1 && [2, 3, 4].contains(&leaders[0]), "{leaders:?}");
    cluster.submit(node(leaders[0]), "w", "put a 1", None);
    cluster.run(20);
    assert!(cluster.answer("w").is_some());
    cluster.run(3_000);
    assert_eq!((cluster.leaders(), cluster.leaderships()), (leaders, 2), "one change, no more");
}

/// B8: a leader that can send and hears nobody gives up, although its followers hear it well,
/// and they elect another one.
#[test]
fn rel_b08_a_leader_that_hears_nobody_gives_up() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.cut(node(2), node(1));
    cluster.cut(node(3), node(1));
    cluster.run(500);
    let leaders = cluster.leaders();
    assert!(leaders == [2] || leaders == [3], "{leaders:?}");
    cluster.submit(node(leaders[0]), "w", "put a 1", None);
    cluster.run(20);
    assert!(cluster.answer("w").is_some());
    // It can still ask for votes, for ever.
    cluster.run(3_000);
    assert_eq!((cluster.leaders(), cluster.leaderships()), (leaders, 2));
}

/// B9: a leader that hears the others and cannot send is replaced, and follows as soon as it
/// hears of it, before its own clock has told it anything.
#[test]
fn rel_b09_a_leader_that_nobody_hears_follows_the_next_one() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.cut(node(1), node(2));
    cluster.cut(node(1), node(3));
    cluster.stand(2);
    cluster.settle();
    assert_eq!(cluster.leaders(), [2]);
    assert_eq!((cluster.role(1), cluster.term(1)), (RoleName::Follower, 2));
    assert_eq!(cluster.status(node(1)).leader, Some(node(2)));
    cluster.run(3_000);
    assert_eq!((cluster.leaders(), cluster.leaderships()), (vec![2], 2));

    // Without any help, by time alone.
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.cut(node(1), node(2));
    cluster.cut(node(1), node(3));
    cluster.run(3_000);
    assert_eq!((cluster.leaders().len(), cluster.leaderships()), (1, 2));
    assert_ne!(cluster.leaders(), [1]);
}

/// B21: for a while everything between n1 and n3 disappears on connections that stay open.
/// When messages arrive again all that was lost is asked for again: entries, also when nothing
/// new is written, a follower's command, and its read.
#[test]
fn rel_b21_what_disappeared_on_an_open_connection_is_asked_for_again() {
    let mut cluster = Cluster::led_by(3, node(1));
    for n in 0..3 {
        cluster.submit(node(1), "before", &format!("put a {n}"), None);
        cluster.run(5);
    }
    cluster.part(1, 3);
    // More appends than may be on their way at once.
    for n in 0..100 {
        cluster.submit(node(1), "w", &format!("put b {n}"), None);
        cluster.settle();
    }
    cluster.submit(node(3), "forwarded", "add c 1", None);
    cluster.read(node(3), "read", "b");
    cluster.run(60);
    assert_eq!(cluster.status(node(3)).leader, Some(node(1)), "it has not lost patience yet");
    assert_eq!((cluster.answer("forwarded"), cluster.answer("read")), (None, None));
    assert_ne!(cluster.last(3), cluster.last(1));
    cluster.heal();
    cluster.run(50);
    assert_eq!(cluster.last(3), cluster.last(1));
    cluster.run(1_500);
    assert_eq!((cluster.leaders(), cluster.leaderships()), (vec![1], 1));
    assert!(cluster.answer("forwarded").is_some());
    assert_eq!(cluster.answer("read"), Some("99"));
    assert_eq!(cluster.value(1, "c"), Some("1"), "once");
}
