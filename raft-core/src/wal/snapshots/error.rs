//! What can go wrong with a snapshot file. None of it is a fault of the log.

use std::fmt;

use crate::snapshot::SnapshotId;
use crate::wal::disk::DiskError;

/// Why something could not be done with a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// The disk did not do what it was asked. A file that was being written is thrown away,
    /// and the caller may begin it again, for `NoSpace` when there is room. While a snapshot
    /// is read it says nothing about the file; the caller may try again.
    Disk {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        file: String,
        /// What the disk answered.
        cause: DiskError,
    },
    /// The file is not what was written. A received one is thrown away and can be asked for
    /// again; the caller sets aside one that was there and gets another.
    Damaged {
        /// The file.
        file: String,
        /// Where the part starts that does not verify. Units: bytes.
        offset: u64,
    },
    /// This snapshot is not there, or no longer; the caller goes on with the newest one.
    Gone(SnapshotId),
    /// There is a snapshot that covers more; what is older is of no use.
    NotNewer {
        /// The newest one that is there.
        newest: SnapshotId,
    },
    /// More bytes than there may be: in a part, or in a transfer beyond the length that its id
    /// says. Nothing of them was written.
    TooLong {
        /// How many there would be.
        bytes: u64,
        /// How many there may be.
        bytes_max: u64,
    },
    /// A file in a layout of another version; start the program that wrote it.
    Format {
        /// The file.
        file: String,
        /// The version of its layout.
        found: u8,
    },
}

impl SnapshotError {
    pub(super) fn disk(action: &'static str, file: &str) -> impl FnOnce(DiskError) -> Self {
        let file = file.to_owned();
        move |cause| Self::Disk { action, file, cause }
    }
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk { action, file, cause } => write!(f, "cannot {action} {file}: {cause}"),
            Self::Damaged { file, offset } => {
                write!(f, "the snapshot {file} is damaged at byte {offset}")
            }
            Self::Gone(id) => write!(f, "there is no snapshot {id} any more"),
            Self::NotNewer { newest } => write!(f, "the snapshot {newest} covers more"),
            Self::TooLong { bytes, bytes_max } => {
                write!(f, "a snapshot with {bytes} bytes where {bytes_max} are allowed")
            }
            Self::Format { file, found } => write!(
                f,
                "{file} has layout {found}, which this program does not know; start the version \
                 that wrote it"
            ),
        }
    }
}

impl std::error::Error for SnapshotError {}
