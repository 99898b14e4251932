//! etcd's JSON gateway: each method of gRPC under a path, its messages as JSON.
//!
//! A request is written as the message that it stands for and served as if it had come by gRPC,
//! so both say the same. Bytes are base64, numbers of 64 bits are strings, names are those of the
//! messages, and what is zero is left out.

use std::convert::Infallible;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, MethodDescriptor,
    SerializeOptions,
};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::{Code, Status};

use super::super::etcd::{self, Behind, REQUEST_BYTES_MAX};
use super::host::Hosts;
use super::incoming::Incoming;
use super::pages;

/// The longest request: base64 takes a third more. A longer one is refused. Units: bytes.
const BODY_BYTES_MAX: usize = 2 * REQUEST_BYTES_MAX;

/// After so long without a line a blank one is sent, by which the node sees who is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Lines of a stream that wait for the client to read.
const LINES_MAX: usize = 16;

/// What a message of gRPC has before it: whether it is compressed, and how long it is.
const HEAD_BYTES: usize = 5;

/// Paths behind `/v3` with the service and the method that they stand for. Those on leases have
/// two each.
const PATHS: &[(&str, &str, &str)] = &[
    ("/kv/range", "etcdserverpb.KV", "Range"),
    ("/kv/put", "etcdserverpb.KV", "Put"),
    ("/kv/deleterange", "etcdserverpb.KV", "DeleteRange"),
    ("/kv/txn", "etcdserverpb.KV", "Txn"),
    ("/kv/compaction", "etcdserverpb.KV", "Compact"),
    ("/watch", "etcdserverpb.Watch", "Watch"),
    ("/lease/grant", "etcdserverpb.Lease", "LeaseGrant"),
    ("/lease/revoke", "etcdserverpb.Lease", "LeaseRevoke"),
    ("/lease/keepalive", "etcdserverpb.Lease", "LeaseKeepAlive"),
    ("/lease/timetolive", "etcdserverpb.Lease", "LeaseTimeToLive"),
    ("/lease/leases", "etcdserverpb.Lease", "LeaseLeases"),
    ("/kv/lease/revoke", "etcdserverpb.Lease", "LeaseRevoke"),
    ("/kv/lease/timetolive", "etcdserverpb.Lease", "LeaseTimeToLive"),
    ("/kv/lease/leases", "etcdserverpb.Lease", "LeaseLeases"),
    ("/cluster/member/add", "etcdserverpb.Cluster", "MemberAdd"),
    ("/cluster/member/remove", "etcdserverpb.Cluster", "MemberRemove"),
    ("/cluster/member/update", "etcdserverpb.Cluster", "MemberUpdate"),
    ("/cluster/member/list", "etcdserverpb.Cluster", "MemberList"),
    ("/cluster/member/promote", "etcdserverpb.Cluster", "MemberPromote"),
    ("/maintenance/alarm", "etcdserverpb.Maintenance", "Alarm"),
    ("/maintenance/status", "etcdserverpb.Maintenance", "Status"),
    ("/maintenance/defragment", "etcdserverpb.Maintenance", "Defragment"),
    ("/maintenance/hash", "etcdserverpb.Maintenance", "HashKV"),
    ("/maintenance/snapshot", "etcdserverpb.Maintenance", "Snapshot"),
    ("/maintenance/transfer-leadership", "etcdserverpb.Maintenance", "MoveLeader"),
    ("/maintenance/downgrade", "etcdserverpb.Maintenance", "Downgrade"),
    ("/auth/enable", "etcdserverpb.Auth", "AuthEnable"),
    ("/auth/disable", "etcdserverpb.Auth", "AuthDisable"),
    ("/auth/status", "etcdserverpb.Auth", "AuthStatus"),
    ("/auth/authenticate", "etcdserverpb.Auth", "Authenticate"),
    ("/auth/user/add", "etcdserverpb.Auth", "UserAdd"),
    ("/auth/user/get", "etcdserverpb.Auth", "UserGet"),
    ("/auth/user/list", "etcdserverpb.Auth", "UserList"),
    ("/auth/user/delete", "etcdserverpb.Auth", "UserDelete"),
    ("/auth/user/changepw", "etcdserverpb.Auth", "UserChangePassword"),
    ("/auth/user/grant", "etcdserverpb.Auth", "UserGrantRole"),
    ("/auth/user/revoke", "etcdserverpb.Auth", "UserRevokeRole"),
    ("/auth/role/add", "etcdserverpb.Auth", "RoleAdd"),
    ("/auth/role/get", "etcdserverpb.Auth", "RoleGet"),
    ("/auth/role/list", "etcdserverpb.Auth", "RoleList"),
    ("/auth/role/delete", "etcdserverpb.Auth", "RoleDelete"),
    ("/auth/role/grant", "etcdserverpb.Auth", "RoleGrantPermission"),
    ("/auth/role/revoke", "etcdserverpb.Auth", "RoleRevokePermission"),
    ("/lock/lock", "v3lockpb.Lock", "Lock"),
    ("/lock/unlock", "v3lockpb.Lock", "Unlock"),
    ("/election/campaign", "v3electionpb.Election", "Campaign"),
    ("/election/proclaim", "v3electionpb.Election", "Proclaim"),
    ("/election/leader", "v3electionpb.Election", "Leader"),
    ("/election/observe", "v3electionpb.Election", "Observe"),
    ("/election/resign", "v3electionpb.Election", "Resign"),
];

