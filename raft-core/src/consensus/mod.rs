//! The Raft state machine.

pub mod message;
