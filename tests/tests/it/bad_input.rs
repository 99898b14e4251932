//! What makes no sense is refused in one line that says what, where and what to do, with the
//! right exit code, and whoever did make sense is served on.

mod circumstances;
mod frames;
mod members;
mod peers;

use std::fs;
use std::net::TcpListener;

use crate::harness::process::{Ended, KVCTL, KVORUM, Process};
use crate::harness::scratch::Scratch;
use crate::harness::wait;

/// The exit code of a program that was called wrongly.
const WRONG_USAGE: i32 = 2;
/// The exit code of a node that could not start.
const NOT_STARTED: i32 = 1;

async fn run(scratch: &Scratch, program: &str, arguments: &[&str]) -> Ended {
    // A name of its own for each run, so that no output is mixed.
    let name = format!("run-{}", fs::read_dir(scratch.path()).unwrap().count());
    let mut process = Process::start(scratch, &name, program, arguments);
    process.end_input();
    process.end().await
}

/// Says no, in one line with all of these words, and does nothing.
async fn check_refused(
    scratch: &Scratch,
    (program, arguments): (&str, &[&str]),
    code: i32,
    words: &[&str],
) {
    let ended = run(scratch, program, arguments).await;
    let Ended { code: found, stdout, stderr } = &ended;
    assert_eq!((*found, stdout.as_str()), (Some(code), ""), "{arguments:?}: {stderr}");
    for word in words {
        assert!(stderr.contains(word), "{arguments:?}: no {word:?} in {stderr}");
    }
    // The parser of the command line takes more lines than one, to show how it is meant.
    let is_parsers = stderr.contains("For more information, try '--help'");
    assert!(stderr.lines().count() == 1 || is_parsers, "{arguments:?}: {stderr}");
}

#[tokio::test]
async fn wrong_flags_of_kvorum() {
    let scratch = Scratch::new();
    let table: &[(&[&str], &[&str])] = &[
        (&["frob"], &["unrecognized", "frob", "--help"]),
        (&["--listen"], &["value is required", "--listen"]),
        (&["--election-timeout-ms", "soon"], &["soon", "--election-timeout-ms"]),
        (&["--listen", "foo"], &["--listen", "\"foo\"", "such as 127.0.0.1:2379"]),
        (&["--listen", "127.0.0.1:99999"], &["--listen", "\"127.0.0.1:99999\"", "such as"]),
        (&["--advertise", "foo"], &["--advertise", "\"foo\"", "such as 127.0.0.1:2379"]),
        (&["--node-id", "0"], &["--node-id", "at least 1"]),
        (&["--peers", "1"], &["--peers", "\"1\"", "a node's number, '=' and its address"]),
        (&["--peers", "1=a:1,1=b:1"], &["--peers", "node 1 twice"]),
        (&["--node-id", "2", "--peers", "1=a:1"], &["--peers", "this node, 2", "--node-id"]),
        (&["--heartbeat-interval-ms", "100"], &["250 ms", "three heartbeat", "100 ms"]),
        (&["--wal-segment-bytes", "10"], &["10 bytes", "at least 65536"]),
        (&["--memory-max", "1000"], &["1000 bytes", "at least 1048576"]),
        (&["--memory-max", "2GiB"], &["2GiB", "--memory-max"]),
        (&["--listen", "0.0.0.0:0"], &["0.0.0.0:0", "--cluster-secret", "--insecure"]),
        (&["--listen", "0.0.0.0:0", "--cluster-secret", ""], &["--cluster-secret", "empty"]),
        (&["--multicast", "10.0.0.1:1"], &["--multicast", "10.0.0.1:1", "no multicast group"]),
        (&["--discovery", "http"], &["--discovery http", "--cluster-hostname"]),
        (&["--discovery", "pigeon"], &["pigeon", "--discovery", "multicast, http, dns, none"]),
        (&["--node-ip", "here"], &["here", "--node-ip"]),
        (&["--bootstrap-expect", "3"], &["--bootstrap-expect", "a way to find the others"]),
        (&["dev", "--nodes", "0"], &["1 to 50 nodes", "not 0"]),
        (&["dev", "--transport", "pigeon"], &["pigeon", "--transport", "memory, tcp"]),
    ];
    for (arguments, words) in table {
        check_refused(&scratch, (KVORUM, arguments), WRONG_USAGE, words).await;
    }
    let left: Vec<_> = fs::read_dir(scratch.path()).unwrap().map(|it| it.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.is_file()), "something was made: {left:?}");
}

#[tokio::test]
async fn wrong_words_to_kvctl() {
    let scratch = Scratch::new();
    let nobody = {
        let bound = TcpListener::bind("127.0.0.1:0").unwrap();
        bound.local_addr().unwrap().to_string()
    };
    let unused: &[&str] = &["--endpoints", &nobody, "get", "k"];
    let table: &[(&[&str], i32, &[&str])] = &[
        (&["frob"], WRONG_USAGE, &["frob"]),
        (&["put", "k"], WRONG_USAGE, &["put", "value"]),
        (&["get"], WRONG_USAGE, &["KEY"]),
        (&["--endpoints", "x", "get", "k"], WRONG_USAGE, &["\"x\"", "such as 127.0.0.1:2379"]),
        (unused, 3, &["no node answers at", &nobody, "kvorum dev"]),
    ];
    for (arguments, code, words) in table {
        check_refused(&scratch, (KVCTL, arguments), *code, words).await;
    }
}

