//! Playing with `kvorum dev`, or with a node that allows it, from another terminal.

use crate::harness::cluster::Cluster;
use crate::harness::ports;
use crate::harness::process::{Ended, KVCTL, KVORUM, Process};
use crate::harness::scratch::Scratch;
use crate::harness::typist::Typist;
use crate::harness::wait;

fn said(ended: &Ended) -> (Option<i32>, &str) {
    (ended.code, ended.stdout.trim_end())
}

async fn check_orders(transport: &str) {
    let _turn = wait::turn().await;
    let mut it = Typist::start(transport);
    it.check("SET a 1", &["OK"]).await;
    let mut number = 0;
    let mut order = async |nodes: &[u16], line: &str| {
        number += 1;
        let words: Vec<&str> = ["dev"].into_iter().chain(line.split(' ')).collect();
        it.kvctl_at(&format!("order-{number}"), nodes, &words).await
    };
    // The node that is asked may be the one that is killed.
    for via in [1, 2] {
        let killed = order(&[via], "kill 2").await;
        assert_eq!(said(&killed), (Some(0), "node 2 killed"), "{}", killed.stderr);
        let again = order(&[1], "kill 2").await;
        assert_eq!(again.code, Some(1));
        assert!(again.stderr.contains("node 2 is dead"), "{}", again.stderr);
        let revived = order(&[3], "revive").await;
        assert_eq!(said(&revived), (Some(0), "node 2 revived"), "{}", revived.stderr);
        let paused = order(&[via], "pause 2").await;
        assert_eq!(said(&paused), (Some(0), "node 2 paused"), "{}", paused.stderr);
        // Who stands still is passed over.
        let resumed = order(&[2, 3], "resume 2").await;
        assert_eq!(said(&resumed), (Some(0), "node 2 resumed"), "{}", resumed.stderr);
    }
    for (line, words) in [
        ("cut 1 2", "link 1 - 2 cut"),
        ("cut 3 1 --one-way", "link 3 > 1 cut"),
        ("heal 1 2", "link 1 - 2 healed"),
        ("heal", "every link healed"),
        ("delay 1 2 5", "link 1 - 2 delayed by 5 ms"),
        ("delay 1 2 0", "link 1 - 2 delayed no more"),
        ("add", "node 4 added"),
    ] {
        let done = order(&[1, 2, 3], line).await;
        assert_eq!(said(&done), (Some(0), words), "{line}: {}", done.stderr);
    }
    let down = order(&[1], "step-down").await;
    assert!(down.code == Some(0) && down.stdout.contains("stepped down; node"), "{down:?}");
    let leader = if down.stdout.ends_with("node 1 leads\n") { 2 } else { 1 };
    let moved = order(&[3], &format!("transfer {leader}")).await;
    assert_eq!(said(&moved), (Some(0), format!("node {leader} leads").as_str()));
    let stood = order(&[3], "campaign 3").await;
    assert_eq!(said(&stood), (Some(0), "node 3 stood for election; node 3 leads"));
    // In memory its door is the next one, too; it is asked to go itself.
    let removed = order(&[4], "remove 4").await;
    assert_eq!(said(&removed), (Some(0), "node 4 removed"), "{}", removed.stderr);
    let wrong = order(&[1], "pause two").await;
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("give its number, or leader"), "{}", wrong.stderr);
    it.check("GET a", &["1"]).await;
    // At the prompt too, and while something is shown there.
    it.check("dev pause 2", &["node 2 paused"]).await;
    it.check("watch a --events 1", &[]).await;
    it.kvctl("resume", &["dev", "resume"]).await;
    it.kvctl("put", &["put", "a", "2"]).await;
    it.process.type_in("\nexit\n");
}

#[tokio::test]
async fn orders_come_from_another_terminal_over_tcp() {
    check_orders("tcp").await;
}

#[tokio::test]
async fn orders_come_from_another_terminal_in_memory() {
    check_orders("memory").await;
}

fn node(scratch: &Scratch, name: &str, address: &str, more: &[&str]) -> Process {
    let arguments = [&["--listen", address, "--data-dir", name], more].concat();
    Process::start(scratch, name, KVORUM, &arguments)
}

async fn ask(scratch: &Scratch, name: &str, address: &str, line: &str) -> Ended {
    let words = ["--endpoints", address].into_iter().chain(line.split(' '));
    Process::start(scratch, name, KVCTL, &words.collect::<Vec<_>>()).end().await
}

