//! Watches of etcd's clients: through the loss of nodes, with slow readers, and several on one
//! stream.

use bytes::Bytes;
use raft_net::etcd::etcdserverpb::watch_request::RequestUnion;
use raft_net::etcd::etcdserverpb::{
    CompactionRequest, CompactionResponse, WatchCancelRequest, WatchCreateRequest,
    WatchProgressRequest, WatchRequest, WatchResponse,
};
use tokio::sync::mpsc;
use tonic::Streaming;

use crate::harness::cluster::Cluster;
use crate::harness::etcd::Etcd;
use crate::harness::wait;

const WATCH: &str = "/etcdserverpb.Watch/Watch";

struct Watching {
    asks: mpsc::Sender<WatchRequest>,
    told: Streaming<WatchResponse>,
}

fn of(key: &'static [u8], start_revision: i64) -> RequestUnion {
    let (key, range_end) = (Bytes::from_static(key), Bytes::from_static(b"\0"));
    let create = WatchCreateRequest { key, range_end, start_revision, ..Default::default() };
    RequestUnion::CreateRequest(create)
}

impl Watching {
    /// Opens a stream with one watch, of everything from a key on.
    async fn open(address: &str, key: &'static [u8], start_revision: i64) -> Self {
        let create = WatchRequest { request_union: Some(of(key, start_revision)) };
        let (asks, told) = Etcd::connect(address).await.stream(WATCH, create).await.unwrap();
        Self { asks, told }
    }

    async fn ask(&self, union: RequestUnion) {
        self.asks.send(WatchRequest { request_union: Some(union) }).await.unwrap();
    }

    async fn create(&self, key: &'static [u8], start_revision: i64) {
        self.ask(of(key, start_revision)).await;
    }

    async fn next(&mut self) -> WatchResponse {
        wait::in_time("response", self.told.message()).await.unwrap().unwrap()
    }

    /// The mod revisions of as many events as are wanted.
    async fn revisions(&mut self, count: usize) -> Vec<i64> {
        let mut found = Vec::new();
        while found.len() < count {
            let response = self.next().await;
            assert!(!response.canceled, "{response:?}");
            found.extend(response.events.iter().map(|it| it.kv.as_ref().unwrap().mod_revision));
        }
        found
    }
}

/// A revision changes one key here, so that what is seen is every revision once.
#[tokio::test]
async fn a_watch_misses_nothing_while_leaders_die() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let mut at = cluster.follower().await;
    let mut watching = Watching::open(cluster.address(at), b"\0", 2).await;
    let (mut seen, mut written): (Vec<i64>, usize) = (Vec::new(), 0);
    for round in 0..3 {
        for number in 0..50 {
            cluster.client().await.put(&format!("k{round}"), &number.to_string()).await;
            written += 1;
        }
        let leader = cluster.leader().await;
        cluster.kill(leader);
        if leader == at {
            // The client goes on behind the last event, at another node.
            at = cluster.alive()[0];
            let next = seen.last().map_or(2, |last| last + 1);
            watching = Watching::open(cluster.address(at), b"\0", next).await;
        }
        seen.extend(watching.revisions(written - seen.len()).await);
        cluster.revive(leader);
        cluster.leader().await;
    }
    let expected: Vec<i64> = (2..).take(written).collect();
    assert_eq!(seen, expected);
}

/// The node keeps a bounded part for a client that does not read, and nothing is missing when
/// it does.
#[tokio::test]
async fn a_client_that_does_not_read_is_shown_everything_later() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let mut watching = Watching::open(cluster.address(1), b"\0", 0).await;
    assert!(watching.next().await.created);
    let (client, value) = (cluster.client().await, "v".repeat(256 * 1024));
    for number in 0..100 {
        client.put(&format!("k{number}"), &value).await;
    }
    assert_eq!(watching.revisions(100).await, (2..102).collect::<Vec<i64>>());
}

#[tokio::test]
async fn several_watches_share_a_stream_and_end_one_by_one() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let client = cluster.client().await;
    let mut watching = Watching::open(cluster.address(1), b"a", 0).await;
    for id in 0..2 {
        if id == 1 {
            watching.create(b"b", 0).await;
        }
        let created = watching.next().await;
        assert_eq!((created.watch_id, created.created), (id, true));
        assert_eq!(created.header.unwrap().revision, 1);
    }
    client.put("a", "1").await;
    client.put("c", "1").await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let response = watching.next().await;
        let keys = response.events.iter().map(|it| it.kv.as_ref().unwrap().key.clone());
        seen.extend(keys.map(|key| (response.watch_id, key)));
    }
    seen.sort();
    let expected = [(0, "a"), (0, "c"), (1, "c")].map(|(id, key)| (id, Bytes::from(key)));
    assert_eq!(seen, expected);
    watching.ask(RequestUnion::ProgressRequest(WatchProgressRequest {})).await;
    let progress = watching.next().await;
    assert_eq!((progress.watch_id, progress.header.unwrap().revision), (-1, 3));
    assert!(progress.events.is_empty());
    watching.ask(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: 1 })).await;
    let cancelled = watching.next().await;
    assert_eq!((cancelled.watch_id, cancelled.canceled), (1, true));
    client.put("d", "1").await;
    let shown = watching.next().await;
    assert_eq!((shown.watch_id, shown.events.len()), (0, 1));
}

#[tokio::test]
async fn a_watch_of_what_was_compacted_begins_and_ends() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let client = cluster.client().await;
    for number in 0..10 {
        client.put("k", &number.to_string()).await;
    }
    let mut etcd = Etcd::connect(cluster.address(1)).await;
    let compaction = CompactionRequest { revision: 8, physical: true };
    let _: CompactionResponse = etcd.call("/etcdserverpb.KV/Compact", compaction).await.unwrap();
    let mut watching = Watching::open(cluster.address(1), b"k", 3).await;
    let created = watching.next().await;
    assert!(created.created && !created.canceled);
    let ended = watching.next().await;
    assert_eq!((ended.watch_id, ended.canceled, ended.compact_revision), (0, true, 8));
    watching.create(b"k", 8).await;
    assert!(watching.next().await.created);
    assert_eq!(watching.revisions(4).await, [8, 9, 10, 11]);
}
