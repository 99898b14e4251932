//! What is on its way to peers that somebody has moved far away.
//!
//! Limit: `HELD_BYTES_MAX` together; what does not fit is dropped, as by a link that is full.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use raft_core::consensus::message::{Envelope, Message};
use raft_core::types::NodeId;
use tokio::time::Instant;

use crate::preface::LinkClass;
use crate::publication::Counted;

/// How much may be on its way. Units: bytes.
const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What one packet takes beside entries and the like. Units: bytes.
const PACKET_BYTES: usize = 128;

/// Something for a peer.
#[derive(Debug)]
pub(crate) enum Packet {
    Envelope(Envelope),
    Publications(Counted),
}

impl Packet {
    fn bytes(&self) -> usize {
        let carried = match self {
            Self::Envelope(envelope) => match &envelope.message {
                Message::AppendEntries { entries, .. } => {
                    entries.iter().map(|run| run.bytes().len()).sum()
                }
                Message::Forward { commands } => commands.len(),
                Message::InstallSnapshot { data, .. } => data.len(),
                _ => 0,
            },
            Self::Publications((frame, _)) => frame.len(),
        };
        PACKET_BYTES + carried
    }
}

#[derive(Debug)]
struct Waiting {
    due: Instant,
    class: LinkClass,
    packet: Packet,
}

/// Packets in the order in which they leave, for each peer.
#[derive(Debug, Default)]
pub(crate) struct Held {
    peers: BTreeMap<NodeId, VecDeque<Waiting>>,
    bytes: usize,
}

impl Held {
    /// Keeps a packet for so long, and behind whatever waits for the same peer already: a delay
    /// that was made shorter lets nothing overtake.
    pub(crate) fn keep(
        &mut self,
        now: Instant,
        delay: Duration,
        (to, class): (NodeId, LinkClass),
        packet: Packet,
    ) {
        let bytes = packet.bytes();
        if HELD_BYTES_MAX < self.bytes + bytes {
            return;
        }
        self.bytes += bytes;
        let queue = self.peers.entry(to).or_default();
        let due = queue.back().map_or(now + delay, |last| last.due.max(now + delay));
        queue.push_back(Waiting { due, class, packet });
    }

    /// Whether something waits for this peer.
    pub(crate) fn has(&self, to: NodeId) -> bool {
        self.peers.contains_key(&to)
    }

    /// When the next packet leaves.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.peers.values().filter_map(|queue| queue.front()).map(|first| first.due).min()
    }

    /// Takes what is due, in order for each peer.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<(NodeId, LinkClass, Packet)> {
        let mut due = Vec::new();
        for (&to, queue) in &mut self.peers {
            while queue.front().is_some_and(|first| first.due <= now)
                && let Some(Waiting { class, packet, .. }) = queue.pop_front()
            {
                self.bytes -= packet.bytes();
                due.push((to, class, packet));
            }
        }
        self.peers.retain(|_, queue| !queue.is_empty());
        due
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const LINK: LinkClass = LinkClass::Bulk;

    fn packet(bytes: usize) -> Packet {
        Packet::Publications((Bytes::from(vec![0; bytes]), 1))
    }

    fn lengths(taken: Vec<(NodeId, LinkClass, Packet)>) -> Vec<(u64, usize)> {
        let length = |(to, _, packet): (NodeId, LinkClass, Packet)| match packet {
            Packet::Publications((frame, _)) => (to.number(), frame.len()),
            Packet::Envelope(_) => unreachable!("there are none here"),
        };
        taken.into_iter().map(length).collect()
    }

    #[test]
    fn packets_leave_when_they_are_due_and_overtake_nothing_of_the_same_peer() {
        let (now, ms) = (Instant::now(), Duration::from_millis);
        let [one, two] = [1, 2].map(|number| NodeId::new(number).unwrap());
        let mut held = Held::default();
        held.keep(now, ms(20), (one, LINK), packet(1));
        held.keep(now, ms(10), (two, LINK), packet(2));
        held.keep(now + ms(1), ms(5), (one, LINK), packet(3));
        assert_eq!(held.next_due(), Some(now + ms(10)));
        assert_eq!(lengths(held.take_due(now + ms(9))), []);
        assert_eq!(lengths(held.take_due(now + ms(10))), [(2, 2)]);
        assert!(held.has(one) && !held.has(two));
        assert_eq!(lengths(held.take_due(now + ms(20))), [(1, 1), (1, 3)]);
        assert_eq!((held.next_due(), held.bytes), (None, 0));
    }

    #[test]
    fn what_does_not_fit_is_dropped() {
        let (now, to) = (Instant::now(), (NodeId::new(1).unwrap(), LINK));
        let mut held = Held::default();
        held.keep(now, Duration::ZERO, to, packet(HELD_BYTES_MAX - PACKET_BYTES - 1));
        held.keep(now, Duration::ZERO, to, packet(1));
        assert_eq!(held.take_due(now).len(), 1);
        held.keep(now, Duration::ZERO, to, packet(1));
        assert_eq!(held.take_due(now).len(), 1, "there is room again");
    }
}
