//! The order of revisions: what a store answers is right by it, and whatever is altered is not.

use bytes::BytesMut;
use kv_store::command::{
    Answer, Collection, Command, Compare, Item, KeyRange, List, Name, No, OnNo, Operation, Query,
    RangeEnd, Relation, Selection, Target, Transacted, Transaction,
};
use kv_store::store::Store;
use raft_core::entry::{Draft, EntryKind, SessionStamp, Stamp};
use raft_core::replica::StateMachine;
use raft_core::types::{Index, Term};
use sim::revision_order::RevisionOrder;

/// A store that is right, and the commands that it has executed with its answers.
struct Scene {
    store: Store,
    order: RevisionOrder,
    index: u64,
}

fn encoded(answer: &Answer<'_>) -> BytesMut {
    let mut bytes = BytesMut::new();
    answer.encode(&mut bytes);
    bytes
}

impl Scene {
    fn new() -> Self {
        Self { store: Store::new(), order: RevisionOrder::default(), index: 0 }
    }

    /// What the store answers; the order of revisions has not been told.
    fn answer(&mut self, command: &Command<'_>) -> (BytesMut, BytesMut) {
        let (mut body, mut answer) = (BytesMut::new(), BytesMut::new());
        command.encode(&mut body);
        let mut draft = Draft::default();
        draft.push(EntryKind::Command, &SessionStamp::default(), &body);
        self.index += 1;
        let (term, first) = (Term(1), Index(self.index));
        let entries = draft.stamp(&Stamp {
            term,
            first,
            log_time: 0,
            feature_level: raft_core::entry::FEATURE_LEVEL,
            wall_time: 0,
            seed: 0,
        });
        entries.iter().for_each(|entry| self.store.apply(entry, &mut answer));
        (body, answer)
    }

    fn apply(&mut self, command: &Command<'_>) {
        let (body, answer) = self.answer(command);
        self.order.execute(0, &body, &answer).expect("the store is right");
    }

    fn ask(&mut self, query: &Query<'_>) -> (BytesMut, BytesMut) {
        let (mut body, mut answer) = (BytesMut::new(), BytesMut::new());
        query.encode(&mut body);
        self.store.query(&body, 0, &mut answer);
        (body, answer)
    }

    fn put(&mut self, key: &str, value: &str) {
        self.apply(&Command::Put { key: key.as_bytes(), value: value.as_bytes() });
    }
}

fn everything() -> Query<'static> {
    Query::Range { range: KeyRange::prefix(b""), limit: 0 }
}

/// Puts `k`, and counts the keys that begin so, if the key exists or if it does not.
fn transaction(exists: bool) -> Command<'static> {
    let target = Target::Exists(exists);
    let when = Compare { range: KeyRange::single(b"k"), relation: Relation::Equal, target };
    let read = Query::Range { range: KeyRange::prefix(b"k"), limit: 0 };
    let then = [
        Operation::Write(Command::Put { key: b"k", value: b"v" }),
        Operation::Read(read),
        Operation::Write(Command::Increment { key: b"n", field: None, by: 1 }),
    ];
    let (when, then) = ([when].into_iter().collect(), then.into_iter().collect());
    let transaction = Transaction { when, then, otherwise: List::new() };
    Command::Transaction { on_no: OnNo::Undo, transaction: Box::new(transaction) }
}

#[test]
fn ranges_and_transactions_of_a_right_store_are_found_right() {
    let mut scene = Scene::new();
    let fields = || [Item { name: b"f", value: b"1" }].into_iter().collect();
    let members = || [Name(b"m")].into_iter().collect();
    for round in 0..20 {
        scene.put("a", &round.to_string());
        scene.apply(&transaction(round % 2 == 0));
        scene.apply(&Command::SetFields { key: b"h", fields: fields() });
        scene.apply(&Command::AddMembers { key: b"s", members: members() });
        scene.apply(&Command::SetFields { key: b"a", fields: fields() });
        let range = KeyRange::prefix(if round % 3 == 0 { b"k" } else { b"s" });
        scene.apply(&Command::Delete { ranges: [range].into_iter().collect() });
    }
    let newest = scene.order.newest();
    for revision in 0..newest + 2 {
        let of = |range| Query::Select(Selection { revision, ..Selection::of(range) });
        let names = || [Name(b"f"), Name(b"g")].into_iter().collect();
        for query in [
            everything(),
            of(KeyRange::prefix(b"")),
            of(KeyRange { from: b"a", end: RangeEnd::HalfOpen(b"k\0") }),
            Query::Fields { key: b"h", names: names(), revision },
            Query::Has { of: Collection::Hash, key: b"a", names: names(), revision },
            Query::Items { of: Collection::Set, key: b"s", from: b"", limit: 0, revision },
            Query::Length { of: Collection::Hash, key: b"h", revision },
        ] {
            let (body, answer) = scene.ask(&query);
            assert_eq!(scene.order.read(&body, &answer), Ok(newest), "{query:?}");
        }
    }
}

