//! The words of the commands that do something to a cluster, to see what happens.

use clap::{Args, Subcommand};

use crate::playground::{NodeName, Play, TimeScale};

/// What can be done to a cluster that may be played with. A node is its number, or leader.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum DevCommand {
    /// Ends a node as kill -9 does; its disk stays
    Kill {
        /// The node
        node: NodeName,
    },
    /// Starts a dead node again, or every dead node
    Revive {
        /// The node
        node: Option<NodeName>,
    },
    /// Makes a node stand still as SIGSTOP does, until it is resumed
    ///
    /// A node that was started with --playground is told for how long.
    Pause {
        /// The node
        node: NodeName,
        /// For how long at most, in milliseconds
        ms: Option<u64>,
    },
    /// Lets a paused node go on, or every paused node
    Resume {
        /// The node
        node: Option<NodeName>,
    },
    /// Loses whatever two nodes send each other
    Cut {
        #[command(flatten)]
        link: Link,
    },
    /// Mends a link that is cut or delayed, or every link
    Heal {
        /// One end of the link
        #[arg(requires = "other")]
        one: Option<NodeName>,
        /// The other end
        other: Option<NodeName>,
    },
    /// Lets all that two nodes send each other come later
    Delay {
        #[command(flatten)]
        link: Link,
        /// How much later, in milliseconds; 0 ends it
        ms: u64,
    },
    /// Starts one more node, which joins; new nodes vote in pairs
    Add,
    /// Removes a node for ever
    Remove {
        /// The node
        node: NodeName,
    },
    /// Hands leadership to a node
    Transfer {
        /// The node
        node: NodeName,
    },
    /// Makes a node stand for election, although there is a leader
    Campaign {
        /// The node
        node: NodeName,
    },
    /// Makes the leader lead no more, and name no successor
    StepDown {
        /// The node [default: whoever leads]
        node: Option<NodeName>,
    },
    /// Makes time pass so many times as slow for all nodes as it does here
    TimeScale {
        /// 2 is half as fast, 0.5 twice as fast
        scale: TimeScale,
    },
    /// Makes time stand still for all nodes: no timer runs, and nothing leaves a node
    Freeze,
    /// Lets time go on
    Thaw,
    /// Lets a little time pass while time stands still
    Step {
        /// How much, in milliseconds
        ms: u64,
    },
}

/// Two nodes, in the direction that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
pub(crate) struct Link {
    /// One end of the link
    from: NodeName,
    /// The other end
    to: NodeName,
    /// Only what goes from the first to the second
    #[arg(long)]
    one_way: bool,
}

impl DevCommand {
    /// What is to be done.
    pub(crate) fn to_play(&self) -> Play {
        match *self {
            Self::Kill { node } => Play::Kill(node),
            Self::Revive { node } => Play::Revive(node),
            Self::Pause { node, ms } => Play::Pause { node, for_ms: ms },
            Self::Resume { node } => Play::Resume(node),
            Self::Cut { link: Link { from, to, one_way } } => {
                Play::Cut { link: (from, to), one_way }
            }
            Self::Heal { one, other } => Play::Heal(one.zip(other)),
            Self::Delay { link: Link { from, to, one_way }, ms } => {
                Play::Delay { link: (from, to), one_way, delay_ms: ms }
            }
            Self::Add => Play::Add,
            Self::Remove { node } => Play::Remove(node),
            Self::Transfer { node } => Play::Transfer(node),
            Self::Campaign { node } => Play::Campaign(node),
            Self::StepDown { node } => Play::StepDown(node.unwrap_or(NodeName::Leader)),
            Self::TimeScale { scale } => Play::TimeScale(scale),
            Self::Freeze => Play::Freeze,
            Self::Thaw => Play::Thaw,
            Self::Step { ms } => Play::Step(ms),
        }
    }
}
