//! A model check of the consensus that ships: within bounds, every state that a cluster of real
//! [`raft_core::consensus::Raft`]s can come into, whatever is lost, late, doubled or restarted.
//!
//! See `docs/model-check.md` for what is modelled, and what is not.

pub mod bounds;
pub mod check;
mod clock;
mod cluster;
mod effect;
mod history;
pub mod members;
mod node;
mod properties;
pub mod start;
mod world;
