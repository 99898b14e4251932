//! What a request brings, whichever version of HTTP carries it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};

/// The body of a request.
#[derive(Debug)]
pub(super) enum Incoming {
    Http1(hyper::body::Incoming),
    Http2(Streamed),
}

/// Why a body does not arrive.
pub(super) type Broken = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request of HTTP/2.
#[derive(Debug)]
pub(super) struct Streamed {
    /// What was read of it already.
    read: Bytes,
    stream: RecvStream,
    /// How much is still to come, if the client has said. Units: bytes.
    length: Option<u64>,
    has_data: bool,
}

impl Streamed {
    /// The body of which `read` is the beginning, and `stream` the rest.
    pub(super) fn new(headers: &HeaderMap, read: Bytes, stream: RecvStream) -> Self {
        let length = if read.is_empty() && stream.is_end_stream() {
            Some(0)
        } else {
            // h2 has seen to it that what arrives is as long as is said.
            let said = headers.get(header::CONTENT_LENGTH).and_then(|said| said.to_str().ok());
            said.and_then(|said| said.parse().ok())
        };
        Self { read, stream, length, has_data: true }
    }

    fn frame(&mut self, data: Bytes) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        self.length = self.length.map(|left| left.saturating_sub(length));
        Poll::Ready(Some(Ok(Frame::data(data))))
    }
}

/// A stream that its client ended early, because it wants no more than it has, is only over.
fn over<T>(error: h2::Error) -> Poll<Option<Result<T, Broken>>> {
    let is_early = error.reason() == Some(Reason::NO_ERROR);
    Poll::Ready(if is_early { None } else { Some(Err(error.into())) })
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if !self.read.is_empty() {
            let read = std::mem::take(&mut self.read);
            return self.frame(read);
        }
        if self.has_data {
            match ready!(self.stream.poll_data(context)) {
                Some(Ok(data)) => {
                    // What is read makes room for more; of a stream that is gone nobody cares.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    return self.frame(data);
                }
                Some(Err(error)) => return over(error),
                None => self.has_data = false,
            }
        }
        match ready!(self.stream.poll_trailers(context)) {
            Ok(trailers) => Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers)))),
            Err(error) => over(error),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(context).map_err(Broken::from),
            Self::Http2(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
