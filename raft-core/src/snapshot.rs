//! What a snapshot is called, and what it says about consensus.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::configuration::Configuration;
use crate::types::{EntryId, Incarnation, Index, NodeId};

/// One snapshot, to the byte: whoever has a file of this name has the same file, so that a
/// transfer can go on where it stopped, also from another sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SnapshotId {
    /// The last entry that it covers.
    pub last: EntryId,
    /// The length of the file. Units: bytes.
    pub bytes: u64,
    /// Over the checksums of all its parts.
    pub checksum: u32,
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes, {:08x})", self.last, self.bytes, self.checksum)
    }
}

/// What a snapshot says about consensus, as of the last entry that it covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotState {
    /// The members.
    pub configuration: Configuration,
    /// The entry that made them so, zero for the founding ones.
    pub configured_at: Index,
    /// Which incarnation answers for an id.
    pub bindings: BTreeMap<NodeId, Incarnation>,
    /// The highest log time. Units: microseconds.
    pub log_time: u64,
    /// The highest feature level of an entry that it covers.
    pub feature_level: u16,
}
