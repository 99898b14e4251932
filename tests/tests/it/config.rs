//! Settings from a file: below flags and variables, shown with where they come from, and one
//! file for a node of a machine as for a cluster in one process.

use std::fs;

use crate::harness::process::{Ended, KVORUM, Process};
use crate::harness::scratch::Scratch;
use crate::harness::wait;

/// A cluster of three, as each of its machines and `kvorum dev` may be told of it.
const CLUSTER: &str = "# three nodes\n\
    memory_max = 1000000000\n\
    auto-promote = false\n\
    [cluster]\n1 = 'a.example:2379'\n2 = 'b.example:2379'\n3 = 'c.example:2379'\n";

async fn run(scratch: &Scratch, words: &[&str]) -> Ended {
    let name = format!("run-{}", fs::read_dir(scratch.path()).unwrap().count());
    let mut process = Process::start(scratch, &name, KVORUM, words);
    process.end_input();
    process.end().await
}

fn write(scratch: &Scratch, text: &str) -> String {
    let path = scratch.path().join("node.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn flags_win_over_the_file_and_each_value_says_where_it_is_from() {
    let scratch = Scratch::new();
    let file = write(&scratch, CLUSTER);
    let words = ["config", "show", "--config", &file, "--memory-max", "2000000000"];
    let shown = run(&scratch, &words).await;
    for line in [
        "memory-max = 2000000000  # from the command line",
        "auto-promote = \"off\"  # from the file",
        "peers = \"1=a.example:2379,2=b.example:2379,3=c.example:2379\"  # from the file",
        "# heartbeat-interval-ms = 50  # default",
        "# listen is not set",
    ] {
        assert!(shown.stdout.lines().any(|shown| shown == line), "no {line:?} in {shown:?}");
    }
    // What is shown is a file, and means the same.
    let again = write(&scratch, &shown.stdout);
    let checked = run(&scratch, &["config", "check", "--config", &again]).await;
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""), "{checked:?}");
    let secret = ["config", "show", "--cluster-secret", "hidden words"];
    let shown = run(&scratch, &secret).await;
    assert!(!shown.stdout.contains("hidden words"), "{shown:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_one_line_that_names_the_line() {
    let scratch = Scratch::new();
    for (text, words) in [
        ("a = 1\nb = 2\n", "node.toml: line 1: no setting is called a; see: kvorum config show"),
        ("\nmemory-max = 'x'\n", "node.toml: line 2: invalid value 'x' for '--memory-max <BYTES>'"),
        ("listen = \n", "node.toml: line 1: "),
        ("config = 'other.toml'\n", "no setting is called config"),
        ("lease-reads = 'yes'\n", "unexpected value 'yes' for '--lease-reads'"),
        ("heartbeat-interval-ms = 300\n", "at least three heartbeat intervals"),
        ("listen = '0.0.0.0:1'\n", "--cluster-secret"),
        ("peers = '1=a'\n", "\"a\" is not an address"),
    ] {
        let file = write(&scratch, text);
        for words_of_command in [&["config", "check", "--config", &file][..], &["--config", &file]]
        {
            let ended = run(&scratch, words_of_command).await;
            assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{text}: {ended:?}");
            assert!(ended.stderr.contains(words), "{text}: {ended:?}");
            assert_eq!(ended.stderr.lines().count(), 1, "{text}: {ended:?}");
        }
    }
    let missing = run(&scratch, &["--config", "nowhere.toml"]).await;
    assert_eq!((missing.code, missing.stderr.lines().count()), (Some(2), 1), "{missing:?}");
}

/// The same file starts a node of a machine, and the whole cluster in one process.
#[tokio::test]
async fn one_file_is_for_a_machine_and_for_a_cluster_in_one_process() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let file = write(&scratch, CLUSTER);
    let dev = ["dev", "--config", &file, "--transport", "memory", "--data-dir", "dev"];
    let mut process =
        Process::start(&scratch, "dev", KVORUM, &[&dev[..], &["--port", "0"]].concat());
    process.type_in("status\n");
    process.end_input();
    let ended = process.end().await;
    assert!(ended.stderr.contains("3 nodes"), "{ended:?}");

    let alone = write(&scratch, "listen = '127.0.0.1:0'\ndata-dir = 'alone'\nnode-id = 7\n");
    let node = Process::start(&scratch, "alone", KVORUM, &["--config", &alone]);
    let said = node.lines(1).await;
    assert!(said[0].contains("node 7 of cluster"), "{said:?}");
}
