//! What a node says of itself while it runs, as a tree of values (`docs/monitor.md`).
//!
//! Pure: the actors bring readings and take entries. Api asks for them and answers; watches of
//! them wait in Watch.

pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod latencies;
pub(crate) mod lines;
pub(crate) mod machine;
pub(crate) mod newest;
pub(crate) mod path;
pub(crate) mod trace;
pub(crate) mod values;
