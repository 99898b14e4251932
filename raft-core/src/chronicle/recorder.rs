//! The chronicle: it sees every event of a replica and every turn, and makes happenings of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::chronicle::happening::{Happening, SnapshotMove, TimerIs, What};
use crate::chronicle::message::{Glance, Kind};
use crate::chronicle::sampling::{Moves, Sampler, Span};
use crate::configuration::Configuration;
use crate::consensus::Raft;
use crate::consensus::detail::{Ballot, Detail};
use crate::consensus::message::{AppendResult, Envelope, Message};
use crate::consensus::ready::{Notice, Persist, RoleName};
use crate::replica::event::{Effects, Event};
use crate::replica::snapshots::SnapshotFact;
use crate::types::{EntryId, Index, NodeId, Term, Time};

/// Of each kind of messages about so many are told in a second.
const HEARTBEATS_PER_SECOND: u32 = 256;
const ELECTION_MESSAGES_PER_SECOND: u32 = 256;
const ENTRIES_PER_SECOND: u32 = 128;
const OTHERS_PER_SECOND: u32 = 64;

/// As many happenings wait to be taken at most; what comes then is not told. It is reached only
/// if nobody takes them.
const WAITING_MAX: usize = 4_096;

/// What happens on one node.
#[derive(Debug)]
pub struct Chronicle {
    waiting: Vec<Happening>,
    newest: u64,
    /// The term as far as it has been told.
    term: Term,
    /// The newest link from each peer, by connection number.
    links: BTreeMap<NodeId, u64>,
    /// Followers that refused an append and have not caught up.
    behind: BTreeSet<NodeId>,
    last: Index,
    durable: Index,
    committed: Index,
    appends: Moves,
    persists: Moves,
    commits: Moves,
    heartbeats: Sampler,
    elections: Sampler,
    entries: Sampler,
    others: Sampler,
    /// The notice before, of those that may come again and again.
    foreign: Option<NodeId>,
}

impl Chronicle {
    /// Begins the story of a node with how it starts.
    #[must_use]
    pub fn begin(now: Time, raft: &Raft) -> Self {
        let log = raft.log();
        let mut chronicle = Self {
            waiting: Vec::new(),
            newest: 0,
            term: raft.term(),
            links: BTreeMap::new(),
            behind: BTreeSet::new(),
            last: log.last().index,
            durable: log.durable_index(),
            committed: log.commit_index(),
            appends: Moves::default(),
            persists: Moves::default(),
            commits: Moves::default(),
            heartbeats: Sampler::new(HEARTBEATS_PER_SECOND),
            elections: Sampler::new(ELECTION_MESSAGES_PER_SECOND),
            entries: Sampler::new(ENTRIES_PER_SECOND),
            others: Sampler::new(OTHERS_PER_SECOND),
            foreign: None,
        };
        let configuration = raft.configuration();
        let what = What::Started {
            last: log.last(),
            commit: log.commit_index(),
            vote: raft.hard_state().vote,
            voters: configuration.voters.iter().copied().collect(),
            addresses: configuration.members.clone(),
        };
        chronicle.tell(now, raft.term(), what);
        chronicle
    }

    /// Whether something is to be taken.
    #[must_use]
    pub fn has_news(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What has happened since this was last asked, in order.
    #[must_use]
    pub fn take(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.waiting)
    }

