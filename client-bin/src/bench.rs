//! A load generator: closed loop, some connections, some requests outstanding on each.
//!
//! It shares a machine with the servers that it measures, so it spends as little as it can: one
//! thread, one task for each connection, one write for all requests that a read made room for,
//! answers decoded where they were read. Native writes carry proper sessions and survive a lost
//! connection as every client's do. The other protocols are there to compare servers: what
//! speaks them is driven in the same way, whoever made it.

mod cpu;
mod etcd;
mod keys;
mod meter;
mod native;
mod resp;
mod slots;
mod tally;

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

use crate::client::first_link;
use crate::dial::{Endpoints, Link};
use crate::error::ClientError;

use self::cpu::CpuTime;
use self::meter::Meter;
use self::tally::{BATCHES_MAX, Batch, Tally};

/// The longest measurement.
pub const DURATION_MAX: Duration = Duration::from_secs(3_600);

/// How often progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Writes
    Put,
    /// Linearizable reads
    Get,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
        }
    }
}

/// How the servers are spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// Kvorum's own
    #[default]
    Native,
    /// etcd v3 over gRPC: Kvorum or etcd
    Etcd,
    /// RESP: Kvorum or Redis
    Resp,
}

impl Protocol {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Etcd => "etcd",
            Self::Resp => "resp",
        }
    }
}

/// A load.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where to connect; connections are dealt out in turn. A connection that is lost comes
    /// back at the next one.
    pub endpoints: Vec<String>,
    /// What they speak.
    pub protocol: Protocol,
    /// What is measured.
    pub kind: Kind,
    /// How many connections, at least 1.
    pub connections: usize,
    /// Requests outstanding on each connection, from 1 to 1,024 (a session's window).
    pub in_flight: usize,
    /// Length of the values. Units: bytes.
    pub value_bytes: usize,
    /// How many keys are chosen from at random, at least 1. They are 16 bytes each.
    pub keys: u64,
    /// How long it is measured, up to `DURATION_MAX`.
    pub duration: Duration,
    /// How long one operation may take before it is given up.
    pub timeout: Duration,
    /// Processes whose CPU time is charged to the operations.
    pub server_pids: Vec<u32>,
}

/// What was measured. An operation counts if its answer came while it was measured.
#[derive(Clone, Debug)]
pub struct Report {
    /// How long it was measured. Units: seconds.
    pub seconds: f64,
    /// Operations that were answered.
    pub operations: u64,
    /// Refusals that were received and requests that were given up with nothing done. Natively
    /// each refused request was tried again, and an attempt of which a node says that it took too
    /// long is no refusal; by the other protocols each request is sent once.
    pub errors: u64,
    /// Writes that were given up and may or may not have taken effect.
    pub unknown: u64,
    /// Half of the operations took no longer. Units: microseconds.
    pub p50_us: u64,
    /// 99 of 100 operations took no longer. Units: microseconds.
    pub p99_us: u64,
    /// 999 of 1,000 operations took no longer. Units: microseconds.
    pub p99_9_us: u64,
    /// The longest operation. Units: microseconds.
    pub max_us: u64,
    /// The longest time in which no operation was answered, to the millisecond: what a
    /// fail-over costs.
    pub longest_gap: Duration,
    /// CPU time of the servers for each operation, if any were named. Units: microseconds.
    pub server_cpu_us_per_op: Option<f64>,
}

impl Report {
    /// Operations per second.
    #[must_use]
    pub fn ops_per_second(&self) -> f64 {
        ratio(self.operations, self.seconds)
    }
}

/// How far a measurement has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Since it began.
    pub elapsed: Duration,
    /// Operations answered so far.
    pub operations: u64,
    /// As in the report.
    pub errors: u64,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// No node could be reached, or a node rejects what is sent.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Nobody is there, or somebody who does not speak the protocol.
    #[error("{address} does not answer as {what} does: {why}")]
    Server {
        /// Where.
        address: String,
        /// What was expected there.
        what: &'static str,
        /// What happened instead.
        why: String,
    },
    /// The CPU time of a process cannot be read.
    #[error("cannot read the CPU time of process {pid}: {source}")]
    Pid {
        /// Which.
        pid: u32,
        /// Why.
        source: std::io::Error,
    },
}

