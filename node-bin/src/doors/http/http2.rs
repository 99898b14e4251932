//! A connection of HTTP/2, served by one future.
//!
//! What clients of etcd ask most, and what one question to the store answers, is dealt with right
//! here: all that one turn of the connection brings goes to Api in one message, and all that a
//! turn of Api answers comes back in one and goes out in one write. Everything else is a task.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::server::{Builder, Connection, SendResponse};
use http::{Method, Request, Response, request};
use raft_core::entry::SessionStamp;
use raft_net::opens::{Door, Opens};
use tokio::sync::mpsc;
use tonic::Status;

use super::incoming::{Incoming, Streamed};
use super::reply::{self, Undelivered};
use super::rewound::Rewound;
use super::unread::{TooMuchUnread, Unread};
use super::{Kind, Served, is_grpc};
use crate::api::{AnswerBatch, BatchedCall, Caller, CallerEnded};
use crate::doors::etcd::{Arrived, Frequent, good_head, good_trailers, stopped};

/// Requests of one connection that are not answered yet; further ones wait.
const REQUESTS_PER_CONNECTION_MAX: u32 = 1_024;

/// Requests of one connection that Api has, with those that the client took back; further ones
/// are tasks, which end when they are taken back.
const WAITING_MAX: usize = 1_024;

/// A buffer that is longer is not kept for the next turn. Units: bytes.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// What one stream, and one connection, may send before it is read. Units: bytes.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// The longest head of a request; a longer one is refused. Units: bytes.
const HEAD_BYTES_MAX: u32 = 16 * 1024;

/// Streams that may be reset for what their client does wrong, before the connection is ended.
const WRONG_STREAMS_MAX: usize = 1_024;

/// Where a connection comes from and what it may ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) opens: Opens,
    pub(super) from: Option<SocketAddr>,
}

/// Serves a connection until it ends.
///
/// Errors: what the client did wrong, or what became of the connection.
pub(super) async fn serve(
    served: Arc<Served>,
    origin: Origin,
    caller: Caller,
    io: Rewound,
) -> Result<(), h2::Error> {
    let connection = Builder::new()
        .max_concurrent_streams(REQUESTS_PER_CONNECTION_MAX)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEAD_BYTES_MAX)
        .max_local_error_reset_streams(Some(WRONG_STREAMS_MAX))
        .handshake(io)
        .await?;
    let (own_end, answers) = mpsc::unbounded_channel();
    let mut serving = Serving {
        connection,
        served,
        origin,
        unread: Arc::default(),
        caller,
        own_end: Some(own_end),
        answers,
        is_stopped: false,
        nudge: None,
        waiting: Waiting::default(),
        bodies: BytesMut::new(),
        calls: Vec::new(),
        written: BytesMut::new(),
    };
    std::future::poll_fn(|context| serving.poll(context)).await
}

/// A connection.
struct Serving {
    connection: Connection<Rewound, Bytes>,
    served: Arc<Served>,
    origin: Origin,
    unread: Arc<Unread>,
    caller: Caller,
    /// Goes to Api with the first calls.
    own_end: Option<mpsc::UnboundedSender<AnswerBatch>>,
    answers: mpsc::UnboundedReceiver<AnswerBatch>,
    /// Whether the node has ended.
    is_stopped: bool,
    nudge: Option<(Arc<Nudge>, Waker)>,
    waiting: Waiting,
    /// What this turn asks.
    bodies: BytesMut,
    calls: Vec<BatchedCall>,
    /// Where short answers are written.
    written: BytesMut,
}

/// The requests that Api has, by the numbers that they have there.
#[derive(Default)]
struct Waiting {
    places: Vec<Option<(Frequent, SendResponse<Bytes>)>>,
    free: Vec<usize>,
}

impl Waiting {
    fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    fn add(&mut self, frequent: Frequent, respond: SendResponse<Bytes>) -> u64 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some((frequent, respond));
        u64::try_from(place).unwrap_or(u64::MAX)
    }

    fn take(&mut self, number: u64) -> Option<(Frequent, SendResponse<Bytes>)> {
        let place = usize::try_from(number).ok()?;
        let taken = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        Some(taken)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.own_end.is_none() {
            self.served.behind.ended.do_send(CallerEnded(self.caller));
        }
    }
}

/// Wakes the task of a connection, but not for answers that it is just handing to h2: it looks
/// after those in the same turn.
struct Nudge {
    task: Waker,
    is_answering: AtomicBool,
}

impl Wake for Nudge {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_answering.load(Ordering::Relaxed) {
            self.task.wake_by_ref();
        }
    }
}

