//! Restores of random stores into random stores, on two nodes that differ in all that may not
//! matter: the seed of their hashes, what was freed, restarts from snapshots. Snapshots that are
//! read meanwhile must be those of their beginning.

use bytes::{Bytes, BytesMut};
use kv_store::backup::{Reader, Summary};
use kv_store::command::{
    Answer, Collection, Command, KeyRange, No, Query, RESTORE_PIECE_BYTES_MAX, RestorePlan,
    RestoreStep,
};
use kv_store::store::Store;
use raft_core::replica::state_machine::StateMachine;

use super::drawing::{Drawing, Pool};
use super::{loaded, snapshot};
use crate::node::{Node, Numbers};

/// Leases that are drawn.
const LEASES: [u64; 6] = [1, 2, 3, 4, 5, 6];

/// Applies a random command to all of these nodes.
fn change(numbers: &mut Numbers, nodes: &mut [&mut Node]) {
    let pool = Pool::draw(numbers);
    let (newest, oldest) =
        (nodes[0].store.revision(), nodes[0].store.compacted_revision().min(100_000));
    // The drawing walks over what there is; far ahead of nothing there is little.
    let newest = newest.min(oldest + 1_000);
    let command = Drawing { numbers, newest, oldest, leases: LEASES.to_vec() }.command(&pool);
    let answers: Vec<_> = nodes.iter_mut().map(|node| node.apply(&command)).collect();
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{command:?}");
    let hashes: Vec<_> = nodes.iter().map(|node| node.store.state_hash()).collect();
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "{command:?}");
}

/// A store with a past.
fn drawn(numbers: &mut Numbers, commands: usize) -> Node {
    let mut node = Node::default();
    for _ in 0..commands {
        node.log_time += [0, 1_000, 300_000][numbers.below(3)];
        change(numbers, &mut [&mut node]);
    }
    node
}

/// The pieces of a backup of a store.
fn pieces(store: &mut Store, bytes_max: usize) -> (Vec<Bytes>, Summary) {
    let (mut reader, mut pieces) = (Reader::default(), Vec::new());
    for part in snapshot(store, bytes_max) {
        reader.read(&part).expect("the store wrote it");
        pieces.extend(std::iter::from_fn(|| reader.take_piece()));
    }
    (pieces, reader.finish().expect("it is whole"))
}

/// Keys, then items of each, as answers; without revisions if these are new.
fn content(node: &Node, is_foreign: bool) -> Vec<String> {
    let all = node.range(KeyRange::prefix(b""), 0);
    let Ok(Answer::Range { kvs, .. }) = Answer::decode(&all) else { panic!("a range") };
    let mut found = Vec::new();
    for kv in kvs.iter() {
        let attributes = kv.attributes;
        found.push(format!("{:?}={:?} {attributes:?}", kv.key, kv.value));
        if !is_foreign {
            let revisions = (kv.create_revision, kv.mod_revision, kv.version);
            found.push(format!("{revisions:?}"));
        }
        for of in [Collection::Hash, Collection::Set] {
            let key = kv.key;
            let items = node.ask(&Query::Items { of, key, from: b"", limit: 0, revision: 0 });
            if let Ok(Answer::Items { items, .. }) = Answer::decode(&items) {
                found.push(format!("{items:?}"));
            }
        }
    }
    found
}

/// What is left of keys' and leases' time, in milliseconds.
fn times(node: &Node) -> Vec<String> {
    let all = node.range(KeyRange::prefix(b""), 0);
    let Ok(Answer::Range { kvs, .. }) = Answer::decode(&all) else { panic!("a range") };
    let keys = kvs.iter().map(|kv| node.ask(&Query::Remaining { key: kv.key, field: None }));
    let leases = LEASES.map(|id| node.ask(&Query::Lease { id, from: b"" }));
    let shown = |answer: BytesMut| match Answer::decode(&answer) {
        Ok(Answer::Remaining { remaining_ms, .. }) => format!("{remaining_ms:?}"),
        Ok(Answer::Lease { ttl_ms, remaining_ms, keys, .. }) => {
            format!("{ttl_ms} {remaining_ms} {keys:?}")
        }
        Ok(Answer::No { why: No::LeaseUnknown { .. }, .. }) => "none".to_owned(),
        other => panic!("no answer: {other:?}"),
    };
    keys.chain(leases).map(shown).collect()
}

