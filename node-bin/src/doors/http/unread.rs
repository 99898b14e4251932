//! What the client of a connection has not read of its answers.
//!
//! HTTP/2 lets a client ask a thousand things at a time and read none of the answers, each of
//! which waits in memory. So long answers are counted from the moment they are made until the
//! connection has let go of their bytes; above a limit further requests wait, and what was asked
//! together before any answer was counted is refused.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::Notify;
use tonic::body::Body;

/// As much as one connection may leave unread of its answers. Units: bytes.
pub(super) const UNREAD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Answers below this are bounded by how many requests a connection may have. Units: bytes.
const COUNTED_BYTES_MIN: usize = 16 * 1024;

/// The long answers of one connection that are not read yet.
#[derive(Debug, Default)]
pub(super) struct Unread {
    bytes: AtomicUsize,
    freed: Notify,
}

/// There is no room for one more answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMuchUnread;

/// An answer, as long as it is in memory.
struct Counted {
    unread: Arc<Unread>,
    length: usize,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.unread.bytes.fetch_sub(self.length, Ordering::Relaxed);
        self.unread.freed.notify_waiters();
    }
}

/// Bytes that are counted until the last part of them is gone.
struct Held {
    bytes: Bytes,
    _counted: Counted,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A body whose bytes are counted.
struct Answer {
    body: Body,
    /// Goes with the first part: what has a length that is known has no other.
    counted: Option<Counted>,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        polled.map_ok(|frame| {
            frame.map_data(|bytes| match self.counted.take() {
                Some(counted) => Bytes::from_owner(Held { bytes, _counted: counted }),
                None => bytes,
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Unread {
    /// Whether no more is unread than may be.
    pub(super) fn has_room(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) <= UNREAD_BYTES_MAX
    }

    /// Waits until no more is unread than may be.
    pub(super) async fn room(&self) {
        loop {
            let freed = self.freed.notified();
            if self.has_room() {
                return;
            }
            freed.await;
        }
    }

    /// Counts an answer until its bytes are gone.
    ///
    /// Errors: `TooMuchUnread` if there is no room beside others; the answer is dropped, and the
    /// caller must say what that means.
    pub(super) fn hold(
        self: &Arc<Self>,
        response: Response<Body>,
    ) -> Result<Response<Body>, TooMuchUnread> {
        let length = usize::try_from(response.body().size_hint().lower()).unwrap_or(usize::MAX);
        Ok(match self.count(length)? {
            None => response,
            counted => response.map(|body| Body::new(Answer { body, counted })),
        })
    }

    /// The same of an answer that is there as a whole.
    ///
    /// Errors: as [`Unread::hold`].
    pub(super) fn hold_bytes(self: &Arc<Self>, bytes: Bytes) -> Result<Bytes, TooMuchUnread> {
        Ok(match self.count(bytes.len())? {
            None => bytes,
            Some(counted) => Bytes::from_owner(Held { bytes, _counted: counted }),
        })
    }

    /// Counts an answer of so many bytes, if it is long enough for that.
    fn count(self: &Arc<Self>, length: usize) -> Result<Option<Counted>, TooMuchUnread> {
        if length < COUNTED_BYTES_MIN {
            return Ok(None);
        }
        let before = self.bytes.fetch_add(length, Ordering::Relaxed);
        let counted = Counted { unread: self.clone(), length };
        if before != 0 && UNREAD_BYTES_MAX < before.saturating_add(length) {
            return Err(TooMuchUnread);
        }
        Ok(Some(counted))
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::Waker;

    use http_body_util::{BodyExt as _, Full};

    use super::*;

    fn answer(length: usize) -> Response<Body> {
        Response::new(Body::new(Full::new(Bytes::from(vec![7; length]))))
    }

    fn has_room(unread: &Unread) -> bool {
        pin!(unread.room()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[actix_rt::test]
    async fn long_answers_are_counted_until_their_last_byte_is_gone() {
        let unread = Arc::new(Unread::default());
        let held = unread.hold(answer(UNREAD_BYTES_MAX)).unwrap();
        assert!(has_room(&unread));
        let also = unread.hold(answer(COUNTED_BYTES_MIN)).unwrap_err();
        assert_eq!(also, TooMuchUnread);
        assert!(has_room(&unread), "what is refused is not counted");
        assert!(unread.hold(answer(COUNTED_BYTES_MIN - 1)).is_ok(), "short ones are not");
        let mut read = held.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(read.len(), UNREAD_BYTES_MAX);
        let last = read.split_off(UNREAD_BYTES_MAX - 1);
        drop(read);
        assert!(unread.hold(answer(COUNTED_BYTES_MIN)).is_err());
        assert_eq!(&last[..], [7]);
        drop(last);
        assert!(unread.hold(answer(COUNTED_BYTES_MIN)).is_ok());
    }

    #[actix_rt::test]
    async fn above_the_limit_requests_wait_until_something_is_read() {
        let unread = Arc::new(Unread::default());
        // However long it is: the first one must get somewhere.
        let held = unread.hold(answer(UNREAD_BYTES_MAX + 1)).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let mut waits = pin!(unread.room());
        assert!(waits.as_mut().poll(&mut context).is_pending());
        drop(held);
        assert!(waits.as_mut().poll(&mut context).is_ready());
    }
}
