//! Streams whose clients want them to end while nobody leads, so that they can go to another
//! node (etcd: `WithRequireLeader`).

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::oneshot;
use tokio_stream::Stream;
use tonic::Status;

use super::error;
use super::node::Behind;
use super::service::Shown;

/// The metadata by which a client says so.
const HAS_LEADER: &str = "hasleader";

/// How often a node is asked whether somebody leads. Units: milliseconds.
const LOOK_EVERY_MS: u64 = 250;

/// So many times in a row nobody may lead before a stream ends, so that an election as such ends
/// none.
const LEADERLESS_MAX: u32 = 3;

/// Whether a client asks to be refused while nobody leads.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    headers.get(HAS_LEADER).is_some_and(|value| value == "true")
}

impl Behind {
    /// Whether somebody leads.
    ///
    /// Errors: that nobody does.
    pub(super) async fn check_led(&self) -> Result<(), Status> {
        match self.state().await?.leader {
            Some(_) => Ok(()),
            None => Err(error::NO_LEADER.into()),
        }
    }
}

/// A stream that ends when nobody has led for a while.
struct Led<R> {
    inner: Shown<R>,
    /// `None` when the node has ended.
    lost: Option<oneshot::Receiver<()>>,
    is_over: bool,
}

/// Ends a stream, if that is wanted, when nobody has led for a while.
pub(super) fn while_led<R: Send + 'static>(
    behind: &Behind,
    is_wanted: bool,
    inner: Shown<R>,
) -> Shown<R> {
    if !is_wanted {
        return inner;
    }
    let (told, lost) = oneshot::channel();
    actix_rt::spawn(look(behind.clone(), told));
    Box::pin(Led { inner, lost: Some(lost), is_over: false })
}

/// Looks whether somebody leads until nobody does, or nobody wants to know any more.
async fn look(behind: Behind, mut told: oneshot::Sender<()>) {
    let mut leaderless = 0;
    while leaderless < LEADERLESS_MAX {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(LOOK_EVERY_MS)) => {}
            () = told.closed() => return,
        }
        // A node that has ended says so by its streams.
        let Ok(state) = behind.state().await else { return };
        leaderless = if state.leader.is_none() { leaderless + 1 } else { 0 };
    }
    // The stream may have ended meanwhile.
    let _ = told.send(());
}

impl<R> Stream for Led<R> {
    type Item = Result<R, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let lost = self.lost.as_mut().map(|lost| Pin::new(lost).poll(context));
        match lost {
            Some(Poll::Ready(Ok(()))) => {
                self.is_over = true;
                return Poll::Ready(Some(Err(error::NO_LEADER.into())));
            }
            // The stream ends by itself.
            Some(Poll::Ready(Err(_))) => self.lost = None,
            Some(Poll::Pending) | None => {}
        }
        self.inner.as_mut().poll_next(context)
    }
}
