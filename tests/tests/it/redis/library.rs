//! A client library that others wrote, in another language: Debian's `python3-redis`.

use super::Node;
use crate::harness::cluster::Cluster;
use crate::harness::process::Process;
use crate::harness::scratch::Scratch;
use crate::harness::wait;

/// The interpreter that Debian's packages are for.
const PYTHON: &str = "/usr/bin/python3";

const SCRIPT: &str = include_str!("library.py");

const CHANNELS_SCRIPT: &str = include_str!("channels.py");

/// Whether the library is there.
fn has_library(test: &str) -> bool {
    let has_library = std::process::Command::new(PYTHON)
        .args(["-c", "import redis"])
        .output()
        .is_ok_and(|ended| ended.status.success());
    if !has_library {
        let is_required = std::env::var("KVORUM_REQUIRE_TOOLS").is_ok_and(|it| it == "1");
        assert!(!is_required, "python3-redis is absent");
        println!("skipped: {test}: python3-redis absent");
    }
    has_library
}

fn port(address: &str) -> &str {
    address.rsplit_once(':').unwrap().1
}

#[tokio::test]
async fn a_library_finds_nothing_missing() {
    if !has_library("a_library_finds_nothing_missing") {
        return;
    }
    let _turn = wait::turn().await;
    let (node, scratch) = (Node::start().await, Scratch::new());
    let arguments = ["-c", SCRIPT, port(&node.address)];
    let ended = Process::start(&scratch, "python", PYTHON, &arguments).end().await;
    assert_eq!((ended.code, ended.stdout.trim()), (Some(0), "done"), "{}", ended.stderr);
}

/// Subscribed at a follower, published at another node.
#[tokio::test]
async fn a_library_hears_what_is_said_at_another_node() {
    if !has_library("a_library_hears_what_is_said_at_another_node") {
        return;
    }
    let _turn = wait::turn().await;
    let (cluster, scratch) = (Cluster::start(3).await, Scratch::new());
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    let ports = [follower, leader].map(|id| port(cluster.address(id)));
    let arguments = ["-c", CHANNELS_SCRIPT, ports[0], ports[1]];
    let ended = Process::start(&scratch, "python", PYTHON, &arguments).end().await;
    assert_eq!((ended.code, ended.stdout.trim()), (Some(0), "done"), "{}", ended.stderr);
}
