//! `redis-cli` with a node and with a real server: it prints the same.

use std::fs::File;
use std::process::{Command, Stdio};

use super::{Node, Redis, find};
use crate::harness::scratch::Scratch;
use crate::harness::wait;

/// Lines as somebody types them. Sets and hashes have an order here in which both show them.
const SCRIPT: &str = include_str!("script.txt");

#[tokio::test]
async fn redis_cli_prints_the_same() {
    let test = "redis_cli_prints_the_same";
    let Some(program) = find(test, "redis-cli") else { return };
    let Some(redis) = Redis::start(test).await else { return };
    let _turn = wait::turn().await;
    let (node, scratch) = (Node::start().await, Scratch::new());
    let script = scratch.join("script");
    std::fs::write(&script, SCRIPT).unwrap();
    for protocol in ["-2", "-3"] {
        let run = |address: &str| {
            let port = address.rsplit_once(':').unwrap().1;
            let ended = Command::new(&program)
                .args(["--no-raw", protocol, "-p", port])
                .stdin(Stdio::from(File::open(&script).unwrap()))
                .output()
                .unwrap();
            // It says how long something took that took long.
            let is_time = |line: &&str| line.starts_with('(') && line.ends_with("s)");
            let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
            let lines: Vec<&str> = printed.lines().filter(|line| !is_time(line)).collect();
            (ended.status.code(), lines.join("\n"))
        };
        let (mine, theirs) = (run(&node.address), run(&redis.address));
        assert_eq!(mine.0, theirs.0);
        let lines = mine.1.lines().zip(theirs.1.lines());
        for (number, (mine, theirs)) in lines.enumerate() {
            assert_eq!(mine, theirs, "line {number} of the output with {protocol}");
        }
        assert_eq!(mine.1.lines().count(), theirs.1.lines().count());
    }
}
