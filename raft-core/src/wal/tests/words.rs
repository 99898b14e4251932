//! What people are told when something is wrong with a file: what happened, to which file, and
//! what to do when there is anything to be done.

use crate::snapshot::SnapshotId;
use crate::types::{EntryId, Incarnation, Index, NodeId, Term};
use crate::wal::disk::DiskError;
use crate::wal::identity::IdentityError;
use crate::wal::snapshots::SnapshotError;
use crate::wal::{OpenError, WalError};

fn cause() -> DiskError {
    DiskError::Failed("it is on fire".to_owned())
}

fn file() -> String {
    "wal-7".to_owned()
}

fn assert_says(text: &str, words: &[&str]) {
    assert!(words.iter().all(|word| text.contains(word)), "{text} lacks one of {words:?}");
    assert!(!text.ends_with('.') && !text.contains('\n'), "one line without a full stop: {text}");
}

#[test]
fn what_is_wrong_with_the_log_is_said_with_its_file() {
    let action = "read";
    for (error, words) in [
        (WalError::NoSpace(DiskError::NoSpace), ["no space left", "free space and try again"]),
        (WalError::Fault { action, file: file(), cause: cause() }, ["read wal-7", "must stop"]),
        (
            WalError::Damaged { file: file(), offset: 9, index: Index(4) },
            ["in wal-7 at byte 9, entry 4", "restart the node"],
        ),
        (WalError::Unreadable { file: file(), cause: cause() }, ["read wal-7", "on fire"]),
    ] {
        assert_says(&error.to_string(), &words);
        let opening = OpenError::from(error);
        assert!(matches!(opening, OpenError::Disk { .. }), "it ends the start: {opening}");
    }
    let foreign = OpenError::Foreign { file: file(), found: Incarnation(0xbeef) };
    for (error, words) in [
        (OpenError::Disk { action, file: file(), cause: cause() }, ["read wal-7", "on fire"]),
        (foreign, ["wal-7 belongs to another", "000000000000beef"]),
        (OpenError::Format { file: file(), found: 9 }, ["wal-7 has layout 9", "the version"]),
    ] {
        assert_says(&error.to_string(), &words);
    }
}

#[test]
fn what_is_wrong_with_a_snapshot_is_said_with_its_file_or_name() {
    let last = EntryId { term: Term(2), index: Index(30) };
    let id = SnapshotId { last, bytes: 100, checksum: 1 };
    let action = "write";
    for (error, words) in [
        (SnapshotError::Disk { action, file: file(), cause: cause() }, ["write wal-7", "fire"]),
        (SnapshotError::Damaged { file: file(), offset: 9 }, ["wal-7 is damaged", "byte 9"]),
        (SnapshotError::Gone(id), ["2/30", "no snapshot"]),
        (SnapshotError::NotNewer { newest: id }, ["2/30", "covers more"]),
        (SnapshotError::TooLong { bytes: 9, bytes_max: 8 }, ["9 bytes", "8 are allowed"]),
        (SnapshotError::Format { file: file(), found: 9 }, ["wal-7 has layout 9", "the version"]),
    ] {
        assert_says(&error.to_string(), &words);
    }
}

#[test]
fn what_is_wrong_with_an_identity_is_said_with_the_line() {
    let node = NodeId::new(4).unwrap();
    for (error, words) in [
        (IdentityError::Disk(cause()), ["identity", "on fire"]),
        (IdentityError::Checksum, ["checksum does not match", "empty directory"]),
        (IdentityError::Line { number: 3, problem: "unknown key" }, ["line 3", "unknown key"]),
        (IdentityError::Missing("format"), ["identity", "has no format"]),
        (IdentityError::Address(node), ["node 4", "line"]),
        (IdentityError::TooLong, ["identity", "longer than"]),
    ] {
        assert_says(&error.to_string(), &words);
    }
}
