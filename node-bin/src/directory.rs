//! The data directory: who it belongs to, the one process that may use it, and its log.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use raft_core::consensus::log::RaftLog;
use raft_core::hard_state::{Configuration, HardState};
use raft_core::types::{EntryId, Incarnation, Index, NodeId};
use raft_core::wal::disk::Disk;
use raft_core::wal::identity::{IDENTITY_FILE, Identity};
use raft_core::wal::memory_disk::MemoryDisk;
use raft_core::wal::{OpenError, Recovered, Wal, WalError, WalOptions};
use sha2::{Digest, Sha256};

use crate::disk::{FileDisk, NodeDisk};
use crate::error::StartError;

const LOCK_FILE: &str = "lock";

/// Where a node keeps what it must not forget.
#[derive(Debug)]
pub enum Data {
    /// In a directory.
    Directory(PathBuf),
    /// In memory.
    Memory(MemoryDisk),
}

/// What the directory of a node is opened for.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) node_id: NodeId,
    /// Every member's address, this node's included; empty for "as recorded", and a cluster of
    /// one if nothing is.
    pub(crate) members: BTreeMap<NodeId, String>,
    /// Where this node can be reached.
    pub(crate) address: String,
    /// The cluster to found if the directory is empty; by default it follows from the members.
    pub(crate) cluster_id: Option<u64>,
    /// Whether the addresses that are given replace the recorded ones.
    pub(crate) renews_addresses: bool,
    pub(crate) segment_bytes: u64,
}

/// An open directory.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) identity: Identity,
    pub(crate) wal: Wal<NodeDisk>,
    pub(crate) hard_state: HardState,
    pub(crate) log: RaftLog,
    /// Makes spare segments on another thread; memory needs none.
    pub(crate) spare_disk: Option<FileDisk>,
    /// Held as long as the node runs.
    pub(crate) lock: Option<File>,
}

/// Opens the directory and its log, or makes them.
///
/// Errors: `StartError`; nothing was changed that a second attempt would trip over.
pub(crate) fn open(data: Data, claim: &Claim) -> Result<Opened, StartError> {
    let (directory, mut disk, lock, spare_disk) = match data {
        Data::Directory(directory) => {
            let lock = lock(&directory)?;
            let disk = NodeDisk::File(FileDisk::new(&directory));
            let spare_disk = FileDisk::in_background(&directory);
            (directory, disk, Some(lock), Some(spare_disk))
        }
        Data::Memory(memory) => (PathBuf::from("memory"), NodeDisk::Memory(memory), None, None),
    };
    let identity = claim_identity(&mut disk, &directory, claim)?;
    let configuration = Configuration::of(identity.members.keys().copied());
    let options = WalOptions {
        segment_bytes: claim.segment_bytes,
        incarnation: identity.incarnation,
        configuration: configuration.encode(),
        base: EntryId::ZERO,
    };
    let log_error = |source| StartError::Log { directory: directory.clone(), source };
    let (mut wal, recovered) = Wal::open(disk, options).map_err(log_error)?;
    report(&identity, &recovered);
    let tail = newest_entry(&mut wal, &recovered).map_err(|error| {
        let cause = raft_core::wal::disk::DiskError::Failed(error.to_string());
        log_error(OpenError::Disk { action: "read", file: "the last entry".to_owned(), cause })
    })?;
    let commit_index = recovered.hard_state.commit_index.min(recovered.last.index);
    let log = RaftLog::restore(EntryId::ZERO, recovered.terms, tail, commit_index);
    Ok(Opened { identity, wal, hard_state: recovered.hard_state, log, spare_disk, lock })
}

/// The newest entry stays in memory from the start: it carries the log time.
fn newest_entry(
    wal: &mut Wal<NodeDisk>,
    recovered: &Recovered,
) -> Result<Vec<raft_core::entry::Entries>, WalError> {
    let last = recovered.last.index;
    if last == Index::ZERO { Ok(Vec::new()) } else { wal.read(last, last.next(), 1) }
}

