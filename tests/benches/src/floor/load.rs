//! The load on the floor.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{ANSWER_BYTES, READ_BYTES, REQUEST_BYTES};
use crate::clock;
use crate::error::BenchError;
use crate::measurement::{Measurement, Shape, Tally};
use crate::server_cpu;

/// How long the leader may take to listen.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// How long an answer may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// The load.
#[derive(Clone, Debug)]
pub struct Load {
    /// `host:port` of the leader.
    pub leader: String,
    /// Connections.
    pub connections: u64,
    /// Requests without an answer, per connection.
    pub in_flight: usize,
    /// How long the load runs before anything is counted.
    pub warm_up: Duration,
    /// How long is counted.
    pub measured: Duration,
    /// The nodes, for their CPU time.
    pub pids: Vec<u32>,
}

/// Runs the load.
///
/// Errors: if the leader does not listen, or goes, or a process to be watched does not exist.
pub async fn run(load: &Load) -> Result<Measurement, BenchError> {
    let to_leader = || BenchError::io(format!("the floor's leader at {}", load.leader));
    let mut streams = Vec::new();
    for _ in 0..load.connections {
        streams.push(connect(&load.leader).await.map_err(to_leader())?);
    }
    let begin = clock::now() + load.warm_up;
    let end = begin + load.measured;
    let mut running = JoinSet::new();
    for stream in streams {
        running.spawn(client(stream, load.in_flight, begin, end));
    }
    let used_ns = async |at: Instant| {
        tokio::time::sleep_until(at.into()).await;
        server_cpu::used_ns(&load.pids).map_err(BenchError::io("the nodes' CPU time"))
    };
    let before_ns = used_ns(begin).await?;
    let cpu_ns = used_ns(end).await?.saturating_sub(before_ns);
    let mut tally = Tally::default();
    while let Some(counted) = running.join_next().await {
        let counted = counted.expect("a client of the load does not panic");
        tally.merge(&counted.map_err(to_leader())?);
    }
    let shape = Shape {
        op: "append",
        connections: load.connections,
        in_flight: u64::try_from(load.in_flight).unwrap_or(u64::MAX),
        value_size: u64::try_from(REQUEST_BYTES).expect("a length fits 64 bits"),
        keys: 0,
    };
    let cpu_ns = (!load.pids.is_empty()).then_some(cpu_ns);
    Ok(Measurement::new(&shape, load.measured.as_secs_f64(), &tally, cpu_ns))
}

async fn connect(leader: &str) -> io::Result<TcpStream> {
    let give_up = clock::now() + CONNECT_PATIENCE;
    loop {
        match TcpStream::connect(leader).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) if clock::now() > give_up => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn client(
    mut stream: TcpStream,
    in_flight: usize,
    begin: Instant,
    end: Instant,
) -> io::Result<Tally> {
    let mut tally = Tally::default();
    let output = vec![b'r'; in_flight * REQUEST_BYTES];
    let mut input = BytesMut::new();
    let mut sent = VecDeque::new();
    let mut free = in_flight;
    loop {
        let now = clock::now();
        if now >= end {
            return Ok(tally);
        }
        stream.write_all(&output[..free * REQUEST_BYTES]).await?;
        sent.extend(std::iter::repeat_n(now, free));
        input.reserve(READ_BYTES);
        let read = tokio::time::timeout(ANSWER_PATIENCE, stream.read_buf(&mut input)).await?;
        if read? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let now = clock::now();
        free = input.len() / ANSWER_BYTES;
        input.advance(free * ANSWER_BYTES);
        for began in sent.drain(..free) {
            if (begin..end).contains(&now) {
                tally.latencies.record(clock::micros(now - began));
            }
        }
    }
}
