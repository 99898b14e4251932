//! Snapshots that somebody asks for.

use raft_core::replica::event::Event;
use raft_core::types::Index;
use sim::lone_replica::LoneReplica;

/// Asked for while an older one is built, another one follows; and none if nothing is new.
#[test]
fn a_snapshot_that_is_wanted_covers_what_was_applied_by_then() {
    let mut lone = LoneReplica::new(|_| {});
    let want = |lone: &mut LoneReplica, index: u64| {
        lone.hear(Event::SnapshotWanted { covers: Index(index) });
        lone.turn();
    };
    lone.apply(&["put a 1", "put b 2"]);
    assert!(lone.orders.is_empty(), "nobody wants one, and none is due");
    want(&mut lone, 2);
    assert!(!lone.orders.is_empty());
    lone.apply(&["put c 3", "put d 4"]);
    want(&mut lone, 4);
    lone.settle();
    assert_eq!(lone.snapshot_index(), 4);
    want(&mut lone, 3);
    want(&mut lone, 1_000);
    assert!(lone.orders.is_empty(), "there is one of everything: {:?}", lone.orders);
    lone.apply(&["put e 5"]);
    lone.settle();
    assert_eq!(lone.snapshot_index(), 4, "what was not applied was not wanted");
}
