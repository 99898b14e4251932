//! What is said to people: one line for each no, without an end.

use kv_store::command::{
    Answer, AuthChange, AuthQuery, Collection, Command, Item, KeyRange, Kind, Limits, List, Name,
    No, OnNo, Operation, PutOptions, Query, RESTORE_REVISION_MAX, RestorePlan, RestoreStep,
    Selection, Transaction,
};
use kv_store::watching::End;
use raft_core::replica::state_machine::StateMachine as _;

use crate::node::Node;

#[test]
fn each_no_is_one_line_that_says_what_is_wrong() {
    for (why, words) in [
        (No::Compacted { oldest: 9 }, "the revision has been compacted, the oldest one is 9"),
        (No::Future { newest: 9 }, "the revision has not come yet, the newest one is 9"),
        (No::WrongType { found: Kind::Hash }, "wrong type: the key is a HASH"),
        (No::WrongType { found: Kind::Set }, "wrong type: the key is a SET"),
        (No::LeaseUnknown { id: 7 }, "there is no lease 7, it may have ended"),
        (No::LeaseExists { id: 7 }, "there is a lease 7 already"),
        (No::KeyUnknown, "there is no such key"),
        (No::UserExists, "there is a user of this name already"),
        (No::UserUnknown, "there is no such user"),
        (No::RoleExists, "there is a role of this name already"),
        (No::RoleUnknown, "there is no such role"),
        (No::RoleNotGranted, "the user has not got the role"),
        (No::PermissionNotGranted, "the role has not got the permission"),
        (No::PieceExpected { number: 9 }, "piece 9 of the restore comes next"),
        (
            No::RestoreUnknown { id: 9 },
            "restore 0000000000000009 is not under way: another one took its place, or nothing \
             was heard of it for too long",
        ),
        (No::AuthFull { limit: 9 }, "users and roles would be above the limit of 9 bytes"),
    ] {
        assert_eq!(why.to_string(), words);
    }
}

fn plan(revision: u64) -> RestorePlan {
    RestorePlan { id: 1, revision, is_foreign: false, log_time: 0, grace_ms: 0 }
}

/// What has no key and no value of its own is within the limits, and questions are checked as
/// commands are.
#[test]
fn commands_and_questions_are_checked_whatever_they_are() {
    let limits = Limits::default();
    let leases: List<u64> = [1, 2].into_iter().collect();
    for command in [
        Command::Compact { revision: 5 },
        Command::RevokeLease { id: 1 },
        Command::RenewLeases { ids: leases },
        Command::RemoveEnded,
        Command::Restore { step: RestoreStep::Begin(plan(RESTORE_REVISION_MAX)) },
        Command::Restore { step: RestoreStep::Piece { id: 1, number: 0, records: b"r" } },
    ] {
        assert_eq!(command.check(&limits), Ok(()), "{command:?}");
    }
    let step = RestoreStep::Begin(plan(RESTORE_REVISION_MAX + 1));
    let refused = Command::Restore { step }.check(&limits).unwrap_err().to_string();
    assert_eq!(refused, "the revision of the backup is too high");
    let names: List<Name<'_>> = [Name(b"f")].into_iter().collect();
    for query in [
        Query::History { key: b"", since: 0, limit: 0 },
        Query::Fields { key: b"", names, revision: 0 },
        Query::Remaining { key: b"", field: None },
        Query::Has { of: Collection::Set, key: b"", names: List::new(), revision: 0 },
        Query::Select(Selection::of(KeyRange::single(b""))),
    ] {
        let refused = query.check(&limits).unwrap_err().to_string();
        assert_eq!(refused, "key is not provided", "{query:?}");
    }
    let long = vec![b'k'; 70_000];
    let lease = Query::Lease { id: 1, from: &long };
    let words = "key of 70000 bytes is above the limit of 65537 bytes";
    assert_eq!(lease.check(&limits).unwrap_err().to_string(), words);
    assert_eq!(Query::Leases { from: 0 }.check(&limits), Ok(()));
}

