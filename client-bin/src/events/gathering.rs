//! Asks nodes for everything that they still know.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::{Event, merge};
use crate::error::ClientError;
use crate::monitor::{MonitorPart, MonitorRequest, monitor};

/// What nodes said.
#[derive(Debug, Default)]
pub struct Gathered {
    /// In the order of their times.
    pub events: Vec<Event>,
    /// How far each node was when it was asked last; who goes on watching begins there.
    pub seen: Vec<(u64, u64)>,
    /// Who said nothing, and why.
    pub silent: BTreeMap<u64, String>,
}

/// Everything that is kept of what happened: on one node, or on all members.
///
/// Nodes keep so much and no more, and what happens while they are asked ends the question.
/// Errors: as for [`monitor`]; a member that does not answer is no error.
pub async fn gather(
    endpoints: &[String],
    node: Option<u64>,
    within: Duration,
) -> Result<Gathered, ClientError> {
    let deadline = Instant::now() + within;
    let mut gathered = Gathered::default();
    let mut ends_at: BTreeMap<u64, u64> = BTreeMap::new();
    let mut ended = BTreeSet::new();
    loop {
        let request = MonitorRequest {
            path: path(node),
            lines_seen: gathered.seen.clone(),
            ..MonitorRequest::default()
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = monitor(endpoints, request, left).await?;
        let asked: Vec<u64> = answer.parts.iter().map(|part| part.node_id).collect();
        for part in answer.parts {
            let ends = *ends_at.entry(part.node_id).or_insert(part.wall_us);
            let id = part.node_id;
            if ended.contains(&id) || gathered.take(part) <= ends {
                continue;
            }
            ended.insert(id);
        }
        if asked.iter().all(|id| ended.contains(id)) {
            merge(&mut gathered.events);
            return Ok(gathered);
        }
    }
}

/// Where the events of one node stand, or those of all.
pub(crate) fn path(node: Option<u64>) -> String {
    node.map_or_else(|| "/cluster/events".to_owned(), |id| format!("/node/{id}/events"))
}

impl Gathered {
    /// Takes what a node said; returns the time of the last event, or the end of time if there is
    /// nothing more.
    fn take(&mut self, part: MonitorPart) -> u64 {
        if let Some(error) = part.error {
            self.silent.insert(part.node_id, error.text);
            return u64::MAX;
        }
        self.seen.retain(|(id, _)| *id != part.node_id);
        self.seen.push((part.node_id, part.lines_seen));
        let events: Vec<Event> =
            part.entries.iter().filter_map(|it| Event::read(&it.value.to_string())).collect();
        let last = events.last().map_or(u64::MAX, |event| event.at_us);
        self.events.extend(events);
        last
    }
}
