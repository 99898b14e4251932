//! What can be done to a cluster that may be played with, to see what happens.

use std::fmt;
use std::str::FromStr;

use raft_core::types::NodeId;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

pub use super::time_scale::TimeScale;

/// The longest pause that ends by itself. Units: milliseconds.
pub const PAUSE_MS_MAX: u64 = 3_600_000;

/// The longest step. Units: milliseconds.
pub const STEP_MS_MAX: u64 = 60_000;

/// A node as a person names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeName {
    /// By its number.
    Number(NodeId),
    /// Whoever leads when it is done.
    Leader,
}

/// Something to be done. Where a node may be left out, every node that it can be done to is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Play {
    /// End a node as `kill -9` does.
    Kill(NodeName),
    /// Start a dead node again.
    Revive(Option<NodeName>),
    /// Make a node stand still, as SIGSTOP does.
    Pause {
        /// The node.
        node: NodeName,
        /// For how long; until it is resumed, if it is not said. Units: milliseconds.
        for_ms: Option<u64>,
    },
    /// Let a node go on that stands still.
    Resume(Option<NodeName>),
    /// Lose what goes from one node to another.
    Cut {
        /// Both ends, in the direction that is meant.
        link: (NodeName, NodeName),
        /// Whether what goes the other way still arrives.
        one_way: bool,
    },
    /// Mend a link, or all of them.
    Heal(Option<(NodeName, NodeName)>),
    /// Let what goes from one node to another come later.
    Delay {
        /// Both ends, in the direction that is meant.
        link: (NodeName, NodeName),
        /// Whether what goes the other way comes at once.
        one_way: bool,
        /// How much later; zero is at once. Units: milliseconds.
        delay_ms: u64,
    },
    /// Start a new node, which joins.
    Add,
    /// Remove a node for ever.
    Remove(NodeName),
    /// Hand leadership to a node.
    Transfer(NodeName),
    /// Make a node stand for election.
    Campaign(NodeName),
    /// Make a node give up leadership; the leader, if none is named.
    StepDown(NodeName),
    /// Make time pass so much slower for all nodes than it does outside.
    TimeScale(TimeScale),
    /// Make time stand still for all nodes.
    Freeze,
    /// Let time go on.
    Thaw,
    /// Let so much time pass while time stands still. Units: milliseconds.
    Step(u64),
}

/// The same as it travels: a map of what is said.
///
/// A field that the node does not know is an error: part of an order is another order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlayOrder {
    /// What is to be done: `kill`, `revive`, `pause`, `resume`, `cut`, `heal`, `delay`, `add`,
    /// `remove`, `transfer`, `campaign`, `step-down`, `time-scale`, `freeze`, `thaw` or `step`.
    pub action: String,
    /// To which node; 0 is whoever leads.
    pub node: Option<u64>,
    /// The other end of a link.
    pub other: Option<u64>,
    /// How long a pause or a step is, or how much later what is sent comes. Units: milliseconds.
    pub ms: Option<u64>,
    /// Whether only what goes from `node` to `other` is meant.
    pub one_way: bool,
    /// How much slower time is to pass. Units: hundredths.
    pub percent: Option<u64>,
}

/// What became of an order. Travels as a map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Played {
    /// Whether it was done; otherwise nothing was changed.
    pub is_done: bool,
    /// What was done, or why it was not, on one line for people.
    pub text: String,
}

impl FromStr for NodeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("leader") {
            return Ok(Self::Leader);
        }
        match text.parse().ok().and_then(NodeId::new) {
            Some(id) => Ok(Self::Number(id)),
            None => Err(format!("{text:?} is not a node: give its number, or leader")),
        }
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(id) => write!(f, "node {id}"),
            Self::Leader => f.write_str("the leader"),
        }
    }
}

impl NodeName {
    fn number(self) -> u64 {
        match self {
            Self::Number(id) => id.number(),
            Self::Leader => 0,
        }
    }

    fn of(number: u64) -> Self {
        NodeId::new(number).map_or(Self::Leader, Self::Number)
    }
}

impl From<Play> for PlayOrder {
    fn from(play: Play) -> Self {
        let of = |action: &str, node: Option<NodeName>| Self {
            action: action.to_owned(),
            node: node.map(NodeName::number),
            ..Self::default()
        };
        let link = |action: &str, (from, to): (NodeName, NodeName), one_way: bool| Self {
            other: Some(to.number()),
            one_way,
            ..of(action, Some(from))
        };
        match play {
            Play::Kill(node) => of("kill", Some(node)),
            Play::Revive(node) => of("revive", node),
            Play::Pause { node, for_ms } => Self { ms: for_ms, ..of("pause", Some(node)) },
            Play::Resume(node) => of("resume", node),
            Play::Cut { link: ends, one_way } => link("cut", ends, one_way),
            Play::Heal(None) => of("heal", None),
            Play::Heal(Some(ends)) => link("heal", ends, false),
            Play::Delay { link: ends, one_way, delay_ms } => {
                Self { ms: Some(delay_ms), ..link("delay", ends, one_way) }
            }
            Play::Add => of("add", None),
            Play::Remove(node) => of("remove", Some(node)),
            Play::Transfer(node) => of("transfer", Some(node)),
            Play::Campaign(node) => of("campaign", Some(node)),
            Play::StepDown(node) => of("step-down", Some(node)),
            Play::TimeScale(TimeScale { percent }) => {
                Self { percent: Some(percent), ..of("time-scale", None) }
            }
            Play::Freeze => of("freeze", None),
            Play::Thaw => of("thaw", None),
            Play::Step(ms) => Self { ms: Some(ms), ..of("step", None) },
        }
    }
}

