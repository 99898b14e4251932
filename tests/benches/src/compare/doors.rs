//! The doors for other systems' clients beside those systems, and beside servers that speak the
//! protocol and have no store. One client for all of them, `kvctl bench`.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::cluster::{Cluster, PATIENCE, Programs, System, free_ports};
use super::load::{self, Load, Target};
use super::plan::remove;
use super::process::{Process, Program};
use super::table::Spread;
use crate::clock;
use crate::error::BenchError;
use crate::etcd::load::Op;
use crate::measurement::Measurement;

/// How often a server that was started is tried.
const CONNECT_INTERVAL: Duration = Duration::from_millis(20);

/// Clients of the etcd door with the large load, over all connections.
const ETCD_CONNECTIONS: u64 = 100;
const ETCD_IN_FLIGHT: u64 = 10;

/// As Redis is usually measured.
const RESP_CONNECTIONS: u64 = 50;
const RESP_PIPELINE: u64 = 16;

/// Whom the load is put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Server {
    /// Three nodes of Kvorum.
    Kvorum,
    /// Three nodes of etcd.
    Etcd,
    /// One Redis that syncs each write.
    Redis,
    /// One process without a store.
    NoOp,
}

/// A protocol, as `kvctl bench` calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Of etcd v3.
    Etcd,
    /// Of Redis.
    Resp,
}

/// A load on several servers in turn.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// In words.
    pub what: &'static str,
    /// What the servers speak.
    pub protocol: Protocol,
    /// In the order of the rounds.
    pub kvorum: Vec<Measurement>,
    /// The others with theirs.
    pub others: Vec<(Server, Vec<Measurement>)>,
    #[serde(skip)]
    load: Load,
}

/// All of them.
#[derive(Clone, Debug, Serialize)]
pub struct Doors {
    /// Rounds of each row.
    pub rounds: u64,
    /// What was measured.
    pub rows: Vec<Row>,
}

/// Where servers other than Kvorum and etcd are.
#[derive(Clone, Debug)]
pub struct Others {
    /// `redis-server`; its rows are left out where it is not.
    pub redis: Option<PathBuf>,
    /// `no-op`.
    pub no_op: PathBuf,
}

struct Run<'a> {
    programs: &'a Programs,
    others: &'a Others,
    folder: &'a Path,
}

/// Runs every row `rounds` times, in turn.
///
/// Errors: the first thing that goes wrong ends the run.
pub async fn run(
    (programs, others): (&Programs, &Others),
    folder: &Path,
    load: &Load,
    rounds: u64,
) -> Result<Doors, BenchError> {
    let run = Run { programs, others, folder };
    let mut rows = rows(load);
    for row in &mut rows {
        let is_there = |server: Server| match server {
            Server::Etcd => programs.etcd.is_some(),
            Server::Redis => others.redis.is_some(),
            Server::Kvorum | Server::NoOp => true,
        };
        row.others.retain(|(server, _)| is_there(*server));
        if row.load.op == Op::Get {
            for server in row.others.iter().map(|(server, _)| *server).chain([Server::Kvorum]) {
                run.fill(server, row).await?;
            }
        }
        for _ in 0..rounds {
            for place in 0..row.others.len() {
                let measured = run.measure(row.others[place].0, row).await?;
                row.others[place].1.push(measured);
            }
            let measured = run.measure(Server::Kvorum, row).await?;
            row.kvorum.push(measured);
        }
        remove(folder)?;
    }
    Ok(Doors { rounds, rows })
}

fn rows(load: &Load) -> Vec<Row> {
    let row = |what, protocol, op, (connections, in_flight), others: &[Server]| Row {
        what,
        protocol,
        kvorum: Vec::new(),
        others: others.iter().map(|server| (*server, Vec::new())).collect(),
        load: Load { op, connections, in_flight, ..*load },
    };
    let (etcd, resp) = (Protocol::Etcd, Protocol::Resp);
    let large = (ETCD_CONNECTIONS, ETCD_IN_FLIGHT);
    vec![
        row("etcd: put", etcd, Op::Put, large, &[Server::Etcd, Server::NoOp]),
        row("etcd: put, one client", etcd, Op::Put, (1, 1), &[Server::Etcd]),
        row("etcd: get", etcd, Op::Get, large, &[Server::Etcd, Server::NoOp]),
        row("Redis: SET", resp, Op::Put, (RESP_CONNECTIONS, 1), &[Server::Redis, Server::NoOp]),
        row(
            "Redis: SET, pipelines of 16",
            resp,
            Op::Put,
            (RESP_CONNECTIONS, RESP_PIPELINE),
            &[Server::Redis, Server::NoOp],
        ),
        row("Redis: GET", resp, Op::Get, (RESP_CONNECTIONS, 1), &[Server::Redis, Server::NoOp]),
    ]
}

/// A server that runs.
enum Running {
    Cluster(Cluster),
    Single(Box<Process>),
}

