//! Renewals of leases that share one command.

use bytes::BytesMut;
use kv_store::command::{Answer, Command, List};
use raft_core::replica::state_machine::StateMachine as _;

use crate::node::Node;

fn renewal(ids: &[u64]) -> BytesMut {
    let mut bytes = BytesMut::new();
    Command::RenewLeases { ids: ids.iter().copied().collect() }.encode(&mut bytes);
    bytes
}

#[test]
fn a_joint_renewal_does_what_each_would_and_each_has_its_part_of_the_answer() {
    let (mut one, mut other) = (Node::default(), Node::default());
    for id in [3, 5, 8] {
        for node in [&mut one, &mut other] {
            node.apply(&Command::GrantLease { id, ttl_ms: 1_000 + id });
        }
    }
    (one.log_time, other.log_time) = (500_000, 500_000);
    let asked: [&[u64]; 4] = [&[5], &[3, 4, 8], &[], &[5, 5]];
    let bodies: Vec<BytesMut> = asked.iter().map(|ids| renewal(ids)).collect();
    let bodies: Vec<&[u8]> = bodies.iter().map(|body| &body[..]).collect();
    let mut joined = BytesMut::new();
    one.store.join(&bodies, &mut joined);
    assert_eq!(one.store.joinable_parts(&joined), 6);
    let answer = one.apply_bytes(&joined);
    let mut first = 0;
    for (ids, body) in asked.iter().zip(bodies) {
        let count = one.store.joinable_parts(body);
        assert_eq!(count as usize, ids.len());
        let mut own = BytesMut::new();
        one.store.split(&answer, first..first + count, &mut own);
        first += count;
        assert_eq!(own, other.apply_bytes(body), "{ids:?}");
    }
    let remaining = |node: &Node| {
        let mut due = BytesMut::new();
        node.store.due(1_504_000, &mut due);
        due
    };
    assert_eq!(remaining(&one), remaining(&other), "they end at the same times");
    assert!(!remaining(&one).is_empty());
}

#[test]
fn nothing_else_is_joined() {
    let node = Node::default();
    let encoded = |command: Command<'_>| {
        let mut bytes = BytesMut::new();
        command.encode(&mut bytes);
        bytes
    };
    for other in [
        encoded(Command::Put { key: b"k", value: b"v" }),
        encoded(Command::RevokeLease { id: 1 }),
        renewal(&[]),
        renewal(&vec![1; 10_001]),
        BytesMut::from(&b"\x81\xa1K"[..]),
        BytesMut::new(),
    ] {
        assert_eq!(node.store.joinable_parts(&other), 0, "{other:?}");
    }
    let ttls_ms: List<u64> = [7, 8].into_iter().collect();
    let mut answer = BytesMut::new();
    Answer::Renewed { revision: 1, ttls_ms }.encode(&mut answer);
    let mut own = BytesMut::new();
    node.store.split(&answer, 1..2, &mut own);
    let ttls_ms: List<u64> = [8].into_iter().collect();
    assert_eq!(Answer::decode(&own), Ok(Answer::Renewed { revision: 1, ttls_ms }));
}
