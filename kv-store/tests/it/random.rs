//! Random operations against the naive model, on two nodes that differ in all that may not
//! matter: the seed of their hashes, when hidden history is forgotten, and restarts from
//! snapshots. A snapshot that is read while commands go on must be that of its beginning.
//!
//! `KVORUM_STORE_OPERATIONS` says how many operations in all, `KVORUM_STORE_SEED` where the
//! seeds begin: `docs/commands.md`, checks. A failure shows the fewest operations that were
//! found to fail. A new command or query is drawn in `random/drawing.rs`, and done by the model.

mod drawing;
mod restores;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::BytesMut;
use kv_store::command::{AuthQuery, Command, KeyRange, Query};
use kv_store::store::Store;
use raft_core::replica::state_machine::StateMachine;

use self::drawing::{Drawing, Pool};
use crate::model::Model;
use crate::node::{Node, Numbers};

/// Operations in all, unless it is said otherwise.
const OPERATIONS: u64 = 1_000_000;

/// Operations from an empty store on, at most.
const SEQUENCE: usize = 2_000;

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.replace('_', "").parse().expect("a number"),
        Err(_) => default,
    }
}

#[test]
fn the_store_answers_as_the_model_does() {
    let operations = setting("KVORUM_STORE_OPERATIONS", OPERATIONS);
    let (mut seed, mut done) = (setting("KVORUM_STORE_SEED", 0), 0);
    while done < operations {
        // Short sequences fail at fewer operations, long ones have more past.
        let mut numbers = Numbers(seed);
        let length = 1 + numbers.below(SEQUENCE);
        let seeds: Vec<u64> = (0..length).map(|_| numbers.below(usize::MAX) as u64).collect();
        if let Err(why) = attempt(&seeds, &mut None) {
            let seeds = shortened(seeds);
            let mut told = Some(Vec::new());
            let still = attempt(&seeds, &mut told).err().unwrap_or_default();
            let lines = told.unwrap_or_default().join("\n");
            panic!(
                "KVORUM_STORE_SEED={seed}: {why}\n\n{} operations do it, too:\n{lines}\n\n{still}",
                seeds.len()
            );
        }
        (seed, done) = (seed + 1, done + length as u64);
    }
}

/// Runs a sequence, each operation of which follows from a seed of its own and what is there.
/// Lists the operations if that is asked for.
fn attempt(seeds: &[u64], told: &mut Option<Vec<String>>) -> Result<(), String> {
    let run = AssertUnwindSafe(|| {
        let mut trio = Trio::new(told);
        seeds.iter().for_each(|&seed| trio.act(seed));
        trio.check_all(0);
    });
    catch_unwind(run).map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
    })
}

/// Leaves out what a failing sequence fails without: parts of it, and ever smaller ones.
fn shortened(mut seeds: Vec<u64>) -> Vec<u64> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let mut part = seeds.len().next_power_of_two() / 2;
    while 0 < part {
        let mut at = 0;
        while at < seeds.len() {
            let end = seeds.len().min(at + part);
            let fewer = [&seeds[..at], &seeds[end..]].concat();
            if attempt(&fewer, &mut None).is_err() {
                seeds = fewer;
            } else {
                at = end;
            }
        }
        part /= 2;
    }
    std::panic::set_hook(hook);
    seeds
}

/// Two nodes and the model.
struct Trio<'t> {
    model: Model,
    one: Node,
    other: Node,
    /// A snapshot of `one` that is being read.
    pinned: Option<Pinned>,
    log_time: u64,
    told: &'t mut Option<Vec<String>>,
}

/// What is still to come of a snapshot, and what has come.
struct Pinned {
    bytes_max: usize,
    expected: std::vec::IntoIter<BytesMut>,
    parts: Vec<BytesMut>,
    hash: u64,
}

impl<'t> Trio<'t> {
    fn new(told: &'t mut Option<Vec<String>>) -> Self {
        let other = Node::default().with_store(Store::with_hash_seed(0x5555));
        let (model, one) = (Model::default(), Node::default());
        Self { model, one, other, pinned: None, log_time: 0, told }
    }

    fn act(&mut self, seed: u64) {
        let mut numbers = Numbers(seed);
        if numbers.below(4) == 0 {
            self.other.store.idle();
        }
        self.log_time += [0, 0, 0, 1_000, 300_000, 2_000_000][numbers.below(6)];
        (self.one.log_time, self.other.log_time) = (self.log_time, self.log_time);
        match numbers.below(400) {
            0 => {
                let since = self.drawing(&mut numbers).revision();
                self.check_all(since);
            }
            1 => self.restart(&mut numbers),
            2 => self.pin(&mut numbers),
            3..=12 => self.read_pinned(),
            13..=30 => self.apply_due(),
            31..=180 => {
                let pool = Pool::draw(&mut numbers);
                let query = self.drawing(&mut numbers).question(&pool);
                self.ask(&query);
            }
            _ => {
                let pool = Pool::draw(&mut numbers);
                let command = self.drawing(&mut numbers).command(&pool);
                self.execute(&command);
            }
        }
    }

