//! A data directory that is looked at and not touched, while no node uses it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use kv_store::store::Store;
use raft_core::configuration::Configuration;
use raft_core::entry::EntryRef;
use raft_core::hard_state::HardState;
use raft_core::replica::StateMachine as _;
use raft_core::replica::snapshot_files::SnapshotFiles;
use raft_core::replica::snapshots::{Loaded, Part};
use raft_core::types::{EntryId, Incarnation, Index};
use raft_core::wal::disk::{Disk, DiskError};
use raft_core::wal::identity::Identity;
use raft_core::wal::snapshots::{SnapshotError, Snapshots};
use raft_core::wal::{OpenError, Wal, WalError, WalOptions};

use super::owner;
use crate::disk::FileDisk;
use crate::error::StartError;

/// Entries read from the log at once. Units: bytes.
const READ_BYTES: usize = 8 * 1024 * 1024;

/// What a directory has.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) directory: PathBuf,
    pub(crate) identity: Identity,
    /// The last entry that it has.
    pub(crate) last: EntryId,
    pub(crate) hard_state: HardState,
    /// Who is in the cluster, as far as the log knows.
    pub(crate) configuration: Configuration,
    /// What of the log is damaged, in words.
    pub(crate) damage: Option<String>,
}

impl Survey {
    /// Looks at a directory that has an identity.
    ///
    /// Errors: as a start on it.
    pub(crate) fn of(directory: &Path, identity: Identity) -> Result<Self, StartError> {
        let base = newest_snapshot(directory)?;
        let (last_of_snapshot, known) = match base {
            Some((last, configuration)) => (last, configuration),
            None => (EntryId::ZERO, identity.configuration()),
        };
        let (_, recovered) = open_log(directory, identity.incarnation, last_of_snapshot)?;
        let made = recovered
            .configurations
            .iter()
            .filter_map(|(index, payload)| Configuration::made_by(*index, payload));
        let configuration = made.last().unwrap_or(known);
        Ok(Self {
            directory: directory.to_owned(),
            identity,
            last: recovered.last,
            hard_state: recovered.hard_state,
            configuration,
            damage: recovered.damage.map(|damage| damage.to_string()),
        })
    }

    /// The state after the last entry, whether that is committed or not.
    ///
    /// Errors: as `of`, and if entries cannot be read.
    pub(crate) fn state(&self) -> Result<Loaded<Store>, StartError> {
        let Self { directory, identity, .. } = self;
        let snapshots = |source| StartError::Snapshots { directory: directory.clone(), source };
        let log = |source| StartError::Log { directory: directory.clone(), source };
        let machine = Store::new();
        let (_, found) = SnapshotFiles::open(untouched(directory), &machine).map_err(snapshots)?;
        let (base, mut state) = match found.newest {
            Some((id, loaded)) => (id.last, loaded),
            None => {
                let founding = identity.configuration();
                (EntryId::ZERO, Loaded::at_the_beginning(machine.empty(), founding))
            }
        };
        let (mut wal, recovered) = open_log(directory, identity.incarnation, base)?;
        if recovered.last != self.last {
            // The newest snapshot cannot be loaded, and the log does not reach back to another.
            return Err(log(missing(base.index.next())));
        }
        let behind = (base.index.next(), recovered.last.index.next());
        let read = each_entry(&mut wal, behind, |entry| {
            state.replay(entry);
            ControlFlow::Continue(())
        });
        read.map_err(log)?;
        Ok(state)
    }
}

/// The closed segments of a log, or a data directory, from which a state can be brought forward.
#[derive(Debug)]
pub(crate) struct Archive {
    wal: Wal<Untouched>,
    directory: PathBuf,
    behind: (Index, Index),
}

