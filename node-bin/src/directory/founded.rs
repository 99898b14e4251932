//! A data directory that is made of a state: that of the first node of a new cluster.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use kv_store::store::Store;
use raft_core::configuration::Configuration;
use raft_core::hard_state::{HardState, Standing};
use raft_core::replica::snapshots::Loaded;
use raft_core::types::{EntryId, Index, NodeId};
use raft_core::wal::disk::DiskError;
use raft_core::wal::identity::Identity;
use raft_core::wal::snapshots::Snapshots;
use raft_core::wal::{OpenError, Wal, WalError, WalOptions};

use super::new_incarnation;
use crate::disk::FileDisk;
use crate::error::StartError;

/// The log has nothing yet; the node makes longer segments. Units: bytes.
const SEGMENT_BYTES: u64 = 1024 * 1024;

/// The one node of a new cluster.
#[derive(Clone, Debug)]
pub(crate) struct Founder {
    pub(crate) node_id: NodeId,
    /// Where it will be reached.
    pub(crate) address: String,
    /// The number of the next member, at least.
    pub(crate) next_id: u64,
}

/// What was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Founded {
    pub(crate) cluster_id: u64,
    /// The revision of its store.
    pub(crate) revision: u64,
}

/// Makes a directory with the state after the entry `last`, as that of a new cluster of one. The
/// directory is there whole when this returns, or is as it was.
///
/// Errors: `Occupied` if something is there already; others as a start.
pub(crate) fn found(
    directory: &Path,
    founder: &Founder,
    (state, last): (Loaded<Store>, EntryId),
) -> Result<Founded, StartError> {
    check_is_free(directory)?;
    let unfinished = beside(directory, &format!("unfinished-{}", std::process::id()));
    let made = make(&unfinished, founder, (state, last)).and_then(|founded| {
        let renamed = rename(&unfinished, directory);
        renamed.map_err(|source| unusable(directory, source))?;
        Ok(founded)
    });
    if made.is_err() {
        // The error that counts is the first.
        let _ = fs::remove_dir_all(&unfinished);
    }
    made
}

/// A path in the same folder.
pub(crate) fn beside(directory: &Path, suffix: &str) -> PathBuf {
    let mut name = directory.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{suffix}"));
    directory.with_file_name(name)
}

/// Whether nothing is there, or nothing in it.
///
/// Errors: `Occupied`.
pub(crate) fn check_is_free(directory: &Path) -> Result<(), StartError> {
    match fs::read_dir(directory) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(StartError::Occupied { directory: directory.to_owned() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unusable(directory, error)),
    }
}

/// Renames a directory and makes that durable; an empty one of the new name gives way.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn unusable(directory: &Path, source: io::Error) -> StartError {
    StartError::Directory { directory: directory.to_owned(), source }
}

fn make(
    directory: &Path,
    Founder { node_id, address, next_id }: &Founder,
    (mut state, last): (Loaded<Store>, EntryId),
) -> Result<Founded, StartError> {
    fs::create_dir_all(directory).map_err(|source| unusable(directory, source))?;
    let members = BTreeMap::from([(*node_id, address.clone())]);
    let identity = Identity {
        cluster_id: new_incarnation().0,
        node_id: *node_id,
        incarnation: new_incarnation(),
        members: members.clone(),
        learners: [].into(),
        promise_us: 0,
    };
    let mut disk = FileDisk::new(directory);
    identity
        .store(&mut disk)
        .map_err(|source| StartError::Identity { directory: directory.to_owned(), source })?;
    let mut configuration = Configuration::founding(members);
    configuration.next_id = configuration.next_id.max(*next_id);
    let segment_configuration = configuration.encode();
    (state.state.configuration, state.state.configured_at) = (configuration, Index::ZERO);
    state.state.bindings = [(*node_id, identity.incarnation)].into();
    let revision = state.machine_mut().leave_history();

    let snapshots = |source| StartError::Snapshots { directory: directory.to_owned(), source };
    let (mut files, _) = Snapshots::open(FileDisk::new(directory)).map_err(snapshots)?;
    state.write(last, &mut files).map_err(snapshots)?;

    let log = |source| StartError::Log { directory: directory.to_owned(), source };
    let options = WalOptions {
        segment_bytes: SEGMENT_BYTES,
        incarnation: identity.incarnation,
        configuration: segment_configuration,
        base: EntryId::ZERO,
    };
    let (mut wal, _) = Wal::open(disk, options).map_err(log)?;
    // The state is all of it, so nothing that was promised before binds the new cluster.
    let (term, commit_index) = (last.term, last.index);
    let hard_state = HardState { term, vote: None, commit_index, standing: Standing::Full };
    wal.persist(Some(last), &hard_state, &[]).map_err(|error| log(opening(&error)))?;
    Ok(Founded { cluster_id: identity.cluster_id, revision })
}

fn opening(error: &WalError) -> OpenError {
    let cause = DiskError::Failed(error.to_string());
    OpenError::Disk { action: "begin", file: "the log".to_owned(), cause }
}