/// Opens all connections, then measures; `progress` is called about every second.
///
/// Errors: `BenchError`; what was measured so far is lost.
pub async fn run(load: &Load, mut progress: impl FnMut(Progress)) -> Result<Report, BenchError> {
    let (to, mut batches) = mpsc::channel(BATCHES_MAX);
    let opened = open(load).await?;
    let cpu_before = CpuTime::read(&load.server_pids)?;
    let start = Instant::now();
    let stop_at = start + load.duration;
    let mut lanes = opened.start(load, start, &to)?;
    drop(to);
    let mut tally = Tally::new(load.duration);
    let mut cpu_us = None;
    let mut ticks = interval(PROGRESS_INTERVAL);
    ticks.tick().await;
    loop {
        tokio::select! {
            batch = batches.recv() => match batch {
                Some(batch) => tally.add(&batch),
                None => break,
            },
            Some(ended) = lanes.join_next() => ended.expect("a lane does not panic")?,
            _ = ticks.tick(), if Instant::now() < stop_at => progress(Progress {
                elapsed: start.elapsed(),
                operations: tally.operations(),
                errors: tally.errors(),
            }),
            () = sleep_until(stop_at), if cpu_us.is_none() => {
                cpu_us = Some(CpuTime::read(&load.server_pids)?.since(&cpu_before));
            }
        }
    }
    while let Some(ended) = lanes.join_next().await {
        ended.expect("a lane does not panic")?;
    }
    let cpu_us = match cpu_us {
        Some(cpu_us) => cpu_us,
        None => CpuTime::read(&load.server_pids)?.since(&cpu_before),
    };
    let is_charged = !load.server_pids.is_empty();
    Ok(tally.report(load.duration, is_charged.then_some(cpu_us)))
}

/// A connection for each lane, so that all begin to measure together.
enum Opened {
    Native(Vec<Link>),
    Etcd(Vec<(etcd::Lane, etcd::Connection)>),
    Resp(Vec<(resp::Lane, TcpStream)>),
}

async fn open(load: &Load) -> Result<Opened, BenchError> {
    let deadline = Instant::now() + load.timeout;
    let places = 0..load.connections;
    Endpoints::new(load.endpoints.clone())?;
    Ok(match load.protocol {
        Protocol::Native => {
            let mut links = Vec::new();
            for place in places {
                let mut endpoints = Endpoints::new(turned(&load.endpoints, place))?;
                links.push(first_link(&mut endpoints, deadline).await?);
            }
            Opened::Native(links)
        }
        Protocol::Etcd => {
            let mut lanes = Vec::new();
            for place in places {
                lanes.push(etcd::Lane::open(load, place).await?);
            }
            Opened::Etcd(lanes)
        }
        Protocol::Resp => {
            let mut lanes = Vec::new();
            for place in places {
                lanes.push(resp::Lane::open(load, place).await?);
            }
            Opened::Resp(lanes)
        }
    })
}

impl Opened {
    fn start(
        self,
        load: &Load,
        start: Instant,
        to: &mpsc::Sender<Batch>,
    ) -> Result<JoinSet<Result<(), BenchError>>, BenchError> {
        let mut running = JoinSet::new();
        let meter = || Meter::new(load, start, to.clone());
        match self {
            Self::Native(links) => {
                for (place, link) in links.into_iter().enumerate() {
                    let lane = native::Lane::new(load, place, &link, start, to.clone())?;
                    running.spawn(async move { Ok(lane.run(link).await?) });
                }
            }
            Self::Etcd(lanes) => {
                for (lane, connection) in lanes {
                    running.spawn(lane.run(connection, meter()));
                }
            }
            Self::Resp(lanes) => {
                for (lane, stream) in lanes {
                    running.spawn(lane.run(stream, meter()));
                }
            }
        }
        Ok(running)
    }
}

/// The endpoints in the order in which lane number `place` tries them.
fn turned(endpoints: &[String], place: usize) -> Vec<String> {
    let mut endpoints = endpoints.to_vec();
    let count = endpoints.len().max(1);
    endpoints.rotate_left(place % count);
    endpoints
}

fn ratio(amount: u64, of: f64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "amounts are far below 2^53")]
    let amount = amount as f64;
    amount / of
}
