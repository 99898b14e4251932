//! Requests by HTTP/1, written as they go over the wire.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wait;

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The answer in these bytes, which are all that came.
    pub(crate) fn of(said: &[u8]) -> Self {
        let end = said.windows(4).position(|part| part == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head: {}", said.escape_ascii()));
        let head = String::from_utf8(said[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: said[end + 4..].to_vec() }
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let found = lines.into_iter().find(|(it, _)| it.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim_start())
    }

    /// The body, which is text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The body, which is JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }
}

/// Asks, and reads until the node closes the connection. `request` is a method and an address;
/// each of `headers` is a line.
pub(crate) async fn ask(address: &str, request: &str, headers: &[&str], body: &[u8]) -> Reply {
    let mut stream = open(address, request, headers, body, "Connection: close\r\n").await;
    let mut said = Vec::new();
    wait::in_time(&format!("answer to {request}"), stream.read_to_end(&mut said)).await.unwrap();
    Reply::of(&said)
}

/// The same of a server that does not close: reads as much as the answer says that it has.
pub(crate) async fn ask_by_length(
    address: &str,
    request: &str,
    headers: &[&str],
    body: &[u8],
) -> Reply {
    let mut stream = open(address, request, headers, body, "").await;
    let mut said = Vec::new();
    let reading = async {
        loop {
            assert!(0 < stream.read_buf(&mut said).await.unwrap(), "cut: {}", said.escape_ascii());
            if !said.windows(4).any(|part| part == b"\r\n\r\n") {
                continue;
            }
            let reply = Reply::of(&said);
            let length = reply.header("content-length").map(|it| it.parse().unwrap());
            if reply.body.len() >= length.unwrap_or(0) {
                return reply;
            }
        }
    };
    wait::in_time(&format!("answer to {request}"), reading).await
}

/// The same with a body in chunks, which end without saying so.
pub(crate) async fn ask_in_chunks(
    address: &str,
    request: &str,
    headers: &[&str],
    chunks: &[u8],
) -> Reply {
    let headers = [headers, &["Transfer-Encoding: chunked", "Connection: close"]].concat();
    let mut stream = begin(address, request, &headers).await;
    // A node may refuse, and close, before it has read all.
    let _ = stream.write_all(chunks).await;
    let mut said = Vec::new();
    let _ = wait::in_time(&format!("answer to {request}"), stream.read_to_end(&mut said)).await;
    Reply::of(&said)
}

/// Asks, and leaves it to the caller to read.
pub(crate) async fn begin(address: &str, request: &str, headers: &[&str]) -> TcpStream {
    open(address, request, headers, b"", "").await
}

async fn open(
    address: &str,
    request: &str,
    headers: &[&str],
    body: &[u8],
    connection: &str,
) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut head = format!("{request} HTTP/1.1\r\n{connection}");
    if !headers.iter().any(|line| line.starts_with("Host:")) {
        head += &format!("Host: {address}\r\n");
    }
    headers.iter().for_each(|line| head += &format!("{line}\r\n"));
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    head += "\r\n";
    // A node may refuse, and close, before it has read all.
    let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
    stream
}
