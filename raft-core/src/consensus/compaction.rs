//! What consensus does about snapshots (Raft §7): lets the log go that one covers, passes one
//! on, and takes one in the place of its log.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::consensus::follower::Follower;
use crate::consensus::message::Message;
use crate::consensus::raft::{Next, Raft, Role};
use crate::consensus::ready::Notice;
use crate::consensus::{admission, invariants};
use crate::snapshot::{SnapshotId, SnapshotState};
use crate::teeth::is_removed;
use crate::types::{EntryId, Incarnation, Index, NodeId, Time};

/// A follower that is there but slow holds the log so many times longer than it is kept anyway.
const TRAILING_FOR_SLOW: u64 = 10;

impl Raft {
    /// Notes that a snapshot of this node is durable: followers may get it, and the log before
    /// it may be cut. One that is older than the newest changes nothing, and neither does one of
    /// a state that was found to be wrong meanwhile: it is not there any more.
    pub fn snapshot_made(&mut self, id: SnapshotId) {
        if self.state.is_fenced {
            return;
        }
        if self.state.snapshot.is_some_and(|newest| id.last.index <= newest.last.index) {
            return;
        }
        let previous = self.state.snapshot.replace(id);
        let trailing_entries = self.state.config.trailing_entries;
        // What is in memory is bounded in bytes, and is what followers get without a read.
        let trailing = Index(id.last.index.0.saturating_sub(trailing_entries));
        let mut keep_from = trailing.max(self.state.log.tail_first()).min(id.last.index.next());
        if let Role::Leader(role) = &self.role
            && let Some(needed) = role.needed_from()
        {
            // Who is there but slow may hold the log, though not longer than one snapshot lasts.
            let longest = TRAILING_FOR_SLOW * trailing_entries;
            let oldest = previous.map_or(Index(1), |previous| previous.last.index.next());
            let oldest = oldest.max(Index(id.last.index.0.saturating_sub(longest)));
            keep_from = keep_from.min(needed.max(oldest));
        }
        let log = &mut self.state.log;
        if is_removed("cuts-are-covered") {
            keep_from = log.applied_index().next();
        }
        let index = Index(keep_from.0.saturating_sub(1)).min(log.durable_index());
        if log.base().index < index {
            log.compact_to(index);
            self.cut_before = Some(index.next());
        }
        invariants::check(self);
    }

    /// Whether followers may need a snapshot and there is none that could be sent.
    #[must_use]
    pub fn lacks_snapshot(&self) -> bool {
        if self.state.is_fenced {
            return false;
        }
        let is_wanted = match &self.role {
            Role::Leader(role) => role.wants_snapshot(self.state.snapshot),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => false,
        };
        is_wanted || (self.state.snapshot.is_none() && Index::ZERO < self.state.log.base().index)
    }

    /// Whether a follower is being sent a snapshot that is not the newest: two more, and its file
    /// is gone and the transfer begins again.
    #[must_use]
    pub fn sends_older_snapshot(&self) -> bool {
        match &self.role {
            Role::Leader(role) => role.sends_older_than(self.state.snapshot),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => false,
        }
    }

    /// Notes whether this node's state machine is wrong: it then leads nobody, gives nobody a
    /// snapshot, and takes one although its log is whole.
    pub(crate) fn fence(&mut self, is_fenced: bool) {
        self.state.is_fenced = is_fenced;
        if is_fenced {
            self.state.snapshot = None;
        }
    }

    /// Gives a member whose state machine is wrong a snapshot that covers `least`.
    pub(crate) fn rebuild_peer(&mut self, peer: NodeId, least: Index) {
        if let Role::Leader(role) = &mut self.role {
            role.ask_rebuild(peer, least);
        }
    }

    /// Whether a snapshot that ends in `last` is of use: it has what this node has not, or may
    /// replace a state machine that is wrong. A leader has everything, although it may not know
    /// yet what of it is committed.
    #[must_use]
    pub fn takes(&self, last: EntryId) -> bool {
        if matches!(self.role, Role::Leader(_)) {
            return false;
        }
        let may_rebuild = self.state.is_fenced && self.state.log.base().index <= last.index;
        self.lacks(last) || (may_rebuild && self.state.log.holds(last))
    }

    /// Notes that the state machine was replaced by what a snapshot says although the log is
    /// whole: what follows the snapshot is applied again.
    ///
    /// Panics: if the log does not hold the snapshot's last entry.
    pub(crate) fn reinstall(&mut self, id: SnapshotId) {
        self.state.log.rewind_to(id.last);
        self.state.snapshot = Some(id);
        self.state.is_installing = false;
        self.fetched = None;
        self.state.notices.push(Notice::Installed { last: id.last });
        self.answer_installed(id);
        invariants::check(self);
    }

