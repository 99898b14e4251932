//! A client library that others wrote, in another language: Debian's `python3-etcd3`.

use crate::harness::cluster::Cluster;
use crate::harness::process::Process;
use crate::harness::scratch::Scratch;
use crate::harness::wait;

/// The interpreter that Debian's packages are for.
const PYTHON: &str = "/usr/bin/python3";

const SCRIPT: &str = include_str!("library.py");

#[tokio::test]
async fn a_library_for_etcd_finds_nothing_missing() {
    let test = "a_library_for_etcd_finds_nothing_missing";
    let has_library = std::process::Command::new(PYTHON)
        .args(["-c", "import etcd3"])
        .output()
        .is_ok_and(|ended| ended.status.success());
    if !has_library {
        let is_required = std::env::var("KVORUM_REQUIRE_TOOLS").is_ok_and(|it| it == "1");
        assert!(!is_required, "python3-etcd3 is absent");
        println!("skipped: {test}: python3-etcd3 absent");
        return;
    }
    let _turn = wait::turn().await;
    let (cluster, scratch) = (Cluster::start(1).await, Scratch::new());
    cluster.leader().await;
    let port = cluster.address(1).rsplit_once(':').unwrap().1;
    let ended = Process::start(&scratch, "python", PYTHON, &["-c", SCRIPT, port]).end().await;
    assert_eq!((ended.code, ended.stdout.trim()), (Some(0), "done"), "{}", ended.stderr);
}
