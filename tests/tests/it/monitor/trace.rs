//! `kvctl --trace`.

use serde_json::Value;

use crate::harness::process::Ended;
use crate::harness::wait;
use crate::monitor::linked;

/// The steps: time, node, word and what it is about.
fn steps(ended: &Ended) -> Vec<(i64, u64, String, u64)> {
    let document: Value = serde_json::from_str(&ended.stderr).unwrap();
    let step = |it: &Value| {
        (
            it["at_us"].as_i64().unwrap(),
            it["node_id"].as_u64().unwrap(),
            it["step"].as_str().unwrap().to_owned(),
            it["about"].as_u64().unwrap(),
        )
    };
    document["trace"].as_array().unwrap().iter().map(step).collect()
}

/// A put through a follower goes to the leader, onto three disks and back, and no time in what is
/// printed goes back.
#[tokio::test]
async fn the_way_of_a_put_through_a_follower_is_printed() {
    let _turn = wait::turn().await;
    let cluster = linked(3).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    wait::until("known leader", async || cluster.status(follower).await.leader_id).await;
    let other = 6 - leader - follower;
    let through = cluster.address(follower).to_owned();
    let words = ["-w", "json", "--trace", "put", "key", "value"];
    let ended = cluster.begin_kvctl_at(&through, &words).end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("{\"revision\":"), "{ended:?}");
    let steps = steps(&ended);
    assert!(steps.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{steps:#?}");
    let place = |node: u64, word: &str| {
        let found = steps.iter().position(|(_, at, it, _)| (*at, it.as_str()) == (node, word));
        found.unwrap_or_else(|| panic!("no {word} of {node}: {steps:#?}"))
    };
    let way = [
        (follower, "request"),
        (follower, "round"),
        (follower, "forward-to"),
        (leader, "forward-from"),
        (leader, "log"),
        (leader, "committed"),
        (leader, "applied"),
    ];
    let in_order: Vec<usize> = way.iter().map(|(node, word)| place(*node, word)).collect();
    assert!(in_order.windows(2).all(|pair| pair[0] < pair[1]), "{steps:#?}");
    // Two followers are a majority without the leader's own disk.
    assert!(place(leader, "log") < place(leader, "synced"), "{steps:#?}");
    let end = [(follower, "applied"), (follower, "answered"), (follower, "reply")];
    let end: Vec<usize> = end.iter().map(|(node, word)| place(*node, word)).collect();
    assert!(end.windows(2).all(|pair| pair[0] < pair[1]), "{steps:#?}");
    for peer in [follower, other] {
        let has = |node: u64, word: &str, about: u64| {
            let is_it = |(_, at, it, of): &(i64, u64, String, u64)| {
                (*at, it.as_str(), *of) == (node, word, about)
            };
            assert!(steps.iter().any(is_it), "{node} {word} {about}: {steps:#?}");
        };
        has(leader, "append-to", peer);
        has(peer, "append-from", leader);
        has(peer, "stored-to", leader);
        has(leader, "stored-from", peer);
        assert!(place(leader, "append-to") < place(peer, "append-from"), "{steps:#?}");
        assert!(place(peer, "append-from") < place(peer, "synced"), "{steps:#?}");
        assert!(place(peer, "synced") < place(peer, "stored-to"), "{steps:#?}");
    }

    let told = cluster.begin_kvctl_at(&through, &["--trace", "get", "key"]).end().await;
    assert_eq!((told.code, told.stdout.trim_end()), (Some(0), "value"), "{told:?}");
    for line in [
        format!("node {follower}  Api takes the request"),
        format!("node {follower}  asks node {leader} how far reads must be"),
        format!("node {leader}  is asked by node {follower} how far reads must be"),
        format!("node {follower}  Api replies"),
    ] {
        assert!(told.stderr.contains(&line), "{line}: {told:?}");
    }
    let usage = cluster.kvctl(&["--trace", "status"]).await;
    assert_eq!(usage.code, Some(2), "{usage:?}");
}

/// A lease and a lock are writes as others are.
#[tokio::test]
async fn the_way_of_a_lease_and_of_a_lock_is_printed() {
    let _turn = wait::turn().await;
    let cluster = linked(3).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    wait::until("known leader", async || cluster.status(follower).await.leader_id).await;
    let through = cluster.address(follower).to_owned();
    for words in [&["--trace", "lease", "grant", "60"][..], &["--trace", "lock", "l", "--", "true"]]
    {
        let told = cluster.begin_kvctl_at(&through, words).end().await;
        assert_eq!(told.code, Some(0), "{told:?}");
        for line in [
            format!("node {follower}  Api takes the request"),
            format!("node {leader}  Consensus hands it to the LogStore"),
            format!("node {follower}  Api replies"),
        ] {
            assert!(told.stderr.contains(&line), "{words:?}: {line}: {told:?}");
        }
    }
    let listens = cluster.kvctl(&["--trace", "elect", "l", "--listen"]).await;
    assert_eq!(listens.code, Some(2), "{listens:?}");
}
