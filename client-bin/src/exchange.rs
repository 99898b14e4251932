//! One request on a connection of its own.

use bytes::BytesMut;
use raft_net::client_protocol::{Op, Reply, Request, Response};
use raft_net::frame::{CLIENT_FRAME_BYTES_MAX, Frames};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::dial::Link;

/// Sends the request and returns what `read` makes of the first answer that it can read;
/// nothing if the connection ends before.
pub(crate) async fn exchange<T>(
    link: Link,
    op: Op<'_>,
    read: impl Fn(&Reply<'_>) -> Option<T>,
) -> Option<T> {
    let Link { mut stream, mut input, .. } = link;
    let mut output = BytesMut::new();
    Request { id: 1, op }.encode(&mut output).expect("a short request fits a frame");
    stream.write_all(&output).await.ok()?;
    let mut frames = Frames::new(CLIENT_FRAME_BYTES_MAX);
    loop {
        while let Some(frame) = frames.next(&mut input).ok()? {
            if let Some(read) = read(&Response::decode(&frame).ok()?.reply) {
                return Some(read);
            }
        }
        if stream.read_buf(&mut input).await.ok()? == 0 {
            return None;
        }
    }
}
