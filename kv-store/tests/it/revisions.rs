//! The past: what can be read of it, until when, and what is said beyond that.

use bytes::BytesMut;
use kv_store::command::{
    Answer, Command, Direction, Filter, KeyRange, No, Order, OrderBy, PutOptions, Query, RangeEnd,
    Selection, Show,
};
use raft_core::replica::state_machine::StateMachine;

use crate::node::Node;

fn compact(node: &mut Node, revision: u64) -> Answer<'static> {
    match Answer::decode(&node.apply(&Command::Compact { revision })).expect("an answer") {
        Answer::Done { revision } => Answer::Done { revision },
        Answer::No { revision, why } => Answer::No { revision, why },
        other => panic!("a compaction is not answered by {other:?}"),
    }
}

/// The pairs of an answer as text, and how many there are in the range.
fn pairs(answer: &BytesMut) -> (Vec<String>, bool, u64) {
    let Answer::Range { kvs, more, count, .. } = Answer::decode(answer).expect("an answer") else {
        panic!("no pairs: {:?}", Answer::decode(answer))
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let pair = |kv: &kv_store::command::KeyValue<'_>| {
        format!("{}={}@{}", text(kv.key), text(kv.value), kv.mod_revision)
    };
    (kvs.iter().map(pair).collect(), more, count)
}

fn at(node: &Node, revision: u64) -> BytesMut {
    let selection = Selection { revision, ..Selection::of(KeyRange::prefix(b"")) };
    node.ask(&Query::Select(selection))
}

/// a=1 at 2, b=1 at 3, a=2 at 4, b removed at 5, c=1 at 6.
fn node_with_past() -> Node {
    let mut node = Node::default();
    node.put(b"a", b"1");
    node.put(b"b", b"1");
    node.put(b"a", b"2");
    node.delete(&[KeyRange::single(b"b")]);
    node.put(b"c", b"1");
    node
}

#[test]
fn the_store_is_read_as_it_was() {
    let node = node_with_past();
    let expected: [&[&str]; 6] = [
        &[],
        &["a=1@2"],
        &["a=1@2", "b=1@3"],
        &["a=2@4", "b=1@3"],
        &["a=2@4"],
        &["a=2@4", "c=1@6"],
    ];
    for (revision, expected) in (1..).zip(expected) {
        assert_eq!(pairs(&at(&node, revision)).0, expected, "revision {revision}");
    }
    assert_eq!(at(&node, 0), at(&node, 6), "0 is now");
    let no = Answer::No { revision: 6, why: No::Future { newest: 6 } };
    assert_eq!(Answer::decode(&at(&node, 7)), Ok(no));
}

#[test]
fn what_was_compacted_is_refused_and_what_was_not_is_as_before() {
    let mut node = node_with_past();
    let before: Vec<BytesMut> = (0..=6).map(|revision| at(&node, revision)).collect();
    let hash = node.store.state_hash();
    assert_eq!(compact(&mut node, 4), Answer::Done { revision: 6 });
    assert_ne!(node.store.state_hash(), hash, "nodes that differ in it are told apart");
    let no = Answer::No { revision: 6, why: No::Compacted { oldest: 4 } };
    for _ in 0..3 {
        for revision in 1..4 {
            assert_eq!(Answer::decode(&at(&node, revision)), Ok(no.clone()));
        }
        for (revision, before) in (4..).zip(&before[4..]) {
            assert_eq!(at(&node, revision), before, "revision {revision}");
        }
        node.store.idle();
    }
    for revision in [0, 1, 4] {
        assert_eq!(compact(&mut node, revision), no);
    }
    let future = Answer::No { revision: 6, why: No::Future { newest: 6 } };
    assert_eq!(compact(&mut node, 7), future);
    assert_eq!(node.store.revision(), 6, "a compaction makes no revision");
}

#[test]
fn events_name_what_was_and_what_is() {
    let mut node = node_with_past();
    let events = |node: &Node, since| -> Vec<String> {
        let events = node.store.changes_since(since).expect("it is there");
        let value = |kv: Option<kv_store::command::KeyValue<'_>>| {
            kv.map_or("-".to_owned(), |kv| String::from_utf8(kv.value.to_vec()).unwrap())
        };
        events
            .map(|event| {
                let key = String::from_utf8(event.key.to_vec()).unwrap();
                format!("{} {key} {}>{}", event.revision, value(event.previous), value(event.next))
            })
            .collect()
    };
    let all = ["2 a ->1", "3 b ->1", "4 a 1>2", "5 b 1>-", "6 c ->1"];
    assert_eq!(events(&node, 0), all);
    assert_eq!(events(&node, 4), all[2..]);
    assert_eq!(events(&node, 7), Vec::<String>::new());
    compact(&mut node, 5);
    let lost = node.store.changes_since(4).map(drop).unwrap_err();
    assert_eq!(lost.to_string(), "what was before revision 5 has been compacted");
    // The compaction revision itself can still be watched, without what was before it.
    assert_eq!(events(&node, 5), ["5 b ->-", "6 c ->1"]);
    // Keys of one command come in the order of its ranges, and in each in their own.
    node.put(b"b", b"3");
    let ranges = [b"c", b"a", b"b"].map(|key| KeyRange::single(key));
    node.delete(&ranges);
    assert_eq!(events(&node, 8), ["8 c 1>-", "8 a 2>-", "8 b 3>-"]);
}

