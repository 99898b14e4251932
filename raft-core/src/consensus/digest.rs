//! What a state of `Raft` is, without times, counters, chance and history, for model checking.
//!
//! Two nodes of equal digest behave alike from then on, under four conditions that a model
//! checker can keep and a real driver need not:
//!
//! * It asks between turns, when everything that `ready` hands out was taken.
//! * Its clock either stands still or jumps by more than an election timeout, so that whatever
//!   was noted at some time was noted just now or too long ago, and nothing lies between. That
//!   is what is hashed of times that are compared: whether a leader was heard of just now,
//!   whether an append is overdue. A leader's clock may also move by more than the two heartbeat
//!   intervals that an append may take, if such moves together are shorter than an election
//!   timeout: then each of these is still either so or not, and stays so until the next move.
//! * It decides itself when a timer runs out, by ticking until it does. So deadlines are left
//!   out, and with them `Rng`, which only draws deadlines and the seeds of entries.
//! * Its whole run is shorter than a sync that counts as slow.
//!
//! Numbers that only ever rise and are compared with each other are hashed by how they compare:
//! batches by what they leave to be written, epochs by whether they are the newest. An entry is
//! its id, kind and payload, for nothing here looks at its times and its seed. Each struct is
//! taken apart completely, so that whoever adds a field has to place it.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::consensus::admission::Admission;
use crate::consensus::candidate::Campaign;
use crate::consensus::follower::Follower;
use crate::consensus::hand_over::HandOver;
use crate::consensus::leader::Leader;
use crate::consensus::lease::Lease;
use crate::consensus::log::RaftLog;
use crate::consensus::membership::Membership;
use crate::consensus::message::{Envelope, Message};
use crate::consensus::persistence::{Outstanding, Persistence};
use crate::consensus::progress::{Flow, Progress, Rebuild, Transfer};
use crate::consensus::raft::{Raft, Role};
use crate::consensus::reads::Reads;
use crate::consensus::state::State;
use crate::entry::{Entries, EntryRef};
use crate::hard_state::HardState;
use crate::types::Time;

impl Raft {
    /// A hash of all that the node's behaviour depends on; see above for whom this is true.
    ///
    /// Who was heard of of late, and whether a leader has waited for those who were not, matters
    /// to changes of the members only, so it is left out unless `members_change`.
    ///
    /// Panics: if something that `ready` hands out was not taken.
    #[must_use]
    pub fn digest(&self, now: Time, members_change: bool) -> u64 {
        let Self {
            state,
            role,
            ticked_at: _,
            admission: Admission { asked_at: _ },
            fetched,
            fetching,
            replaced_at,
            cut_before,
            reported_version,
        } = self;
        assert!(fetched.is_none() && replaced_at.is_none() && cut_before.is_none(), "it is idle");
        let mut hasher = DefaultHasher::new();
        fetching.map(|epoch| epoch == state.log.epoch).hash(&mut hasher);
        (*reported_version == state.log.membership.version).hash(&mut hasher);
        hash_state(state, now, &mut hasher);
        match role {
            Role::Follower(role) => hash_follower(role, state, now, &mut hasher),
            Role::PreCandidate(campaign) => hash_campaign(1, campaign, &mut hasher),
            Role::Candidate(campaign) => hash_campaign(2, campaign, &mut hasher),
            Role::Leader(role) => {
                hash_leader(role, state, now, &mut hasher);
                if members_change {
                    hash_heard_of(role, state, now, &mut hasher);
                }
            }
        }
        hasher.finish()
    }
}

impl Envelope {
    /// A hash of all that the receiver's behaviour depends on.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        hash_envelope(self, &mut hasher);
        hasher.finish()
    }
}

