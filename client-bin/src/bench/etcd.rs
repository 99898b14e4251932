//! One connection of a load on a server that speaks etcd v3 over gRPC, etcd or Kvorum.
//!
//! HTTP/2 without the layers of a gRPC library, because a load that shares a machine with its
//! server should take little of it.

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request};
use prost::Message;
use raft_net::etcd::etcdserverpb::{PutRequest, RangeRequest};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};

use super::keys::{key, value};
use super::meter::{CONNECT_TIMEOUT, FAILURE_PAUSE, Failure, Meter, Ring, TICK};
use super::{BenchError, Kind, Load};

/// How much of an answer a server may send before this client has read it. Units: bytes.
const WINDOW_BYTES: u32 = 1 << 20;

/// What stands before each message of gRPC: whether it is compressed, and how long it is.
const HEAD_BYTES: usize = 5;

/// gRPC's codes after which a request may have taken effect.
const IN_DOUBT: [&[u8]; 4] = [b"1", b"2", b"4", b"14"];

/// Requests go out each in a stream of its own, as many as may be outstanding.
#[derive(Debug)]
pub(super) struct Lane {
    load: Load,
    value: Bytes,
    chance: fastrand::Rng,
    endpoints: Ring,
}

/// A connection, and where it leads.
#[derive(Clone)]
pub(super) struct Connection {
    requests: SendRequest<Bytes>,
    uri: http::Uri,
}

/// What became of a request, and when it began.
type Outcome = (Instant, Result<(), Failed>);

/// Why a request brought no answer.
#[derive(Debug)]
struct Failed {
    failure: Failure,
    is_lost: bool,
    why: String,
}

impl Failed {
    fn by_connection(error: &h2::Error) -> Self {
        // A stream that the server refused, it has not looked at.
        let is_refused = error.reason() == Some(Reason::REFUSED_STREAM);
        let failure = if is_refused { Failure::Refused } else { Failure::InDoubt };
        let is_lost = error.is_io() || error.is_go_away();
        Self { failure, is_lost, why: error.to_string() }
    }
}

impl Lane {
    /// Connects connection number `place`, and asks for a key.
    ///
    /// Errors: `BenchError::Server`.
    pub(super) async fn open(load: &Load, place: usize) -> Result<(Self, Connection), BenchError> {
        let endpoints = Ring::new(load, place);
        let mut chance = fastrand::Rng::new();
        let value = Bytes::from(value(load.value_bytes, &mut chance));
        let lane = Self { load: load.clone(), value, chance, endpoints };
        let address = lane.endpoints.current();
        let fails = |why: String| BenchError::Server {
            address: address.to_owned(),
            what: "an etcd server",
            why,
        };
        let get = range(0);
        let asked = async {
            let connection = connect(address, load.kind).await?;
            let probe = Connection { uri: uri(address, Kind::Get), ..connection.clone() };
            ask(probe, get).await.map(|()| connection)
        };
        let connected = timeout(CONNECT_TIMEOUT.max(load.timeout), asked).await;
        match connected {
            Ok(Ok(connection)) => Ok((lane, connection)),
            Ok(Err(failed)) => Err(fails(failed.why)),
            Err(_) => Err(fails("no answer".to_owned())),
        }
    }

    /// Measures until the time is over and everything is answered or given up.
    pub(super) async fn run(
        mut self,
        first: Connection,
        mut meter: Meter,
    ) -> Result<(), BenchError> {
        let mut connected = Some(first);
        loop {
            if let Some(connection) = connected.take() {
                self.converse(&connection, &mut meter).await;
            }
            if !meter.is_measuring(Instant::now()) {
                break;
            }
            sleep(FAILURE_PAUSE).await;
            self.endpoints.turn();
            let again = connect(self.endpoints.current(), self.load.kind);
            connected = timeout(CONNECT_TIMEOUT, again).await.ok().and_then(Result::ok);
        }
        meter.end().await;
        Ok(())
    }

    /// Asks until the connection is lost, or it is all measured and answered.
    async fn converse(&mut self, connection: &Connection, meter: &mut Meter) {
        let mut asked: JoinSet<Outcome> = JoinSet::new();
        let mut ticks = interval(TICK);
        let mut resting = 0;
        let mut is_lost = false;
        loop {
            let now = Instant::now();
            while !is_lost && meter.is_measuring(now) && asked.len() + resting < self.load.in_flight
            {
                asked.spawn(self.asking(connection.clone(), now));
            }
            if asked.is_empty() && (is_lost || !meter.is_measuring(now)) {
                return;
            }
            tokio::select! {
                biased;
                Some(outcome) = asked.join_next() => {
                    match outcome.expect("a request does not panic") {
                        (started, Ok(())) => meter.answered(started, Instant::now()),
                        (_, Err(failed)) => {
                            meter.failed(1, failed.failure);
                            is_lost |= failed.is_lost;
                            resting += 1;
                        }
                    }
                }
                _ = ticks.tick() => {
                    meter.tell();
                    resting = 0;
                }
            }
        }
    }