/// A node by itself does what concerns it, and refuses the rest with what would help.
#[tokio::test]
async fn a_node_that_allows_it_is_played_with_alone() {
    let _turn = wait::turn().await;
    let (scratch, address) = (Scratch::new(), ports::addresses(1).remove(0));
    let process = node(&scratch, "node", &address, &["--playground"]);
    process.lines(1).await;
    let put = ask(&scratch, "put", &address, "put a 1").await;
    assert_eq!(put.code, Some(0), "{}", put.stderr);
    for (number, (line, code, words)) in [
        ("dev cut 1 2", 0, "link 1 - 2 cut"),
        ("dev cut 1 2", 1, "cut already"),
        ("dev heal", 0, "every link of node 1 healed"),
        ("dev delay 1 2 5", 1, "--one-way"),
        ("dev kill 2", 1, "ask node 2 with --endpoints"),
        ("dev revive", 1, "node 1 runs"),
        ("dev add", 1, "kvctl member add"),
        ("dev pause 1", 1, "say for how many ms"),
        ("dev pause 1 300", 0, "node 1 paused for 300 ms"),
        ("get a", 0, "1"),
        ("dev step-down", 0, "node 1 leads no more"),
        ("put a 2", 0, "OK"),
        ("dev campaign 1", 0, "node 1 stands for election, unless it leads"),
        ("dev kill 1", 0, "node 1 killed"),
    ]
    .into_iter()
    .enumerate()
    {
        let ended = ask(&scratch, &format!("kvctl-{number}"), &address, line).await;
        assert_eq!(ended.code, Some(code), "{line}: {} {}", ended.stdout, ended.stderr);
        let text = if code == 0 { &ended.stdout } else { &ended.stderr };
        assert!(text.contains(words), "{line}: {text}");
    }
    assert_eq!(process.end().await.code, None, "it was ended by a signal");
    let again = node(&scratch, "node", &address, &[]);
    // Two lines are there from its first run.
    again.lines(3).await;
    let got = ask(&scratch, "get", &address, "get a").await;
    assert_eq!(got.stdout, "2\n", "{}", got.stderr);
    drop(again);
}

/// Nobody plays with a node that is not there to be played with.
#[tokio::test]
async fn elsewhere_orders_are_refused_with_the_reason() {
    let _turn = wait::turn().await;
    let (scratch, address) = (Scratch::new(), ports::addresses(1).remove(0));
    let process = node(&scratch, "node", &address, &[]);
    process.lines(1).await;
    for (number, line) in ["dev kill 1", "dev add", "dev heal"].into_iter().enumerate() {
        let ended = ask(&scratch, &format!("kvctl-{number}"), &address, line).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{line}");
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!(ended.stderr.contains("--playground"), "{}", ended.stderr);
    }
}

/// Has a node do something to itself.
async fn order(cluster: &Cluster, of: u64, words: &[&str]) {
    let all = [&["dev"], words].concat();
    let ended = cluster.begin_kvctl_at(cluster.address(of), &all).end().await;
    assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.stderr);
}

/// Whom another node than this one follows now.
async fn leader_but(cluster: &Cluster, former: u64) -> u64 {
    let other = cluster.ids().into_iter().find(|id| *id != former).unwrap();
    wait::until("another leader", async || {
        cluster.status(other).await.leader_id.filter(|leader| *leader != former)
    })
    .await
}

/// Nodes with a process each: a leader cuts itself off, another one stands still, and somebody
/// takes over each time.
#[tokio::test]
async fn nodes_of_their_own_are_cut_off_and_stand_still() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start_with(3, &["--playground"]).await;
    let first = cluster.leader().await;
    cluster.client_of(first).await.put("a", "1").await;
    let name = first.to_string();
    for other in cluster.ids().into_iter().filter(|other| *other != first) {
        order(&cluster, first, &["cut", &name, &other.to_string()]).await;
    }
    let second = leader_but(&cluster, first).await;
    cluster.client_of(second).await.put("a", "2").await;
    wait::until("a leader that gives up", async || {
        (cluster.status(first).await.role != "leader").then_some(())
    })
    .await;
    order(&cluster, first, &["heal"]).await;
    cluster.check_equal().await;

    let leader = cluster.leader().await;
    order(&cluster, leader, &["pause", &leader.to_string(), "1500"]).await;
    let third = leader_but(&cluster, leader).await;
    cluster.client_of(third).await.put("a", "3").await;
    cluster.check_equal().await;
    assert_eq!(cluster.client_of(leader).await.get("a").await.as_deref(), Some("3"));
}