    fn tell(&mut self, at: Time, term: Term, what: What) {
        // What is not told is counted, so that a gap says so.
        self.newest += 1;
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push(Happening { seq: self.newest, at, term, what });
        }
    }

    /// Sees an event before the replica takes it.
    pub fn event(&mut self, now: Time, raft: &Raft, event: &Event) {
        match event {
            Event::Received(envelopes) => {
                for envelope in envelopes {
                    self.pass(now, raft.term(), (envelope, false));
                    self.follow_progress(now, raft, envelope);
                }
            }
            Event::PeerConnected { peer, connection, .. } => {
                self.links.insert(*peer, *connection);
                self.tell(now, raft.term(), What::Link { peer: *peer, up: true });
                self.see_again(now, raft, *peer);
            }
            Event::PeerLost { peer, connection } => {
                if self.links.get(peer) == Some(connection) {
                    self.links.remove(peer);
                    self.tell(now, raft.term(), What::Link { peer: *peer, up: false });
                }
            }
            Event::Snapshot(SnapshotFact::Finished { id }) => {
                let what = What::Snapshot { is: SnapshotMove::Made, last: id.last };
                self.tell(now, raft.term(), what);
            }
            Event::Tick
            | Event::Submit(_)
            | Event::Read(_)
            | Event::ReadLocally(_)
            | Event::Persisted { .. }
            | Event::Fetched { .. }
            | Event::HandOver
            | Event::Campaign
            | Event::StepDown
            | Event::Transfer { .. }
            | Event::DiskFull { .. }
            | Event::Snapshot(
                SnapshotFact::Written
                | SnapshotFact::Failed { .. }
                | SnapshotFact::Piece { .. }
                | SnapshotFact::Received { .. }
                | SnapshotFact::Part { .. }
                | SnapshotFact::Unreadable { .. },
            )
            | Event::SnapshotWanted { .. } => {}
        }
    }

    /// Sees what followed from the events of a turn, before it is done.
    pub fn turn(&mut self, now: Time, raft: &Raft, effects: &Effects) {
        for notice in &effects.notices {
            self.notice(now, notice);
        }
        let term = raft.term();
        self.term = term;
        self.append(now, raft, effects.persist.as_ref());
        self.persist(now, raft);
        self.commit(now, raft);
        for envelope in effects.envelopes.iter().chain(&effects.bulk) {
            self.pass(now, term, (envelope, true));
        }
    }

    /// Tells of a message that passes, if it is one of those that are told.
    fn pass(&mut self, now: Time, own: Term, passing: (&Envelope, bool)) {
        let glance = Glance::at(passing.0);
        let sampler = match glance.kind() {
            Kind::Election => &mut self.elections,
            Kind::Heartbeat => &mut self.heartbeats,
            Kind::Entries => &mut self.entries,
            Kind::Other => &mut self.others,
        };
        if let Some(skipped) = sampler.takes(now, glance.id) {
            self.tell(now, own, What::Message(glance.told(passing, own, skipped)));
        }
    }

    /// Sees, on a leader, that whoever comes back has missed something. Who has acknowledged
    /// nothing to this leader lacks at least the entry that its leadership began with.
    fn see_again(&mut self, now: Time, raft: &Raft, peer: NodeId) {
        let log = raft.log();
        let Some(index) = raft.match_index(peer) else { return };
        if index < log.commit_index() && self.behind.insert(peer) {
            let known = (Index::ZERO < index).then(|| log.term_at(index)).flatten();
            let last = known.map(|term| EntryId { term, index });
            self.tell(now, raft.term(), What::Behind { peer, last });
        }
    }

    /// Sees, on a leader, who falls behind and catches up again.
    fn follow_progress(&mut self, now: Time, raft: &Raft, envelope: &Envelope) {
        let Message::AppendEntriesResponse { result, .. } = &envelope.message else { return };
        let (peer, term) = (envelope.from, raft.term());
        match *result {
            AppendResult::Accepted { .. } if self.behind.is_empty() => {}
            AppendResult::Accepted { match_index } => {
                let is_level = raft.log().commit_index() <= match_index;
                if is_level && self.behind.remove(&peer) {
                    self.tell(now, term, What::CaughtUp { peer, last: match_index });
                }
            }
            AppendResult::Rejected { hint, .. } => {
                let leads = raft.role_name() == RoleName::Leader && envelope.term == term;
                if leads && self.behind.insert(peer) {
                    self.tell(now, term, What::Behind { peer, last: Some(hint) });
                }
            }
        }
    }

    fn append(&mut self, now: Time, raft: &Raft, persist: Option<&Persist>) {
        let term = raft.term();
        let moved = persist.and_then(|persist| {
            let (first, last) = (persist.entries.first()?, persist.entries.last()?);
            Some((first.first_index(), last.last_index()))
        });
        if let Some((first, _)) = moved.filter(|(first, _)| *first <= self.last) {
            self.tell(now, term, What::Replaced { first, last: self.last });
        }
        self.last = raft.log().last().index;
        if let Some(Span { first, last, turns }) = self.appends.note(now, moved) {
            self.tell(now, term, What::Appended { first, last, turns });
        }
    }

    fn persist(&mut self, now: Time, raft: &Raft) {
        let durable = raft.log().durable_index();
        let moved = (self.durable < durable).then(|| (self.durable.next(), durable));
        self.durable = durable;
        if let Some(Span { first, last, turns }) = self.persists.note(now, moved) {
            self.tell(now, raft.term(), What::Persisted { first, last, turns });
        }
    }

    fn commit(&mut self, now: Time, raft: &Raft) {
        let committed = raft.log().commit_index();
        let moved = (self.committed < committed).then(|| (self.committed.next(), committed));
        self.committed = committed;
        if let Some(Span { first, last, turns }) = self.commits.note(now, moved) {
            let (applied, held_by) = (raft.log().applied_index(), raft.holders(last));
            let what = What::Committed { first, last, applied, held_by, turns };
            self.tell(now, raft.term(), what);
        }
    }

    fn notice(&mut self, now: Time, notice: &Notice) {
        // Told again with each word of such a node.
        let foreign =
            if let Notice::ForeignIncarnation { peer } = notice { Some(*peer) } else { None };
        if foreign.is_some() && self.foreign == foreign {
            return;
        }
        self.foreign = foreign.or(self.foreign);
        // A turn may have several terms.
        if let Notice::Role { role, term, .. } = notice {
            self.term = *term;
            if *role != RoleName::Leader {
                self.behind.clear();
            }
        }
        self.tell(now, self.term, what(notice));
    }
}

