//! Leases, and keys and fields with an end.

use bytes::BytesMut;
use kv_store::command::{
    Answer, Command, Compare, Item, KeyRange, Limits, List, Name, No, OnNo, Operation, PutOptions,
    Query, Relation, TTL_MS_MAX, Target, Transaction,
};
use kv_store::store::Store;
use raft_core::replica::state_machine::StateMachine as _;

use crate::node::{Node, Numbers};

const SECOND_US: u64 = 1_000_000;

fn answer(bytes: &BytesMut) -> Answer<'_> {
    Answer::decode(bytes).expect("the store writes answers")
}

fn grant(node: &mut Node, id: u64, ttl_ms: u64) -> u64 {
    match answer(&node.apply(&Command::GrantLease { id, ttl_ms })) {
        Answer::Granted { id, ttl_ms: granted, .. } if granted == ttl_ms => id,
        other => panic!("a grant is not answered by {other:?}"),
    }
}

fn put(node: &mut Node, key: &[u8], options: PutOptions) -> BytesMut {
    node.apply(&Command::PutWith { key, value: b"v", options })
}

fn with_lease(node: &mut Node, key: &[u8], lease: u64) {
    let bytes = put(node, key, PutOptions { lease, ..PutOptions::default() });
    assert!(matches!(answer(&bytes), Answer::PutOver { .. }), "{:?}", answer(&bytes));
}

fn with_ttl(node: &mut Node, key: &[u8], ttl_ms: u64) {
    let bytes = put(node, key, PutOptions { ttl_ms, ..PutOptions::default() });
    assert!(matches!(answer(&bytes), Answer::PutOver { .. }), "{:?}", answer(&bytes));
}

fn expire(node: &mut Node, key: &[u8], field: Option<&[u8]>, ttl_ms: u64) -> Result<u64, No> {
    let field = field.map(Name);
    match answer(&node.apply(&Command::Expire { key, field, ttl_ms })) {
        Answer::Changed { count, .. } => Ok(count),
        Answer::No { why, .. } => Err(why),
        other => panic!("an expiry is not answered by {other:?}"),
    }
}

fn all_keys(node: &Node) -> Vec<Vec<u8>> {
    node.keys(KeyRange::prefix(b""), 0).0
}

/// Whether the key exists, and how long it stays yet.
fn remaining(node: &Node, key: &[u8], field: Option<&[u8]>) -> (bool, Option<u64>) {
    match answer(&node.ask(&Query::Remaining { key, field: field.map(Name) })) {
        Answer::Remaining { exists, remaining_ms, .. } => (exists, remaining_ms),
        other => panic!("what remains is not answered by {other:?}"),
    }
}

fn lease_keys(node: &Node, id: u64) -> Result<(u64, u64, Vec<Vec<u8>>), No> {
    match answer(&node.ask(&Query::Lease { id, from: b"" })) {
        Answer::Lease { ttl_ms, remaining_ms, keys, more: false, .. } => {
            Ok((ttl_ms, remaining_ms, keys.iter().map(|key| key.0.to_vec()).collect()))
        }
        Answer::No { why, .. } => Err(why),
        other => panic!("a lease is not answered by {other:?}"),
    }
}

#[test]
fn a_lease_takes_its_keys_with_it_in_one_revision() {
    let mut node = Node::default();
    assert_eq!(grant(&mut node, 7, 10_000), 7);
    with_lease(&mut node, b"b", 7);
    with_lease(&mut node, b"a", 7);
    node.put(b"c", b"stays");
    let revision = node.store.revision();
    assert_eq!(lease_keys(&node, 7), Ok((10_000, 10_000, vec![b"a".to_vec(), b"b".to_vec()])));
    assert_eq!(remaining(&node, b"a", None), (true, Some(10_000)));
    let behind = node.ask(&Query::Lease { id: 7, from: b"a\0" });
    let Answer::Lease { keys, .. } = answer(&behind) else { panic!("{:?}", answer(&behind)) };
    assert_eq!(keys.iter().map(|key| key.0).collect::<Vec<_>>(), [b"b"]);
    node.log_time = 10 * SECOND_US - 1;
    assert_eq!(node.apply_due(), None);
    assert_eq!(remaining(&node, b"a", None), (true, Some(1)));
    node.log_time += 1;
    assert!(node.apply_due().is_some());
    assert_eq!(all_keys(&node), [b"c"]);
    assert_eq!(node.store.revision(), revision + 1);
    assert_eq!(lease_keys(&node, 7), Err(No::LeaseUnknown { id: 7 }));
    assert_eq!(node.apply_due(), None);
    let events: Vec<_> = node.store.changes_since(revision + 1).expect("it is there").collect();
    assert_eq!(events.iter().map(|event| event.key).collect::<Vec<_>>(), [b"a", b"b"]);
    assert_eq!(events[0].previous.map(|kv| kv.attributes.lease), Some(7));
}

