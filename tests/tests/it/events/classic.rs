//! The five classic events as the nodes themselves tell them.

use kvorum_node::{ClusterOptions, LocalCluster, NodeId, Story};
use serde_json::Value;

use super::told::{Told, check_numbers, is, number};
use crate::harness::wait;
use crate::local_cluster::{Adder, Cluster, Counter, id, leader};

/// As many heartbeats in a row are peace.
const HEARTBEATS: usize = 40;

/// What stands in the story one after the other: who tells, which kind, and what else holds.
struct Chapter {
    node: u64,
    kind: &'static str,
    holds: Box<dyn Fn(&Value) -> bool>,
}

fn chapter(node: NodeId, kind: &'static str, holds: impl Fn(&Value) -> bool + 'static) -> Chapter {
    Chapter { node: node.number(), kind, holds: Box::new(holds) }
}

/// Finds the chapters in the story, each behind the one before.
fn check_story(title: &str, mut story: &[Value], chapters: &[Chapter]) {
    for (place, Chapter { node, kind, holds }) in chapters.iter().enumerate() {
        let found = story.iter().position(|event| is(event, *node, kind) && holds(event));
        let found = found.unwrap_or_else(|| {
            let rest: Vec<String> = story.iter().take(60).map(Value::to_string).collect();
            panic!("{title}: no {kind} of node {node} ({place}) in\n{}", rest.join("\n"))
        });
        story = &story[found + 1..];
    }
}

fn others(leader: NodeId) -> [NodeId; 2] {
    let others: Vec<NodeId> = (1..=3).map(id).filter(|it| *it != leader).collect();
    others.try_into().unwrap()
}

fn last_of(event: &Value) -> u64 {
    number(event, "last")
}

/// Waits until a node knows the log to be committed up to an entry.
async fn committed(told: &mut Told, node: NodeId, index: u64, seen: usize) {
    let what = format!("entry {index} committed on node {node}");
    let knows = |event: &Value| is(event, node.number(), "committed") && index <= last_of(event);
    told.until(&what, seen, knows).await;
}

/// Writes through the cluster and returns the index of what was written, as its leader tells it.
async fn write(told: &mut Told, cluster: &Cluster, adder: &mut Adder) -> u64 {
    let (leader, seen) = (leader(cluster).await, told.len());
    adder.add(cluster, 1).await;
    let appends = |event: &Value| is(event, leader.number(), "appended");
    last_of(&told.until("an entry of the leader", seen, appends).await)
}

async fn first_election(told: &mut Told, cluster: &Cluster) -> NodeId {
    let leader = leader(cluster).await;
    for node in 1..=3 {
        let what = format!("node {node} that knows who leads");
        let knows = |event: &Value| is(event, node, "role") && event["leader"] == leader.number();
        told.until(&what, 0, knows).await;
    }
    leader
}

fn check_election(story: &[Value], leader: NodeId) {
    let is_reason = |words: &'static str| {
        move |event: &Value| event["reason"].as_str().unwrap().contains(words)
    };
    check_story(
        "the first election",
        story,
        &[
            chapter(leader, "started", |_| true),
            chapter(leader, "timer", |event| event["is"] == "ran_out"),
            chapter(leader, "role", is_reason("the election timer ran out")),
            chapter(leader, "role", is_reason("a majority would vote for it")),
            chapter(leader, "vote_asked", |event| event["pre_vote"] == false),
            chapter(leader, "vote_counted", |event| {
                event["granted"] == true && 2 <= number(event, "votes")
            }),
            chapter(leader, "role", is_reason("a majority voted for it")),
        ],
    );
    let gives = |event: &&Value| event["event"] == "vote_given" && event["to"] == leader.number();
    assert!(story.iter().any(|event| gives(&event)), "somebody gave its vote");
}

async fn peace(told: &mut Told, leader: NodeId) -> (usize, usize) {
    let begin = told.len();
    for node in others(leader) {
        let what = format!("heartbeats at node {node}");
        wait::until(&what, async || {
            told.len();
            let heard = told.events[begin..].iter().filter(|event| {
                is(event, node.number(), "message") && event["type"] == "Heartbeat"
            });
            (HEARTBEATS <= heard.count()).then_some(())
        })
        .await;
    }
    (begin, told.len())
}

fn check_peace(during: &[Value]) {
    let disturbs = |event: &&Value| {
        ["role", "timer", "vote_asked"].contains(&event["event"].as_str().unwrap())
    };
    assert_eq!(during.iter().find(disturbs), None, "heartbeats suppress elections");
}

fn check_replication(story: &[Value], leader: NodeId, index: u64) {
    let covers = move |event: &Value| number(event, "first") <= index && index <= last_of(event);
    let by_majority =
        move |event: &Value| covers(event) && 2 <= event["held_by"].as_array().map_or(0, Vec::len);
    check_story(
        "a write on the leader",
        story,
        &[
            chapter(leader, "appended", covers),
            chapter(leader, "message", move |event| {
                event["type"] == "AppendEntries" && covers(event)
            }),
            chapter(leader, "committed", by_majority),
        ],
    );
    for follower in others(leader) {
        check_story(
            "the write on a follower",
            story,
            &[
                chapter(leader, "appended", covers),
                chapter(follower, "appended", covers),
                chapter(follower, "persisted", covers),
                chapter(follower, "committed", covers),
            ],
        );
    }
}

