//! Backups: taken from a node, looked at, and put back into a running cluster.
//!
//! The format of a file is in `docs/backup.md`. What is written is verified as it is read again
//! from the disk, and what is restored is verified to its last byte before anything is sent.

mod error;
mod file;
mod line;
mod restore;
mod save;

pub use self::error::BackupError;
pub use self::file::{BackupFile, Contents, Parts, Reading};
pub use self::restore::{Planned, Restored, plan, restore};
pub use self::save::{Saved, save};
