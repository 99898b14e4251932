//! Transactions: one thing or another, all or nothing, in one revision.

use bytes::BytesMut;
use kv_store::command::{
    Answer, Collection, Command, Compare, Existing, Item, KeyRange, Kind, Limits, Name, No,
    OPERATIONS_PER_TRANSACTION_MAX, OnNo, Operation, PutOptions, Query, RangeEnd, Relation,
    Selection, TRANSACTION_NESTING_MAX, Target, Transaction,
};
use kv_store::store::Store;
use raft_core::replica::state_machine::StateMachine;

use crate::node::Node;
use crate::random::snapshot;

fn put(key: &'static [u8], value: &'static [u8]) -> Operation<'static> {
    Operation::Write(Command::Put { key, value })
}

fn delete(key: &'static [u8]) -> Operation<'static> {
    Operation::Write(Command::Delete { ranges: [KeyRange::single(key)].into_iter().collect() })
}

fn get(key: &'static [u8]) -> Operation<'static> {
    Operation::Read(Query::Range { range: KeyRange::single(key), limit: 0 })
}

fn add(key: &'static [u8], by: i64) -> Operation<'static> {
    Operation::Write(Command::Increment { key, field: None, by })
}

fn set_field(key: &'static [u8], name: &'static [u8], value: &'static [u8]) -> Operation<'static> {
    let fields = [Item { name, value }].into_iter().collect();
    Operation::Write(Command::SetFields { key, fields })
}

fn add_member(key: &'static [u8], name: &'static [u8]) -> Operation<'static> {
    Operation::Write(Command::AddMembers { key, members: [Name(name)].into_iter().collect() })
}

fn single(key: &'static [u8], relation: Relation, target: Target<'static>) -> Compare<'static> {
    Compare { range: KeyRange::single(key), relation, target }
}

fn when<'a>(
    when: impl IntoIterator<Item = Compare<'a>>,
    then: impl IntoIterator<Item = Operation<'a>>,
    otherwise: impl IntoIterator<Item = Operation<'a>>,
) -> Transaction<'a> {
    Transaction {
        when: when.into_iter().collect(),
        then: then.into_iter().collect(),
        otherwise: otherwise.into_iter().collect(),
    }
}

fn all(then: impl IntoIterator<Item = Operation<'static>>) -> Transaction<'static> {
    when([], then, [])
}

fn nested(transaction: Transaction<'_>) -> Operation<'_> {
    Operation::Nested(Box::new(transaction))
}

fn command(on_no: OnNo, transaction: Transaction<'_>) -> Command<'_> {
    Command::Transaction { on_no, transaction: Box::new(transaction) }
}

fn apply(node: &mut Node, transaction: Transaction<'_>) -> String {
    shown(&node.apply(&command(OnNo::Undo, transaction)))
}

fn apply_going_on(node: &mut Node, transaction: Transaction<'_>) -> String {
    shown(&node.apply(&command(OnNo::GoOn, transaction)))
}

fn apply_decided_first(node: &mut Node, transaction: Transaction<'_>) -> String {
    shown(&node.apply(&command(OnNo::UndoDecidedFirst, transaction)))
}

/// An answer in a line: whether it succeeded, `@` the revision, then the answers.
fn shown(answer: &BytesMut) -> String {
    line(&Answer::decode(answer).expect("an answer"))
}

fn line(answer: &Answer<'_>) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    match answer {
        Answer::Transaction(transacted) => {
            let word = if transacted.succeeded { "yes" } else { "no" };
            let answers: Vec<String> = transacted.answers.iter().map(line).collect();
            format!("{word}@{} [{}]", transacted.revision, answers.join(", "))
        }
        Answer::Undone { revision, path, why } => {
            format!("undone@{revision} {:?}: {why}", &path[..])
        }
        Answer::Put { revision } => format!("put@{revision}"),
        Answer::PutOver { revision, previous } => {
            let previous = previous.map_or("-".to_owned(), |kv| text(kv.value));
            format!("put@{revision} over {previous}")
        }
        Answer::Deleted { count, revision } => format!("deleted {count}@{revision}"),
        Answer::DeletedKeys { count, revision, kvs, .. } => {
            let kvs: Vec<String> =
                kvs.iter().map(|kv| text(kv.key) + "=" + &text(kv.value)).collect();
            format!("deleted {count}@{revision} {}", kvs.join(" "))
        }
        Answer::Range { revision, kvs, count, .. } => {
            let kvs = kvs.iter().map(|kv| {
                let (create, version) = (kv.create_revision, kv.version);
                format!(
                    "{}={}({create},{},{version})",
                    text(kv.key),
                    text(kv.value),
                    kv.mod_revision
                )
            });
            format!("{count} keys@{revision} {}", kvs.collect::<Vec<_>>().join(" "))
        }
        Answer::Changed { count, revision } => format!("changed {count}@{revision}"),
        Answer::Number { number, revision } => format!("number {number}@{revision}"),
        Answer::No { revision, why } => format!("no@{revision}: {why}"),
        other => format!("{other:?}"),
    }
}

/// Every event since a revision, a line each.
fn events(node: &Node, since: u64) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let value = |kv: Option<kv_store::command::KeyValue<'_>>| {
        kv.map_or("-".to_owned(), |kv| text(kv.value))
    };
    let events = node.store.changes_since(since).expect("all is there");
    events
        .map(|event| {
            let item = event.item.map_or(String::new(), |item| ".".to_owned() + &text(item));
            let (before, after) = (value(event.previous), value(event.next));
            format!("{} {}{item} {before}>{after}", event.revision, text(event.key))
        })
        .collect()
}

