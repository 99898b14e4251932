//! Why a node does not start, and how one ends.

use std::io;
use std::path::PathBuf;

use kvorum_client::backup::BackupError;
use raft_core::wal::OpenError;
use raft_core::wal::identity::IdentityError;
use raft_core::wal::snapshots::SnapshotError;

/// Why a node did not start. Each message is one line that says what is wrong, where, and what
/// to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory cannot be made or used.
    #[error(
        "cannot use the data directory {}: {source}; make it writable, or choose another \
         --data-dir",
        directory.display()
    )]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process runs on the directory.
    #[error(
        "the data directory {} is in use by process {pid}; stop it, or choose another --data-dir",
        directory.display()
    )]
    Locked {
        /// The directory.
        directory: PathBuf,
        /// The other process, as it wrote itself down.
        pid: String,
    },
    /// The directory holds something else.
    #[error(
        "the data directory {} holds files that are not kvorum's (such as {found:?}); \
         choose another --data-dir",
        directory.display()
    )]
    ForeignDirectory {
        /// The directory.
        directory: PathBuf,
        /// One of the files.
        found: String,
    },
    /// Something is where a directory is to be made.
    #[error("{} is not empty; choose another --data-dir", directory.display())]
    Occupied {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory is of another node.
    #[error(
        "the data directory {} belongs to node {found}, not to node {wanted}; \
         choose another --data-dir or --node-id",
        directory.display()
    )]
    OtherNode {
        /// The directory.
        directory: PathBuf,
        /// Whose it is.
        found: u64,
        /// Who wants it.
        wanted: u64,
    },
    /// The directory's identity cannot be read or written.
    #[error("the data directory {}: {source}", directory.display())]
    Identity {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with it.
        source: IdentityError,
    },
    /// The log cannot be opened.
    #[error("the log in {}: {source}", directory.display())]
    Log {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with it.
        source: OpenError,
    },
    /// The directory holds what only a later version can apply.
    #[error(
        "the data directory was written under feature level {written}, and this version knows up \
         to {known}; start the version that wrote it, or a later one"
    )]
    LaterVersion {
        /// The level that is in it.
        written: u16,
        /// The highest level that is known here.
        known: u16,
    },
    /// The snapshots cannot be read.
    #[error("the snapshots in {}: {source}", directory.display())]
    Snapshots {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with them.
        source: SnapshotError,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another {flag}")]
    Listen {
        /// The setting that it was given by.
        flag: String,
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Beacons, by which the node was to find its cluster, cannot be sent or heard.
    #[error(
        "cannot look for a cluster by multicast: {0}; give --join, --peers or --discovery none"
    )]
    Beacons(io::Error),
    /// The cluster that the node was to join did not take it in.
    #[error("cannot join the cluster: {0}")]
    Join(String),
    /// A backup is of no use.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

impl StartError {
    /// That an address cannot be listened on.
    pub(crate) fn listen(flag: &str, address: &str, source: io::Error) -> Self {
        Self::Listen { flag: flag.to_owned(), address: address.to_owned(), source }
    }
}

/// How a node ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeEnd {
    /// It was asked to.
    Stopped,
    /// It founded a cluster, alone, in which nothing was written, and has heard of another one:
    /// its owner should empty its directory, if that really holds nothing, and have it join.
    GaveWay {
        /// The other cluster.
        cluster_id: u64,
        /// A member of it.
        address: String,
    },
    /// One of its promises was in danger; its directory can be started again, and recovery
    /// decides.
    Fault {
        /// The actor that noticed.
        actor: &'static str,
    },
}
