//! What is known of each node, and what is to be asked next: pure.

use std::collections::{BTreeMap, BTreeSet};

use raft_net::client_protocol::{MonitorEntry, MonitorPart, MonitorRequest, MonitorValue};
use serde::Serialize;

use super::news::News;
use super::pages::{self, Part};
use super::surroundings::Surroundings;
use crate::monitor::path::{EVENTS, LOG, VIEW};
use crate::monitor::values::PAGE;

/// How long a node may take to answer. Units: milliseconds.
const PATIENCE_MS: u64 = 1_000;

/// So many events of before somebody looked are shown of each node, and all older ones that are
/// rare.
const EVENTS_BEFORE: u64 = 200;

/// How long a node runs: less than before if it has started again.
const UP_MS: &str = "clock/up_ms";

/// What is asked of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Its values.
    View,
    /// New lines of its log.
    Lines,
    /// What has happened there.
    Events,
}

/// Something to ask.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) node: u64,
    pub(super) kind: Kind,
    pub(super) request: MonitorRequest,
}

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Sights {
    own: u64,
    nodes: BTreeMap<u64, Sight>,
    /// What was asked and is not answered.
    asked: BTreeSet<(u64, Kind)>,
    /// What has happened and was not shown yet.
    news: News,
}

/// What is known of one node.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// Where it is.
    pub(super) address: String,
    /// What it said last.
    pub(super) values: Vec<MonitorEntry>,
    /// When. Units: microseconds.
    heard_at_us: Option<u64>,
    /// Why it says nothing.
    pub(super) error: Option<String>,
    /// When it was first asked. Units: microseconds.
    first_asked_us: Option<u64>,
    /// The newest line of its log that was heard.
    lines_seen: Option<u64>,
    /// The newest event of it that was heard.
    events_seen: Option<u64>,
    /// The newest event that counts as one of before somebody looked.
    events_old: Option<u64>,
}

/// A line of a log.
#[derive(Serialize)]
struct Line<'a> {
    node: u64,
    n: u64,
    line: &'a str,
}

impl Sights {
    /// Nothing is known but who looks.
    pub(super) fn of(own: u64) -> Self {
        Self { own, nodes: [(own, Sight::default())].into(), ..Self::default() }
    }

    /// The nodes and what is known of each.
    pub(super) fn nodes(&self) -> &BTreeMap<u64, Sight> {
        &self.nodes
    }

    /// The node that looks.
    pub(super) fn own(&self) -> &Sight {
        &self.nodes[&self.own]
    }

    /// Whether there is anything to show.
    pub(super) fn has_seen(&self) -> bool {
        self.own().heard_at_us.is_some()
    }

    /// Whether values are yet to come.
    pub(super) fn is_looking(&self) -> bool {
        self.asked.iter().any(|(_, kind)| *kind == Kind::View)
    }

    /// Where the members' pages are: where each says, and of one that has not said anything
    /// yet where its peers reach it.
    pub(super) fn pages(&self) -> BTreeMap<u64, String> {
        let page = |(id, sight): (&u64, &Sight)| {
            let at = match sight.values.is_empty() {
                true => Some(sight.address.as_str()).filter(|address| !address.is_empty()),
                false => sight.text(PAGE),
            };
            at.map(|at| (*id, at.to_owned()))
        };
        self.nodes.iter().filter_map(page).collect()
    }

    /// What has happened since this was asked last, as a part of the stream.
    pub(super) fn news(&mut self) -> Option<Part> {
        self.news.event()
    }

    /// What has happened of late, for a page that has just been opened.
    pub(super) fn past(&self) -> Option<Part> {
        self.news.kept()
    }

    /// What is to be asked now: of each node whatever is not under way already.
    pub(super) fn questions(&mut self, now_us: u64, around: &Surroundings) -> Vec<Question> {
        self.note_who_there_is(around);
        let mut questions = Vec::new();
        for (&node, sight) in &mut self.nodes {
            if node != self.own && !around.can_ask(node) {
                continue;
            }
            sight.first_asked_us.get_or_insert(now_us);
            for kind in [Kind::View, Kind::Lines, Kind::Events] {
                // Nodes of one process write one log.
                let is_twice =
                    kind == Kind::Lines && node != self.own && around.nodes.contains_key(&node);
                let is_early = kind == Kind::Events && sight.events_old.is_none();
                if !is_twice && !is_early && self.asked.insert((node, kind)) {
                    questions.push(Question { node, kind, request: sight.request(node, kind) });
                }
            }
        }
        questions
    }

    /// Notes the members as the node that looks knows them, or the owner of the cluster.
    fn note_who_there_is(&mut self, around: &Surroundings) {
        let mut known: BTreeMap<u64, String> =
            around.nodes.iter().map(|(id, node)| (*id, node.address.clone())).collect();
        for entry in &self.own().values {
            if let Some(id) = entry.path.strip_prefix("raft/members/")
                && let Ok(id) = id.parse()
            {
                known.entry(id).or_insert_with(|| entry.value.to_string());
            }
        }
        let own = self.own;
        self.nodes.retain(|id, _| *id == own || known.contains_key(id));
        for (id, address) in known {
            self.nodes.entry(id).or_default().address = address;
        }
    }