    fn drawing<'n>(&self, numbers: &'n mut Numbers) -> Drawing<'n> {
        let leases = self.model.leases.keys().copied().collect();
        Drawing { numbers, newest: self.model.revision(), oldest: self.model.compacted, leases }
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(told) = self.told {
            told.push(format!("{} us: {}", self.log_time, what()));
        }
    }

    fn execute(&mut self, command: &Command<'_>) {
        self.tell(|| format!("{command:?}"));
        let expected = self.model.execute(self.log_time, command);
        assert_eq!(self.one.apply(command), expected, "{command:?}");
        assert_eq!(self.other.apply(command), expected, "{command:?}");
        let revision = self.model.revision();
        assert_eq!(self.one.store.revision(), revision, "the revision after {command:?}");
        let hashes = [&self.one, &self.other].map(|node| node.store.state_hash());
        assert_eq!(hashes[0], hashes[1], "the hashes after {command:?}");
        // One of them may have counted anew, from a snapshot.
        let live = [&self.one, &self.other].map(|node| node.store.live_bytes());
        assert_eq!(live[0], live[1], "the live bytes after {command:?}");
    }

    fn ask(&mut self, query: &Query<'_>) {
        self.tell(|| format!("{query:?}"));
        let expected = self.model.answer(query, self.log_time);
        for node in [&self.one, &self.other] {
            assert_eq!(node.ask(query), expected, "{query:?}");
        }
    }

    /// What a leader proposes.
    fn apply_due(&mut self) {
        let due = [&self.one, &self.other].map(|node| {
            let mut bytes = BytesMut::new();
            node.store.due(self.log_time, &mut bytes);
            bytes
        });
        assert_eq!(due[0], due[1], "what is due");
        if !due[0].is_empty() {
            self.execute(&Command::decode(&due[0]).expect("the store wrote it"));
        }
    }

    /// One of the nodes starts again from a snapshot, which both would have written alike.
    fn restart(&mut self, numbers: &mut Numbers) {
        self.tell(|| "a node starts again from a snapshot".to_owned());
        let bytes_max = [1, 100, 10_000][numbers.below(3)];
        let parts = snapshot(&mut self.one.store.clone(), bytes_max);
        assert_eq!(snapshot(&mut self.other.store, bytes_max), parts, "snapshots");
        let is_one = numbers.below(2) == 0;
        let node = if is_one { &mut self.one } else { &mut self.other };
        *node = node.with_store(loaded(node.store.empty(), &parts));
        if is_one {
            self.pinned = None;
        }
    }

    fn pin(&mut self, numbers: &mut Numbers) {
        self.tell(|| "a snapshot is begun".to_owned());
        let bytes_max = [1, 100, 10_000][numbers.below(3)];
        let expected = snapshot(&mut self.one.store.clone(), bytes_max).into_iter();
        let hash = self.one.store.state_hash();
        self.pinned = Some(Pinned { bytes_max, expected, parts: Vec::new(), hash });
        self.one.store.pin();
    }

    /// Reads on in the snapshot that was begun, if there is one.
    fn read_pinned(&mut self) {
        let Some(mut pinned) = self.pinned.take() else { return };
        self.tell(|| "the next parts of the snapshot".to_owned());
        for _ in 0..3 {
            let mut part = BytesMut::new();
            let more = self.one.store.read_pinned(pinned.bytes_max, &mut part);
            assert_eq!(Some(&part), pinned.expected.next().as_ref(), "a part of a snapshot");
            pinned.parts.push(part);
            if !more {
                self.one.store.unpin();
                assert_eq!(pinned.expected.next(), None, "the end of a snapshot");
                let elsewhere = loaded(Store::with_hash_seed(pinned.hash), &pinned.parts);
                assert_eq!(elsewhere.state_hash(), pinned.hash, "the hash that was loaded");
                let again = snapshot(&mut elsewhere.clone(), pinned.bytes_max);
                assert_eq!(again, pinned.parts, "what was loaded");
                return;
            }
        }
        self.pinned = Some(pinned);
    }

    fn check_all(&mut self, since: u64) {
        self.tell(|| format!("all is compared, and changes since {since}"));
        for node in [&self.one, &self.other] {
            let Ok(events) = node.store.changes_since(since) else {
                assert!(since < self.model.compacted, "changes since {since} are there");
                continue;
            };
            let mut expected = self.model.changes_since(since);
            for event in events {
                let change = expected.next().expect("no more changes");
                let (key, item) = (&change.key[..], change.item.as_deref());
                let known = self.model.compacted < change.revision;
                let before = change.before.as_ref().filter(|_| known);
                let found = (event.revision, event.key, event.item);
                assert_eq!(found, (change.revision, key, item), "a change since {since}");
                assert_eq!(event.previous, Model::shown(key, before), "{found:?}");
                assert_eq!(event.next, Model::shown(key, change.after.as_ref()), "{found:?}");
            }
            assert!(expected.next().is_none(), "changes since {since}");
        }
        self.ask(&Query::Range { range: KeyRange::prefix(b""), limit: 0 });
        self.ask(&Query::Leases { from: 0 });
        self.ask(&Query::Auth { query: AuthQuery::Status });
        self.ask(&Query::Auth { query: AuthQuery::Users });
        let compacted = [&self.one, &self.other].map(|node| node.store.compacted_revision());
        assert_eq!(compacted, [self.model.compacted; 2], "the compaction revision");
    }
}

/// What a store is after a snapshot was loaded into it.
fn loaded(mut store: Store, parts: &[BytesMut]) -> Store {
    parts.iter().for_each(|part| store.load(part).expect("a store wrote it"));
    store.finish_load().expect("a store wrote it");
    store
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
