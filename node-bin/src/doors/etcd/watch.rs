//! The service Watch: one task for each stream.

use raft_net::etcd::etcdserverpb::watch_request::RequestUnion;
use raft_net::etcd::etcdserverpb::{WatchRequest, WatchResponse};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

use super::error;
use super::node::Behind;
use super::watch_state::Watches;
use crate::api::{CloseStream, OpenStream, StreamOrders, StreamWord};

/// Responses that wait for the client to read. When it is full, nothing more is taken from the
/// node, which ends the watches of a stream that is far behind.
const RESPONSES_MAX: usize = 16;

/// What a stream of watches is shown.
pub(super) type Responses = ReceiverStream<Result<WatchResponse, Status>>;

/// Ends the watches of a stream with it.
pub(crate) struct Open {
    pub(crate) behind: Behind,
    pub(crate) stream: u64,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.behind.close.do_send(CloseStream { stream: self.stream });
    }
}

impl Behind {
    /// Opens a stream of watches of the node.
    ///
    /// Errors: if the node has ended, or has as many streams as it may have.
    pub(crate) async fn open_stream(
        &self,
    ) -> Result<(u64, mpsc::UnboundedReceiver<StreamWord>), Status> {
        let (words, heard) = mpsc::unbounded_channel();
        let (reply, number) = oneshot::channel();
        self.open.do_send(OpenStream { words, reply });
        match number.await {
            Ok(Some(stream)) => Ok((stream, heard)),
            Ok(None) => Err(error::TOO_MANY_REQUESTS.into()),
            Err(_) => Err(error::STOPPED.into()),
        }
    }

    /// Serves the watches that `requests` ask for.
    ///
    /// Errors: as `open_stream`.
    pub(super) async fn watch<R>(&self, requests: R) -> Result<Responses, Status>
    where
        R: Stream<Item = Result<WatchRequest, Status>> + Send + Unpin + 'static,
    {
        let (stream, words) = self.open_stream().await?;
        let open = Open { behind: self.clone(), stream };
        let (responses, shown) = mpsc::channel(RESPONSES_MAX);
        actix_rt::spawn(serve(open, requests, words, responses));
        Ok(ReceiverStream::new(shown))
    }
}

/// Serves a stream until its client or the node ends it.
async fn serve<R>(
    open: Open,
    mut requests: R,
    mut words: mpsc::UnboundedReceiver<StreamWord>,
    responses: mpsc::Sender<Result<WatchResponse, Status>>,
) where
    R: Stream<Item = Result<WatchRequest, Status>> + Unpin,
{
    let mut watches = Watches::default();
    let mut is_asking = true;
    loop {
        let mut heard = Vec::new();
        tokio::select! {
            request = requests.next(), if is_asking => match request {
                Some(Ok(request)) => ask(&mut watches, request),
                // The client is gone.
                Some(Err(_)) => return,
                // It asks for nothing more, and goes on listening.
                None => is_asking = false,
            },
            count = words.recv_many(&mut heard, 64) => {
                if count == 0 {
                    let _ = responses.send(Err(error::STOPPED.into())).await;
                    return;
                }
            }
            () = responses.closed() => return,
        }
        let has_heard = !heard.is_empty();
        for word in heard {
            watches.take(word.watch, word.word, word.term);
            if !tell(&open, &mut watches, &responses).await {
                return;
            }
        }
        if !has_heard && !tell(&open, &mut watches, &responses).await {
            return;
        }
        if watches.is_lost {
            let _ = responses.send(Err(error::CORRUPT.into())).await;
            return;
        }
        // What waits in the channel is unread too, so it is said when there is nothing.
        let unread_bytes = (has_heard && words.is_empty()).then_some(0);
        order(&open, &mut watches, unread_bytes);
    }
}

/// Hands on what the client is to be told, as it reads; returns whether it still does.
async fn tell(
    open: &Open,
    watches: &mut Watches,
    responses: &mpsc::Sender<Result<WatchResponse, Status>>,
) -> bool {
    for told in std::mem::take(&mut watches.told) {
        let header = open.behind.header(told.revision, told.term);
        let response = WatchResponse { header, ..told.response };
        if responses.send(Ok(response)).await.is_err() {
            return false;
        }
    }
    true
}

fn order(open: &Open, watches: &mut Watches, unread_bytes: Option<usize>) {
    let orders = std::mem::take(&mut watches.orders);
    if !orders.is_empty() || unread_bytes.is_some() {
        let stream = open.stream;
        open.behind.orders.do_send(StreamOrders { stream, orders, unread_bytes });
    }
}

fn ask(watches: &mut Watches, request: WatchRequest) {
    match request.request_union {
        Some(RequestUnion::CreateRequest(create)) => watches.create(create),
        Some(RequestUnion::CancelRequest(cancel)) => watches.cancel(cancel.watch_id),
        Some(RequestUnion::ProgressRequest(_)) => watches.ask_progress(),
        None => {}
    }
}
