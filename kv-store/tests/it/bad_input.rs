//! What seems wrong and is not, and what is: `docs/commands.md` has a line for each.

use bytes::BytesMut;
use kv_store::command::{
    Answer, Combination, Command, Compare, Edit, Filter, KEY_BYTES_MAX, KeyRange, Limits, List, No,
    OnNo, Operation, Query, RangeEnd, Relation, Selection, Target, Transaction,
};
use raft_core::replica::state_machine::StateMachine;

use crate::node::Node;

/// The keys of a range, and how many there are, as every kind of question has it.
fn keys_in(node: &Node, range: KeyRange<'_>) -> Vec<Vec<u8>> {
    let (keys, more, count) = node.keys(range, 0);
    assert_eq!((keys.len() as u64, more), (count, false));
    let selected = node.ask(&Query::Select(Selection::of(range)));
    assert_eq!(selected, node.range(range, 0));
    keys
}

#[test]
fn the_empty_key_is_refused_and_applied_all_the_same() {
    let put = Command::Put { key: b"", value: b"v" };
    let why = put.check(&Limits::default()).expect_err("no door lets it through");
    assert_eq!(why.to_string(), "key is not provided");
    let mut node = Node::default();
    node.put(b"a", b"1");
    node.apply(&put);
    let both = [b"".to_vec(), b"a".to_vec()];
    for end in [RangeEnd::Prefix, RangeEnd::From] {
        assert_eq!(keys_in(&node, KeyRange { from: b"", end }), both);
    }
    assert_eq!(keys_in(&node, KeyRange::single(b"")), both[..1]);
    assert_eq!(node.delete(&[KeyRange::single(b"")]), (1, 4));
}

#[test]
fn the_longest_keys_are_told_apart_by_their_last_byte() {
    let mut node = Node::default();
    let keys = [0x00, 0x7f, 0xff].map(|last| {
        let mut key = vec![0xff; KEY_BYTES_MAX];
        key[KEY_BYTES_MAX - 1] = last;
        key
    });
    for key in keys.iter().rev() {
        let put = Command::Put { key, value: key };
        assert_eq!(put.check(&Limits::default()), Ok(()));
        node.apply(&put);
    }
    let stem = &keys[0][..KEY_BYTES_MAX - 1];
    assert_eq!(keys_in(&node, KeyRange::prefix(stem)), keys);
    assert_eq!(keys_in(&node, KeyRange::prefix(&keys[2])), keys[2..]);
    let half_open = KeyRange { from: &keys[0], end: RangeEnd::HalfOpen(&keys[2]) };
    assert_eq!(keys_in(&node, half_open), keys[..2]);
    let mut buffer = Vec::new();
    let after = KeyRange::prefix(stem).after(&keys[1], &mut buffer);
    assert_eq!(keys_in(&node, after), keys[2..]);
    assert_eq!(node.delete(&[KeyRange::single(&keys[1])]), (1, 5));
    assert_eq!(keys_in(&node, KeyRange::prefix(stem)).len(), 2);
}

#[test]
fn any_bytes_are_keys_and_values() {
    let mut node = Node::default();
    for byte in 0..=u8::MAX {
        node.put(&[byte], &[byte, 0, byte]);
    }
    let keys = keys_in(&node, KeyRange::prefix(b""));
    assert_eq!(keys, (0..=u8::MAX).map(|byte| vec![byte]).collect::<Vec<_>>());
    let answer = node.range(KeyRange::single(&[0xff]), 0);
    let Ok(Answer::Range { kvs, .. }) = Answer::decode(&answer) else { panic!("a range") };
    assert_eq!(kvs[0].value, [0xff, 0, 0xff]);
}

#[test]
fn a_range_that_ends_before_it_begins_is_empty_for_everybody() {
    let mut node = Node::default();
    for key in [b"a", b"b", b"c"] {
        node.put(key, b"1");
    }
    for (from, to) in [(&b"c"[..], &b"a"[..]), (b"b", b"b"), (b"a", b""), (b"zz", b"z")] {
        let range = KeyRange { from, end: RangeEnd::HalfOpen(to) };
        assert!(keys_in(&node, range).is_empty());
        assert_eq!(node.delete(&[range]), (0, 4));
        let relation = Relation::Equal;
        let compare = Compare { range, relation, target: Target::Exists(false) };
        let transaction =
            Transaction { when: [compare].into_iter().collect(), ..Transaction::default() };
        let transaction = Box::new(transaction);
        let answer = node.apply(&Command::Transaction { on_no: OnNo::Undo, transaction });
        let Ok(Answer::Transaction(transacted)) = Answer::decode(&answer) else {
            panic!("a transaction")
        };
        // As of one key that does not exist: that with which it begins, whether it does or not.
        assert!(transacted.succeeded);
    }
    let filter = Filter { mod_revision_min: 3, mod_revision_max: 2, ..Filter::ALL };
    let selection = Selection { filter, ..Selection::of(KeyRange::prefix(b"")) };
    let answer = node.ask(&Query::Select(selection));
    let Ok(Answer::Range { kvs, count, more, .. }) = Answer::decode(&answer) else {
        panic!("a range")
    };
    assert_eq!((kvs.len(), count, more), (0, 3, false));
}

