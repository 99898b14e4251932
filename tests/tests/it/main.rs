//! What Kvorum promises, tried out from the outside, the quick tests first.
//!
//! Nothing here reaches into a private field: the code is met through its text, its library,
//! its port and its command line. Every wait is for a condition and has a deadline.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

mod harness;

mod actix_contract;
mod tidy;

mod acceptance;
mod bad_input;
mod bench;
mod completion;
mod config;
mod console_messages;
mod dashboard;
mod dev_from_elsewhere;
mod dev_playground;
mod dev_prompt;
mod dev_prompt_of_kvctl;
mod discovery;
mod doors;
mod embedding;
mod etcd_door;
mod events;
mod in_browser;
mod large_clusters;
mod local_cluster;
mod machines;
mod monitor;
mod pictures;
mod playground;
mod processes;
mod redis;
mod reference_commands;
mod rest;
