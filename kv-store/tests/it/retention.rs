//! When a leader compacts by itself.

use bytes::BytesMut;
use kv_store::command::Command;
use kv_store::store::{History, Store};
use raft_core::replica::state_machine::StateMachine;

use crate::node::Node;
use crate::random::snapshot;

const SECOND_US: u64 = 1_000_000;

/// The compaction that the store asks for, which is then applied.
fn due(node: &mut Node) -> Option<u64> {
    let mut command = BytesMut::new();
    node.store.due(node.log_time, &mut command);
    if command.is_empty() {
        return None;
    }
    let Ok(Command::Compact { revision }) = Command::decode(&command) else {
        panic!("not a compaction: {command:?}")
    };
    node.apply_bytes(&command);
    assert_eq!(node.store.compacted_revision(), revision);
    Some(revision)
}

fn node_keeping(history: History) -> Node {
    Node::default().with_store(Store::new().keeping(history))
}

#[test]
fn what_is_young_and_what_is_not_much_stays() {
    let history = History { age_us: 600 * SECOND_US, revisions: 100, bytes_max: u64::MAX };
    let mut node = node_keeping(history);
    // A put in each second: the ten minutes are longer than the hundred revisions.
    for second in 0..1_200 {
        node.log_time = second * SECOND_US;
        node.put(b"k", b"v");
        if let Some(revision) = due(&mut node) {
            assert!(revision + 600 <= node.store.revision(), "ten minutes stay: {revision}");
            assert!(node.store.revision() < revision + 600 + 20, "little more: {revision}");
        }
    }
    assert!(500 < node.store.compacted_revision(), "it did compact");
    // A put in each minute: now the hundred revisions are longer.
    for minute in 20..400 {
        node.log_time = minute * 60 * SECOND_US;
        node.put(b"k", b"v");
        let before = node.store.compacted_revision();
        if let Some(revision) = due(&mut node) {
            assert!(revision + 100 <= node.store.revision(), "a hundred stay: {revision}");
            assert!(before + 5 <= revision, "not with every revision");
        }
    }
    assert!(node.store.revision() < node.store.compacted_revision() + 110);
}

#[test]
fn too_much_history_is_compacted_however_young() {
    let history = History { bytes_max: 1_000_000, ..History::default() };
    let mut node = node_keeping(history);
    for _ in 0..50_000 {
        node.put(b"k", &[7; 100]);
        due(&mut node);
    }
    let kept = node.store.revision() - node.store.compacted_revision();
    assert!((3_000..9_000).contains(&kept), "{kept} versions of about 150 bytes");
    // The same is asked for by a store that was loaded.
    let parts = snapshot(&mut node.store, 100_000);
    let mut store = node.store.empty();
    parts.iter().for_each(|part| store.load(part).unwrap());
    store.finish_load().unwrap();
    let mut loaded = node.with_store(store);
    for _ in 0..20_000 {
        loaded.put(b"k", &[7; 100]);
        due(&mut loaded);
    }
    let kept = loaded.store.revision() - loaded.store.compacted_revision();
    assert!((3_000..9_000).contains(&kept), "{kept} versions of about 150 bytes");
}

#[test]
fn nothing_is_due_in_a_young_store() {
    let mut node = Node::default();
    assert_eq!(due(&mut node), None);
    for _ in 0..1_000 {
        node.put(b"k", b"v");
    }
    assert_eq!(due(&mut node), None);
    node.log_time = 10_000 * SECOND_US;
    assert_eq!(due(&mut node), None, "fewer revisions than stay in any case");
}