#[tokio::test]
async fn folders_and_ports_that_cannot_be_used() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let anywhere = ["--listen", "127.0.0.1:0", "--wal-segment-bytes", "1048576", "--data-dir"];
    let with = |folder: &'static str| [&anywhere[..], &[folder]].concat();
    fs::create_dir(scratch.join("foreign")).unwrap();
    fs::write(scratch.join("foreign/holiday.jpg"), "a photo").unwrap();
    fs::write(scratch.join("file"), "").unwrap();
    let running = Process::start(&scratch, "running", KVORUM, &with("mine"));
    let said = running.lines(1).await;
    let address = said[0].split_once("listens on ").unwrap().1.split_once(',').unwrap().0;
    let pid = running.pid().to_string();
    let in_use = ["--listen", address, "--data-dir", "other"];
    let node_2 = [&with("mine-2")[..], &["--node-id", "2"]].concat();
    let first = Process::start(&scratch, "first", KVORUM, &with("mine-2"));
    first.lines(1).await;
    first.kill();
    let table: &[(&[&str], &[&str])] = &[
        (&with("file"), &["file", "cannot use", "--data-dir"]),
        (&with("file/inside"), &["file/inside", "cannot use", "--data-dir"]),
        (&with("foreign"), &["foreign", "holiday.jpg", "choose another --data-dir"]),
        (&with("mine"), &["mine", "in use by process", &pid, "--data-dir"]),
        (&node_2, &["mine-2", "belongs to node 1", "not to node 2", "--node-id"]),
        (&in_use, &["cannot listen on", address, "--listen"]),
    ];
    for (arguments, words) in table {
        check_refused(&scratch, (KVORUM, arguments), NOT_STARTED, words).await;
    }
    assert_eq!(fs::read_to_string(scratch.join("foreign/holiday.jpg")).unwrap(), "a photo");
    assert!(!scratch.join("other").exists(), "a port in use leaves no traces");
    let at = ["--endpoints", address];
    let put = run(&scratch, KVCTL, &[&at[..], &["put", "k", "v"]].concat()).await;
    assert_eq!((put.code, put.stdout.as_str()), (Some(0), "OK\n"), "{}", put.stderr);
}

/// A value at its limit is taken; one byte more is refused with both numbers, and so is a key.
#[tokio::test]
async fn a_value_above_the_limit() {
    const VALUE_BYTES_MAX: usize = 1_572_864;
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let arguments = ["--listen", "127.0.0.1:0", "--data-dir", "data"];
    let node = Process::start(&scratch, "node", KVORUM, &arguments);
    let said = node.lines(1).await;
    let address = said[0].split_once("listens on ").unwrap().1.split_once(',').unwrap().0;
    let at = ["--endpoints", address];
    for (name, bytes) in [("limit", VALUE_BYTES_MAX), ("above", VALUE_BYTES_MAX + 1)] {
        fs::write(scratch.join(name), vec![b'x'; bytes]).unwrap();
    }
    let put = run(&scratch, KVCTL, &[&at[..], &["put", "k", "@limit"]].concat()).await;
    assert_eq!((put.code, put.stdout.as_str()), (Some(0), "OK\n"), "{}", put.stderr);
    let above = [&at[..], &["put", "k", "@above"]].concat();
    let words = ["value of 1572865 bytes", "limit of 1572864 bytes"];
    check_refused(&scratch, (KVCTL, &above), WRONG_USAGE, &words).await;
    let long_key = "k".repeat(65_537);
    let words = ["key of 65537 bytes", "limit of 65536 bytes"];
    let above = [&at[..], &["put", &long_key, "v"]].concat();
    check_refused(&scratch, (KVCTL, &above), WRONG_USAGE, &words).await;
    let get = run(&scratch, KVCTL, &[&at[..], &["get", "k"]].concat()).await;
    assert_eq!((get.code, get.stdout.len()), (Some(0), VALUE_BYTES_MAX + 1), "and a line end");
}

/// Without a majority every command says so in time, and that nothing was done or that it is
/// unknown.
#[tokio::test]
async fn no_quorum() {
    let _turn = wait::turn().await;
    let mut cluster = crate::harness::cluster::Cluster::start(3).await;
    cluster.client().await.put("k", "v").await;
    let survivor = cluster.follower().await;
    for id in cluster.ids() {
        if id != survivor {
            cluster.kill(id);
        }
    }
    let scratch = Scratch::new();
    let at = ["--timeout", "1.5", "--endpoints", cluster.address(survivor)];
    let get = [&at[..], &["get", "k"]].concat();
    let words = ["no leader with a quorum", "nothing was done", "kvctl status"];
    check_refused(&scratch, (KVCTL, &get), 3, &words).await;
    let put = run(&scratch, KVCTL, &[&at[..], &["put", "k", "w"]].concat()).await;
    match put.code {
        Some(3) => assert!(put.stderr.contains("nothing was done"), "{}", put.stderr),
        Some(4) => assert!(put.stderr.contains("may or may not"), "{}", put.stderr),
        other => panic!("exit code {other:?}: {}", put.stderr),
    }
    let status = run(&scratch, KVCTL, &[&at[..], &["status"]].concat()).await;
    assert!(status.stdout.contains(cluster.address(survivor)), "{status:?}");
}
