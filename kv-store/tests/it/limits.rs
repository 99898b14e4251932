//! What is refused before it is proposed, and in which words.

use kv_store::command::{
    ANSWER_BYTES_MAX, ANSWER_KEYS_MAX, Collection, Command, ITEMS_PER_REQUEST_MAX, Item,
    KEY_BYTES_MAX, KeyRange, Limits, Name, Query, RANGES_PER_DELETE_MAX, RangeEnd,
    VALUE_BYTES_MAX_DEFAULT,
};

use crate::node::Node;

fn words(command: &Command<'_>) -> String {
    command.check(&Limits::default()).err().map_or("within limits".to_owned(), |e| e.to_string())
}

#[test]
fn keys_and_values_are_measured() {
    let (key, value) = (vec![1; KEY_BYTES_MAX + 1], vec![1; VALUE_BYTES_MAX_DEFAULT + 1]);
    let put = |key, value| Command::Put { key, value };
    assert_eq!(words(&put(&key[1..], &value[1..])), "within limits");
    assert_eq!(words(&put(b"k", b"")), "within limits");
    assert_eq!(words(&put(b"", b"v")), "key is not provided");
    assert_eq!(words(&put(&key, b"v")), "key of 65537 bytes is above the limit of 65536 bytes");
    assert_eq!(
        words(&put(b"k", &value)),
        "value of 1572865 bytes is above the limit of 1572864 bytes"
    );
    let small = Limits { value_bytes_max: 3, ..Limits::default() };
    assert!(put(b"k", b"abc").check(&small).is_ok());
    assert!(put(b"k", b"abcd").check(&small).is_err());
}

#[test]
fn ranges_are_measured_and_counted() {
    let delete = |ranges: Vec<KeyRange<'static>>| {
        words(&Command::Delete { ranges: ranges.into_iter().collect() })
    };
    assert_eq!(delete(vec![KeyRange::single(b"k"); RANGES_PER_DELETE_MAX]), "within limits");
    assert_eq!(
        delete(vec![KeyRange::single(b"k"); RANGES_PER_DELETE_MAX + 1]),
        "delete of 1025 ranges is above the limit of 1024, send it in parts"
    );
    assert_eq!(delete(vec![KeyRange::single(b"k"), KeyRange::single(b"")]), "key is not provided");
    assert_eq!(delete(vec![KeyRange::prefix(b"")]), "within limits");
}

#[test]
fn fields_and_members_are_measured_and_counted() {
    let long = vec![1; KEY_BYTES_MAX + 1];
    let members = |members: Vec<Name<'_>>| {
        words(&Command::AddMembers { key: b"k", members: members.into_iter().collect() })
    };
    assert_eq!(members(vec![Name(b""); ITEMS_PER_REQUEST_MAX]), "within limits");
    assert_eq!(
        members(vec![Name(b"m"); ITEMS_PER_REQUEST_MAX + 1]),
        "10001 fields or members are above the limit of 10000, send them in parts"
    );
    assert_eq!(
        members(vec![Name(&long)]),
        "field or member of 65537 bytes is above the limit of 65536 bytes"
    );
    let value = vec![1; VALUE_BYTES_MAX_DEFAULT + 1];
    let fields = [Item { name: b"f", value: &value }].into_iter().collect();
    let set = Command::SetFields { key: b"k", fields };
    assert_eq!(words(&set), "value of 1572865 bytes is above the limit of 1572864 bytes");
    let increment = Command::Increment { key: b"", field: None, by: 1 };
    assert_eq!(words(&increment), "key is not provided");
    let of = Collection::Hash;
    let items = |from| Query::Items { of, key: b"k", from, limit: 0, revision: 0 };
    assert!(items(&long).check(&Limits::default()).is_ok(), "what comes after the longest name");
    assert!(Query::Length { of, key: b"", revision: 0 }.check(&Limits::default()).is_err());
}

#[test]
fn the_range_after_the_longest_key_may_be_asked_for() {
    let (key, mut buffer) = (vec![7; KEY_BYTES_MAX], Vec::new());
    let check = |range| Query::Range { range, limit: 0 }.check(&Limits::default());
    let all = KeyRange::prefix(b"");
    assert!(check(all.after(&key, &mut buffer)).is_ok());
    let longer = [key.as_slice(), &[0, 0]].concat();
    assert!(check(KeyRange::prefix(&longer)).is_err());
    assert!(check(KeyRange { from: b"", end: RangeEnd::HalfOpen(&longer) }).is_err());
    assert!(check(KeyRange::single(b"")).is_err());
}

#[test]
fn apply_knows_no_limits() {
    let mut node = Node::default();
    node.put(b"", &vec![1; VALUE_BYTES_MAX_DEFAULT + 1]);
    node.put(&vec![1; KEY_BYTES_MAX + 1], b"");
    assert_eq!(node.keys(KeyRange::prefix(b""), 0).2, 2);
}

#[test]
fn an_answer_stops_at_its_keys_and_at_its_bytes() {
    let mut node = Node::default();
    for number in 0..=ANSWER_KEYS_MAX {
        node.put(format!("{number:08}").as_bytes(), b"v");
    }
    for limit in [0, ANSWER_KEYS_MAX as u64 + 1, u64::MAX] {
        let (keys, more, count) = node.keys(KeyRange::prefix(b""), limit);
        assert_eq!((keys.len(), more), (ANSWER_KEYS_MAX, true));
        assert_eq!(count, ANSWER_KEYS_MAX as u64 + 1);
    }

    let mut node = Node::default();
    let large = vec![1; 1_500_000];
    for key in [b"a", b"b", b"c"] {
        node.put(key, &large);
    }
    node.put(b"d", b"small");
    let (keys, more, count) = node.keys(KeyRange::prefix(b""), 0);
    assert_eq!((keys, more, count), (vec![b"a".to_vec(), b"b".to_vec()], true, 4));
    assert!(node.range(KeyRange::prefix(b""), 0).len() <= ANSWER_BYTES_MAX);
}
