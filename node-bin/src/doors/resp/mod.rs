//! The Redis door: what a command means to the store, and what its answer means to a client.
//!
//! Pure translation. A connection's state is a `Conversation`; whoever owns the socket gives it
//! what arrived, asks the store what it wants asked, and gives it the answers.
//! Source of what commands do and say: redis-server 7.0.

mod conversation;
mod cursors;
mod hashes;
mod keys;
mod numbers;
mod plan;
mod server;
mod sets;
mod shape;
mod strings;
mod subscribing;
mod table;
#[cfg(test)]
mod tests;
mod transaction;

pub(crate) use conversation::{Ask, Conversation, Desk, Reading, Told};
pub(crate) use subscribing::encoded_message;

/// What a node lets Redis clients do.
#[derive(Clone, Copy, Debug, Default)]
pub struct RespOptions {
    /// Whether FLUSHDB and FLUSHALL remove every key there is.
    pub allows_flush: bool,
}
