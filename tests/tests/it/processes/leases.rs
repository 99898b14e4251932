//! Keys that go by themselves, on real nodes.

use kv_store::command::{Answer, Command};
use raft_core::entry::SessionStamp;
use raft_net::client_protocol::Op;
use rustix::process::Signal;

use crate::harness::client::{Connection, Said, encoded};
use crate::harness::cluster::Cluster;
use crate::harness::wait;

/// What a command prints, without the end of its last line.
async fn said(cluster: &Cluster, words: &[&str]) -> String {
    let ended = cluster.kvctl(words).await;
    assert_eq!(ended.code, Some(0), "{words:?}: {}{}", ended.stdout, ended.stderr);
    ended.stdout.trim_end().to_owned()
}

/// A key stays for as long as somebody renews its lease, also while leaders change, and goes
/// soon after; one with a time to live goes in between.
#[tokio::test]
async fn a_key_stays_as_long_as_its_lease_is_renewed() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let lease = said(&cluster, &["lease", "grant", "2s"]).await;
    said(&cluster, &["put", "--lease", &lease, "renewed", "1"]).await;
    said(&cluster, &["put", "--ttl", "3s", "passing", "1"]).await;
    said(&cluster, &["hset", "hash", "a:1", "b:2"]).await;
    assert_eq!(said(&cluster, &["expire", "hash", "a", "3s"]).await, "true");
    let keeper = cluster.begin_kvctl(&["lease", "keep-alive", &lease]);
    cluster.kill(cluster.leader().await);
    let client = cluster.client().await;
    wait::until("what has a time to live goes", async || {
        client.get("passing").await.is_none().then_some(())
    })
    .await;
    wait::until("the field goes", async || {
        (said(&cluster, &["hgetall", "hash"]).await == "b:2").then_some(())
    })
    .await;
    assert_eq!(client.get("renewed").await.as_deref(), Some("1"));
    assert!(said(&cluster, &["lease", "show", &lease]).await.contains("key renewed"));
    keeper.signal(Signal::INT);
    let ended = keeper.end().await;
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    wait::until("nobody renews it", async || client.get("renewed").await.is_none().then_some(()))
        .await;
    assert_eq!(said(&cluster, &["lease", "list"]).await, "");
    let ended = cluster.kvctl(&["ttl", "renewed"]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), "null\n"));
    let ended = cluster.kvctl(&["put", "--lease", &lease, "late", "1"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("there is no lease"), "{}", ended.stderr);
}

/// A new leader goes on with the time that a lease has left, though nothing was written since it
/// was granted: nobody's lease begins anew because a leader died.
#[tokio::test]
async fn the_time_that_is_left_survives_the_leader() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let lease = said(&cluster, &["lease", "grant", "1m", "77"]).await;
    assert_eq!(lease, "77");
    let remaining = async |cluster: &Cluster| {
        let shown = said(cluster, &["lease", "show", "77"]).await;
        let (_, line) = shown.split_once("remaining ").expect("it says what remains");
        line.lines().next().and_then(|text| text.parse::<f64>().ok()).expect("a number")
    };
    let before = wait::until("two seconds pass", async || {
        Some(remaining(&cluster).await).filter(|&left| left <= 58.0)
    })
    .await;
    cluster.kill(cluster.leader().await);
    let after = remaining(&cluster).await;
    assert!(after < before + 0.5, "{after} s are left after {before} s were");
    assert!(before - 30.0 < after, "{after} s are left after {before} s were");
}

/// Renewals that come together are one entry of the log, at the leader and at a follower, and each
/// is answered with the time of its own leases.
#[tokio::test]
async fn renewals_of_one_turn_share_an_entry() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let mut connection = Connection::open(cluster.address(leader)).await.unwrap();
    for id in 1..=100 {
        let grant = Command::GrantLease { id, ttl_ms: 60_000 + id };
        let answer = write(&mut connection, &grant).await;
        let granted = Answer::Granted { id, ttl_ms: 60_000 + id, revision: 1 };
        assert_eq!(Answer::decode(&answer), Ok(granted));
    }
    for at in [leader, follower] {
        let mut connection = Connection::open(cluster.address(at)).await.unwrap();
        let before = cluster.status(leader).await.last_index;
        let mut asked = Vec::new();
        for number in 0..100 {
            // Every tenth asks for two leases and one that is not there.
            let first = 1 + number;
            let ids = if number % 10 == 0 { vec![first, 5_000, 100] } else { vec![first] };
            let command = Command::RenewLeases { ids: ids.iter().copied().collect() };
            let body = encoded(|bytes| command.encode(bytes));
            let session = SessionStamp::default();
            let op = Op::Write { session, timeout_ms: 5_000, body: &body };
            asked.push((connection.send(op).await.unwrap(), ids));
        }
        for _ in 0..asked.len() {
            let (id, said) = connection.receive().await.unwrap();
            let Said::Answer(answer) = said else { panic!("a renewal is answered by {said:?}") };
            let (_, ids) = asked.iter().find(|(asked, _)| *asked == id).expect("it was asked for");
            let ttl_of = |&id: &u64| if id == 5_000 { 0 } else { 60_000 + id };
            let ttls_ms = ids.iter().map(ttl_of).collect();
            assert_eq!(Answer::decode(&answer), Ok(Answer::Renewed { revision: 1, ttls_ms }));
        }
        let entries = cluster.status(leader).await.last_index - before;
        assert!((1..=50).contains(&entries), "{entries} entries for 100 renewals at node {at}");
    }
    cluster.check_equal().await;
}

/// Sends a command, and returns the answer.
async fn write(connection: &mut Connection, command: &Command<'_>) -> bytes::Bytes {
    let body = encoded(|bytes| command.encode(bytes));
    let session = SessionStamp::default();
    match connection.ask(Op::Write { session, timeout_ms: 5_000, body: &body }).await {
        Ok(Said::Answer(answer)) => answer,
        other => panic!("{command:?} is answered by {other:?}"),
    }
}
