//! A connection that speaks what this node does not.

use raft_net::sniff::Sniffed;
use raft_net::stream::{ByteStream, end_gently};
use tokio::io::AsyncWriteExt;

/// Ends a connection, in its own language if that is a line. Has no deadline of its own.
pub(super) async fn turn_away(mut stream: Box<dyn ByteStream>, speaks: Sniffed, from: String) {
    let (name, answer): (_, &[u8]) = match speaks {
        Sniffed::Http => (
            "HTTP",
            b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 37\r\n\r\n\
              this port does not take HTTP clients\n",
        ),
        Sniffed::Resp => ("Redis", b"-ERR this port does not take clients of Redis\r\n"),
        Sniffed::Http2 => ("HTTP/2", b""),
        Sniffed::Tls | Sniffed::Unknown | Sniffed::Native | Sniffed::MoreNeeded => {
            ("an unknown protocol", b"")
        }
    };
    tracing::debug!("closed a connection from {from}: it speaks {name}, which this port does not");
    // If it is gone already, nobody reads the answer.
    let _ = stream.write_all(answer).await;
    end_gently(&mut stream).await;
}
