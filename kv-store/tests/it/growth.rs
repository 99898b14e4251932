//! What the store takes in memory, and which commands make it larger.

use bytes::BytesMut;
use kv_store::command::{
    Collection, Command, Compare, Item, KeyRange, List, Name, OnNo, Operation, PutOptions, Query,
    Relation, RestoreStep, Target, Transaction,
};
use raft_core::replica::state_machine::StateMachine as _;

use crate::node::Node;

fn list<T>(items: impl IntoIterator<Item = T>) -> List<T> {
    items.into_iter().collect()
}

fn put(value: &'static [u8]) -> Command<'static> {
    Command::Put { key: b"key", value }
}

fn delete(key: &'static [u8]) -> Command<'static> {
    Command::Delete { ranges: list([KeyRange::single(key)]) }
}

fn transaction(
    then: Vec<Operation<'static>>,
    otherwise: Vec<Operation<'static>>,
) -> Transaction<'static> {
    Transaction { when: List::new(), then: list(then), otherwise: list(otherwise) }
}

fn whole(transaction: Transaction<'static>) -> Command<'static> {
    Command::Transaction { on_no: OnNo::Undo, transaction: Box::new(transaction) }
}

/// What the live bytes are more after a command.
fn added(node: &mut Node, command: &Command<'_>) -> i64 {
    let bytes = |node: &Node| i64::try_from(node.store.live_bytes()).expect("few");
    let before = bytes(node);
    node.apply(command);
    bytes(node) - before
}

#[test]
fn live_bytes_are_those_of_what_exists() {
    let mut node = Node::default();
    assert_eq!(node.store.live_bytes(), 0);
    let of_key = added(&mut node, &put(b"1"));
    assert!((100..300).contains(&of_key), "{of_key} bytes for a key of three and a value of one");
    assert_eq!(added(&mut node, &put(b"12345678901")), 10, "as much as the value is longer");
    assert_eq!(added(&mut node, &put(b"1")), -10, "history is not live");
    let longer = Command::Put { key: b"longer-key", value: b"1" };
    assert_eq!(added(&mut node, &longer), of_key + 7);
    assert_eq!(added(&mut node, &delete(b"longer-key")), -of_key - 7);
    assert_eq!(added(&mut node, &delete(b"key")), -of_key);

    let fields = list([Item { name: b"f", value: b"v" }, Item { name: b"g", value: b"v" }]);
    let of_hash = added(&mut node, &Command::SetFields { key: b"hash", fields });
    assert!(2 * of_key < of_hash, "{of_hash} bytes for a key and two fields");
    let names = list([Name(b"f")]);
    let of = Collection::Hash;
    let of_field = added(&mut node, &Command::RemoveItems { of, key: b"hash", names });
    assert!(of_hash / 4 < -of_field, "a field goes: {of_field}");
    let string = Command::Put { key: b"hash", value: b"" };
    assert!(added(&mut node, &string) < 0, "a string takes the place of a hash and its fields");
    node.apply(&delete(b"hash"));
    assert_eq!(node.store.live_bytes(), 0);

    let of_lease = added(&mut node, &Command::GrantLease { id: 7, ttl_ms: 1_000 });
    assert!(0 < of_lease);
    assert_eq!(added(&mut node, &Command::RenewLeases { ids: list([7]) }), 0);
    let options = PutOptions { lease: 7, ..PutOptions::default() };
    node.apply(&Command::PutWith { key: b"key", value: b"1", options });
    node.apply(&Command::RevokeLease { id: 7 });
    assert_eq!(node.store.live_bytes(), 0, "the lease goes with its key");

    let options = PutOptions { ttl_ms: 5, ..PutOptions::default() };
    node.apply(&Command::PutWith { key: b"key", value: b"1", options });
    node.log_time = 1_000_000;
    assert!(node.apply_due().is_some());
    assert_eq!(node.store.live_bytes(), 0, "what has ended is gone");
}

#[test]
fn a_transaction_that_is_undone_adds_nothing() {
    let mut node = Node::default();
    node.put(b"key", b"1");
    node.apply(&Command::AddMembers { key: b"set", members: list([Name(b"m")]) });
    let field =
        Command::SetFields { key: b"hash", fields: list([Item { name: b"f", value: b"v" }]) };
    let wrong = Command::Increment { key: b"set", field: None, by: 1 };
    let writes = [put(b"longer"), delete(b"set"), field, put(b"longest"), wrong];
    let undone = whole(transaction(writes.into_iter().map(Operation::Write).collect(), vec![]));
    assert!(0 < added(&mut node, &undone), "a key that is gone is no wrong type");
    let writes = [put(b"even longer"), delete(b"hash"), put(b"")];
    let wrong = Command::Increment { key: b"key", field: Some(Name(b"f")), by: 1 };
    let writes = writes.into_iter().chain([wrong]).map(Operation::Write).collect();
    assert_eq!(added(&mut node, &whole(transaction(writes, vec![]))), 0);
}

#[test]
fn what_may_add_to_the_store_grows_and_nothing_else_does() {
    let (key, value) = (&b"k"[..], &b""[..]);
    let ranges = || list([KeyRange::single(b"k")]);
    let names = || list([Name(b"n")]);
    let growing = [
        Command::Put { key, value },
        Command::PutWith { key, value, options: PutOptions::default() },
        Command::SetFields { key, fields: list([Item { name: b"n", value }]) },
        Command::AddMembers { key, members: names() },
        Command::Increment { key, field: None, by: -1 },
        Command::GrantLease { id: 0, ttl_ms: 1 },
        Command::Restore { step: RestoreStep::Piece { id: 1, number: 0, records: b"r" } },
    ];
    let others = [
        Command::Delete { ranges: ranges() },
        Command::DeleteReturning { ranges: ranges() },
        Command::Compact { revision: 9 },
        Command::RemoveItems { of: Collection::Set, key, names: names() },
        Command::RevokeLease { id: 1 },
        Command::RenewLeases { ids: list([1]) },
        Command::Expire { key, field: None, ttl_ms: 1 },
        Command::RemoveEnded,
        Command::Restore { step: RestoreStep::Finish { id: 1, pieces: 1 } },
    ];
    let grows = |command: &Command<'_>| {
        let mut bytes = BytesMut::new();
        command.encode(&mut bytes);
        assert_eq!(Node::default().store.grows(&bytes), command.grows(), "{command:?}");
        command.grows()
    };
    for command in &growing {
        assert!(grows(command), "{command:?}");
    }
    for command in &others {
        assert!(!grows(command), "{command:?}");
    }
    let read = Operation::Read(Query::Range { range: KeyRange::single(b"k"), limit: 0 });
    let remove = || Operation::Write(delete(b"k"));
    let add = || Operation::Write(put(b"v"));
    let nested = |inner| Operation::Nested(Box::new(inner));
    let target = Target::Exists(true);
    let range = KeyRange::single(b"k");
    let when = list([Compare { range, relation: Relation::Equal, target }]);
    let then = list([remove()]);
    let harmless = Transaction { when, then, otherwise: list([read]) };
    assert!(!grows(&whole(harmless)));
    assert!(grows(&whole(transaction(vec![remove(), add()], vec![]))));
    assert!(grows(&whole(transaction(vec![remove()], vec![add()]))), "in either branch");
    let inner = |operation| transaction(vec![], vec![nested(transaction(vec![operation], vec![]))]);
    assert!(grows(&whole(transaction(vec![nested(inner(add()))], vec![]))));
    assert!(!grows(&whole(transaction(vec![nested(inner(remove()))], vec![]))));
    assert!(!Node::default().store.grows(b"\xff no command"), "which changes nothing");
}
