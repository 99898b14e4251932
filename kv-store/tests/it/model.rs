//! Random commands against a store so simple that one sees it is right.

use bytes::BytesMut;
use kv_store::command::{Answer, Command, KeyRange, KeyValue, RangeEnd};
use raft_core::replica::state_machine::StateMachine;

use crate::node::{Node, Numbers};

/// One key of the model.
#[derive(Clone)]
struct Row {
    key: Vec<u8>,
    value: Vec<u8>,
    create_revision: u64,
    mod_revision: u64,
    version: u64,
}

/// Rows in the order in which they were made.
struct Model {
    rows: Vec<Row>,
    revision: u64,
}

/// As etcd defines its ranges: a first key and the key at which it ends, if any.
fn etcd_range(range: &KeyRange<'_>) -> (Vec<u8>, Option<Vec<u8>>) {
    let from = range.from.to_vec();
    let end = match range.end {
        RangeEnd::Single => Some([range.from, &[0]].concat()),
        RangeEnd::HalfOpen(to) => Some(to.to_vec()),
        RangeEnd::From => None,
        RangeEnd::Prefix => {
            let mut end = from.clone();
            while end.last() == Some(&0xff) {
                end.pop();
            }
            if let Some(byte) = end.last_mut() {
                *byte += 1;
            }
            Some(end).filter(|end| !end.is_empty())
        }
    };
    (from, end)
}

impl Model {
    fn put(&mut self, key: &[u8], value: &[u8]) -> u64 {
        self.revision += 1;
        let revision = self.revision;
        match self.rows.iter_mut().find(|row| row.key == key) {
            Some(row) => {
                row.value = value.to_vec();
                row.mod_revision = revision;
                row.version += 1;
            }
            None => self.rows.push(Row {
                key: key.to_vec(),
                value: value.to_vec(),
                create_revision: revision,
                mod_revision: revision,
                version: 1,
            }),
        }
        revision
    }

    fn delete(&mut self, ranges: &[KeyRange<'_>]) -> (u64, u64) {
        let before = self.rows.len();
        let ranges: Vec<_> = ranges.iter().map(etcd_range).collect();
        self.rows.retain(|row| !ranges.iter().any(|range| is_in(&row.key, range)));
        let count = before - self.rows.len();
        if count != 0 {
            self.revision += 1;
        }
        (count as u64, self.revision)
    }

    fn range(&self, range: &KeyRange<'_>, limit: usize) -> BytesMut {
        let range = etcd_range(range);
        let mut rows: Vec<_> = self.rows.iter().filter(|row| is_in(&row.key, &range)).collect();
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        let shown = if limit == 0 { rows.len() } else { limit.min(rows.len()) };
        let kvs = rows[..shown].iter().map(|row| KeyValue {
            key: &row.key,
            value: &row.value,
            create_revision: row.create_revision,
            mod_revision: row.mod_revision,
            version: row.version,
        });
        let mut bytes = BytesMut::new();
        Answer::Range {
            revision: self.revision,
            kvs: kvs.collect(),
            more: shown < rows.len(),
            count: rows.len() as u64,
        }
        .encode(&mut bytes);
        bytes
    }
}

fn is_in(key: &[u8], (from, end): &(Vec<u8>, Option<Vec<u8>>)) -> bool {
    from.as_slice() <= key && end.as_ref().is_none_or(|end| key < end.as_slice())
}

fn random_range<'a>(numbers: &mut Numbers, from: &'a [u8], to: &'a [u8]) -> KeyRange<'a> {
    let end = match numbers.below(8) {
        0..=3 => RangeEnd::Single,
        4 | 5 => RangeEnd::Prefix,
        6 => RangeEnd::HalfOpen(to),
        _ => RangeEnd::From,
    };
    KeyRange { from, end }
}

#[test]
fn the_store_answers_as_the_model_does() {
    for seed in 0..60 {
        let mut numbers = Numbers(seed);
        let mut model = Model { rows: Vec::new(), revision: 1 };
        let mut node = Node::default();
        for step in 0..400 {
            let (a, b, c, d) = (numbers.key(), numbers.key(), numbers.key(), numbers.key());
            match numbers.below(8) {
                0..=3 => {
                    let value = numbers.value();
                    assert_eq!(node.put(&a, &value), model.put(&a, &value), "{seed} {step}");
                }
                4 => {
                    let first = random_range(&mut numbers, &a, &b);
                    let second = random_range(&mut numbers, &c, &d);
                    let ranges = &[first, second][..=numbers.below(2)];
                    assert_eq!(node.delete(ranges), model.delete(ranges), "{seed} {step}");
                }
                _ => {
                    let range = random_range(&mut numbers, &a, &b);
                    let limit = numbers.below(4);
                    let answer = node.range(range, limit as u64);
                    assert_eq!(answer, model.range(&range, limit), "{seed} {step} {range:?}");
                }
            }
            assert_eq!(node.store.revision(), model.revision, "{seed} {step}");
            let all = KeyRange::prefix(b"");
            assert_eq!(node.range(all, 0), model.range(&all, 0), "{seed} {step}");
        }
    }
}

#[test]
fn equal_logs_make_equal_stores_and_answers() {
    let commands = |seed, node: &mut Node| {
        let mut numbers = Numbers(seed);
        let mut answers = Vec::new();
        for _ in 0..1_000 {
            let (key, value) = (numbers.key(), numbers.value());
            let range = random_range(&mut numbers, &key, &value);
            let answer = match numbers.below(4) {
                0 => node.apply(&Command::Delete { ranges: [range].into_iter().collect() }),
                1 => node.apply_bytes(&value),
                _ => node.apply(&Command::Put { key: &key, value: &value }),
            };
            answers.push(answer);
        }
        answers
    };
    let (mut one, mut other, mut different) = Default::default();
    assert_eq!(commands(5, &mut one), commands(5, &mut other));
    commands(6, &mut different);
    assert_eq!(one.store.state_hash(), other.store.state_hash());
    assert_eq!(one.range(KeyRange::prefix(b""), 0), other.range(KeyRange::prefix(b""), 0));
    assert_ne!(one.store.state_hash(), different.store.state_hash());
}