fn what(notice: &Notice) -> What {
    match notice {
        Notice::Role { role, leader, reason, because_of, .. } => {
            let (role, leader, because_of) = (role.as_str(), *leader, *because_of);
            What::Role { role, leader, reason, because_of }
        }
        Notice::Admitted { reason } => What::Admitted { reason },
        Notice::WaitingFor(of) => What::Waiting { of: of.clone() },
        Notice::Members { configuration } => members(configuration),
        Notice::Removed => What::Removed,
        Notice::Installed { last } => What::Snapshot { is: SnapshotMove::Installed, last: *last },
        Notice::Fenced { index } => What::Fenced { index: *index },
        Notice::NoMajorityOfStates { index } => What::NoMajorityOfStates { index: *index },
        Notice::DiskFull { is_full } => What::DiskFull { full: *is_full },
        Notice::MemoryFull { is_full, .. } => What::MemoryFull { full: *is_full },
        Notice::SlowDisk => What::SlowDisk,
        Notice::ForeignIncarnation { peer } => What::ForeignNode { peer: *peer },
        Notice::Detail(detail) => of_detail(detail),
    }
}

fn members(configuration: &Configuration) -> What {
    let ids = |ids: &BTreeSet<NodeId>| ids.iter().copied().collect();
    What::Members {
        voters: ids(&configuration.voters),
        outgoing: ids(&configuration.outgoing),
        learners: ids(&configuration.learners),
        addresses: configuration.members.clone(),
    }
}

fn of_detail(detail: &Detail) -> What {
    let asks = |ballot: &Ballot| *ballot == Ballot::PreVote;
    match detail {
        Detail::TimerBegan { wait_us } => {
            let of_ms = Some(wait_us.div_ceil(1_000));
            What::Timer { what: "election", is: TimerIs::Begun, of_ms }
        }
        Detail::TimerRanOut => What::Timer { what: "election", is: TimerIs::RanOut, of_ms: None },
        Detail::VotesAsked { ballot, term, voters } => {
            What::VoteAsked { pre_vote: asks(ballot), for_term: *term, of: voters.clone() }
        }
        Detail::VoteDecided { ballot, term, candidate, why_not: None } => {
            What::VoteGiven { pre_vote: asks(ballot), for_term: *term, to: *candidate }
        }
        Detail::VoteDecided { ballot, term, candidate, why_not: Some(reason) } => {
            let (pre_vote, for_term) = (asks(ballot), *term);
            What::VoteRefused { pre_vote, for_term, to: *candidate, reason }
        }
        Detail::VoteCounted { ballot, voter, granted, votes } => What::VoteCounted {
            pre_vote: asks(ballot),
            from: *voter,
            granted: *granted,
            votes: u64::try_from(*votes).unwrap_or(u64::MAX),
        },
    }
}
