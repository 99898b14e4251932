//! Raft, a state machine and the requests that wait for it.

pub mod event;
pub mod state_machine;
