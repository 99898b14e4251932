//! Clients that mean harm, or speak nonsense: others are served as if they were not there.

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, client};
use http::{Request, Response};
use prost::Message as _;
use raft_net::etcd::etcdserverpb::{PutResponse, RangeRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use super::writes::put;
use crate::harness::cluster::Cluster;
use crate::harness::etcd::Etcd;
use crate::harness::wait;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

async fn still_serves(cluster: &Cluster) {
    let mut etcd = Etcd::connect(cluster.address(1)).await;
    let put: Result<PutResponse, _> = etcd.call("/etcdserverpb.KV/Put", put("k", "v")).await;
    assert!(put.is_ok(), "{put:?}");
}

#[tokio::test]
async fn bytes_that_are_not_http_end_their_connection_and_no_other() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let frames: [&[u8]; 6] = [
        b"",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        // Settings of a length that is no multiple of six.
        b"\0\0\x05\x04\0\0\0\0\0\0\0\0\0\0",
        // Data of a stream that was never opened.
        b"\0\0\x01\0\0\0\0\0\x07x",
        // A head that is no HPACK.
        b"\0\0\x04\x04\0\0\0\0\0\0\0\x04\x01\x04\0\0\0\x01\xff\xff\xff\xff",
        // A frame of 16 MiB less a byte.
        b"\xff\xff\xff\0\0\0\0\0\x01",
    ];
    for (number, frame) in frames.into_iter().enumerate() {
        let mut stream = TcpStream::connect(cluster.address(1)).await.unwrap();
        stream.write_all(PREFACE).await.unwrap();
        stream.write_all(frame).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut said = Vec::new();
        // Whether it says why or not, it ends.
        let _ = wait::in_time("end", stream.read_to_end(&mut said)).await;
        assert!(said.len() < 4096, "frame {number}: {} bytes", said.len());
        still_serves(&cluster).await;
    }
    for line in [
        "GET /%zz HTTP/1.1\r\nConnection: close\r\n\r\n",
        "POST /v3/kv/put HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(cluster.address(1)).await.unwrap();
        stream.write_all(line.as_bytes()).await.unwrap();
        let mut said = String::new();
        let _ = wait::in_time("end", stream.read_to_string(&mut said)).await;
        assert!(said.starts_with("HTTP/1.1 4"), "{said}");
    }
    still_serves(&cluster).await;
}

#[tokio::test]
async fn what_is_too_long_or_unknown_is_refused_by_itself() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let mut etcd = Etcd::connect(cluster.address(1)).await;
    let long = "v".repeat(1_600_000);
    let refused = etcd.call::<_, PutResponse>("/etcdserverpb.KV/Put", put("k", &long)).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "etcdserver: request is too large");
    let longer = "v".repeat(3_000_000);
    let refused = etcd.call::<_, PutResponse>("/etcdserverpb.KV/Put", put("k", &longer)).await;
    assert!(refused.is_err());
    for method in ["/etcdserverpb.KV/Nothing", "/nothing.Here/Put"] {
        let refused = etcd.call::<_, PutResponse>(method, put("k", "v")).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented);
    }
    still_serves(&cluster).await;
}

#[tokio::test]
async fn idle_connections_cost_the_others_nothing() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let mut idle = Vec::new();
    for _ in 0..500 {
        let mut stream = TcpStream::connect(cluster.address(1)).await.unwrap();
        stream.write_all(PREFACE).await.unwrap();
        idle.push(stream);
    }
    still_serves(&cluster).await;
    assert_eq!(idle.len(), 500);
}

/// Asks for a key on a connection of HTTP/2.
async fn ask(requests: &SendRequest<Bytes>, key: &str) -> ResponseFuture {
    let range = RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() };
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(u32::try_from(range.encoded_len()).unwrap());
    range.encode(&mut message).unwrap();
    let request = Request::post("http://localhost/etcdserverpb.KV/Range")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let mut ready = requests.clone().ready().await.unwrap();
    let (answer, mut body) = ready.send_request(request.body(()).unwrap(), false).unwrap();
    body.send_data(message.freeze(), true).unwrap();
    answer
}

/// Reads an answer to its end and says how long it was.
async fn read(answer: Response<RecvStream>) -> usize {
    let (mut body, mut length) = (answer.into_body(), 0);
    while let Some(part) = body.data().await {
        let part = part.unwrap();
        length += part.len();
        body.flow_control().release_capacity(part.len()).unwrap();
    }
    length
}

#[tokio::test]
async fn a_client_that_reads_no_answers_is_kept_a_bounded_part_of_them() {
    const LENGTH: usize = 1_000_000;
    const REQUESTS: usize = 200;
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let mut etcd = Etcd::connect(cluster.address(1)).await;
    let long = put("long", &"v".repeat(LENGTH));
    etcd.call::<_, PutResponse>("/etcdserverpb.KV/Put", long).await.unwrap();
    let stream = TcpStream::connect(cluster.address(1)).await.unwrap();
    // What one answer leaves unread does not keep the others from coming.
    let mut client = client::Builder::new();
    client.initial_connection_window_size(1024 * 1024 * 1024);
    let (requests, connection) = client.handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut asked = Vec::new();
    for _ in 0..REQUESTS {
        asked.push(ask(&requests, "long").await);
    }
    // The heads come whether anybody reads the bodies or not.
    let (mut kept, mut refused) = (Vec::new(), 0);
    for answer in asked {
        let answer = wait::in_time("head of an answer", answer).await.unwrap();
        match answer.headers().get("grpc-status") {
            None => kept.push(answer),
            Some(status) => {
                assert_eq!(status, "8", "{answer:?}");
                refused += 1;
            }
        }
    }
    assert!((1..=64 * 1024 * 1024 / LENGTH).contains(&kept.len()), "{} are kept", kept.len());
    assert_eq!(kept.len() + refused, REQUESTS);
    still_serves(&cluster).await;
    // What is read makes room.
    for answer in kept {
        assert!(LENGTH < wait::in_time("answer", read(answer)).await);
    }
    let answer = ask(&requests, "long").await;
    let answer = wait::in_time("head of an answer", answer).await.unwrap();
    assert!(LENGTH < wait::in_time("answer", read(answer)).await);
    connection.abort();
}