impl Serving {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let (nudge, waker) = self.nudge(context.waker());
        nudge.is_answering.store(true, Ordering::Relaxed);
        self.answer(context);
        nudge.is_answering.store(false, Ordering::Relaxed);
        // Last, because accepting also writes what is answered.
        let accepted = self.accept(&mut Context::from_waker(&waker));
        self.ask();
        accepted
    }

    fn nudge(&mut self, task: &Waker) -> (Arc<Nudge>, Waker) {
        if let Some((nudge, waker)) = &self.nudge
            && nudge.task.will_wake(task)
        {
            return (nudge.clone(), waker.clone());
        }
        let nudge = Arc::new(Nudge { task: task.clone(), is_answering: AtomicBool::new(false) });
        let made = (nudge.clone(), Waker::from(nudge));
        self.nudge = Some(made.clone());
        made
    }

    fn accept(&mut self, context: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            match ready!(self.connection.poll_accept(context)).transpose()? {
                Some((request, respond)) => self.take(context, request, respond),
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Takes a request.
    fn take(
        &mut self,
        context: &mut Context<'_>,
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
    ) {
        let (head, mut stream) = request.into_parts();
        let mut arrived = Arrived::default();
        if let Some((frequent, session)) = self.frequent(&head) {
            match read(&mut stream, &mut arrived, context) {
                Poll::Ready(Ok(message)) => {
                    match frequent.ask(message, session, &mut self.bodies) {
                        Ok(Some(what)) => {
                            let number = self.waiting.add(frequent, respond);
                            let end = self.bodies.len();
                            self.calls.push(BatchedCall { number, what, end });
                            return;
                        }
                        Ok(None) => {}
                        Err(status) => return refuse(respond, status),
                    }
                }
                Poll::Ready(Err(Undelivered::Answer(status))) => return refuse(respond, status),
                // Its client knows.
                Poll::Ready(Err(Undelivered::Stream(_))) => return,
                Poll::Pending => {}
            }
        }
        let body = Streamed::new(&head.headers, arrived.into_bytes(), stream);
        let request = Request::from_parts(head, Incoming::Http2(body));
        let (served, unread) = (self.served.clone(), self.unread.clone());
        actix_rt::spawn(alone(served, self.origin, unread, request, respond));
    }

    /// What a request is, if it can be dealt with here.
    fn frequent(&self, head: &request::Parts) -> Option<(Frequent, SessionStamp)> {
        let is_taken = head.method == Method::POST
            && is_grpc(&head.headers)
            && self.origin.opens.has(Door::Etcd)
            && self.unread.has_room()
            // A client may take requests back, whose places stay until Api answers.
            && self.waiting.len() < WAITING_MAX
            && !self.is_stopped;
        if is_taken { Frequent::of(head) } else { None }
    }

    /// Sends Api what this turn has brought.
    fn ask(&mut self) {
        let is_large = KEPT_BYTES_MAX < self.bodies.capacity();
        if self.calls.is_empty() {
            if is_large {
                self.bodies = BytesMut::new();
            }
            return;
        }
        let calls = std::mem::take(&mut self.calls);
        let bodies = match is_large {
            true => std::mem::take(&mut self.bodies).freeze(),
            false => self.bodies.split().freeze(),
        };
        self.served.behind.call_together(self.caller, self.own_end.take(), bodies, calls);
    }

    /// Answers what Api has told since the last turn.
    fn answer(&mut self, context: &mut Context<'_>) {
        while !self.is_stopped
            && let Poll::Ready(batch) = self.answers.poll_recv(context)
        {
            let Some(batch) = batch else {
                self.is_stopped = true;
                for (_, respond) in self.waiting.places.drain(..).flatten() {
                    refuse(respond, stopped());
                }
                self.waiting.free.clear();
                return;
            };
            for (number, outcome) in &batch.outcomes {
                let Some((frequent, respond)) = self.waiting.take(*number) else { continue };
                let behind = &self.served.behind;
                match frequent.answer(behind, (outcome, &batch), &mut self.written) {
                    Ok(bytes) => self.send(frequent, respond, bytes),
                    Err(status) => refuse(respond, status),
                }
            }
        }
    }

    fn send(&self, frequent: Frequent, mut respond: SendResponse<Bytes>, bytes: Bytes) {
        let bytes = match self.unread.hold_bytes(bytes) {
            Ok(bytes) => bytes,
            Err(TooMuchUnread) => {
                let kind = Kind { is_grpc: true, is_read: frequent.is_read() };
                return refuse(respond, kind.unread_status());
            }
        };
        // A client that has taken its request back misses nothing.
        let Ok(mut stream) = respond.send_response(good_head(()), false) else { return };
        if stream.send_data(bytes, false).is_ok() {
            let _ = stream.send_trailers(good_trailers());
        }
    }
}

/// Reads a request of one message that has arrived already.
fn read(
    stream: &mut RecvStream,
    arrived: &mut Arrived,
    context: &mut Context<'_>,
) -> Poll<Result<Bytes, Undelivered>> {
    while let Some(data) = ready!(stream.poll_data(context)).transpose()? {
        let length = data.len();
        arrived.push(data).map_err(Undelivered::Answer)?;
        stream.flow_control().release_capacity(length)?;
    }
    Poll::Ready(arrived.message().map_err(Undelivered::Answer))
}

/// Says why a request of gRPC is not answered.
fn refuse(mut respond: SendResponse<Bytes>, status: Status) {
    let head: Response<()> = status.into_http();
    // A client that has taken its request back misses nothing.
    let _ = respond.send_response(head, true);
}

/// Serves a request by itself, as long as its client waits.
async fn alone(
    served: Arc<Served>,
    origin: Origin,
    unread: Arc<Unread>,
    request: Request<Incoming>,
    mut respond: SendResponse<Bytes>,
) {
    let answering = super::answer_held(&served, origin, &unread, request);
    let sent = match reply::while_waited_for(&mut respond, answering).await {
        Ok(response) => reply::send(respond, response).await,
        Err(error) => Err(error.into()),
    };
    match sent {
        Ok(()) => {}
        Err(Undelivered::Stream(error)) => tracing::debug!("a stream of HTTP ended: {error}"),
        Err(Undelivered::Answer(status)) => tracing::debug!("an answer broke off: {status}"),
    }
}
