//! Raft, a state machine and the requests that wait for it.

pub mod changes;
pub(crate) mod comparing;
pub(crate) mod due;
mod early_rounds;
pub mod event;
pub mod fence;
mod foresight;
mod joining;
pub mod log_files;
pub(crate) mod node_session;
mod offline;
pub mod pinned;
pub(crate) mod reads;
pub(crate) mod recency;
#[allow(clippy::module_inception, reason = "the folder is named after its main type")]
pub mod replica;
mod room;
pub(crate) mod session;
pub mod session_limits;
pub(crate) mod session_records;
pub(crate) mod session_slices;
pub(crate) mod session_upkeep;
pub mod sessions;
pub mod snapshot_files;
pub mod snapshots;
pub mod state_machine;
mod status;
pub(crate) mod transfers;
pub(crate) mod writes;

pub use replica::Replica;
pub use state_machine::{Forgotten, LoadError, StateMachine};