#[test]
fn a_selection_filters_orders_and_cuts() {
    let mut node = Node::default();
    for (key, value) in [(b"a", b"3"), (b"b", b"1"), (b"c", b"2"), (b"b", b"1")] {
        node.put(key, value);
    }
    let all = Selection::of(KeyRange { from: b"a", end: RangeEnd::From });
    let select = |selection| pairs(&node.ask(&Query::Select(selection)));
    let order = |by, direction| Selection { order: Order { by, direction }, ..all };
    let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    for (by, ascending, descending) in [
        (OrderBy::Key, ["a=3@2", "b=1@5", "c=2@4"], ["c=2@4", "b=1@5", "a=3@2"]),
        (OrderBy::Value, ["b=1@5", "c=2@4", "a=3@2"], ["a=3@2", "c=2@4", "b=1@5"]),
        (OrderBy::ModRevision, ["a=3@2", "c=2@4", "b=1@5"], ["b=1@5", "c=2@4", "a=3@2"]),
        (OrderBy::CreateRevision, ["a=3@2", "b=1@5", "c=2@4"], ["c=2@4", "b=1@5", "a=3@2"]),
        // What is equal stays in the order of the keys.
        (OrderBy::Version, ["a=3@2", "c=2@4", "b=1@5"], ["b=1@5", "a=3@2", "c=2@4"]),
    ] {
        assert_eq!(select(order(by, Direction::Ascending)), (names(&ascending), false, 3));
        assert_eq!(select(order(by, Direction::Descending)), (names(&descending), false, 3));
    }
    let first = Selection { limit: 1, ..order(OrderBy::ModRevision, Direction::Descending) };
    assert_eq!(select(first), (names(&["b=1@5"]), true, 3));
    let made_early = Filter { create_revision_max: 3, ..Filter::ALL };
    assert_eq!(
        select(Selection { filter: made_early, limit: 1, ..all }),
        (names(&["a=3@2"]), true, 3)
    );
    let changed_late = Filter { mod_revision_min: 5, ..Filter::ALL };
    assert_eq!(
        select(Selection { filter: changed_late, limit: 1, ..all }),
        (names(&["b=1@5"]), false, 3)
    );
    assert_eq!(select(Selection { show: Show::Count, ..all }), (vec![], false, 3));
    let keys = Selection { show: Show::Keys, limit: 2, ..all };
    assert_eq!(select(keys), (names(&["a=@2", "b=@5"]), true, 3));
}

#[test]
fn a_write_shows_what_it_replaced() {
    let mut node = node_with_past();
    let put = |node: &mut Node, returns_previous| {
        let options = PutOptions { returns_previous, ..PutOptions::default() };
        let answer = node.apply(&Command::PutWith { key: b"a", value: b"3", options });
        match Answer::decode(&answer).unwrap() {
            Answer::PutOver { revision, previous } => {
                (revision, previous.map(|kv| (kv.value.to_vec(), kv.mod_revision, kv.version)))
            }
            other => panic!("not {other:?}"),
        }
    };
    assert_eq!(put(&mut node, true), (7, Some((b"2".to_vec(), 4, 2))));
    assert_eq!(put(&mut node, false), (8, None));
    let ranges = [KeyRange::single(b"c"), KeyRange::prefix(b"")].into_iter().collect();
    let answer = node.apply(&Command::DeleteReturning { ranges });
    let Answer::DeletedKeys { count, revision, kvs, more } = Answer::decode(&answer).unwrap()
    else {
        panic!("not {answer:?}")
    };
    let values: Vec<_> = kvs.iter().map(|kv| (kv.key, kv.value, kv.version)).collect();
    assert_eq!(values, [(&b"c"[..], &b"1"[..], 1), (&b"a"[..], &b"3"[..], 4)]);
    assert_eq!((count, revision, more), (2, 9, false));
    assert_eq!(put(&mut node, true), (10, None), "a removed key has no previous value");
}

#[test]
fn a_history_has_every_version_and_removal_that_is_left() {
    let mut node = node_with_past();
    node.put(b"b", b"2");
    let history = |node: &Node, key: &[u8], since, limit| {
        pairs(&node.ask(&Query::History { key, since, limit }))
    };
    let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let all = names(&["b=1@3", "b=@5", "b=2@7"]);
    assert_eq!(history(&node, b"b", 0, 0), (all.clone(), false, 3));
    assert_eq!(history(&node, b"b", 5, 1), (names(&["b=@5"]), true, 2));
    assert_eq!(history(&node, b"x", 0, 0), (vec![], false, 0));
    compact(&mut node, 4);
    assert_eq!(history(&node, b"b", 0, 0), (all.clone(), false, 3), "it is there at revision 4");
    compact(&mut node, 5);
    assert_eq!(history(&node, b"b", 0, 0), (all[1..].to_vec(), false, 2));
    compact(&mut node, 6);
    assert_eq!(history(&node, b"b", 0, 0), (all[2..].to_vec(), false, 1));
    let no = Answer::No { revision: 7, why: No::Compacted { oldest: 6 } };
    let answer = node.ask(&Query::History { key: b"b", since: 5, limit: 0 });
    assert_eq!(Answer::decode(&answer), Ok(no));
}