#[test]
fn who_renews_in_time_keeps_the_lease_whoever_says_that_it_has_ended() {
    let mut node = Node::default();
    grant(&mut node, 7, 1_000);
    with_lease(&mut node, b"a", 7);
    node.log_time = SECOND_US;
    let mut ended = BytesMut::new();
    node.store.due(node.log_time, &mut ended);
    assert!(!ended.is_empty(), "the leader sees that it has ended");
    // A renewal comes into the log before what the leader proposes.
    let bytes = node.apply(&Command::RenewLeases { ids: [7, 9].into_iter().collect() });
    let Answer::Renewed { ttls_ms, .. } = answer(&bytes) else { panic!("{:?}", answer(&bytes)) };
    assert_eq!(ttls_ms.iter().copied().collect::<Vec<_>>(), [1_000, 0]);
    node.apply_bytes(&ended);
    assert_eq!(all_keys(&node), [b"a"]);
    assert_eq!(remaining(&node, b"a", None), (true, Some(1_000)));
    // And from somebody whose clock is behind it does nothing either.
    node.log_time = 2 * SECOND_US;
    let late = node.log_time;
    node.log_time = SECOND_US / 2;
    node.apply_bytes(&ended);
    assert_eq!(all_keys(&node), [b"a"]);
    node.log_time = late;
    node.apply_bytes(&ended);
    assert!(all_keys(&node).is_empty());
}

#[test]
fn a_key_has_one_lease_the_last_it_was_put_with() {
    let mut node = Node::default();
    grant(&mut node, 7, 1_000);
    grant(&mut node, 8, 2_000);
    for key in [&b"a"[..], b"b", b"c", b"d"] {
        with_lease(&mut node, key, 7);
    }
    with_lease(&mut node, b"a", 8);
    node.put(b"b", b"without");
    node.delete(&[KeyRange::single(b"c")]);
    let keeps = PutOptions { keeps_end: true, ..PutOptions::default() };
    put(&mut node, b"d", keeps);
    assert_eq!(lease_keys(&node, 7).expect("it is there").2, [b"d"]);
    assert_eq!(lease_keys(&node, 8).expect("it is there").2, [b"a"]);
    let revoked = node.apply(&Command::RevokeLease { id: 7 });
    assert!(matches!(answer(&revoked), Answer::Deleted { count: 1, .. }));
    assert_eq!(all_keys(&node), [b"a", b"b"]);
}

#[test]
fn what_is_unknown_or_taken_changes_nothing() {
    let mut node = Node::default();
    grant(&mut node, 7, 1_000);
    let (revision, hash) = (node.store.revision(), node.store.state_hash());
    let no = |why| Answer::No { revision, why };
    let unknown = No::LeaseUnknown { id: 9 };
    let bytes = put(&mut node, b"a", PutOptions { lease: 9, ..PutOptions::default() });
    assert_eq!(answer(&bytes), no(unknown));
    assert_eq!(answer(&node.apply(&Command::RevokeLease { id: 9 })), no(unknown));
    let again = node.apply(&Command::GrantLease { id: 7, ttl_ms: 5 });
    assert_eq!(answer(&again), no(No::LeaseExists { id: 7 }));
    assert_eq!(expire(&mut node, b"a", None, 5), Ok(0));
    assert_eq!(remaining(&node, b"a", None), (false, None));
    assert_eq!((node.store.revision(), node.store.state_hash()), (revision, hash));
    let free = grant(&mut node, 0, 1_000);
    assert!(free != 0 && free != 7);
    // The entry after this one has an index that is the id of a lease.
    let taken = free + 2;
    grant(&mut node, taken, 1_000);
    assert_eq!(grant(&mut node, 0, 1_000), taken + 1);
    let Answer::Leases { ids, more: false, .. } = answer(&node.ask(&Query::Leases { from: 8 }))
    else {
        panic!("leases")
    };
    assert!(!ids.contains(&7) && ids.contains(&taken));
}

