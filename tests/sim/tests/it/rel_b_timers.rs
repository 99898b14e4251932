//! Bugs of other implementations, part B: what starts, stops, delays and starves the timers of
//! elections and heartbeats. Each test is named after its row in `docs/raft.md`.

use raft_core::consensus::ready::RoleName;
use sim::cluster::{Cluster, ELECTION_TIMEOUT_US, named, node};

const ELECTION_TIMEOUT_MS: u64 = ELECTION_TIMEOUT_US / 1_000;

/// B10: a follower that lacks entries refuses append after append, and hears nothing else of
/// its leader for many election timeouts: it has a leader and knows it.
#[test]
fn rel_b10_appends_that_are_refused_keep_the_election_timer_from_running_out() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.isolate(3);
    for n in 0..3 {
        cluster.submit(node(1), "missed", &format!("put a {n}"), None);
        cluster.settle();
    }
    cluster.heal();
    cluster.submit(node(1), "w", "put a 9", None);
    cluster.keep("gap", |e| e.to == node(3));
    for _ in (0..10 * ELECTION_TIMEOUT_MS).step_by(10) {
        cluster.tick(10);
        cluster.drop_messages(|e| e.to == node(3));
        cluster.settle();
        cluster.send_kept("gap");
        cluster.deliver(|e| e.to == node(3));
        cluster.drop_messages(|e| e.from == node(3));
    }
    assert!(cluster.was_told(&["n3 -> n1 t1 AppendEntriesResponse rejected"]));
    assert!(!cluster.was_told(&["n3 pre-candidate"]));
    assert!(!cluster.was_told(&["n3 -> n1 t1 AppendEntriesResponse match"]));
    assert_eq!((cluster.leaders(), cluster.status(node(3)).leader), (vec![1], Some(node(1))));
}

/// B15: a process that did not run gets all its ticks at once, and before them nothing of what
/// others said meanwhile. It hears them out before it doubts anybody, and no longer than that.
#[test]
fn rel_b15_a_burst_of_late_ticks_starts_no_election() {
    // A follower alone.
    let mut cluster = Cluster::led_by(3, node(1));
    for _ in (0..10 * ELECTION_TIMEOUT_MS).step_by(10) {
        cluster.pass(10);
        [1, 3].iter().for_each(|&id| cluster.tick_node(node(id)));
        (0..3).for_each(|_| cluster.deliver(|e| e.to != node(2)));
    }
    assert!(cluster.bag().any(named("Heartbeat")), "the leader's words wait");
    (0..100).for_each(|_| cluster.tick_node(node(2)));
    cluster.settle();
    cluster.run(300);
    assert!(!cluster.was_told(&["pre-candidate"]));
    assert_eq!((cluster.leaders(), cluster.leaderships()), (vec![1], 1));

    // Everybody, as when a whole machine was asleep; in whatever order they wake up.
    for first in 1..=3 {
        let mut cluster = Cluster::led_by(3, node(1));
        cluster.tick(10);
        cluster.pass(10 * ELECTION_TIMEOUT_MS);
        cluster.tick_node(node(first));
        cluster.run(300);
        assert!(!cluster.was_told(&["pre-candidate"]));
        assert_eq!((cluster.leaders(), cluster.leaderships()), (vec![1], 1));
    }

    // A leader that has really gone is not waited for.
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.crash(node(1));
    cluster.pass(10 * ELECTION_TIMEOUT_MS);
    cluster.tick(0);
    assert_eq!(cluster.role(2), RoleName::Follower);
    cluster.tick(11);
    assert_eq!(cluster.role(2), RoleName::PreCandidate);
}

/// B16: however many requests there are, they neither keep a leader from sending heartbeats to
/// a follower that gets nothing else, nor a follower from doubting a leader that is gone.
#[test]
fn rel_b16_requests_neither_stop_heartbeats_nor_delay_elections() {
    let mut cluster = Cluster::led_by(3, node(1));
    // Nothing that n3 answers arrives: it is soon sent heartbeats only.
    cluster.cut(node(3), node(1));
    for ms in 0..10 * ELECTION_TIMEOUT_MS {
        cluster.pass(1);
        cluster.submit(node(1), "w", "add n 1", None);
        cluster.submit(node(2), "forwarded", "add n 1", None);
        cluster.settle();
        if ms % 5 == 0 {
            cluster.tick(0);
        }
    }
    assert!(!cluster.was_told(&["n3 pre-candidate"]));
    assert_eq!((cluster.leaders(), cluster.leaderships()), (vec![1], 1));

    cluster.crash(node(1));
    cluster.heal();
    cluster.take_told();
    for ms in 0..=2 * ELECTION_TIMEOUT_MS {
        cluster.pass(1);
        cluster.submit(node(2), "w", "add n 1", None);
        cluster.read(node(2), "read", "n");
        if ms % 5 == 0 {
            cluster.tick_node(node(2));
        }
    }
    assert!(cluster.was_told(&["n2 pre-candidate"]));
}

/// B17: the leader's disk stands still for many election timeouts; its heartbeats go out and
/// it leads on, and what the others have on disk is committed.
#[test]
fn rel_b17_a_slow_disk_of_the_leader_does_not_stop_its_heartbeats() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.hold_sync(node(1), true);
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.run(8 * ELECTION_TIMEOUT_MS);
    assert!(!cluster.was_told(&["pre-candidate"]));
    assert_eq!((cluster.leaders(), cluster.leaderships()), (vec![1], 1));
    assert!(cluster.answer("w").is_some());
    cluster.hold_sync(node(1), false);
    cluster.run(20);
    assert_eq!(cluster.ids_on_disk(node(1)), cluster.ids_on_disk(node(2)));
}

/// B20: a node that has restarted waits for a leader as long as any other node would, not
/// less and not much longer.
#[test]
fn rel_b20_a_restarted_node_waits_for_one_usual_election_timeout() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.run(1_000);
    (1..=3).for_each(|id| cluster.crash(node(id)));
    for _ in 0..20 {
        cluster.restart(node(2));
        let mut waited_ms = 0;
        while cluster.role(2) == RoleName::Follower {
            cluster.tick(5);
            waited_ms += 5;
            assert!(waited_ms <= 2 * ELECTION_TIMEOUT_MS, "{waited_ms} ms");
        }
        assert!(ELECTION_TIMEOUT_MS <= waited_ms, "{waited_ms} ms");
        cluster.crash(node(2));
    }
}
