//! Put and Range of etcd v3, by hyper and tonic.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use raft_net::etcd::etcdserverpb::{
    PutRequest, PutResponse, RangeRequest, RangeResponse, ResponseHeader,
};
use raft_net::etcd::mvccpb::KeyValue;
use tokio::net::{TcpListener, TcpStream};
use tonic::body::Body;
use tonic::server::{Grpc, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::accept;

/// As a node has it.
const STREAMS_MAX: u32 = 16_384;
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// Serves every connection; each Range finds the key that it asks for, with `value`.
///
/// Errors: if nothing can be accepted any more.
pub async fn serve(listener: TcpListener, value: Bytes) -> io::Result<()> {
    accept(listener, |stream| connection(stream, value.clone())).await
}

async fn connection(stream: TcpStream, value: Bytes) {
    let service = service_fn(move |request| {
        let value = value.clone();
        async move { Ok::<_, Infallible>(answer(request, value).await) }
    });
    let served = http2::Builder::new(OnThisThread)
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // A load ends its connections when it is done.
    drop(served.await);
}

async fn answer(request: http::Request<Incoming>, value: Bytes) -> http::Response<Body> {
    let header = || Some(ResponseHeader { revision: 1, ..ResponseHeader::default() });
    match request.uri().path() {
        "/etcdserverpb.KV/Put" => {
            let serve = |_: PutRequest| PutResponse { header: header(), prev_kv: None };
            Grpc::new(ProstCodec::default()).unary(One(serve), request).await
        }
        "/etcdserverpb.KV/Range" => {
            let serve = move |asked: RangeRequest| RangeResponse {
                header: header(),
                kvs: vec![KeyValue { key: asked.key, value: value.clone(), ..KeyValue::default() }],
                count: 1,
                ..RangeResponse::default()
            };
            Grpc::new(ProstCodec::default()).unary(One(serve), request).await
        }
        _ => Status::unimplemented("only Put and Range").into_http(),
    }
}

struct One<S>(S);

impl<S: FnMut(Q) -> R, Q, R> UnaryService<Q> for One<S> {
    type Response = R;
    type Future = Ready<Result<Response<R>, Status>>;

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        ready(Ok(Response::new((self.0)(request.into_inner()))))
    }
}

#[derive(Clone, Copy, Debug)]
struct OnThisThread;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}
