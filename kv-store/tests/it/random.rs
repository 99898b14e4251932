//! Random operations against the naive model, on two nodes that differ in all that may not
//! matter: the seed of their hashes, when hidden history is forgotten, and restarts from
//! snapshots.
//!
//! `KVORUM_STORE_OPERATIONS` says how many operations in all, `KVORUM_STORE_SEED` where the
//! seeds begin: `docs/commands.md`, checks.

use bytes::BytesMut;
use kv_store::command::{
    Collection, Command, Direction, Filter, Item, KeyRange, Name, Order, OrderBy, PutOptions,
    Query, RangeEnd, Selection, Show,
};
use kv_store::store::Store;
use raft_core::replica::state_machine::StateMachine;

use crate::model::Model;
use crate::node::{Node, Numbers};

/// Operations in all, unless it is said otherwise.
const OPERATIONS: u64 = 1_000_000;

/// Operations from an empty store on, at most.
const SEQUENCE: u64 = 2_000;

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.replace('_', "").parse().expect("a number"),
        Err(_) => default,
    }
}

/// Two nodes and the model.
struct Trio {
    seed: u64,
    step: u64,
    numbers: Numbers,
    model: Model,
    one: Node,
    other: Node,
}

#[test]
fn the_store_answers_as_the_model_does() {
    let operations = setting("KVORUM_STORE_OPERATIONS", OPERATIONS);
    let first = setting("KVORUM_STORE_SEED", 0);
    let (mut seed, mut done) = (first, 0);
    while done < operations {
        let mut numbers = Numbers(seed);
        // Short sequences fail at fewer operations, long ones have more past.
        let length = (1 + numbers.below(usize::try_from(SEQUENCE).expect("a count fits")) as u64)
            .min(operations - done);
        let other = Node::default().with_store(Store::with_hash_seed(seed ^ 0x5555));
        let (model, one) = (Model::default(), Node::default());
        let mut trio = Trio { seed, step: 0, numbers, model, one, other };
        for step in 0..length {
            trio.step = step;
            trio.act();
        }
        trio.check_all();
        (seed, done) = (seed + 1, done + length);
    }
}

impl Trio {
    fn place(&self) -> String {
        format!("KVORUM_STORE_SEED={} at operation {}", self.seed, self.step)
    }

    fn act(&mut self) {
        if self.numbers.below(4) == 0 {
            self.other.store.idle();
        }
        match self.numbers.below(400) {
            0 => self.check_all(),
            1 => self.restart(),
            2..=180 => self.ask(),
            _ => self.change(),
        }
    }

    fn change(&mut self) {
        let (a, b) = (self.numbers.key(), self.numbers.key());
        let (c, d) = (self.numbers.key(), self.numbers.key());
        let value = self.numbers.value();
        let numbers = &mut self.numbers;
        let names = [name(numbers), name(numbers), name(numbers)];
        let names = &names[..numbers.below(4)];
        let command = match numbers.below(36) {
            20..=24 => {
                let value = if numbers.below(2) == 0 { &value[..] } else { b"41" };
                let fields = names.iter().map(|name| Item { name, value }).collect();
                Command::SetFields { key: &a, fields }
            }
            25..=28 => {
                let members = names.iter().map(|name| Name(name)).collect();
                Command::AddMembers { key: &a, members }
            }
            29..=31 => {
                let names = names.iter().map(|name| Name(name)).collect();
                let of = [Collection::Hash, Collection::Set][numbers.below(2)];
                Command::RemoveItems { of, key: &a, names }
            }
            32..=34 => {
                let field = names.first().map(|name| Name(name));
                let by = [1, -7, i64::MAX, i64::MIN][numbers.below(4)];
                Command::Increment { key: &a, field, by }
            }
            35 => Command::Put { key: &a, value: [&b"7"[..], b"-3", b"007"][numbers.below(3)] },
            0..=8 => Command::Put { key: &a, value: &value },
            9..=11 => {
                let options =
                    PutOptions { returns_previous: numbers.below(2) == 0, ..PutOptions::default() };
                Command::PutWith { key: &a, value: &value, options }
            }
            12..=14 => Command::Delete { ranges: [KeyRange::single(&a)].into_iter().collect() },
            15 => Command::Delete { ranges: ranges(numbers, [&a, &b, &c, &d]) },
            16 | 17 => Command::DeleteReturning { ranges: ranges(numbers, [&a, &b, &c, &d]) },
            18 if numbers.below(4) == 0 => Command::Compact { revision: self.some_revision() },
            _ => Command::Put { key: &a, value: &a },
        };
        self.execute(&command);
    }

    fn execute(&mut self, command: &Command<'_>) {
        let expected = self.model.execute(command);
        assert_eq!(self.one.apply(command), expected, "{} {command:?}", self.place());
        assert_eq!(self.other.apply(command), expected, "{} {command:?}", self.place());
        assert_eq!(self.one.store.revision(), self.model.revision(), "{}", self.place());
    }

    fn some_revision(&mut self) -> u64 {
        let newest = usize::try_from(self.model.revision()).expect("a count fits");
        let least = usize::try_from(self.model.compacted).expect("a count fits");
        match self.numbers.below(8) {
            0 => self.numbers.below(newest + 3) as u64,
            1 => newest as u64,
            _ => (least + self.numbers.below(newest - least + 1)) as u64,
        }
    }

