//! Random transactions, each against what it must come to: what is undone leaves nothing, and
//! what is carried out leaves what its operations would have left one by one. Time passes, leases
//! come and go, and one of two nodes starts again from snapshots.

use kv_store::command::{
    Answer, Collection, Command, Compare, Item, KeyRange, KeyValue, Name, OnNo, Operation,
    PutOptions, Query, RangeEnd, Relation, Target, Transaction,
};
use kv_store::store::Store;
use raft_core::replica::state_machine::StateMachine;

use crate::node::{Node, Numbers};
use crate::random::snapshot;

/// Runs from an empty store on.
const RUNS: u64 = 300;

/// Transactions of a run.
const TRANSACTIONS: usize = 60;

/// Bytes that outlive a test, of which there are few.
fn pick(numbers: &mut Numbers, of: &[&'static [u8]]) -> &'static [u8] {
    of[numbers.below(of.len())]
}

fn key(numbers: &mut Numbers) -> &'static [u8] {
    pick(numbers, &[b"a", b"b", b"c", b"d", b"a-key-of-more-than-twenty-two-bytes"])
}

fn name(numbers: &mut Numbers) -> &'static [u8] {
    pick(numbers, &[b"", b"f", b"g"])
}

fn value(numbers: &mut Numbers) -> &'static [u8] {
    pick(numbers, &[b"", b"1", b"x", b"-7", b"9223372036854775807"])
}

fn range(numbers: &mut Numbers) -> KeyRange<'static> {
    let (from, to) = (key(numbers), key(numbers));
    let end = match numbers.below(6) {
        0 => RangeEnd::Prefix,
        1 => RangeEnd::HalfOpen(to),
        2 => RangeEnd::From,
        _ => RangeEnd::Single,
    };
    KeyRange { from, end }
}

fn change(numbers: &mut Numbers) -> Command<'static> {
    let key = key(numbers);
    let names = [name(numbers), name(numbers)];
    let of = [Collection::Hash, Collection::Set][numbers.below(2)];
    let value = value(numbers);
    let ttl_ms = [0, 30, 300][numbers.below(3)];
    match numbers.below(12) {
        0 | 1 => Command::Put { key, value },
        9 | 10 => {
            let (lease, keeps_end) = ([0, 1, 2, 9][numbers.below(4)], numbers.below(4) == 0);
            let options = PutOptions { lease, ttl_ms, keeps_end, ..PutOptions::default() };
            Command::PutWith { key, value, options }
        }
        11 => {
            let field = (numbers.below(2) == 0).then_some(Name(names[0]));
            Command::Expire { key, field, ttl_ms }
        }
        2 => {
            let fields = names.iter().map(|name| Item { name, value }).collect();
            Command::SetFields { key, fields }
        }
        3 => Command::AddMembers { key, members: names.into_iter().map(Name).collect() },
        4 => Command::RemoveItems { of, key, names: names.into_iter().map(Name).collect() },
        5 => Command::Increment { key, field: None, by: 1 },
        6 => Command::Increment { key, field: Some(Name(names[0])), by: 1 },
        7 => Command::DeleteReturning {
            ranges: [range(numbers), range(numbers)].into_iter().collect(),
        },
        _ => Command::Delete { ranges: [range(numbers)].into_iter().collect() },
    }
}

fn compare(numbers: &mut Numbers) -> Compare<'static> {
    let relation =
        [Relation::Equal, Relation::NotEqual, Relation::Less, Relation::Greater][numbers.below(4)];
    let (number, has) = (numbers.below(12) as u64, numbers.below(2) == 0);
    let of = [Collection::Hash, Collection::Set][numbers.below(2)];
    let target = match numbers.below(8) {
        7 => Target::Lease(number % 3),
        0 => Target::Value(value(numbers)),
        1 => Target::Version(number),
        2 => Target::CreateRevision(number),
        3 => Target::ModRevision(number),
        4 => Target::Exists(has),
        5 => Target::Field { name: name(numbers), value: value(numbers) },
        _ => Target::Has { of, name: name(numbers), has },
    };
    Compare { range: range(numbers), relation, target }
}

fn operation(numbers: &mut Numbers, depth: usize) -> Operation<'static> {
    match numbers.below(6) {
        0 => Operation::Read(Query::Range { range: range(numbers), limit: 0 }),
        1 if 0 < depth => Operation::Nested(Box::new(transaction(numbers, depth - 1))),
        _ => Operation::Write(change(numbers)),
    }
}

fn transaction(numbers: &mut Numbers, depth: usize) -> Transaction<'static> {
    let mut some = || (0..numbers.below(5)).map(|_| operation(numbers, depth)).collect();
    let (then, otherwise) = (some(), some());
    let when = (0..numbers.below(3)).map(|_| compare(numbers)).collect();
    Transaction { when, then, otherwise }
}

/// Carries out one operation after the other what a transaction chose, by its answer.
fn one_by_one(node: &mut Node, transaction: &Transaction<'_>, answer: &Answer<'_>) {
    let Answer::Transaction(transacted) = answer else { panic!("no answer: {answer:?}") };
    let branch = if transacted.succeeded { &transaction.then } else { &transaction.otherwise };
    assert_eq!(branch.len(), transacted.answers.len());
    for (operation, answer) in branch.iter().zip(transacted.answers.iter()) {
        match operation {
            Operation::Write(command) => {
                node.apply(command);
            }
            Operation::Read(query) => check_pairs(&node.ask(query), answer),
            Operation::Nested(nested) => one_by_one(node, nested, answer),
        }
    }
}

