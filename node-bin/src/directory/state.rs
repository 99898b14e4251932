//! What a start makes of the files in a directory: the newest snapshot that can be loaded, and
//! the log behind it.

use std::path::Path;

use raft_core::configuration::Configuration;
use raft_core::consensus::log::RaftLog;
use raft_core::hard_state::HardState;
use raft_core::replica::StateMachine;
use raft_core::replica::snapshot_files::SnapshotFiles;
use raft_core::replica::snapshots::Loaded;
use raft_core::snapshot::SnapshotId;
use raft_core::types::{EntryId, Index};
use raft_core::wal::disk::DiskError;
use raft_core::wal::{OpenError, Recovered, Wal, WalOptions};

use crate::disk::NodeDisk;
use crate::error::StartError;

/// A snapshot in a state machine.
pub(super) type LoadedSnapshot<S> = (SnapshotId, Loaded<S>);

/// Opens the snapshots of a directory and loads the newest one that is whole.
pub(super) fn load_snapshot<S: StateMachine>(
    disk: NodeDisk,
    directory: &Path,
    machine: &S,
) -> Result<(SnapshotFiles<NodeDisk>, Option<LoadedSnapshot<S>>), StartError> {
    let failed = |source| StartError::Snapshots { directory: directory.to_owned(), source };
    let (files, found) = SnapshotFiles::open(disk, machine).map_err(failed)?;
    found.set_aside.iter().for_each(|why| tracing::error!("{why}; it was set aside"));
    Ok((files, found.newest))
}

/// The log as consensus and LogStore need it.
pub(super) struct OpenedLog {
    pub(super) wal: Wal<NodeDisk>,
    pub(super) recovered: Recovered,
    pub(super) hard_state: HardState,
    pub(super) log: RaftLog,
}

/// Opens the log behind a snapshot, or a whole one that begins with `founding`.
pub(super) fn open_log<S>(
    disk: NodeDisk,
    options: WalOptions,
    (founding, snapshot): (Configuration, Option<&LoadedSnapshot<S>>),
) -> Result<OpenedLog, OpenError> {
    let (mut wal, recovered) = Wal::open(disk, options)?;
    let last = recovered.last.index;
    // The newest entry stays in memory from the start: it carries the log time.
    let has_entries = recovered.base.index < last;
    let tail = if has_entries { wal.read(last, last.next(), 1) } else { Ok(Vec::new()) };
    let tail = tail.map_err(|error| {
        let cause = DiskError::Failed(error.to_string());
        OpenError::Disk { action: "read", file: "the last entry".to_owned(), cause }
    })?;
    let commit_index = recovered.hard_state.commit_index.min(last);
    let log = RaftLog::restore(recovered.base, recovered.terms.clone(), tail, commit_index);
    let later = recovered
        .configurations
        .iter()
        .filter_map(|(index, payload)| Some((*index, Configuration::made_by(*index, payload)?)));
    let log = match snapshot {
        Some((id, loaded)) => {
            let state = &loaded.state;
            let made = (state.configured_at, state.configuration.clone());
            log.continue_from(id.last).with_configurations(made, later.collect())
        }
        None => log.with_configurations((Index::ZERO, founding), later.collect()),
    };
    let hard_state = recovered.hard_state;
    Ok(OpenedLog { wal, recovered, hard_state, log })
}

/// Where the log has to begin.
pub(super) fn base_of<S>(snapshot: Option<&LoadedSnapshot<S>>) -> EntryId {
    snapshot.map_or(EntryId::ZERO, |(id, _)| id.last)
}
