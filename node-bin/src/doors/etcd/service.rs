//! Which function serves which method, and how gRPC's requests become messages.

use std::future::{Future, Ready, poll_fn, ready};
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderMap, Request as HttpRequest, Response as HttpResponse};
use http_body::Body as HttpBody;
use kvorum_client::RequestId;
use prost::Message;
use raft_core::entry::SessionStamp;
use raft_net::etcd::etcdserverpb::{
    LeaseKeepAliveRequest, LeaseKeepAliveResponse, RangeRequest, SnapshotRequest, WatchRequest,
};
use raft_net::etcd::health::HealthCheckRequest;
use raft_net::etcd::v3electionpb::{LeaderRequest, LeaderResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::server::{Grpc, ServerStreamingService, StreamingService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::kv::RangeParts;
use super::node::Behind;
use super::{led, reflection, unary};

/// The longest request, as etcd has it by default; a longer one is refused. Units: bytes.
pub(crate) const REQUEST_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Responses of a stream that wait for the client to read; further ones wait to be made.
const RESPONSES_MAX: usize = 16;

/// Messages of a stream that are answered together, at most.
const READY_MAX: usize = 1_024;

/// The header in which a client names a write, so that it is executed once however often it is
/// asked for.
pub(crate) const REQUEST_ID: &str = "kvorum-request-id";

pub(super) type Shown<R> = Pin<Box<dyn Stream<Item = Result<R, Status>> + Send>>;

/// A response that is being made.
struct Answering<F>(Pin<Box<F>>);

impl<F, R> Future for Answering<F>
where
    F: Future<Output = Result<R, Status>>,
{
    type Output = Result<Response<R>, Status>;

    fn poll(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context).map(|answer| answer.map(Response::new))
    }
}

/// Serves a function of one message that shows several.
struct Several<S>(Option<S>);

impl<S, Q, R> ServerStreamingService<Q> for Several<S>
where
    S: FnOnce(Q) -> Result<Shown<R>, Status>,
{
    type Response = R;
    type ResponseStream = Shown<R>;
    type Future = Ready<Result<Response<Shown<R>>, Status>>;

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let serve = self.0.take().expect("a request is one call");
        ready(serve(request.into_inner()).map(Response::new))
    }
}

/// Serves a function of a stream of messages.
struct Both<S>(Option<S>);

impl<S, Q, R, F> StreamingService<Q> for Both<S>
where
    S: FnOnce(Streaming<Q>) -> F,
    F: Future<Output = Result<Shown<R>, Status>>,
{
    type Response = R;
    type ResponseStream = Shown<R>;
    type Future = Answering<F>;

    fn call(&mut self, request: Request<Streaming<Q>>) -> Self::Future {
        let serve = self.0.take().expect("a request is one call");
        Answering(Box::pin(serve(request.into_inner())))
    }
}

fn grpc<Q, R>() -> Grpc<ProstCodec<R, Q>>
where
    Q: Message + Default + Send + 'static,
    R: Message + Send + 'static,
{
    Grpc::new(ProstCodec::default())
        .max_decoding_message_size(REQUEST_BYTES_MAX)
        .max_encoding_message_size(usize::MAX)
}

/// The bodies of requests: those of connections, and those that the JSON gateway makes.
pub(crate) trait RequestBody:
    HttpBody<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static
{
}

