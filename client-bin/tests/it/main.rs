//! The client and `kvctl` against nodes whose behaviour is scripted.

mod bench;
mod client;
mod fake;
mod kvctl;
mod shell;
