//! Keys that go by themselves, on real nodes.

use rustix::process::Signal;

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