    /// Takes an answer; returns what is to be shown of it at once.
    pub(super) fn heard(
        &mut self,
        now_us: u64,
        (node, kind): (u64, Kind),
        parts: Vec<MonitorPart>,
    ) -> Option<Part> {
        self.asked.remove(&(node, kind));
        let sight = self.nodes.get_mut(&node)?;
        let part = parts.into_iter().find(|part| part.node_id == node)?;
        match (kind, part.error) {
            (Kind::View, Some(error)) => sight.error = Some(error.text),
            (Kind::View, None) => {
                let up_ms = sight.number(UP_MS);
                sight.values = part.entries;
                if sight.number(UP_MS) < up_ms {
                    // It has started again; its events and the lines of its log count from 1.
                    (sight.events_old, sight.events_seen) = (Some(0), None);
                    sight.lines_seen = Some(0);
                }
                sight.heard_at_us = Some(now_us);
                let newest = sight.number("events/count");
                sight.events_old.get_or_insert(newest.saturating_sub(EVENTS_BEFORE));
                sight.error = None;
            }
            (Kind::Lines | Kind::Events, Some(_)) => {}
            (Kind::Events, None) => {
                sight.events_seen = Some(part.lines_seen);
                self.news.take(part.entries, sight.events_old.unwrap_or(0));
            }
            (Kind::Lines, None) => {
                sight.lines_seen = Some(part.lines_seen);
                return lines(node, &part.entries);
            }
        }
        None
    }
}

/// New lines of a node's log, if there are any.
fn lines(node: u64, entries: &[MonitorEntry]) -> Option<Part> {
    let line = |entry: &'_ MonitorEntry| match &entry.value {
        MonitorValue::Text(line) => {
            let n = entry.path.rsplit('/').next()?.parse().ok()?;
            Some((n, line.clone()))
        }
        MonitorValue::Flag(_) | MonitorValue::Number(_) => None,
    };
    let lines: Vec<(u64, String)> = entries.iter().filter_map(line).collect();
    let shown: Vec<Line<'_>> = lines.iter().map(|(n, line)| Line { node, n: *n, line }).collect();
    (!shown.is_empty()).then(|| pages::event("lines", &shown))
}

impl Sight {
    fn request(&self, node: u64, kind: Kind) -> MonitorRequest {
        let (what, interval_ms) = match kind {
            Kind::View => (VIEW, 0),
            // Streams are for those who go on asking.
            Kind::Lines => (LOG, PATIENCE_MS),
            Kind::Events => (EVENTS, PATIENCE_MS),
        };
        let seen = if kind == Kind::Events { self.events_seen } else { self.lines_seen };
        MonitorRequest {
            path: format!("/node/{node}/{what}"),
            timeout_ms: PATIENCE_MS,
            interval_ms,
            lines_seen: seen.map(|seen| (node, seen)).into_iter().collect(),
            ..MonitorRequest::default()
        }
    }

    /// Whether it answers, if it may be silent for so long. One that has just been asked for the
    /// first time is given that time, too.
    pub(super) fn answers(&self, now_us: u64, within_us: u64) -> bool {
        let since_us = self.heard_at_us.or(self.first_asked_us).unwrap_or(now_us);
        self.error.is_none() && now_us.saturating_sub(since_us) < within_us
    }

    /// A value of it.
    pub(super) fn value(&self, path: &str) -> Option<&MonitorValue> {
        self.values.iter().find(|entry| entry.path == path).map(|entry| &entry.value)
    }

    /// The same as a number; 0 if there is none.
    pub(super) fn number(&self, path: &str) -> u64 {
        match self.value(path) {
            Some(MonitorValue::Number(number)) => *number,
            Some(MonitorValue::Flag(_) | MonitorValue::Text(_)) | None => 0,
        }
    }

    /// The same as text.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        match self.value(path) {
            Some(MonitorValue::Text(text)) => Some(text),
            Some(MonitorValue::Flag(_) | MonitorValue::Number(_)) | None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(sights: &mut Sights, kind: Kind, part: MonitorPart) {
        let _ = sights.heard(1, (1, kind), vec![MonitorPart { node_id: 1, ..part }]);
    }

    fn view(up_ms: u64, events: u64) -> MonitorPart {
        let entry = |(path, number): (&str, u64)| MonitorEntry {
            path: path.to_owned(),
            value: number.into(),
            ..MonitorEntry::default()
        };
        let entries = [(UP_MS, up_ms), ("events/count", events)].map(entry).into();
        MonitorPart { entries, ..MonitorPart::default() }
    }

    #[test]
    fn what_a_node_that_started_again_says_is_all_new() {
        let mut sights = Sights::of(1);
        heard(&mut sights, Kind::View, view(5_000, 1_000));
        let part = MonitorPart { lines_seen: 1_000, ..MonitorPart::default() };
        heard(&mut sights, Kind::Events, part);
        let known = |sights: &Sights| (sights.own().events_old, sights.own().events_seen);
        assert_eq!(known(&sights), (Some(1_000 - EVENTS_BEFORE), Some(1_000)));
        heard(&mut sights, Kind::View, view(5_200, 1_000));
        assert_eq!(known(&sights), (Some(1_000 - EVENTS_BEFORE), Some(1_000)));
        heard(&mut sights, Kind::Lines, MonitorPart { lines_seen: 80, ..MonitorPart::default() });
        heard(&mut sights, Kind::View, view(5_400, 1_001));
        assert_eq!(sights.own().lines_seen, Some(80));
        heard(&mut sights, Kind::View, view(100, 7));
        assert_eq!((known(&sights), sights.own().lines_seen), ((Some(0), None), Some(0)));
    }
}
