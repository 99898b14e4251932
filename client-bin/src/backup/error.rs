//! What can go wrong with a backup.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::ClientError;

/// Why there is no backup, or none to be restored. Every variant is one line for a person.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The cluster's side.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The system does not do what it is asked with a file. What was begun of it is gone.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The file is not a backup of ours.
    #[error(
        "{} is not a backup of Kvorum, or its beginning is damaged; give a file that kvctl \
         snapshot save wrote", .0.display()
    )]
    NotABackup(PathBuf),
    /// The file was written by a later version.
    #[error("{} has layout {found}, which this program does not know; use the version that \
             wrote it", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The version of its layout.
        found: u8,
    },
    /// The file ends too early.
    #[error("{} is cut short: it has {found} of {expected} bytes; get a whole copy",
            path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// How long it is. Units: bytes.
        found: u64,
        /// How long it should be. Units: bytes.
        expected: u64,
    },
    /// The file goes on behind the end of the backup.
    #[error("{} has {more} bytes behind its end; get another copy", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// How many. Units: bytes.
        more: u64,
    },
    /// Bytes of the file are not those that were written.
    #[error("{} is damaged at byte {offset}; get another copy", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the part starts that does not verify. Units: bytes.
        offset: u64,
    },
    /// The checksums hold and the content makes no sense.
    #[error("{} cannot be read: {why}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The node cannot give a snapshot that is of use.
    #[error("{0}")]
    NoSnapshot(String),
    /// The cluster may not take so much.
    #[error(
        "the backup takes {live_bytes} bytes of memory and the nodes may take {live_bytes_max}, \
         nothing was done; start them with a larger --memory-max"
    )]
    NoRoom {
        /// What the backup takes. Units: bytes.
        live_bytes: u64,
        /// What the nodes may take. Units: bytes.
        live_bytes_max: u64,
    },
    /// Not every node of the cluster knows what is asked.
    #[error(
        "a restore needs feature level {needed}, and the cluster has agreed on {agreed}, nothing \
         was done; upgrade every node (kvctl status -w json)"
    )]
    FeatureLevel {
        /// The level that it needs.
        needed: u16,
        /// The level of the cluster.
        agreed: u16,
    },
}

impl BackupError {
    pub(super) fn file<'p>(
        action: &'static str,
        path: &'p Path,
    ) -> impl FnOnce(io::Error) -> Self + use<'p> {
        move |source| Self::File { action, path: path.to_owned(), source }
    }

    /// The exit code of a program that ends with this error.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Client(error) => error.exit_code(),
            Self::NoRoom { .. } | Self::FeatureLevel { .. } => 1,
            Self::NoSnapshot(_) => 3,
            Self::File { .. }
            | Self::NotABackup(_)
            | Self::Format { .. }
            | Self::Cut { .. }
            | Self::TooLong { .. }
            | Self::Damaged { .. }
            | Self::Content { .. } => 2,
        }
    }
}
