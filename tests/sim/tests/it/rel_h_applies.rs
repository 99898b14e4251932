//! Bugs that stores had with what is applied, over restarts, snapshots and other leaders. Each
//! test is named after its entry in `docs/scenarios.md` and says in its own words what must hold.

use raft_core::types::EntryId;
use sim::cluster::{Cluster, node};

/// Three voters led by n1, whose logs keep nothing that a snapshot has if they can help it.
fn cluster() -> Cluster {
    Cluster::led_by_with(3, node(1), |config| config.trailing_entries = 0)
}

/// The entries whose commands are in a node's state.
fn applied(cluster: &Cluster, id: u64) -> Vec<EntryId> {
    cluster.replica(node(id)).machine().applied().to_vec()
}

/// All nodes are down at once, for so long, and run again.
fn restart_all(cluster: &mut Cluster, down_ms: u64) {
    (1..=3).for_each(|id| cluster.crash(node(id)));
    cluster.pass(down_ms);
    (1..=3).for_each(|id| cluster.restart(node(id)));
    cluster.run(600);
}

/// The node that leads.
fn leader(cluster: &Cluster) -> u64 {
    let leaders = cluster.leaders();
    assert_eq!(leaders.len(), 1, "one node leads");
    leaders[0]
}

/// H1: the state and the index up to which it goes are one, so that a crash neither skips an
/// entry nor executes one again; whatever of it was in a snapshot.
#[test]
fn rel_h01_a_state_is_of_its_applied_index_after_every_crash() {
    for snapshot_every in [100, 4, 1] {
        let mut cluster = cluster();
        for round in 1..=12 {
            let leader = leader(&cluster);
            cluster.submit(node(leader), "add", "add n 1", None);
            cluster.run(20);
            let other = 1 + (leader + round) % 3;
            if round % snapshot_every == 0 {
                cluster.snapshot(node(other));
            }
            cluster.crash(node(other));
            cluster.restart(node(other));
            cluster.run(600);
            for id in 1..=3 {
                let entries = applied(&cluster, id);
                assert_eq!(cluster.value(id, "n"), Some(round.to_string().as_str()), "n{id}");
                assert!(entries.is_sorted_by(|one, next| one.index < next.index), "{entries:?}");
                assert_eq!(entries, applied(&cluster, 1), "n{id} every {snapshot_every}");
            }
        }
    }
}

/// H23: a restart executes what is committed from the entry behind its applied index on, and
/// nothing before it.
#[test]
fn rel_h23_a_restart_executes_what_stands_behind_its_snapshot() {
    let mut cluster = cluster();
    for covered in [false, true] {
        let before = applied(&cluster, 1).len();
        for _ in 0..3 {
            cluster.submit(node(leader(&cluster)), "add", "add n 1", None);
            cluster.run(20);
        }
        if covered {
            (1..=3).for_each(|id| cluster.snapshot(node(id)));
        }
        let last = leader(&cluster);
        cluster.submit(node(last), "add", "add n 1", None);
        cluster.run(20);
        let whole = applied(&cluster, last);
        assert_eq!(whole.len(), before + 4);
        restart_all(&mut cluster, 10);
        (1..=3).for_each(|id| assert_eq!(applied(&cluster, id), whole, "n{id}, {covered}"));
    }
    assert_eq!(cluster.value(1, "n"), Some("8"));
}

/// H2: a command that fails is applied like any other: the index goes on, and a restart finds
/// the same state at the same index.
#[test]
fn rel_h02_a_command_that_fails_is_applied_too() {
    let mut cluster = cluster();
    let before = cluster.status(node(1)).applied_index.0;
    for label in ["one", "two"] {
        cluster.submit(node(1), label, "nonsense", None);
        cluster.run(20);
        assert_eq!(cluster.answer(label), Some("malformed"));
    }
    cluster.run(20);
    for id in 1..=3 {
        let status = cluster.status(node(id));
        assert_eq!((status.applied_index.0, status.last_index.0), (before + 2, before + 2));
    }
    cluster.snapshot(node(2));
    let entries = applied(&cluster, 1);
    restart_all(&mut cluster, 10);
    cluster.submit(node(leader(&cluster)), "put", "put a 1", None);
    cluster.run(20);
    for id in 1..=3 {
        assert_eq!(applied(&cluster, id)[..entries.len()], entries, "n{id}");
        assert_eq!(cluster.value(id, "a"), Some("1"), "n{id}");
        assert_eq!(cluster.status(node(id)).state_hash, cluster.status(node(1)).state_hash);
    }
}

/// H16, H19: log time, by which leases and sessions end, goes on under every leader where it was
/// under the one before, never back, and never faster than time passes: what was promised to
/// last is not cut short. While all nodes are down none of it passes.
#[test]
fn rel_h16_log_time_goes_on_under_other_leaders_and_stands_still_without_any() {
    let mut cluster = cluster();
    let write = |cluster: &mut Cluster| {
        let leader = leader(cluster);
        cluster.submit(node(leader), "w", "add n 1", None);
        cluster.run(20);
        cluster.status(node(leader)).log_time
    };
    let mut log_time = write(&mut cluster);
    for round in 0..6 {
        if round % 2 == 0 {
            cluster.crash(node(leader(&cluster)));
            cluster.run(600);
            let down = (1..=3).find(|&id| !cluster.is_up(node(id))).expect("one is down");
            cluster.restart(node(down));
        } else {
            restart_all(&mut cluster, 3_600_000);
        }
        let now = write(&mut cluster);
        let passed_us = now.checked_sub(log_time).expect("log time does not go back");
        assert!(passed_us <= 620_000, "{passed_us} us in 620 ms in which somebody ran");
        log_time = now;
    }
}

/// H20: a snapshot brings the sessions with the state, before anything is executed behind it: a
/// command that is repeated at a node that never saw it is not executed again.
#[test]
fn rel_h20_sessions_come_with_the_snapshot() {
    let mut cluster = cluster();
    cluster.isolate(3);
    cluster.run(250);
    let first = leader(&cluster);
    cluster.submit(node(first), "first", "add n 1", Some((5, 1)));
    cluster.run(20);
    for _ in 0..4 {
        cluster.submit(node(first), "w", "put a 1", None);
        cluster.run(20);
    }
    cluster.snapshot(node(first));
    cluster.heal();
    cluster.run(600);
    assert!(cluster.was_told(&["n3 has a snapshot up to"]), "the entries are gone");
    cluster.transfer(node(first), "to n3", Some(node(3)));
    cluster.run(50);
    assert_eq!(cluster.leaders(), [3]);
    cluster.submit(node(3), "again", "add n 1", Some((5, 1)));
    cluster.run(50);
    assert_eq!(cluster.answer("again"), cluster.answer("first"), "the answer that was given");
    (1..=3).for_each(|id| assert_eq!(cluster.value(id, "n"), Some("1"), "n{id}"));
}