/// The descriptions of all messages.
#[derive(Debug)]
pub(super) struct Gateway {
    pool: DescriptorPool,
}

impl Gateway {
    pub(super) fn new() -> Self {
        let pool = DescriptorPool::decode(raft_net::etcd::DESCRIPTORS);
        Self { pool: pool.expect("the descriptions in the program are whole") }
    }

    /// The method behind a path.
    fn method(&self, path: &str) -> Option<MethodDescriptor> {
        let (_, service, method) = PATHS.iter().find(|(known, ..)| *known == path)?;
        let service = self.pool.get_service_by_name(service)?;
        service.methods().find(|known| known.name() == *method)
    }

    pub(super) async fn answer(
        &self,
        behind: &Behind,
        hosts: &Hosts,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let path = request.uri().path().trim_start_matches("/v3").to_owned();
        let Some(method) = self.method(&path) else {
            return refused(&Status::not_found("Not Found"));
        };
        if request.method() != Method::POST {
            return pages::text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
        }
        if hosts.are_foreign_to(&request) {
            return refused(&Status::permission_denied("kvorum: asked from another origin"));
        }
        let request_id = request.headers().get(etcd::REQUEST_ID).cloned();
        let Ok(body) = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await else {
            return refused(&Status::resource_exhausted("the request is cut or too long"));
        };
        let messages = match messages(&method.input(), &body.to_bytes()) {
            Ok(messages) => messages,
            Err(error) => return refused(&Status::invalid_argument(error)),
        };
        let mut asked = Request::new(Full::new(messages));
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        *asked.uri_mut() = path.parse().expect("names of services make a path");
        *asked.method_mut() = Method::POST;
        let kind = HeaderValue::from_static("application/grpc");
        asked.headers_mut().insert(header::CONTENT_TYPE, kind);
        if let Some(id) = request_id {
            asked.headers_mut().insert(etcd::REQUEST_ID, id);
        }
        let said = Said::of(etcd::call(behind, asked).await, method.output());
        if method.is_server_streaming() { stream(said) } else { one(said).await }
    }
}

/// The messages that a body stands for, each with its head.
///
/// Errors: what is wrong with it, for people.
fn messages(kind: &MessageDescriptor, body: &[u8]) -> Result<Bytes, String> {
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let mut messages = BytesMut::new();
    let mut write = |message: &DynamicMessage| {
        let length = message.encoded_len();
        messages.put_u8(0);
        messages.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        message.encode_raw(&mut messages);
    };
    if body.trim_ascii().is_empty() {
        write(&DynamicMessage::new(kind.clone()));
    }
    let mut rest = body;
    while !rest.trim_ascii().is_empty() {
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Box<RawValue>>();
        let value = match values.next() {
            Some(Ok(value)) => value,
            Some(Err(error)) => return Err(error.to_string()),
            None => break,
        };
        rest = &rest[values.byte_offset()..];
        let mut value = serde_json::Deserializer::from_str(value.get());
        let message = DynamicMessage::deserialize_with_options(kind.clone(), &mut value, &options);
        write(&message.map_err(|error| error.to_string())?);
    }
    Ok(messages.freeze())
}

