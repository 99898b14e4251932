//! What one operation of the store costs, with 1 M keys of 16 bytes and values of 256:
//! `cargo bench -p benches --bench store`. Goals and results: `docs/benchmarks.md`.

use std::hint::black_box;
use std::time::Duration;

use benches::clock::now;
use benches::keys::{Random, key};
use benches::loaded_store::{LoadedStore, ROUND, asked, encoded, put_of};
use bytes::BytesMut;
use criterion::{Bencher, Criterion, criterion_group, criterion_main};
use kv_store::command::{Command, Item, KeyRange, List, Name, Query, RangeEnd};
use raft_core::replica::state_machine::StateMachine;

const KEYS: u64 = 1_000_000;

/// Hashes with so many fields each, one million in all.
const HASHES: u64 = 1_000;
const FIELDS: u64 = 1_000;

const COUNTERS: u64 = 100_000;

/// How many keys a range has.
const RANGE: u64 = 100;

/// Queries that are asked between two looks at the clock.
const ASKED_AT_ONCE: u64 = 64;

/// Times the application of commands, round by round. Making them is not counted.
fn time_applies(
    bencher: &mut Bencher<'_>,
    loaded: &mut LoadedStore,
    mut command: impl FnMut() -> BytesMut,
) {
    bencher.iter_custom(|times| {
        let (mut left, mut spent) = (times, Duration::ZERO);
        while 0 < left {
            let at_once = left.min(ROUND);
            let entries = loaded.round((0..at_once).map(|_| command())).expect("there are some");
            let begin = now();
            loaded.apply(&entries);
            spent += begin.elapsed();
            left -= at_once;
        }
        spent
    });
}

/// Times the answers to queries. Making the queries is not counted.
fn time_queries(
    bencher: &mut Bencher<'_>,
    loaded: &LoadedStore,
    mut query: impl FnMut() -> BytesMut,
) {
    let mut answer = BytesMut::new();
    bencher.iter_custom(|times| {
        let (mut left, mut spent) = (times, Duration::ZERO);
        while 0 < left {
            let at_once = left.min(ASKED_AT_ONCE);
            let queries: Vec<BytesMut> = (0..at_once).map(|_| query()).collect();
            let begin = now();
            for query in &queries {
                answer.clear();
                loaded.store.query(query, 0, &mut answer);
                black_box(&answer);
            }
            spent += begin.elapsed();
            left -= at_once;
        }
        spent
    });
}

fn keys(criterion: &mut Criterion) {
    let mut loaded = LoadedStore::new(KEYS);
    let mut random = Random::new(2);
    criterion.bench_function("point read", |bencher| {
        time_queries(bencher, &loaded, || {
            let key = key(random.below(KEYS));
            asked(&Query::Range { range: KeyRange::single(&key), limit: 0 })
        });
    });
    criterion.bench_function("range of 100", |bencher| {
        time_queries(bencher, &loaded, || {
            let first = random.below(KEYS - RANGE);
            let (from, to) = (key(first), key(first + RANGE));
            let range = KeyRange { from: &from, end: RangeEnd::HalfOpen(&to) };
            asked(&Query::Range { range, limit: 0 })
        });
    });
    criterion.bench_function("put", |bencher| {
        time_applies(bencher, &mut loaded, || put_of(&key(random.below(KEYS))));
    });
}

fn set_field(number: u64) -> BytesMut {
    let (hash, field) = (key(number % HASHES), key(number / HASHES % FIELDS));
    let fields: List<Item<'_>> = [Item { name: &field, value: b"a value" }].into_iter().collect();
    encoded(&Command::SetFields { key: &hash, fields })
}

fn hashes(criterion: &mut Criterion) {
    let mut loaded = LoadedStore::default();
    let mut random = Random::new(3);
    for round in 0..HASHES * FIELDS / ROUND {
        let numbers = round * ROUND..(round + 1) * ROUND;
        let entries = loaded.round(numbers.map(set_field)).expect("there are some");
        loaded.apply(&entries);
    }
    criterion.bench_function("hash get", |bencher| {
        time_queries(bencher, &loaded, || {
            let (hash, field) = (key(random.below(HASHES)), key(random.below(FIELDS)));
            let names = [Name(&field)].into_iter().collect();
            asked(&Query::Fields { key: &hash, names, revision: 0 })
        });
    });
    criterion.bench_function("hash set", |bencher| {
        time_applies(bencher, &mut loaded, || set_field(random.below(HASHES * FIELDS)));
    });
}

fn counters(criterion: &mut Criterion) {
    let mut loaded = LoadedStore::default();
    let mut random = Random::new(4);
    criterion.bench_function("increment", |bencher| {
        time_applies(bencher, &mut loaded, || {
            let key = key(random.below(COUNTERS));
            encoded(&Command::Increment { key: &key, field: None, by: 1 })
        });
    });
}

criterion_group!(store, keys, hashes, counters);
criterion_main!(store);
