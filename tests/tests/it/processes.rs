//! Real processes on loopback, killed, revived and stopped.

mod backups;
mod care;
mod crashes;
mod exactly_once;
mod full_memory;
mod leases;
mod locks;
mod members;
mod new_clusters;
mod quorum;
mod reads;
mod scheduled_backups;
mod snapshots;
mod transactions;
mod upgrade;
mod watches;

use rustix::process::Signal;

use crate::harness::client::{Connection, Said};
use crate::harness::cluster::Cluster;
use crate::harness::wait;

/// SIGTERM hands leadership over before the process ends, and no write is lost over it.
#[tokio::test]
async fn a_leader_that_is_asked_to_end_hands_over_first() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    client.put("before", "1").await;
    let leader = cluster.leader().await;
    let term = cluster.status(leader).await.term;
    let process = cluster.take(leader);
    process.signal(Signal::TERM);
    let ended = process.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // No waiting: somebody leads already when the old leader is gone.
    let mut roles = Vec::new();
    for id in cluster.alive() {
        roles.push(cluster.status(id).await.role);
    }
    assert!(roles.iter().any(|role| role == "leader"), "{roles:?}");
    let revision = client.put("after", "2").await;
    assert_eq!(revision, 3, "two writes, each once, above the empty store's 1");
    let new = cluster.leader().await;
    assert_eq!(cluster.status(new).await.term, term + 1, "one election, and nobody waited for it");
}

/// A dump takes no lock and disturbs nobody.
#[tokio::test]
async fn the_log_of_a_running_node_can_be_dumped() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    for key in ["a", "b", "c"] {
        client.put(key, "word").await;
    }
    cluster.check_equal().await;
    let dumped = cluster.dump(2).await;
    assert_eq!((dumped.code, dumped.stderr.as_str()), (Some(0), ""));
    let commands = dumped.stdout.lines().filter(|line| line.contains(r#""kind":"command""#));
    assert!(3 <= commands.count(), "{}", dumped.stdout);
    let verdict = dumped.stdout.lines().last().unwrap_or_default();
    assert!(verdict.contains(r#""type":"verdict""#), "{verdict}");
    client.put("after", "word").await;
    cluster.check_equal().await;
}

/// A whole cluster on neighbouring ports of one address, and many connections from one address:
/// every answer finds the connection that asked.
#[tokio::test]
async fn two_hundred_connections_from_one_address_each_get_their_own_answers() {
    const CONNECTIONS: usize = 200;
    const REQUESTS: usize = 5;
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    let mut connections = Vec::new();
    for number in 0..CONNECTIONS {
        let address = &cluster.addresses[number % 3];
        connections.push(Connection::open(address).await.unwrap());
    }
    let tasks = (0..).zip(connections).map(|(number, mut connection)| {
        tokio::spawn(async move { ask_for_its_own(&mut connection, number, REQUESTS).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let (revision, _) = cluster.client().await.prefix("c").await;
    assert_eq!(revision, 1 + 1000, "200 connections with 5 puts each");
    cluster.check_equal().await;
}

/// Sends all requests at once; the answers may come in any order, and only to this connection.
async fn ask_for_its_own(connection: &mut Connection, number: usize, requests: usize) {
    for request in 0..requests {
        let (key, value) = (format!("c{number}"), format!("{number}.{request}"));
        let said = connection.put(key.as_bytes(), value.as_bytes()).await.unwrap();
        assert!(matches!(said, Said::Answer(_)), "{said:?}");
    }
    let mut waiting = Vec::new();
    for other in 0..requests {
        let key = if other == 0 { format!("c{number}") } else { format!("absent {number}") };
        let query = crate::harness::client::get(&key);
        let op = raft_net::client_protocol::Op::Read { timeout_ms: 5_000, body: &query };
        waiting.push((connection.send(op).await.unwrap(), other == 0));
    }
    while !waiting.is_empty() {
        let (id, said) = connection.receive().await.unwrap();
        let place = waiting.iter().position(|(asked, _)| *asked == id);
        let (_, is_there) = waiting.remove(place.expect("nobody else's answer comes here"));
        let expected = format!("{number}.{}", requests - 1);
        let Said::Answer(answer) = said else { panic!("{said:?}") };
        let holds = answer.windows(expected.len()).any(|part| part == expected.as_bytes());
        assert_eq!(holds, is_there, "connection {number}: {}", answer.escape_ascii());
    }
}