    fn asking(
        &mut self,
        connection: Connection,
        started: Instant,
    ) -> impl Future<Output = Outcome> + Send + 'static {
        let number = self.chance.u64(0..self.load.keys.max(1));
        let message = match self.load.kind {
            Kind::Put => framed(&PutRequest {
                key: Bytes::copy_from_slice(&key(number)),
                value: self.value.clone(),
                ..PutRequest::default()
            }),
            Kind::Get => range(number),
        };
        let patience = self.load.timeout;
        async move {
            let answer = timeout(patience, ask(connection, message)).await;
            let late =
                Failed { failure: Failure::InDoubt, is_lost: false, why: "no answer".to_owned() };
            (started, answer.unwrap_or(Err(late)))
        }
    }
}

fn range(number: u64) -> Bytes {
    framed(&RangeRequest { key: Bytes::copy_from_slice(&key(number)), ..RangeRequest::default() })
}

/// A message as gRPC sends it.
fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(HEAD_BYTES + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).expect("a value of at most 1.5 MiB"));
    message.encode(&mut bytes).expect("there is room");
    bytes.freeze()
}

fn uri(address: &str, kind: Kind) -> http::Uri {
    let method = match kind {
        Kind::Put => "Put",
        Kind::Get => "Range",
    };
    let uri = http::Uri::builder().scheme("http").authority(address);
    uri.path_and_query(format!("/etcdserverpb.KV/{method}"))
        .build()
        .expect("an address that somebody was reached at, and a path of letters")
}

async fn connect(address: &str, kind: Kind) -> Result<Connection, Failed> {
    let nobody = |error: std::io::Error| Failed {
        failure: Failure::Refused,
        is_lost: true,
        why: error.to_string(),
    };
    let stream = TcpStream::connect(address).await.map_err(nobody)?;
    stream.set_nodelay(true).map_err(nobody)?;
    let shaken = h2::client::Builder::new()
        .initial_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .enable_push(false)
        .handshake(stream)
        .await;
    let (requests, connection) = shaken.map_err(|error| Failed::by_connection(&error))?;
    // It ends when the last request is dropped; what it ends with, requests are told.
    tokio::spawn(async move { drop(connection.await) });
    Ok(Connection { requests, uri: uri(address, kind) })
}

/// Sends one request and reads its answer to the end.
async fn ask(connection: Connection, message: Bytes) -> Result<(), Failed> {
    let Connection { requests, uri } = connection;
    let fails = |error: h2::Error| Failed::by_connection(&error);
    let refused =
        |error: h2::Error| Failed { failure: Failure::Refused, ..Failed::by_connection(&error) };
    let mut requests = requests.ready().await.map_err(refused)?;
    let request = Request::post(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("all parts are well-formed");
    let (answer, mut body) = requests.send_request(request, false).map_err(refused)?;
    body.send_data(message, true).map_err(fails)?;
    let answer = answer.await.map_err(fails)?;
    let (head, mut body) = answer.into_parts();
    if head.status != http::StatusCode::OK {
        let why = format!("HTTP status {}", head.status);
        return Err(Failed { failure: Failure::InDoubt, is_lost: false, why });
    }
    if head.headers.contains_key("grpc-status") {
        return judged(&head.headers);
    }
    read_to_end(&mut body).await.map_err(fails)?;
    let trailers = body.trailers().await.map_err(fails)?.unwrap_or_default();
    judged(&trailers)
}

async fn read_to_end(body: &mut RecvStream) -> Result<(), h2::Error> {
    while let Some(chunk) = body.data().await {
        let length = chunk?.len();
        body.flow_control().release_capacity(length)?;
    }
    Ok(())
}

fn judged(trailers: &HeaderMap) -> Result<(), Failed> {
    let text = |name| trailers.get(name).map(http::HeaderValue::as_bytes).unwrap_or_default();
    let status = text("grpc-status");
    if status == b"0" {
        return Ok(());
    }
    let is_in_doubt = status.is_empty() || IN_DOUBT.contains(&status);
    let failure = if is_in_doubt { Failure::InDoubt } else { Failure::Refused };
    let words = String::from_utf8_lossy(text("grpc-message")).into_owned();
    let why = format!("gRPC status {}: {words}", String::from_utf8_lossy(status));
    Err(Failed { failure, is_lost: false, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_head_of_grpc() {
        let get = range(7);
        assert_eq!(&get[..HEAD_BYTES], [0, 0, 0, 0, 18]);
        assert_eq!(&get[HEAD_BYTES..], b"\x0a\x10key0000000000007");
    }

    #[test]
    fn what_trailers_say_decides() {
        let trailers = |status: &'static str| {
            let status = ("grpc-status".parse().unwrap(), status.parse().unwrap());
            HeaderMap::from_iter([status])
        };
        assert!(judged(&trailers("0")).is_ok());
        for (status, failure) in [("14", Failure::InDoubt), ("8", Failure::Refused)] {
            assert_eq!(judged(&trailers(status)).unwrap_err().failure, failure, "{status}");
        }
        assert_eq!(judged(&HeaderMap::new()).unwrap_err().failure, Failure::InDoubt);
    }
}