fn done(answer: &BytesMut) -> u64 {
    match Answer::decode(answer) {
        Ok(Answer::Done { revision }) => revision,
        other => panic!("not done: {other:?}"),
    }
}

/// A snapshot that is being read while a restore goes on.
struct Pinned {
    expected: std::vec::IntoIter<BytesMut>,
    bytes_max: usize,
}

impl Pinned {
    fn begin(node: &mut Node, bytes_max: usize) -> Self {
        let expected = snapshot(&mut node.store.clone(), bytes_max).into_iter();
        node.store.pin();
        Self { expected, bytes_max }
    }

    /// Returns whether there is more.
    fn read(&mut self, node: &mut Node) -> bool {
        let mut part = BytesMut::new();
        let more = node.store.read_pinned(self.bytes_max, &mut part);
        assert_eq!(Some(part), self.expected.next(), "a part of a snapshot");
        if !more {
            node.store.unpin();
            assert_eq!(self.expected.next(), None, "the end of a snapshot");
        }
        more
    }
}

/// Two nodes that a backup is restored into.
struct Pair {
    one: Node,
    other: Node,
    pinned: Option<Pinned>,
}

impl Pair {
    fn apply(&mut self, step: RestoreStep<'_>) -> BytesMut {
        let command = Command::Restore { step };
        let answer = self.one.apply(&command);
        assert_eq!(self.other.apply(&command), answer);
        assert_eq!(self.one.store.state_hash(), self.other.store.state_hash(), "{command:?}");
        assert_eq!(self.one.store.live_bytes(), self.other.store.live_bytes(), "{command:?}");
        answer
    }

    /// What goes on beside a restore.
    fn meanwhile(&mut self, numbers: &mut Numbers) {
        for _ in 0..numbers.below(6) {
            change(numbers, &mut [&mut self.one, &mut self.other]);
        }
        if numbers.below(3) == 0 {
            self.other.store.idle();
        }
        let bytes_max = [1, 100, 10_000][numbers.below(3)];
        if numbers.below(4) == 0 {
            let parts = snapshot(&mut self.one.store.clone(), bytes_max);
            assert_eq!(snapshot(&mut self.other.store.clone(), bytes_max), parts);
            let restarted = loaded(self.other.store.empty(), &parts);
            assert_eq!(snapshot(&mut restarted.clone(), bytes_max), parts);
            self.other = self.other.with_store(restarted);
        }
        if self.pinned.is_none() && numbers.below(3) == 0 {
            self.pinned = Some(Pinned::begin(&mut self.one, bytes_max));
        }
        for _ in 0..numbers.below(4) {
            let Some(mut pinned) = self.pinned.take() else { return };
            self.pinned = pinned.read(&mut self.one).then_some(pinned);
        }
    }
}

#[test]
fn what_was_backed_up_takes_the_place_of_everything_on_every_node() {
    for seed in 0..400 {
        let mut numbers = Numbers(seed);
        let commands = numbers.below(200);
        let mut source = drawn(&mut numbers, commands);
        let bytes_max = [1, 300, 20_000][numbers.below(3)];
        let (pieces, summary) = pieces(&mut source.store, bytes_max);
        assert_eq!(summary.revision, source.store.revision());

        let commands = numbers.below(200);
        let mut one = drawn(&mut numbers, commands);
        one.log_time += 1;
        let other = {
            let parts = snapshot(&mut one.store.clone(), 1_000);
            one.with_store(loaded(Store::with_hash_seed(0x5555), &parts))
        };
        let mut pair = Pair { one, other, pinned: None };
        let is_foreign = numbers.below(2) == 0;
        let plan = RestorePlan {
            id: seed + 1,
            revision: summary.revision,
            is_foreign,
            log_time: source.log_time,
            grace_ms: 0,
        };
        if numbers.below(4) == 0 {
            // One that is never finished: the next one takes its place.
            done(&pair.apply(RestoreStep::Begin(RestorePlan { id: 999, ..plan })));
            pair.meanwhile(&mut numbers);
        }
        done(&pair.apply(RestoreStep::Begin(plan)));
        for (number, records) in (0..).zip(&pieces) {
            pair.meanwhile(&mut numbers);
            let piece = RestoreStep::Piece { id: plan.id, number, records };
            done(&pair.apply(piece.clone()));
            let again = pair.apply(piece);
            assert!(matches!(Answer::decode(&again), Ok(Answer::No { .. })), "once is enough");
        }
        pair.meanwhile(&mut numbers);
        let before = pair.one.store.revision();
        let pieces = pieces.len() as u64;
        let revision = done(&pair.apply(RestoreStep::Finish { id: plan.id, pieces }));
        assert!(before + 1 < revision && summary.revision + 1 < revision, "above both");
        let compacted = [&pair.one, &pair.other].map(|node| node.store.compacted_revision());
        assert_eq!(compacted, [revision; 2]);
        for node in [&pair.one, &pair.other] {
            assert_eq!(content(node, is_foreign), content(&source, is_foreign), "seed {seed}");
            assert_eq!(times(node), times(&source), "seed {seed}");
            assert_eq!(node.store.changes_since(revision).unwrap().count(), 0);
            assert!(node.store.changes_since(before + 1).is_err(), "a watch at the front ends");
        }
        let is_new = |revisions: &str| revisions.parse() == Ok(revision - 1);
        if is_foreign {
            let all = pair.one.range(KeyRange::prefix(b""), 0);
            let Ok(Answer::Range { kvs, .. }) = Answer::decode(&all) else { panic!("a range") };
            for kv in kvs.iter() {
                let new = [kv.create_revision, kv.mod_revision].map(|at| is_new(&at.to_string()));
                assert_eq!((new, kv.version), ([true; 2], 1));
            }
        }
        // They live on alike, also behind a restart, and what was replaced is freed meanwhile.
        for _ in 0..40 {
            pair.meanwhile(&mut numbers);
        }
        let live = pair.one.store.live_bytes();
        let parts = snapshot(&mut pair.one.store.clone(), 500);
        assert_eq!(loaded(Store::new(), &parts).live_bytes(), live);
    }
}

