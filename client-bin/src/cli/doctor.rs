//! `kvctl doctor`: what is wrong with a cluster and what to do about it.

use std::io::{self, Write};

use serde::Serialize;
use tokio::time::Instant;

use super::arguments::Format;
use super::paint::{self, Tone};
use super::{CommandError, DECIDED_NO, output};
use crate::doctor::{Examined, Finding, Prefix, View, examine, findings};

/// Examines every node and writes what is wrong. Returns the exit code.
pub(super) async fn run(
    endpoints: &[String],
    deadline: Instant,
    format: Format,
    output: &mut dyn Write,
) -> Result<u8, CommandError> {
    let within = deadline.saturating_duration_since(Instant::now());
    let examined = examine(endpoints, within).await?;
    let found = findings(&examined);
    match format {
        Format::Simple => lines(output, &examined, &found)?,
        Format::Json => output::json(output, &Document::of(&examined, &found))?,
        Format::Table => table(output, &found)?,
    }
    Ok(if found.is_empty() { 0 } else { DECIDED_NO })
}

#[derive(Serialize)]
struct Document<'a> {
    findings: Vec<Told<'a>>,
    nodes: Vec<Node>,
    largest_prefixes: Vec<Largest>,
}

#[derive(Serialize)]
struct Told<'a> {
    kind: &'a str,
    node_id: Option<u64>,
    what: &'a str,
    advice: &'a str,
}

#[derive(Serialize)]
struct Node {
    node_id: u64,
    version: String,
    sync_p50_us: u64,
    sync_p99_us: u64,
    disk_free_bytes: u64,
    live_bytes: u64,
    memory_max: u64,
    watches: u64,
    peers: Vec<Peer>,
}

#[derive(Serialize)]
struct Peer {
    node_id: u64,
    round_trip_us: Option<u64>,
    clock_ahead_us: Option<i64>,
}

#[derive(Serialize)]
struct Largest {
    prefix: String,
    keys: u64,
    bytes: u64,
    /// Whether there are keys that were not looked at.
    is_part: bool,
}

impl<'a> Document<'a> {
    fn of(examined: &Examined, found: &'a [Finding]) -> Self {
        let told = |finding: &'a Finding| Told {
            kind: finding.kind,
            node_id: finding.node_id,
            what: &finding.what,
            advice: &finding.advice,
        };
        Self {
            findings: found.iter().map(told).collect(),
            nodes: nodes(examined),
            largest_prefixes: examined.prefixes.iter().map(largest).collect(),
        }
    }
}

fn largest(prefix: &Prefix) -> Largest {
    Largest {
        prefix: output::printable(&prefix.prefix),
        keys: prefix.keys,
        bytes: prefix.bytes,
        is_part: prefix.is_part,
    }
}

fn nodes(examined: &Examined) -> Vec<Node> {
    let peer = |(id, view): (&u64, &View)| match view {
        View::Answers { round_trip_us, ahead_us } => Peer {
            node_id: *id,
            round_trip_us: Some(*round_trip_us),
            clock_ahead_us: Some(*ahead_us),
        },
        View::Silent { .. } => Peer { node_id: *id, round_trip_us: None, clock_ahead_us: None },
    };
    let node = |(id, status): (&u64, &crate::status::NodeStatus)| Node {
        node_id: *id,
        version: status.version.clone(),
        sync_p50_us: examined.number(*id, "disk/sync/p50_us"),
        sync_p99_us: examined.number(*id, "disk/sync/p99_us"),
        disk_free_bytes: examined.number(*id, "disk/free_bytes"),
        live_bytes: status.live_bytes,
        memory_max: status.live_bytes_max,
        watches: examined.number(*id, "watches/count"),
        peers: examined.views.get(id).into_iter().flatten().map(peer).collect(),
    };
    examined.status.nodes.iter().map(node).collect()
}

fn lines(output: &mut dyn Write, examined: &Examined, found: &[Finding]) -> io::Result<()> {
    for finding in found {
        let about = finding.node_id.map_or("cluster".to_owned(), |id| format!("node {id}"));
        writeln!(output, "{about}: {}", output::printable(finding.what.as_bytes()))?;
        writeln!(output, "  {}", output::printable(finding.advice.as_bytes()))?;
    }
    if found.is_empty() {
        writeln!(output, "nothing is wrong")?;
    }
    for node in nodes(examined) {
        let ms = |us: u64| format!("{}.{:02} ms", us / 1_000, us % 1_000 / 10);
        let peers: Vec<String> = node
            .peers
            .iter()
            .filter_map(|peer| Some(format!("{} in {}", peer.node_id, ms(peer.round_trip_us?))))
            .collect();
        let reaches = if peers.is_empty() { "nobody".to_owned() } else { peers.join(", ") };
        writeln!(
            output,
            "node {}: version {}, syncs in {} (p99 {}), {} bytes of disk free, live data {} of \
             {} bytes, {} watches, reaches {reaches}",
            node.node_id,
            node.version,
            ms(node.sync_p50_us),
            ms(node.sync_p99_us),
            node.disk_free_bytes,
            node.live_bytes,
            node.memory_max,
            node.watches
        )?;
    }
    for Largest { prefix, keys, bytes, is_part } in examined.prefixes.iter().map(largest) {
        let part = if is_part { ", of the first keys" } else { "" };
        writeln!(output, "keys below {prefix}: {keys} with {bytes} bytes{part}")?;
    }
    Ok(())
}

fn table(output: &mut dyn Write, found: &[Finding]) -> io::Result<()> {
    let row = |finding: &Finding| {
        let cells = vec![
            finding.kind.to_owned(),
            finding.node_id.map_or("-".to_owned(), |id| id.to_string()),
            output::printable(finding.what.as_bytes()),
            output::printable(finding.advice.as_bytes()),
        ];
        (Tone::Bad, cells)
    };
    let rows = found.iter().map(row).collect();
    paint::table(output, &["FINDING", "NODE", "WHAT", "WHAT TO DO"], rows)
}
