//! What is said to people: one line for each no, without an end.

use kv_store::command::{Command, Kind, Limits, List, Name, No, Query};
use kv_store::watching::End;

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
    ] {
        assert_eq!(why.to_string(), words);
    }
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
    ] {
        assert_eq!(command.check(&limits), Ok(()), "{command:?}");
    }
    let names: List<Name<'_>> = [Name(b"f")].into_iter().collect();
    for query in [
        Query::History { key: b"", since: 0, limit: 0 },
        Query::Fields { key: b"", names, revision: 0 },
        Query::Remaining { key: b"", field: None },
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