/// The same keys with the same values; their revisions differ.
fn check_pairs(found: &[u8], expected: &Answer<'_>) {
    let found = Answer::decode(found).expect("an answer");
    let (Answer::Range { kvs: found, .. }, Answer::Range { kvs: expected, .. }) = (found, expected)
    else {
        panic!("not ranges")
    };
    let pairs = |kvs: &[KeyValue<'_>]| {
        kvs.iter().map(|kv| (kv.key.to_vec(), kv.value.to_vec())).collect::<Vec<_>>()
    };
    assert_eq!(pairs(&found), pairs(expected));
}

type Pair = (Vec<u8>, Vec<u8>);

/// All keys with how long they stay and with their items, without revisions.
fn contents(node: &Node) -> Vec<(Pair, String, Vec<Pair>)> {
    let answer = node.range(KeyRange::prefix(b""), 0);
    let Ok(Answer::Range { kvs, .. }) = Answer::decode(&answer) else { panic!("a range") };
    let items = |key| {
        [Collection::Hash, Collection::Set].into_iter().flat_map(move |of| {
            let answer = node.ask(&Query::Items { of, key, from: b"", limit: 0, revision: 0 });
            match Answer::decode(&answer).expect("an answer") {
                Answer::Items { items, .. } => {
                    let pair = |item: &Item<'_>| (item.name.to_vec(), item.value.to_vec());
                    items.iter().map(pair).collect()
                }
                _ => Vec::new(),
            }
        })
    };
    let stays = |key| {
        let answer = node.ask(&Query::Remaining { key, field: None });
        let Ok(Answer::Remaining { remaining_ms, .. }) = Answer::decode(&answer) else {
            panic!("a time")
        };
        format!("{remaining_ms:?}")
    };
    let pair = |kv: &KeyValue<'_>| (kv.key.to_vec(), kv.value.to_vec());
    kvs.iter().map(|kv| (pair(kv), stays(kv.key), items(kv.key).collect())).collect()
}

/// Time passes, and what is no part of transactions happens to both nodes.
fn meanwhile(numbers: &mut Numbers, one: &mut Node, other: &mut Node) {
    let passed_us = numbers.below(20_000) as u64;
    let id = 1 + numbers.below(2) as u64;
    let command = match numbers.below(8) {
        0 => Some(Command::RemoveEnded),
        1 | 2 => Some(Command::GrantLease { id, ttl_ms: 200 }),
        3 => Some(Command::RevokeLease { id }),
        4 => Some(Command::RenewLeases { ids: [id].into_iter().collect() }),
        _ => None,
    };
    for node in [&mut *one, &mut *other] {
        node.log_time += passed_us;
    }
    if let Some(command) = command {
        assert_eq!(one.apply(&command), other.apply(&command), "{command:?}");
        assert_eq!(one.store.state_hash(), other.store.state_hash(), "{command:?}");
    }
    if numbers.below(10) == 0 {
        let mut store = other.store.empty();
        let parts = snapshot(&mut other.store, 100);
        parts.iter().for_each(|part| store.load(part).expect("a store wrote it"));
        store.finish_load().expect("a store wrote it");
        *other = other.with_store(store);
    }
}

#[test]
fn transactions_come_to_what_they_say() {
    let (mut undone, mut carried_out, mut with_changes) = (0, 0, 0);
    for seed in 0..RUNS {
        let mut numbers = Numbers(seed);
        let mut one = Node::default();
        let mut other = Node::default().with_store(Store::with_hash_seed(seed ^ 0xabcd));
        for step in 0..TRANSACTIONS {
            let place = format!("seed {seed} transaction {step}");
            let transaction = transaction(&mut numbers, 3);
            let on_no = [OnNo::Undo, OnNo::GoOn][numbers.below(2)];
            let command =
                Command::Transaction { on_no, transaction: Box::new(transaction.clone()) };
            let (before, hash) = (snapshot(&mut one.store, 64), one.store.state_hash());
            let revision = one.store.revision();
            let mut single = one.clone();
            let answer = one.apply(&command);
            assert_eq!(other.apply(&command), answer, "{place}");
            assert_eq!(one.store.state_hash(), other.store.state_hash(), "{place}");
            let after = snapshot(&mut one.store, 64);
            assert_eq!(snapshot(&mut other.store, 64), after, "{place}");
            let decoded = Answer::decode(&answer).expect("an answer");
            if let Answer::Undone { revision: at, .. } = &decoded {
                assert_eq!((*at, one.store.state_hash()), (revision, hash), "{place}");
                assert_eq!(after, before, "{place}");
                assert_eq!(on_no, OnNo::Undo);
                undone += 1;
            } else {
                one_by_one(&mut single, &transaction, &decoded);
                assert_eq!(contents(&single), contents(&one), "{place}");
                let has_changed = revision < one.store.revision();
                assert_eq!(one.store.revision(), revision + u64::from(has_changed), "{place}");
                assert_eq!(has_changed, revision < single.store.revision(), "{place}");
                let changes = one.store.changes_since(revision + 1).expect("it is there");
                let mut keys: Vec<_> =
                    changes.map(|event| (event.key.to_vec(), event.item)).collect();
                let count = keys.len();
                keys.dedup();
                assert_eq!((keys.len(), 0 < count), (count, has_changed), "{place}");
                carried_out += 1;
                with_changes += u32::from(has_changed);
            }
            meanwhile(&mut numbers, &mut one, &mut other);
            if numbers.below(8) == 0 {
                let revision = one.store.revision() - numbers.below(2) as u64;
                one.apply(&Command::Compact { revision });
                other.apply(&Command::Compact { revision });
                other.store.idle();
            }
        }
    }
    assert!(500 < undone && 5_000 < carried_out && 3_000 < with_changes, "{undone} {carried_out}");
}
