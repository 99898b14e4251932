//! A leader sends a snapshot to a follower whose next entries it does not have any more
//! (Raft §7), piece by piece over the bulk link; entries of other followers go on meanwhile.

use bytes::Bytes;

use crate::consensus::leader::Leader;
use crate::consensus::message::Message;
use crate::consensus::progress::Progress;
use crate::consensus::ready::SnapshotRead;
use crate::consensus::state::State;
use crate::snapshot::SnapshotId;
use crate::teeth::is_removed;
use crate::types::{Index, NodeId, Time};

impl Leader {
    /// Begins a snapshot if the follower needs one, is there, and one is at hand.
    pub(super) fn replace_entries_by_snapshot(&mut self, state: &State, now: Time, peer: NodeId) {
        let progress = self.progress.get_mut(&peer).expect("a member has progress (I12)");
        let base = state.log.base().index;
        let is_behind = progress.next_index() <= base;
        let is_there = progress.is_there && !is_removed("snapshots-go-unasked");
        if !is_behind || !is_there || progress.snapshot_under_way().is_some() {
            return;
        }
        if let Some(id) = state.snapshot.filter(|id| base <= id.last.index) {
            progress.begin_snapshot(now, id, state.config.snapshot_piece_bytes);
        }
    }

    /// Begins a snapshot for a follower whose state is wrong, if one is at hand.
    pub(super) fn rebuild_by_snapshot(&mut self, state: &State, now: Time, peer: NodeId) {
        let progress = self.progress.get_mut(&peer).expect("a member has progress (I12)");
        let Some(least) = progress.wants_rebuild() else { return };
        if let Some(id) = state.snapshot.filter(|id| least <= id.last.index) {
            progress.begin_rebuild(now, id, state.config.snapshot_piece_bytes);
        }
    }

    /// Notes that a member wants its state replaced by a snapshot that covers `least`.
    pub(crate) fn ask_rebuild(&mut self, peer: NodeId, least: Index) {
        if let Some(progress) = self.progress.get_mut(&peer) {
            progress.ask_rebuild(least);
        }
    }

    /// Whether somebody waits for a snapshot that this node does not have.
    pub(crate) fn wants_snapshot(&self, newest: Option<SnapshotId>) -> bool {
        let covers = |least| newest.is_some_and(|id: SnapshotId| least <= id.last.index);
        self.progress.values().filter_map(Progress::wants_rebuild).any(|least| !covers(least))
    }

    /// Asks for the next piece of the follower's snapshot if there is room for it.
    pub(super) fn read_snapshot(&mut self, state: &mut State, peer: NodeId) {
        let progress = self.progress.get_mut(&peer).expect("a member has progress (I12)");
        let Some(transfer) = progress.transfer().filter(|transfer| transfer.has_room()) else {
            return;
        };
        transfer.is_reading = true;
        let (id, offset, bytes_max) = (transfer.id, transfer.next_offset, transfer.piece_bytes);
        // Another follower may have asked for the same piece in this turn.
        let read = SnapshotRead { id, offset, bytes_max };
        if !state.snapshot_reads.contains(&read) {
            state.snapshot_reads.push(read);
        }
    }

    /// Sends a piece that was read to everybody who waits for it; `None` if it cannot be read
    /// any more, and then another snapshot has to do.
    pub(crate) fn send_snapshot(
        &mut self,
        state: &mut State,
        now: Time,
        (id, offset): (SnapshotId, u64),
        data: Option<&Bytes>,
    ) {
        let peers: Vec<NodeId> = self.progress.keys().copied().collect();
        for peer in peers {
            let progress = self.progress.get_mut(&peer).expect("a member has progress (I12)");
            let waits = |t: &&mut crate::consensus::progress::Transfer| {
                t.id == id && t.next_offset == offset && t.is_reading
            };
            let Some(transfer) = progress.transfer().filter(waits) else { continue };
            let Some(data) = data else {
                progress.end_snapshot();
                continue;
            };
            transfer.sent(now, data.len() as u64);
            let data = data.clone();
            state.send_bulk(peer, Message::InstallSnapshot { id, offset, data });
        }
    }

    pub(super) fn on_snapshot_answer(
        &mut self,
        state: &mut State,
        now: Time,
        (from, counted): (NodeId, bool),
        (id, next_offset, installed): (SnapshotId, u64, bool),
    ) {
        let progress = self.progress.get_mut(&from).expect("a member has progress (I12)");
        if !installed {
            if progress.snapshot_answered(now, id, next_offset) {
                progress.end_snapshot();
                // Without one that can be sent, another is made.
                state.snapshot = state.snapshot.filter(|newest| *newest != id);
            }
            return;
        }
        if state.log.last().index < id.last.index {
            // Not an answer to anything this leader sent; a peer may say anything.
            return;
        }
        progress.rebuilt();
        progress.accepted(now, id.last.index);
        if counted {
            self.count(state, from);
        }
    }

    /// Whether a follower that is there is being sent another snapshot than the newest.
    pub(crate) fn sends_older_than(&self, newest: Option<SnapshotId>) -> bool {
        let there = self.progress.values().filter(|progress| progress.is_there);
        there.filter_map(Progress::snapshot_under_way).any(|id| Some(*id) != newest)
    }

    /// The entries that followers still need and would get from the log: those of followers
    /// that are heard of, and what follows a snapshot that is on its way.
    pub(crate) fn needed_from(&self) -> Option<Index> {
        let needed = self.progress.values().filter(|progress| progress.is_there);
        needed
            .map(|progress| match progress.snapshot_under_way() {
                Some(id) => id.last.index.next(),
                None => progress.match_index().next(),
            })
            .min()
    }
}
