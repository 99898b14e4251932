//! Watches as a load: how many changes a node shows in a second, and what an idle one costs.

use std::fs;
use std::io;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use kv_store::command::{Command, Interest, KeyRange};
use raft_core::entry::SessionStamp;
use raft_net::client_protocol::{Op, Reply, Request, Response};
use raft_net::frame::{CLIENT_FRAME_BYTES_MAX, Frames};
use raft_net::{handshake, stream};
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::Streaming;

use crate::error::BenchError;
use crate::etcd::EtcdClient;
use crate::etcd::messages::{PutRequest, WatchCreateRequest, WatchRequest, WatchResponse};
use crate::{clock, server_cpu};

/// How long a put may wait at the node. Units: milliseconds.
const TIMEOUT_MS: u64 = 10_000;

/// What is watched and written.
const KEY: &[u8] = b"watched";

/// Whose watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Server {
    /// Ours.
    Kvorum,
    /// The other one's, over gRPC; a stream of watches for each connection.
    Etcd,
}

/// What is done.
#[derive(Clone, Debug)]
pub struct WatchLoad {
    /// Whose node it is.
    pub server: Server,
    /// The node, as `host:port`.
    pub endpoint: String,
    /// Connections over which the watches are dealt out.
    pub connections: u64,
    /// Watches.
    pub watches: u64,
    /// Puts.
    pub puts: u64,
    /// Puts that are not answered yet.
    pub in_flight: u64,
    /// The length of a value. Units: bytes.
    pub value_size: usize,
    /// The server, for its CPU time and memory.
    pub pid: Option<u32>,
}

/// What was shown.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Shown {
    /// Changes, each counted once for each watch that it was shown to.
    pub deliveries: u64,
    /// From the first put to the last delivery.
    pub seconds: f64,
    /// The one divided by the other.
    pub deliveries_per_second: f64,
    /// The server's CPU time for one, puts included. Units: microseconds.
    pub server_cpu_us: Option<f64>,
}

/// What idle watches cost.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Idle {
    /// How many there were, each of a key of its own.
    pub watches: u64,
    /// By how much the server's memory grew for each. Units: bytes.
    pub bytes_each: f64,
}

struct Wire {
    stream: TcpStream,
    frames: Frames,
    input: BytesMut,
}

impl Wire {
    async fn open(address: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream::prepare(&stream)?;
        let (_, input) =
            handshake::open_as_client(&mut stream, 0).await.map_err(io::Error::other)?;
        Ok(Self { stream, frames: Frames::new(CLIENT_FRAME_BYTES_MAX), input })
    }

