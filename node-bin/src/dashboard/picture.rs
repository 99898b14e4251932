//! What pages are shown of the cluster: pure.

use std::collections::BTreeMap;

use raft_net::client_protocol::{MonitorEntry, MonitorValue};
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use super::sights::{Sight, Sights};
use super::surroundings::{Lives, PlayedLesson, SpoiltLink, Surroundings};
use crate::monitor::values::NEWEST;

/// After so long without an answer a node counts as silent. Units: microseconds.
const SILENT_AFTER_US: u64 = 1_200_000;

/// The same of a node that somebody has made stand still, perhaps for a while only. Units:
/// microseconds.
const STILL_AFTER_US: u64 = 450_000;

/// So much behind what is committed a node is still ready. Units: entries.
const BEHIND_ENTRIES_MAX: u64 = 1_000;

/// Values that change while nothing happens.
const RESTLESS: [&str; 6] = [
    "clock/up_ms",
    "clock/wall_us",
    "cpu/used_ms",
    "load",
    "memory/resident_bytes",
    "events/count",
];

/// The whole cluster at a moment.
#[derive(Debug, Serialize)]
pub(super) struct Picture {
    at_us: u64,
    leader: Option<u64>,
    term: u64,
    scale: f64,
    frozen: bool,
    nodes: Vec<Node>,
    links: Vec<SpoiltLink>,
    alarms: Vec<Alarm>,
    health: Vec<Health>,
    lesson: Option<PlayedLesson>,
}

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Up,
    Silent,
    Dead,
    Paused,
}

#[derive(Debug, PartialEq, Serialize)]
struct Node {
    id: u64,
    address: String,
    state: State,
    error: Option<String>,
    /// Of a node that is up, as is what follows up to `values`.
    role: Option<String>,
    term: Option<u64>,
    vote: Option<u64>,
    leader: Option<u64>,
    member: String,
    timer: Option<Timer>,
    /// What it said last.
    values: Values,
    log: Option<Log>,
}

/// The election timer as it passes outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Timer {
    left_ms: u64,
    of_ms: u64,
}

#[derive(Debug, PartialEq, Serialize)]
struct Log {
    snapshot: u64,
    commit: u64,
    first: u64,
    last: u64,
    /// Index, term, kind and length of each, oldest first.
    entries: Vec<(u64, u64, String, u64)>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Alarm {
    node: u64,
    alarm: &'static str,
    text: &'static str,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Health {
    node: u64,
    ready: bool,
    text: String,
}

/// Values by path.
#[derive(Debug)]
struct Values(Vec<MonitorEntry>);

impl PartialEq for Values {
    /// Whether something has happened between them.
    fn eq(&self, other: &Self) -> bool {
        let is_calm = |entry: &&MonitorEntry| !RESTLESS.contains(&entry.path.as_str());
        self.0.iter().filter(is_calm).eq(other.0.iter().filter(is_calm))
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = self.0.iter().filter(|entry| entry.path != NEWEST);
        let mut map = serializer.serialize_map(None)?;
        for entry in shown {
            map.serialize_entry(&entry.path, &entry.value)?;
        }
        map.end()
    }
}

impl Picture {
    /// What is known now.
    pub(super) fn of(at_us: u64, sights: &Sights, now_us: u64, around: &Surroundings) -> Self {
        let nodes: Vec<Node> = sights
            .nodes()
            .iter()
            .map(|(&id, sight)| {
                let state = state_of(sight, around.lives(id), now_us);
                Node::of(id, state, sight, sights.own(), around.scale_percent)
            })
            .collect();
        let up = || nodes.iter().filter(|node| node.state == State::Up);
        let leads = |node: &&Node| node.role.as_deref() == Some("leader");
        let leader = up().filter(leads).max_by_key(|node| node.term).map(|node| node.id);
        let (alarms, health) =
            (up().flat_map(Node::alarms).collect(), nodes.iter().map(Node::health).collect());
        Self {
            at_us,
            leader,
            term: up().filter_map(|node| node.term).max().unwrap_or(0),
            scale: hundredths(around.scale_percent),
            frozen: around.is_frozen,
            links: around.links.clone(),
            alarms,
            health,
            lesson: around.lesson.clone(),
            nodes,
        }
    }

    /// Whether nothing has happened between them.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let rest = |it: &Self| (it.leader, it.term, it.scale.to_bits(), it.frozen);
        rest(self) == rest(other)
            && self.nodes == other.nodes
            && self.links == other.links
            && (&self.alarms, &self.health) == (&other.alarms, &other.health)
            && self.lesson == other.lesson
    }
}

/// A number of hundredths.
fn hundredths(number: u64) -> f64 {
    // Nothing is stretched so much that this loses a hundredth.
    f64::from(u32::try_from(number).unwrap_or(u32::MAX)) / 100.0
}

fn state_of(sight: &Sight, lives: Option<Lives>, now_us: u64) -> State {
    let (within_us, otherwise) = match lives {
        Some(Lives::Dead) => return State::Dead,
        Some(Lives::Paused) => (STILL_AFTER_US, State::Paused),
        Some(Lives::Runs) | None => (SILENT_AFTER_US, State::Silent),
    };
    if sight.answers(now_us, within_us) { State::Up } else { otherwise }
}

