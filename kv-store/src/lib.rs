//! The key-value store that Kvorum replicates: a function of the commands in the log.
//!
//! Nothing in this crate knows a socket, a file, a clock, a thread, an actor or chance, and
//! nothing in it depends on the order of a hash table: what a command does follows from the
//! entry that carries it and from the entries before it.
//!
//! ```
//! use bytes::BytesMut;
//! use kv_store::command::{Answer, Command, KeyRange, Query};
//! use kv_store::store::Store;
//! use raft_core::entry::{Draft, EntryKind, SessionStamp, Stamp};
//! use raft_core::replica::state_machine::StateMachine;
//! use raft_core::types::{Index, Term};
//!
//! let (mut store, mut body, mut answer) = (Store::new(), BytesMut::new(), BytesMut::new());
//! Command::Put { key: b"city", value: b"Oslo" }.encode(&mut body);
//! let mut draft = Draft::default();
//! draft.push(EntryKind::Command, &SessionStamp::default(), &body);
//! let (term, first) = (Term(1), Index(1));
//! let stamp = Stamp { term, first, log_time: 0, feature_level: 1, wall_time: 0, seed: 0 };
//! for entry in draft.stamp(&stamp).iter() {
//!     store.apply(entry, &mut answer);
//! }
//! assert_eq!(Answer::decode(&answer), Ok(Answer::Put { revision: 2 }));
//!
//! body.clear();
//! answer.clear();
//! Query::Range { range: KeyRange::single(b"city"), limit: 0 }.encode(&mut body);
//! store.query(&body, 0, &mut answer);
//! let Ok(Answer::Range { kvs, .. }) = Answer::decode(&answer) else { panic!("a range") };
//! assert_eq!(kvs[0].value, b"Oslo");
//! ```
//!
//! Known limits: a range delete, and the removal of a hash, a set or the keys of a lease, is
//! one step however much it removes, and the count of a range walks over the range.

pub mod backup;
pub mod command;
pub mod store;
pub mod watching;

mod auth;
mod collections;
mod decimal;
mod editing;
mod events;
mod key;
mod keyspace;
mod lasting;
mod leases;
mod lots;
mod page;
mod reading;
mod reading_items;
mod restoring;
mod retention;
mod rolling_hash;
mod sets;
mod snapshot;
mod trail;
mod transaction;

pub use self::events::{Event, Lost};