    async fn next(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(frame) = self.frames.next(&mut self.input).map_err(io::Error::other)? {
                return Ok(frame.freeze());
            }
            self.input.reserve(64 * 1024);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Opens so many watches of these keys and waits until all have begun.
    async fn watch(&mut self, keys: impl Iterator<Item = Vec<u8>>) -> io::Result<u64> {
        let mut output = BytesMut::new();
        let mut watches = 0;
        for key in keys {
            watches += 1;
            let mut body = BytesMut::new();
            Interest::of(KeyRange::single(&key)).encode(&mut body);
            let op = Op::Watch { start: 0, marks: false, body: &body };
            Request { id: watches, op }.encode(&mut output).map_err(io::Error::other)?;
        }
        self.stream.write_all(&output).await?;
        for _ in 0..watches {
            let frame = self.next().await?;
            match Response::decode(&frame).map_err(io::Error::other)?.reply {
                Reply::Watching(_) => {}
                other => return Err(io::Error::other(format!("a watch is told {other:?}"))),
            }
        }
        Ok(watches)
    }

    /// Reads until so many changes were shown.
    async fn read_changes(mut self, wanted: u64) -> io::Result<()> {
        let mut seen = 0;
        while seen < wanted {
            let frame = self.next().await?;
            match Response::decode(&frame).map_err(io::Error::other)?.reply {
                Reply::Events { body, .. } => {
                    let count = body.get(1..5).and_then(|bytes| bytes.try_into().ok());
                    let count = count.map(u32::from_be_bytes).ok_or(io::ErrorKind::InvalidData)?;
                    seen += u64::from(count);
                }
                other => return Err(io::Error::other(format!("a watch is told {other:?}"))),
            }
        }
        Ok(())
    }

    /// Puts the key so often, with some puts under way at a time.
    async fn put(mut self, load: &WatchLoad) -> io::Result<()> {
        let value = vec![b'v'; load.value_size];
        let mut body = BytesMut::new();
        Command::Put { key: KEY, value: &value }.encode(&mut body);
        let mut output = BytesMut::new();
        let session = SessionStamp::default();
        let encode = |id, output: &mut BytesMut| {
            let op = Op::Write { session, timeout_ms: TIMEOUT_MS, body: &body };
            Request { id, op }.encode(output).map_err(io::Error::other)
        };
        let (mut sent, mut answered) = (0, 0);
        while answered < load.puts {
            while sent < load.puts && sent < answered + load.in_flight {
                sent += 1;
                encode(sent, &mut output)?;
            }
            self.stream.write_all(&output).await?;
            output.clear();
            let frame = self.next().await?;
            match Response::decode(&frame).map_err(io::Error::other)?.reply {
                Reply::Answer(_) => answered += 1,
                other => return Err(io::Error::other(format!("a put is answered with {other:?}"))),
            }
        }
        Ok(())
    }
}

/// A connection to etcd with its watches.
struct EtcdWire {
    stream: Streaming<WatchResponse>,
    /// As long as it is here the stream stays open.
    _requests: mpsc::Sender<WatchRequest>,
}

impl EtcdWire {
    /// Opens so many watches of the key and waits until all have begun.
    async fn watch(address: &str, watches: u64) -> Result<Self, BenchError> {
        let mut client = EtcdClient::new(address)?;
        let (requests, takes) = mpsc::channel(16);
        let create = WatchCreateRequest { key: Bytes::from_static(KEY) };
        let create = WatchRequest { create_request: Some(create) };
        let sending = requests.clone();
        // The stream begins with its first request.
        tokio::spawn(async move {
            for _ in 0..watches {
                if sending.send(create.clone()).await.is_err() {
                    return;
                }
            }
        });
        let mut stream = client.watch(takes).await.map_err(refused)?;
        for _ in 0..watches {
            match stream.message().await.map_err(refused)? {
                Some(response) if response.created && !response.canceled => {}
                other => return Err(BenchError::Setting(format!("a watch is told {other:?}"))),
            }
        }
        Ok(Self { stream, _requests: requests })
    }

