//! What is wrong with a cluster, or soon will be, and what to do about it.
//!
//! [`examine`] looks, with bounded effort; [`findings`] judges what was seen, without asking
//! anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::client::{Client, Options};
use crate::error::ClientError;
use crate::monitor::{MonitorAnswer, MonitorPart, MonitorRequest, MonitorValue, monitor};
use crate::status::{ClusterStatus, NodeStatus, cluster_status};
use crate::{KeyRange, RangeEnd};

mod judgement;

pub use judgement::{Finding, findings};

/// Keys that are looked at for the largest prefixes, at most.
const KEYS_MAX: u64 = 10_000;

/// The same in bytes, with their values.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// As many prefixes are named.
const PREFIXES_MAX: usize = 3;

/// How long looking at keys may take.
const KEYS_PATIENCE: Duration = Duration::from_secs(1);

/// What was seen of a cluster.
#[derive(Clone, Debug)]
pub struct Examined {
    /// What the nodes say of themselves, and who says nothing.
    pub status: ClusterStatus,
    /// The values of the monitor of each node that answered, by path.
    pub values: BTreeMap<u64, BTreeMap<String, MonitorValue>>,
    /// How each node finds each other one.
    pub views: BTreeMap<u64, BTreeMap<u64, View>>,
    /// The prefixes below which most bytes were found, the largest first.
    pub prefixes: Vec<Prefix>,
}

/// How a node finds another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// It answers.
    Answers {
        /// After so long. Units: microseconds.
        round_trip_us: u64,
        /// How far its calendar is ahead, to within half of that. Units: microseconds.
        ahead_us: i64,
    },
    /// It does not, or not so that it can be understood.
    Silent {
        /// In the node's words.
        why: String,
    },
}

/// Keys that begin alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// How they begin.
    pub prefix: Vec<u8>,
    /// How many were seen.
    pub keys: u64,
    /// What they take with their values. Units: bytes.
    pub bytes: u64,
    /// Whether there are keys that were not looked at.
    pub is_part: bool,
}

/// Looks at every node.
///
/// Errors: that of the first endpoint if nobody answers; `Rejected` if an endpoint is no address.
pub async fn examine(endpoints: &[String], within: Duration) -> Result<Examined, ClientError> {
    let deadline = Instant::now() + within;
    let left = || deadline.saturating_duration_since(Instant::now());
    let status = cluster_status(endpoints, left() / 2).await?;
    let mut tasks = JoinSet::new();
    for (&id, address) in &status.reached {
        let (address, within) = (vec![address.clone()], left());
        tasks.spawn(async move {
            let ask = |path: String| {
                let request = MonitorRequest { path, ..MonitorRequest::default() };
                monitor(&address, request, within)
            };
            let own = ask(format!("/node/{id}")).await;
            let health = ask(format!("/node/{id}/health")).await;
            (id, own, health, ask("/cluster/clock".to_owned()).await)
        });
    }
    let (mut values, mut views) = (BTreeMap::new(), BTreeMap::new());
    while let Some(ended) = tasks.join_next().await {
        let (id, own, health, clocks) = ended.expect("asking a node does not panic");
        let mut all = BTreeMap::new();
        for part in [own, health].into_iter().flatten().flat_map(|answer| answer.parts) {
            all.extend(part.entries.into_iter().map(|entry| (entry.path, entry.value)));
        }
        values.insert(id, all);
        views.insert(id, clocks.map(|answer| view(id, &answer)).unwrap_or_default());
    }
    let reached: Vec<String> = status.reached.values().cloned().collect();
    let prefixes = timeout(left().min(KEYS_PATIENCE), prefixes(reached)).await;
    Ok(Examined { status, values, views, prefixes: prefixes.unwrap_or_default() })
}

/// How one node finds the others, of its answer about all clocks.
fn view(own: u64, answer: &MonitorAnswer) -> BTreeMap<u64, View> {
    let here = answer.parts.iter().find(|part| part.node_id == own);
    let others = answer.parts.iter().filter(|part| part.node_id != own);
    others.map(|part| (part.node_id, view_of(here, part))).collect()
}

