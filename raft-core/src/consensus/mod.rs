//! The Raft state machine: `Raft` and the parts it is made of.
//!
//! Someone who holds Figure 2 of the paper finds each line of it by name: `state` has the
//! upper boxes, `follower`, `candidate` and `leader` the rules for servers, `message` the
//! calls. `log`, `progress`, `quorum` and `reads` are arithmetic and know no message.

mod acceptance;
pub(crate) mod admission;
pub mod binding;
pub(crate) mod candidate;
mod care;
pub(crate) mod change;
pub(crate) mod compaction;
pub mod config;
mod contact;
pub mod detail;
mod digest;
pub mod election_timer;
pub mod error;
mod features;
pub(crate) mod follower;
pub(crate) mod hand_over;
pub(crate) mod invariants;
pub(crate) mod leader;
pub(crate) mod lease;
pub mod log;
pub(crate) mod membership;
pub mod message;
mod on_demand;
pub mod peers;
pub(crate) mod persistence;
pub(crate) mod progress;
pub mod quorum;
pub mod raft;
pub(crate) mod reads;
pub mod ready;
pub(crate) mod replication;
pub mod rng;
mod round_trip;
pub(crate) mod snapshot_transfer;
pub(crate) mod space;
pub(crate) mod state;
pub mod timeouts;
mod view;

pub use config::RaftConfig;
pub use error::ProposeError;
pub use raft::Raft;