#[test]
fn the_summary_says_what_a_restore_takes() {
    for seed in 0..100 {
        let mut numbers = Numbers(seed);
        let mut source = drawn(&mut numbers, 200);
        let (pieces, summary) = pieces(&mut source.store, 300);
        let mut node = Node::default();
        let (id, log_time) = (7, source.log_time);
        let (revision, is_foreign, grace_ms) = (summary.revision, false, 0);
        let plan = RestorePlan { id, revision, is_foreign, log_time, grace_ms };
        done(&node.apply(&Command::Restore { step: RestoreStep::Begin(plan) }));
        for (number, records) in (0..).zip(&pieces) {
            let step = RestoreStep::Piece { id, number, records };
            done(&node.apply(&Command::Restore { step }));
        }
        let pieces = pieces.len() as u64;
        done(&node.apply(&Command::Restore { step: RestoreStep::Finish { id, pieces } }));
        // An end at another time may be a few bytes longer or shorter.
        let apart = node.store.live_bytes().abs_diff(summary.live_bytes);
        assert!(apart <= 9 * (summary.keys + summary.items), "seed {seed}: {apart} bytes");
        let (_, _, keys) = node.keys(KeyRange::prefix(b""), 1);
        assert_eq!(keys, summary.keys);
    }
}

fn plan(id: u64) -> RestorePlan {
    RestorePlan { id, revision: 9, is_foreign: false, log_time: 0, grace_ms: 0 }
}

fn steps(node: &mut Node, step: RestoreStep<'_>) -> String {
    let answer = node.apply(&Command::Restore { step });
    format!("{:?}", Answer::decode(&answer).expect("the store writes answers"))
}

