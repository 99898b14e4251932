//! Snapshots that are made while the store changes, and what is made of them.

use bytes::{Bytes, BytesMut};
use kv_store::command::{Command, Item, KeyRange, List, OnNo, Operation, RangeEnd, Transaction};
use kv_store::store::Store;
use raft_core::replica::state_machine::{LoadError, StateMachine};

use crate::node::{Node, Numbers};

/// Applies a random command, the same to all nodes.
fn change(numbers: &mut Numbers, nodes: &mut [&mut Node]) {
    let (key, value, to) = (numbers.key(), numbers.value(), numbers.key());
    let end = match numbers.below(6) {
        0 => RangeEnd::Prefix,
        1 => RangeEnd::HalfOpen(&to),
        _ => RangeEnd::Single,
    };
    let range = KeyRange { from: &key, end };
    let revision = nodes[0].store.revision();
    let command = match numbers.below(20) {
        0 => Command::Compact { revision: revision - numbers.below(2) as u64 },
        1..=4 => Command::Delete { ranges: [range].into_iter().collect() },
        _ => Command::Put { key: &key, value: &value },
    };
    let answers: Vec<_> = nodes.iter_mut().map(|node| node.apply(&command)).collect();
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{command:?}");
}

/// Reads a snapshot in parts; `meanwhile` runs before each.
fn read(node: &mut Node, bytes_max: usize, mut meanwhile: impl FnMut(&mut Node)) -> Vec<Bytes> {
    let mut parts = Vec::new();
    node.store.pin();
    loop {
        meanwhile(node);
        let mut part = BytesMut::new();
        let more = node.store.read_pinned(bytes_max, &mut part);
        parts.push(part.freeze());
        if !more {
            node.store.unpin();
            return parts;
        }
    }
}

fn load(parts: &[impl AsRef<[u8]>]) -> Result<Store, LoadError> {
    let mut store = Store::new().empty();
    parts.iter().try_for_each(|part| store.load(part.as_ref()))?;
    store.finish_load().map(|()| store)
}

fn check_equal(one: &Node, other: &Node) {
    let all = KeyRange::prefix(b"");
    assert_eq!(one.range(all, 0), other.range(all, 0));
    assert_eq!(one.store.revision(), other.store.revision());
    assert_eq!(one.store.state_hash(), other.store.state_hash());
}

#[test]
fn a_loaded_store_is_the_pinned_one_and_lives_on_as_it_does() {
    for seed in 0..200 {
        let mut numbers = Numbers(seed);
        let mut node = Node::default();
        for _ in 0..numbers.below(150) {
            change(&mut numbers, &mut [&mut node]);
        }
        let at_pin = node.clone();
        let bytes_max = [1, 60, 300, 5_000][numbers.below(4)];
        let parts = read(&mut node, bytes_max, |node| {
            for _ in 0..numbers.below(12) {
                change(&mut numbers, &mut [node]);
            }
        });
        assert!(parts.iter().all(|part| !part.is_empty()));
        let quiet = read(&mut at_pin.clone(), bytes_max, |_| {});
        assert_eq!(parts, quiet, "seed {seed}: changes in between leave no trace");

        let mut loaded = at_pin.with_store(load(&parts).unwrap());
        let mut original = at_pin;
        check_equal(&original, &loaded);
        for _ in 0..100 {
            change(&mut numbers, &mut [&mut original, &mut loaded]);
        }
        check_equal(&original, &loaded);
        let again = read(&mut loaded, bytes_max, |_| {});
        assert_eq!(again, read(&mut original, bytes_max, |_| {}), "seed {seed}");
    }
}

#[test]
fn an_abandoned_snapshot_is_followed_by_a_whole_one() {
    let mut node = Node::default();
    let mut numbers = Numbers(3);
    (0..100).for_each(|_| change(&mut numbers, &mut [&mut node]));
    node.store.unpin();
    node.store.pin();
    assert!(node.store.read_pinned(100, &mut BytesMut::new()), "there is more");
    change(&mut numbers, &mut [&mut node]);
    let parts = read(&mut node, 100, |_| {});
    let loaded = node.with_store(load(&parts).unwrap());
    check_equal(&node, &loaded);
}

#[test]
fn a_part_holds_about_as_much_as_was_asked_for() {
    let mut node = Node::default();
    for number in 0..1_000u32 {
        node.put(&number.to_be_bytes(), &[7; 100]);
    }
    let record_bytes = 17 + 4 + 3 + 100;
    let parts = read(&mut node, 4_096, |_| {});
    let (last, full) = parts.split_last().unwrap();
    // The first one has the begin and a mark besides.
    assert!(full.iter().all(|part| (4_096..4_096 + record_bytes).contains(&part.len())));
    assert!(last.len() < 4_096 + record_bytes + 33);
}

#[test]
fn the_bytes_of_version_3_never_change() {
    let mut node = Node::default();
    node.put(b"k", b"old");
    node.put(b"gone", b"");
    node.put(b"k", b"new");
    node.delete(&[KeyRange::single(b"gone")]);
    node.put(b"k", b"newest");
    node.apply(&Command::Compact { revision: 4 });
    let hash = node.store.state_hash().to_le_bytes();
    let totals = [&6u64.to_le_bytes()[..], &4u64.to_le_bytes(), &hash].concat();
    let mark = [&[4][..], &[0; 8], &1u64.to_le_bytes()].concat();
    // "gone" was made at 3 and removed at 5.
    let head = |kind: u8, lengths: &[u32], revision: u64| {
        let lengths = lengths.iter().flat_map(|length| length.to_le_bytes());
        [kind].into_iter().chain(lengths).chain(revision.to_le_bytes()).collect::<Vec<u8>>()
    };
    let expected = [
        &[1, 3][..],
        &totals,
        &mark,
        &head(2, &[4, 3], 3),
        b"gone",
        &[0, 1, 0],
        &head(5, &[0], 5),
        &head(2, &[1, 6], 4),
        b"k",
        &[0, 2, 2],
        b"new",
        &head(5, &[9], 6),
        &[0, 3, 4],
        b"newest",
        &[3],
        &totals,
        &4u64.to_le_bytes(),
    ]
    .concat();
    assert_eq!(read(&mut node, 1_000, |_| {}), [expected]);
}