/// A transaction changes keys and asks for them; what else there is travels by itself.
#[test]
fn a_transaction_takes_what_changes_keys_and_nothing_else() {
    let (key, value, options) = (&b"k"[..], &b"v"[..], PutOptions::default());
    let ranges = || [KeyRange::single(key)].into_iter().collect();
    let names = || [Name(b"n")].into_iter().collect();
    let fields = [Item { name: b"n", value }].into_iter().collect();
    let transaction = Box::new(Transaction::default());
    let of = Collection::Hash;
    for (command, is_part) in [
        (Command::Put { key, value }, true),
        (Command::PutWith { key, value, options }, true),
        (Command::Delete { ranges: ranges() }, true),
        (Command::DeleteReturning { ranges: ranges() }, true),
        (Command::SetFields { key, fields }, true),
        (Command::AddMembers { key, members: names() }, true),
        (Command::RemoveItems { of, key, names: names() }, true),
        (Command::Increment { key, field: None, by: 1 }, true),
        (Command::Expire { key, field: None, ttl_ms: 1 }, true),
        (Command::Compact { revision: 1 }, false),
        (Command::GrantLease { id: 1, ttl_ms: 1 }, false),
        (Command::RevokeLease { id: 1 }, false),
        (Command::RenewLeases { ids: [1].into_iter().collect() }, false),
        (Command::RemoveEnded, false),
        (Command::Restore { step: RestoreStep::Abandon { id: 1 } }, false),
        (Command::Auth { change: AuthChange::AddRole { name: "r" } }, false),
        (Command::Transaction { on_no: OnNo::Undo, transaction }, false),
    ] {
        assert_eq!(command.is_operation(), is_part, "{command:?}");
        assert_eq!(checked(Operation::Write(command.clone())), is_part, "{command:?}");
    }
    assert!(checked(Operation::Read(Query::Length { of, key, revision: 0 })));
    assert!(!checked(Operation::Read(Query::Hashes { from: 0 })));
    assert!(!checked(Operation::Read(Query::Auth { query: AuthQuery::Users })));
}

/// Whether a node lets a transaction with this operation through.
fn checked(operation: Operation<'_>) -> bool {
    let then = [operation].into_iter().collect();
    let transaction = Box::new(Transaction { then, ..Transaction::default() });
    let command = Command::Transaction { on_no: OnNo::Undo, transaction };
    command.check(&Limits::default()).is_ok()
}

/// The hashes of the newest commands are one node's own: it is asked for them by itself.
#[test]
fn a_node_tells_the_hashes_of_its_newest_commands_and_no_transaction_does() {
    let mut node = Node::default();
    node.put(b"a", b"1");
    let hash = node.store.state_hash();
    node.put(b"b", b"1");
    let bytes = node.ask(&Query::Hashes { from: 0 });
    let Ok(Answer::Hashes { revision: 3, newest, hashes }) = Answer::decode(&bytes) else {
        panic!("{bytes:?}")
    };
    assert_eq!(newest, node.store.state_hash());
    assert_eq!(hashes.iter().copied().collect::<Vec<_>>(), [(1, hash), (2, newest)]);
    let then = [Operation::Read(Query::Hashes { from: 0 })].into_iter().collect();
    let transaction = Box::new(Transaction { then, ..Transaction::default() });
    let bytes = node.apply(&Command::Transaction { on_no: OnNo::Undo, transaction });
    let undone = Answer::decode(&bytes).expect("the store writes answers");
    let why = No::NotInTransaction;
    let path = [0].into_iter().collect();
    assert_eq!(undone, Answer::Undone { revision: 3, path, why });
    assert!(!Command::decode(&bytes[..1]).unwrap_err().to_string().is_empty());
    assert!(!Command::decode(b"").unwrap_err().to_string().contains('\n'));
}

#[test]
fn the_end_of_a_watch_says_where_to_go_on() {
    for (end, words) in [
        (End::Unwatched, "there is no such watch any more"),
        (End::Compacted { oldest: 9 }, "the revision has been compacted, the oldest one is 9"),
        (End::Slow { resume_at: 9 }, "go on at revision 9"),
        (End::TooLarge { revision: 9 }, "revision 9 shows more than"),
        (End::NotHere { resume_at: 9 }, "go on at revision 9 at another node"),
    ] {
        assert!(end.to_string().contains(words), "{end}");
        assert!(!end.to_string().contains('\n'), "{end}");
    }
}