#[test]
fn the_branch_that_the_compares_choose_is_taken() {
    let mut node = Node::default();
    let create = || {
        when([single(b"k", Relation::Equal, Target::Version(0))], [put(b"k", b"1")], [get(b"k")])
    };
    assert_eq!(apply(&mut node, create()), "yes@2 [put@2]");
    assert_eq!(apply(&mut node, create()), "no@2 [1 keys@2 k=1(2,2,1)]", "nothing changed");
    assert_eq!(apply(&mut node, Transaction::default()), "yes@2 []");
    assert_eq!(apply(&mut node, all([put(b"k", b"1")])), "yes@3 [put@3]", "the same value too");
    // All compares must hold.
    let both = when(
        [
            single(b"k", Relation::Equal, Target::Value(b"1")),
            single(b"k", Relation::Equal, Target::ModRevision(2)),
        ],
        [],
        [delete(b"k")],
    );
    assert_eq!(apply(&mut node, both), "no@4 [deleted 1@4]");
}

#[test]
fn everything_is_one_revision_and_a_key_has_one_version_and_one_event_in_it() {
    let mut node = Node::default();
    node.put(b"a", b"0");
    let transaction = all([
        put(b"a", b"1"),
        put(b"b", b"1"),
        put(b"a", b"2"),
        delete(b"a"),
        put(b"a", b"3"),
        put(b"a", b"4"),
        set_field(b"h", b"f", b"1"),
        set_field(b"h", b"g", b"2"),
        put(b"b", b"2"),
    ]);
    let answers = "put@3, put@3, put@3, deleted 1@3, put@3, put@3, changed 1@3, changed 1@3, put@3";
    assert_eq!(apply(&mut node, transaction), format!("yes@3 [{answers}]"));
    assert_eq!(node.store.revision(), 3);
    let expected = ["3 a 0>4", "3 b ->2", "3 h ->", "3 h.f ->1", "3 h.g ->2"];
    assert_eq!(events(&node, 3), expected);
    let keys = shown(&node.range(KeyRange::prefix(b""), 0));
    assert_eq!(keys, "3 keys@3 a=4(3,3,1) b=2(3,3,1) h=(3,3,1)", "a was made anew");
    let history = Query::History { key: b"a", since: 0, limit: 0 };
    assert_eq!(shown(&node.ask(&history)), "2 keys@3 a=0(2,2,1) a=4(3,3,1)");
}

#[test]
fn what_comes_and_goes_within_a_transaction_leaves_a_removal() {
    let mut node = Node::default();
    let transaction = all([put(b"a", b"1"), delete(b"a"), get(b"a"), delete(b"a")]);
    assert_eq!(apply(&mut node, transaction), "yes@2 [put@2, deleted 1@2, 0 keys@2 , deleted 0@2]");
    assert_eq!(events(&node, 0), ["2 a ->-"]);
    assert_eq!(apply(&mut node, all([delete(b"a")])), "yes@2 [deleted 0@2]");
    // It is no obstacle to what comes later.
    assert_eq!(node.put(b"a", b"2"), 3);
    assert_eq!(shown(&node.range(KeyRange::single(b"a"), 0)), "1 keys@3 a=2(3,3,1)");
}

