//! Web: takes the connections that speak HTTP/1 or HTTP/2, each served by a task on this thread.
//!
//! Facts taken: `DoorAccepted` (Listener). Commands out, from the futures of the connections:
//! `CallBatch`, `CallerEnded`, `Call`, `OpenStream`, `StreamOrders`, `CloseStream` (to Api),
//! `OpenPage` (to Dashboard), `AskedToPlay` (to Playground).
//! Limits: `CONNECTIONS_MAX` connections, beyond which new ones are closed;
//! `REQUESTS_PER_CONNECTION_MAX` requests each at a time, beyond which HTTP/2 lets them wait;
//! `UNREAD_BYTES_MAX` of answers that a connection has not read, beyond which requests wait.

mod authority;
mod gateway;
mod host;
mod http2;
mod incoming;
mod introduction;
mod pages;
mod reply;
mod rest;
mod rewound;
mod ui;
mod unread;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version, header};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use raft_net::discovery::asking::DISCOVERY_PATH;
use raft_net::listener::DoorAccepted;
use raft_net::opens::Door;
use raft_net::sniff::Sniffed;
use tonic::Status;
use tonic::body::Body;

use self::gateway::Gateway;
pub(crate) use self::host::Hosts;
use self::http2::Origin;
use self::incoming::Incoming;
pub(crate) use self::introduction::Introduction;
use self::rewound::Rewound;
pub(crate) use self::ui::Backstage;
use self::ui::HangUp;
use self::unread::{TooMuchUnread, Unread};
use super::etcd::{self, Behind};
use crate::api::Caller;
use crate::fault::FaultGuard;

/// HTTP connections at a time.
const CONNECTIONS_MAX: usize = 10_000;

/// How long the head of an HTTP/1 request may take to arrive; a slower connection is closed.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);

/// What is said to clients of a door that is not at a port.
const NO_ETCD: &str =
    "kvorum: this port does not take clients of etcd; another one of the node does";
const NO_KEYS: &str = "kvorum: this port does not show keys; another one of the node does";

/// What is said when the answers that a connection has not read leave no room for another.
const UNREAD: &str = "kvorum: too much on this connection is not read yet; read it and ask again";
const UNREAD_WRITE: &str = "kvorum: too much on this connection is not read yet to say more: the \
                            write may or may not have taken effect";

/// The actor.
#[derive(Debug)]
pub(crate) struct Web {
    served: Arc<Served>,
    /// Shared by every connection, so that they are counted.
    connections: Arc<()>,
    /// How many connections there ever were.
    newest: u64,
    _fault: FaultGuard,
}

/// What every connection is served with.
#[derive(Debug)]
struct Served {
    behind: Behind,
    gateway: Gateway,
    hosts: Hosts,
    introduction: Introduction,
    waiting: rest::Waiting,
    backstage: Backstage,
}

impl Web {
    pub(crate) fn new(
        behind: Behind,
        (hosts, introduction, backstage): (Hosts, Introduction, Backstage),
        fault: FaultGuard,
    ) -> Self {
        let (gateway, waiting) = (Gateway::new(), rest::Waiting::default());
        let served = Served { behind, gateway, hosts, introduction, waiting, backstage };
        Self { served: Arc::new(served), connections: Arc::new(()), newest: 0, _fault: fault }
    }
}

impl Actor for Web {
    type Context = Context<Self>;
}

impl Handler<DoorAccepted> for Web {
    type Result = ();

    fn handle(&mut self, accepted: DoorAccepted, _: &mut Self::Context) {
        if CONNECTIONS_MAX < Arc::strong_count(&self.connections) {
            tracing::warn!("closed a connection: {CONNECTIONS_MAX} of HTTP are open already");
            return;
        }
        let (served, counted) = (self.served.clone(), self.connections.clone());
        self.newest += 1;
        let caller = Caller::numbered(self.newest);
        actix_rt::spawn(async move {
            serve(served, caller, accepted).await;
            drop(counted);
        });
    }
}

/// Serves a connection until it ends.
async fn serve(served: Arc<Served>, caller: Caller, accepted: DoorAccepted) {
    let DoorAccepted { speaks, stream, read, from, opens } = accepted;
    let origin = Origin { opens, from: from.parse().ok() };
    let io = Rewound::new(read, stream, speaks == Sniffed::Http2);
    let ended = if speaks == Sniffed::Http2 {
        http2::serve(served, origin, caller, io).await.map_err(|error| error.to_string())
    } else {
        serve_http1(served, origin, io).await.map_err(|error| error.to_string())
    };
    if let Err(error) = ended {
        tracing::debug!("an HTTP connection from {from} ended: {error}");
    }
}