#[test]
fn a_restore_that_is_interrupted_leaves_everything_as_it_was() {
    let mut source = drawn(&mut Numbers(5), 100);
    let (pieces, _) = pieces(&mut source.store, 300);
    let mut node = Node::default();
    node.put(b"k", b"v");
    let untouched = content(&node, false);
    let no = |id: u64| format!("No {{ revision: 2, why: RestoreUnknown {{ id: {id} }} }}");
    let done = "Done { revision: 2 }";
    assert_eq!(steps(&mut node, RestoreStep::Finish { id: 1, pieces: 0 }), no(1));
    // Another takes its place.
    let plan = |id| RestorePlan { revision: source.store.revision(), ..plan(id) };
    assert_eq!(steps(&mut node, RestoreStep::Begin(plan(1))), done);
    let records = &pieces[0][..];
    assert_eq!(steps(&mut node, RestoreStep::Piece { id: 1, number: 0, records }), done);
    assert_eq!(steps(&mut node, RestoreStep::Begin(plan(2))), done);
    assert_eq!(steps(&mut node, RestoreStep::Piece { id: 1, number: 1, records }), no(1));
    // Pieces come one after the other, and all of them.
    let expected = "No { revision: 2, why: PieceExpected { number: 0 } }";
    assert_eq!(steps(&mut node, RestoreStep::Piece { id: 2, number: 1, records }), expected);
    assert_eq!(steps(&mut node, RestoreStep::Finish { id: 2, pieces: 1 }), expected);
    // It is given up when nothing was heard of it for long enough.
    node.log_time = 599_999_999;
    assert!(node.apply_due().is_none());
    assert_eq!(steps(&mut node, RestoreStep::Piece { id: 2, number: 0, records }), done);
    node.log_time = 600_000_000;
    assert!(node.apply_due().is_none(), "something was heard");
    node.log_time += 600_000_000;
    assert!(node.apply_due().is_some());
    assert!(node.apply_due().is_none());
    assert_eq!(steps(&mut node, RestoreStep::Finish { id: 2, pieces: 1 }), no(2));
    // Or when somebody says so.
    assert_eq!(steps(&mut node, RestoreStep::Begin(plan(3))), done);
    assert_eq!(steps(&mut node, RestoreStep::Abandon { id: 2 }), no(2));
    assert_eq!(steps(&mut node, RestoreStep::Abandon { id: 3 }), done);
    assert_eq!(steps(&mut node, RestoreStep::Abandon { id: 3 }), no(3));
    // A piece that makes no sense ends it.
    assert_eq!(steps(&mut node, RestoreStep::Begin(plan(4))), done);
    let records = b"nonsense".as_slice();
    let answer = steps(&mut node, RestoreStep::Piece { id: 4, number: 0, records });
    assert!(answer.contains("Malformed"), "{answer}");
    assert_eq!(steps(&mut node, RestoreStep::Finish { id: 4, pieces: 0 }), no(4));
    assert_eq!(content(&node, false), untouched);
    assert_eq!(node.store.revision(), 2);
}

#[test]
fn pieces_that_were_cut_or_changed_are_staged_or_refused_without_a_panic() {
    let mut source = drawn(&mut Numbers(8), 120);
    let (all, _) = pieces(&mut source.store, 300);
    let whole = all.concat();
    for at in 0..whole.len() {
        let mut records = whole.clone();
        records[at] ^= 0x11;
        for records in [&records[..], &whole[..at]] {
            let mut node = Node::default();
            steps(&mut node, RestoreStep::Begin(RestorePlan { revision: 1_000, ..plan(1) }));
            steps(&mut node, RestoreStep::Piece { id: 1, number: 0, records });
            steps(&mut node, RestoreStep::Finish { id: 1, pieces: 1 });
            node.put(b"k", b"v");
            let parts = snapshot(&mut node.store, 1_000);
            loaded(Store::new(), &parts);
        }
    }
}

#[test]
fn pieces_are_bounded_and_freeing_what_was_replaced_is_too() {
    let mut source = Node::default();
    for number in 0..40_000u32 {
        source.put(&number.to_be_bytes(), &[7; 40]);
    }
    let (pieces, summary) = pieces(&mut source.store, 100_000);
    assert!(10 < pieces.len() && summary.keys == 40_000);
    assert!(pieces.iter().all(|piece| piece.len() <= RESTORE_PIECE_BYTES_MAX));
}

#[test]
fn time_that_was_left_goes_on_when_the_grace_is_over() {
    let mut source = Node::default();
    source.log_time = 1_000_000_000;
    source.apply(&Command::GrantLease { id: 5, ttl_ms: 10_000 });
    source.put(b"k", b"v");
    source.apply(&Command::Expire { key: b"k", field: None, ttl_ms: 20_000 });
    source.log_time += 4_000_000;
    let (pieces, summary) = pieces(&mut source.store, 300);
    let mut node = Node::default();
    node.log_time = 7_000_000;
    let plan = RestorePlan {
        id: 1,
        revision: summary.revision,
        is_foreign: true,
        log_time: source.log_time,
        grace_ms: 30_000,
    };
    steps(&mut node, RestoreStep::Begin(plan));
    steps(&mut node, RestoreStep::Piece { id: 1, number: 0, records: &pieces[0] });
    node.log_time += 30_000_000;
    steps(&mut node, RestoreStep::Finish { id: 1, pieces: 1 });
    assert_eq!(times(&node)[0], "Some(16000)");
    assert_eq!(times(&node)[5], "10000 6000 Few(None)");
}
