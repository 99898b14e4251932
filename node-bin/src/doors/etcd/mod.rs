//! The door for clients of etcd v3: gRPC's services, each with a file, over the store.
//!
//! What requests and answers mean in the store's words is pure (`keys`, `txn`, `watch_state`);
//! the rest asks Api by messages, in the futures of the connections.

mod auth;
mod cluster;
mod error;
mod frequent;
mod keys;
mod kv;
mod lease;
mod led;
mod lock;
mod maintenance;
mod node;
mod passwords;
mod reflection;
mod service;
mod snapshot;
mod txn;
mod unary;
mod watch;
mod watch_state;

#[cfg(test)]
mod tests;

pub(crate) use frequent::{Frequent, stopped};
pub(crate) use maintenance::ETCD_VERSION;
pub(crate) use node::Behind;
pub(crate) use passwords::Hashing;
pub(crate) use service::{REQUEST_BYTES_MAX, REQUEST_ID, call};
pub(crate) use snapshot::SnapshotSource;
pub(crate) use unary::{Arrived, good_head, good_trailers};
pub(crate) use watch::Open;
