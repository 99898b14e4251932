//! A client of Kvorum: reads and writes through any node, each write exactly once.
//!
//! [`Client`] keeps one connection and one session. It goes on through another endpoint when a
//! node is lost or cannot serve it, and repeats a write under the same serial until the
//! deadline, so that the cluster executes it once. It keeps no cache and knows no topology:
//! every node takes every request.
//!
//! ```no_run
//! # async fn example() -> Result<(), kvorum_client::ClientError> {
//! use kvorum_client::{Client, Options};
//!
//! let endpoints = vec!["127.0.0.1:2379".to_owned()];
//! let client = Client::connect(endpoints, Options::default()).await?;
//! client.put(b"colour", b"green").await?;
//! let found = client.get(b"colour").await?;
//! assert!(found.is_some_and(|pair| &pair.value[..] == b"green"));
//! # Ok(())
//! # }
//! ```
//!
//! [`mod@bench`] is the load generator behind `kvctl bench`, [`prompt`] the line editor behind
//! `kvctl shell`, [`cli`] the program `kvctl` itself.

mod back_off;
pub mod backup;
pub mod bench;
pub mod cli;
mod client;
mod client_name;
mod dial;
pub mod doctor;
pub mod document;
mod driver;
mod error;
pub mod events;
mod exchange;
mod leases;
mod locks;
pub mod member_plan;
pub mod members;
pub mod monitor;
pub mod playground;
pub mod prompt;
mod request_id;
mod requests;
mod revisions;
mod seconds;
mod session;
pub mod status;
mod subscription;
mod subscriptions;
pub mod trace;
pub mod transaction;
pub mod typed;
pub mod utc;
pub mod verify;
mod watch;
mod watches;

pub use client::{Client, Deleted, KeyValue, Options, Page, Pages};
pub use client_name::{ClientName, RequestName};
pub use error::ClientError;
pub use kv_store::command::{
    Direction, Filter, Interest, Items, KeyRange, Kind, Name, No, Order, OrderBy, PutOptions,
    RangeEnd, Selection, Show,
};
pub use leases::Lease;
pub use locks::Held;
pub use raft_core::replica::event::SessionRefusal;
pub use raft_net::client_protocol::ChangeRefused;
pub use raft_net::member_change::MemberChange;
pub use request_id::{BadId, RequestId, SessionId};
pub use requests::Staleness;
pub use subscription::{Channels, Heard, Message, Subscription};
pub use watch::{Event, Update, Watch, WatchOptions};
