//! What a leader shows of those that it leads.

use crate::consensus::progress::Flow;
use crate::consensus::raft::{Raft, Role};
use crate::types::{Index, NodeId, Time};

/// How a leader sends entries to a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// One append at a time, until it is known where the logs agree.
    Probes,
    /// One append behind the other.
    Replicates,
    /// A snapshot, in the place of entries that nobody has any more.
    Snapshot {
        /// What has arrived. Units: bytes.
        arrived_bytes: u64,
        /// All of it. Units: bytes.
        bytes: u64,
    },
}

/// How far a member is, as its leader knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerProgress {
    /// Which member.
    pub id: NodeId,
    /// The last entry that is known to be on its disk.
    pub match_index: Index,
    /// The first entry that was not sent yet.
    pub next_index: Index,
    /// How entries go to it.
    pub pace: Pace,
    /// Appends that it has not answered.
    pub in_flight: usize,
    /// Whether a control link from it stands.
    pub is_linked: bool,
    /// When it was last heard of under this leader, and its word counted.
    pub heard_at: Option<Time>,
    /// How long a heartbeat took to it and back lately; `None` if that is not known yet. Units:
    /// microseconds.
    pub round_trip_us: Option<u64>,
    /// The highest feature level that it can apply; `None` if it is not connected.
    pub feature_level_max: Option<u16>,
    /// Whether its disk has no room for the log.
    pub disk_is_full: bool,
}

impl Raft {
    /// How far every other member is; nothing unless this node leads.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerProgress> {
        let Role::Leader(leader) = &self.role else { return Vec::new() };
        let peer = |(id, progress): (&NodeId, &super::progress::Progress)| {
            let (pace, in_flight) = match &progress.flow {
                Flow::Probe { sent_at } => (Pace::Probes, usize::from(sent_at.is_some())),
                Flow::Replicate { in_flight, .. } => (Pace::Replicates, in_flight.len()),
                Flow::Snapshot(transfer) => {
                    let (arrived_bytes, bytes) = (transfer.acked_offset, transfer.id.bytes);
                    (Pace::Snapshot { arrived_bytes, bytes }, 0)
                }
            };
            PeerProgress {
                id: *id,
                match_index: progress.match_index(),
                next_index: progress.next_index(),
                pace,
                in_flight,
                is_linked: self.state.links.contains_key(id),
                heard_at: progress.heard_at,
                round_trip_us: progress.round_trip.last_us,
                feature_level_max: self.state.levels.get(id).copied(),
                disk_is_full: progress.disk_is_full,
            }
        };
        leader.progress.iter().map(peer).collect()
    }
}
