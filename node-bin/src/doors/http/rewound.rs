//! A stream of which the beginning has been read already, and to which parts of an answer are
//! written together.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use raft_net::stream::ByteStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::authority;

/// As much is put together before it is written: more than the longest frame that clients take,
/// which h2 writes in two parts. Units: bytes.
const TOGETHER_BYTES_MAX: usize = 24 * 1024;

/// Reads what was read, and then the stream.
pub(super) struct Rewound {
    read: Bytes,
    stream: Box<dyn ByteStream>,
    /// What is written when it is flushed; of HTTP/2 only.
    together: BytesMut,
    is_http2: bool,
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
        Self { read: read.freeze(), stream, together: BytesMut::new(), is_http2, looked_at }
    }

    /// Writes what was put together.
    fn poll_together(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.together.has_remaining() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.together))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.together.advance(written);
        }
        Poll::Ready(Ok(()))
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
        if self.is_http2 && self.together.len() + bytes.len() <= TOGETHER_BYTES_MAX {
            self.together.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(self.poll_together(context))?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_together(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_together(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_together(context))?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    /// h2 copies answers of up to 1 KiB into its buffer only for those who cannot; otherwise each
    /// of more than 256 bytes is a write of its own.
    fn is_write_vectored(&self) -> bool {
        !self.is_http2 && self.stream.is_write_vectored()
    }
}
