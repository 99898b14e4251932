//! One connection with many requests under way, of every kind at once.

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::{self, ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::Request;
use prost::Message;
use raft_net::etcd::etcdserverpb::{
    PutRequest, PutResponse, RangeRequest, RangeResponse, StatusRequest, StatusResponse,
};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::harness::cluster::Cluster;
use crate::harness::wait;

const PUT: &str = "/etcdserverpb.KV/Put";
const RANGE: &str = "/etcdserverpb.KV/Range";

/// More than one frame of HTTP/2 holds, and more than answers that are not counted.
const LONG: usize = 40_000;

/// What a connection may be sent before it is read. Units: bytes.
const WINDOW_BYTES: u32 = 5 * 1024 * 1024;

/// What small answers that are not read yet may come to. Units: bytes.
const SMALL_BYTES: usize = 1024 * 1024;

/// A connection that is driven by a task.
struct Connection {
    requests: SendRequest<Bytes>,
    driven: JoinHandle<Result<(), h2::Error>>,
}

impl Connection {
    async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        // As clients of gRPC have it: h2 alone takes a hundred small answers at once for a flood.
        let mut builder = client::Builder::new();
        builder.initial_connection_window_size(WINDOW_BYTES).data_frame_budget(SMALL_BYTES);
        let (requests, connection) = builder.handshake(stream).await.unwrap();
        Self { requests, driven: tokio::spawn(connection) }
    }

    /// Sends the head of a request.
    async fn begin(&self, method: &str) -> (ResponseFuture, SendStream<Bytes>) {
        let request = Request::post(format!("http://localhost{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        let mut ready = self.requests.clone().ready().await.unwrap();
        ready.send_request(request.body(()).unwrap(), false).unwrap()
    }

    async fn ask(&self, method: &str, message: &impl Message) -> ResponseFuture {
        let (answer, mut body) = self.begin(method).await;
        body.send_data(framed(message), true).unwrap();
        answer
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driven.abort();
    }
}

fn framed(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut bytes).unwrap();
    bytes.freeze()
}

fn put(key: &str, value: &str) -> PutRequest {
    let (key, value) = (key.to_owned().into(), value.to_owned().into());
    PutRequest { key, value, ..PutRequest::default() }
}

fn range(key: &str, range_end: &str) -> RangeRequest {
    let (key, range_end) = (key.to_owned().into(), range_end.to_owned().into());
    RangeRequest { key, range_end, ..RangeRequest::default() }
}

/// The message of an answer, or its status.
async fn told<R: Message + Default>(answer: ResponseFuture) -> Result<R, String> {
    let answer = wait::in_time("head of an answer", answer).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    assert!(!answer.headers().contains_key("date"), "etcd's have none");
    if let Some(status) = answer.headers().get("grpc-status") {
        let message = answer.headers()["grpc-message"].to_str().unwrap();
        return Err(format!("{} {}", status.to_str().unwrap(), message.replace("%20", " ")));
    }
    let (mut body, mut bytes) = (answer.into_body(), BytesMut::new());
    while let Some(part) = wait::in_time("body of an answer", body.data()).await {
        let part = part.unwrap();
        body.flow_control().release_capacity(part.len()).unwrap();
        bytes.extend_from_slice(&part);
    }
    let trailers = wait::in_time("end of an answer", body.trailers()).await.unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    Ok(R::decode(&bytes[5..]).unwrap())
}

/// The same, read as it comes: what is not read takes the room of others.
fn hear<R: Message + Default + 'static>(answer: ResponseFuture) -> JoinHandle<Result<R, String>> {
    tokio::spawn(told(answer))
}

fn value(number: usize) -> String {
    let length = if number.is_multiple_of(50) { LONG } else { number };
    format!("{number}-{}", "v".repeat(length))
}

#[tokio::test]
async fn what_is_asked_together_is_answered_each_with_its_own() {
    const REQUESTS: usize = 300;
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    // A follower does as much as a leader.
    for node in [1, 2] {
        let connection = Connection::open(cluster.address(node)).await;
        let mut asked = Vec::new();
        for number in 0..REQUESTS {
            let key = format!("key{number}");
            let good = connection.ask(PUT, &put(&key, &value(number))).await;
            let senseless = connection.ask(PUT, &put("", "")).await;
            let rare = connection.ask("/etcdserverpb.Maintenance/Status", &StatusRequest {}).await;
            let good = hear::<PutResponse>(good);
            asked.push((good, hear::<PutResponse>(senseless), hear::<StatusResponse>(rare)));
        }
        let mut revisions = Vec::new();
        for (good, senseless, rare) in asked {
            revisions.push(good.await.unwrap().unwrap().header.unwrap().revision);
            let refused = senseless.await.unwrap().unwrap_err();
            assert_eq!(refused, "3 etcdserver: key is not provided");
            assert_eq!(rare.await.unwrap().unwrap().version.split('.').count(), 3);
        }
        revisions.sort_unstable();
        revisions.dedup();
        assert_eq!(revisions.len(), REQUESTS, "each put has a revision");
        let mut asked = Vec::new();
        for number in 0..REQUESTS {
            let one = connection.ask(RANGE, &range(&format!("key{number}"), "")).await;
            asked.push((number, hear::<RangeResponse>(one)));
        }
        // Of several keys, so it takes more than one question.
        let all = hear::<RangeResponse>(connection.ask(RANGE, &range("key", "kez")).await);
        for (number, one) in asked {
            let response = one.await.unwrap().unwrap();
            assert_eq!(response.kvs.len(), 1, "{number}");
            assert_eq!(response.kvs[0].value, value(number), "{number}");
        }
        assert_eq!(all.await.unwrap().unwrap().kvs.len(), REQUESTS);
    }
}

