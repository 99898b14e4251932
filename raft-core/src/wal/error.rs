//! What can go wrong with the log: damage, refusals and faults.

use std::fmt;

use crate::types::{EntryId, Incarnation, Index};
use crate::wal::disk::DiskError;

/// Something that was on disk, synced, and is no longer there or no longer itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file in which the first bad byte was found, or which is missing.
    pub file: String,
    /// Where in the file the bad part starts. Units: bytes.
    pub offset: u64,
    /// The last entry that is still good; what came after it has to come from a leader.
    pub lost_after: EntryId,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, lost_after } = self;
        write!(
            f,
            "the log is damaged in {file} at byte {offset}, the last good entry is {lost_after}"
        )
    }
}

/// Why the log could not be opened. Nothing may run on it then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The disk did not do what it was asked, which says nothing about the log; the caller
    /// should report it, and the same start may be tried again.
    Disk {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        file: String,
        /// What the disk answered.
        cause: DiskError,
    },
    /// The log is damaged and so is a copy of the hard state: nobody knows any more what this
    /// node has promised, so it may not return under its id.
    BothCopiesLost(Damage),
    /// A file of another data directory lies among ours.
    Foreign {
        /// The file.
        file: String,
        /// The directory that it was written in.
        found: Incarnation,
    },
    /// A file in a layout of another version; start the program that wrote it.
    Format {
        /// The file.
        file: String,
        /// The version of its layout.
        found: u8,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk { action, file, cause } => write!(f, "cannot {action} {file}: {cause}"),
            Self::BothCopiesLost(damage) => write!(
                f,
                "{damage}, and the copy of term and vote in hard-state is lost too; this node \
                 can only return under a new id with an empty directory"
            ),
            Self::Foreign { file, found } => write!(
                f,
                "{file} belongs to another data directory (incarnation {found:?}); put back the \
                 files that were written here"
            ),
            Self::Format { file, found } => write!(
                f,
                "{file} has layout {found}, which this program does not know; start the version \
                 that wrote it"
            ),
        }
    }
}

impl std::error::Error for OpenError {}

/// Why the log did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalError {
    /// Refusal: a new segment could not be prepared, in the words of the disk. Nothing of the
    /// batch was written; the same append may be tried again when there is room.
    NoSpace(DiskError),
    /// Fault: a write or sync inside a prepared file failed. What is on disk is unknown until
    /// the log is opened again, so the caller must panic.
    Fault {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        file: String,
        /// What the disk answered.
        cause: DiskError,
    },
    /// Entries that were read back are not what was written. The caller must not go on as if
    /// they were never there: a restart finds the same damage and quarantines the node.
    Damaged {
        /// The file.
        file: String,
        /// Where the batch starts. Units: bytes.
        offset: u64,
        /// The first entry that could not be read.
        index: Index,
    },
    /// The disk failed to read, which says nothing about the log; the caller may try again.
    Unreadable {
        /// The file.
        file: String,
        /// What the disk answered.
        cause: DiskError,
    },
}

impl WalError {
    pub(super) fn fault(action: &'static str, file: &str) -> impl FnOnce(DiskError) -> Self {
        let file = file.to_owned();
        move |cause| Self::Fault { action, file, cause }
    }
}

impl OpenError {
    pub(super) fn disk(action: &'static str, file: &str) -> impl FnOnce(DiskError) -> Self {
        let file = file.to_owned();
        move |cause| Self::Disk { action, file, cause }
    }
}

impl From<WalError> for OpenError {
    /// While a log is opened every error ends the attempt, whatever it would mean later.
    fn from(error: WalError) -> Self {
        match error {
            WalError::NoSpace(cause) => {
                Self::Disk { action: "prepare", file: "a segment of the log".to_owned(), cause }
            }
            WalError::Fault { action, file, cause } => Self::Disk { action, file, cause },
            WalError::Damaged { file, .. } => {
                let cause = DiskError::Failed("its bytes changed meanwhile".to_owned());
                Self::Disk { action: "read", file, cause }
            }
            WalError::Unreadable { file, cause } => Self::Disk { action: "read", file, cause },
        }
    }
}

impl fmt::Display for WalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpace(cause) => write!(
                f,
                "cannot prepare a new segment of the log: {cause}; free space and try again"
            ),
            Self::Fault { action, file, cause } => write!(
                f,
                "cannot {action} {file}: {cause}; the node must stop and read back what is there"
            ),
            Self::Damaged { file, offset, index } => write!(
                f,
                "the log is damaged in {file} at byte {offset}, entry {index} cannot be read; \
                 restart the node, it will fetch from the others what is missing"
            ),
            Self::Unreadable { file, cause } => write!(f, "cannot read {file}: {cause}"),
        }
    }
}

impl std::error::Error for WalError {}
