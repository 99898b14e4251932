//! Nodes join, become voters, leave and hand over, while clients go on.

use raft_core::entry::SessionStamp;
use raft_net::client_protocol::{NodeStatus, Op};
use raft_net::member_change::MemberChange;

use super::crashes::{Writers, check_written};
use crate::harness::client::{Client, Connection, Said, status};
use crate::harness::cluster::Cluster;
use crate::harness::ports;
use crate::harness::wait;

/// So long that few of them fit into one append, and catching up takes several.
const VALUE_BYTES: usize = 200_000;

/// The code of a refusal because of another change.
const UNDER_WAY: u8 = 2;

/// The ids with this part in the cluster.
pub(super) fn with_role(status: &NodeStatus, role: &str) -> Vec<u64> {
    let has_role = |(_, it): &&(u64, String)| it == role;
    status.member_roles.iter().filter(has_role).map(|(id, _)| *id).collect()
}

/// Waits until every one of these nodes says that exactly `voters` vote, and follows one of
/// them; returns that one.
pub(super) async fn until_voters(cluster: &Cluster, ids: &[u64], voters: &[u64]) -> u64 {
    wait::until(&format!("word of {ids:?} that {voters:?} vote"), async || {
        let mut leaders = Vec::new();
        for &id in ids {
            let said = status(cluster.address(id)).await?;
            let is_settled = with_role(&said, "outgoing").is_empty();
            if !is_settled || with_role(&said, "voter") != voters {
                return None;
            }
            leaders.push(said.leader_id?);
        }
        let leader = leaders[0];
        let is_one = leaders.iter().all(|it| *it == leader) && voters.contains(&leader);
        is_one.then_some(leader)
    })
    .await
}

/// Waits until a node has applied all that the leader has committed.
pub(super) async fn until_caught_up(cluster: &Cluster, id: u64, leader: u64) {
    let goal = cluster.status(leader).await.commit_index;
    wait::until(&format!("entry {goal} on node {id}"), async || {
        (goal <= cluster.status(id).await.applied_index).then_some(())
    })
    .await;
}

/// Writes more than one append holds.
async fn write_much(cluster: &Cluster) {
    let client = cluster.client().await;
    let value = "x".repeat(VALUE_BYTES);
    for number in 0..15 {
        client.put(&format!("key {number}"), &value).await;
    }
}

pub(super) async fn check_kvctl(cluster: &Cluster, words: &[&str], code: i32, said: &str) {
    let ended = cluster.kvctl(words).await;
    let text = if code == 0 { &ended.stdout } else { &ended.stderr };
    assert!(ended.code == Some(code) && text.contains(said), "{words:?}: {ended:?}");
    assert!(code == 0 || ended.stderr.lines().count() == 1, "{words:?}: {ended:?}");
}

#[tokio::test]
async fn two_nodes_join_while_clients_write_and_are_voters_together() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let mut writers = Writers::start(&cluster).await;
    assert_eq!(cluster.join().await, 4);
    let leader = cluster.leader().await;
    until_caught_up(&cluster, 4, leader).await;
    assert_eq!(cluster.status(4).await.role, "learner", "four voters are no better than three");
    assert_eq!(cluster.join().await, 5);
    until_voters(&cluster, &[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5]).await;
    writers.go_on(20).await;

    // Two of the founders are gone, and what is left is a majority of five only.
    cluster.kill(1);
    cluster.kill(2);
    writers.go_on(20).await;
    cluster.revive_alone(1);
    cluster.revive_alone(2);
    cluster.kill(4);
    cluster.revive_alone(4);
    until_voters(&cluster, &[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5]).await;
    writers.go_on(20).await;
    let written = writers.end().await;
    check_written(&cluster, &[1, 2, 3, 4, 5], &written).await;
    cluster.check_equal().await;
}

