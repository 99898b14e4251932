//! What a program sees that plays with the nodes of its cluster and the links between them.

use std::time::Duration;

use kvorum_node::{ClusterOptions, NodeId, PlaceError, Transport, Way};

use crate::harness::ports;
use crate::harness::wait;
use crate::local_cluster::{Adder, Cluster, Counter, check_sum_everywhere, id, leader};

/// Longer than any election timeout of a cluster with the usual settings.
const ELECTION: Duration = Duration::from_millis(500);

fn start(options: ClusterOptions) -> Cluster {
    Cluster::start(options, Counter::new).unwrap()
}

fn over_tcp() -> ClusterOptions {
    let transport = Transport::Tcp { first_port: Some(ports::adjacent(5)[0]) };
    ClusterOptions { transport, ..ClusterOptions::in_memory(3) }
}

fn others(cluster: &Cluster, of: NodeId) -> Vec<NodeId> {
    cluster.members().keys().copied().filter(|&other| other != of).collect()
}

async fn term(cluster: &Cluster, of: NodeId) -> u64 {
    cluster.node(of).unwrap().status().await.unwrap().term.0
}

/// Whom a node follows, or `None`.
async fn followed(cluster: &Cluster, by: NodeId) -> Option<NodeId> {
    cluster.node(by).unwrap().status().await.unwrap().leader
}

async fn leader_but(cluster: &Cluster, former: NodeId) -> NodeId {
    wait::until("another leader", async || {
        cluster.leader().await.filter(|&leader| leader != former)
    })
    .await
}

async fn check_isolation(options: ClusterOptions) {
    let mut cluster = start(options);
    let mut adder = Adder::new();
    assert_eq!(adder.add(&cluster, 1).await, 1);
    let former = leader(&cluster).await;
    for other in others(&cluster, former) {
        cluster.cut(former, other, Way::Both).unwrap();
    }
    leader_but(&cluster, former).await;
    assert_eq!(adder.add(&cluster, 1).await, 2);
    // It notices by itself that nobody hears it, and says so.
    wait::until("a leader that steps down", async || {
        (followed(&cluster, former).await != Some(former)).then_some(())
    })
    .await;
    cluster.heal_all().unwrap();
    check_sum_everywhere(&cluster, 2).await;
    let said = cluster.heal_all().unwrap_err();
    assert!(matches!(said, PlaceError::AllWhole), "{said}");
}

#[tokio::test]
async fn a_leader_that_is_cut_off_in_memory_is_replaced_and_converges() {
    check_isolation(ClusterOptions::in_memory(3)).await;
}

#[tokio::test]
async fn a_leader_that_is_cut_off_over_tcp_is_replaced_and_converges() {
    check_isolation(over_tcp()).await;
}

/// Its heartbeats still come, so that nobody would doubt it: it has to notice itself.
#[tokio::test]
async fn a_leader_that_hears_nobody_gives_up() {
    let mut cluster = start(ClusterOptions::in_memory(3));
    let mut adder = Adder::new();
    assert_eq!(adder.add(&cluster, 1).await, 1);
    let former = leader(&cluster).await;
    for other in others(&cluster, former) {
        cluster.cut(other, former, Way::Forth).unwrap();
    }
    leader_but(&cluster, former).await;
    assert_eq!(adder.add(&cluster, 1).await, 2);
    cluster.heal_all().unwrap();
    check_sum_everywhere(&cluster, 2).await;
}

/// It asks for an election again and again, which nobody grants who hears the leader.
#[tokio::test]
async fn a_follower_that_does_not_hear_its_leader_changes_no_term() {
    let mut cluster = start(ClusterOptions::in_memory(3));
    let mut adder = Adder::new();
    assert_eq!(adder.add(&cluster, 1).await, 1);
    let leader = leader(&cluster).await;
    let deaf = others(&cluster, leader)[0];
    let before = term(&cluster, leader).await;
    cluster.cut(leader, deaf, Way::Forth).unwrap();
    wait::until("a follower without a leader", async || {
        followed(&cluster, deaf).await.is_none().then_some(())
    })
    .await;
    tokio::time::sleep(2 * ELECTION).await;
    assert_eq!(adder.add(&cluster, 1).await, 2);
    for other in others(&cluster, NodeId::new(9).unwrap()) {
        assert_eq!(term(&cluster, other).await, before, "node {other}");
    }
    cluster.heal(deaf, leader).unwrap();
    check_sum_everywhere(&cluster, 2).await;
    assert_eq!(followed(&cluster, deaf).await, Some(leader));
    assert_eq!(term(&cluster, leader).await, before);
}

async fn check_pause(options: ClusterOptions) {
    let mut cluster = start(options);
    let mut adder = Adder::new();
    assert_eq!(adder.add(&cluster, 1).await, 1);
    let former = leader(&cluster).await;
    cluster.pause(former, None).unwrap();
    assert_eq!((cluster.paused(), cluster.dead()), (vec![former], vec![]));
    assert!(cluster.node(former).is_none(), "it would not answer");
    let said = cluster.pause(former, None).unwrap_err();
    assert!(matches!(said, PlaceError::Paused(node) if node == former), "{said}");
    leader_but(&cluster, former).await;
    assert_eq!(adder.add(&cluster, 1).await, 2);
    cluster.resume(former).unwrap();
    assert_eq!(cluster.paused(), []);
    check_sum_everywhere(&cluster, 2).await;
    assert_ne!(followed(&cluster, former).await, Some(former));
    // One that stands still can be ended, and the cluster with it.
    cluster.pause(former, None).unwrap();
    cluster.kill(former).unwrap();
    cluster.revive(former).unwrap();
    cluster.pause(former, None).unwrap();
    assert_eq!(cluster.stop().len(), 3);
}