impl PlayOrder {
    /// What is to be done, if it makes sense whoever the nodes are.
    ///
    /// Errors: one line that says what does not, for the client.
    pub fn to_play(&self) -> Result<Play, String> {
        let Self { action, node, other, ms, one_way, percent } = self;
        let node = node.map(NodeName::of);
        let named = || node.ok_or_else(|| format!("{action}: name a node"));
        let link = || match (node, other.map(NodeName::of)) {
            (Some(from), Some(to)) => Ok((from, to)),
            _ => Err(format!("{action}: name both ends of a link")),
        };
        let one_way = *one_way;
        Ok(match action.as_str() {
            "kill" => Play::Kill(named()?),
            "revive" => Play::Revive(node),
            "pause" => match ms {
                Some(ms) if !(1..=PAUSE_MS_MAX).contains(ms) => {
                    return Err(format!("a pause has 1 to {PAUSE_MS_MAX} ms, not {ms}"));
                }
                for_ms => Play::Pause { node: named()?, for_ms: *for_ms },
            },
            "resume" => Play::Resume(node),
            "cut" => Play::Cut { link: link()?, one_way },
            "heal" if node.is_none() && other.is_none() => Play::Heal(None),
            "heal" => Play::Heal(Some(link()?)),
            "delay" => {
                let delay_ms = ms.ok_or_else(|| "delay: say how many ms".to_owned())?;
                Play::Delay { link: link()?, one_way, delay_ms }
            }
            "add" => Play::Add,
            "remove" => Play::Remove(named()?),
            "transfer" => Play::Transfer(named()?),
            "campaign" => Play::Campaign(named()?),
            "step-down" => Play::StepDown(node.unwrap_or(NodeName::Leader)),
            "time-scale" => {
                let percent = percent.ok_or_else(|| "time-scale: say how much".to_owned())?;
                Play::TimeScale(TimeScale::of_percent(percent)?)
            }
            "freeze" => Play::Freeze,
            "thaw" => Play::Thaw,
            "step" => match ms {
                Some(ms) if (1..=STEP_MS_MAX).contains(ms) => Play::Step(*ms),
                Some(_) | None => return Err(format!("a step has 1 to {STEP_MS_MAX} ms")),
            },
            other => {
                let shown: String = other.escape_debug().take(40).collect();
                return Err(format!("there is nothing to play called \"{shown}\""));
            }
        })
    }
}

/// By hand because everything else after the preface travels as arrays.
impl Serialize for PlayOrder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Earlier versions do not know the last one, and refuse what they do not know.
        let fields = if self.percent.is_some() { 6 } else { 5 };
        let mut map = serializer.serialize_map(Some(fields))?;
        map.serialize_entry("action", &self.action)?;
        map.serialize_entry("node", &self.node)?;
        map.serialize_entry("other", &self.other)?;
        map.serialize_entry("ms", &self.ms)?;
        map.serialize_entry("one_way", &self.one_way)?;
        if let Some(percent) = &self.percent {
            map.serialize_entry("percent", percent)?;
        }
        map.end()
    }
}

impl Serialize for Played {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("is_done", &self.is_done)?;
        map.serialize_entry("text", &self.text)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_travels_and_comes_back() {
        let (two, leader) = (NodeName::Number(NodeId::new(2).unwrap()), NodeName::Leader);
        let link = (leader, two);
        for play in [
            Play::Kill(leader),
            Play::Revive(None),
            Play::Revive(Some(two)),
            Play::Pause { node: two, for_ms: None },
            Play::Pause { node: two, for_ms: Some(5) },
            Play::Resume(None),
            Play::Cut { link, one_way: true },
            Play::Heal(None),
            Play::Heal(Some(link)),
            Play::Delay { link, one_way: false, delay_ms: 0 },
            Play::Add,
            Play::Remove(two),
            Play::Transfer(two),
            Play::Campaign(two),
            Play::StepDown(leader),
            Play::TimeScale("2.5".parse().unwrap()),
            Play::Freeze,
            Play::Thaw,
            Play::Step(50),
        ] {
            assert_eq!(PlayOrder::from(play).to_play(), Ok(play));
        }
    }

    #[test]
    fn an_order_that_makes_no_sense_is_refused_with_the_reason() {
        let order = |action: &str| PlayOrder { action: action.to_owned(), ..Default::default() };
        for (order, words) in [
            (order("kill"), "kill: name a node"),
            (PlayOrder { node: Some(1), ..order("cut") }, "cut: name both ends"),
            (PlayOrder { node: Some(1), ..order("heal") }, "heal: name both ends"),
            (PlayOrder { node: Some(1), other: Some(2), ..order("delay") }, "say how many ms"),
            (PlayOrder { node: Some(1), ms: Some(0), ..order("pause") }, "1 to 3600000 ms"),
            (order("time-scale"), "time-scale: say how much"),
            (PlayOrder { percent: Some(9), ..order("time-scale") }, "from 0.1 to 100"),
            (order("step"), "a step has 1 to 60000 ms"),
            (order("frob\n"), "nothing to play called \"frob\\n\""),
        ] {
            let error = order.to_play().unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn nodes_are_named_by_number_or_as_the_leader() {
        assert_eq!("LEADER".parse(), Ok(NodeName::Leader));
        assert_eq!("7".parse::<NodeName>().unwrap().to_string(), "node 7");
        for bad in ["0", "two", "-1", ""] {
            let error = bad.parse::<NodeName>().unwrap_err();
            assert!(error.contains("is not a node: give its number, or leader"), "{error}");
        }
    }
}
