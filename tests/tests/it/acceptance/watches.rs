//! Watches on a node that does not lead.

use crate::harness::cluster::Cluster;
use crate::harness::wait;

/// a watch on a follower that is to end after two events is shown these, with the value
/// before and after, and ends; one without an end is shown what the next leader does too.
#[tokio::test]
async fn acc_a06_a_watch_on_a_follower_ends_when_told_and_else_survives_the_leader() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    wait::until("known leader", async || cluster.status(follower).await.leader_id).await;
    let client = cluster.client_of(follower).await;
    let first = client.put("key", "0").await;
    let since = (first + 1).to_string();
    let own = cluster.address(follower).to_owned();
    let watch = |more: &[&str]| {
        let words = ["watch", "key", "--prev", "--since", &since];
        cluster.begin_kvctl_at(&own, &[&words[..], more].concat())
    };
    let (two, endless) = (watch(&["--events", "2"]), watch(&[]));

    for value in ["1", "2", "3"] {
        client.put("key", value).await;
    }
    let ended = two.end().await;
    let lines = [first + 1, first + 2]
        .map(|at| format!("{at} put key {} (was {})", at - first, at - first - 1));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(ended.stdout.lines().collect::<Vec<_>>(), lines, "two, and no third");

    endless.lines(3).await;
    cluster.kill(leader);
    client.put("key", "4").await;
    client.delete("key").await;
    let seen = endless.lines(5).await;
    assert_eq!(seen[3], format!("{} put key 4 (was 3)", first + 4));
    assert_eq!(seen[4], format!("{} del key (was 4)", first + 5));
}
