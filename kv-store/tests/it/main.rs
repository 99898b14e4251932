//! The store as its users see it: bytes in, bytes out.

mod auth;
mod bad_input;
mod codec;
mod feature_levels;
mod growth;
mod lasting;
mod limits;
mod model;
mod node;
mod random;
mod ranges;
mod rel_h_changes;
mod renewals;
mod retention;
mod revisions;
mod snapshot;
mod store;
mod transactions;
mod transactions_at_random;
mod types;
mod watching;
mod watching_random;
mod words;
