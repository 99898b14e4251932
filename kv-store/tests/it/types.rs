//! Hashes, sets and numbers.

use kv_store::command::{
    Answer, Attributes, Collection, Command, Item, KeyRange, Kind, List, Name, No, Query,
};
use raft_core::replica::state_machine::StateMachine;

use crate::node::Node;

fn no(revision: u64, why: No) -> Answer<'static> {
    Answer::No { revision, why }
}

fn changed(count: u64, revision: u64) -> Answer<'static> {
    Answer::Changed { count, revision }
}

/// Answers without anything borrowed.
fn applied(node: &mut Node, command: &Command<'_>) -> Answer<'static> {
    match Answer::decode(&node.apply(command)).expect("an answer") {
        Answer::Changed { count, revision } => Answer::Changed { count, revision },
        Answer::Number { number, revision } => Answer::Number { number, revision },
        Answer::No { revision, why } => Answer::No { revision, why },
        other => panic!("not expected: {other:?}"),
    }
}

fn hset(node: &mut Node, key: &[u8], fields: &[(&[u8], &[u8])]) -> Answer<'static> {
    let fields = fields.iter().map(|&(name, value)| Item { name, value }).collect();
    applied(node, &Command::SetFields { key, fields })
}

fn sset(node: &mut Node, key: &[u8], members: &[&[u8]]) -> Answer<'static> {
    let members = members.iter().map(|name| Name(name)).collect();
    applied(node, &Command::AddMembers { key, members })
}

fn remove(node: &mut Node, of: Collection, key: &[u8], names: &[&[u8]]) -> Answer<'static> {
    let names = names.iter().map(|name| Name(name)).collect();
    applied(node, &Command::RemoveItems { of, key, names })
}

fn incr(node: &mut Node, key: &[u8], field: Option<&[u8]>, by: i64) -> Answer<'static> {
    applied(node, &Command::Increment { key, field: field.map(Name), by })
}

/// Fields as text, at a revision.
fn fields(node: &Node, key: &[u8], revision: u64) -> String {
    let query = Query::Items { of: Collection::Hash, key, from: b"", limit: 0, revision };
    match Answer::decode(&node.ask(&query)).expect("an answer") {
        Answer::Items { items, .. } => {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            let pairs = items.iter().map(|item| text(item.name) + "=" + &text(item.value));
            pairs.collect::<Vec<_>>().join(" ")
        }
        other => panic!("not expected: {other:?}"),
    }
}

#[test]
fn a_hash_comes_with_its_first_field_and_goes_with_its_last() {
    let mut node = Node::default();
    assert_eq!(hset(&mut node, b"h", &[(b"b", b"1"), (b"a", b"2"), (b"b", b"3")]), changed(2, 2));
    assert_eq!(hset(&mut node, b"h", &[(b"a", b"2"), (b"c", b"")]), changed(1, 3));
    assert_eq!(fields(&node, b"h", 0), "a=2 b=3 c=");
    assert_eq!(fields(&node, b"h", 2), "a=2 b=3", "fields have a past");
    assert_eq!(remove(&mut node, Collection::Hash, b"h", &[b"x"]), changed(0, 3));
    assert_eq!(remove(&mut node, Collection::Hash, b"h", &[b"a", b"a", b"b"]), changed(2, 4));
    assert_eq!(remove(&mut node, Collection::Hash, b"h", &[b"c"]), changed(1, 5));
    assert_eq!(node.keys(KeyRange::prefix(b""), 0).2, 0, "an empty hash does not exist");
    assert_eq!(remove(&mut node, Collection::Hash, b"h", &[b"c"]), changed(0, 5));
    assert_eq!(hset(&mut node, b"h", &[]), changed(0, 5), "no fields make no hash");
    assert_eq!(fields(&node, b"h", 3), "a=2 b=3 c=");
}

#[test]
fn a_member_that_is_there_already_is_no_change() {
    let mut node = Node::default();
    assert_eq!(sset(&mut node, b"s", &[b"b", b"a", b"b"]), changed(2, 2));
    assert_eq!(sset(&mut node, b"s", &[b"a"]), changed(0, 2));
    let names = [Name(b"a"), Name(b"x"), Name(b"")].into_iter().collect();
    let query = Query::Has { of: Collection::Set, key: b"s", names, revision: 0 };
    let has: List<bool> = [true, false, false].into_iter().collect();
    assert_eq!(Answer::decode(&node.ask(&query)), Ok(Answer::Has { revision: 2, has }));
    let length = |key| Query::Length { of: Collection::Set, key, revision: 0 };
    let answer = |count| Ok(Answer::Length { revision: 2, count });
    assert_eq!(Answer::decode(&node.ask(&length(b"s"))), answer(2));
    assert_eq!(Answer::decode(&node.ask(&length(b"x"))), answer(0));
}