#[test]
fn keys_and_fields_end_at_their_time_and_not_before() {
    let mut node = Node::default();
    with_ttl(&mut node, b"a", 1_000);
    with_ttl(&mut node, b"b", 2_000);
    let fields = |names: [&'static [u8]; 2]| Command::SetFields {
        key: b"h",
        fields: names.into_iter().map(|name| Item { name, value: b"5" }).collect(),
    };
    node.apply(&fields([b"f", b"g"]));
    assert_eq!(expire(&mut node, b"h", Some(b"f"), 1_000), Ok(1));
    assert_eq!(expire(&mut node, b"h", Some(b"none"), 1_000), Ok(0));
    assert_eq!(
        expire(&mut node, b"a", Some(b"f"), 1).unwrap_err().to_string(),
        "wrong type: the key is a STRING"
    );
    assert_eq!(remaining(&node, b"h", Some(b"f")), (true, Some(1_000)));
    assert_eq!(remaining(&node, b"h", Some(b"g")), (true, None));
    node.log_time = SECOND_US;
    node.apply_due().expect("two have ended");
    assert_eq!(all_keys(&node), [&b"b"[..], b"h"]);
    assert_eq!(remaining(&node, b"h", Some(b"f")), (false, None));
    // The last field takes the hash with it.
    assert_eq!(expire(&mut node, b"h", Some(b"g"), 500), Ok(1));
    assert_eq!(expire(&mut node, b"b", None, 0), Ok(1));
    node.log_time = 9 * SECOND_US;
    node.apply_due().expect("one has ended");
    assert_eq!(all_keys(&node), [b"b"]);
    assert_eq!(remaining(&node, b"b", None), (true, None));
}

#[test]
fn who_adds_keeps_the_end_and_who_sets_anew_takes_it_away() {
    let mut node = Node::default();
    let increment = |field| Command::Increment { key: b"n", field, by: 1 };
    node.apply(&increment(None));
    expire(&mut node, b"n", None, 9_000).expect("it is a number");
    node.apply(&increment(None));
    assert_eq!(remaining(&node, b"n", None), (true, Some(9_000)));
    node.put(b"n", b"1");
    assert_eq!(remaining(&node, b"n", None), (true, None));
    node.delete(&[KeyRange::single(b"n")]);
    let field = Some(Name(b"f"));
    node.apply(&increment(field));
    expire(&mut node, b"n", field.map(|name| name.0), 9_000).expect("it is a number");
    expire(&mut node, b"n", None, 5_000).expect("it is a hash");
    node.apply(&increment(field));
    assert_eq!(remaining(&node, b"n", Some(b"f")), (true, Some(9_000)));
    // A hash keeps its end whatever becomes of its fields.
    assert_eq!(remaining(&node, b"n", None), (true, Some(5_000)));
    let fields = [Item { name: b"f", value: b"1" }].into_iter().collect();
    node.apply(&Command::SetFields { key: b"n", fields });
    assert_eq!(remaining(&node, b"n", Some(b"f")), (true, None));
    assert_eq!(remaining(&node, b"n", None), (true, Some(5_000)));
    node.log_time = 5 * SECOND_US;
    node.apply_due().expect("the hash has ended");
    assert!(all_keys(&node).is_empty());
}

