//! What a node can be asked about itself and the others while it runs, and what it answers.
//!
//! The values form a tree that `docs/monitor.md` describes. Everything here travels as maps, so
//! that later versions may say more.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

/// A question about values of the monitor, or the wish to set one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MonitorRequest {
    /// Which: `/node/<id>/...` is of one node, `/cluster/...` of every one.
    pub path: String,
    /// What to set it to; `None` asks what it is.
    pub value: Option<String>,
    /// 0 asks once. Otherwise the request stays open, under its id, and is answered as often as
    /// this until it is ended. Units: milliseconds.
    pub interval_ms: u64,
    /// How long nodes that do not answer are waited for. Units: milliseconds.
    pub timeout_ms: u64,
    /// Of a log: up to which line the asker has it, for each node; a node that is not named
    /// begins with its next line.
    pub lines_seen: Vec<(u64, u64)>,
}

/// What was found, for each node that was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MonitorAnswer {
    /// The nodes, by their ids. Node 0 stands for what is of no node.
    pub parts: Vec<MonitorPart>,
}

/// What was found at one node. All times are those of the nodes' own clocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MonitorPart {
    /// The node.
    pub node_id: u64,
    /// What it answered, by path.
    pub entries: Vec<MonitorEntry>,
    /// Why it did not.
    pub error: Option<MonitorError>,
    /// What the node's monotonic clock showed. Units: microseconds.
    pub clock_us: u64,
    /// What its calendar clock showed then. Units: microseconds since 1970.
    pub wall_us: u64,
    /// When the node that was asked first sent the question on, by its own monotonic clock; 0 if
    /// the part is of that node itself. Units: microseconds.
    pub asked_us: u64,
    /// The same for when it had the answer.
    pub heard_us: u64,
    /// Of a log: the number of the newest line here.
    pub lines_seen: u64,
    /// Of a log: how many lines were gone before they could be shown.
    pub lines_lost: u64,
}

/// One value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MonitorEntry {
    /// Where it stands in its node, without a slash at the beginning.
    pub path: String,
    /// What it is.
    pub value: MonitorValue,
    /// Whether it can be set.
    pub settable: bool,
}

/// What a value of the monitor is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MonitorValue {
    /// Yes or no.
    Flag(bool),
    /// A number, its unit at the end of the path.
    Number(u64),
    /// Anything else.
    Text(String),
}

/// Why a node gave no value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MonitorError {
    /// The number of the reason; a client may meet one that it does not know.
    pub code: u8,
    /// The reason, for people.
    pub text: String,
}

impl MonitorError {
    /// There is no such value.
    pub const UNKNOWN_PATH: u8 = 1;
    /// There is no such node.
    pub const UNKNOWN_NODE: u8 = 2;
    /// The value can be read and not set.
    pub const READ_ONLY: u8 = 3;
    /// It cannot be set to that.
    pub const BAD_VALUE: u8 = 4;
    /// The node gave no answer in time.
    pub const SILENT: u8 = 5;
    /// The node has too much of it under way, or none of it here.
    pub const NOT_HERE: u8 = 6;
}

impl Default for MonitorValue {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl std::fmt::Display for MonitorValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<bool> for MonitorValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<u64> for MonitorValue {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<String> for MonitorValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for MonitorValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Serialize for MonitorRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("path", &self.path)?;
        map.serialize_entry("value", &self.value)?;
        map.serialize_entry("interval_ms", &self.interval_ms)?;
        map.serialize_entry("timeout_ms", &self.timeout_ms)?;
        map.serialize_entry("lines_seen", &self.lines_seen)?;
        map.end()
    }
}

impl Serialize for MonitorAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("parts", &self.parts)?;
        map.end()
    }
}

impl Serialize for MonitorPart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(9))?;
        map.serialize_entry("node_id", &self.node_id)?;
        map.serialize_entry("entries", &self.entries)?;
        map.serialize_entry("error", &self.error)?;
        map.serialize_entry("clock_us", &self.clock_us)?;
        map.serialize_entry("wall_us", &self.wall_us)?;
        map.serialize_entry("asked_us", &self.asked_us)?;
        map.serialize_entry("heard_us", &self.heard_us)?;
        map.serialize_entry("lines_seen", &self.lines_seen)?;
        map.serialize_entry("lines_lost", &self.lines_lost)?;
        map.end()
    }
}

impl Serialize for MonitorEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("path", &self.path)?;
        map.serialize_entry("value", &self.value)?;
        map.serialize_entry("settable", &self.settable)?;
        map.end()
    }
}

impl Serialize for MonitorError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("code", &self.code)?;
        map.serialize_entry("text", &self.text)?;
        map.end()
    }
}
