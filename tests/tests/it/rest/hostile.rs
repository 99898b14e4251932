//! Clients that mean harm, or read nothing: others are served as if they were not there.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::watches::Events;
use super::{BYTES, get, put};
use crate::harness::cluster::Cluster;
use crate::harness::{http, wait};

/// An answer that takes longer than this is an effect on others.
const PATIENCE: Duration = Duration::from_secs(5);

async fn still_serves(cluster: &Cluster) {
    let begun = Instant::now();
    let (status, said) = put(cluster, "/kv/well", "yes").await;
    assert!(status < 300, "{said}");
    assert_eq!(get(cluster, "/kv/well?raw").await.body, b"yes");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_thousand_idle_connections_cost_the_others_nothing() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let mut idle = Vec::new();
    for number in 0..1_000 {
        let mut stream = TcpStream::connect(cluster.address(1)).await.unwrap();
        // Some have begun a head, some a body, and some wait for something.
        let said: &[u8] = match number % 4 {
            0 => b"GET /kv/k HTTP/1.1\r\n",
            1 => {
                b"PUT /kv/k HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                   Content-Length: 1000\r\n\r\n{"
            }
            2 => b"GET /kv/k?wait HTTP/1.1\r\nHost: localhost\r\n\r\n",
            _ => b"GET /kv/k?watch HTTP/1.1\r\nHost: localhost\r\n\r\n",
        };
        stream.write_all(said).await.unwrap();
        idle.push(stream);
    }
    still_serves(&cluster).await;
    assert_eq!(idle.len(), 1_000);
}

/// The node keeps a bounded part for a client that does not read, and shows it the rest when it
/// does: every change once, in order.
#[tokio::test]
async fn who_does_not_read_events_delays_nobody_and_misses_nothing() {
    const COUNT: u64 = 40;
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let mut events = Events::begin(&cluster, "/kv/k?watch", &[]).await;
    let value = vec![b'v'; 1_000_000];
    for number in 0..COUNT {
        let reply = http::ask(cluster.address(1), "PUT /kv/k", &[BYTES], &value).await;
        assert!(reply.status < 300, "put {number}: {}", reply.text());
    }
    still_serves(&cluster).await;
    for number in 0..COUNT {
        let (id, _, event) = events.next().await;
        assert_eq!(id, Some(2 + number));
        assert_eq!(event["next"]["version"], json!(1 + number));
    }
}

#[tokio::test]
async fn garbage_ends_its_connection_and_no_other() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let huge_head = format!("GET /kv/k HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1_000_000));
    let many_heads = format!("GET /kv/k HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(10_000));
    for said in [
        &b"GET /kv/k HTTP/1.1\r\n\xff\xff\xff\r\n\r\n"[..],
        b"GET /kv/k HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"PUT /kv/k HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
          Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /kv/\x01\x02 HTTP/1.1\r\n\r\n",
        huge_head.as_bytes(),
        many_heads.as_bytes(),
    ] {
        let mut stream = TcpStream::connect(cluster.address(1)).await.unwrap();
        // The node may have closed it before all is said.
        let _ = stream.write_all(said).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = wait::in_time("end", stream.read_to_end(&mut answer)).await;
        let shown = answer.escape_ascii().to_string();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{shown}");
        still_serves(&cluster).await;
    }
}

/// Who drips a head or a body is waited for half a minute and no longer.
#[tokio::test]
async fn slow_heads_and_bodies_end() {
    const LIMIT: Duration = Duration::from_secs(30);
    let cluster = Cluster::start(1).await;
    let begun = Instant::now();
    let mut streams = Vec::new();
    for said in [
        &b"GET /kv/k HTTP/1.1\r\n"[..],
        b"PUT /kv/k HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
          Content-Length: 1000\r\n\r\n{",
    ] {
        let mut stream = TcpStream::connect(cluster.address(1)).await.unwrap();
        stream.write_all(said).await.unwrap();
        streams.push(stream);
    }
    let mut ends = Vec::new();
    for stream in &mut streams {
        let mut answer = Vec::new();
        let end = tokio::time::timeout(LIMIT + PATIENCE, stream.read_to_end(&mut answer)).await;
        end.expect("the node closes the connection").unwrap();
        ends.push(answer);
    }
    assert!(LIMIT <= begun.elapsed() + PATIENCE, "{:?}", begun.elapsed());
    assert!(ends[0].is_empty() || ends[0].starts_with(b"HTTP/1.1 408"));
    assert!(ends[1].starts_with(b"HTTP/1.1 408"), "{}", ends[1].escape_ascii());
    still_serves(&cluster).await;
}
