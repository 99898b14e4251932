//! What nodes and clients say to each other over a stream of bytes.
//!
//! Frames, the preface that opens every connection, the links between nodes, and the native
//! client protocol, whose bodies stay opaque here. Nothing in this crate decides anything about
//! Raft: an envelope is carried, and judged only by whether its sender may have written it.
//!
//! Two of a node's actors live here, `Network` and `Discovery`. `Listener` sorts the
//! connections that others open, and `Switchboard` is a network in memory.
//! `docs/wire.md` has every byte of it.
//!
//! A node starts `Network`, gives its address to a `Listener` as the place for peers, and tells
//! it its peers; from then on it sends `Transmit` and is told `Received`.

mod back_off;
pub mod client_protocol;
pub mod discovery;
pub mod etcd;
pub mod faults;
pub mod frame;
pub mod handshake;
pub mod inquiry;
pub mod link;
pub mod listener;
pub mod member_change;
pub mod network;
pub mod opens;
pub mod outbox;
pub mod peer_codec;
pub mod preface;
pub mod publication;
mod reader;
pub mod resp;
pub mod rest;
pub mod sniff;
pub mod stream;
pub mod switchboard;
mod task;

pub use task::Stop;