fn check_lost_follower(story: &[Value], leader: NodeId, lost: NodeId, index: u64) {
    let (peer, covers) = (lost.number(), move |event: &Value| index <= last_of(event));
    let is_about = move |event: &Value| event["peer"] == peer;
    check_story(
        "a follower that is lost",
        story,
        &[
            chapter(lost, "killed", |_| true),
            chapter(leader, "link", move |event| is_about(event) && event["up"] == false),
            chapter(leader, "committed", move |event| {
                let holders = event["held_by"].as_array().unwrap();
                covers(event) && !holders.contains(&Value::from(peer))
            }),
            chapter(lost, "started", |_| true),
            chapter(leader, "behind", is_about),
            chapter(leader, "caught_up", is_about),
        ],
    );
    check_story(
        "what it hears when it is back",
        story,
        &[chapter(lost, "started", |_| true), chapter(lost, "committed", covers)],
    );
}

fn check_lost_leader(story: &[Value], old: NodeId, new: NodeId, index: u64) {
    let (first, second) = (old.number(), new.number());
    let covers = move |event: &Value| index <= last_of(event);
    check_story(
        "a leader that is lost",
        story,
        &[
            chapter(old, "killed", |_| true),
            chapter(new, "role", move |event| {
                event["reason"] == "the link to the leader ended" && event["because_of"] == first
            }),
            chapter(new, "role", |event| event["role"] == "candidate"),
            chapter(new, "role", |event| {
                event["role"] == "leader" && event["reason"] == "a majority voted for it"
            }),
            chapter(new, "committed", covers),
            chapter(old, "started", |_| true),
            chapter(old, "role", move |event| {
                event["role"] == "follower" && event["leader"] == second
            }),
            chapter(old, "committed", covers),
        ],
    );
    check_story(
        "that is caught up with",
        story,
        &[
            chapter(old, "started", |_| true),
            chapter(new, "caught_up", move |event| event["peer"] == first),
        ],
    );
}

/// the five classic events as one scripted run whose report tells the same story: a first
/// election, heartbeats that suppress others, a write that a majority has and then all commit, a
/// follower that dies and catches up, a leader that dies, its successor, and its return. Each
/// event has its reason, and none is missing.
#[tokio::test]
async fn acc_a01_nodes_tell_the_five_classic_events_with_their_reasons() {
    let _turn = wait::turn().await;
    let (story, reader) = Story::begin();
    let options = ClusterOptions { story: Some(story), ..ClusterOptions::in_memory(3) };
    let mut cluster = LocalCluster::start(options, Counter::new).unwrap();
    let (mut told, mut adder) = (Told::new(reader), Adder::new());

    let leader = first_election(&mut told, &cluster).await;
    let (peace_begins, peace_ends) = peace(&mut told, leader).await;

    let written = write(&mut told, &cluster, &mut adder).await;
    for node in [1, 2, 3].map(id) {
        committed(&mut told, node, written, peace_ends).await;
    }

    let [lost, new] = others(leader);
    let death = told.len();
    cluster.kill(lost).unwrap();
    let missed = write(&mut told, &cluster, &mut adder).await;
    committed(&mut told, leader, missed, death).await;
    let return_at = told.len();
    cluster.revive(lost).unwrap();
    committed(&mut told, lost, missed, return_at).await;
    let peer = lost.number();
    let is_level = |event: &Value| event["event"] == "caught_up" && event["peer"] == peer;
    told.until("the follower that has caught up", return_at, is_level).await;

    let second_death = told.len();
    cluster.kill(leader).unwrap();
    let after = write(&mut told, &cluster, &mut adder).await;
    let successor = crate::local_cluster::leader(&cluster).await;
    assert!([lost, new].contains(&successor), "one of the others leads");
    committed(&mut told, successor, after, second_death).await;
    let second_return = told.len();
    cluster.revive(leader).unwrap();
    committed(&mut told, leader, after, second_return).await;
    let peer = leader.number();
    let is_level = |event: &Value| event["event"] == "caught_up" && event["peer"] == peer;
    told.until("the old leader that has caught up", second_return, is_level).await;
    cluster.stop();
    drop(cluster);

    check_numbers(told.events.iter());
    check_peace(&told.events[peace_begins..peace_ends]);
    let story = told.whole();
    check_election(&story, leader);
    check_replication(&story, leader, written);
    check_lost_follower(&story, leader, lost, missed);
    check_lost_leader(&story, leader, successor, after);
    let ended = story.iter().filter(|event| event["event"] == "stopped").count();
    assert_eq!(ended, 3, "each node tells of its end");
    super::page::picture(&story);
}