impl<B> RequestBody for B where
    B: HttpBody<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static
{
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A response on its way.
pub(super) type Answered = HttpResponse<Body>;

async fn unary<B, Q, R, F>(body: B, serve: impl FnOnce(Q) -> F) -> Answered
where
    B: RequestBody,
    Q: Message + Default,
    R: Message,
    F: Future<Output = Result<R, Status>>,
{
    let message = match unary::message(body).await {
        Ok(message) => message,
        Err(status) => return status.into_http(),
    };
    // Apart, since the allocator is quick with two small pieces and slow with one above 1 KiB.
    match Box::pin(serve(message)).await {
        Ok(answer) => unary::answered(&answer),
        Err(status) => status.into_http(),
    }
}

async fn several<B, Q, R>(
    request: HttpRequest<B>,
    serve: impl FnOnce(Q) -> Result<Shown<R>, Status>,
) -> Answered
where
    B: RequestBody,
    Q: Message + Default + Send + 'static,
    R: Message + Send + 'static,
{
    grpc::<Q, R>().server_streaming(Several(Some(serve)), request).await
}

async fn both<B, Q, R, F>(
    request: HttpRequest<B>,
    serve: impl FnOnce(Streaming<Q>) -> F + Send,
) -> Answered
where
    B: RequestBody,
    Q: Message + Default + Send + 'static,
    R: Message + Send + 'static,
    F: Future<Output = Result<Shown<R>, Status>> + Send,
{
    grpc::<Q, R>().streaming(Both(Some(serve)), request).await
}

/// The write that a request is, if its client names it.
///
/// Errors: if the name is none.
pub(super) fn session(headers: &HeaderMap) -> Result<SessionStamp, Status> {
    let Some(name) = headers.get(REQUEST_ID) else { return Ok(SessionStamp::default()) };
    let id = name.to_str().ok().and_then(|name| name.parse::<RequestId>().ok());
    id.map(RequestId::stamp).ok_or_else(|| {
        Status::invalid_argument(format!("kvorum: {REQUEST_ID} is CLIENT:SERIAL, serials from 1"))
    })
}

/// Serves a request of gRPC.
pub(crate) async fn call<B: RequestBody>(behind: &Behind, request: HttpRequest<B>) -> Answered {
    let session = match session(request.headers()) {
        Ok(session) => session,
        Err(status) => return status.into_http(),
    };
    if led::is_wanted(request.headers())
        && let Err(status) = Box::pin(behind.check_led()).await
    {
        return status.into_http();
    }
    match request.uri().path() {
        "/etcdserverpb.KV/Put" => unary(request.into_body(), |put| behind.put(put, session)).await,
        "/etcdserverpb.KV/Range" => unary(request.into_body(), |range| behind.range(range)).await,
        "/etcdserverpb.KV/Txn" => unary(request.into_body(), |txn| behind.txn(txn, session)).await,
        _ => Box::pin(rare(behind, request, session)).await,
    }
}

/// Serves what is not asked so often that it may make the future of every request larger.
async fn rare<B: RequestBody>(
    behind: &Behind,
    request: HttpRequest<B>,
    session: SessionStamp,
) -> Answered {
    let is_led_only = led::is_wanted(request.headers());
    let path = request.uri().path().to_owned();
    let Some((service, method)) = path.trim_start_matches('/').split_once('/') else {
        return unknown(&path);
    };
    match service {
        "etcdserverpb.KV" => kv(behind, request, method, session).await,
        "etcdserverpb.Watch" if method == "Watch" => {
            both(request, |requests: Streaming<WatchRequest>| async move {
                let told = Box::pin(behind.watch(requests).await?);
                Ok(led::while_led(behind, is_led_only, told))
            })
            .await
        }
        "etcdserverpb.Lease" => lease(behind, request, method, session, is_led_only).await,
        "etcdserverpb.Cluster" => cluster(behind, request, method).await,
        "etcdserverpb.Maintenance" => maintenance(behind, request, method).await,
        "etcdserverpb.Auth" => auth(behind, request, method, session).await,
        "v3lockpb.Lock" => lock(behind, request, method).await,
        "v3electionpb.Election" => election(behind, request, method).await,
        "grpc.health.v1.Health" => health(behind, request, method).await,
        "grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection" => {
            both(request, |requests| async {
                Ok(Box::pin(requests.map(|it| it.map(reflection::answer))) as Shown<_>)
            })
            .await
        }
        _ => unknown(&path),
    }
}

/// As gRPC servers say it.
fn unknown(path: &str) -> Answered {
    let name = path.trim_start_matches('/');
    Status::unimplemented(format!("unknown service or method {name}")).into_http()
}

async fn kv<B: RequestBody>(
    behind: &Behind,
    request: HttpRequest<B>,
    method: &str,
    session: SessionStamp,
) -> Answered {
    match method {
        "DeleteRange" => {
            unary(request.into_body(), |range| behind.delete_range(range, session)).await
        }
        "Compact" => unary(request.into_body(), |compaction| behind.compact(compaction)).await,
        "RangeStream" => {
            let behind = behind.clone();
            several(request, |range: RangeRequest| {
                let mut parts = RangeParts::of(range)?;
                Ok(shown(async move |responses| {
                    while let Some(part) = behind.next_part(&mut parts).await.transpose() {
                        let is_over = part.is_err();
                        if responses.send(part).await.is_err() || is_over {
                            return;
                        }
                    }
                }))
            })
            .await
        }
        _ => unknown(method),
    }
}

async fn lease<B: RequestBody>(
    behind: &Behind,
    request: HttpRequest<B>,
    method: &str,
    session: SessionStamp,
    is_led_only: bool,
) -> Answered {
    match method {
        "LeaseGrant" => {
            unary(request.into_body(), |grant| behind.lease_grant(grant, session)).await
        }
        "LeaseRevoke" => {
            unary(request.into_body(), |revoke| behind.lease_revoke(revoke, session)).await
        }
        "LeaseTimeToLive" => {
            unary(request.into_body(), |lease| behind.lease_time_to_live(lease)).await
        }
        "LeaseLeases" => {
            unary(request.into_body(), |_: raft_net::etcd::etcdserverpb::LeaseLeasesRequest| {
                behind.lease_leases()
            })
            .await
        }
        "LeaseKeepAlive" => {
            both(request, |requests: Streaming<LeaseKeepAliveRequest>| async {
                let answers = keep_alive(behind.clone(), requests);
                Ok(led::while_led(behind, is_led_only, answers))
            })
            .await
        }
        _ => unknown(method),
    }
}

/// Renews the leases that a stream asks for.
fn keep_alive(
    behind: Behind,
    mut requests: Streaming<LeaseKeepAliveRequest>,
) -> Shown<LeaseKeepAliveResponse> {
    shown(async move |responses| {
        while let Some(asked) = all_ready(&mut requests).await {
            let answers = match asked {
                Ok(asked) => behind.lease_keep_alive(&asked).await,
                Err(status) => Err(status),
            };
            let answers = match answers {
                Ok(answers) => answers,
                Err(status) => {
                    // A client that is gone needs no reason.
                    let _ = responses.send(Err(status)).await;
                    return;
                }
            };
            for answer in answers {
                if responses.send(Ok(answer)).await.is_err() {
                    return;
                }
            }
        }
    })
}

/// Waits for a message, and takes those that have arrived with it; `None` at the end.
///
/// Errors: as the stream's.
async fn all_ready<Q>(requests: &mut Streaming<Q>) -> Option<Result<Vec<Q>, Status>> {
    let mut ready = match requests.next().await? {
        Ok(first) => vec![first],
        Err(status) => return Some(Err(status)),
    };
    while ready.len() < READY_MAX {
        let next = poll_fn(|context| {
            Poll::Ready(match Pin::new(&mut *requests).poll_next(context) {
                Poll::Ready(Some(Ok(next))) => Some(next),
                // An error ends the stream, which its client knows.
                Poll::Ready(Some(Err(_)) | None) | Poll::Pending => None,
            })
        });
        match next.await {
            Some(next) => ready.push(next),
            None => break,
        }
    }
    Some(Ok(ready))
}

/// A stream of what a task makes, which waits while nobody reads.
pub(super) fn shown<R, T>(make: T) -> Shown<R>
where
    R: Send + 'static,
    T: AsyncFnOnce(mpsc::Sender<Result<R, Status>>) + 'static,
{
    let (responses, shown) = mpsc::channel(RESPONSES_MAX);
    actix_rt::spawn(async move { make(responses).await });
    Box::pin(ReceiverStream::new(shown))
}

async fn cluster<B: RequestBody>(
    behind: &Behind,
    request: HttpRequest<B>,
    method: &str,
) -> Answered {
    match method {
        "MemberList" => unary(request.into_body(), |list| behind.member_list(list)).await,
        "MemberAdd" => unary(request.into_body(), |add| behind.member_add(add)).await,
        "MemberRemove" => unary(request.into_body(), |remove| behind.member_remove(remove)).await,
        "MemberUpdate" => unary(request.into_body(), |update| behind.member_update(update)).await,
        "MemberPromote" => {
            unary(request.into_body(), |promote| behind.member_promote(promote)).await
        }
        _ => unknown(method),
    }
}

async fn maintenance<B: RequestBody>(
    behind: &Behind,
    request: HttpRequest<B>,
    method: &str,
) -> Answered {
    match method {
        "Alarm" => unary(request.into_body(), |alarm| behind.alarm(alarm)).await,
        "Status" => unary(request.into_body(), |status| behind.status(status)).await,
        "Defragment" => {
            unary(request.into_body(), |defragment| behind.defragment(defragment)).await
        }
        "Hash" => unary(request.into_body(), |hash| behind.hash(hash)).await,
        "HashKV" => unary(request.into_body(), |hash| behind.hash_kv(hash)).await,
        "MoveLeader" => unary(request.into_body(), |leader| behind.move_leader(leader)).await,
        "Downgrade" => unary(request.into_body(), |downgrade| behind.downgrade(downgrade)).await,
        "Snapshot" => {
            let behind = behind.clone();
            several(request, |asked: SnapshotRequest| {
                Ok(shown(async move |responses| behind.snapshot(asked, responses).await))
            })
            .await
        }
        _ => unknown(method),
    }
}

async fn health<B: RequestBody>(
    behind: &Behind,
    request: HttpRequest<B>,
    method: &str,
) -> Answered {
    match method {
        "Check" => unary(request.into_body(), |check| behind.health_check(check)).await,
        "Watch" => {
            let behind = behind.clone();
            several(request, |watch: HealthCheckRequest| {
                Ok(shown(async move |responses| behind.health_watch(&watch, &responses).await))
            })
            .await
        }
        _ => unknown(method),
    }
}

async fn lock<B: RequestBody>(behind: &Behind, request: HttpRequest<B>, method: &str) -> Answered {
    match method {
        "Lock" => unary(request.into_body(), |lock| behind.lock(lock)).await,
        "Unlock" => unary(request.into_body(), |unlock| behind.unlock(unlock)).await,
        _ => unknown(method),
    }
}

async fn election<B: RequestBody>(
    behind: &Behind,
    request: HttpRequest<B>,
    method: &str,
) -> Answered {
    match method {
        "Campaign" => unary(request.into_body(), |campaign| behind.campaign(campaign)).await,
        "Proclaim" => unary(request.into_body(), |proclaim| behind.proclaim(proclaim)).await,
        "Leader" => unary(request.into_body(), |leader| behind.leader(leader)).await,
        "Resign" => unary(request.into_body(), |resign| behind.resign(resign)).await,
        "Observe" => {
            let behind = behind.clone();
            several(request, |observed: LeaderRequest| {
                Ok(shown(async move |responses| {
                    let mut seen = None;
                    loop {
                        let next = tokio::select! {
                            next = behind.next_leader(&observed.name, seen) => next,
                            () = responses.closed() => return,
                        };
                        if let Ok(LeaderResponse { kv: Some(kv), .. }) = &next {
                            seen = Some(kv.mod_revision);
                        }
                        let is_over = next.is_err();
                        if responses.send(next).await.is_err() || is_over {
                            return;
                        }
                    }
                }))
            })
            .await
        }
        _ => unknown(method),
    }
}

async fn auth<B: RequestBody>(
    behind: &Behind,
    request: HttpRequest<B>,
    method: &str,
    session: SessionStamp,
) -> Answered {
    match method {
        "AuthStatus" => unary(request.into_body(), |status| behind.auth_status(status)).await,
        "AuthEnable" => unary(request.into_body(), |enable| behind.auth_enable(enable)).await,
        "AuthDisable" => unary(request.into_body(), |disable| behind.auth_disable(disable)).await,
        "Authenticate" => unary(request.into_body(), |user| behind.authenticate(user)).await,
        "UserList" => unary(request.into_body(), |list| behind.user_list(list)).await,
        "UserGet" => unary(request.into_body(), |user| behind.user_get(user)).await,
        "UserAdd" => unary(request.into_body(), |user| behind.user_add(user, session)).await,
        "UserDelete" => unary(request.into_body(), |user| behind.user_delete(user, session)).await,
        "UserChangePassword" => {
            unary(request.into_body(), |user| behind.user_change_password(user, session)).await
        }
        "UserGrantRole" => {
            unary(request.into_body(), |grant| behind.user_grant_role(grant, session)).await
        }
        "UserRevokeRole" => {
            unary(request.into_body(), |revoke| behind.user_revoke_role(revoke, session)).await
        }
        "RoleList" => unary(request.into_body(), |list| behind.role_list(list)).await,
        "RoleGet" => unary(request.into_body(), |role| behind.role_get(role)).await,
        "RoleAdd" => unary(request.into_body(), |role| behind.role_add(role, session)).await,
        "RoleDelete" => unary(request.into_body(), |role| behind.role_delete(role, session)).await,
        "RoleGrantPermission" => {
            unary(request.into_body(), |grant| behind.role_grant_permission(grant, session)).await
        }
        "RoleRevokePermission" => {
            unary(request.into_body(), |revoke| behind.role_revoke_permission(revoke, session))
                .await
        }
        _ => unknown(method),
    }
}
