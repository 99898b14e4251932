//! Snapshot files: built, sent, received and loaded part by part, over a disk.
//!
//! A file is there as a whole or not at all: it is written under another name, synced and
//! renamed. What stands in the parts is the business of whoever appends them. Layout and the
//! argument for it: `docs/snapshot.md`.

pub mod backup;
mod build;
mod error;
mod files;
mod growing;
mod layout;
mod parts;
mod receive;
mod walk;

pub use error::SnapshotError;
pub use files::{Found, Snapshots};
pub use layout::CHUNK_BYTES_MAX;
pub use parts::Parts;
pub use receive::Received;
