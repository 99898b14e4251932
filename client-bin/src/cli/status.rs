//! `kvctl status`.

use std::io::{self, Write};

use serde::Serialize;
use tokio::time::Instant;

use super::CommandError;
use super::arguments::Format;
use super::output;
use super::paint::{self, Tone};
use crate::status::{ClusterStatus, NodeStatus, SilentNode, cluster_status};

/// Asks every node and writes what they say. Returns the exit code.
pub(crate) async fn run(
    endpoints: &[String],
    deadline: Instant,
    format: Format,
    output: &mut dyn Write,
) -> Result<u8, CommandError> {
    let within = deadline.saturating_duration_since(Instant::now());
    let cluster = cluster_status(endpoints, within).await?;
    match format {
        Format::Simple => lines(output, &cluster)?,
        Format::Json => output::json(output, &Document::from(&cluster))?,
        Format::Table => table(output, &cluster)?,
    }
    Ok(0)
}

#[derive(Serialize)]
struct Document<'a> {
    cluster_id: String,
    leader_id: Option<u64>,
    term: u64,
    nodes: Vec<Node<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Node<'a> {
    Answered {
        node_id: u64,
        address: &'a str,
        role: &'a str,
        term: u64,
        leader_id: Option<u64>,
        commit_index: u64,
        applied_index: u64,
        revision: u64,
        /// In hexadecimal: a number would not survive every reader of JSON.
        state_hash: String,
        snapshot_index: u64,
        fenced: bool,
        live_bytes: u64,
        memory_max: u64,
        /// Whether what would add to live data is refused, until there is room again.
        full: bool,
        version: &'a str,
        /// What the cluster has agreed on, and what this node could do.
        feature_level: u16,
        feature_level_max: u16,
        #[serde(skip_serializing_if = "<[u64]>::is_empty")]
        waiting_for: &'a [u64],
    },
    Silent {
        node_id: Option<u64>,
        address: &'a str,
        error: String,
    },
}

impl<'a> From<&'a ClusterStatus> for Document<'a> {
    fn from(cluster: &'a ClusterStatus) -> Self {
        let newest = cluster.newest();
        let answered = |node: &'a NodeStatus| Node::Answered {
            node_id: node.node_id,
            address: &node.address,
            role: &node.role,
            term: node.term,
            leader_id: node.leader_id,
            commit_index: node.commit_index,
            applied_index: node.applied_index,
            revision: node.revision,
            state_hash: format!("{:016x}", node.state_hash),
            snapshot_index: node.snapshot_index,
            fenced: node.fenced,
            live_bytes: node.live_bytes,
            memory_max: node.live_bytes_max,
            full: node.is_full(),
            version: &node.version,
            feature_level: node.feature_level,
            feature_level_max: node.feature_level_max,
            waiting_for: &node.waiting_for,
        };
        let silent = |node: &'a SilentNode| Node::Silent {
            node_id: node.node_id,
            address: &node.address,
            error: node.reason(),
        };
        let nodes = cluster.nodes.values().map(answered).chain(cluster.silent.iter().map(silent));
        Self {
            cluster_id: newest.map(|node| format!("{:016x}", node.cluster_id)).unwrap_or_default(),
            leader_id: newest.and_then(|node| node.leader_id),
            term: newest.map_or(0, |node| node.term),
            nodes: nodes.collect(),
        }
    }
}

fn lines(output: &mut dyn Write, cluster: &ClusterStatus) -> io::Result<()> {
    if let Some(newest) = cluster.newest() {
        let leader = newest.leader_id.map_or("no leader".to_owned(), |id| format!("leader {id}"));
        let (id, term) = (newest.cluster_id, newest.term);
        writeln!(output, "cluster {id:016x}, term {term}, {leader}")?;
    }
    for node in cluster.nodes.values() {
        write!(
            output,
            "node {} at {}: {}, term {}, commit {}, applied {}, revision {}, hash {:016x}, \
             snapshot {}, version {}",
            node.node_id,
            node.address,
            node.role,
            node.term,
            node.commit_index,
            node.applied_index,
            node.revision,
            node.state_hash,
            node.snapshot_index,
            node.version
        )?;
        if node.fenced {
            write!(output, ", fenced: its state differs from the majority's and is replaced")?;
        }
        if node.is_full() {
            let (live, limit) = (node.live_bytes, node.live_bytes_max);
            write!(output, ", full: {live} bytes of live data, --memory-max is {limit}")?;
        }
        if !node.waiting_for.is_empty() {
            write!(output, ", waits for {}", waits(node))?;
        }
        writeln!(output)?;
    }
    for node in &cluster.silent {
        let SilentNode { address, node_id, .. } = node;
        match node_id {
            Some(id) => writeln!(output, "node {id} at {address}: {}", node.reason())?,
            None => writeln!(output, "{address}: {}", node.reason())?,
        }
    }
    Ok(())
}

fn table(output: &mut dyn Write, cluster: &ClusterStatus) -> io::Result<()> {
    let heads = [
        "NODE", "ADDRESS", "ROLE", "TERM", "LEADER", "COMMIT", "APPLIED", "REVISION", "HASH",
        "VERSION",
    ];
    let or_none = |id: Option<u64>| id.map_or("-".to_owned(), |id| id.to_string());
    let answered = |node: &NodeStatus| {
        let tone = match (node.fenced, node.leader_id == Some(node.node_id)) {
            (true, _) => Tone::Bad,
            (false, true) => Tone::Good,
            (false, false) => Tone::Plain,
        };
        let cells = vec![
            node.node_id.to_string(),
            node.address.clone(),
            node.role.clone(),
            node.term.to_string(),
            or_none(node.leader_id),
            node.commit_index.to_string(),
            node.applied_index.to_string(),
            node.revision.to_string(),
            if node.fenced { "fenced".to_owned() } else { format!("{:016x}", node.state_hash) },
            node.version.clone(),
        ];
        (tone, cells)
    };
    let silent = |node: &SilentNode| {
        (Tone::Bad, vec![or_none(node.node_id), node.address.clone(), node.reason()])
    };
    let rows =
        cluster.nodes.values().map(answered).chain(cluster.silent.iter().map(silent)).collect();
    paint::table(output, &heads, rows)
}

fn waits(node: &NodeStatus) -> String {
    let ids: Vec<String> = node.waiting_for.iter().map(u64::to_string).collect();
    ids.join(", ")
}
