//! The data directory: who it belongs to, the one process that may use it, and its log.

pub(crate) mod dissolving;
mod founded;
pub(crate) mod founding;
mod state;
mod survey;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use raft_core::consensus::log::RaftLog;
use raft_core::hard_state::HardState;
use raft_core::replica::StateMachine;
use raft_core::replica::snapshot_files::SnapshotFiles;
use raft_core::replica::snapshots::Loaded;
use raft_core::snapshot::SnapshotId;
use raft_core::types::{Incarnation, NodeId};
use raft_core::wal::disk::Disk;
use raft_core::wal::identity::{IDENTITY_FILE, Identity, IdentityError};
use raft_core::wal::memory_disk::MemoryDisk;
use raft_core::wal::{Recovered, Wal, WalOptions};
use sha2::{Digest, Sha256};

pub(crate) use self::founded::{Founder, beside, check_is_free, found, rename};
use self::state::{OpenedLog, base_of, load_snapshot, open_log};
pub(crate) use self::survey::{Archive, Survey};
use crate::disk::{FileDisk, NodeDisk};
use crate::error::StartError;

const LOCK_FILE: &str = "lock";

/// What an empty directory remembers of a founding, `founding`.
const FOUNDING_FILE: &str = "founding";

/// Where a node keeps what it must not forget.
#[derive(Debug)]
pub enum Data {
    /// In a directory.
    Directory(PathBuf),
    /// In memory.
    Memory(MemoryData),
}

impl Data {
    /// The directory, if it is one.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory(directory) => Some(directory),
            Self::Memory(_) => None,
        }
    }
}

/// What a node keeps in memory that outlives it.
#[derive(Clone, Debug, Default)]
pub struct MemoryData {
    /// The disk of identity and log.
    pub(crate) log: MemoryDisk,
    /// The disk of snapshots.
    pub(crate) snapshots: MemoryDisk,
}

/// What the directory of a node is opened for.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) node_id: NodeId,
    /// Every member's address, this node's included; empty for "as recorded", and a cluster of
    /// one if nothing is.
    pub(crate) members: BTreeMap<NodeId, String>,
    /// Those of the members that do not vote.
    pub(crate) learners: BTreeSet<NodeId>,
    /// Where this node can be reached.
    pub(crate) address: String,
    /// The cluster to found if the directory is empty; by default it follows from the members.
    pub(crate) cluster_id: Option<u64>,
    /// Whether the addresses that are given replace the recorded ones.
    pub(crate) renews_addresses: bool,
    /// How long this node may promise to elect nobody; noted before anything runs. Units:
    /// microseconds.
    pub(crate) promise_us: u64,
    pub(crate) segment_bytes: u64,
}

/// An open directory.
#[derive(Debug)]
pub(crate) struct Opened<S> {
    pub(crate) identity: Identity,
    /// What an earlier life may have promised. Units: microseconds.
    pub(crate) promised_us: u64,
    pub(crate) wal: Wal<NodeDisk>,
    pub(crate) hard_state: HardState,
    pub(crate) log: RaftLog,
    /// The state machine as the newest snapshot has it.
    pub(crate) snapshot: Option<(SnapshotId, Loaded<S>)>,
    pub(crate) snapshot_files: SnapshotFiles<NodeDisk>,
    /// Makes spare segments on another thread; memory needs none.
    pub(crate) spare_disk: Option<FileDisk>,
    /// Held as long as the node runs.
    pub(crate) lock: Option<File>,
}

