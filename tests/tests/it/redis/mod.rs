//! The Redis door: a node beside a real `redis-server`, given the same.

mod any_bytes;
mod bad_input;
mod channels;
mod connection;
mod equal_at_random;
mod library;
mod order;
mod peer;
mod script;

use std::net::TcpListener;
use std::path::Path;

use crate::harness::process::{KVORUM, Process};
use crate::harness::scratch::Scratch;
use crate::harness::wait;
use peer::Peer;

/// A node by itself that lets everything be removed.
struct Node {
    address: String,
    process: Process,
    _scratch: Scratch,
}

impl Node {
    async fn start() -> Self {
        let scratch = Scratch::new();
        let arguments = ["--listen", "127.0.0.1:0", "--data-dir", "data", "--resp-flush"];
        let process = Process::start(&scratch, "node", KVORUM, &arguments);
        let said = process.lines(1).await;
        let address = said[0].split_once("listens on ").unwrap().1.split_once(',').unwrap().0;
        Self { address: address.to_owned(), process, _scratch: scratch }
    }
}

/// A `redis-server`, or a program that comes with it.
fn find(test: &str, program: &str) -> Option<String> {
    let folders = std::env::var("PATH").unwrap_or_default();
    let found = folders.split(':').map(|folder| format!("{folder}/{program}"));
    let found = found.into_iter().find(|path| Path::new(path).is_file());
    if found.is_none() {
        let is_required = std::env::var("KVORUM_REQUIRE_TOOLS").is_ok_and(|it| it == "1");
        assert!(!is_required, "{program} is absent");
        println!("skipped: {test}: {program} absent");
    }
    found
}

/// A real server that keeps nothing.
struct Redis {
    address: String,
    _process: Process,
    _scratch: Scratch,
}

impl Redis {
    /// Starts one, if the program is there.
    async fn start(test: &str) -> Option<Self> {
        let program = find(test, "redis-server")?;
        let scratch = Scratch::new();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let arguments = ["--port", &port, "--save", "", "--appendonly", "no"];
        let process = Process::start(&scratch, "redis", &program, &arguments);
        let address = format!("127.0.0.1:{port}");
        wait::until("redis-server", async || Peer::try_connect(&address).await).await;
        Some(Self { address, _process: process, _scratch: scratch })
    }
}
