//! One event as a node wrote it.

use serde_json::{Map, Value};

use crate::events::words;
use crate::utc;

/// Every kind of event, beside those of later versions.
pub const KINDS: [&str; 36] = [
    "started",
    "role",
    "timer",
    "vote_asked",
    "vote_given",
    "vote_refused",
    "vote_counted",
    "message",
    "appended",
    "replaced",
    "persisted",
    "committed",
    "behind",
    "caught_up",
    "snapshot",
    "members",
    "link",
    "waiting",
    "admitted",
    "removed",
    "fenced",
    "no_majority_of_states",
    "disk_full",
    "memory_full",
    "slow_disk",
    "foreign_node",
    // What is done to the nodes of one process from outside, and what a report says of itself.
    "killed",
    "stopped",
    "failed",
    "paused",
    "resumed",
    "cut",
    "healed",
    "delayed",
    "left_out",
    "lost",
];

/// Something that happened on a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The node.
    pub node: u64,
    /// Counted from 1 in each run of the node; 0 if somebody else tells of it.
    pub seq: u64,
    /// When, by the calendar of the node. Units: microseconds since 1970.
    pub at_us: u64,
    /// Which kind.
    pub kind: String,
    /// The document that the node wrote, on one line.
    pub json: String,
    fields: Map<String, Value>,
}

impl Event {
    /// Reads an event; `None` if it is none.
    #[must_use]
    pub fn read(json: &str) -> Option<Self> {
        let Value::Object(fields) = serde_json::from_str(json).ok()? else { return None };
        let number = |name: &str| fields.get(name).and_then(Value::as_u64);
        Some(Self {
            node: number("node")?,
            seq: number("seq").unwrap_or(0),
            at_us: number("at_us")?,
            kind: fields.get("event")?.as_str()?.to_owned(),
            // Written anew, so that it surely stands on one line.
            json: serde_json::to_string(&fields).ok()?,
            fields,
        })
    }

    /// A field of it.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.field(name).and_then(Value::as_u64)
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.field(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.field(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Whether it is a message that only keeps a leader in its place, or an answer to one.
    #[must_use]
    pub fn is_heartbeat(&self) -> bool {
        self.is("is_heartbeat")
    }

    /// Whether it is of a kind that comes again and again while nothing special happens.
    #[must_use]
    pub fn is_frequent(&self) -> bool {
        matches!(self.kind.as_str(), "message" | "appended" | "persisted" | "committed")
    }

    /// What happened, in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        words::of(self)
    }
}

/// Puts the events of several nodes in the order of their times.
pub fn merge(events: &mut [Event]) {
    events.sort_by_key(|event| (event.at_us, event.node, event.seq));
}

/// A time of day with microseconds, in UTC.
#[must_use]
pub fn clock(at_us: u64) -> String {
    let date = utc::date(at_us / 1_000);
    let time = date.split_once('T').map_or("", |(_, time)| time.trim_end_matches('Z'));
    format!("{time}.{:06}", at_us % 1_000_000)
}