#[test]
fn later_operations_see_earlier_ones() {
    let mut node = Node::default();
    node.put(b"n", b"5");
    let over = |value| {
        let options = PutOptions { returns_previous: true, ..PutOptions::default() };
        Operation::Write(Command::PutWith { key: b"n", value, options })
    };
    let take = || {
        let ranges = [KeyRange::single(b"n"), KeyRange::prefix(b"")].into_iter().collect();
        Operation::Write(Command::DeleteReturning { ranges })
    };
    let transaction = all([
        get(b"n"),
        add(b"n", 2),
        get(b"n"),
        over(b"x"),
        put(b"o", b"y"),
        take(),
        take(),
        get(b"n"),
    ]);
    assert_eq!(
        apply(&mut node, transaction),
        "yes@3 [1 keys@2 n=5(2,2,1), number 7@3, 1 keys@3 n=7(2,3,2), put@3 over 7, put@3, \
         deleted 2@3 n=x o=y, deleted 0@3 , 0 keys@3 ]"
    );
    // The past is what it was, and the revision that comes into being is not over yet.
    let at = |revision| {
        Operation::Read(Query::Select(Selection {
            revision,
            ..Selection::of(KeyRange::single(b"n"))
        }))
    };
    assert_eq!(
        apply(&mut node, all([put(b"n", b"z"), at(2), at(0)])),
        "yes@4 [put@4, 1 keys@4 n=5(2,2,1), 1 keys@4 n=z(4,4,1)]"
    );
    let future = "undone@4 [1]: the revision has not come yet, the newest one is 4";
    assert_eq!(apply(&mut node, all([put(b"n", b"z"), at(5)])), future);
}

#[test]
fn nested_transactions_choose_by_what_has_been_changed_before_them() {
    let mut node = Node::default();
    let is_there = |key| single(key, Relation::Equal, Target::Exists(true));
    let inner = || when([is_there(b"a")], [put(b"b", b"1"), get(b"a")], [put(b"c", b"1")]);
    let outer = all([nested(inner()), put(b"a", b"1"), nested(when([], [nested(inner())], []))]);
    assert_eq!(
        apply(&mut node, outer),
        "yes@2 [no@2 [put@2], put@2, yes@2 [yes@2 [put@2, 1 keys@2 a=1(2,2,1)]]]"
    );
    assert_eq!(events(&node, 0), ["2 c ->1", "2 a ->1", "2 b ->1"]);
    // A no is told with the way to it, and undoes what is around it too.
    let transaction = || {
        all([
            put(b"a", b"2"),
            nested(all([nested(all([add(b"b", 1), add(b"a", 1)])), get(b"a")])),
            get(b"b"),
        ])
    };
    let mut other = node.clone();
    node.put(b"a", b"x");
    other.put(b"a", b"x");
    let text = all([put(b"a", b"x"), nested(all([get(b"a"), nested(all([add(b"a", 1)]))]))]);
    let not_a_number = "the value is not a decimal number of 64 bits";
    assert_eq!(apply(&mut node, text), format!("undone@3 [1, 1, 0]: {not_a_number}"));
    assert_eq!(
        apply(&mut other, transaction()),
        "yes@4 [put@4, yes@4 [yes@4 [number 2@4, number 3@4], 1 keys@4 a=3(2,4,3)], \
         1 keys@4 b=2(2,4,2)]"
    );
}

