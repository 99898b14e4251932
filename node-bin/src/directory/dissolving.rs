//! Giving up a cluster of one that holds nothing: its directory is emptied for another cluster.
//!
//! What counts is what the log of the stopped node says, and not what anybody remembers: with a
//! command, a change of the members, a snapshot, or anything that cannot be read in it, the
//! directory stays as it is.
//! A name marks the directory first, so that an interrupted attempt is completed at the next
//! start and half a log is never taken for a whole one.

use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use raft_core::entry::EntryKind;
use raft_core::wal::dump::{Item, Verdict, dump};
use raft_core::wal::identity::IDENTITY_FILE;

use super::{FOUNDING_FILE, LOCK_FILE, lock, owner};
use crate::disk::FileDisk;
use crate::error::StartError;

/// What the identity is called while its directory is being emptied.
const DISSOLVED_FILE: &str = "identity.dissolved";

/// Empties the directory of a node that has stopped, if it is all of its cluster and holds
/// nothing of a client's. Otherwise returns what it holds, and changes nothing.
///
/// Errors: `StartError`; the next start completes what was begun.
pub(crate) fn dissolve(directory: &Path) -> Result<Option<String>, StartError> {
    let _lock = lock(directory)?;
    if let Some(held) = what_is_held(directory)? {
        return Ok(Some(held));
    }
    let unusable = |source| StartError::Directory { directory: directory.to_owned(), source };
    fs::rename(directory.join(IDENTITY_FILE), directory.join(DISSOLVED_FILE))
        .and_then(|()| sync(directory))
        .and_then(|()| empty(directory))
        .map_err(unusable)?;
    Ok(None)
}

/// Completes what an earlier life of the node has begun.
///
/// Errors: `StartError`; trying again is safe.
pub(crate) fn complete(directory: &Path) -> Result<(), StartError> {
    if !directory.join(DISSOLVED_FILE).exists() {
        return Ok(());
    }
    let _lock = lock(directory)?;
    let unusable = |source| StartError::Directory { directory: directory.to_owned(), source };
    empty(directory).map_err(unusable)
}

/// What keeps a directory from being emptied.
fn what_is_held(directory: &Path) -> Result<Option<String>, StartError> {
    let Some(identity) = owner(directory)? else {
        return Ok(Some("nobody's log".to_owned()));
    };
    if !identity.members.keys().eq([&identity.node_id]) {
        return Ok(Some("other members".to_owned()));
    }
    let unusable = |source| StartError::Directory { directory: directory.to_owned(), source };
    let names = names(directory).map_err(unusable)?;
    if names.iter().any(|name| name.starts_with(SNAPSHOT)) {
        return Ok(Some("a snapshot".to_owned()));
    }
    let mut held = None;
    let walk = dump(&mut FileDisk::for_reading(directory), |item| {
        held = match item {
            Item::Entry(entry) => match entry.kind {
                EntryKind::Noop | EntryKind::Bind => None,
                EntryKind::Command => Some("commands"),
                EntryKind::Change | EntryKind::Configure => Some("a change of the members"),
            },
            Item::Verdict(Verdict::Damaged(_)) => Some("damage"),
            Item::Verdict(_) | Item::Slot { .. } | Item::Segment { .. } | Item::Batch(_) => None,
        };
        if held.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    walk.map_err(|source| StartError::Log { directory: directory.to_owned(), source })?;
    Ok(held.map(str::to_owned))
}

/// How the names of snapshots begin.
const SNAPSHOT: &str = "snapshot-";

/// How the names of all files begin that a node writes, but for the lock.
const OURS: [&str; 5] = ["wal-", "hard-state", SNAPSHOT, IDENTITY_FILE, FOUNDING_FILE];

/// Removes what a node has written, the mark last.
fn empty(directory: &Path) -> io::Result<()> {
    for name in names(directory)? {
        let is_ours = OURS.iter().any(|ours| name.starts_with(ours));
        if is_ours && name != DISSOLVED_FILE && name != LOCK_FILE {
            fs::remove_file(directory.join(name))?;
        }
    }
    sync(directory)?;
    fs::remove_file(directory.join(DISSOLVED_FILE))?;
    sync(directory)
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(directory)?;
    names.map(|entry| entry.map(|it| it.file_name().to_string_lossy().into_owned())).collect()
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