async fn serve_http1(served: Arc<Served>, origin: Origin, io: Rewound) -> Result<(), hyper::Error> {
    let unread = Arc::new(Unread::default());
    let hang_up = HangUp::default();
    let to_hang_up = hang_up.clone();
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let (served, unread) = (served.clone(), unread.clone());
        let mut request = request.map(Incoming::Http1);
        request.extensions_mut().insert(hang_up.clone());
        async move { Ok::<_, Infallible>(answer_held(&served, origin, &unread, request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        // Who has nothing more to ask still reads the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(io), service);
    tokio::select! {
        ended = serving => ended,
        () = to_hang_up.asked() => Ok(()),
    }
}

/// Answers a request when there is room for an answer.
async fn answer_held(
    served: &Served,
    origin: Origin,
    unread: &Arc<Unread>,
    request: Request<Incoming>,
) -> Response<Body> {
    unread.room().await;
    let kind = Kind::of(&request);
    let answer = answer(served, origin, request).await;
    unread.hold(answer).unwrap_or_else(|TooMuchUnread| kind.unread())
}

/// How a request is refused whose answer finds no room.
#[derive(Clone, Copy, Debug)]
struct Kind {
    is_grpc: bool,
    /// Whether nothing was done but to look.
    is_read: bool,
}

impl Kind {
    fn of(request: &Request<Incoming>) -> Self {
        let path = request.uri().path();
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD)
            || path.ends_with("/Range")
            || path.ends_with("/range");
        Self { is_grpc: is_grpc(request.headers()), is_read }
    }

    /// What is said instead of an answer of gRPC.
    fn unread_status(self) -> Status {
        if self.is_read {
            Status::resource_exhausted(UNREAD)
        } else {
            Status::unavailable(UNREAD_WRITE)
        }
    }

    /// What is said instead of the answer.
    fn unread(self) -> Response<Body> {
        if self.is_grpc {
            return self.unread_status().into_http();
        }
        let (status, why) = if self.is_read {
            (StatusCode::SERVICE_UNAVAILABLE, UNREAD)
        } else {
            (StatusCode::GATEWAY_TIMEOUT, UNREAD_WRITE)
        };
        pages::json(status, serde_json::json!({ "error": why }).to_string())
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

async fn answer(
    served: &Served,
    Origin { opens, from }: Origin,
    request: Request<Incoming>,
) -> Response<Body> {
    if is_grpc(request.headers()) {
        if !opens.has(Door::Etcd) {
            return Status::unimplemented(NO_ETCD).into_http();
        }
        // gRPC needs HTTP/2, which browsers do not speak without TLS: whoever asks so is a page,
        // perhaps of another origin.
        if request.version() < Version::HTTP_2 {
            return pages::text(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "gRPC needs HTTP/2\n");
        }
        return etcd::call(&served.behind, request).await;
    }
    if request.uri().path().starts_with("/v3/") {
        if !opens.has(Door::Etcd) {
            return pages::text(StatusCode::NOT_FOUND, format!("{NO_ETCD}\n"));
        }
        return Box::pin(served.gateway.answer(&served.behind, &served.hosts, request)).await;
    }
    if rest::is_key(request.uri().path()) {
        if !opens.has(Door::Http) {
            return pages::text(StatusCode::NOT_FOUND, format!("{NO_KEYS}\n"));
        }
        let guard = (&served.hosts, &served.waiting);
        return Box::pin(rest::answer(&served.behind, guard, request)).await;
    }
    if ui::is_of_page(request.uri().path()) {
        if !opens.has(Door::Http) {
            return pages::text(StatusCode::NOT_FOUND, format!("{NO_KEYS}\n"));
        }
        let around = (&served.hosts, &served.backstage);
        return Box::pin(ui::answer(&served.behind, around, request)).await;
    }
    if *request.method() == Method::GET && request.uri().path() == DISCOVERY_PATH {
        // A page that a browser shows is no node.
        let from = from.filter(|_| !served.hosts.are_foreign_to(&request));
        return introduction::answer(&served.behind, &served.introduction, &request, from).await;
    }
    Box::pin(pages::answer(&served.behind, request)).await
}
