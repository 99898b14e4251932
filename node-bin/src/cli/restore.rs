//! `kvorum restore`: a new cluster from a backup.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use kv_store::store::Store;
use kvorum_client::backup::{BackupError, BackupFile};
use raft_core::replica::StateMachine as _;
use raft_core::replica::snapshots::{Loaded, Loader};
use raft_core::types::NodeId;

use super::settings::{FIRST_ID, check_address};
use crate::directory::{Founder, check_is_free, found};
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
}

/// Makes the data folder and says how to go on.
pub(super) fn run(arguments: &RestoreArguments) -> Result<ExitCode, StartError> {
    let RestoreArguments { file, data_dir, address, node_id } = arguments;
    check_address("--address", address)?;
    let id = |number| {
        NodeId::new(number)
            .ok_or_else(|| StartError::Setting("--node-id must be at least 1".to_owned()))
    };
    let node_id = node_id.map_or(Ok(FIRST_ID), id)?;
    check_is_free(data_dir)?;
    let backup = BackupFile::open(file)?;
    let state = load(&backup)?;
    let keys = backup.contents()?.summary.keys;
    let founder = Founder { node_id, address: address.clone(), next_id: 0 };
    let founded = found(data_dir, &founder, (state, backup.snapshot.last))?;
    println!(
        "restored {keys} keys at revision {} into {}: node {node_id} of the new cluster {:016x}",
        founded.revision,
        data_dir.display(),
        founded.cluster_id
    );
    println!("start it with: {}", start(data_dir, address));
    println!("others join it with: kvorum --join {address}");
    Ok(ExitCode::SUCCESS)
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