#[tokio::test]
async fn without_auto_promote_an_operator_makes_voters() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start_with(3, &["--auto-promote", "off"]).await;
    for id in [4, 5] {
        assert_eq!(cluster.join().await, id);
        let leader = cluster.leader().await;
        until_caught_up(&cluster, id, leader).await;
    }
    check_kvctl(&cluster, &["member", "promote", "4", "--wait"], 0, "OK").await;
    let four = until_voters(&cluster, &[1, 2, 3, 4, 5], &[1, 2, 3, 4]).await;
    check_kvctl(&cluster, &["member", "promote", "4"], 1, "node 4 is not a learner").await;
    // A second of quiet under a leader that could have promoted the fifth.
    let before = cluster.status(four).await.commit_index;
    check_kvctl(&cluster, &["member", "demote", "4", "--wait"], 0, "OK").await;
    until_voters(&cluster, &[1, 2, 3, 4, 5], &[1, 2, 3]).await;
    let after = cluster.status(four).await;
    assert_eq!(with_role(&after, "kept-learner"), [4]);
    assert_eq!(with_role(&after, "learner"), [5]);
    assert!(before < after.commit_index);
    let json = cluster.kvctl(&["member", "list", "-w", "json"]).await;
    assert!(json.stdout.contains("\"id\":5,\"role\":\"learner\""), "{json:?}");
    // A learner asks nobody, and is told all the same.
    check_kvctl(&cluster, &["member", "remove", "5", "--wait"], 0, "OK").await;
    cluster.node(5).complains(&["the cluster has removed this node for ever"]).await;
}

#[tokio::test]
async fn a_follower_and_then_the_leader_are_removed_and_the_rest_goes_on() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(4).await;
    let client = cluster.client().await;
    client.put("a", "1").await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    check_kvctl(&cluster, &["member", "remove", &follower.to_string()], 0, "OK").await;
    cluster.node(follower).complains(&["the cluster has removed this node for ever"]).await;
    assert_eq!(cluster.status(follower).await.role, "removed");

    check_kvctl(&cluster, &["member", "remove", &leader.to_string()], 0, "OK").await;
    let rest: Vec<u64> =
        cluster.ids().into_iter().filter(|id| ![leader, follower].contains(id)).collect();
    let new = until_voters(&cluster, &rest, &rest).await;
    cluster.node(leader).complains(&["the cluster has removed this node for ever"]).await;
    let addresses: Vec<String> = rest.iter().map(|&id| cluster.address(id).to_owned()).collect();
    Client::connect(&addresses).await.put("b", "2").await;

    // A removed node that comes back asks once, is told, and is quiet.
    let term = cluster.status(new).await.term;
    cluster.kill(leader);
    cluster.revive_alone(leader);
    wait::until("role removed", async || {
        (cluster.status(leader).await.role == "removed").then_some(())
    })
    .await;
    assert_eq!(until_voters(&cluster, &rest, &rest).await, new);
    assert_eq!(cluster.status(new).await.term, term, "it disturbs nobody");
    let told = cluster.node(leader).stderr().matches("removed this node for ever").count();
    assert_eq!(told, 2, "once in each life");
}

#[tokio::test]
async fn leadership_goes_where_it_is_sent_and_back() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let other = cluster.follower().await;
    for to in [other, leader, other, leader] {
        check_kvctl(&cluster, &["member", "transfer", &to.to_string()], 0, "OK").await;
        assert_eq!(cluster.leader().await, to);
    }
    check_kvctl(&cluster, &["member", "transfer"], 0, "OK").await;
    assert_ne!(cluster.leader().await, leader);
    check_kvctl(&cluster, &["member", "transfer", "9"], 1, "node 9").await;
}

#[tokio::test]
async fn a_change_whose_leader_is_killed_is_made_or_not_and_can_be_repeated() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    for address in ports::addresses(4) {
        let leader = cluster.leader().await;
        let add = ["member", "add", &address, "--wait", "--timeout", "10"];
        let adding = cluster.begin_kvctl(&add);
        cluster.kill(leader);
        let ended = adding.end().await;
        assert!(matches!(ended.code, Some(0 | 1 | 3 | 4)), "{ended:?}");
        cluster.revive(leader);
        let again = cluster.kvctl(&add).await;
        assert_eq!(again.code, Some(0), "{again:?}");
        let list = cluster.kvctl(&["member", "list"]).await;
        let places = list.stdout.lines().filter(|line| line.contains(&address)).count();
        assert_eq!(places, 1, "{list:?}");
    }
}