#[tokio::test]
async fn a_leader_that_stands_still_in_memory_goes_on_as_a_follower() {
    check_pause(ClusterOptions::in_memory(3)).await;
}

#[tokio::test]
async fn a_leader_that_stands_still_over_tcp_goes_on_as_a_follower() {
    check_pause(over_tcp()).await;
}

/// A shorter pause than anybody waits for is forgiven, by itself too.
#[tokio::test]
async fn a_short_pause_changes_no_leader() {
    let mut cluster = start(ClusterOptions::in_memory(3));
    let mut adder = Adder::new();
    assert_eq!(adder.add(&cluster, 1).await, 1);
    let leader = leader(&cluster).await;
    let before = term(&cluster, leader).await;
    cluster.pause(leader, Some(Duration::from_millis(60))).unwrap();
    wait::until("the end of the pause", async || cluster.paused().is_empty().then_some(())).await;
    assert_eq!(adder.add(&cluster, 1).await, 2);
    assert_eq!(term(&cluster, leader).await, before);
}

/// A follower that is further away than any election timeout still hears each heartbeat, later.
#[tokio::test]
async fn a_follower_far_away_disturbs_nobody_and_has_everything_later() {
    let mut cluster = start(ClusterOptions::in_memory(3));
    let mut adder = Adder::new();
    assert_eq!(adder.add(&cluster, 1).await, 1);
    let leader = leader(&cluster).await;
    let far = others(&cluster, leader)[0];
    let before = term(&cluster, leader).await;
    cluster.delay((leader, far), Way::Both, 150).unwrap();
    for sum in 2..=20 {
        assert_eq!(adder.add(&cluster, 1).await, sum);
    }
    check_sum_everywhere(&cluster, 20).await;
    assert_eq!(term(&cluster, far).await, before, "nobody stood for election");
    cluster.delay((leader, far), Way::Both, 0).unwrap();
    assert!(cluster.spoilt_links().is_empty());
    check_sum_everywhere(&cluster, 20).await;
}

/// Somebody else leads for as long as it is wanted, and every command still counts once.
#[tokio::test]
async fn leadership_is_taken_given_up_and_handed_over() {
    let mut cluster = start(ClusterOptions::in_memory(3));
    let mut adder = Adder::new();
    assert_eq!(adder.add(&cluster, 1).await, 1);
    let first = leader(&cluster).await;
    let other = others(&cluster, first)[0];
    assert_eq!(cluster.campaign(other, wait::DEADLINE).await.unwrap(), other);
    assert_eq!(adder.add(&cluster, 1).await, 2);
    let said = cluster.campaign(other, wait::DEADLINE).await.unwrap_err();
    assert!(matches!(said, PlaceError::Leads(node) if node == other), "{said}");
    let said = cluster.step_down(first, wait::DEADLINE).await.unwrap_err();
    assert!(matches!(said, PlaceError::DoesNotLead(node) if node == first), "{said}");
    let before = term(&cluster, other).await;
    let next = cluster.step_down(other, wait::DEADLINE).await.unwrap();
    assert!(before < term(&cluster, next).await, "a new leader has a new term");
    assert_eq!(adder.add(&cluster, 1).await, 3);
    let last = others(&cluster, next)[0];
    cluster.transfer(last, wait::DEADLINE).await.unwrap();
    assert_eq!(leader(&cluster).await, last);
    check_sum_everywhere(&cluster, 3).await;
}

/// One node becomes five, and they bear the loss of two; then it is three again.
#[tokio::test]
async fn nodes_join_and_leave() {
    for options in [ClusterOptions::in_memory(1), ClusterOptions { nodes: 1, ..over_tcp() }] {
        let mut cluster = start(options);
        let mut adder = Adder::new();
        assert_eq!(adder.add(&cluster, 1).await, 1);
        for number in 2..=5 {
            assert_eq!(cluster.add(None, wait::DEADLINE).await.unwrap(), id(number));
        }
        // Until a node knows that the change is over, the voters from before it decide too.
        wait::until("five voters", async || {
            for (_, node) in cluster.running() {
                let now = node.status().await.unwrap().configuration;
                if now.voters.len() != 5 || !now.outgoing.is_empty() {
                    return None;
                }
            }
            Some(())
        })
        .await;
        check_sum_everywhere(&cluster, 1).await;
        cluster.kill(id(1)).unwrap();
        cluster.pause(id(2), None).unwrap();
        assert_eq!(adder.add(&cluster, 1).await, 2);
        cluster.resume(id(2)).unwrap();
        cluster.remove(id(1), wait::DEADLINE).await.unwrap();
        let leader = leader(&cluster).await;
        cluster.remove(leader, wait::DEADLINE).await.unwrap();
        assert_eq!(adder.add(&cluster, 1).await, 3);
        check_sum_everywhere(&cluster, 3).await;
        let said = cluster.kill(id(1)).unwrap_err().to_string();
        assert!(said.starts_with("there is no node 1, only "), "{said}");
        assert_eq!(
            cluster.add(None, wait::DEADLINE).await.unwrap(),
            id(6),
            "no number comes again"
        );
    }
}