#[test]
fn a_transaction_that_answers_something_else_is_found() {
    type Alter = fn(&mut Scene) -> BytesMut;
    let wrong: [(&str, Alter); 5] = [
        ("the other branch", |scene| scene.answer(&transaction(true)).1),
        ("another revision", |scene| {
            scene.put("x", "1");
            scene.answer(&transaction(false)).1
        }),
        ("a range without the put before it", |scene| {
            let (_, answer) = scene.answer(&transaction(false));
            let Ok(Answer::Transaction(told)) = Answer::decode(&answer) else { panic!("told") };
            let (revision, kvs) = (told.revision, List::new());
            let mut answers: Vec<Answer<'_>> = told.answers.iter().cloned().collect();
            answers[1] = Answer::Range { revision, kvs, more: false, count: 0 };
            let answers = answers.into_iter().collect();
            encoded(&Answer::Transaction(Box::new(Transacted { answers, ..*told })))
        }),
        ("a sum that was there before", |scene| {
            scene.answer(&Command::Increment { key: b"n", field: None, by: 1 });
            scene.answer(&transaction(false)).1
        }),
        ("undone", |scene| {
            let (revision, path) = (scene.store.revision(), [2].into_iter().collect());
            encoded(&Answer::Undone { revision, path, why: No::NotANumber })
        }),
    ];
    for (fault, alter) in wrong {
        let mut scene = Scene::new();
        let mut body = BytesMut::new();
        transaction(false).encode(&mut body);
        let answer = alter(&mut scene);
        let mut order = RevisionOrder::default();
        let told = order.execute(0, &body, &answer);
        assert!(told.is_err(), "{fault}: {:?}", Answer::decode(&answer));
    }
}

#[test]
fn a_read_of_anything_but_its_revision_is_found() {
    let mut scene = Scene::new();
    scene.put("a", "1");
    let (body, early) = scene.ask(&everything());
    scene.put("b", "2");
    assert_eq!(scene.order.read(&body, &early), Ok(2), "a read may come from the past");
    let (_, late) = scene.ask(&everything());
    let renamed = |answer: &BytesMut, revision| match Answer::decode(answer) {
        Ok(Answer::Range { kvs, more, count, .. }) => {
            encoded(&Answer::Range { revision, kvs, more, count })
        }
        other => panic!("{other:?} is a range"),
    };
    for (fault, answer) in [
        ("a key is missing", renamed(&early, 3)),
        ("a key is there before it was put", renamed(&late, 2)),
        ("nobody has come there", renamed(&late, 4)),
    ] {
        let told = scene.order.read(&body, &answer);
        assert!(told.is_err(), "{fault}: {told:?}");
    }
    let Ok(Answer::Range { revision, kvs, more, .. }) = Answer::decode(&late) else {
        panic!("a range")
    };
    let miscounted = encoded(&Answer::Range { revision, kvs, more, count: 3 });
    assert!(scene.order.read(&body, &miscounted).is_err(), "keys are miscounted");
}

#[test]
fn what_is_compacted_or_yet_to_come_is_called_so_and_nothing_else_is() {
    let mut scene = Scene::new();
    (0..8).for_each(|round| scene.put("a", &round.to_string()));
    let of = |revision| Selection { revision, ..Selection::of(KeyRange::single(b"a")) };
    let (body, known) = scene.ask(&Query::Select(of(3)));
    scene.apply(&Command::Compact { revision: 5 });
    let no = |revision, why| encoded(&Answer::No { revision, why });
    let (compacted, future) = (No::Compacted { oldest: 5 }, |newest| No::Future { newest });
    let (_, lost) = scene.ask(&Query::Select(of(3)));
    assert_eq!(lost, no(9, compacted));
    assert_eq!(scene.order.read(&body, &lost), Ok(9));
    assert_eq!(scene.order.read(&body, &known), Ok(9), "a node may not have compacted yet");
    let (later, _) = scene.ask(&Query::Select(of(6)));
    assert!(scene.order.read(&later, &no(9, compacted)).is_err(), "6 is there");
    assert!(scene.order.read(&body, &no(9, No::Compacted { oldest: 4 })).is_err(), "4 was not");
    let (beyond, none) = scene.ask(&Query::Select(of(11)));
    assert_eq!(none, no(9, future(9)));
    assert_eq!(scene.order.read(&beyond, &none), Ok(9));
    assert!(scene.order.read(&body, &none).is_err(), "3 has come");
    assert!(scene.order.read(&beyond, &no(9, future(8))).is_err(), "9 is the newest there");
    assert!(scene.order.read(&beyond, &known).is_err(), "11 has not come");
}

#[test]
fn a_transaction_may_read_only_what_the_log_has_not_compacted() {
    let read = Query::Select(Selection { revision: 2, ..Selection::of(KeyRange::prefix(b"")) });
    let write = Operation::Write(Command::Put { key: b"k", value: b"v" });
    let then = || [write.clone(), Operation::Read(read.clone())].into_iter().collect();
    let transaction = |on_no| {
        let transaction = Transaction { then: then(), ..Transaction::default() };
        Command::Transaction { on_no, transaction: Box::new(transaction) }
    };
    for on_no in [OnNo::Undo, OnNo::GoOn] {
        let mut scene = Scene::new();
        (0..4).for_each(|round| scene.put("a", &round.to_string()));
        // A node that has not come to the compaction would answer otherwise.
        let (body, before) = scene.answer(&transaction(on_no));
        let mut scene = Scene::new();
        (0..4).for_each(|round| scene.put("a", &round.to_string()));
        scene.apply(&Command::Compact { revision: 4 });
        assert!(scene.order.execute(0, &body, &before).is_err(), "{on_no:?}");
    }
    let mut scene = Scene::new();
    (0..4).for_each(|round| scene.put("a", &round.to_string()));
    scene.apply(&Command::Compact { revision: 4 });
    scene.apply(&transaction(OnNo::Undo));
    assert_eq!(scene.order.newest(), 5, "it changed nothing");
    scene.apply(&transaction(OnNo::GoOn));
    assert_eq!(scene.order.newest(), 6);
}
