//! The words by which a client takes a snapshot of the node that it asks.

use raft_core::snapshot::SnapshotId;
use raft_core::types::{EntryId, Index, Term};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

/// Which bytes of a snapshot a client wants. Travels as a map, so that later versions may say
/// more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PieceWanted {
    /// The snapshot.
    pub of: SnapshotName,
    /// Where they begin in its file. Units: bytes.
    pub offset: u64,
    /// How many at most; a node sends no more than [`PIECE_BYTES_MAX`].
    pub bytes_max: u64,
}

/// The most bytes of a snapshot in one reply.
pub const PIECE_BYTES_MAX: u64 = 1024 * 1024;

/// A snapshot of a node, to the byte. Travels as a map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SnapshotName {
    /// The last entry that it covers: its index.
    pub index: u64,
    /// The term of that entry.
    pub term: u64,
    /// The length of the file. Units: bytes.
    pub bytes: u64,
    /// Over the checksums of all its parts.
    pub checksum: u32,
}

impl From<SnapshotId> for SnapshotName {
    fn from(id: SnapshotId) -> Self {
        let SnapshotId { last, bytes, checksum } = id;
        Self { index: last.index.0, term: last.term.0, bytes, checksum }
    }
}

impl From<SnapshotName> for SnapshotId {
    fn from(name: SnapshotName) -> Self {
        let last = EntryId { term: Term(name.term), index: Index(name.index) };
        Self { last, bytes: name.bytes, checksum: name.checksum }
    }
}

impl Serialize for SnapshotName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("index", &self.index)?;
        map.serialize_entry("term", &self.term)?;
        map.serialize_entry("bytes", &self.bytes)?;
        map.serialize_entry("checksum", &self.checksum)?;
        map.end()
    }
}

impl Serialize for PieceWanted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("of", &self.of)?;
        map.serialize_entry("offset", &self.offset)?;
        map.serialize_entry("bytes_max", &self.bytes_max)?;
        map.end()
    }
}
