//! How many dead nodes a cluster bears, for each size.

use std::time::Duration;

use kv_store::command::Command;
use raft_core::entry::{ClientId, SessionStamp};
use raft_core::replica::event::Refusal;
use raft_net::client_protocol::Op;

use crate::harness::client::{Connection, Said, encoded};
use crate::harness::cluster::Cluster;
use crate::harness::wait;

/// How long a write waits that nobody can acknowledge: well above two elections. Units:
/// milliseconds.
const HOPELESS_MS: u64 = 1_200;

/// S-06, S-09: with a majority alive writes go on, without one none is acknowledged and every
/// client is told so in time, and with the majority back they go on again.
async fn check_majority(count: u16) {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(count).await;
    let client = cluster.client().await;
    client.put("all alive", "1").await;
    let bearable = u64::from(count.div_ceil(2)) - 1;
    // The leader is among the first to go.
    let leader = cluster.leader().await;
    let others = cluster.ids().into_iter().filter(|&id| id != leader);
    let victims: Vec<u64> = std::iter::once(leader).chain(others).collect();
    for &id in &victims[..usize::try_from(bearable).unwrap()] {
        cluster.kill(id);
    }
    client.put("a majority alive", "1").await;

    let last = victims[usize::try_from(bearable).unwrap()];
    cluster.kill(last);
    let mut attempts = Vec::new();
    for (serial, id) in (1..).zip(cluster.alive()) {
        let address = cluster.address(id).to_owned();
        attempts.push(tokio::spawn(async move { write_in_vain(&address, serial).await }));
    }
    for attempt in attempts {
        let said = attempt.await.unwrap();
        let is_told = matches!(said, Said::Refused(Refusal::NoLeader | Refusal::Unknown));
        assert!(is_told, "{bearable} + 1 of {count} nodes are dead, and a write gets {said:?}");
    }

    cluster.revive(last);
    client.put("a majority alive again", "1").await;
    for id in victims {
        if !cluster.alive().contains(&id) {
            cluster.revive(id);
        }
    }
    cluster.leader().await;
    cluster.check_equal().await;
}

async fn write_in_vain(address: &str, serial: u64) -> Said {
    let mut connection = Connection::open(address).await.unwrap();
    let body = encoded(|bytes| Command::Put { key: b"minority", value: b"" }.encode(bytes));
    let client = ClientId { random: serial, ..connection.hello.client };
    let session = SessionStamp { client, serial: 1, acknowledged: 0 };
    let ask = connection.ask(Op::Write { session, timeout_ms: HOPELESS_MS, body: &body });
    let bound = Duration::from_millis(HOPELESS_MS) + Duration::from_secs(5);
    tokio::time::timeout(bound, ask).await.expect("a client is told in time").unwrap()
}

#[tokio::test]
async fn three_nodes_bear_the_loss_of_one() {
    check_majority(3).await;
}

#[tokio::test]
async fn four_nodes_bear_the_loss_of_one() {
    check_majority(4).await;
}

#[tokio::test]
async fn five_nodes_bear_the_loss_of_two() {
    check_majority(5).await;
}

#[tokio::test]
async fn seven_nodes_bear_the_loss_of_three() {
    check_majority(7).await;
}
