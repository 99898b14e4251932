//! Waiting for a change, and being told of each.

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::{delete, get, put};
use crate::harness::cluster::Cluster;
use crate::harness::http::{self, Reply};
use crate::harness::wait;

/// An event as it came: id, name and document.
pub(super) type Event = (Option<u64>, String, Value);

/// A stream of events that is being read.
pub(super) struct Events {
    stream: TcpStream,
    said: String,
}

impl Events {
    /// Begins to watch; `headers` are lines.
    pub(super) async fn begin(cluster: &Cluster, path: &str, headers: &[&str]) -> Self {
        let stream = http::begin(cluster.address(1), &format!("GET {path}"), headers).await;
        let mut events = Self { stream, said: String::new() };
        while !events.said.contains("\r\n\r\n") {
            events.read().await;
        }
        let (head, rest) = events.said.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.to_lowercase().contains("content-type: text/event-stream"), "{head}");
        events.said = rest.to_owned();
        events
    }

    async fn read(&mut self) {
        let mut part = vec![0; 64 * 1024];
        let length = wait::in_time("events", self.stream.read(&mut part)).await.unwrap();
        assert_ne!(length, 0, "the stream ended after {:?}", self.said);
        self.said += std::str::from_utf8(&part[..length]).expect("JSON in chunks is text");
    }

    /// The next block of lines, out of its chunks.
    async fn block(&mut self) -> Vec<String> {
        loop {
            if let Some((block, rest)) = self.said.split_once("\n\n") {
                let lines = block.lines().filter(|line| !is_length(line)).map(str::to_owned);
                let lines = lines.collect();
                self.said = rest.to_owned();
                return lines;
            }
            self.read().await;
        }
    }

    /// The next event; what is none is passed over.
    pub(super) async fn next(&mut self) -> Event {
        wait::in_time("event", self.search()).await
    }

    async fn search(&mut self) -> Event {
        loop {
            let (mut id, mut name, mut data) = (None, String::new(), Value::Null);
            for line in self.block().await {
                match line.split_once(": ") {
                    Some(("id", number)) => id = Some(number.parse().unwrap()),
                    Some(("event", text)) => name = text.to_owned(),
                    Some(("data", text)) => data = serde_json::from_str(text).unwrap(),
                    Some(("retry", _)) | Some(("", _)) | None => {}
                    Some(other) => panic!("{other:?}"),
                }
            }
            if !name.is_empty() {
                return (id, name, data);
            }
        }
    }
}

/// The lines that HTTP puts between chunks.
fn is_length(line: &str) -> bool {
    let line = line.trim_end_matches('\r');
    line.is_empty() || line.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Asks, and answers when that has been done which it waits for.
async fn wait_for(cluster: &Cluster, path: &str, cause: impl Future) -> Reply {
    let mut stream =
        http::begin(cluster.address(1), &format!("GET {path}"), &["Connection: close"]).await;
    cause.await;
    let mut said = Vec::new();
    wait::in_time("answer", stream.read_to_end(&mut said)).await.unwrap();
    Reply::of(&said)
}

#[tokio::test]
async fn a_wait_ends_with_a_change_or_in_time() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    put(&cluster, "/kv/k", "1").await;
    let changed = wait_for(&cluster, "/kv/k?wait&after=2", async {
        put(&cluster, "/kv/other", "x").await;
        put(&cluster, "/kv/k", "2").await;
    })
    .await;
    assert_eq!((changed.status, &changed.json()["value"]), (200, &json!("2")));
    assert_eq!(changed.header("kvorum-revision"), Some("4"));
    // What has happened already is not waited for.
    let past = get(&cluster, "/kv/k?wait&after=2").await;
    assert_eq!((past.status, past.header("etag")), (200, Some("\"4\"")));
    let gone = wait_for(&cluster, "/kv/k?wait&after=4", delete(&cluster, "/kv/k")).await;
    assert_eq!((gone.status, gone.header("kvorum-revision")), (404, Some("5")));
    let list = wait_for(&cluster, "/kv/p/?wait&prefix&after=5", put(&cluster, "/kv/p/a", "x"));
    assert_eq!(list.await.json()["kvs"][0]["key"], json!("p/a"));
    let nothing = get(&cluster, "/kv/k?wait&timeout=50ms").await;
    assert_eq!((nothing.status, nothing.header("kvorum-revision")), (204, Some("6")));
    let node = cluster.address(1);
    let tagged = async |tag: &str, limit: &str| {
        let request = format!("GET /kv/p/a?wait&timeout={limit}");
        http::ask(node, &request, &[&format!("If-None-Match: {tag}")], b"").await
    };
    assert_eq!(tagged("\"6\"", "50ms").await.status, 304);
    let other = tagged("\"5\"", "60s").await;
    assert_eq!((other.status, other.header("etag")), (200, Some("\"6\"")));
    assert_eq!(tagged("*", "1s").await.status, 400);
    cluster.kvctl(&["compact", "6"]).await;
    let compacted = get(&cluster, "/kv/k?wait&after=2").await;
    assert_eq!(compacted.status, 410, "{}", compacted.text());
    assert!(compacted.text().contains("the oldest one is 6"), "{}", compacted.text());
}