#[test]
fn parts_that_are_missing_repeated_swapped_or_cut_are_refused() {
    let mut node = Node::default();
    for byte in 0..6 {
        node.put(&[byte], &[byte]);
    }
    let parts = read(&mut node, 1, |_| {});
    assert_eq!(parts.len(), 7, "a key in each part, the end in the last: {parts:?}");
    load(&parts).unwrap();
    for at in 0..parts.len() {
        let with = |change: &dyn Fn(&mut Vec<Bytes>)| {
            let mut changed = parts.clone();
            change(&mut changed);
            load(&changed).map(drop).expect_err("this is not what was read")
        };
        with(&|parts| drop(parts.remove(at)));
        with(&|parts| parts.insert(at, parts[at].clone()));
        with(&|parts| {
            let length = parts.len();
            parts.swap(at, (at + 1) % length);
        });
        for cut in 0..parts[at].len() {
            with(&|parts| parts[at].truncate(cut));
        }
    }
    let mut other = Node::default();
    for byte in 0..6 {
        other.put(&[byte], &[byte + 1]);
    }
    let mut mixed = parts.clone();
    *mixed.last_mut().unwrap() = read(&mut other, 1, |_| {}).pop().unwrap();
    load(&mixed).map(drop).expect_err("the end is that of another store");
    load(&[&b""[..]]).map(drop).expect_err("nothing was loaded");
}

#[test]
fn any_bytes_are_loaded_or_refused_without_a_panic() {
    let mut node = Node::default();
    let mut numbers = Numbers(11);
    (0..60).for_each(|_| change(&mut numbers, &mut [&mut node]));
    let whole = read(&mut node, 1 << 20, |_| {}).concat();
    for at in 0..whole.len() {
        for flip in [1, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[at] ^= flip;
            drop(load(&[changed]));
        }
    }
    let mut newer = whole.clone();
    newer[1] = 4;
    let error = load(&[newer.clone()]).map(drop).unwrap_err();
    assert_eq!(
        error.to_string(),
        "this is not a snapshot of this state machine: its format 4 is not known here"
    );
    newer[1] = 2;
    let error = load(&[newer.clone()]).map(drop).unwrap_err().to_string();
    assert!(error.contains("neither users nor the order"), "{error}");
    newer[1] = 1;
    let error = load(&[newer]).map(drop).unwrap_err().to_string();
    assert!(error.contains("format 1 is of a program that kept no history"), "{error}");
    let mut store = node.store.clone();
    assert!(store.load(&whole).and_then(|()| store.finish_load()).is_err(), "it has keys");
}

/// A revision whose changes were made in another order than that of the keys.
#[test]
fn the_order_of_a_revision_is_that_of_its_operations_also_behind_a_snapshot() {
    let mut node = Node::default();
    let put = |key: &'static [u8]| Operation::Write(Command::Put { key, value: b"v" });
    let single = |key| [KeyRange::single(key)].into_iter().collect();
    node.put(b"c", b"old");
    let fields: [Item<'_>; 2] =
        [Item { name: b"z", value: b"1" }, Item { name: b"y", value: b"2" }];
    let then = [
        put(b"b"),
        Operation::Write(Command::Delete { ranges: single(b"c") }),
        put(b"d"),
        Operation::Write(Command::SetFields { key: b"a", fields: fields.into_iter().collect() }),
        put(b"b"),
    ];
    let transaction = Box::new(Transaction {
        when: List::new(),
        then: then.into_iter().collect(),
        otherwise: List::new(),
    });
    node.apply(&Command::Transaction { on_no: OnNo::Undo, transaction });
    node.apply(&Command::Delete { ranges: [KeyRange::prefix(b"")].into_iter().collect() });
    let shown = |node: &Node| -> Vec<(u64, String)> {
        let events = node.store.changes_since(0).expect("all is there");
        events
            .map(|event| {
                let item = event
                    .item
                    .map_or(String::new(), |item| format!(".{}", String::from_utf8_lossy(item)));
                (event.revision, String::from_utf8_lossy(event.key).into_owned() + &item)
            })
            .collect()
    };
    let expected = [(2, "c"), (3, "b"), (3, "c"), (3, "d"), (3, "a"), (3, "a.z"), (3, "a.y")]
        .into_iter()
        .chain([(4, "a"), (4, "a.y"), (4, "a.z"), (4, "b"), (4, "d")])
        .map(|(revision, name)| (revision, name.to_owned()))
        .collect::<Vec<_>>();
    assert_eq!(shown(&node), expected);
    for bytes_max in [1, 40, 5_000] {
        let parts = read(&mut node, bytes_max, |_| {});
        assert_eq!(shown(&node.clone().with_store(load(&parts).unwrap())), expected);
    }
    // In revision 3 the order of the keys is a, a.y, a.z, b, c, d; 2 and 4 go without saying.
    let whole = read(&mut node, 5_000, |_| {}).concat();
    let ranks = [3u32, 4, 5, 0, 2, 1].map(u32::to_le_bytes).concat();
    let record = [&[8][..], &3u64.to_le_bytes(), &6u32.to_le_bytes(), &ranks].concat();
    let end = whole.len() - 33;
    assert_eq!(whole[end - record.len()..end], record);
}