fn hash_envelope(envelope: &Envelope, hasher: &mut impl Hasher) {
    let Envelope { from, incarnation, to, term, message } = envelope;
    (from, incarnation, to, term).hash(hasher);
    match message {
        Message::AppendEntries { prev, commit_index, round, entries } => {
            (prev, commit_index, round, entries.len()).hash(hasher);
            entries.iter().flat_map(Entries::iter).for_each(|entry| hash_entry(entry, hasher));
        }
        // Time decides nothing about the log.
        Message::Heartbeat { commit_index, round, log_time: _ } => {
            ("Heartbeat", commit_index, round).hash(hasher);
        }
        Message::PreVote { .. }
        | Message::PreVoteResponse { .. }
        | Message::RequestVote { .. }
        | Message::RequestVoteResponse { .. }
        | Message::AppendEntriesResponse { .. }
        | Message::HeartbeatResponse { .. }
        | Message::ReadIndex { .. }
        | Message::ReadIndexResponse { .. }
        | Message::TimeoutNow
        | Message::Transfer { .. }
        | Message::InstallSnapshot { .. }
        | Message::InstallSnapshotResponse { .. }
        | Message::NotAMember
        | Message::Space { .. }
        | Message::StateHash { .. }
        | Message::AgreedHash { .. }
        | Message::RequestSnapshot { .. }
        | Message::AskEmpty
        | Message::AnswerEmpty { .. }
        | Message::AskPromise { .. }
        | Message::Promise { .. }
        | Message::Forward { .. } => format!("{message:?}").hash(hasher),
    }
}

fn hash_entry(entry: EntryRef<'_>, hasher: &mut impl Hasher) {
    (entry.id(), entry.kind().code(), entry.payload()).hash(hasher);
}

fn hash_state(state: &State, now: Time, hasher: &mut impl Hasher) {
    let State {
        config,
        rng: _,
        term,
        vote,
        standing,
        log,
        bindings,
        said_empty,
        links,
        levels,
        lost_leader,
        contact_at: _,
        timer_began: _,
        promised_until,
        messages,
        bulk,
        after_sync,
        persistence,
        reads,
        snapshot,
        snapshot_reads,
        snapshot_pieces,
        is_installing,
        is_removed,
        is_fenced,
        disk_is_full,
        notices: _,
    } = state;
    assert!(messages.is_empty() && bulk.is_empty() && after_sync.is_empty(), "nothing is unsent");
    assert!(reads.is_empty() && snapshot_reads.is_empty() && snapshot_pieces.is_empty());
    // The other settings are the same for a node's whole life.
    (config.id, config.incarnation).hash(hasher);
    (term, vote, *standing as u8, bindings, said_empty, links, levels).hash(hasher);
    (now < *promised_until).hash(hasher);
    (lost_leader, snapshot, is_installing, is_removed, is_fenced, disk_is_full).hash(hasher);
    hash_log(log, hasher);
    hash_persistence(persistence, log, hasher);
}

fn hash_log(log: &RaftLog, hasher: &mut impl Hasher) {
    let RaftLog {
        base,
        terms,
        last,
        tail,
        tail_bytes: _,
        unwritten,
        durable_index,
        epoch: _,
        commit_index,
        applied_index,
        log_time: _,
        feature_level,
        membership: Membership { made, version: _ },
    } = log;
    feature_level.hash(hasher);
    (base, terms, last, unwritten, durable_index, commit_index, applied_index).hash(hasher);
    tail.iter().flat_map(Entries::iter).for_each(|entry| hash_entry(entry, hasher));
    // What a configuration says follows from the entry that made it.
    made.len().hash(hasher);
    made.iter().for_each(|(index, _)| index.hash(hasher));
}

fn hash_persistence(persistence: &Persistence, log: &RaftLog, hasher: &mut impl Hasher) {
    let Persistence { newest, outstanding, held, written, durable_standing } = persistence;
    let HardState { term, vote, commit_index: _, standing } = written;
    (term, vote, *standing as u8, *durable_standing as u8, outstanding.len()).hash(hasher);
    for batch in outstanding {
        let Outstanding { number, epoch, last_index, standing, begun_at: _ } = batch;
        (newest - number, *epoch == log.epoch, last_index, *standing as u8).hash(hasher);
    }
    held.len().hash(hasher);
    for (number, envelope) in held {
        (newest - number).hash(hasher);
        hash_envelope(envelope, hasher);
    }
}

