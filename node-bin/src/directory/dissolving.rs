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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::PathBuf;

    use kv_store::store::Store;
    use raft_core::entry::{Draft, SessionStamp, Stamp};
    use raft_core::hard_state::{HardState, Standing};
    use raft_core::types::{Index, NodeId, Term};

    use super::super::{Claim, Data, open};
    use super::*;

    /// A directory with a cluster in whose log stand entries of these kinds; gone when dropped.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str, members: u64, kinds: &[EntryKind]) -> Self {
            let name = format!("kvorum-dissolving-{name}-{}", std::process::id());
            let place = Self(std::env::temp_dir().join(name));
            fs::create_dir_all(&place.0).unwrap();
            let ids = (1..=members).map(|id| NodeId::new(id).unwrap());
            let claim = Claim {
                node_id: NodeId::new(1).unwrap(),
                members: ids.map(|id| (id, format!("a:{id}"))).collect(),
                learners: BTreeSet::new(),
                address: "a:1".to_owned(),
                cluster_id: Some(7),
                renews_addresses: false,
                promise_us: 0,
                segment_bytes: 1 << 20,
            };
            let data = Data::Directory(place.0.clone());
            let mut opened = open(data, &claim, &Store::default()).unwrap();
            let mut draft = Draft::default();
            for kind in kinds {
                draft.push(*kind, &SessionStamp::default(), b"");
            }
            if !draft.is_empty() {
                let (term, first) = (Term(1), Index(1));
                let stamp =
                    Stamp { term, first, log_time: 0, wall_time: 0, feature_level: 1, seed: 0 };
                let standing = Standing::Full;
                let state = HardState { term, vote: None, commit_index: Index::ZERO, standing };
                opened.wal.append(&state, &[draft.stamp(&stamp)]).unwrap();
                // As a node does that ends: from then on damage is none that a crash makes.
                opened.wal.mark().unwrap();
            }
            place
        }

        fn write(&self, name: &str) {
            fs::write(self.0.join(name), b"x").unwrap();
        }

        fn files(&self) -> BTreeMap<String, Vec<u8>> {
            let read = |name: String| (name.clone(), fs::read(self.0.join(name)).unwrap());
            names(&self.0).unwrap().into_iter().map(read).collect()
        }

        /// What is left, but for the lock.
        fn left(&self) -> Vec<String> {
            self.files().into_keys().filter(|name| name != LOCK_FILE).collect()
        }

        /// Sees that it is not emptied, because of this, and that no byte has changed.
        fn check_kept(&self, held: &str) {
            let before = self.files();
            assert_eq!(dissolve(&self.0).unwrap().as_deref(), Some(held));
            complete(&self.0).unwrap();
            assert!(self.files() == before, "{held}: {:?}", self.left());
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            // What is left over harms nobody.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_cluster_of_one_without_anything_of_a_clients_is_given_up() {
        for kinds in [&[][..], &[EntryKind::Noop, EntryKind::Bind, EntryKind::Noop]] {
            let place = Place::new("empty", 1, kinds);
            place.write("notes.txt");
            assert_eq!(dissolve(&place.0).unwrap(), None);
            assert_eq!(place.left(), ["notes.txt"], "what others put there stays");
            assert!(owner(&place.0).unwrap().is_none());
        }
    }

    #[test]
    fn what_holds_something_stays_as_it_is() {
        let noop = EntryKind::Noop;
        for (held, kind) in [
            ("commands", EntryKind::Command),
            // It never stands in a log.
            ("damage", EntryKind::Change),
            ("a change of the members", EntryKind::Configure),
        ] {
            Place::new("entries", 1, &[noop, kind, noop]).check_kept(held);
        }
        Place::new("members", 2, &[noop]).check_kept("other members");
        let place = Place::new("snapshot", 1, &[noop]);
        place.write(&format!("{SNAPSHOT}1-1"));
        place.check_kept("a snapshot");
        fs::remove_file(place.0.join(IDENTITY_FILE)).unwrap();
        place.check_kept("nobody's log");
    }

    #[test]
    fn a_log_that_cannot_be_read_is_never_taken_for_an_empty_one() {
        let place = Place::new("damage", 1, &[EntryKind::Noop, EntryKind::Command]);
        let before = place.files();
        let (segment, whole) = before.iter().find(|(name, _)| name.starts_with("wal-")).unwrap();
        let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
        for at in 0..=end {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            fs::write(place.0.join(segment), changed).unwrap();
            // An error keeps it as well.
            let said = dissolve(&place.0);
            assert!(!matches!(said, Ok(None)), "byte {at} of {segment} is not what it was");
            assert_eq!(place.left().len(), before.len() - 1, "byte {at}");
        }
    }

    #[test]
    fn what_was_interrupted_is_completed_at_the_next_start() {
        for removed in 0.. {
            let place = Place::new("interrupted", 1, &[EntryKind::Noop]);
            place.write("notes.txt");
            fs::rename(place.0.join(IDENTITY_FILE), place.0.join(DISSOLVED_FILE)).unwrap();
            let ours = |name: &String| name != DISSOLVED_FILE && name != "notes.txt";
            let ours: Vec<String> = place.left().into_iter().filter(ours).collect();
            if ours.len() < removed {
                break;
            }
            ours[..removed].iter().for_each(|name| fs::remove_file(place.0.join(name)).unwrap());
            complete(&place.0).unwrap();
            assert_eq!(place.left(), ["notes.txt"], "{removed} of {ours:?} were gone");
        }
    }
}
