//! The stream of a page that is open.

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::harness::http;
use crate::harness::wait;

/// A stream that is being read.
pub(super) struct Stream {
    socket: TcpStream,
    said: String,
}

impl Stream {
    /// Opens a page at a node.
    pub(super) async fn open(address: &str) -> Self {
        let socket = http::begin(address, "GET /ui/live", &[]).await;
        let mut stream = Self { socket, said: String::new() };
        while !stream.said.contains("\r\n\r\n") {
            stream.read().await;
        }
        let (head, rest) = stream.said.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.to_lowercase().contains("content-type: text/event-stream"), "{head}");
        stream.said = rest.to_owned();
        stream
    }

    async fn read(&mut self) {
        let mut part = vec![0; 64 * 1024];
        let length = wait::in_time("more", self.socket.read(&mut part)).await.unwrap();
        assert_ne!(length, 0, "the stream ended after {:?}", self.said);
        self.said += std::str::from_utf8(&part[..length]).expect("events are ASCII here");
    }

    /// The next event: its name and its document.
    pub(super) async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some((block, rest)) = self.said.split_once("\n\n") {
                let mut lines = block.lines().skip_while(|line| !line.starts_with("event: "));
                let name = lines.next().map(|line| line["event: ".len()..].to_owned());
                let data = lines.next().map(|line| serde_json::from_str(&line["data: ".len()..]));
                self.said = rest.to_owned();
                return (name.expect("a name"), data.expect("a document").unwrap());
            }
            self.read().await;
        }
    }

    /// The next document of the events with this name.
    pub(super) async fn next_of(&mut self, wanted: &str) -> Value {
        wait::in_time(wanted, async {
            loop {
                let (name, document) = self.next().await;
                if name == wanted {
                    return document;
                }
            }
        })
        .await
    }

    /// The first state that is as wanted.
    pub(super) async fn state(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let search = async {
            loop {
                let state = self.next_of("state").await;
                if is(&state) {
                    return state;
                }
                last = state;
            }
        };
        let found = tokio::time::timeout(wait::DEADLINE, search).await;
        found.unwrap_or_else(|_| panic!("no state {what}; the last was {last}"))
    }

    /// What a page shows with its orders.
    pub(super) async fn token(&mut self) -> String {
        self.next_of("hello").await["token"].as_str().unwrap().to_owned()
    }
}

/// What a state says of a node.
pub(super) fn node(state: &Value, id: u64) -> &Value {
    let nodes = state["nodes"].as_array().unwrap();
    nodes.iter().find(|node| node["id"] == id).unwrap_or(&Value::Null)
}
