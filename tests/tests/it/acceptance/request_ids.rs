//! Servers that are told by their environment who they are, and requests with ids.

use crate::harness::ports;
use crate::harness::process::{Ended, KVCTL, KVORUM, Process};
use crate::harness::scratch::Scratch;
use crate::harness::{client, wait};

/// Three servers, each with its settings in the environment and no flag.
struct Servers {
    scratch: Scratch,
    addresses: Vec<String>,
}

impl Servers {
    fn start(&self, id: usize) -> Process {
        let pairs = (1..).zip(&self.addresses).map(|(id, address)| format!("{id}={address}"));
        let settings = [
            format!("KVORUM_NODE_ID={id}"),
            format!("KVORUM_PEERS={}", pairs.collect::<Vec<_>>().join(",")),
            format!("KVORUM_LISTEN={}", self.addresses[id - 1]),
            format!("KVORUM_DATA_DIR=node-{id}"),
            "KVORUM_WAL_SEGMENT_BYTES=1048576".to_owned(),
        ];
        // It takes the place of the program that sets its environment.
        let words: Vec<&str> = settings.iter().map(String::as_str).chain([KVORUM]).collect();
        Process::start(&self.scratch, &format!("node-{id}"), "env", &words)
    }

    async fn kvctl(&self, at: usize, words: &[&str]) -> Ended {
        let arguments = [&["--endpoints", &self.addresses[at - 1]], words].concat();
        Process::start(&self.scratch, "kvctl", KVCTL, &arguments).end().await
    }

    async fn leader(&self, at: usize) -> usize {
        let leader = wait::until("leader", async || {
            client::status(&self.addresses[at - 1]).await?.leader_id
        });
        usize::try_from(leader.await).unwrap()
    }
}

fn last_line(ended: &Ended) -> &str {
    ended.stdout.lines().last().unwrap_or_default()
}

/// set, get and delete under request ids, of which each has one effect however often it is
/// asked for; without a majority a request ends in time, and is repeated when there is one
/// again; whoever does not lead forwards.
#[tokio::test]
async fn acc_a03_three_servers_and_requests_with_ids() {
    let _turn = wait::turn().await;
    let servers = Servers { scratch: Scratch::new(), addresses: ports::addresses(3) };
    let mut nodes: Vec<Option<Process>> = (1..=3).map(|id| Some(servers.start(id))).collect();
    let leader = servers.leader(1).await;
    let [follower, other] =
        <[usize; 2]>::try_from((1..=3).filter(|id| *id != leader).collect::<Vec<_>>()).unwrap();

    let count = async |at: usize, name: &str| {
        let ended = servers.kvctl(at, &["--request-id", name, "incr", "count"]).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        last_line(&ended).to_owned()
    };
    assert_eq!(count(leader, "7:1").await, "1");
    assert_eq!(count(follower, "7:1").await, "1", "it is answered as before");
    assert_eq!(count(other, "7:2").await, "2");
    let set = servers.kvctl(follower, &["--request-id", "7:3", "set", "city", "Oslo"]).await;
    assert_eq!((set.code, last_line(&set)), (Some(0), "OK"), "{}", set.stderr);
    for at in [leader, follower, other] {
        let get = servers.kvctl(at, &["get", "city"]).await;
        assert_eq!((get.code, last_line(&get)), (Some(0), "Oslo"), "through node {at}");
    }
    for _ in 0..2 {
        let del = servers.kvctl(follower, &["--request-id", "7:4", "del", "city"]).await;
        assert_eq!((del.code, last_line(&del)), (Some(0), "1"), "{}", del.stderr);
    }

    // Alone, a node can say neither yes nor no.
    for id in [leader, other] {
        nodes[id - 1].take().unwrap().kill();
    }
    let words = ["--timeout", "1", "--request-id", "7:5", "incr", "count"];
    let alone = servers.kvctl(follower, &words).await;
    assert!(matches!(alone.code, Some(3 | 4)), "{alone:?}");
    assert_eq!(alone.stderr.lines().filter(|line| line.contains("kvctl:")).count(), 1, "{alone:?}");
    nodes[other - 1] = Some(servers.start(other));
    servers.leader(follower).await;
    assert_eq!(count(follower, "7:5").await, "3", "the same request again takes effect once");
    assert_eq!(count(other, "7:5").await, "3");
    assert_eq!(last_line(&servers.kvctl(other, &["get", "count"]).await), "3");
}
