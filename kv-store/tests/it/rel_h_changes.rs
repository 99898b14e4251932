//! Bugs that stores had with history, transactions, watches and leases. Each test is named after
//! its entry in `docs/scenarios.md` and says in its own words what must hold.

use bytes::BytesMut;
use kv_store::command::{
    Answer, Collection, Command, Compare, Interest, Item, KeyRange, Name, No, OnNo, Operation,
    PutOptions, Query, Relation, Selection, Target, Transaction,
};
use kv_store::store::Store;
use raft_core::replica::state_machine::StateMachine as _;

use crate::node::Node;
use crate::random::snapshot;
use crate::watching::{Post, owner};

const SECOND_US: u64 = 1_000_000;

fn answer(bytes: &BytesMut) -> Answer<'_> {
    Answer::decode(bytes).expect("the store writes answers")
}

/// The same node after a restart from a snapshot that was read in parts of this size, with a
/// store that is laid out otherwise.
fn restarted(node: &mut Node, part_bytes: usize) -> Node {
    let parts = snapshot(&mut node.store, part_bytes);
    let mut store = Store::with_hash_seed(77);
    parts.iter().for_each(|part| store.load(part).expect("a store wrote it"));
    store.finish_load().expect("a store wrote it");
    node.with_store(store)
}

/// What happened from a revision on, as lines.
fn events(node: &Node, since: u64) -> Vec<String> {
    let events = node.store.changes_since(since).expect("it is not compacted");
    let line = |event: kv_store::Event<'_>| {
        let key = String::from_utf8_lossy(event.key).into_owned();
        let next = event.next.map(|kv| String::from_utf8_lossy(kv.value).into_owned());
        format!("{} {key}={}", event.revision, next.unwrap_or("gone".to_owned()))
    };
    events.map(line).collect()
}

fn transaction(then: Vec<Operation<'_>>, on_no: OnNo) -> Command<'_> {
    let then = then.into_iter().collect();
    let transaction = Box::new(Transaction { then, ..Transaction::default() });
    Command::Transaction { on_no, transaction }
}

fn at(revision: u64) -> Query<'static> {
    Query::Select(Selection { revision, ..Selection::of(KeyRange::prefix(b"")) })
}

/// H4: a compaction that a crash has cut short, in whatever step, has lost and brought back
/// nothing: the revision is that of the others, goes on as theirs, and to compact again changes
/// nothing.
#[test]
fn rel_h04_a_compaction_that_was_cut_short_goes_on_after_a_restart() {
    for idle_turns in [0, 1, 3, 40] {
        let mut node = Node::default();
        let mut whole = Node::default();
        for round in 0..600u32 {
            let key = [b'a' + u8::try_from(round % 7).expect("a small number")];
            for node in [&mut node, &mut whole] {
                node.put(&key, &round.to_le_bytes());
                if round % 50 == 49 {
                    node.delete(&[KeyRange::single(&key)]);
                }
            }
        }
        let compact = Command::Compact { revision: 500 };
        let done = [&mut node, &mut whole].map(|it| it.apply(&compact));
        assert_eq!(done[0], done[1]);
        (0..idle_turns).for_each(|_| node.store.idle());
        (0..1_000).for_each(|_| whole.store.idle());
        let mut node = restarted(&mut node, 300);
        assert_eq!(node.store.revision(), whole.store.revision());
        assert_eq!(node.store.state_hash(), whole.store.state_hash());
        let again = [&mut node, &mut whole].map(|it| it.apply(&compact));
        assert_eq!(answer(&again[0]), answer(&again[1]));
        let (revision, why) = (whole.store.revision(), No::Compacted { oldest: 500 });
        assert_eq!(answer(&again[0]), Answer::No { revision, why }, "it was done already");
        for revision in [0, 499, 500, 501, revision] {
            assert_eq!(node.ask(&at(revision)), whole.ask(&at(revision)), "at {revision}");
        }
        assert_eq!(events(&node, 500), events(&whole, 500));
        assert_eq!(node.put(b"a", b"next"), whole.put(b"a", b"next"));
        assert_eq!(node.store.state_hash(), whole.store.state_hash());
    }
}