    fn ask(&mut self) {
        let (a, b) = (self.numbers.key(), self.numbers.key());
        let range = range(&mut self.numbers, &a, &b);
        let limit = self.numbers.below(4) as u64;
        let key = &a[..];
        let of = [Collection::Hash, Collection::Set][self.numbers.below(2)];
        let revision = if self.numbers.below(2) == 0 { 0 } else { self.some_revision() };
        let names = [name(&mut self.numbers), name(&mut self.numbers)];
        let names = names[..self.numbers.below(3)].iter().map(|name| Name(name)).collect();
        let from = name(&mut self.numbers);
        let query = match self.numbers.below(13) {
            8 => Query::Fields { key, names, revision },
            9 => Query::Has { of, key, names, revision },
            10 | 11 => Query::Items { of, key, from: &from, limit, revision },
            12 => Query::Length { of, key, revision },
            0..=2 => Query::Range { range, limit },
            3 => Query::History { key: &a, since: self.some_revision(), limit },
            4 => Query::History { key: &a, since: 0, limit },
            _ => Query::Select(self.selection(range, limit)),
        };
        let expected = self.model.answer(&query);
        for node in [&self.one, &self.other] {
            assert_eq!(node.ask(&query), expected, "{} {query:?}", self.place());
        }
    }

    fn selection<'k>(&mut self, range: KeyRange<'k>, limit: u64) -> Selection<'k> {
        let revision = self.some_revision();
        let bound = |trio: &mut Self| match trio.numbers.below(4) {
            0 => trio.some_revision(),
            _ => 0,
        };
        let filter = Filter {
            mod_revision_min: bound(self),
            mod_revision_max: bound(self),
            create_revision_min: bound(self),
            create_revision_max: bound(self),
        };
        let all = [
            OrderBy::Key,
            OrderBy::Version,
            OrderBy::CreateRevision,
            OrderBy::ModRevision,
            OrderBy::Value,
        ];
        let by = all[self.numbers.below(all.len())];
        let direction = [Direction::Ascending, Direction::Descending][self.numbers.below(2)];
        let show = [Show::Pairs, Show::Pairs, Show::Keys, Show::Count][self.numbers.below(4)];
        Selection { range, revision, limit, order: Order { by, direction }, filter, show }
    }

    /// One of the nodes starts again from a snapshot, which both would have written alike.
    fn restart(&mut self) {
        let bytes_max = [1, 100, 10_000][self.numbers.below(3)];
        let parts = snapshot(&mut self.one.store, bytes_max);
        assert_eq!(snapshot(&mut self.other.store, bytes_max), parts, "{}", self.place());
        let (node, _) = if self.numbers.below(2) == 0 {
            (&mut self.one, &self.other)
        } else {
            (&mut self.other, &self.one)
        };
        let mut store = node.store.empty();
        parts.iter().for_each(|part| store.load(part).expect("a store wrote it"));
        store.finish_load().expect("a store wrote it");
        *node = node.with_store(store);
    }

    fn check_all(&mut self) {
        let since = self.some_revision();
        let expected = self.model.changes_since(since);
        for node in [&self.one, &self.other] {
            let place = self.place();
            let Ok(events) = node.store.changes_since(since) else {
                assert!(since < self.model.compacted, "{place}");
                continue;
            };
            let mut expected = expected.iter();
            for event in events {
                let (revision, (key, item), before, after) =
                    expected.next().expect("one more change");
                assert_eq!((event.revision, event.key), (*revision, &key[..]), "{place}");
                assert_eq!(event.item, item.as_deref(), "{place}");
                assert_eq!(event.previous, Model::shown(key, before.as_ref()), "{place}");
                assert_eq!(event.next, Model::shown(key, after.as_ref()), "{place}");
            }
            assert_eq!(expected.next(), None, "{place}");
        }
        let all = Query::Range { range: KeyRange::prefix(b""), limit: 0 };
        let expected = self.model.answer(&all);
        assert_eq!(self.one.ask(&all), expected, "{}", self.place());
        assert_eq!(self.other.ask(&all), expected, "{}", self.place());
        let hash = self.one.store.state_hash();
        assert_eq!(hash, self.other.store.state_hash(), "{}", self.place());
        assert_eq!(self.one.store.compacted_revision(), self.model.compacted, "{}", self.place());
    }
}

/// A snapshot of a store in parts.
pub(crate) fn snapshot(store: &mut Store, bytes_max: usize) -> Vec<BytesMut> {
    let (mut parts, mut more) = (Vec::new(), true);
    store.pin();
    while more {
        let mut part = BytesMut::new();
        more = store.read_pinned(bytes_max, &mut part);
        parts.push(part);
    }
    store.unpin();
    parts
}

/// A field or member: few, so that they meet; one of them is empty.
fn name(numbers: &mut Numbers) -> Vec<u8> {
    let names: [&[u8]; 5] = [b"", b"f", b"g", b"g\0", b"a-name-of-more-than-eighteen-bytes"];
    names[numbers.below(names.len())].to_vec()
}

fn range<'k>(numbers: &mut Numbers, from: &'k [u8], to: &'k [u8]) -> KeyRange<'k> {
    let end = match numbers.below(8) {
        0..=3 => RangeEnd::Single,
        4 | 5 => RangeEnd::Prefix,
        6 => RangeEnd::HalfOpen(to),
        _ => RangeEnd::From,
    };
    KeyRange { from, end }
}

/// One or two ranges that seldom hold everything.
fn ranges<'k>(
    numbers: &mut Numbers,
    [a, b, c, d]: [&'k [u8]; 4],
) -> kv_store::command::List<KeyRange<'k>> {
    let all = [range(numbers, a, b), KeyRange { from: c, end: RangeEnd::HalfOpen(d) }];
    all[..=numbers.below(2)].iter().copied().collect()
}