/// Whether a compare holds.
fn holds(node: &mut Node, compare: Compare<'_>) -> bool {
    match shown(&node.apply(&command(OnNo::Undo, when([compare], [], [])))).split('@').next() {
        Some("yes") => true,
        Some("no") => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn compares_are_as_in_etcd() {
    let mut node = Node::default();
    node.put(b"k", b"b");
    node.put(b"k", b"b");
    // Beside each target: what is there, as less, equal or greater than it.
    let table: [(Target<'_>, &str); 14] = [
        (Target::Value(b"a"), "!>"),
        (Target::Value(b"b"), "="),
        (Target::Value(b"ba"), "!<"),
        (Target::Value(b""), "!>"),
        (Target::Version(2), "="),
        (Target::Version(1), "!>"),
        (Target::CreateRevision(2), "="),
        (Target::CreateRevision(3), "!<"),
        (Target::ModRevision(3), "="),
        (Target::ModRevision(u64::MAX), "!<"),
        (Target::Lease(0), "="),
        (Target::Lease(1), "!<"),
        (Target::Exists(true), "="),
        (Target::Exists(false), "!>"),
    ];
    let relations = [
        ('=', Relation::Equal),
        ('!', Relation::NotEqual),
        ('<', Relation::Less),
        ('>', Relation::Greater),
    ];
    for (target, expected) in table {
        let held: String = relations
            .into_iter()
            .filter(|(_, relation)| holds(&mut node, single(b"k", *relation, target)))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(held, expected, "{target:?}");
    }
    // A key that does not exist has version, revisions and lease 0, and no value.
    for (target, expected) in [
        (Target::Value(b""), ""),
        (Target::Version(0), "="),
        (Target::CreateRevision(0), "="),
        (Target::ModRevision(1), "!<"),
        (Target::Lease(0), "="),
        (Target::Exists(false), "="),
        (Target::Field { name: b"f", value: b"" }, ""),
        (Target::Has { of: Collection::Hash, name: b"f", has: false }, "="),
    ] {
        for range in [KeyRange::single(b"x"), KeyRange::prefix(b"x")] {
            let held: String = relations
                .into_iter()
                .filter(|&(_, relation)| holds(&mut node, Compare { range, relation, target }))
                .map(|(name, _)| name)
                .collect();
            assert_eq!(held, expected, "{target:?} {range:?}");
        }
    }
}

#[test]
fn a_compare_over_a_range_holds_if_it_does_for_every_key_of_it() {
    let mut node = Node::default();
    for (key, value) in [(b"a1", b"x"), (b"a2", b"x"), (b"a3", b"y"), (b"b1", b"z")] {
        node.put(key, value);
    }
    let value_is =
        |range, value| Compare { range, relation: Relation::Equal, target: Target::Value(value) };
    let to_a3 = KeyRange { from: b"a", end: RangeEnd::HalfOpen(b"a3") };
    assert!(holds(&mut node, value_is(to_a3, b"x")));
    assert!(!holds(&mut node, value_is(KeyRange::prefix(b"a"), b"x")));
    let newer = Compare {
        range: KeyRange { from: b"a2", end: RangeEnd::From },
        relation: Relation::Greater,
        target: Target::CreateRevision(2),
    };
    assert!(holds(&mut node, newer));
    assert!(!holds(&mut node, Compare { range: KeyRange::prefix(b""), ..newer }));
    // Whether a range has keys at all.
    let exists = |range, exists| Compare {
        range,
        relation: Relation::Equal,
        target: Target::Exists(exists),
    };
    assert!(holds(&mut node, exists(KeyRange::prefix(b"a"), true)));
    assert!(holds(&mut node, exists(KeyRange::prefix(b"c"), false)));
    let backwards = KeyRange { from: b"b", end: RangeEnd::HalfOpen(b"a") };
    assert!(holds(&mut node, exists(backwards, false)));
    // It sees what the transaction has removed.
    let transaction =
        all([delete(b"a3"), nested(when([value_is(KeyRange::prefix(b"a"), b"x")], [], []))]);
    assert_eq!(apply(&mut node, transaction), "yes@6 [deleted 1@6, yes@6 []]");
}

#[test]
fn fields_and_members_are_compared() {
    let mut node = Node::default();
    apply(&mut node, all([set_field(b"h", b"f", b"1"), add_member(b"s", b"m"), put(b"t", b"f")]));
    let field = |key, relation, name, value| single(key, relation, Target::Field { name, value });
    assert!(holds(&mut node, field(b"h", Relation::Equal, b"f", b"1")));
    assert!(holds(&mut node, field(b"h", Relation::Less, b"f", b"2")));
    assert!(!holds(&mut node, field(b"h", Relation::NotEqual, b"f", b"1")));
    for (key, name) in [(&b"h"[..], &b"g"[..]), (b"s", b"m"), (b"t", b"f"), (b"x", b"f")] {
        for relation in [Relation::Equal, Relation::NotEqual, Relation::Less, Relation::Greater] {
            assert!(!holds(&mut node, field(key, relation, name, b"")), "{key:?}");
        }
    }
    let has = |key, of, name, has| single(key, Relation::Equal, Target::Has { of, name, has });
    for (key, of, name, is_there) in [
        (&b"h"[..], Collection::Hash, &b"f"[..], true),
        (b"h", Collection::Hash, b"g", false),
        (b"h", Collection::Set, b"f", false),
        (b"s", Collection::Set, b"m", true),
        (b"s", Collection::Hash, b"m", false),
        (b"t", Collection::Hash, b"f", false),
        (b"x", Collection::Set, b"m", false),
    ] {
        assert_eq!(holds(&mut node, has(key, of, name, true)), is_there, "{key:?} {of:?}");
        assert_eq!(holds(&mut node, has(key, of, name, false)), !is_there, "{key:?} {of:?}");
    }
    // Over a range: of every hash in it.
    let every = |name| Compare {
        range: KeyRange::prefix(b"h"),
        relation: Relation::Equal,
        target: Target::Has { of: Collection::Hash, name, has: true },
    };
    assert!(holds(&mut node, every(b"f")));
    apply(&mut node, all([set_field(b"h2", b"g", b"1")]));
    assert!(!holds(&mut node, every(b"f")));
    // For whoever knows keys only, a hash has an empty value.
    assert!(holds(&mut node, single(b"h", Relation::Equal, Target::Value(b""))));
}

/// Everything that can be seen of a store, and what it will do.
fn everything(node: &Node) -> (Vec<BytesMut>, u64, u64, Vec<String>) {
    let mut node = node.clone();
    let parts = snapshot(&mut node.store, 100);
    let (revision, hash) = (node.store.revision(), node.store.state_hash());
    let since = node.store.compacted_revision();
    (parts, revision, hash, events(&node, since))
}

#[test]
fn a_no_undoes_everything_if_that_is_wanted() {
    let mut node = Node::default();
    apply(&mut node, all([put(b"a", b"1"), put(b"gone", b"1"), set_field(b"h", b"f", b"1")]));
    apply(&mut node, all([delete(b"gone"), put(b"text", b"x"), add_member(b"s", b"m")]));
    let before = everything(&node);
    let changes = || {
        [
            put(b"a", b"2"),
            put(b"new", b"1"),
            put(b"gone", b"2"),
            put(b"h", b"a hash no more"),
            set_field(b"h2", b"f", b"1"),
            add_member(b"s", b"n"),
            delete(b"s"),
            put(b"a", b"3"),
            delete(b"new"),
        ]
    };
    let compacted = Operation::Read(Query::Select(Selection {
        revision: 99,
        ..Selection::of(KeyRange::prefix(b""))
    }));
    let wrong_type = No::WrongType { found: Kind::String };
    let names = || [Name(b"f")].into_iter().collect();
    let fields = Query::Fields { key: b"text", names: names(), revision: 0 };
    let overflow = all([put(b"a", b"9223372036854775807"), add(b"a", 1)]);
    for (operation, path, why) in [
        (add(b"text", 1), "[9]", No::NotANumber),
        (set_field(b"text", b"f", b"1"), "[9]", wrong_type),
        (add_member(b"h", b"m"), "[9]", wrong_type),
        (Operation::Read(fields), "[9]", wrong_type),
        (nested(overflow), "[9, 1]", No::Overflow),
        (compacted, "[9]", No::Future { newest: 3 }),
        (Operation::Write(Command::Compact { revision: 2 }), "[9]", No::NotInTransaction),
        (Operation::Write(command(OnNo::Undo, all([]))), "[9]", No::NotInTransaction),
    ] {
        let all = all(changes().into_iter().chain([operation, put(b"z", b"1")]));
        assert_eq!(apply(&mut node, all), format!("undone@3 {path}: {why}"));
        assert!(everything(&node) == before, "something is left of {why:?}");
    }
    // The node goes on as one to which nothing of it has happened.
    let mut other = Node::default();
    apply(&mut other, all([put(b"a", b"1"), put(b"gone", b"1"), set_field(b"h", b"f", b"1")]));
    apply(&mut other, all([delete(b"gone"), put(b"text", b"x"), add_member(b"s", b"m")]));
    (0..8).for_each(|_| drop(other.apply_bytes(b"")));
    for node in [&mut node, &mut other] {
        apply(node, all(changes()));
        node.apply(&Command::Compact { revision: 4 });
        node.store.idle();
    }
    assert!(everything(&node) == everything(&other));
}

#[test]
fn a_no_stands_alone_if_that_is_wanted() {
    let mut node = Node::default();
    node.put(b"text", b"x");
    let transaction = || {
        all([
            put(b"a", b"1"),
            add(b"text", 1),
            set_field(b"text", b"f", b"1"),
            Operation::Write(Command::Compact { revision: 1 }),
            nested(all([add(b"a", 1), add(b"text", 1)])),
            get(b"a"),
        ])
    };
    let not_a_number = "the value is not a decimal number of 64 bits";
    assert_eq!(
        apply_going_on(&mut node, transaction()),
        format!(
            "yes@3 [put@3, no@3: {not_a_number}, no@3: wrong type: the key is a STRING, \
             no@3: the command cannot be part of a transaction, \
             yes@3 [number 2@3, no@3: {not_a_number}], 1 keys@3 a=2(3,3,1)]"
        )
    );
    let only_no = apply_going_on(&mut node, all([add(b"text", 1)]));
    assert_eq!(only_no, format!("yes@3 [no@3: {not_a_number}]"), "no change, no revision");
}

#[test]
fn an_answer_that_would_be_too_long_undoes_everything_either_way() {
    let mut node = Node::default();
    let large = vec![b'v'; 1_000_000];
    node.put(b"large", &large);
    let before = everything(&node);
    let gets = |count| all([put(b"a", b"1")].into_iter().chain((0..count).map(|_| get(b"large"))));
    for on_no in [OnNo::Undo, OnNo::GoOn] {
        let answer = node.apply(&command(on_no, gets(5)));
        let words = "the answer would be above the limit of 4193280 bytes, ask for less";
        assert_eq!(shown(&answer), format!("undone@2 [5]: {words}"));
        assert!(everything(&node) == before);
    }
    let answer = node.apply(&command(OnNo::Undo, gets(4)));
    assert!(matches!(Answer::decode(&answer), Ok(Answer::Transaction(_))));
    assert!(answer.len() < 4_193_280);
}

fn words(transaction: Transaction<'_>) -> String {
    let checked = command(OnNo::Undo, transaction).check(&Limits::default());
    checked.err().map_or("within limits".to_owned(), |error| error.to_string())
}

fn nest(depth: usize) -> Transaction<'static> {
    (1..depth).fold(all([put(b"k", b"v")]), |inner, _| all([nested(inner)]))
}

#[test]
fn transactions_are_measured_and_counted() {
    let many = |count| all((0..count).map(|_| put(b"k", b"v")));
    let most = OPERATIONS_PER_TRANSACTION_MAX;
    assert_eq!(words(many(most)), "within limits");
    assert_eq!(
        words(many(most + 1)),
        "transaction of 10001 operations is above the limit of 10000"
    );
    // Both branches and what is nested count.
    let both = when([], many(most / 2).then.iter().cloned(), [nested(many(most / 2))]);
    assert_eq!(words(both), "transaction of 10001 operations is above the limit of 10000");
    let compare = single(b"k", Relation::Equal, Target::Version(0));
    assert_eq!(
        words(when(vec![compare; most], many(most).then.iter().cloned(), [])),
        "within limits"
    );
    assert_eq!(
        words(when(vec![compare; most + 1], [], [])),
        "transaction of 10001 compares is above the limit of 10000"
    );
    assert_eq!(words(nest(TRANSACTION_NESTING_MAX)), "within limits");
    assert_eq!(words(nest(17)), "transaction nested 17 deep is above the limit of 16");
    assert_eq!(words(nest(1_000)), "transaction nested 1000 deep is above the limit of 16");
    // Each part is checked as by itself, wherever it stands.
    let empty = "key is not provided";
    assert_eq!(words(when([], [], [nested(all([put(b"", b"v")]))])), empty);
    assert_eq!(words(all([nested(all([get(b"")]))])), empty);
    assert_eq!(words(when([single(b"", Relation::Equal, Target::Version(0))], [], [])), empty);
    let long: &'static [u8] = Box::leak(vec![1; 1_572_865].into_boxed_slice());
    let too_long = "value of 1572865 bytes is above the limit of 1572864 bytes";
    assert_eq!(words(when([single(b"k", Relation::Equal, Target::Value(long))], [], [])), too_long);
    let field = |name, value| {
        words(when([single(b"k", Relation::Equal, Target::Field { name, value })], [], []))
    };
    assert_eq!(field(b"f", long), too_long);
    let long_name = "field or member of 1572865 bytes is above the limit of 65536 bytes";
    assert_eq!(field(long, b""), long_name);
    let has = Target::Has { of: Collection::Set, name: long, has: true };
    assert_eq!(words(when([single(b"k", Relation::Equal, has)], [], [])), long_name);
    for refused in [Command::Compact { revision: 1 }, command(OnNo::GoOn, all([]))] {
        let refused = words(all([nested(all([Operation::Write(refused)]))]));
        assert_eq!(refused, "the command cannot be part of a transaction");
    }
    let body = vec![0; kv_store::command::COMMAND_BYTES_MAX + 1];
    assert!(Command::check_encoded(&body[1..]).is_ok());
    let error = Command::check_encoded(&body).unwrap_err().to_string();
    assert_eq!(error, "command of 2097057 bytes is above the limit of 2097056 bytes");
}

#[test]
fn apply_takes_ten_thousand_operations_and_more_than_the_limits() {
    let keys: Vec<[u8; 8]> = (0..20_000u64).map(u64::to_be_bytes).collect();
    let put = |key: &'static [u8; 8]| put(key, b"v");
    let keys: &'static [[u8; 8]] = keys.leak();
    let (mut one, mut other) = (Node::default(), Node::default());
    other = other.with_store(Store::with_hash_seed(77));
    for count in [10_000, 20_000] {
        let transaction = || command(OnNo::Undo, all(keys[..count].iter().map(put)));
        let answer = one.apply(&transaction());
        assert_eq!(other.apply(&transaction()), answer);
        let Ok(Answer::Transaction(transacted)) = Answer::decode(&answer) else { panic!("a yes") };
        assert_eq!(transacted.answers.len(), count);
    }
    assert_eq!(one.store.revision(), 3);
    assert_eq!(events(&one, 3).len(), 20_000);
    // All of them are undone.
    let before = everything(&one);
    let last = add(b"\0\0\0\0\0\0\0\0", 1);
    let answer = one.apply(&command(OnNo::Undo, all(keys.iter().map(put).chain([last]))));
    assert!(shown(&answer).starts_with("undone@3 [20000]"), "{}", shown(&answer));
    assert!(everything(&one) == before);
    // What was nested deeper than the check allows, and could be read, is carried out.
    assert!(shown(&one.apply(&command(OnNo::Undo, nest(20)))).starts_with("yes@4"));
    let deep = shown(&one.apply(&command(OnNo::Undo, nest(100))));
    assert!(deep.contains("nested too deep"), "{deep}");
}

/// etcd decides before it changes, also what is nested.
#[test]
fn compares_that_are_decided_first_see_nothing_of_the_transaction() {
    let exists = || single(b"k", Relation::Equal, Target::Exists(true));
    let inner = || nested(when([exists()], [put(b"then", b"")], [put(b"else", b"")]));
    let outer = || all([put(b"k", b"1"), inner(), nested(all([inner()]))]);
    let mut node = Node::default();
    assert_eq!(
        apply_decided_first(&mut node, outer()),
        "yes@2 [put@2, no@2 [put@2], yes@2 [no@2 [put@2]]]"
    );
    assert_eq!(apply(&mut node, outer()), "yes@3 [put@3, yes@3 [put@3], yes@3 [yes@3 [put@3]]]");
    let refused = all([put(b"k", b"2"), add(b"k", i64::MAX), add(b"k", 1)]);
    assert_eq!(
        apply_decided_first(&mut node, refused),
        "undone@3 [1]: the sum is beyond the numbers of 64 bits"
    );
}

#[test]
fn a_put_can_ask_for_a_key_that_exists_and_leave_it_its_value() {
    let mut node = Node::default();
    let with = |value, existing| {
        let options = PutOptions { returns_previous: true, existing, ..PutOptions::default() };
        Command::PutWith { key: b"k", value, options }
    };
    for existing in [Existing::Required, Existing::KeepsValue] {
        let answer = shown(&node.apply(&with(b"1", existing)));
        assert_eq!(answer, "no@1: there is no such key");
    }
    node.apply(&with(b"1", Existing::Any));
    let answers = [Existing::Required, Existing::KeepsValue, Existing::Any]
        .map(|existing| shown(&node.apply(&with(b"2", existing))));
    assert_eq!(answers, ["put@3 over 1", "put@4 over 2", "put@5 over 2"]);
}