impl Node {
    fn of(id: u64, state: State, sight: &Sight, own: &Sight, scale_percent: u64) -> Self {
        let is_up = state == State::Up && !sight.values.is_empty();
        let number = |path| is_up.then(|| sight.number(path));
        let member = match sight.text("raft/member").filter(|_| is_up) {
            Some(member) => member.to_owned(),
            None => member_of(id, own).to_owned(),
        };
        Self {
            id,
            address: sight.address.clone(),
            state,
            error: sight.error.clone().filter(|_| state == State::Silent),
            role: sight.text("raft/role").filter(|_| is_up).map(str::to_owned),
            term: number("raft/term"),
            vote: number("raft/vote").filter(|id| *id != 0),
            leader: number("raft/leader").filter(|id| *id != 0),
            member,
            timer: Timer::of(sight, scale_percent).filter(|_| is_up),
            values: Values(sight.values.clone()),
            log: (!sight.values.is_empty()).then(|| Log::of(sight)),
        }
    }

    fn alarms(&self) -> Vec<Alarm> {
        let values: BTreeMap<&str, &MonitorValue> =
            self.values.0.iter().map(|entry| (entry.path.as_str(), &entry.value)).collect();
        let number = |path| match values.get(path) {
            Some(MonitorValue::Number(number)) => *number,
            Some(MonitorValue::Flag(_) | MonitorValue::Text(_)) | None => 0,
        };
        let memory_max = number("store/memory_max");
        let is_full = 0 < memory_max && memory_max <= number("store/live_bytes");
        let is_fenced = values.get("raft/fenced") == Some(&&MonitorValue::Flag(true));
        let full = "live data takes as much memory as it may; what adds to it is refused";
        let fenced = "its state differs from the majority's and waits to be replaced";
        [(is_full, "nospace", full), (is_fenced, "corrupt", fenced)]
            .into_iter()
            .filter(|(is_on, ..)| *is_on)
            .map(|(_, alarm, text)| Alarm { node: self.id, alarm, text })
            .collect()
    }

    fn health(&self) -> Health {
        let why = match self.state {
            State::Dead => "it is dead",
            State::Paused => "it stands still",
            State::Silent => "it does not answer",
            State::Up if self.role.as_deref() == Some("removed") => "it was removed",
            State::Up if self.leader.is_none() => "no leader is known: too few are reached",
            State::Up if !self.alarms().iter().all(|alarm| alarm.alarm != "corrupt") => {
                "its state differs from the majority's"
            }
            State::Up if self.is_behind() => "it is behind what is committed",
            State::Up => "",
        };
        Health { node: self.id, ready: why.is_empty(), text: why.to_owned() }
    }

    fn is_behind(&self) -> bool {
        let applied = self.values.0.iter().find(|entry| entry.path == "raft/applied");
        let applied = match applied.map(|entry| &entry.value) {
            Some(MonitorValue::Number(applied)) => *applied,
            Some(MonitorValue::Flag(_) | MonitorValue::Text(_)) | None => 0,
        };
        self.log.as_ref().is_some_and(|log| applied.saturating_add(BEHIND_ENTRIES_MAX) < log.commit)
    }
}

/// What a node that does not say so itself is in the cluster, by the word of the one that looks.
fn member_of(id: u64, own: &Sight) -> &'static str {
    let is_in = |path| {
        let list = own.text(path).unwrap_or_default();
        list.split(',').any(|member| member.parse() == Ok(id))
    };
    if is_in("raft/voters") {
        "voter"
    } else if is_in("raft/learners") {
        "learner"
    } else {
        "outgoing"
    }
}

impl Timer {
    fn of(sight: &Sight, scale_percent: u64) -> Option<Self> {
        sight.value("raft/timer_of_ms")?;
        let outside = |ms: u64| ms.saturating_mul(scale_percent) / 100;
        Some(Self {
            left_ms: outside(sight.number("raft/timer_left_ms")),
            of_ms: outside(sight.number("raft/timer_of_ms")),
        })
    }
}

impl Log {
    fn of(sight: &Sight) -> Self {
        let newest = sight.text(NEWEST).unwrap_or_default();
        let entries: Vec<_> = newest.split(';').filter_map(entry).collect();
        let (snapshot, last) = (sight.number("raft/snapshot"), sight.number("raft/last"));
        Self {
            snapshot,
            commit: sight.number("raft/commit"),
            first: entries.first().map_or(last.saturating_add(1), |entry| entry.0),
            last,
            entries,
        }
    }
}

/// Reads an entry as `monitor::newest` writes it.
fn entry(text: &str) -> Option<(u64, u64, String, u64)> {
    let mut words = text.split(' ');
    let index = words.next()?.parse().ok()?;
    let term = words.next()?.parse().ok()?;
    let kind = words.next()?.to_owned();
    Some((index, term, kind, words.next()?.parse().ok()?))
}
