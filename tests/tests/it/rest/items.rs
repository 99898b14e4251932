//! Fields and members one by one, and the history of a key.

use serde_json::{Value, json};

use super::{BYTES, JSON, delete, get, put};
use crate::harness::cluster::Cluster;
use crate::harness::http::{self, Reply};
use crate::harness::wait;

async fn patch(cluster: &Cluster, key: &str, headers: &[&str], body: &Value) -> Reply {
    let request = format!("PATCH /kv/{key}");
    let headers = [headers, &[JSON]].concat();
    http::ask(cluster.address(1), &request, &headers, body.to_string().as_bytes()).await
}

#[tokio::test]
async fn fields_and_members_change_in_one_step() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let reply = patch(&cluster, "h", &[], &json!({"set": {"a": "1", "b": "<b>"}})).await;
    assert_eq!((reply.status, &reply.json()["count"]), (200, &json!(2)));
    let reply = patch(&cluster, "h", &[], &json!({"set": {"c": "3"}, "unset": ["a", "x"]})).await;
    assert_eq!((reply.status, &reply.json()["count"]), (200, &json!(2)));
    let revision = reply.json()["revision"].clone();
    assert_eq!(reply.header("kvorum-revision"), Some(revision.to_string().as_str()));
    let shown = get(&cluster, "/kv/h").await.json();
    assert_eq!(shown["fields"], json!({"b": "<b>", "c": "3"}));
    assert_eq!(shown["mod_revision"], revision, "one revision for all of it");
    patch(&cluster, "s", &[], &json!({"add": ["x", "y"]})).await;
    patch(&cluster, "s", &[], &json!({"add": ["z"], "remove": ["x"]})).await;
    assert_eq!(get(&cluster, "/kv/s").await.json()["members"], json!(["y", "z"]));
    // With the last one the key goes.
    patch(&cluster, "s", &[], &json!({"remove": ["y", "z"]})).await;
    assert_eq!(get(&cluster, "/kv/s").await.status, 404);
}

#[tokio::test]
async fn a_patch_that_makes_no_sense_changes_nothing() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    put(&cluster, "/kv/text", "v").await;
    patch(&cluster, "h", &[], &json!({"set": {"a": "1"}})).await;
    let set = json!({"set": {"a": "2"}});
    for (key, headers, body, status) in [
        ("text", &[][..], &set, 409),
        ("h", &[], &json!({"add": ["m"]}), 409),
        ("h", &[], &json!({"set": {"a": "2"}, "add": ["m"]}), 400),
        ("h", &[], &json!({"set": {"a": 2}}), 400),
        ("h", &[], &json!({}), 400),
        ("h", &[], &json!({"set": {"a": "2"}, "more": 1}), 400),
        ("h", &[], &json!([]), 400),
        ("", &[], &set, 400),
        ("h?ttl=1s", &[], &set, 400),
        ("h", &["If-Match: \"1\""], &set, 412),
        ("h", &["If-None-Match: *"], &set, 412),
        ("none", &["If-Match: *"], &set, 412),
    ] {
        let reply = patch(&cluster, key, headers, body).await;
        assert_eq!(reply.status, status, "{key} {body}: {}", reply.text());
        assert!(reply.json()["error"].as_str().is_some());
    }
    let bare = http::ask(cluster.address(1), "PATCH /kv/h", &[BYTES], b"x").await;
    assert_eq!(bare.status, 415);
    assert_eq!(get(&cluster, "/kv/h").await.json()["fields"], json!({"a": "1"}));
    // A condition that holds, and a name for asking again.
    let tag = format!("If-Match: {}", get(&cluster, "/kv/h").await.header("etag").unwrap());
    assert_eq!(patch(&cluster, "h", &[&tag], &set).await.status, 200);
    assert_eq!(patch(&cluster, "h", &[&tag], &set).await.status, 412);
}

#[tokio::test]
async fn every_version_of_a_key_is_shown_newest_first() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    for value in ["one", "two"] {
        put(&cluster, "/kv/k", value).await;
    }
    let bytes = http::ask(cluster.address(1), "PUT /kv/k", &[BYTES], b"\xff").await;
    assert_eq!(bytes.status, 200);
    delete(&cluster, "/kv/k").await;
    patch(&cluster, "k", &[], &json!({"set": {"f": "1"}})).await;
    let said = get(&cluster, "/kv/k?history").await.json();
    let versions = said["versions"].as_array().unwrap();
    let events: Vec<&str> = versions.iter().map(|it| it["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["put", "del", "put", "put", "put"]);
    let revisions = versions.iter().map(|it| it["revision"].as_u64().unwrap());
    assert!(revisions.is_sorted_by(|newer, older| older < newer), "{said}");
    assert_eq!(versions[0]["fields"], json!({"f": "1"}));
    assert_eq!(versions[2]["value_base64"], json!("/w=="));
    assert_eq!((&versions[3]["value"], &versions[4]["value"]), (&json!("two"), &json!("one")));
    assert_eq!((&said["key"], &said["more"]), (&json!("k"), &json!(false)));
    assert_eq!(said["compacted"], json!(0));
    let newest = get(&cluster, "/kv/k?history&limit=2").await.json();
    assert_eq!(newest["versions"].as_array().unwrap()[..], versions[..2]);
    assert_eq!(newest["more"], json!(true));
    // What is compacted is gone, and it is said up to where.
    let kept = versions[2]["revision"].as_u64().unwrap();
    assert_eq!(cluster.kvctl(&["compact", &kept.to_string()]).await.code, Some(0));
    let left = get(&cluster, "/kv/k?history").await.json();
    assert_eq!(left["versions"].as_array().unwrap()[..], versions[..3]);
    assert_eq!(left["compacted"], json!(kept));
    assert_eq!(get(&cluster, "/kv/none?history").await.status, 404);
    for bad in ["?history&raw", "?history&limit=0", "?history&limit=501", "?history&prefix"] {
        assert_eq!(get(&cluster, &format!("/kv/k{bad}")).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_long_history_is_shown_from_its_newest_version_as_far_as_there_is_room() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    for number in 0..7 {
        put(&cluster, "/kv/long", &number.to_string().repeat(1_000_000)).await;
        put(&cluster, &format!("/kv/other{number}"), "v").await;
    }
    let said = get(&cluster, "/kv/long?history&limit=500").await.json();
    let versions = said["versions"].as_array().unwrap();
    let firsts: Vec<&str> = versions.iter().map(|it| &it["value"].as_str().unwrap()[..1]).collect();
    assert_eq!((firsts.join("").as_str(), &said["more"]), ("65432", &json!(true)));
}