#[test]
fn what_is_no_number_stays_as_it_is() {
    let mut node = Node::default();
    let increment = |by| Command::Increment { key: b"n", field: None, by };
    let no_numbers: [&[u8]; 12] = [
        b"",
        b"+1",
        b" 1",
        b"1 ",
        b"01",
        b"-0",
        b"1.0",
        b"1e3",
        b"-",
        b"9223372036854775808",
        b"\xff",
        b"\xd9\xa1",
    ];
    for value in no_numbers {
        let revision = node.put(b"n", value);
        let hash = node.store.state_hash();
        let answer = node.apply(&increment(1));
        let no = Answer::No { revision, why: No::NotANumber };
        assert_eq!(Answer::decode(&answer), Ok(no), "{value:?}");
        assert_eq!(node.store.state_hash(), hash);
    }
    for (value, by) in [(i64::MAX, 1), (i64::MIN, -1), (1, i64::MAX), (-1, i64::MIN)] {
        let revision = node.put(b"n", value.to_string().as_bytes());
        let no = Answer::No { revision, why: No::Overflow };
        assert_eq!(Answer::decode(&node.apply(&increment(by))), Ok(no), "{value} and {by}");
        let back = Answer::Number { number: value, revision: revision + 1 };
        assert_eq!(Answer::decode(&node.apply(&increment(0))), Ok(back));
    }
}

#[test]
fn a_negative_number_where_none_can_stand_is_malformed() {
    let mut node = Node::default();
    node.put(b"k", b"1");
    let hash = node.store.state_hash();
    let commands = [
        Command::Expire { key: b"k", field: None, ttl_ms: 1 },
        Command::GrantLease { id: 7, ttl_ms: 1 },
        Command::Compact { revision: 1 },
    ];
    for command in commands {
        let mut bytes = BytesMut::new();
        command.encode(&mut bytes);
        // The last field, as -1.
        *bytes.last_mut().expect("it has bytes") = 0xff;
        let answer = node.apply_bytes(&bytes);
        assert!(matches!(Answer::decode(&answer), Ok(Answer::Malformed { .. })), "{command:?}");
    }
    assert_eq!(node.store.state_hash(), hash);
}

#[test]
fn a_question_that_writes_is_refused() {
    let put = Operation::Write(Command::Put { key: b"k", value: b"v" });
    let nested = Transaction { then: [put].into_iter().collect(), ..Transaction::default() };
    let then = [Operation::Nested(Box::new(nested))].into_iter().collect();
    let asked = Query::Transaction(Box::new(Transaction { then, ..Transaction::default() }));
    let why = asked.check(&Limits::default()).expect_err("no door lets it through");
    assert_eq!(why.to_string(), "a transaction that writes is no query");
    let node = Node::default();
    let answer = node.ask(&asked);
    assert!(format!("{:?}", Answer::decode(&answer)).contains("NotInTransaction"));
}

#[test]
fn edits_and_renames_of_what_is_not_so() {
    let mut node = Node::default();
    node.put(b"k", b"x");
    let no = |why| Answer::No { revision: 2, why };
    let long = Edit::Overwrite { at: 1_572_864, bytes: b"x" };
    let table = [
        (Edit::AddDecimal(b"1"), no(No::NotANumber)),
        (long, no(No::ValueTooLong { limit: 1_572_864 })),
    ];
    for (edit, expected) in table {
        let answer = node.apply(&Command::Edit { key: b"k", field: None, edit });
        assert_eq!(Answer::decode(&answer), Ok(expected));
    }
    let answer =
        node.apply(&Command::Edit { key: b"n", field: None, edit: Edit::AddDecimal(b"x") });
    assert_eq!(Answer::decode(&answer), Ok(no(No::NotANumber)));
    for (from, count) in [(b"k", 1), (b"l", 0)] {
        let answer = node.apply(&Command::Rename { from, to: from });
        assert_eq!(Answer::decode(&answer), Ok(Answer::Changed { count, revision: 2 }));
    }
    let (how, keys) = (Combination::Intersection, List::new());
    let answer = node.ask(&Query::Combined { how, keys });
    assert!(matches!(Answer::decode(&answer), Ok(Answer::Items { count: 0, .. })));
}