fn view_of(here: Option<&MonitorPart>, part: &MonitorPart) -> View {
    if let Some(error) = &part.error {
        return View::Silent { why: error.text.clone() };
    }
    let round_trip_us = part.heard_us.saturating_sub(part.asked_us);
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    // What the calendar of the node that asks showed when the other one answered.
    let expected = here.map_or(0, |here| {
        let middle = part.asked_us + round_trip_us / 2;
        signed(here.wall_us).saturating_add(signed(middle)).saturating_sub(signed(here.clock_us))
    });
    View::Answers { round_trip_us, ahead_us: signed(part.wall_us).saturating_sub(expected) }
}

/// Looks at some keys; nothing if that does not work, for others find out why.
async fn prefixes(endpoints: Vec<String>) -> Vec<Prefix> {
    let options = Options { timeout: KEYS_PATIENCE };
    let Ok(client) = Client::connect(endpoints, options).await else { return Vec::new() };
    let mut pages = client.range_locally(KeyRange { from: b"", end: RangeEnd::From });
    let mut found: BTreeMap<Vec<u8>, (u64, u64)> = BTreeMap::new();
    let (mut keys, mut bytes, mut is_part) = (0, 0, false);
    while let Ok(Some(page)) = pages.next().await {
        for kv in &page.kvs {
            let length = u64::try_from(kv.key.len() + kv.value.len()).unwrap_or(0);
            let (count, sum) = found.entry(beginning(&kv.key)).or_default();
            *count += 1;
            *sum += length;
            keys += 1;
            bytes += length;
        }
        if page.more && (KEYS_MAX <= keys || BYTES_MAX <= bytes) {
            is_part = true;
            break;
        }
    }
    let prefix = |(prefix, (keys, bytes))| Prefix { prefix, keys, bytes, is_part };
    let mut prefixes: Vec<Prefix> = found.into_iter().map(prefix).collect();
    prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.bytes));
    prefixes.truncate(PREFIXES_MAX);
    prefixes
}

/// A key up to its second slash, or to its end if it is short.
fn beginning(key: &[u8]) -> Vec<u8> {
    let slashes = key.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    let end = slashes.filter(|at| 0 < *at).nth(1);
    let end = end.or_else(|| key.iter().rposition(|byte| *byte == b'/'));
    key[..end.map_or(key.len().min(8), |at| at + 1)].to_vec()
}

impl Examined {
    /// A number of a node; 0 if it does not say.
    #[must_use]
    pub fn number(&self, id: u64, path: &str) -> u64 {
        match self.values.get(&id).and_then(|values| values.get(path)) {
            Some(MonitorValue::Number(number)) => *number,
            Some(MonitorValue::Flag(_) | MonitorValue::Text(_)) | None => 0,
        }
    }

    /// The nodes that answered, with what they say.
    fn nodes(&self) -> impl Iterator<Item = (u64, &NodeStatus)> {
        self.status.nodes.iter().map(|(id, node)| (*id, node))
    }

    /// The versions of the program that run.
    fn versions(&self) -> BTreeSet<&str> {
        self.nodes().map(|(_, node)| node.version.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_compared_at_the_middle_of_the_round_trip() {
        let here = MonitorPart {
            node_id: 1,
            clock_us: 1_000,
            wall_us: 9_000_000,
            ..MonitorPart::default()
        };
        let there = MonitorPart {
            node_id: 2,
            asked_us: 1_100,
            heard_us: 1_300,
            wall_us: 9_000_200 + 50_000,
            ..MonitorPart::default()
        };
        let answer = MonitorAnswer { parts: vec![here, there] };
        let view = view(1, &answer);
        let expected = View::Answers { round_trip_us: 200, ahead_us: 50_000 };
        assert_eq!(view.into_iter().collect::<Vec<_>>(), [(2, expected)]);
    }

    #[test]
    fn keys_are_put_together_by_how_they_begin() {
        for (key, prefix) in [
            ("/registry/pods/a", "/registry/pods/"),
            ("/registry/pods/a/b", "/registry/pods/"),
            ("users/7/name", "users/7/"),
            ("users/7", "users/"),
            ("plain", "plain"),
            ("key0000000000012", "key00000"),
            ("/", "/"),
        ] {
            assert_eq!(beginning(key.as_bytes()), prefix.as_bytes(), "{key}");
        }
    }
}