impl Run<'_> {
    fn folder_of(&self, server: Server) -> PathBuf {
        self.folder.join(format!("{server:?}").to_lowercase())
    }

    /// Starts a server on the data that it has.
    async fn start(
        &self,
        server: Server,
        protocol: Protocol,
    ) -> Result<(Running, Target), BenchError> {
        let folder = self.folder_of(server);
        std::fs::create_dir_all(&folder)
            .map_err(BenchError::io(format!("folder {}", folder.display())))?;
        let system = match server {
            Server::Kvorum => System::Kvorum,
            Server::Etcd => System::Etcd,
            Server::Redis | Server::NoOp => {
                let port = free_ports(1)?[0];
                let program = self.single(server, protocol, port, &folder);
                let process = program.start()?;
                let address = format!("127.0.0.1:{port}");
                serves(&address, protocol).await?;
                let target = Target { address, pids: vec![process.pid()] };
                return Ok((Running::Single(Box::new(process)), target));
            }
        };
        let mut cluster = Cluster::start(system, self.programs, &folder)?;
        let (leader, _) = cluster.leader().await?;
        let target = Target { address: cluster.address(leader).to_owned(), pids: cluster.pids() };
        Ok((Running::Cluster(cluster), target))
    }

    fn single(&self, server: Server, protocol: Protocol, port: u16, folder: &Path) -> Program {
        let (path, line) = match server {
            Server::Redis => {
                let path = self.others.redis.clone().expect("only measured where it is");
                let flags = "--bind 127.0.0.1 --appendonly yes --appendfsync always --save";
                (path, format!("--port {port} {flags}"))
            }
            _ => {
                let protocol = word(protocol);
                let line = format!("--protocol {protocol} --listen 127.0.0.1:{port}");
                (self.others.no_op.clone(), line)
            }
        };
        let mut arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        if server == Server::Redis {
            arguments.extend(["".into(), "--dir".into(), folder.into()]);
        }
        let name = format!("{server:?}").to_lowercase();
        Program { name, path, arguments, log: folder.join("log") }
    }

    /// Writes nearly every key, for gets to find.
    async fn fill(&self, server: Server, row: &Row) -> Result<(), BenchError> {
        remove(&self.folder_of(server))?;
        let (mut running, target) = self.start(server, row.protocol).await?;
        match (&mut running, server) {
            (Running::Cluster(cluster), Server::Etcd) => {
                load::fill(System::Etcd, self.programs, cluster, &row.load).await?;
            }
            (Running::Cluster(cluster), _) => {
                load::fill(System::Kvorum, self.programs, cluster, &row.load).await?;
            }
            (Running::Single(_), Server::Redis) => {
                let puts = Load {
                    op: Op::Put,
                    in_flight: RESP_PIPELINE,
                    measured: Duration::from_secs(1),
                    ..row.load
                };
                let mut written = 0;
                while written < 8 * puts.keys {
                    written += self.bench(&target, row.protocol, &puts).await?.operations.max(1);
                }
            }
            (Running::Single(_), _) => {}
        }
        end(running).await
    }

    async fn measure(&self, server: Server, row: &Row) -> Result<Measurement, BenchError> {
        if row.load.op == Op::Put {
            remove(&self.folder_of(server))?;
        }
        let (running, target) = self.start(server, row.protocol).await?;
        if !row.load.warm_up.is_zero() {
            let warm_up = Load { measured: row.load.warm_up, ..row.load };
            self.bench(&target, row.protocol, &warm_up).await?;
        }
        let measured = self.bench(&target, row.protocol, &row.load).await?;
        end(running).await?;
        eprintln!(
            "{}: {server:?}: {:.0} per second, p50 {:.0} us, p99 {:.0} us, server CPU {:.2} us, \
             {} errors, {} unknown",
            row.what,
            measured.ops_per_second,
            measured.p50_us,
            measured.p99_us,
            measured.server_cpu_us_per_op.unwrap_or(f64::NAN),
            measured.errors,
            measured.unknown
        );
        Ok(measured)
    }

    async fn bench(
        &self,
        target: &Target,
        protocol: Protocol,
        load: &Load,
    ) -> Result<Measurement, BenchError> {
        load::kvctl(self.programs, target, word(protocol), load).await
    }
}

async fn end(running: Running) -> Result<(), BenchError> {
    match running {
        Running::Cluster(cluster) => cluster.end().await,
        Running::Single(mut process) => {
            process.check()?;
            process.end().await
        }
    }
}