/// H5: whether a transaction may read a revision is decided by what the log has compacted, and
/// not by how much of it a node has forgotten yet.
#[test]
fn rel_h05_a_transaction_reads_by_the_compaction_of_the_log() {
    for (revision, is_there) in [(29, false), (30, true), (31, true)] {
        for on_no in [OnNo::Undo, OnNo::GoOn] {
            let mut idle = Node::default();
            (0..60).for_each(|round: u8| _ = idle.put(b"a", &[round]));
            idle.apply(&Command::Compact { revision: 30 });
            let mut busy = idle.with_store(idle.store.clone());
            (0..100).for_each(|_| idle.store.idle());
            let mut loaded = restarted(&mut busy, 10);
            let put = Operation::Write(Command::Put { key: b"b", value: b"1" });
            let command = transaction(vec![put, Operation::Read(at(revision))], on_no);
            let answers = [&mut idle, &mut busy, &mut loaded].map(|node| node.apply(&command));
            assert_eq!([&answers[1], &answers[2]], [&answers[0]; 2], "at {revision}");
            let hashes = [&idle, &busy, &loaded].map(|node| node.store.state_hash());
            assert_eq!(hashes[1..], [hashes[0]; 2], "at {revision}");
            match (answer(&answers[0]), on_no) {
                (Answer::Undone { why: No::Compacted { oldest: 30 }, .. }, OnNo::Undo) => {
                    assert!(!is_there && idle.store.revision() == 61);
                }
                (Answer::Transaction(told), _) => {
                    let is_no = matches!(told.answers[1], Answer::No { .. });
                    assert!(is_no != is_there && idle.store.revision() == 62);
                }
                (other, _) => panic!("{other:?}"),
            }
        }
    }
}

/// H8: what a transaction changes several times, or puts as it was, is shown once.
#[test]
fn rel_h08_a_transaction_shows_each_change_once() {
    let mut post = Post::new();
    post.node.put(b"a", b"0");
    post.node.put(b"c", b"0");
    post.settle();
    let all = Interest::of(KeyRange::prefix(b""));
    post.watch(owner(1, 1), 0, &all);
    post.watch(owner(1, 2), 2, &all);
    post.settle();
    let put = |key, value| Operation::Write(Command::Put { key, value });
    let gone = [KeyRange::single(b"c")].into_iter().collect();
    let target = Target::Exists(true);
    let when = Compare { range: KeyRange::single(b"b"), relation: Relation::Equal, target };
    let nested = Transaction {
        when: [when].into_iter().collect(),
        then: [put(b"b", b"2"), put(b"a", b"2")].into_iter().collect(),
        ..Transaction::default()
    };
    let then = vec![
        put(b"a", b"1"),
        put(b"b", b"1"),
        Operation::Read(at(0)),
        Operation::Nested(Box::new(nested)),
        Operation::Write(Command::Delete { ranges: gone }),
        put(b"a", b"2"),
    ];
    post.node.apply(&transaction(then, OnNo::Undo));
    post.settle();
    let transaction = ["4 a=2", "4 b=2", "4 c=gone"];
    assert_eq!(post.lines(owner(1, 1))[1..], transaction);
    let begin = ["2 a=0", "3 c=0"];
    assert_eq!(post.lines(owner(1, 2))[1..], [&begin[..], &transaction].concat());
}

/// H10: a key that was removed at the very revision up to which all is compacted is gone, and
/// its removal is still shown, before and after a restart.
#[test]
fn rel_h10_a_removal_at_the_compaction_revision_is_kept() {
    let mut node = Node::default();
    node.put(b"a", b"1");
    let members = [Name(b"m")].into_iter().collect();
    node.apply(&Command::AddMembers { key: b"s", members });
    let removed = node.delete(&[KeyRange::single(b"a"), KeyRange::single(b"s")]).1;
    node.put(b"b", b"1");
    node.apply(&Command::Compact { revision: removed });
    (0..100).for_each(|_| node.store.idle());
    let loaded = restarted(&mut node, 10);
    for node in [&node, &loaded] {
        let shown = [format!("{removed} a=gone"), format!("{removed} s=gone")];
        assert_eq!(events(node, removed)[..2], shown);
        let bytes = node.ask(&at(removed));
        let Answer::Range { kvs, count: 0, .. } = answer(&bytes) else { panic!("{bytes:?}") };
        assert!(kvs.is_empty(), "nothing is there again");
    }
    let of = Collection::Set;
    let gone = Query::Length { of, key: b"s", revision: removed };
    assert_eq!(node.ask(&gone), loaded.ask(&gone));
}

fn renewed(node: &mut Node, id: u64) -> Vec<u64> {
    let bytes = node.apply(&Command::RenewLeases { ids: [id].into_iter().collect() });
    match answer(&bytes) {
        Answer::Renewed { ttls_ms, .. } => ttls_ms.iter().copied().collect(),
        other => panic!("a renewal is not answered by {other:?}"),
    }
}