fn to_json(message: &DynamicMessage) -> Result<String, Status> {
    let options = SerializeOptions::new()
        .stringify_64_bit_integers(true)
        .use_enum_numbers(false)
        .use_proto_field_name(true)
        .skip_default_fields(true);
    let mut json = Vec::new();
    let written =
        message.serialize_with_options(&mut serde_json::Serializer::new(&mut json), &options);
    written.map_err(|error| Status::internal(error.to_string()))?;
    String::from_utf8(json).map_err(|error| Status::internal(error.to_string()))
}

/// A response of gRPC that is being read.
struct Said {
    kind: MessageDescriptor,
    body: Body,
    read: BytesMut,
    /// How it ended, once it has.
    ended: Option<Status>,
}

impl Said {
    fn of(response: Response<Body>, kind: MessageDescriptor) -> Self {
        let ended = Status::from_header_map(response.headers());
        Self { kind, body: response.into_body(), read: BytesMut::new(), ended }
    }

    /// The next message as JSON; `None` at a good end.
    async fn next(&mut self) -> Option<Result<String, Status>> {
        loop {
            if let Some(message) = self.take() {
                return Some(message.and_then(|message| to_json(&message)));
            }
            if let Some(status) = &self.ended {
                let is_good = status.code() == Code::Ok;
                return (!is_good).then(|| Err(status.clone()));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.read.extend_from_slice(&data),
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        self.ended = Status::from_header_map(&trailers);
                    }
                },
                Some(Err(error)) => self.ended = Some(error),
                None => self.ended = Some(Status::new(Code::Ok, "")),
            }
        }
    }

    /// A message that has arrived whole.
    fn take(&mut self) -> Option<Result<DynamicMessage, Status>> {
        let head = self.read.get(1..HEAD_BYTES)?;
        let length = u32::from_be_bytes(head.try_into().ok()?);
        let length = usize::try_from(length).ok()?;
        if self.read.len() < HEAD_BYTES + length {
            return None;
        }
        self.read.advance(HEAD_BYTES);
        let bytes = self.read.split_to(length).freeze();
        let message = DynamicMessage::decode(self.kind.clone(), bytes);
        Some(message.map_err(|error| Status::internal(error.to_string())))
    }
}

async fn one(mut said: Said) -> Response<Body> {
    match said.next().await {
        Some(Ok(json)) => pages::json(StatusCode::OK, json),
        Some(Err(status)) => refused(&status),
        None => refused(&Status::internal("nothing was answered")),
    }
}

/// One line for each message, as they come.
fn stream(mut said: Said) -> Response<Body> {
    let (lines, shown) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(LINES_MAX);
    actix_rt::spawn(async move {
        loop {
            let next = tokio::select! {
                next = said.next() => next,
                () = lines.closed() => return,
                () = tokio::time::sleep(HEARTBEAT) => {
                    let blank = Ok(Frame::data(Bytes::from_static(b"\n")));
                    if lines.send(blank).await.is_err() {
                        return;
                    }
                    continue;
                }
            };
            let line = match &next {
                Some(Ok(json)) => format!("{{\"result\":{json}}}\n"),
                Some(Err(status)) => format!("{{\"error\":{}}}\n", error(status)),
                None => return,
            };
            let is_over = lines.send(Ok(Frame::data(Bytes::from(line)))).await.is_err();
            if is_over || matches!(next, Some(Err(_))) {
                return;
            }
        }
    });
    let mut response = Response::new(Body::new(StreamBody::new(ReceiverStream::new(shown))));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn error(status: &Status) -> serde_json::Value {
    let code = i32::from(status.code());
    serde_json::json!({ "code": code, "message": status.message(), "details": [] })
}

fn refused(status: &Status) -> Response<Body> {
    let http = match status.code() {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Cancelled | Code::Unknown | Code::Internal | Code::DataLoss => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    pages::json(http, error(status).to_string())
}
