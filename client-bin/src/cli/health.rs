//! `kvctl health`: whether every member can be reached and is ready.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::arguments::Format;
use super::paint::{self, Tone};
use super::{CommandError, DECIDED_NO, output};
use crate::monitor::{MonitorPart, MonitorRequest, MonitorValue, monitor};
use crate::status::cluster_status;

/// The last part of the name of each check.
const CHECKS: &str = "health/checks/";

/// One member.
#[derive(Debug, Serialize)]
struct Member {
    node_id: Option<u64>,
    address: String,
    is_reachable: bool,
    is_ready: bool,
    /// Why it is not.
    reasons: Vec<String>,
}

/// Asks every member itself and writes what it says. Returns the exit code.
pub(super) async fn run(
    endpoints: &[String],
    deadline: Instant,
    format: Format,
    output: &mut dyn Write,
) -> Result<u8, CommandError> {
    let left = || deadline.saturating_duration_since(Instant::now());
    let cluster = cluster_status(endpoints, left() / 2).await?;
    let silent = cluster.silent.iter().map(|node| Member {
        node_id: node.node_id,
        address: node.address.clone(),
        is_reachable: false,
        is_ready: false,
        reasons: vec![node.reason()],
    });
    let mut members: Vec<Member> = silent.collect();
    let mut tasks = JoinSet::new();
    for (id, address) in cluster.reached {
        let within = left();
        tasks.spawn(async move { ask(id, address, within).await });
    }
    while let Some(ended) = tasks.join_next().await {
        members.push(ended.expect("asking a node does not panic"));
    }
    members.sort_by(|one, other| {
        (one.node_id.is_none(), one.node_id).cmp(&(other.node_id.is_none(), other.node_id))
    });
    write(&members, format, output)?;
    Ok(if members.iter().all(|member| member.is_ready) { 0 } else { DECIDED_NO })
}

async fn ask(id: u64, address: String, within: Duration) -> Member {
    let path = format!("/node/{id}/health");
    let request = MonitorRequest { path, ..MonitorRequest::default() };
    let answer = monitor(std::slice::from_ref(&address), request, within).await;
    let part = match &answer {
        Ok(answer) => answer.parts.first().ok_or_else(|| "it says nothing of itself".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let (is_ready, reasons) = match part {
        Ok(part) => judge(part),
        Err(reason) => (false, vec![reason]),
    };
    Member { node_id: Some(id), address, is_reachable: true, is_ready, reasons }
}

fn judge(part: &MonitorPart) -> (bool, Vec<String>) {
    if let Some(error) = &part.error {
        return (false, vec![output::printable(error.text.as_bytes())]);
    }
    let is_ready = |path: &str, value: &MonitorValue| {
        path == "health/ready" && *value == MonitorValue::Flag(true)
    };
    let reason = |path: &str, value: &MonitorValue| {
        let name = path.strip_prefix(CHECKS)?;
        let value = value.to_string();
        (value != "ok").then(|| output::printable(format!("{name}: {value}").as_bytes()))
    };
    let entries = || part.entries.iter().map(|entry| (entry.path.as_str(), &entry.value));
    let reasons = entries().filter_map(|(path, value)| reason(path, value)).collect();
    (entries().any(|(path, value)| is_ready(path, value)), reasons)
}

fn write(members: &[Member], format: Format, output: &mut dyn Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        is_healthy: bool,
        members: &'a [Member],
    }
    let id = |member: &Member| member.node_id.map_or("-".to_owned(), |id| id.to_string());
    let state = |member: &Member| match (member.is_reachable, member.is_ready) {
        (_, true) => "ready",
        (true, false) => "not ready",
        (false, false) => "not reached",
    };
    match format {
        Format::Simple => members.iter().try_for_each(|member| {
            write!(output, "node {} at {}: {}", id(member), member.address, state(member))?;
            let reasons = member.reasons.join("; ");
            if reasons.is_empty() { writeln!(output) } else { writeln!(output, ": {reasons}") }
        }),
        Format::Json => {
            let is_healthy = members.iter().all(|member| member.is_ready);
            output::json(output, &Document { is_healthy, members })
        }
        Format::Table => {
            let row = |member: &Member| {
                let reasons = member.reasons.join("; ");
                let cells =
                    vec![id(member), member.address.clone(), state(member).to_owned(), reasons];
                (if member.is_ready { Tone::Plain } else { Tone::Bad }, cells)
            };
            let rows = members.iter().map(row).collect();
            paint::table(output, &["NODE", "ADDRESS", "STATE", "WHY"], rows)
        }
    }
}
