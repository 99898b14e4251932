//! Snapshots for clients: of everything that was answered before, in the form in which `etcdctl`
//! saves them, and for clients that stop reading.

use std::process::Command;

use raft_net::etcd::etcdserverpb::{SnapshotRequest, SnapshotResponse};
use sha2::{Digest, Sha256};
use tonic::{Code, Streaming};

use crate::harness::cluster::Cluster;
use crate::harness::etcd::{Etcd, program};
use crate::harness::scratch::Scratch;
use crate::harness::wait;

const SNAPSHOT: &str = "/etcdserverpb.Maintenance/Snapshot";

async fn begin(cluster: &Cluster, id: u64) -> Streaming<SnapshotResponse> {
    let mut etcd = Etcd::connect(cluster.address(id)).await;
    etcd.several(SNAPSHOT, SnapshotRequest {}).await.unwrap()
}

/// All that a stream sends, whose numbers are right.
async fn whole(mut told: Streaming<SnapshotResponse>) -> Vec<u8> {
    let (mut data, mut left) = (Vec::new(), None);
    while let Some(response) = wait::in_time("a piece", told.message()).await.unwrap() {
        assert_eq!(response.version, "3.6.0");
        assert!(!response.blob.is_empty() && response.header.is_some());
        let length = response.blob.len() as u64;
        if let Some(left) = left.filter(|left| 0 < *left) {
            assert_eq!(response.remaining_bytes, left - length, "what is left of the file");
        }
        left = Some(response.remaining_bytes);
        data.extend_from_slice(&response.blob);
    }
    assert_eq!((left, data.len() % 512), (Some(0), 32));
    let (file, sum) = data.split_at(data.len() - 32);
    assert_eq!(Sha256::digest(file)[..], *sum);
    file.to_vec()
}

fn contains(data: &[u8], what: &[u8]) -> bool {
    data.windows(what.len()).any(|window| window == what)
}

#[tokio::test]
async fn a_snapshot_has_what_was_answered_before_it() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    client.put("big", &"v".repeat(1_000_000)).await;
    for id in cluster.ids() {
        let name = format!("written-before-{id}");
        client.put(&name, "v").await;
        let file = whole(begin(&cluster, id).await).await;
        assert!(contains(&file, name.as_bytes()), "node {id} left out what was answered");
        // The file is the one on disk, filled up with zeros.
        let newest = cluster.files(id).into_iter().filter(|it| it.starts_with("snapshot-")).max();
        let kept = std::fs::read(cluster.file(id, &newest.unwrap())).unwrap();
        assert_eq!(file[..kept.len()], kept);
        assert!(file[kept.len()..].iter().all(|byte| *byte == 0) && file.len() < kept.len() + 512);
    }
}

#[tokio::test]
async fn clients_that_do_not_read_are_few_and_free_what_they_held() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let client = cluster.client().await;
    for number in 0..8 {
        client.put(&format!("big{number}"), &"v".repeat(1_000_000)).await;
    }
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut told = begin(&cluster, 1).await;
        wait::in_time("a piece", told.message()).await.unwrap().unwrap();
        idle.push(told);
    }
    let refused = begin(&cluster, 1).await.message().await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.message(), "etcdserver: too many requests");
    // Others notice nothing.
    client.put("more", "v").await;
    idle.pop();
    let data = wait::until("a place", async || {
        let mut told = begin(&cluster, 1).await;
        let first = told.message().await.ok()??;
        let mut length = first.blob.len();
        while let Some(piece) = told.message().await.ok()? {
            length += piece.blob.len();
        }
        Some(length)
    })
    .await;
    assert!(8_000_000 < data, "{data} bytes");
}

#[tokio::test]
async fn etcdctl_saves_a_snapshot() {
    let test = "etcdctl_saves_a_snapshot";
    let Some(etcdctl) = program(test, "etcdctl") else { return };
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    cluster.client().await.put("city", "Oslo").await;
    let scratch = Scratch::new();
    let path = scratch.join("saved");
    let saved = Command::new(etcdctl)
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", cluster.address(1), "snapshot", "save"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(saved.status.success(), "{saved:?}");
    assert!(contains(&std::fs::read(&path).unwrap(), b"Oslo"));
}
