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

/// Keys of a load that lasts, and how often one of them is set before it is measured: so often
/// that history is as large as it may be.
const KEYS_CHANGED_OFTEN: u64 = 100_000;
const CHANGES: u64 = 2_500_000;

/// What a replica reads of a snapshot at once, about. Units: bytes.
const PART_BYTES: usize = 128 * 1024;

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

/// Few keys and as much history as is kept, as under a load that lasts.
fn history(criterion: &mut Criterion) {
    let mut loaded = LoadedStore::new(KEYS_CHANGED_OFTEN);
    let mut random = Random::new(5);
    for _ in 0..CHANGES / ROUND {
        let puts = (0..ROUND).map(|_| put_of(&key(random.below(KEYS_CHANGED_OFTEN))));
        let entries = loaded.round(puts).expect("there are some");
        loaded.apply(&entries);
    }
    criterion.bench_function("put with a full history", |bencher| {
        time_applies(bencher, &mut loaded, || put_of(&key(random.below(KEYS_CHANGED_OFTEN))));
    });
    criterion.bench_function("a kilobyte of a snapshot", |bencher| {
        bencher.iter_custom(|times| time_snapshot(&mut loaded, times * 1024));
    });
}

/// Times the reading of so many bytes of a snapshot, part by part, and from its begin again
/// after its end.
fn time_snapshot(loaded: &mut LoadedStore, bytes: u64) -> Duration {
    let (mut part, mut read) = (BytesMut::with_capacity(2 * PART_BYTES), 0);
    let begin = now();
    loaded.store.pin();
    while read < bytes {
        part.clear();
        if !loaded.store.read_pinned(PART_BYTES, &mut part) {
            loaded.store.pin();
        }
        read += u64::try_from(part.len()).expect("a part is small");
        black_box(&part);
    }
    loaded.store.unpin();
    begin.elapsed()
}

criterion_group!(store, keys, history, hashes, counters);
criterion_main!(store);
