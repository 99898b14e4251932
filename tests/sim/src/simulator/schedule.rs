//! What happens when: virtual time, and the events that lie ahead.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use kv_store::watching::Push;
use raft_core::types::NodeId;

use crate::simulator::network::{LinkId, Packet};
use crate::simulator::watch_actor::Letter;

/// Something that will happen. An event of an earlier life of a node is void.
#[derive(Debug)]
pub(crate) enum What {
    /// The node's clock ticks.
    Tick { node: usize, life: u64 },
    /// The node takes what is in its inbox, and a turn.
    Wake { node: usize, life: u64 },
    /// The node's disk has finished what it was doing.
    DiskDone { node: usize, life: u64 },
    /// The node's snapshot files are as the oldest order wants them.
    OrderDone { node: usize, life: u64 },
    /// The node tries again to write what found no room.
    WriteAgain { node: usize, life: u64 },
    /// The node's disk may have nothing to do, and then marks its log as synced.
    DiskIdle { node: usize, life: u64 },
    /// A message arrives.
    Deliver(Packet),
    /// A node learns that a link to it stands or has ended.
    LinkFact { node: usize, life: u64, fact: LinkFact },
    /// Somebody tries to open a link again.
    Connect(LinkId),
    /// A client may begin something.
    ClientStep { client: usize },
    /// A client has waited long enough for an attempt.
    ClientTimeout { attempt: u64 },
    /// An attempt arrives at its node.
    Request { node: usize, attempt: u64 },
    /// An answer arrives at its client.
    Answer { attempt: u64 },
    /// The watches of a node look into their mailbox.
    WatchWake { node: usize, life: u64 },
    /// A node reads what changed from a revision on.
    ReadChanges { node: usize, life: u64, from: u64 },
    /// A while has passed for the watches of a node.
    WatchTick { node: usize, life: u64 },
    /// What a client says of its watches arrives at its node.
    WatchLetter { node: usize, life: u64, letter: Letter },
    /// What a node says of a watch arrives at its client.
    WatchHears(Push),
    /// A client that watches learns that its connection is gone.
    WatchLost { connection: u64 },
    /// A client does something about its watches.
    WatchStep { watcher: usize },
    /// The operator asks for something.
    Operate,
    /// A fault.
    Strike,
    /// The power fails at a node.
    PowerFails { node: usize, life: u64 },
    /// A node that was down starts.
    Restart { node: usize },
    /// A machine that was added starts for the first time.
    Join { node: usize },
    /// A paused node goes on.
    Resume { node: usize },
    /// A partition ends.
    Unblock { partition: u64 },
    /// A slow disk is as fast as the others again.
    DiskRecovers { node: usize },
    /// The disks of a node have room again, and nothing fails any more.
    DiskWorks { node: usize },
    /// All faults end.
    Heal,
    /// After the healing: is everything as it should be?
    Judge,
}

impl What {
    /// Whether it is about watches, which change nothing for a cluster: events are counted
    /// without them.
    pub(crate) fn is_of_watches(&self) -> bool {
        matches!(
            self,
            Self::WatchWake { .. }
                | Self::ReadChanges { .. }
                | Self::WatchTick { .. }
                | Self::WatchLetter { .. }
                | Self::WatchHears(_)
                | Self::WatchLost { .. }
                | Self::WatchStep { .. }
        )
    }
}

/// A fact about a link, as its receiver is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LinkFact {
    /// It stands.
    Connected { peer: NodeId, connection: u64, feature_level: u16 },
    /// It has ended.
    Lost { peer: NodeId, connection: u64 },
}

/// Events in the order of their times, and of their making where times are equal.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    heap: BinaryHeap<Scheduled>,
    sequence: u64,
    now: u64,
}

#[derive(Debug)]
struct Scheduled {
    at: u64,
    sequence: u64,
    what: What,
}

impl Schedule {
    /// Virtual time. Units: microseconds.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Lets something happen after `delay_us`.
    pub(crate) fn after(&mut self, delay_us: u64, what: What) {
        self.at(self.now + delay_us, what);
    }

    /// Lets something happen at a point of time, or now if that is past.
    pub(crate) fn at(&mut self, at: u64, what: What) {
        self.sequence += 1;
        let (at, sequence) = (at.max(self.now), self.sequence);
        self.heap.push(Scheduled { at, sequence, what });
    }

    /// The next event; time goes on to it.
    pub(crate) fn next(&mut self) -> Option<What> {
        let Scheduled { at, what, .. } = self.heap.pop()?;
        self.now = at;
        Some(what)
    }
}

impl Ord for Scheduled {
    /// The heap gives out the greatest, so earlier is greater.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scheduled {}