/// Waits until a server takes connections, and a Redis has read its data.
async fn serves(address: &str, protocol: Protocol) -> Result<(), BenchError> {
    let asked = async || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address).await?;
        if protocol == Protocol::Etcd {
            return Ok(true);
        }
        let mut reply = [0; 7];
        stream.write_all(b"PING\r\n").await?;
        stream.read_exact(&mut reply).await?;
        Ok(&reply == b"+PONG\r\n")
    };
    let give_up = clock::now() + PATIENCE;
    while clock::now() < give_up {
        if asked().await.unwrap_or(false) {
            return Ok(());
        }
        tokio::time::sleep(CONNECT_INTERVAL).await;
    }
    let what = format!("an answer of {address}");
    Err(BenchError::Deadline { what, waited: PATIENCE })
}

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Etcd => "etcd",
        Protocol::Resp => "resp",
    }
}

/// What the ratio to another server has to be.
fn bound(what: &str, other: Server) -> Option<f64> {
    match (what, other) {
        ("etcd: put" | "etcd: get", Server::Etcd) => Some(2.3),
        ("etcd: put, one client", Server::Etcd) => Some(2.0),
        ("etcd: put", Server::NoOp) => Some(0.75),
        ("etcd: get", Server::NoOp) => Some(0.85),
        ("Redis: SET", Server::Redis) => Some(0.7),
        ("Redis: SET, pipelines of 16", Server::Redis) => Some(0.5),
        ("Redis: GET", Server::NoOp) => Some(0.65),
        _ => None,
    }
}

/// Server CPU for a put by etcd's protocol, as a part of etcd's own, at most.
const CPU_ACCEPTED: f64 = 0.25;

impl Doors {
    /// The figures with their bounds, as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = "| what | beside | theirs | Kvorum | ratio (lowest to highest) | accepted \
                        | |\n|---|---|---|---|---|---|---|\n"
            .to_owned();
        for row in &self.rows {
            for (other, theirs) in &row.others {
                let rate = |it: &Measurement| it.ops_per_second;
                let accepted = bound(row.what, *other).map(|bound| (bound, false));
                let what = format!("{}, per second", row.what);
                push(&mut text, (&what, *other), (theirs, &row.kvorum), rate, accepted);
                let cpu = |it: &Measurement| it.server_cpu_us_per_op.unwrap_or(f64::NAN);
                let is_bound = row.what == "etcd: put" && *other == Server::Etcd;
                let accepted = is_bound.then_some((CPU_ACCEPTED, true));
                let what = format!("{}: server CPU, us", row.what);
                push(&mut text, (&what, *other), (theirs, &row.kvorum), cpu, accepted);
            }
        }
        text
    }
}

fn push(
    text: &mut String,
    (what, other): (&str, Server),
    (theirs, ours): (&[Measurement], &[Measurement]),
    figure: impl Fn(&Measurement) -> f64,
    accepted: Option<(f64, bool)>,
) {
    let figures = |all: &[Measurement]| all.iter().map(&figure).collect::<Vec<f64>>();
    let (theirs, ours) = (figures(theirs), figures(ours));
    let (Some(ratio), Some(their), Some(our)) =
        (Spread::of_ratios(&ours, &theirs), Spread::of(&theirs), Spread::of(&ours))
    else {
        return;
    };
    let (bound, verdict) = match accepted {
        None => ("-".to_owned(), ""),
        Some((bound, true)) => (format!("at most {bound}"), yes(ratio.median <= bound)),
        Some((bound, false)) => (format!("at least {bound}"), yes(bound <= ratio.median)),
    };
    let _ = writeln!(
        text,
        "| {what} | {other:?} | {:.1} | {:.1} | {:.2} ({:.2} to {:.2}) | {bound} | {verdict} |",
        their.median, our.median, ratio.median, ratio.min, ratio.max
    );
}

fn yes(is_met: bool) -> &'static str {
    if is_met { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::{Shape, Tally};

    fn measured(ops_per_second: f64, cpu: f64) -> Measurement {
        let shape = Shape { op: "put", connections: 1, in_flight: 1, value_size: 1, keys: 1 };
        Measurement {
            ops_per_second,
            server_cpu_us_per_op: Some(cpu),
            ..Measurement::new(&shape, 1.0, &Tally::default(), None)
        }
    }

    #[test]
    fn ratios_are_of_neighbours_and_have_bounds() {
        let load = Load {
            op: Op::Put,
            connections: 1,
            in_flight: 1,
            value_size: 1,
            keys: 1,
            warm_up: Duration::ZERO,
            measured: Duration::ZERO,
        };
        let mut rows = rows(&load);
        rows.truncate(1);
        rows[0].kvorum = vec![measured(46.0, 2.0), measured(60.0, 3.0)];
        rows[0].others[0].1 = vec![measured(20.0, 10.0), measured(20.0, 10.0)];
        let text = Doors { rounds: 2, rows }.markdown();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| etcd: put, per second | Etcd | 20.0 | 53.0 | 2.65 (2.30 to 3.00) | at least \
                 2.3 | yes |",
                "| etcd: put: server CPU, us | Etcd | 10.0 | 2.5 | 0.25 (0.20 to 0.30) | at most \
                 0.25 | yes |"
            ]
        );
    }
}
