//! A stream of which the beginning has been read already.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use raft_net::stream::ByteStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::authority;

/// Reads what was read, and then the stream.
pub(super) struct Rewound {
    read: Bytes,
    stream: Box<dyn ByteStream>,
    /// How much is still looked at for a peculiarity of HTTP/2. Units: bytes.
    looked_at: usize,
}

impl Rewound {
    pub(super) fn new(mut read: BytesMut, stream: Box<dyn ByteStream>, is_http2: bool) -> Self {
        let mut looked_at = if is_http2 { authority::BYTES_MAX } else { 0 };
        if is_http2 {
            authority::mend(&mut read);
            looked_at = looked_at.saturating_sub(read.len());
        }
        Self { read: read.freeze(), stream, looked_at }
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.has_remaining() {
            let length = self.read.len().min(buffer.remaining());
            buffer.put_slice(&self.read.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        if 0 < self.looked_at {
            let fresh = &mut buffer.filled_mut()[before..];
            authority::mend(fresh);
            self.looked_at = self.looked_at.saturating_sub(fresh.len());
        }
        poll
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
