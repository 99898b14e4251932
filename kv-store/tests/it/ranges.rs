//! Ranges at the edges of the order of bytes, and answers in parts.

use kv_store::command::{Answer, KeyRange, RangeEnd};

use crate::node::{Node, Numbers};

fn node_with(keys: &[&[u8]]) -> Node {
    let mut node = Node::default();
    for key in keys {
        node.put(key, b"v");
    }
    node
}

#[test]
fn a_prefix_of_0xff_bytes_ends_where_the_order_ends() {
    let keys: [&[u8]; 6] = [b"\x00", b"a", b"a\xff", b"a\xff\xff", b"b", b"\xff\xff"];
    let node = node_with(&keys);
    let keys_with = |prefix: &[u8]| node.keys(KeyRange::prefix(prefix), 0).0;
    assert_eq!(keys_with(b"a\xff"), [b"a\xff".to_vec(), b"a\xff\xff".to_vec()]);
    assert_eq!(keys_with(b"\xff"), [b"\xff\xff".to_vec()]);
    assert_eq!(keys_with(b"\xff\xff\xff"), Vec::<Vec<u8>>::new());
    assert_eq!(keys_with(b""), keys);
}

#[test]
fn a_range_that_ends_before_it_begins_holds_nothing() {
    let mut node = node_with(&[b"a", b"b"]);
    for to in [b"".as_slice(), b"a", b"b"] {
        let range = KeyRange { from: b"b", end: RangeEnd::HalfOpen(to) };
        assert_eq!(node.keys(range, 0), (vec![], false, 0));
        assert_eq!(node.delete(&[range]), (0, 3));
    }
}

#[test]
fn a_limit_cuts_the_keys_and_not_the_count() {
    let node = node_with(&[b"a", b"b", b"c"]);
    let all = KeyRange { from: b"", end: RangeEnd::From };
    let first = |count: usize| [b"a", b"b", b"c"][..count].iter().map(|k| k.to_vec()).collect();
    assert_eq!(node.keys(all, 1), (first(1), true, 3));
    assert_eq!(node.keys(all, 3), (first(3), false, 3));
    assert_eq!(node.keys(all, 4), (first(3), false, 3));
    assert_eq!(node.keys(KeyRange::single(b"a"), 1), (first(1), false, 1));
}

#[test]
fn parts_put_together_are_the_whole_range() {
    let mut numbers = Numbers(3);
    let mut node = Node::default();
    for _ in 0..300 {
        node.put(&numbers.key(), b"v");
    }
    for _ in 0..200 {
        let (from, to) = (numbers.key(), numbers.key());
        let from = &from[..numbers.below(from.len() + 1)];
        let ends = [RangeEnd::Single, RangeEnd::Prefix, RangeEnd::HalfOpen(&to), RangeEnd::From];
        for end in ends {
            let whole = KeyRange { from, end };
            assert_eq!(in_parts(&node, whole), node.keys(whole, 0).0, "{whole:?}");
        }
    }
}

/// The keys of a range, three at a time.
fn in_parts(node: &Node, whole: KeyRange<'_>) -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    let mut buffer = Vec::new();
    loop {
        let part = match keys.last() {
            Some(last) => whole.after(last, &mut buffer),
            None => whole,
        };
        let (mut found, more, _) = node.keys(part, 3);
        keys.append(&mut found);
        if !more {
            // What is left is indeed nothing.
            let Some(last) = keys.last() else { return keys };
            let rest = node.range(whole.after(last, &mut buffer), 0);
            let Ok(Answer::Range { count: 0, .. }) = Answer::decode(&rest) else {
                panic!("{whole:?} goes on after {last:?}");
            };
            return keys;
        }
    }
}