impl Archive {
    /// Opens a log of this cluster, if it is known, that goes on behind the entry `base`, up to
    /// what is known to be committed.
    ///
    /// Errors: `Setting` if it does not, and as a start.
    pub(crate) fn open(
        directory: &Path,
        cluster_id: Option<u64>,
        base: EntryId,
    ) -> Result<Self, StartError> {
        let Some(identity) = owner(directory)? else {
            let text = format!(
                "{} holds no log; give a folder of --backup-dir whose name ends in -log, or the \
                 data folder of a node",
                directory.display()
            );
            return Err(StartError::Setting(text));
        };
        if let Some(wanted) = cluster_id.filter(|wanted| *wanted != identity.cluster_id) {
            return Err(StartError::Setting(format!(
                "the log in {} is of cluster {:016x}, and the backup of cluster {wanted:016x}",
                directory.display(),
                identity.cluster_id
            )));
        }
        let gap = |why: String| {
            StartError::Setting(format!(
                "the log in {} does not go on behind entry {} of the backup: {why}; take a later \
                 backup",
                directory.display(),
                base.index
            ))
        };
        let (wal, recovered) = match open_log(directory, identity.incarnation, base) {
            Err(StartError::Log { source, .. }) => return Err(gap(source.to_string())),
            opened => opened?,
        };
        if let Some(damage) = recovered.damage {
            return Err(gap(damage.to_string()));
        }
        let end = recovered.hard_state.commit_index.min(recovered.last.index).next();
        let behind = (base.index.next(), end);
        Ok(Self { wal, directory: directory.to_owned(), behind })
    }

    /// Shows the entries in order until `take` has had enough.
    ///
    /// Errors: `Log` if one cannot be read.
    pub(crate) fn each_entry(
        mut self,
        take: impl FnMut(EntryRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), StartError> {
        let read = each_entry(&mut self.wal, self.behind, take);
        read.map_err(|source| StartError::Log { directory: self.directory, source })
    }
}

fn each_entry(
    wal: &mut Wal<Untouched>,
    (mut next, end): (Index, Index),
    mut take: impl FnMut(EntryRef<'_>) -> ControlFlow<()>,
) -> Result<(), OpenError> {
    while next < end {
        let runs = wal.read(next, end, READ_BYTES).map_err(|error| reading(&error))?;
        let before = next;
        for entry in runs.iter().flat_map(|run| run.iter()) {
            if take(entry).is_break() {
                return Ok(());
            }
            next = entry.id().index.next();
        }
        if next == before {
            return Err(missing(next));
        }
    }
    Ok(())
}

/// The last entry that the newest snapshot covers, and who is in the cluster by it.
fn newest_snapshot(directory: &Path) -> Result<Option<(EntryId, Configuration)>, StartError> {
    let failed = |source| StartError::Snapshots { directory: directory.to_owned(), source };
    let (mut files, found) = Snapshots::open(untouched(directory)).map_err(failed)?;
    let Some(id) = found.newest else { return Ok(None) };
    let first = files.open_parts(id).and_then(|mut parts| files.next_part(&mut parts));
    match first.map_err(failed)?.as_deref().and_then(Part::of) {
        Some(Part::Head(state)) => Ok(Some((id.last, state.configuration))),
        _ => Err(failed(SnapshotError::Damaged { file: format!("snapshot {id}"), offset: 0 })),
    }
}

fn open_log(
    directory: &Path,
    incarnation: Incarnation,
    base: EntryId,
) -> Result<(Wal<Untouched>, raft_core::wal::Recovered), StartError> {
    let options = WalOptions { segment_bytes: 0, incarnation, configuration: Vec::new(), base };
    let opened = Wal::open(untouched(directory), options);
    opened.map_err(|source| StartError::Log { directory: directory.to_owned(), source })
}

fn reading(error: &WalError) -> OpenError {
    let cause = DiskError::Failed(error.to_string());
    OpenError::Disk { action: "read", file: "the log".to_owned(), cause }
}

fn missing(index: Index) -> OpenError {
    let cause = DiskError::Failed(format!("entry {index} is missing"));
    OpenError::Disk { action: "read", file: "the log".to_owned(), cause }
}

fn untouched(directory: &Path) -> Untouched {
    Untouched(FileDisk::for_reading(directory))
}

/// A directory in which whatever is written stays as it is. What opening a log or snapshots
/// repairs is of no interest to whoever only reads what was good before.
#[derive(Debug)]
struct Untouched(FileDisk);

impl Disk for Untouched {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.0.list()
    }

    fn create(&mut self, _: &str, _: u64) -> Result<(), DiskError> {
        Ok(())
    }

    fn len(&mut self, name: &str) -> Result<u64, DiskError> {
        self.0.len(name)
    }

    fn read(&mut self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        self.0.read(name, offset, into)
    }

    fn write(&mut self, _: &str, _: u64, _: &[u8]) -> Result<(), DiskError> {
        Ok(())
    }

    fn append(&mut self, _: &str, _: &[u8]) -> Result<(), DiskError> {
        Ok(())
    }

    fn sync(&mut self, _: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn rename(&mut self, _: &str, _: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn remove(&mut self, _: &str) -> Result<(), DiskError> {
        Ok(())
    }
}
