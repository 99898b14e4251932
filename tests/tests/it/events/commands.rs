//! `kvctl events`: through any node, of one or of all, now and from now on, as a file.

use serde_json::Value;

use super::told::{check_numbers, number};
use crate::harness::wait;
use crate::monitor::linked;

fn read(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn events_of_all_nodes_are_told_through_any_one() {
    let _turn = wait::turn().await;
    let cluster = linked(3).await;
    cluster.client().await.put("secret-key", "secret-value").await;
    let leader = cluster.leader().await;

    let ended = cluster.kvctl(&["-w", "json", "events", "--heartbeats"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let events = read(&ended.stdout);
    for node in 1..=3 {
        let own: Vec<&Value> = events.iter().filter(|event| event["node"] == node).collect();
        assert_eq!(own[0]["event"], "started", "the whole story of node {node}");
        check_numbers(own.into_iter());
    }
    assert!(events.is_sorted_by_key(|event| number(event, "at_us")), "in the order of times");
    let leads = |event: &&Value| event["event"] == "role" && event["role"] == "leader";
    assert_eq!(events.iter().rfind(leads).unwrap()["node"], leader);
    assert!(!ended.stdout.contains("secret"), "no keys and no values");

    let words = ["events", "--node", "2", "--kind", "role,started"];
    let ended = cluster.kvctl(&words).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let is_meant = |line: &str| line.contains(" node 2 ") && !line.contains("AppendEntries");
    assert!(ended.stdout.lines().all(is_meant), "{}", ended.stdout);
    assert!(ended.stdout.lines().count() < 20, "{}", ended.stdout);

    let ended = cluster.kvctl(&["events", "--kind", "unheard-of"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let ended = cluster.kvctl(&["events", "--node", "9"]).await;
    assert!(ended.code != Some(0) && ended.stderr.contains("no node 9"), "{ended:?}");
}

#[tokio::test]
async fn events_are_followed_as_they_happen() {
    let _turn = wait::turn().await;
    let cluster = linked(3).await;
    let words = ["events", "--follow", "--kind", "committed", "--count", "1000000"];
    let follows = cluster.begin_kvctl_at(cluster.address(1), &words);
    let client = cluster.client().await;
    let seen = wait::until("what is there already", async || {
        Some(follows.stdout().lines().count()).filter(|count| *count != 0)
    })
    .await;
    wait::until("what happens", async || {
        client.put("x", "1").await;
        let text = follows.stdout();
        (seen + 3 < text.lines().count() && text.contains("commits entr")).then_some(())
    })
    .await;
    follows.signal(rustix::process::Signal::INT);
    assert_eq!(follows.end().await.code, Some(130));
}

#[tokio::test]
async fn a_running_cluster_is_exported_and_who_is_away_is_named() {
    let _turn = wait::turn().await;
    let mut cluster = linked(3).await;
    let (page, lines) = (cluster.path("story.html"), cluster.path("story.jsonl"));
    let to = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let ended = cluster.kvctl(&["events", "export", "--html", &to(&page)]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let written = std::fs::read_to_string(&page).unwrap();
    assert!(written.starts_with("<!DOCTYPE html>") && written.ends_with("</html>\n"));

    let leader = cluster.leader().await;
    cluster.kill(leader);
    cluster.leader().await;
    let ended = cluster.kvctl(&["events", "export", "--jsonl", &to(&lines)]).await;
    assert_eq!(ended.code, Some(1), "one is missing: {ended:?}");
    assert!(ended.stderr.contains(&format!("node {leader} is missing")), "{ended:?}");
    let events = read(&std::fs::read_to_string(&lines).unwrap());
    let lost = |event: &&Value| event["event"] == "link" && event["peer"] == leader;
    assert_eq!(events.iter().rfind(lost).unwrap()["up"], false);

    let nowhere = ["events", "export", "--jsonl", "/nowhere/story.jsonl"];
    let ended = cluster.kvctl(&nowhere).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(cluster.kvctl(&["events", "export"]).await.code, Some(2));
}