fn report(identity: &Identity, recovered: &Recovered) {
    let node = identity.node_id.number();
    if let Some(damage) = &recovered.damage {
        tracing::error!(
            node,
            "{damage}; copies of what was cut are kept beside it, and this node neither votes \
             nor counts until a leader has given it back what it lost"
        );
    }
    if let Some(damage) = &recovered.damage_before_base {
        tracing::warn!(
            node,
            "{damage}; a snapshot covers what was there, so nothing is lost, but the disk may be \
             failing"
        );
    }
    if 0 < recovered.torn_bytes {
        let torn_bytes = recovered.torn_bytes;
        tracing::info!(node, torn_bytes, "dropped the unfinished end of the log");
    }
}

/// Makes sure that nobody else uses the directory.
fn lock(directory: &Path) -> Result<File, StartError> {
    let unusable = |source| StartError::Directory { directory: directory.to_owned(), source };
    fs::create_dir_all(directory).map_err(unusable)?;
    let path = directory.join(LOCK_FILE);
    let is_new = !path.exists();
    if is_new && let Some(found) = foreign_file(directory).map_err(unusable)? {
        return Err(StartError::ForeignDirectory { directory: directory.to_owned(), found });
    }
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let mut file = open.map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).map_err(unusable)?;
            let pid = pid.trim().to_owned();
            return Err(StartError::Locked { directory: directory.to_owned(), pid });
        }
        Err(TryLockError::Error(error)) => return Err(unusable(error)),
    }
    let write_pid = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write_pid(&mut file).map_err(unusable)?;
    Ok(file)
}

/// A file that no node has made, in a directory that no node has used.
fn foreign_file(directory: &Path) -> std::io::Result<Option<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    let is_ours = names.iter().any(|name| name == IDENTITY_FILE);
    Ok(if is_ours { None } else { names.into_iter().min() })
}

/// Reads whose directory it is, or makes it this node's.
fn claim_identity(
    disk: &mut NodeDisk,
    directory: &Path,
    claim: &Claim,
) -> Result<Identity, StartError> {
    let failed = |source| StartError::Identity { directory: directory.to_owned(), source };
    let Some(mut identity) = Identity::load(disk).map_err(failed)? else {
        let mut members = claim.members.clone();
        if members.is_empty() {
            members.insert(claim.node_id, claim.address.clone());
        }
        let identity = Identity {
            cluster_id: claim.cluster_id.unwrap_or_else(|| cluster_id(&members)),
            node_id: claim.node_id,
            incarnation: new_incarnation(),
            members,
        };
        identity.store(disk).map_err(failed)?;
        return Ok(identity);
    };
    if identity.node_id != claim.node_id {
        return Err(StartError::OtherNode {
            directory: directory.to_owned(),
            found: identity.node_id.number(),
            wanted: claim.node_id.number(),
        });
    }
    let mut is_changed = false;
    let names = disk.list().unwrap_or_default();
    let has_log = names.iter().any(|name| name != IDENTITY_FILE && name != LOCK_FILE);
    if !has_log {
        // An identity without a log has lost whatever it had promised, if it ever promised
        // anything: it must not be taken for the node that it was.
        identity.incarnation = new_incarnation();
        is_changed = true;
    }
    if identity.members != claim.members {
        if claim.renews_addresses && identity.members.keys().eq(claim.members.keys()) {
            identity.members.clone_from(&claim.members);
            is_changed = true;
        } else if !claim.members.is_empty() {
            let recorded: Vec<String> =
                identity.members.iter().map(|(id, address)| format!("{id}={address}")).collect();
            tracing::warn!(
                "--peers differs from the recorded members, which win: {}",
                recorded.join(",")
            );
        }
    }
    if is_changed {
        identity.store(disk).map_err(failed)?;
    }
    Ok(identity)
}

/// The id of the cluster that a list of members founds. A node that is alone founds a cluster
/// of its own, so nothing is shared with others who are alone at the same address.
fn cluster_id(members: &BTreeMap<NodeId, String>) -> u64 {
    if members.len() == 1 {
        return new_incarnation().0;
    }
    let mut hash = Sha256::new();
    for (id, address) in members {
        hash.update(format!("{id}={address}\n"));
    }
    let digest = hash.finalize();
    u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
}

/// 64 bits from the system's source of randomness.
///
/// Panics: if the system has none, without which no identity is safe.
pub(crate) fn new_incarnation() -> Incarnation {
    Incarnation(getrandom::u64().expect("the system has a source of randomness"))
}
