//! A leader sends entries: from memory, from disk, and within each follower's window
//! (Raft §5.3).

use crate::consensus::leader::Leader;
use crate::consensus::log::Slice;
use crate::consensus::message::Message;
use crate::consensus::progress::Progress;
use crate::consensus::state::State;
use crate::entry::Entries;
use crate::teeth::is_removed;
use crate::types::{EntryId, Index, NodeId, Time};

/// Appends above this many bytes go over the bulk link, with everything behind them until the
/// follower has answered, so that they never delay a heartbeat.
const CONTROL_APPEND_BYTES_MAX: usize = 256 * 1024;

impl Leader {
    /// Sends whatever the followers can take; called once at the end of a turn, so that the
    /// commands of a turn travel together.
    pub(crate) fn replicate(&mut self, state: &mut State, now: Time) {
        if self.reads.take_open() {
            self.send_heartbeats(state, now);
            // A cluster of one is its own majority.
            self.confirm_reads(state);
        }
        let peers: Vec<NodeId> = self.progress.keys().copied().collect();
        for peer in peers {
            self.replace_entries_by_snapshot(state, now, peer);
            self.rebuild_by_snapshot(state, now, peer);
            while self.send_append(state, now, peer) {}
            self.read_snapshot(state, peer);
        }
    }

    /// Sends one append if there is something to say and room to say it.
    fn send_append(&mut self, state: &mut State, now: Time, peer: NodeId) -> bool {
        let config = &state.config;
        let progress = self.progress.get_mut(&peer).expect("a member has progress (I12)");
        let next = progress.next_index();
        if next <= state.log.base().index || progress.snapshot_under_way().is_some() {
            return false;
        }
        let end = state.log.last().index.next();
        let is_question = std::mem::take(&mut progress.reprobe);
        let has_news = next < end || progress.is_probing();
        let may_send = progress.has_room(config.window_appends_max, config.window_bytes_max);
        if !is_question && (!has_news || !may_send) {
            return false;
        }
        let entries = if next == end || is_question {
            Vec::new()
        } else {
            match state.log.slice(&(next..end), config.append_bytes_max) {
                Slice::InMemory(entries) => entries,
                Slice::OnDisk => {
                    progress.awaits_disk = true;
                    return false;
                }
            }
        };
        self.send_entries(state, now, peer, entries);
        !is_question
    }

    fn send_entries(&mut self, state: &mut State, now: Time, peer: NodeId, entries: Vec<Entries>) {
        let round = self.reads.round();
        let progress = self.progress.get_mut(&peer).expect("a member has progress (I12)");
        let prev_index = progress.next_index().prev();
        let term = state.log.term_at(prev_index).expect("what was sent before is in the log");
        let prev = EntryId { term, index: prev_index };
        let commit_index = state.log.commit_index();
        let bytes = entries.iter().map(|run| run.bytes().len()).sum();
        let last = entries.last().map_or(prev_index, Entries::last_index);
        if CONTROL_APPEND_BYTES_MAX < bytes || progress.awaits_disk {
            progress.bulk = true;
        }
        progress.awaits_disk = false;
        if progress.is_probing() || prev_index < last {
            progress.sent(now, last, bytes);
        }
        progress.commit_sent = progress.commit_sent.max(commit_index.min(last));
        let is_bulk = progress.bulk;
        let message = Message::AppendEntries { prev, commit_index, round, entries };
        if is_bulk { state.send_bulk(peer, message) } else { state.send(peer, message) }
    }

    /// The first entry on disk that some follower waits for.
    pub(crate) fn wanted_from_disk(&self, base: Index) -> Option<Index> {
        let waiting = self.progress.values();
        let waiting = waiting.filter(|p| p.awaits_disk && base < p.next_index());
        waiting.map(Progress::next_index).min()
    }

    /// Sends entries that were read from disk to the followers that waited for them.
    pub(crate) fn send_fetched(&mut self, state: &mut State, now: Time, fetched: &[Entries]) {
        let Some(last) = fetched.last().map(Entries::last_index) else { return };
        let config = &state.config;
        let (appends_max, bytes_max) = (config.window_appends_max, config.window_bytes_max);
        let waiting: Vec<NodeId> = self
            .progress
            .iter()
            .filter(|(_, p)| p.awaits_disk && p.has_room(appends_max, bytes_max))
            .map(|(&peer, _)| peer)
            .collect();
        for peer in waiting {
            let range = self.progress[&peer].next_index()..last.next();
            if range.start <= state.log.base().index && !is_removed("cuts-are-noticed") {
                continue;
            }
            let covers = fetched.first().is_some_and(|run| run.first_index() <= range.start);
            let entries: Vec<Entries> =
                fetched.iter().filter_map(|run| run.slice(range.clone(), usize::MAX)).collect();
            if (covers || is_removed("fetched-entries-follow")) && !entries.is_empty() {
                self.send_entries(state, now, peer, entries);
            }
        }
    }

    /// A new connection stands: what went over the old one may be lost.
    pub(crate) fn reset_progress(&mut self, now: Time, peer: NodeId) {
        if let Some(progress) = self.progress.get_mut(&peer) {
            progress.reset(now);
        }
    }
}
