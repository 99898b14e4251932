//! Tests of the wire, the handshake and the actors, in one binary to link once.

#![allow(clippy::unwrap_used, reason = "all of it is test, also what stands outside of one")]

mod channels;
mod doors;
mod founding;
mod generated;
mod links;
mod outboxes;
mod probe;
mod resp;
mod secrets;
mod wire;