/// A node that was away knows neither who has joined nor that one of them leads; and whoever
/// joins under such a leader reads of times in which there was no such leader.
#[tokio::test]
async fn who_was_away_and_who_is_new_catch_up_under_a_leader_of_later_times() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let away = cluster.follower().await;
    cluster.kill(away);
    write_much(&cluster).await;
    cluster.join().await;
    cluster.join().await;
    let mut ids = cluster.alive();
    until_voters(&cluster, &ids, &[1, 2, 3, 4, 5]).await;
    check_kvctl(&cluster, &["member", "transfer", "4"], 0, "OK").await;
    cluster.revive(away);
    until_caught_up(&cluster, away, 4).await;
    assert_eq!(cluster.join().await, 6);
    until_caught_up(&cluster, 6, 4).await;
    ids.extend([away, 6]);
    until_voters(&cluster, &ids, &[1, 2, 3, 4, 5]).await;
    cluster.check_equal().await;
}

/// Who joins reads of a time in which the leader was elsewhere, and has to answer it.
#[tokio::test]
async fn a_member_that_moves_is_reached_also_by_who_joins_later() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    write_much(&cluster).await;
    let moving = cluster.follower().await;
    cluster.kill(moving);
    let address = cluster.move_to_another_port(moving);
    cluster.revive_alone(moving);
    check_kvctl(&cluster, &["member", "update", &moving.to_string(), &address], 0, "OK").await;
    let leader = cluster.leader().await;
    until_caught_up(&cluster, moving, leader).await;
    check_kvctl(&cluster, &["member", "transfer", &moving.to_string()], 0, "OK").await;
    assert_eq!(cluster.join().await, 4);
    until_caught_up(&cluster, 4, moving).await;
    assert_eq!(cluster.leader().await, moving);
    cluster.check_equal().await;
}

#[tokio::test]
async fn a_change_that_is_sent_twice_is_made_once_through_whichever_node() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    let address = ports::addresses(1).remove(0);
    let mut first = Connection::open(cluster.address(1)).await.unwrap();
    let mut second = Connection::open(cluster.address(2)).await.unwrap();
    let session = SessionStamp { client: first.hello.client, serial: 1, acknowledged: 0 };
    let timeout_ms = 5_000;
    let add = MemberChange { add: vec![address], ..MemberChange::default() };
    let op = || Op::Change { session, timeout_ms, change: Box::new(add.clone()) };
    assert_eq!(first.ask(op()).await.unwrap(), Said::Changed(vec![4]));
    let remove = MemberChange { remove: vec![4], ..MemberChange::default() };
    let mut serial = 1;
    wait::until("removal", async || {
        serial += 1;
        let session = SessionStamp { serial, ..session };
        let op = Op::Change { session, timeout_ms, change: Box::new(remove.clone()) };
        match second.ask(op).await.unwrap() {
            Said::ChangeRefused(refused) if refused.code == UNDER_WAY => None,
            said => {
                assert_eq!(said, Said::Changed(vec![]));
                Some(())
            }
        }
    })
    .await;
    assert_eq!(second.ask(op()).await.unwrap(), Said::Changed(vec![4]), "the same answer");
    let said = cluster.status(2).await;
    assert!(with_role(&said, "learner").is_empty(), "and nothing is done again");

    let nobody = Op::Change { session, timeout_ms, change: Box::default() };
    let malformed = second.ask(nobody).await.unwrap();
    assert_eq!(malformed, Said::Malformed("the change names no node".to_owned()));
    let nowhere = Op::Transfer { timeout_ms, to: Some(0) };
    let malformed = second.ask(nowhere).await.unwrap();
    assert_eq!(malformed, Said::Malformed("0 is not the number of a node".to_owned()));
    assert!(matches!(first.put(b"k", b"v").await.unwrap(), Said::Answer(_)));
    let other = Op::Transfer { timeout_ms, to: Some(9) };
    assert!(matches!(first.ask(other).await.unwrap(), Said::Refused(_)));
}
