//! Revisions, versions and hashes as commands go by.

use bytes::BytesMut;
use kv_store::command::{Answer, Attributes, Command, KeyRange, KeyValue};
use raft_core::replica::state_machine::StateMachine;

use crate::node::{Node, Numbers};

fn check_key(node: &Node, key: &[u8], expected: Option<KeyValue<'_>>) {
    let answer = node.range(KeyRange::single(key), 0);
    let Ok(Answer::Range { kvs, revision, .. }) = Answer::decode(&answer) else {
        panic!("a range")
    };
    assert_eq!(kvs.first().copied(), expected);
    assert_eq!(revision, node.store.revision());
}

fn pair(value: &'static [u8], (create, modified, version): (u64, u64, u64)) -> KeyValue<'static> {
    let (create_revision, mod_revision) = (create, modified);
    let attributes = Attributes::default();
    KeyValue { key: b"a", value, create_revision, mod_revision, version, attributes }
}

#[test]
fn revisions_count_as_in_etcd() {
    let mut node = Node::default();
    assert_eq!(node.store.revision(), 1);
    assert_eq!(node.put(b"a", b"1"), 2);
    assert_eq!(node.put(b"b", b"1"), 3);
    assert_eq!(node.put(b"a", b"1"), 4, "a put of the same value is a change");
    let a = pair(b"1", (2, 4, 2));
    check_key(&node, b"a", Some(a));

    assert_eq!(node.delete(&[KeyRange::single(b"c")]), (0, 4), "nothing was removed");
    assert_eq!(node.delete(&[]), (0, 4));
    let both = [KeyRange::single(b"a"), KeyRange::single(b"b"), KeyRange::single(b"a")];
    assert_eq!(node.delete(&both), (2, 5), "one command makes one revision");
    check_key(&node, b"a", None);

    assert_eq!(node.put(b"a", b"longer"), 6);
    let a = pair(b"longer", (6, 6, 1));
    check_key(&node, b"a", Some(a));
}

#[test]
fn what_is_no_command_is_answered_and_changes_nothing() {
    let mut node = Node::default();
    node.put(b"a", b"1");
    let (revision, hash) = (node.store.revision(), node.store.state_hash());
    let all = node.range(KeyRange::prefix(b""), 0);
    let mut numbers = Numbers(9);
    for length in 0..300 {
        let garbage: Vec<u8> =
            (0..length).map(|_| u8::try_from(numbers.below(256)).unwrap()).collect();
        let mut answers = [node.apply_bytes(&garbage), BytesMut::new()];
        node.store.query(&garbage, 0, &mut answers[1]);
        for answer in answers {
            let answer = Answer::decode(&answer).unwrap();
            assert!(matches!(answer, Answer::Malformed { .. }), "{garbage:02x?}: {answer:?}");
        }
    }
    assert_eq!((node.store.revision(), node.store.state_hash()), (revision, hash));
    assert_eq!(node.range(KeyRange::prefix(b""), 0), all);
}

#[test]
fn answers_are_appended() {
    let node = Node::default();
    let mut bytes = BytesMut::from(&b"before"[..]);
    node.store.query(b"", 0, &mut bytes);
    assert_eq!(
        Answer::decode(bytes.strip_prefix(b"before").unwrap()),
        Ok(Answer::Malformed { why: "the message is cut short" })
    );
}

#[test]
fn the_hash_tells_every_difference_apart() {
    let put = |key, value| Command::Put { key, value };
    let delete = |key| Command::Delete { ranges: [KeyRange::single(key)].into_iter().collect() };
    let histories = [
        vec![],
        vec![put(b"a", b"1")],
        vec![put(b"a", b"2")],
        vec![put(b"b", b"1")],
        vec![put(b"a1", b"")],
        vec![put(b"a", b"1"), put(b"b", b"1")],
        vec![put(b"b", b"1"), put(b"a", b"1")],
        vec![put(b"a", b"1"), delete(b"a")],
        // Changes nothing, but the put stands at another index then.
        vec![delete(b"a"), put(b"a", b"1")],
    ];
    let mut hashes = Vec::new();
    for history in &histories {
        let mut node = Node::default();
        history.iter().for_each(|command| drop(node.apply(command)));
        // The same end for all: what differed once stays different.
        node.delete(&[KeyRange::prefix(b"")]);
        node.put(b"z", b"z");
        let hash = node.store.state_hash();
        assert!(!hashes.contains(&hash), "{history:?}");
        hashes.push(hash);
    }
}