fn hash_follower(role: &Follower, state: &State, now: Time, hasher: &mut impl Hasher) {
    let Follower { leader, heard_at: _, election_deadline: _, leader_lacks_space } = role;
    (0, leader, role.is_content(state, now), leader_lacks_space).hash(hasher);
}

fn hash_campaign(which: u8, campaign: &Campaign, hasher: &mut impl Hasher) {
    let Campaign { answers, granted_by, deadline: _ } = campaign;
    (which, answers, granted_by).hash(hasher);
}

fn hash_leader(role: &Leader, state: &State, now: Time, hasher: &mut impl Hasher) {
    let Leader {
        progress,
        reads: Reads { round, is_open, early, waiting },
        first_index,
        decided_index,
        binding,
        elected_at: _,
        log_time: _,
        counted_at: _,
        heartbeat_at: _,
        check_quorum_at: _,
        hand_over,
        lease,
        leaving,
        has_told_full,
    } = role;
    (decided_index, leaving, has_told_full).hash(hasher);
    (3, first_index, binding, round, is_open, early).hash(hasher);
    for read in waiting {
        (read.context, read.requester, read.index, read.round).hash(hasher);
    }
    if let Some(HandOver { target, asked, deadline }) = hand_over {
        (target, asked, deadline.is_some(), role.promises_are_over(state, now)).hash(hasher);
    }
    hash_lease(lease, state, now, hasher);
    for (peer, progress) in progress {
        peer.hash(hasher);
        hash_progress(progress, state, now, hasher);
    }
}

fn hash_lease(lease: &Lease, state: &State, now: Time, hasher: &mut impl Hasher) {
    let Lease { round, asked, asked_at: _ } = lease;
    let timeout_us = state.config.election_timeout_us;
    let is_recent = |(_, sent_at): &&(u64, Time)| now.since(*sent_at) < timeout_us;
    round.hash(hasher);
    asked.iter().filter(is_recent).for_each(|(round, _)| round.hash(hasher));
}

fn hash_heard_of(role: &Leader, state: &State, now: Time, hasher: &mut impl Hasher) {
    let timeout_us = state.config.election_timeout_us;
    (timeout_us <= now.since(role.elected_at)).hash(hasher);
    for (peer, progress) in &role.progress {
        progress.heard_at.map(|at| now.since(at) <= timeout_us).hash(hasher);
        role.is_gone(state, now, *peer).hash(hasher);
    }
}

fn hash_progress(progress: &Progress, state: &State, now: Time, hasher: &mut impl Hasher) {
    let Progress {
        match_index,
        next_index,
        flow,
        incarnation,
        counted_index,
        acked_round,
        active,
        heard_at: _,
        is_cut,
        commit_sent,
        commit_wanted,
        bulk,
        awaits_disk,
        reprobe,
        disk_is_full,
        rebuild,
        is_there,
        promised_until,
        round_trip: _,
    } = progress;
    let is_stalled = progress.is_stalled(now, 2 * state.config.heartbeat_interval_us);
    (match_index, next_index, incarnation, counted_index, acked_round, active).hash(hasher);
    (disk_is_full, is_there, is_cut, now < *promised_until).hash(hasher);
    (is_stalled, commit_sent, commit_wanted, bulk, awaits_disk, reprobe).hash(hasher);
    match flow {
        Flow::Probe { sent_at } => (0, sent_at.is_some()).hash(hasher),
        Flow::Replicate { in_flight, bytes: _, moved_at: _ } => {
            1.hash(hasher);
            in_flight.hash(hasher);
        }
        Flow::Snapshot(transfer) => {
            2.hash(hasher);
            hash_transfer(transfer, hasher);
        }
    }
    if let Some(Rebuild { least, transfer }) = rebuild {
        least.hash(hasher);
        transfer.iter().for_each(|transfer| hash_transfer(transfer, hasher));
    }
}

fn hash_transfer(transfer: &Transfer, hasher: &mut impl Hasher) {
    let Transfer {
        id,
        piece_bytes: _,
        next_offset,
        acked_offset,
        is_reading,
        is_known,
        repeated_at,
        moved_at: _,
        failures,
    } = transfer;
    (id, next_offset, acked_offset, is_reading, is_known, repeated_at, failures).hash(hasher);
}