#[tokio::test]
async fn changes_are_shown_as_events_and_go_on_behind_the_last_one() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    put(&cluster, "/kv/k", "1").await;
    let accept = "Accept: text/event-stream";
    let mut events = Events::begin(&cluster, "/kv/k?prefix&after=1", &[accept]).await;
    let (id, name, first) = events.next().await;
    assert_eq!((id, &*name, &first["key"]), (Some(2), "put", &json!("k")));
    assert_eq!((&first["revision"], &first["next"]["value"]), (&json!(2), &json!("1")));
    put(&cluster, "/kv/k2", "2").await;
    delete(&cluster, "/kv/k").await;
    assert_eq!(events.next().await.0, Some(3));
    let (id, name, removed) = events.next().await;
    assert_eq!((id, &*name), (Some(4), "del"));
    assert_eq!(removed.get("next"), None);
    // Of a revision that has several events only the last one bears its id.
    let both = ["txn", "if", "version", "k4", "=", "0", "then", "put", "k4", "a", ";", "put"];
    let ended = cluster.kvctl(&[&both[..], &["k5", "b"]].concat()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let (first, second) = (events.next().await, events.next().await);
    assert_eq!((first.0, &first.2["revision"]), (None, &json!(5)));
    assert_eq!((second.0, &second.2["key"]), (Some(5), &json!("k5")));
    drop(events);
    // A browser asks for the same address again, and says what it has seen.
    let again = ["Last-Event-ID: 3"];
    let mut events = Events::begin(&cluster, "/kv/k?prefix&after=1&watch&prev", &again).await;
    let (id, _, removed) = events.next().await;
    assert_eq!((id, &removed["previous"]["value"]), (Some(4), &json!("1")));
    // Fields are shown with their hash.
    cluster.kvctl(&["hset", "kh", "name:Ada"]).await;
    assert_eq!(events.next().await.2["key"], json!("k4"));
    assert_eq!(events.next().await.2["key"], json!("k5"));
    let (key, field) = (events.next().await.2, events.next().await.2);
    assert_eq!((&key["next"]["kind"], &field["item"]), (&json!("HASH"), &json!("name")));
    assert_eq!(field["next"]["value"], json!("Ada"));
    cluster.kvctl(&["compact", "6"]).await;
    let compacted = get(&cluster, "/kv/k?watch&after=2").await;
    assert_eq!(compacted.status, 410, "{}", compacted.text());
}

/// A browser that comes back after an idle night goes on at what it was told last, and that is
/// not compacted.
#[tokio::test]
async fn an_idle_stream_says_how_far_it_is() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let mut events = Events::begin(&cluster, "/kv/idle?watch", &[]).await;
    assert_eq!(events.block().await, ["retry: 1000", "id: 1"]);
    put(&cluster, "/kv/other", "x").await;
    loop {
        let mark = events.block().await;
        if mark == ["id: 2"] {
            break;
        }
        assert_eq!(mark, ["id: 1"]);
    }
}