#[test]
fn so_many_that_end_at_once_go_in_parts_of_whole_moments() {
    let mut one = Node::default();
    for number in 0..2_500u32 {
        // Each of three moments in turn, and keys in no order.
        one.log_time = u64::from(number % 3) * 1_000;
        with_ttl(&mut one, &number.wrapping_mul(0x9e37_79b9).to_be_bytes(), 1_000);
    }
    one.log_time = 2 * SECOND_US;
    // Where a record lies in memory is another place on every node.
    let mut other = one.with_store(copy_of(&one, 1 << 16));
    let mut left = Vec::new();
    loop {
        let answers = (one.apply_due(), other.apply_due());
        assert_eq!(answers.0, answers.1);
        assert_eq!(one.store.state_hash(), other.store.state_hash());
        if answers.0.is_none() {
            break;
        }
        left.push(all_keys(&one).len());
    }
    // A thousand, and the rest of the moment in which the last of them ends.
    assert_eq!(left, [833, 0]);
}

#[test]
fn a_loaded_store_ends_the_same_at_the_same_time() {
    let mut numbers = Numbers(11);
    let mut node = Node::default();
    for step in 0..600u64 {
        node.log_time = step * 10_000;
        let key = numbers.key();
        match numbers.below(7) {
            0 => drop(node.apply(&Command::GrantLease { id: 0, ttl_ms: 2_000 })),
            1 => {
                let Answer::Leases { ids, .. } =
                    answer(&node.ask(&Query::Leases { from: 0 })).clone()
                else {
                    panic!("leases")
                };
                let some = ids.iter().copied().step_by(3).collect::<List<u64>>();
                node.apply(&Command::RenewLeases { ids: some });
            }
            2 | 3 => {
                let bytes = node.ask(&Query::Leases { from: 0 });
                let Answer::Leases { ids, .. } = answer(&bytes) else { panic!("leases") };
                if let Some(&lease) = ids.get(numbers.below(ids.len().max(1))) {
                    put(&mut node, &key, PutOptions { lease, ..PutOptions::default() });
                }
            }
            4 => with_ttl(&mut node, &key, 1_500),
            5 => {
                let fields = [Item { name: b"f", value: b"v" }].into_iter().collect();
                node.apply(&Command::SetFields { key: &key, fields });
                let _ = expire(&mut node, &key, Some(b"f"), 700);
            }
            _ => drop(node.apply_due()),
        }
        if step % 60 == 59 {
            compare_with_a_copy(&node, 1 << (4 + step % 9));
        }
    }
}

/// What a store is that loaded a snapshot in parts of this size.
fn copy_of(node: &Node, part_bytes: usize) -> Store {
    let mut original = node.store.clone();
    original.pin();
    let mut store = Store::with_hash_seed(77);
    let mut more = true;
    while more {
        let mut part = BytesMut::new();
        more = original.read_pinned(part_bytes, &mut part);
        assert!(!part.is_empty());
        store.load(&part).expect("it was just written");
    }
    store.finish_load().expect("all of it was written");
    store
}

/// Lets a node and a copy of it go on until nothing is left that ends.
fn compare_with_a_copy(node: &Node, part_bytes: usize) {
    let (mut original, mut copy) = (node.clone(), node.with_store(copy_of(node, part_bytes)));
    for _ in 0..4_000 {
        let everything = KeyRange::prefix(b"");
        assert_eq!(copy.range(everything, 0), original.range(everything, 0));
        assert_eq!(copy.store.state_hash(), original.store.state_hash());
        let query = Query::Leases { from: 0 };
        assert_eq!(copy.ask(&query), original.ask(&query));
        copy.log_time += 10_000;
        original.log_time += 10_000;
        let ended = (copy.apply_due(), original.apply_due());
        assert_eq!(ended.0, ended.1);
        let Answer::Leases { ids, .. } = answer(&copy.ask(&query)).clone() else { return };
        if ids.is_empty() && ended.0.is_none() {
            return;
        }
    }
}

