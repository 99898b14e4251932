//! Changes of the members that cannot be, and nodes that cannot join.

use super::{NOT_STARTED, WRONG_USAGE, check_refused, run};
use crate::harness::ports;
use crate::harness::process::{KVCTL, KVORUM, Process};
use crate::harness::scratch::Scratch;
use crate::harness::wait;

/// The exit code of a command that the cluster decided against.
const DECIDED_NO: i32 = 1;

#[tokio::test]
async fn changes_that_cannot_be_made() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let [here, there] = <[String; 2]>::try_from(ports::addresses(2)).unwrap();
    let arguments = ["--listen", &here, "--data-dir", "node", "--wal-segment-bytes", "1048576"];
    let node = Process::start(&scratch, "node", KVORUM, &arguments);
    node.lines(1).await;
    let at = ["--endpoints", &here, "member"];
    let added = run(&scratch, KVCTL, &[&at[..], &["add", &there]].concat()).await;
    let start = format!("kvorum --node-id 2 --listen {there} --join {here}");
    assert!(added.code == Some(0) && added.stdout.contains(&start), "{added:?}");

    let table: &[(&[&str], i32, &[&str])] = &[
        (&["remove", "9"], DECIDED_NO, &["node 9 is not a member"]),
        (&["remove", "1"], DECIDED_NO, &["nobody would be left to vote"]),
        (&["promote", "1"], DECIDED_NO, &["node 1 is not a learner"]),
        (&["promote", "2"], DECIDED_NO, &["node 2 has not caught up"]),
        (&["demote", "2"], DECIDED_NO, &["node 2 is not a voter"]),
        (&["update", "2", &here], DECIDED_NO, &["node 1 has that address"]),
        (&["transfer", "2"], DECIDED_NO, &["node 2", "no voter"]),
        (&["transfer"], DECIDED_NO, &["nobody took over"]),
        (&["remove", "0"], WRONG_USAGE, &["0 is not the number of a node"]),
        (&["add", "there"], WRONG_USAGE, &["\"there\" is not an address such as"]),
        (&["update", "2", "there:0"], WRONG_USAGE, &["\"there:0\" is not an address"]),
        (&["remove"], WRONG_USAGE, &["<ID>"]),
        (&["remove", "two"], WRONG_USAGE, &["'two'"]),
        (&["frob"], WRONG_USAGE, &["frob"]),
    ];
    for (words, code, said) in table {
        let words = [&at[..], words].concat();
        check_refused(&scratch, (KVCTL, &words), *code, said).await;
    }
    let put = run(&scratch, KVCTL, &["--endpoints", &here, "put", "k", "v"]).await;
    assert_eq!((put.code, put.stdout.as_str()), (Some(0), "OK\n"), "{}", put.stderr);
}

#[tokio::test]
async fn nodes_that_cannot_join() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let [here, there, dead] = <[String; 3]>::try_from(ports::addresses(3)).unwrap();
    let secret = ["--cluster-secret", "open sesame"];
    let own = ["--listen", &here, "--data-dir", "node", "--wal-segment-bytes", "1048576"];
    let node = Process::start(&scratch, "node", KVORUM, &[&own[..], &secret].concat());
    node.lines(1).await;
    let listen = ["--listen", &there, "--data-dir", "new", "--log-level", "error"];
    let joins = |door, more: &[&'static str]| {
        let words = [&listen[..], &["--join", door], more].concat();
        words.into_iter().map(str::to_owned).collect::<Vec<String>>()
    };
    let with_secret = |more: &[&'static str]| joins(&here, &[&secret[..], more].concat());
    let add = ["--endpoints", &here, "member", "add", &dead];
    assert_eq!(run(&scratch, KVCTL, &add).await.code, Some(0));
    let table: &[(Vec<String>, i32, &[&str])] = &[
        (joins(&dead, &[]), NOT_STARTED, &["no node answers at", &dead, "--join"]),
        (joins(&here, &[]), NOT_STARTED, &["has a cluster secret", "has none"]),
        (
            joins(&here, &["--cluster-secret", "guess"]),
            NOT_STARTED,
            &["the cluster secret of", "differs"],
        ),
        (
            with_secret(&["--node-id", "9"]),
            NOT_STARTED,
            &["node 9 is not a member of the cluster", "kvctl member add", &there],
        ),
        (with_secret(&["--node-id", "2"]), NOT_STARTED, &["node 2 is to be at", &dead, "update"]),
        (joins("there", &[]), WRONG_USAGE, &["--join", "\"there\" is not an address"]),
        (joins(&there, &[]), WRONG_USAGE, &["names only this node itself"]),
        (joins(&here, &["--peers", "1=a:1"]), WRONG_USAGE, &["--peers", "--join", "one of them"]),
        (joins(&here, &["--auto-promote", "maybe"]), WRONG_USAGE, &["maybe", "--auto-promote"]),
        (joins(&here, &["--voters-target", "0"]), WRONG_USAGE, &["0 voters", "1 to 50"]),
    ];
    for (arguments, code, said) in table {
        check_refused(&scratch, (KVORUM, &borrowed(arguments)), *code, said).await;
    }
    assert!(!scratch.join("new/identity").exists(), "who does not join leaves no identity");

    // What is in the way of a second node on the same address, or on a lost directory.
    let joined = Process::start(&scratch, "joined", KVORUM, &borrowed(&with_secret(&[])));
    let said = joined.lines(1).await;
    assert!(said[0].contains("node 3 of cluster"), "{said:?}");
    let status = ["--endpoints", &there, "get", "k"];
    wait::until("word through node 3", async || {
        (run(&scratch, KVCTL, &status).await.code == Some(1)).then_some(())
    })
    .await;
    joined.kill();
    std::fs::rename(scratch.join("new"), scratch.join("lost")).unwrap();
    for more in [&[][..], &["--node-id", "3"]] {
        let arguments = with_secret(more);
        let words = ["node 3", "another data directory", "kvctl member remove 3"];
        check_refused(&scratch, (KVORUM, &borrowed(&arguments)), NOT_STARTED, &words).await;
    }
}

fn borrowed(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}