/// H15: a renewal is a command like any other, so what it says is true: of a lease that was
/// revoked or has ended before it in the log it says that there is none.
#[test]
fn rel_h15_a_renewal_of_a_lease_that_is_gone_says_so() {
    let mut node = Node::default();
    node.apply(&Command::GrantLease { id: 7, ttl_ms: 1_000 });
    assert_eq!(renewed(&mut node, 7), [1_000]);
    node.apply(&Command::RevokeLease { id: 7 });
    assert_eq!(renewed(&mut node, 7), [0], "it was revoked");
    node.apply(&Command::GrantLease { id: 7, ttl_ms: 1_000 });
    node.log_time = SECOND_US;
    assert!(node.apply_due().is_some());
    assert_eq!(renewed(&mut node, 7), [0], "it has ended");
    let mut node = restarted(&mut node, 10);
    assert_eq!(renewed(&mut node, 7), [0], "and does not come back");
}

/// H17: after a restart exactly those keys hang on a lease that hung on it before. (The half that
/// concerns users waits for authentication.)
#[test]
fn rel_h17_a_restart_hangs_no_key_on_a_lease() {
    let mut node = Node::default();
    node.apply(&Command::GrantLease { id: 7, ttl_ms: 60_000 });
    node.apply(&Command::GrantLease { id: 8, ttl_ms: 60_000 });
    let options = |lease| PutOptions { lease, ..PutOptions::default() };
    for (key, lease) in [(b"a", 7), (b"b", 7), (b"c", 7), (b"d", 8)] {
        node.apply(&Command::PutWith { key, value: b"v", options: options(lease) });
    }
    node.put(b"a", b"without");
    node.apply(&Command::PutWith { key: b"b", value: b"v", options: options(8) });
    let mut loaded = restarted(&mut node, 10);
    for node in [&mut node, &mut loaded] {
        let bytes = node.apply(&Command::RevokeLease { id: 7 });
        assert!(matches!(answer(&bytes), Answer::Deleted { count: 1, .. }), "{bytes:?}");
        assert_eq!(node.keys(KeyRange::prefix(b""), 0).0, [b"a", b"b", b"d"]);
        let bytes = node.apply(&Command::RevokeLease { id: 8 });
        assert!(matches!(answer(&bytes), Answer::Deleted { count: 2, .. }), "{bytes:?}");
        assert_eq!(node.keys(KeyRange::prefix(b""), 0).0, [b"a"]);
    }
}

/// S-25: a command of the wrong type is answered, changes nothing, and leaves every replica
/// alive, alike and at work, whatever the key is and whatever is asked of it.
#[test]
fn ref_s25_a_wrong_type_is_an_answer_and_replicas_stay_alike() {
    let field = || [Item { name: b"f", value: b"1" }].into_iter().collect();
    let names = || [Name(b"f")].into_iter().collect();
    let makes: [Command<'_>; 3] = [
        Command::Put { key: b"k", value: b"text" },
        Command::SetFields { key: b"k", fields: field() },
        Command::AddMembers { key: b"k", members: names() },
    ];
    let typed = || -> [(usize, Command<'_>); 6] {
        [
            (0, Command::Increment { key: b"k", field: None, by: 1 }),
            (1, Command::SetFields { key: b"k", fields: field() }),
            (1, Command::Increment { key: b"k", field: Some(Name(b"f")), by: 1 }),
            (1, Command::RemoveItems { of: Collection::Hash, key: b"k", names: names() }),
            (2, Command::AddMembers { key: b"k", members: names() }),
            (2, Command::RemoveItems { of: Collection::Set, key: b"k", names: names() }),
        ]
    };
    for (kind, make) in makes.iter().enumerate() {
        let mut one = Node::default();
        one.apply(make);
        for (of, command) in typed().into_iter().filter(|(of, _)| *of != kind) {
            let mut other = restarted(&mut one, 10);
            let (before, shown) = (one.store.revision(), one.ask(&at(0)));
            let answers = [&mut one, &mut other].map(|node| node.apply(&command));
            assert_eq!(answers[0], answers[1], "{command:?}");
            let no = Answer::No { revision: before, why: wrong_type(kind) };
            assert_eq!(answer(&answers[0]), no, "{command:?} of kind {of}");
            assert_eq!((one.store.revision(), one.ask(&at(0))), (before, shown));
            assert_eq!(one.store.state_hash(), other.store.state_hash(), "{command:?}");
            assert_eq!(one.put(b"other", b"1"), other.put(b"other", b"1"));
        }
    }
}

fn wrong_type(kind: usize) -> No {
    use kv_store::command::Kind;
    No::WrongType { found: [Kind::String, Kind::Hash, Kind::Set][kind] }
}
