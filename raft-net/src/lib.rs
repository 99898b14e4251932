//! What nodes and clients say to each other over a stream of bytes.
//!
//! Frames, the preface that opens every connection, the links between nodes, and the native
//! client protocol, whose bodies stay opaque here. Nothing in this crate decides anything about
//! Raft: an envelope is carried, never judged, beyond being from whom it says it is.
//!
//! Two actors live here, `Network` and `Discovery`, and two that make connections: `Listener`,
//! which finds out what a new one speaks, and `Switchboard`, a network in memory.
//! `docs/wire.md` has every byte of it.

pub mod client_protocol;
pub mod frame;
pub mod preface;