#[tokio::test]
async fn a_body_that_comes_in_pieces_late_or_never_holds_nobody_up() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let connection = Connection::open(cluster.address(1)).await;
    let (never, _body) = connection.begin(PUT).await;
    let (late, mut body) = connection.begin(PUT).await;
    let (taken_back, mut given_up) = connection.begin(PUT).await;
    told::<PutResponse>(connection.ask(PUT, &put("other", "1")).await).await.unwrap();
    let mut message = framed(&put("late", &value(50)));
    let rest = message.split_off(7);
    body.send_data(message, false).unwrap();
    told::<PutResponse>(connection.ask(PUT, &put("other", "2")).await).await.unwrap();
    body.send_data(rest, true).unwrap();
    told::<PutResponse>(late).await.unwrap();
    given_up.send_reset(Reason::CANCEL);
    taken_back.await.unwrap_err();
    let got = connection.ask(RANGE, &range("late", "")).await;
    assert_eq!(told::<RangeResponse>(got).await.unwrap().kvs[0].value, value(50));
    // Two messages where one is wanted.
    let (two, mut body) = connection.begin(PUT).await;
    let message = framed(&put("two", ""));
    body.send_data([&message[..], &message].concat().into(), true).unwrap();
    let refused = told::<PutResponse>(two).await.unwrap_err();
    assert!(refused.starts_with("13 grpc: more than one message"), "{refused}");
    drop(never);
}

#[tokio::test]
async fn keys_and_pages_are_shown_on_the_same_connection() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let connection = Connection::open(cluster.address(1)).await;
    let ask = async |method: &str, path: &str, body: &[&str]| {
        let request = Request::builder().method(method).uri(format!("http://localhost{path}"));
        let request = request.header("content-type", "application/octet-stream");
        let mut ready = connection.requests.clone().ready().await.unwrap();
        let asked = ready.send_request(request.body(()).unwrap(), body.is_empty());
        let (answer, mut stream) = asked.unwrap();
        for (number, part) in body.iter().enumerate() {
            let part = Bytes::copy_from_slice(part.as_bytes());
            stream.send_data(part, number + 1 == body.len()).unwrap();
            told::<PutResponse>(connection.ask(PUT, &put("other", "1")).await).await.unwrap();
        }
        let (head, mut body) = wait::in_time("head", answer).await.unwrap().into_parts();
        let mut bytes = Vec::new();
        while let Some(part) = wait::in_time("body", body.data()).await {
            let part = part.unwrap();
            body.flow_control().release_capacity(part.len()).unwrap();
            bytes.extend_from_slice(&part);
        }
        assert!(head.headers["date"].to_str().unwrap().ends_with(" GMT"), "{head:?}");
        if !bytes.is_empty() {
            assert_eq!(head.headers["content-length"], bytes.len().to_string().as_str());
        }
        (head.status.as_u16(), String::from_utf8(bytes).unwrap())
    };
    assert_eq!(ask("PUT", "/kv/key", &["val", "", "ue"]).await.0, 201);
    assert_eq!(ask("GET", "/kv/key?raw", &[]).await, (200, "value".to_owned()));
    let long = "v".repeat(300_000);
    assert_eq!(ask("PUT", "/kv/long", &[&long]).await.0, 201);
    assert_eq!(ask("GET", "/kv/long?raw", &[]).await, (200, long));
    assert_eq!(ask("GET", "/nowhere", &[]).await.0, 404);
    assert_eq!(ask("DELETE", "/version", &[]).await.0, 405);
    let got = ask("POST", "/v3/kv/range", &[r#"{"key": "a2V5"}"#]).await;
    assert!(got.0 == 200 && got.1.contains("dmFsdWU="), "{got:?}");
}

#[tokio::test]
async fn requests_that_are_taken_back_leave_room_for_others() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let connection = Connection::open(cluster.address(1)).await;
    for _ in 0..40 {
        let mut taken_back = Vec::new();
        for number in 0..100 {
            let (answer, mut body) = connection.begin(PUT).await;
            body.send_data(framed(&put(&format!("key{number}"), "v")), false).unwrap();
            taken_back.push((answer, body));
        }
        // By then the node has taken them in.
        told::<PutResponse>(connection.ask(PUT, &put("other", "1")).await).await.unwrap();
        for (_, mut body) in taken_back {
            body.send_reset(Reason::CANCEL);
        }
    }
    told::<PutResponse>(connection.ask(PUT, &put("other", "2")).await).await.unwrap();
}
