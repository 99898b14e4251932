//! Raft, its log on disk and its replica, as functions of what happened.
//!
//! Nothing in this crate knows a socket, a file, a clock, a thread, an actor or chance: time
//! and randomness are arguments, disks are a trait, messages are values.

pub mod chronicle;
pub mod configuration;
pub mod consensus;
pub mod entry;
pub mod hard_state;
pub mod replica;
pub mod snapshot;
mod teeth;
pub mod types;
pub mod wal;
