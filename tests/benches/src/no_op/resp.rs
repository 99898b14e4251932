//! PING, SET and GET of Redis.

use std::io;

use bytes::{Bytes, BytesMut};
use raft_net::resp::{Parser, Protocol, ReplyWriter};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::accept;

/// Serves every connection; each GET finds `value`.
///
/// Errors: if nothing can be accepted any more.
pub async fn serve(listener: TcpListener, value: Bytes) -> io::Result<()> {
    accept(listener, |stream| {
        let value = value.clone();
        async move {
            // A load ends its connections when it is done.
            drop(connection(stream, &value).await);
        }
    })
    .await
}

async fn connection(mut stream: TcpStream, value: &[u8]) -> io::Result<()> {
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let mut parser = Parser::default();
    while stream.read_buf(&mut input).await? != 0 {
        let (commands, failure) = parser.cut(&mut input);
        let mut replies = ReplyWriter::new(&mut output, Protocol::Resp2);
        for place in 0..commands.len() {
            match commands.get(place).get(0).unwrap_or_default() {
                b"SET" => replies.status("OK"),
                b"GET" => replies.bulk(value),
                b"PING" => replies.status("PONG"),
                _ => replies.error("ERR only PING, SET and GET"),
            }
        }
        stream.write_all_buf(&mut output).await?;
        if failure.is_some() {
            break;
        }
    }
    Ok(())
}