#[test]
fn times_to_live_have_limits() {
    let limits = Limits::default();
    let refused = |command: Command<'_>| command.check(&limits).map_err(|why| why.to_string());
    let put = |ttl_ms| {
        let options = PutOptions { ttl_ms, ..PutOptions::default() };
        Command::PutWith { key: b"k", value: b"", options }
    };
    let long = "time to live of 9000000000001 ms is above the limit of 9000000000000 ms";
    let over = TTL_MS_MAX + 1;
    assert_eq!(refused(put(TTL_MS_MAX)), Ok(()));
    assert_eq!(refused(put(over)), Err(long.to_owned()));
    assert_eq!(refused(Command::GrantLease { id: 1, ttl_ms: TTL_MS_MAX }), Ok(()));
    assert_eq!(refused(Command::GrantLease { id: 1, ttl_ms: over }), Err(long.to_owned()));
    let none = "a lease needs a time to live of at least 1 ms";
    assert_eq!(refused(Command::GrantLease { id: 1, ttl_ms: 0 }), Err(none.to_owned()));
    let expire = |ttl_ms| Command::Expire { key: b"k", field: None, ttl_ms };
    assert_eq!(refused(expire(0)), Ok(()));
    assert_eq!(refused(expire(over)), Err(long.to_owned()));
    let many = Command::RenewLeases { ids: (0..10_001).collect() };
    assert_eq!(refused(many), Err("renewal of 10001 leases is above the limit of 10000".into()));
}

#[test]
fn an_undone_transaction_moves_no_end() {
    let mut node = Node::default();
    grant(&mut node, 7, 5_000);
    with_ttl(&mut node, b"a", 1_000);
    with_lease(&mut node, b"b", 7);
    let fields = [Item { name: b"f", value: b"1" }].into_iter().collect();
    node.apply(&Command::SetFields { key: b"h", fields });
    expire(&mut node, b"h", Some(b"f"), 2_000).expect("it is a hash");
    let put = |key, options| Operation::Write(Command::PutWith { key, value: b"", options });
    let ends = PutOptions { ttl_ms: 500, ..PutOptions::default() };
    let wrong = Command::Increment { key: b"b", field: None, by: 1 };
    let then = [
        put(b"a", PutOptions::default()),
        put(b"b", ends),
        put(b"c", ends),
        put(b"h", PutOptions { lease: 7, ..PutOptions::default() }),
        Operation::Write(Command::Expire { key: b"b", field: None, ttl_ms: 400 }),
        Operation::Write(wrong),
    ];
    let transaction = Transaction { then: then.into_iter().collect(), ..Transaction::default() };
    let transaction = Box::new(transaction);
    let undone = node.apply(&Command::Transaction { on_no: OnNo::Undo, transaction });
    assert!(matches!(answer(&undone), Answer::Undone { .. }), "{:?}", answer(&undone));
    assert_eq!(remaining(&node, b"a", None), (true, Some(1_000)));
    assert_eq!(lease_keys(&node, 7).expect("it is there").2, [b"b"]);
    let mut left = Vec::new();
    for ms in [500, 999, 1_000, 1_999, 2_000, 4_999, 5_000] {
        node.log_time = ms * 1_000;
        while node.apply_due().is_some() {}
        left.push(all_keys(&node).len());
    }
    assert_eq!(left, [3, 3, 2, 2, 1, 1, 0]);
}

#[test]
fn a_transaction_gives_ends_and_compares_leases() {
    let mut node = Node::default();
    grant(&mut node, 7, 5_000);
    with_lease(&mut node, b"a", 7);
    let compare = |lease| Compare {
        range: KeyRange::single(b"a"),
        relation: Relation::Equal,
        target: Target::Lease(lease),
    };
    for (lease, remains) in [(8, Some(5_000)), (7, Some(1_000))] {
        let then = Operation::Write(Command::Expire { key: b"a", field: None, ttl_ms: 1_000 });
        let transaction = Box::new(Transaction {
            when: [compare(lease)].into_iter().collect(),
            then: [then].into_iter().collect(),
            otherwise: List::new(),
        });
        node.apply(&Command::Transaction { on_no: OnNo::Undo, transaction });
        assert_eq!(remaining(&node, b"a", None), (true, remains));
    }
    let lease = Command::RevokeLease { id: 7 };
    let transaction = Box::new(Transaction {
        then: [Operation::Write(lease)].into_iter().collect(),
        ..Transaction::default()
    });
    let command = Command::Transaction { on_no: OnNo::Undo, transaction };
    let refused = command.check(&Limits::default()).unwrap_err().to_string();
    assert_eq!(refused, "the command cannot be part of a transaction");
    let undone = node.apply(&command);
    assert!(matches!(answer(&undone), Answer::Undone { why: No::NotInTransaction, .. }));
    assert_eq!(all_keys(&node), [b"a"]);
}