    async fn read_changes(mut self, wanted: u64) -> Result<(), BenchError> {
        let mut seen = 0;
        while seen < wanted {
            match self.stream.message().await.map_err(refused)? {
                Some(response) if !response.canceled => {
                    seen += u64::try_from(response.events.len()).expect("few");
                }
                other => return Err(BenchError::Setting(format!("a watch is told {other:?}"))),
            }
        }
        Ok(())
    }
}

fn refused(status: tonic::Status) -> BenchError {
    BenchError::Setting(format!("etcd says {status}"))
}

/// Puts the key so often, by as many clients as puts may be under way.
async fn put_on_etcd(load: WatchLoad) -> Result<(), BenchError> {
    let client = EtcdClient::new(&load.endpoint)?;
    let mut clients = JoinSet::new();
    for lane in 0..load.in_flight {
        let mut client = client.clone();
        let puts = (load.puts + lane) / load.in_flight;
        let request = PutRequest {
            key: Bytes::from_static(KEY),
            value: Bytes::from(vec![b'v'; load.value_size]),
        };
        clients.spawn(async move {
            for _ in 0..puts {
                client.put(request.clone()).await.map_err(refused)?;
            }
            Ok(())
        });
    }
    clients.join_all().await.into_iter().collect()
}

type Task = Pin<Box<dyn Future<Output = Result<(), BenchError>> + Send>>;

/// Opens the watches; returns who reads them, and who writes.
async fn tasks(load: &WatchLoad) -> Result<Vec<Task>, BenchError> {
    let failed = || BenchError::io(format!("watches at {}", load.endpoint));
    let mut tasks: Vec<Task> = Vec::new();
    for connection in 0..load.connections {
        let watches = (load.watches + connection) / load.connections;
        let wanted = watches * load.puts;
        if load.server == Server::Etcd {
            let wire = EtcdWire::watch(&load.endpoint, watches).await?;
            tasks.push(Box::pin(wire.read_changes(wanted)));
            continue;
        }
        let mut wire = Wire::open(&load.endpoint).await.map_err(failed())?;
        wire.watch((0..watches).map(|_| KEY.to_vec())).await.map_err(failed())?;
        let failed = failed();
        tasks.push(Box::pin(async move { wire.read_changes(wanted).await.map_err(failed) }));
    }
    if load.server == Server::Etcd {
        tasks.push(Box::pin(put_on_etcd(load.clone())));
        return Ok(tasks);
    }
    let writer = Wire::open(&load.endpoint).await.map_err(failed())?;
    let (failed, load) = (failed(), load.clone());
    tasks.push(Box::pin(async move { writer.put(&load).await.map_err(failed) }));
    Ok(tasks)
}

/// Writes one key that all watches show, and waits until each has been shown each put.
///
/// Errors: if the node refuses anything, or ends a watch because it is read too slowly.
pub async fn fan_out(load: &WatchLoad) -> Result<Shown, BenchError> {
    let failed = || BenchError::io(format!("watches at {}", load.endpoint));
    let tasks = tasks(load).await?;
    let cpu = |load: &WatchLoad| match load.pid {
        Some(pid) => server_cpu::used_ns(&[pid]).map(Some),
        None => Ok(None),
    };
    let cpu_before = cpu(load).map_err(failed())?;
    let begun = clock::now();
    let mut running: JoinSet<_> = tasks.into_iter().collect();
    while let Some(ended) = running.join_next().await {
        ended.map_err(io::Error::other).map_err(failed())??;
    }
    let seconds = clock::now().duration_since(begun).as_secs_f64();
    let cpu_after = cpu(load).map_err(failed())?;
    let deliveries = load.watches * load.puts;
    let count = number(deliveries);
    let used = cpu_before.zip(cpu_after).map(|(before, after)| number(after - before));
    Ok(Shown {
        deliveries,
        seconds,
        deliveries_per_second: count / seconds,
        server_cpu_us: used.map(|ns| ns / 1_000.0 / count),
    })
}

/// Opens watches of different keys, which nobody writes, and looks at the server's memory.
///
/// Errors: as `fan_out`; also without the server's process. Only for Kvorum.
pub async fn idle(load: &WatchLoad) -> Result<Idle, BenchError> {
    let failed = || BenchError::io(format!("watches at {}", load.endpoint));
    let lacks = || BenchError::Setting("idle watches need the --pid of their node".to_owned());
    let pid = load.pid.ok_or_else(lacks)?;
    let mut wires = Vec::new();
    for _ in 0..load.connections {
        wires.push(Wire::open(&load.endpoint).await.map_err(failed())?);
    }
    // The first watches make room that later ones use too.
    let warm_up = &mut wires[0];
    warm_up.watch((0..100).map(key)).await.map_err(failed())?;
    let before = resident_bytes(pid).map_err(failed())?;
    let mut watches = 0;
    for (connection, wire) in (0..).zip(&mut wires[1..]) {
        let share = load.watches / (load.connections - 1);
        let first = 1_000 + connection * share;
        watches += wire.watch((first..first + share).map(key)).await.map_err(failed())?;
    }
    let after = resident_bytes(pid).map_err(failed())?;
    let bytes_each = (number(after) - number(before)) / number(watches);
    Ok(Idle { watches, bytes_each })
}

/// A key of 16 bytes.
fn key(number: u64) -> Vec<u8> {
    format!("idle{number:012}").into_bytes()
}

fn resident_bytes(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn number(count: u64) -> f64 {
    count as f64
}