/// Opens the directory with its snapshots and its log, or makes them; `machine` is an empty
/// one, of which the newest snapshot makes another.
///
/// Errors: `StartError`; nothing was changed that a second attempt would trip over.
pub(crate) fn open<S: StateMachine>(
    data: Data,
    claim: &Claim,
    machine: &S,
) -> Result<Opened<S>, StartError> {
    let (directory, mut disk, snapshot_disk, lock, spare_disk) = match data {
        Data::Directory(directory) => {
            let lock = lock(&directory)?;
            let disk = NodeDisk::File(FileDisk::new(&directory));
            let snapshot_disk = NodeDisk::File(FileDisk::new(&directory));
            let spare_disk = FileDisk::in_background(&directory);
            (directory, disk, snapshot_disk, Some(lock), Some(spare_disk))
        }
        Data::Memory(MemoryData { log, snapshots }) => {
            let (log, snapshots) = (NodeDisk::Memory(log), NodeDisk::Memory(snapshots));
            (PathBuf::from("memory"), log, snapshots, None, None)
        }
    };
    let (identity, promised_us) = claim_identity(&mut disk, &directory, claim)?;
    let founding = identity.configuration();
    let (snapshot_files, snapshot) = load_snapshot(snapshot_disk, &directory, machine)?;
    let options = WalOptions {
        segment_bytes: claim.segment_bytes,
        incarnation: identity.incarnation,
        configuration: founding.encode(),
        base: base_of(snapshot.as_ref()),
    };
    let opened = open_log(disk, options, (founding, snapshot.as_ref()));
    let OpenedLog { wal, recovered, hard_state, log } =
        opened.map_err(|source| StartError::Log { directory, source })?;
    report(&identity, &recovered);
    Ok(Opened {
        identity,
        promised_us,
        wal,
        hard_state,
        log,
        snapshot,
        snapshot_files,
        spare_disk,
        lock,
    })
}

/// Whose directory this is; `None` if it is nobody's yet. Changes nothing.
///
/// Errors: `StartError` if the identity that stands there cannot be read.
pub(crate) fn owner(directory: &Path) -> Result<Option<Identity>, StartError> {
    if !directory.join(IDENTITY_FILE).exists() {
        return Ok(None);
    }
    let failed = |source| StartError::Identity { directory: directory.to_owned(), source };
    Identity::load(&mut FileDisk::new(directory)).map_err(failed)
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

/// Makes sure that nobody else uses the directory, and that it is there.
///
/// Errors: `StartError` names who uses it, or what is in it that is not ours.
pub(crate) fn lock(directory: &Path) -> Result<File, StartError> {
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

/// Reads whose directory it is, or makes it this node's. Returns what earlier lives may have
/// promised, too.
fn claim_identity(
    disk: &mut NodeDisk,
    directory: &Path,
    claim: &Claim,
) -> Result<(Identity, u64), StartError> {
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
            learners: claim.learners.clone(),
            promise_us: claim.promise_us,
        };
        identity.store(disk).map_err(failed)?;
        return Ok((identity, 0));
    };
    if identity.node_id != claim.node_id {
        return Err(StartError::OtherNode {
            directory: directory.to_owned(),
            found: identity.node_id.number(),
            wanted: claim.node_id.number(),
        });
    }
    let promised_us = identity.promise_us;
    identity.promise_us = promised_us.max(claim.promise_us);
    let mut is_changed = promised_us < identity.promise_us;
    let names = disk.list().map_err(IdentityError::Disk).map_err(failed)?;
    let is_log =
        |name: &String| ![IDENTITY_FILE, LOCK_FILE, FOUNDING_FILE].contains(&name.as_str());
    let has_log = names.iter().any(is_log);
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
    Ok((identity, promised_us))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_promise_is_noted_before_anything_runs_and_never_lowered() {
        let node_id = NodeId::new(1).unwrap();
        let mut disk = NodeDisk::Memory(MemoryDisk::default());
        // As lease reads are off, on, on with a shorter timeout, and off again.
        for (promise_us, found, noted) in
            [(0, 0, 0), (250_000, 0, 250_000), (100_000, 250_000, 250_000), (0, 250_000, 250_000)]
        {
            let claim = Claim {
                node_id,
                members: BTreeMap::new(),
                learners: BTreeSet::new(),
                address: "a:1".to_owned(),
                cluster_id: Some(1),
                renews_addresses: false,
                promise_us,
                segment_bytes: 0,
            };
            let (identity, promised_us) =
                claim_identity(&mut disk, Path::new("memory"), &claim).unwrap();
            assert_eq!((promised_us, identity.promise_us), (found, noted));
            let NodeDisk::Memory(memory) = &mut disk else { panic!("it was one in memory") };
            // Whatever was not synced is gone.
            memory.crash(|_, _| false);
            assert_eq!(Identity::load(&mut disk).unwrap().unwrap().promise_us, noted);
        }
    }
}
