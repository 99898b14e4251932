//! The write-ahead log as byte logic over a disk.
//!
//! [`Wal`] writes batches of entries and hard states into segments and reads them back;
//! opening it decides what of a crash or of a rotten disk still counts. It knows entries and
//! hard states only, and files only through the trait [`disk::Disk`]. Layout and the cases of
//! recovery, one by one: `docs/wal.md`.

pub mod archive;
mod batch;
mod cut;
pub mod disk;
pub mod dump;
mod error;
mod hard_state_file;
pub mod identity;
mod judgement;
mod log;
pub mod memory_disk;
mod read;
mod reader;
mod recovery;
mod repair;
mod segment;
pub mod snapshots;
mod sparse_index;
#[cfg(test)]
mod tests;

pub use error::{Damage, OpenError, WalError};
pub use log::{BATCH_BYTES_MAX, SpareOrder, Wal, WalOptions};
pub use repair::Recovered;
pub use segment::CONFIGURATION_BYTES_MAX;