    /// Tells the leader that a snapshot is in place.
    fn answer_installed(&mut self, id: SnapshotId) {
        let Role::Follower(Follower { leader: Some(leader), .. }) = &self.role else { return };
        let (leader, next_offset, counts) = (*leader, id.bytes, self.state.counts());
        let answer = Message::InstallSnapshotResponse { id, next_offset, installed: true, counts };
        self.state.send_after_sync(leader, answer);
    }

    /// Takes a piece that `Ready::snapshot_reads` asked for; `None` if it cannot be read.
    pub fn snapshot_read(&mut self, now: Time, read: (SnapshotId, u64), data: Option<&Bytes>) {
        let (id, offset) = read;
        if data.is_none() && self.state.snapshot == Some(id) {
            self.state.snapshot = None;
        }
        if let Role::Leader(role) = &mut self.role {
            role.send_snapshot(&mut self.state, now, (id, offset), data);
        }
    }

    /// Notes how far the file of a snapshot from the leader has come. A whole one is put in
    /// the place of the state machine by the caller, who then calls `install`.
    pub fn snapshot_received(&mut self, id: SnapshotId, next_offset: u64, is_whole: bool) {
        self.state.is_installing |= is_whole;
        if let Role::Follower(Follower { leader: Some(leader), .. }) = &self.role {
            let (leader, counts) = (*leader, self.state.counts());
            let (installed, state) = (false, &mut self.state);
            let answer = Message::InstallSnapshotResponse { id, next_offset, installed, counts };
            state.send(leader, answer);
        }
    }

    /// Begins with what the snapshot says that the state machine was loaded from.
    pub fn resume(&mut self, id: SnapshotId, state: &SnapshotState) {
        self.state.snapshot = Some(id);
        self.state.log.raise_log_time(state.log_time);
        self.state.log.raise_feature_level(state.feature_level);
        admission::bind(&mut self.state, &state.bindings);
        invariants::check(self);
    }

    /// Whether a snapshot that ends in `last` has anything that this node has not.
    #[must_use]
    pub fn lacks(&self, last: EntryId) -> bool {
        self.state.log.commit_index() < last.index
    }

    /// Gives up a snapshot that was received: it is damaged, or not needed any more.
    pub fn install_failed(&mut self) {
        self.state.is_installing = false;
    }

    /// Notes that the state machine is what a durable snapshot says: it takes the place of the
    /// log up to there (Raft §7, Figure 13).
    ///
    /// Panics: if this node has committed more than the snapshot covers.
    pub fn install(&mut self, now: Time, id: SnapshotId, state: SnapshotState) {
        assert!(self.lacks(id.last), "a snapshot never takes the state back");
        let SnapshotState { configuration, configured_at, bindings, log_time, feature_level } =
            state;
        let is_replaced = self.state.log.install(id.last, (configured_at, configuration));
        self.state.log.raise_log_time(log_time);
        self.state.log.raise_feature_level(feature_level);
        if is_replaced {
            self.replaced_at = Some(id.last);
        }
        self.cut_before = Some(id.last.index.next());
        self.state.snapshot = Some(id);
        self.state.is_installing = false;
        self.fetched = None;
        admission::bind(&mut self.state, &bindings);
        self.state.notices.push(Notice::Installed { last: id.last });
        match &mut self.role {
            Role::Follower(_) => self.answer_installed(id),
            // The log that it stood for is gone.
            Role::PreCandidate(_) | Role::Candidate(_) => {
                let (term, reason) = (self.state.term(), "a snapshot took the place of its log");
                self.enter(now, Next::Follow { term, leader: None, reason, because_of: None });
            }
            Role::Leader(_) => unreachable!("a leader has everything that is committed"),
        }
        invariants::check(self);
    }

    /// Which incarnation answers for an id.
    #[must_use]
    pub fn bindings(&self) -> &BTreeMap<NodeId, Incarnation> {
        &self.state.bindings
    }

    /// What a snapshot at the applied index says about consensus; `log_time` and
    /// `feature_level` are the highest of the entries that were applied.
    #[must_use]
    pub fn snapshot_state(&self, log_time: u64, feature_level: u16) -> SnapshotState {
        let log = &self.state.log;
        let (configured_at, configuration) = log.membership().at(log.applied_index());
        SnapshotState {
            configuration: (**configuration).clone(),
            configured_at,
            bindings: self.state.bindings.clone(),
            log_time,
            feature_level,
        }
    }
}
