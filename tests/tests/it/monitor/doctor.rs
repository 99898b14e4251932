//! `kvctl doctor` and `kvctl top`.

use serde_json::Value;

use crate::harness::cluster::Cluster;
use crate::harness::process::Ended;
use crate::harness::wait;
use crate::monitor::linked;

fn kinds(ended: &Ended) -> Vec<(String, Option<u64>)> {
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    let findings = document["findings"].as_array().unwrap().iter();
    findings
        .map(|finding| {
            assert!(!finding["advice"].as_str().unwrap().is_empty());
            (finding["kind"].as_str().unwrap().to_owned(), finding["node_id"].as_u64())
        })
        // A machine that runs all tests at once may have a slow disk.
        .filter(|(kind, _)| !matches!(kind.as_str(), "slow-disk" | "slow-network" | "disk-space"))
        .collect()
}

#[tokio::test]
async fn the_doctor_names_what_is_wrong_and_what_to_do() {
    let _turn = wait::turn().await;
    let mut cluster = linked(3).await;
    let client = cluster.client().await;
    for number in 0..20 {
        client.put(&format!("/registry/pods/{number}"), "v").await;
    }
    let examine = async |cluster: &Cluster| cluster.kvctl(&["-w", "json", "doctor"]).await;
    let well = wait::until("nothing wrong", async || {
        let ended = examine(&cluster).await;
        kinds(&ended).is_empty().then_some(ended)
    })
    .await;
    let document: Value = serde_json::from_str(&well.stdout).unwrap();
    assert_eq!(well.code == Some(0), document["findings"].as_array().unwrap().is_empty());
    for node in document["nodes"].as_array().unwrap() {
        assert_ne!(node["sync_p99_us"], 0, "{document}");
        let peers = node["peers"].as_array().unwrap();
        assert_eq!(peers.len(), 2, "{document}");
        for peer in peers {
            assert!(peer["round_trip_us"].is_u64(), "{document}");
            let ahead_us = peer["clock_ahead_us"].as_i64().unwrap();
            assert!(ahead_us.abs() < 500_000, "one machine has one clock: {document}");
        }
    }
    let prefixes = document["largest_prefixes"].as_array().unwrap();
    assert_eq!(prefixes[0]["prefix"], "/registry/pods/", "{document}");
    let dead = cluster.follower().await;
    cluster.kill(dead);
    let ended = wait::until("the dead node", async || {
        let ended = examine(&cluster).await;
        (kinds(&ended) == [("unreachable".to_owned(), Some(dead))]).then_some(ended)
    })
    .await;
    assert_eq!(ended.code, Some(1));
    let told = cluster.kvctl(&["doctor"]).await;
    assert!(told.stdout.contains("kvctl member remove"), "{told:?}");
}

#[tokio::test]
async fn top_prints_a_table_for_each_look_where_there_is_no_terminal() {
    let _turn = wait::turn().await;
    let mut cluster = linked(3).await;
    let dead = cluster.follower().await;
    cluster.kill(dead);
    let ended = cluster.kvctl(&["top", "--interval", "0.2", "--count", "2"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout.matches("NODE").count(), 2, "{ended:?}");
    assert_eq!(ended.stdout.matches(" leader ").count(), 2, "{ended:?}");
    assert_eq!(ended.stdout.matches("no answer").count(), 2, "{ended:?}");
    assert!(!ended.stdout.contains('\x1b'), "{ended:?}");
}
