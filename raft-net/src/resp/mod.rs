//! The protocol of Redis clients, RESP2 and RESP3: commands in, replies out.
//!
//! Plain functions over bytes; what a command means is not known here.
//! Source: the Redis serialization protocol specification, and what redis-server 7.0 does where
//! that is silent.

mod inline;
mod reply;
mod request;

pub use reply::{Protocol, ReplyWriter};
pub use request::{
    ARGUMENTS_MAX, Batch, COMMAND_BYTES_MAX, INLINE_BYTES_MAX, Parser, ProtocolError, Words,
};
