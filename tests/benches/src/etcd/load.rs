//! A closed loop of puts or gets on an etcd cluster.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::EtcdClient;
use super::messages::{PutRequest, RangeRequest};
use crate::clock;
use crate::error::BenchError;
use crate::keys::{self, Random};
use crate::measurement::{Measurement, Shape, Tally};
use crate::server_cpu;

/// After this a request counts as failed, or as unknown if it would have changed something.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client rests after a failure, so that a dead server does not cost a core.
const FAILURE_PAUSE: Duration = Duration::from_millis(10);

/// How many requests write the keys at once before gets are measured.
const FILL_CLIENTS: u64 = 512;

/// What the clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Op {
    /// Set a key drawn at random.
    Put,
    /// Read a key drawn at random, linearizably.
    Get,
}

/// The load.
#[derive(Clone, Debug)]
pub struct Load {
    /// `host:port` of the members; connections take them in turn.
    pub endpoints: Vec<String>,
    /// What is asked for.
    pub op: Op,
    /// HTTP/2 connections.
    pub connections: u64,
    /// Requests without an answer, over all connections; each waits for its answer before the
    /// next is sent.
    pub clients: u64,
    /// Units: bytes.
    pub value_size: usize,
    /// How many different keys.
    pub keys: u64,
    /// How long the load runs before anything is counted.
    pub warm_up: Duration,
    /// How long is counted.
    pub measured: Duration,
    /// Whether every key is written once before.
    pub fill: bool,
    /// The servers, for their CPU time.
    pub pids: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Client {
    etcd: EtcdClient,
    op: Op,
    random: Random,
    keys: u64,
    value: Bytes,
}

/// When counting begins and ends.
#[derive(Clone, Copy, Debug)]
struct Window {
    begin: Instant,
    end: Instant,
}

/// Runs the load.
///
/// Errors: if no member answers, or a process to be watched does not exist. Requests that fail
/// later are counted.
pub async fn run(load: &Load) -> Result<Measurement, BenchError> {
    if load.connections == 0 || load.clients == 0 || load.keys == 0 || load.endpoints.is_empty() {
        let text = "--endpoints, --connections, --clients and --keys must not be empty or 0";
        return Err(BenchError::Setting(text.to_owned()));
    }
    let connections = connect(load).await?;
    if load.fill {
        fill(load, &connections).await?;
    }
    let begin = clock::now() + load.warm_up;
    let window = Window { begin, end: begin + load.measured };
    let mut running = JoinSet::new();
    for (number, etcd) in (0..load.clients).zip(connections.iter().cycle()) {
        running.spawn(client(load, etcd, number).run(window));
    }
    let used_ns = async |at: Instant| {
        tokio::time::sleep_until(at.into()).await;
        server_cpu::used_ns(&load.pids).map_err(BenchError::io("the servers' CPU time"))
    };
    let before_ns = used_ns(window.begin).await?;
    let cpu_ns = used_ns(window.end).await?.saturating_sub(before_ns);
    let mut tally = Tally::default();
    while let Some(counted) = running.join_next().await {
        tally.merge(&counted.expect("a client of the load does not panic"));
    }
    let shape = Shape {
        op: if load.op == Op::Put { "put" } else { "get" },
        connections: load.connections,
        in_flight: load.clients.div_ceil(load.connections),
        value_size: u64::try_from(load.value_size).unwrap_or(u64::MAX),
        keys: load.keys,
    };
    let cpu_ns = (!load.pids.is_empty()).then_some(cpu_ns);
    Ok(Measurement::new(&shape, load.measured.as_secs_f64(), &tally, cpu_ns))
}

fn client(load: &Load, etcd: &EtcdClient, number: u64) -> Client {
    Client {
        etcd: etcd.clone(),
        op: load.op,
        random: Random::new(number),
        keys: load.keys,
        value: Bytes::from(vec![b'v'; load.value_size]),
    }
}

/// Opens the connections and asks for something on each, so that none is opened while counting.
async fn connect(load: &Load) -> Result<Vec<EtcdClient>, BenchError> {
    let mut connections = Vec::new();
    for (_, endpoint) in (0..load.connections).zip(load.endpoints.iter().cycle()) {
        let mut etcd = EtcdClient::new(endpoint)?;
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, etcd.status()).await;
        answer.map_err(|_| Status::deadline_exceeded("no answer")).flatten().map_err(|status| {
            let message = status.message();
            BenchError::Setting(format!("{endpoint} does not answer as etcd: {message}"))
        })?;
        connections.push(etcd);
    }
    Ok(connections)
}

async fn fill(load: &Load, connections: &[EtcdClient]) -> Result<(), BenchError> {
    let mut running = JoinSet::new();
    for (first, etcd) in (0..FILL_CLIENTS).zip(connections.iter().cycle()) {
        let mut client = client(load, etcd, first);
        running.spawn(async move {
            let mut number = first;
            while number < client.keys {
                client.put(number).await?;
                number += FILL_CLIENTS;
            }
            Ok(())
        });
    }
    while let Some(filled) = running.join_next().await {
        let filled: Result<(), Status> = filled.expect("a client of the load does not panic");
        filled.map_err(|status| {
            BenchError::Setting(format!("the keys could not be written: {}", status.message()))
        })?;
    }
    Ok(())
}

impl Client {
    async fn run(mut self, window: Window) -> Tally {
        let mut tally = Tally::default();
        loop {
            let began = clock::now();
            if began >= window.end {
                return tally;
            }
            let answer = tokio::time::timeout(REQUEST_TIMEOUT, self.ask()).await;
            let ended = clock::now();
            let is_counted = (window.begin..window.end).contains(&ended);
            match answer.map_err(|_| Status::deadline_exceeded("no answer")).flatten() {
                Ok(()) if is_counted => tally.latencies.record(clock::micros(ended - began)),
                Ok(()) => {}
                Err(status) => {
                    let is_unknown = self.op == Op::Put && leaves_open(&status);
                    tally.unknown += u64::from(is_counted && is_unknown);
                    tally.errors += u64::from(is_counted && !is_unknown);
                    tokio::time::sleep(FAILURE_PAUSE).await;
                }
            }
        }
    }

    async fn ask(&mut self) -> Result<(), Status> {
        let number = self.random.below(self.keys);
        match self.op {
            Op::Put => self.put(number).await,
            Op::Get => {
                let key = Bytes::copy_from_slice(&keys::key(number));
                let found = self.etcd.range(RangeRequest { key, range_end: Bytes::new() }).await?;
                let found = !found.kvs.is_empty();
                found.then_some(()).ok_or_else(|| Status::not_found("a key was never written"))
            }
        }
    }

    async fn put(&mut self, number: u64) -> Result<(), Status> {
        let key = Bytes::copy_from_slice(&keys::key(number));
        self.etcd.put(PutRequest { key, value: self.value.clone() }).await.map(|_| ())
    }
}

/// Whether a put that ended so may have taken effect.
fn leaves_open(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown
    )
}
