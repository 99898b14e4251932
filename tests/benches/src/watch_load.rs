//! Watches as a load: how many changes a node shows in a second, and what an idle one costs.

use std::fs;
use std::io;

use bytes::{Bytes, BytesMut};
use kv_store::command::{Command, Interest, KeyRange};
use raft_core::entry::SessionStamp;
use raft_net::client_protocol::{Op, Reply, Request, Response};
use raft_net::frame::{CLIENT_FRAME_BYTES_MAX, Frames};
use raft_net::{handshake, stream};
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::error::BenchError;
use crate::{clock, server_cpu};

/// How long a put may wait at the node. Units: milliseconds.
const TIMEOUT_MS: u64 = 10_000;

/// What is watched and written.
const KEY: &[u8] = b"watched";

/// What is done.
#[derive(Clone, Debug)]
pub struct WatchLoad {
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

/// Writes one key that all watches show, and waits until each has been shown each put.
///
/// Errors: if the node refuses anything, or ends a watch because it is read too slowly.
pub async fn fan_out(load: &WatchLoad) -> Result<Shown, BenchError> {
    let failed = || BenchError::io(format!("watches at {}", load.endpoint));
    let mut readers = Vec::new();
    for connection in 0..load.connections {
        let mut wire = Wire::open(&load.endpoint).await.map_err(failed())?;
        let share = (load.watches + connection) / load.connections;
        let watches = wire.watch((0..share).map(|_| KEY.to_vec())).await.map_err(failed())?;
        readers.push((wire, watches));
    }
    let writer = Wire::open(&load.endpoint).await.map_err(failed())?;
    let cpu = |load: &WatchLoad| match load.pid {
        Some(pid) => server_cpu::used_ns(&[pid]).map(Some),
        None => Ok(None),
    };
    let cpu_before = cpu(load).map_err(failed())?;
    let begun = clock::now();
    let mut tasks = JoinSet::new();
    let mut deliveries = 0;
    for (wire, watches) in readers {
        deliveries += watches * load.puts;
        tasks.spawn(wire.read_changes(watches * load.puts));
    }
    let putting = load.clone();
    tasks.spawn(async move { writer.put(&putting).await });
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(io::Error::other).and_then(|result| result).map_err(failed())?;
    }
    let seconds = clock::now().duration_since(begun).as_secs_f64();
    let cpu_after = cpu(load).map_err(failed())?;
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
/// Errors: as `fan_out`; also without the server's process.
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
