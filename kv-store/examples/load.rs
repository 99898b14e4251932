//! Fills a store and puts and gets at random, to be measured from outside:
//! `perf stat cargo run --release -p kv-store --example load -- KEYS PUTS GETS RANGES`.
//!
//! Keys have 16 bytes, values 256. The difference between two runs is the cost of what one of
//! them does more. Prints nothing.

use std::error::Error;
use std::hint::black_box;

use bytes::BytesMut;
use kv_store::command::{Command, KeyRange, Query, RangeEnd};
use kv_store::store::Store;
use raft_core::entry::{Draft, EntryKind, SessionStamp, Stamp};
use raft_core::replica::state_machine::StateMachine;
use raft_core::types::{Index, Term};

/// Commands in one round, as a busy leader makes them.
const ROUND: usize = 1_000;

const VALUE: [u8; 256] = [b'v'; 256];

fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<u64> =
        std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let [keys, puts, gets, ranges] = numbers[..] else {
        return Err("give the number of keys, of puts, of gets and of ranges of 100".into());
    };
    let (mut store, mut index) = (Store::new(), Index::ZERO);
    put_all(&mut store, &mut index, 0..keys);
    put_all(&mut store, &mut index, (0..puts).map(|number| scatter(number) % keys));
    get_all(&store, (0..gets).map(|number| scatter(number) % keys));
    range_all(&store, (0..ranges).map(|number| scatter(number) % keys), keys);
    Ok(())
}

/// A fixed permutation of the numbers without visible order.
fn scatter(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

fn key(number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&scatter(number).to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

fn put_all(store: &mut Store, index: &mut Index, numbers: impl Iterator<Item = u64>) {
    let mut numbers = numbers.peekable();
    let (mut body, mut answers) = (BytesMut::new(), BytesMut::new());
    while numbers.peek().is_some() {
        let mut draft = Draft::default();
        for number in numbers.by_ref().take(ROUND) {
            body.clear();
            Command::Put { key: &key(number), value: &VALUE }.encode(&mut body);
            draft.push(EntryKind::Command, &SessionStamp::default(), &body);
        }
        let first = index.next();
        let stamp = Stamp {
            term: Term(1),
            first,
            log_time: 0,
            feature_level: raft_core::entry::FEATURE_LEVEL,
            wall_time: 0,
            seed: 0,
        };
        let entries = draft.stamp(&stamp);
        *index = entries.last_index();
        answers.clear();
        entries.iter().for_each(|entry| store.apply(entry, &mut answers));
        black_box(&answers);
    }
}

fn get_all(store: &Store, numbers: impl Iterator<Item = u64>) {
    let (mut query, mut answer) = (BytesMut::new(), BytesMut::new());
    for number in numbers {
        query.clear();
        answer.clear();
        let key = key(number);
        Query::Range { range: KeyRange::single(&key), limit: 0 }.encode(&mut query);
        store.query(&query, 0, &mut answer);
        black_box(&answer);
    }
}

/// Ranges of about a hundred keys each.
fn range_all(store: &Store, numbers: impl Iterator<Item = u64>, keys: u64) {
    let (mut query, mut answer) = (BytesMut::new(), BytesMut::new());
    // Keys begin with scattered numbers, so that this is the width of a hundred of them.
    let width = u64::MAX / keys.max(1) * 100;
    for number in numbers {
        query.clear();
        answer.clear();
        let from = scatter(number).min(u64::MAX - width);
        let (from, to) = (from.to_be_bytes(), (from + width).to_be_bytes());
        let range = KeyRange { from: &from, end: RangeEnd::HalfOpen(&to) };
        Query::Range { range, limit: 0 }.encode(&mut query);
        store.query(&query, 0, &mut answer);
        black_box(&answer);
    }
}
