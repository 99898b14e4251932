//! A command that not every node knows has no effect on any.

use bytes::BytesMut;
use kv_store::command::{Answer, Command, RestorePlan, RestoreStep};
use raft_core::entry::FEATURE_LEVEL_MIN;
use raft_core::replica::state_machine::StateMachine as _;

use crate::node::Node;

/// A command that no version knows.
fn unknown() -> BytesMut {
    BytesMut::from(&[0x81, 0xa2, b'?', b'?', 0x90][..])
}

#[test]
fn a_command_of_a_later_level_changes_nothing_in_an_entry_of_an_earlier_one() {
    let mut node = Node::default();
    node.put(b"a", b"1");
    let plan = RestorePlan { id: 1, revision: 9, is_foreign: false, log_time: 0, grace_ms: 0 };
    let command = Command::Restore { step: RestoreStep::Begin(plan) };
    let mut payload = BytesMut::new();
    command.encode(&mut payload);
    let (before, live) = (node.store.revision(), node.store.live_bytes());
    let answer = node.apply_under(FEATURE_LEVEL_MIN, &payload);
    let unknown = node.apply_under(FEATURE_LEVEL_MIN, &unknown());
    assert_eq!(answer, unknown, "as from a version that does not know the command");
    assert_eq!((node.store.revision(), node.store.live_bytes()), (before, live));
    let answer = node.apply_under(command.feature_level(), &payload);
    assert!(matches!(Answer::decode(&answer), Ok(Answer::Done { .. })), "{answer:?}");
}
