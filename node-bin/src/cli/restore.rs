//! `kvorum restore`: a new cluster from a backup.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use kv_store::store::Store;
use kvorum_client::backup::{BackupError, BackupFile};
use kvorum_client::utc;
use raft_core::replica::StateMachine as _;
use raft_core::replica::snapshots::{Loaded, Loader};
use raft_core::types::{EntryId, NodeId};
use raft_core::wal::snapshots::backup::BackupHead;

use super::settings::{FIRST_ID, check_address, wrong};
use crate::directory::{Archive, Founder, check_is_free, found};
use crate::error::StartError;

/// What is restored, and whither.
#[derive(Debug, Args)]
pub(super) struct RestoreArguments {
    /// The backup, as kvctl snapshot save wrote it
    file: PathBuf,
    /// The data folder of the new cluster's first node, which must be empty or not exist
    #[arg(long, value_name = "FOLDER", env = "KVORUM_DATA_DIR")]
    data_dir: PathBuf,
    /// Where that node will be reached
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2379")]
    address: String,
    /// Its number [default: 1]
    #[arg(long, value_name = "N")]
    node_id: Option<u64>,
    /// The log behind the backup: a folder of --backup-dir whose name ends in -log, or the data
    /// folder of a node that does not run; without an end all of it is taken in
    #[arg(long, value_name = "FOLDER")]
    log: Option<PathBuf>,
    /// The revision of the old cluster at which to stop
    #[arg(long, value_name = "N", requires = "log", conflicts_with = "to_time")]
    to_revision: Option<u64>,
    /// The time up to which entries are taken in: a date such as 2025-12-31T23:59:59Z, or seconds
    /// since 1970
    #[arg(long, value_name = "TIME", requires = "log")]
    to_time: Option<String>,
}

/// Where to stop in the log.
#[derive(Clone, Copy, Debug)]
enum Until {
    End,
    Revision(u64),
    /// Units: microseconds since 1970.
    Time(u64),
}

/// Makes the data folder and says how to go on.
pub(super) fn run(arguments: &RestoreArguments) -> Result<ExitCode, StartError> {
    let RestoreArguments { file, data_dir, address, node_id, log, .. } = arguments;
    let until = until(arguments)?;
    check_address("--address", address)?;
    let id = |number| {
        NodeId::new(number).ok_or_else(|| wrong("--node-id must be at least 1".to_owned()))
    };
    let node_id = node_id.map_or(Ok(FIRST_ID), id)?;
    check_is_free(data_dir)?;
    let backup = BackupFile::open(file)?;
    let (mut state, mut last) = (load(&backup)?, backup.snapshot.last);
    if let Some(log) = log {
        last = bring_forward(&mut state, (last, backup.head.as_ref()), (log, until))?;
    }
    let was = state.machine().revision();
    let founder = Founder { node_id, address: address.clone(), next_id: 0 };
    let founded = found(data_dir, &founder, (state, last))?;
    println!(
        "restored revision {was}, up to entry {}, as revision {} into {}: node {node_id} of the \
         new cluster {:016x}",
        last.index,
        founded.revision,
        data_dir.display(),
        founded.cluster_id
    );
    println!("start it with: {}", start(data_dir, address));
    println!("others join it with: kvorum --join {address}");
    Ok(ExitCode::SUCCESS)
}

/// Where to stop, by the flags.
fn until(arguments: &RestoreArguments) -> Result<Until, StartError> {
    match (arguments.to_revision, &arguments.to_time) {
        (Some(revision), _) => Ok(Until::Revision(revision)),
        (None, Some(time)) => utc::parse(time).map(Until::Time).ok_or_else(|| {
            wrong(format!("--to-time: {time:?} is no time such as 2025-12-31T23:59:59Z"))
        }),
        (None, None) => Ok(Until::End),
    }
}

/// Takes the log behind a state in, up to where it is to stop; returns the last entry.
fn bring_forward(
    state: &mut Loaded<Store>,
    (mut last, head): (EntryId, Option<&BackupHead>),
    (log, until): (&Path, Until),
) -> Result<EntryId, StartError> {
    let has_come = |state: &Loaded<Store>| match until {
        Until::Revision(revision) => revision <= state.machine().revision(),
        Until::End | Until::Time(_) => false,
    };
    if let (Until::Time(time), Some(head)) = (until, head)
        && time < head.wall_time_us
    {
        return Err(wrong("--to-time is before the backup; take an earlier one".to_owned()));
    }
    let cluster_id = head.map(|head| head.cluster_id);
    let mut is_reached = !matches!(until, Until::Time(_));
    Archive::open(log, cluster_id, last)?.each_entry(|entry| {
        let is_later = matches!(until, Until::Time(time) if time < entry.wall_time());
        is_reached |= is_later;
        if is_later || has_come(state) {
            return ControlFlow::Break(());
        }
        state.replay(entry);
        last = entry.id();
        ControlFlow::Continue(())
    })?;
    if !is_reached {
        println!("the log in {} ends before that time, with entry {}", log.display(), last.index);
    }
    let found = state.machine().revision();
    match until {
        Until::Revision(wanted) if found != wanted => Err(wrong(format!(
            "there is no revision {wanted} between the backup and the end of the log in {}: the \
             nearest is {found}",
            log.display()
        ))),
        Until::End | Until::Revision(_) | Until::Time(_) => Ok(last),
    }
}

/// How the node is started.
pub(super) fn start(directory: &Path, address: &str) -> String {
    format!("kvorum --data-dir {} --listen {address}", directory.display())
}

/// The state in a backup, every byte of which was verified.
fn load(backup: &BackupFile) -> Result<Loaded<Store>, BackupError> {
    let mut parts = backup.parts()?;
    let mut loader = Loader::new(Store::new().empty());
    while let Some(part) = parts.next_part()? {
        loader.load(&part).map_err(|error| parts.senseless(error))?;
    }
    loader.finish().map_err(|error| parts.senseless(error))
}
