//! The store as its users see it: bytes in, bytes out.

mod codec;
mod limits;
mod model;
mod node;
mod ranges;
mod snapshot;
mod store;
