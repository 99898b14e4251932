//! Kvorum as a library: a [`Node`], and a [`LocalCluster`] of them in one process.
//!
//! Bring a [`StateMachine`], pick memory or TCP between the nodes and memory or a directory
//! for each, and get it replicated; `examples/counter.rs` is a whole program. The program
//! `kvorum` is this library with the key-value store as its state machine.
//!
//! Six actors make a node: Consensus (owns the replica), LogStore (owns the log, on a thread
//! of its own), Network and Discovery (of `raft-net`), Api (owns the clients) and Watch. None
//! of them decides anything: see `ARCHITECTURE.md`.

pub mod api;
mod caretaker;
mod channels;
pub mod cli;
mod clock;
mod consensus;
mod console;
mod dashboard;
mod directory;
mod disk;
mod doors;
mod error;
mod fault;
mod glob;
mod local_cluster;
mod log_store;
pub mod logging;
mod monitor;
mod node;
mod pace;
mod playground;
mod snapshot_store;
mod story;
#[cfg(test)]
mod tests;
mod ticker;
mod watch;

pub use raft_core::configuration::{Change, ChangeRefusal, Configuration};
pub use raft_core::entry::{ClientId, EntryRef, SessionStamp};
pub use raft_core::replica::event::Status;
pub use raft_core::replica::{LoadError, StateMachine};
pub use raft_core::types::NodeId;

pub use console::ConsoleMessages;
pub use directory::{Data, MemoryData};
pub use doors::resp::RespOptions;
pub use error::{NodeEnd, StartError};
pub use local_cluster::{
    ClusterOptions, FIRST_PORT, LocalCluster, Order, PlaceError, Storage, Transport, Way,
};
pub use node::{Discoverable, DoorPort, Meeting, Node, NodeOptions, RequestError, Wires};
pub use playground::{Asked, Playground};
pub use raft_net::client_protocol::playground::{NodeName, Play};
pub use raft_net::discovery::asking::Targets;
pub use raft_net::discovery::socket::{Airwave, MULTICAST_GROUP};
pub use raft_net::faults::Faults;
pub use raft_net::opens::{Door, Opens};
pub use story::Story;