#[test]
fn a_wrong_type_changes_nothing() {
    let mut node = Node::default();
    node.put(b"string", b"1");
    hset(&mut node, b"hash", &[(b"f", b"1")]);
    sset(&mut node, b"set", &[b"m"]);
    let (hash, found) = (node.store.state_hash(), |found| no(4, No::WrongType { found }));
    assert_eq!(hset(&mut node, b"string", &[(b"f", b"1")]), found(Kind::String));
    assert_eq!(hset(&mut node, b"set", &[]), found(Kind::Set));
    assert_eq!(sset(&mut node, b"hash", &[b"m"]), found(Kind::Hash));
    assert_eq!(remove(&mut node, Collection::Set, b"hash", &[b"f"]), found(Kind::Hash));
    assert_eq!(incr(&mut node, b"hash", None, 1), found(Kind::Hash));
    assert_eq!(incr(&mut node, b"string", Some(b"f"), 1), found(Kind::String));
    for of in [Collection::Hash, Collection::Set] {
        let names: List<Name<'_>> = [Name(b"f")].into_iter().collect();
        let query = Query::Has { of, key: b"string", names, revision: 0 };
        assert_eq!(Answer::decode(&node.ask(&query)), Ok(found(Kind::String)));
    }
    assert_eq!(node.store.state_hash(), hash);
}

#[test]
fn etcd_sees_a_key_with_an_empty_value_that_moves_with_its_items() {
    let mut node = Node::default();
    hset(&mut node, b"h", &[(b"f", b"1"), (b"g", b"2")]);
    hset(&mut node, b"h", &[(b"f", b"3")]);
    let answer = node.range(KeyRange::single(b"h"), 0);
    let Ok(Answer::Range { kvs, .. }) = Answer::decode(&answer) else { panic!("a range") };
    assert_eq!(kvs[0].value, b"");
    assert_eq!((kvs[0].create_revision, kvs[0].mod_revision, kvs[0].version), (2, 3, 2));
    assert_eq!(kvs[0].attributes, Attributes { kind: Kind::Hash, lease: 0 });
    let events = |node: &Node| -> Vec<String> {
        let events = node.store.changes_since(0).expect("all is there");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        events
            .map(|event| {
                let item = event.item.map_or(String::new(), |item| ".".to_owned() + &text(item));
                let next = event.next.map_or("-".to_owned(), |kv| text(kv.value));
                format!("{} {}{item}={next}", event.revision, text(event.key))
            })
            .collect()
    };
    assert_eq!(events(&node), ["2 h=", "2 h.f=1", "2 h.g=2", "3 h=", "3 h.f=3"]);
    assert_eq!(node.put(b"h", b"x"), 4, "a put replaces it");
    assert_eq!(events(&node)[5..], ["4 h=x", "4 h.f=-", "4 h.g=-"]);
    hset(&mut node, b"h2", &[(b"f", b"1")]);
    assert_eq!(node.delete(&[KeyRange::prefix(b"h")]), (2, 6));
    assert_eq!(events(&node)[10..], ["6 h=-", "6 h2=-", "6 h2.f=-"]);
}

#[test]
fn numbers_are_added_to_and_nothing_else_is() {
    let mut node = Node::default();
    let number = |number, revision| Answer::Number { number, revision };
    assert_eq!(incr(&mut node, b"n", None, 1), number(1, 2));
    assert_eq!(incr(&mut node, b"n", None, -3), number(-2, 3));
    assert_eq!(incr(&mut node, b"h", Some(b"f"), 5), number(5, 4));
    assert_eq!(incr(&mut node, b"h", Some(b"f"), 0), number(5, 5), "also by 0");
    assert_eq!(fields(&node, b"h", 0), "f=5");
    assert_eq!(incr(&mut node, b"n", None, i64::MIN), no(5, No::Overflow));
    node.put(b"n", i64::MAX.to_string().as_bytes());
    assert_eq!(incr(&mut node, b"n", None, 1), no(6, No::Overflow));
    assert_eq!(incr(&mut node, b"n", None, -1), number(i64::MAX - 1, 7));
    let words: [&[u8]; 10] =
        [b"", b" 1", b"1 ", b"+1", b"01", b"-0", b"1.0", b"one", b"\xff", b"9223372036854775808"];
    for value in words {
        let revision = node.put(b"n", value);
        assert_eq!(incr(&mut node, b"n", None, 1), no(revision, No::NotANumber), "{value:?}");
    }
}

#[test]
fn a_large_hash_is_read_in_parts() {
    let mut node = Node::default();
    for number in 0..12_000u32 {
        hset(&mut node, b"h", &[(&number.to_be_bytes(), b"v")]);
    }
    let (mut from, mut seen) = (Vec::new(), 0);
    loop {
        let of = Collection::Hash;
        let answer = node.ask(&Query::Items { of, key: b"h", from: &from, limit: 0, revision: 0 });
        let Ok(Answer::Items { items, more, count, .. }) = Answer::decode(&answer) else {
            panic!("items")
        };
        assert_eq!(count, 12_000);
        seen += items.len();
        if !more {
            break;
        }
        from = [items.last().unwrap().name, b"\0"].concat();
    }
    assert_eq!(seen, 12_000);
    let large = vec![7; 1_500_000];
    let names = || [b"1", b"2", b"3"].map(|name| Name(name)).into_iter().collect();
    for name in [b"1", b"2", b"3"] {
        hset(&mut node, b"large", &[(name, &large)]);
    }
    let query = Query::Fields { key: b"large", names: names(), revision: 0 };
    let too_long = no(12_004, No::TooLong { limit: 4_194_304 });
    assert_eq!(Answer::decode(&node.ask(&query)), Ok(too_long));
}
