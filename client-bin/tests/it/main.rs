//! The client and `kvctl` against nodes whose behaviour is scripted.

#![allow(clippy::unwrap_used, reason = "all of it is test, also what stands outside of one")]

mod bench;
mod client;
mod fake;
mod kvctl;
mod shell;
mod transactions;
