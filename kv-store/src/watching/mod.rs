//! Who watches what, and what is to be told to whom: everything that a node decides about
//! watches.
//!
//! [`Watching`] asks for changes of the store revision by revision and hands on what each watch
//! wants of them. There is one way for all: a watch that begins now waits at the front, one that
//! begins in the past reads on from there until it is at the front too, and both are shown the
//! revisions from a certain one on, each once. So nothing is lost or doubled between the two,
//! nor when a snapshot replaces the state.
//!
//! Nothing is kept for a slow reader. Whoever has left too much unread is told where to go on.

mod collected;
mod index;
mod ranges;
mod registry;
mod stream;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use raft_core::replica::changes::{Changes, NoChanges};

use self::collected::{Collected, Collection};
use self::index::{Index, Seat, Spec};
use self::registry::{Registry, Stage, Watch};
use self::stream::{Record, read};
pub use self::words::{
    BACKLOG_BYTES_MAX, CATCH_UP_BYTES_MAX, CHANGE_BYTES_MAX, CHANGES_BYTES_MAX, End,
    INTERESTS_BYTES_MAX, Order, Owner, PUSH_BYTES_MAX, Push, REVISION_BYTES_MAX, Tally,
    WATCHES_MAX, WATCHES_PER_CONNECTION_MAX, Word,
};
use crate::command::{Interest, Limits};

/// What a group collects while it collects nothing.
const NONE: u32 = u32::MAX;

/// Every watch of a node, and how far each is.
#[derive(Debug, Default)]
pub struct Watching {
    limits: Limits,
    /// The newest revision that the node has applied; `None` until it is known.
    newest: Option<u64>,
    /// Every revision before this one has been shown to the watches at the front.
    front: u64,
    at_front: Index,
    behind: Index,
    registry: Registry,
    /// Watches behind the front by the first revision that they have not been shown. Some may
    /// be gone, or paused, or elsewhere by now.
    cohorts: BTreeMap<u64, Vec<u32>>,
    /// Where reading the past goes on, so that those far behind do not keep others there.
    past: u64,
    asked: Option<Asked>,
    was_front: bool,
    /// Whether the state has less than the node had applied once, as while it is rebuilt: there
    /// is nothing to read before more is applied.
    is_stalled: bool,
    /// Watches that are to be told how far they are as soon as the front is above a revision.
    marks: BTreeSet<(u64, Owner)>,
    /// What came before the node knew how far it is.
    early: Vec<Order>,
    pushes: Vec<Push>,
}

/// The changes that are being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    from: u64,
    is_front: bool,
}

impl Watching {
    /// Without watches. Interests beyond the limits are refused.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Notes what the node has applied. Never lower than before.
    pub fn applied(&mut self, revision: u64) {
        let is_first = self.newest.is_none();
        self.is_stalled = false;
        self.newest = Some(self.newest.map_or(revision, |newest| newest.max(revision)));
        self.skip_ahead();
        if is_first {
            let early = std::mem::take(&mut self.early);
            early.into_iter().for_each(|order| self.obey(order));
        }
    }

    /// Does what a client wants.
    pub fn obey(&mut self, order: Order) {
        let Some(newest) = self.newest else {
            match order {
                Order::Watch { owner, .. } if WATCHES_PER_CONNECTION_MAX <= self.early.len() => {
                    self.push(owner, Word::Overloaded);
                }
                order => self.early.push(order),
            }
            return;
        };
        match order {
            Order::Watch { owner, start, marks, interest } => {
                self.begin(owner, (start, newest), marks, &interest);
            }
            Order::Unwatch(owner) => match self.registry.find(owner) {
                Some(at) => self.end(at, End::Unwatched),
                None => self.push(owner, Word::Ended(End::Unwatched)),
            },
            Order::Mark(owner) => match self.registry.find(owner) {
                Some(at) => {
                    let next = self.registry.get(at).map_or(0, |watch| watch.next);
                    self.marks.insert((newest.max(next.saturating_sub(1)), owner));
                    self.tell_marks();
                }
                None => self.push(owner, Word::Ended(End::Unwatched)),
            },
            Order::Leave { connection } => {
                for at in self.registry.of_connection(connection) {
                    self.remove(at);
                }
            }
        }
    }

    /// Notes what a connection has not read yet of all that it was sent. Units: bytes.
    pub fn has_read(&mut self, connection: u64, unread_bytes: usize) {
        for at in self.registry.has_read(connection, unread_bytes) {
            if let Some(watch) = self.registry.get_mut(at)
                && watch.stage == Stage::Paused
            {
                watch.stage = Stage::Behind;
                self.cohorts.entry(watch.next).or_default().push(at);
            }
        }
    }

    /// How many watches there are, and how their readers fare.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.registry.tally()
    }

    /// Lets a while pass: whoever wants to be told how far it is, and has heard nothing, is.
    pub fn tick(&mut self) {
        let mut told = Vec::new();
        for (at, watch) in self.registry.all().filter(|(_, watch)| watch.has_marks) {
            let is_due = watch.stage == Stage::Front && watch.next <= self.front;
            told.push((at, watch.owner, is_due && !watch.has_heard));
        }
        for (at, owner, is_due) in told {
            if is_due {
                self.push(owner, Word::Mark { revision: self.front - 1 });
            }
            if let Some(watch) = self.registry.get_mut(at) {
                watch.has_heard = false;
            }
        }
    }

    /// From which revision on the changes are to be read next and given to `take`, if any are.
    /// It wants no others before it has got them.
    pub fn wants(&mut self) -> Option<u64> {
        if self.asked.is_some() || self.is_stalled {
            return None;
        }
        self.skip_ahead();
        let newest = self.newest?;
        let is_due = !self.at_front.is_empty() && self.front <= newest;
        let past = if is_due && !self.was_front { None } else { self.next_past() };
        let asked = match past {
            Some(from) => Asked { from, is_front: false },
            None if is_due => Asked { from: self.front, is_front: true },
            None => return None,
        };
        self.was_front = asked.is_front;
        self.asked = Some(asked);
        Some(asked.from)
    }

    /// Takes the changes that were wanted, or why there are none.
    ///
    /// Panics: if none were.
    pub fn take(&mut self, changes: Result<Changes, NoChanges>) {
        let asked = self.asked.take().expect("changes were asked for");
        match changes {
            Ok(Changes { next, bytes }) => {
                self.is_stalled = next <= asked.from;
                if asked.is_front {
                    self.show_front(next, &bytes);
                } else {
                    self.show_past(asked.from, next, &bytes);
                }
            }
            Err(NoChanges::Forgotten(forgotten)) => self.forget(forgotten.oldest),
            Err(NoChanges::Fenced) => {
                let all: Vec<u32> = self.registry.all().map(|(at, _)| at).collect();
                for at in all {
                    let resume_at = self.next_of(at);
                    self.end(at, End::NotHere { resume_at });
                }
            }
        }
        self.skip_ahead();
        self.tell_marks();
    }

    /// What is to be told, in this order.
    pub fn take_pushes(&mut self) -> Vec<Push> {
        std::mem::take(&mut self.pushes)
    }

    fn begin(&mut self, owner: Owner, (start, newest): (u64, u64), has_marks: bool, body: &[u8]) {
        if let Some(at) = self.registry.find(owner) {
            self.remove(at);
            let why = "the connection has a watch of this id; give each its own".to_owned();
            self.push(owner, Word::Malformed { why });
            return;
        }
        let checked = Interest::decode(body).map_err(|error| error.to_string());
        let checked = checked.and_then(|interest| {
            interest.check(&self.limits).map_err(|error| error.to_string()).map(|()| interest)
        });
        let interest = match checked {
            Ok(interest) => interest,
            Err(why) => return self.push(owner, Word::Malformed { why }),
        };
        let bytes = u32::try_from(body.len()).unwrap_or(u32::MAX);
        if !self.registry.has_room(owner.connection, bytes) {
            return self.push(owner, Word::Overloaded);
        }
        let next = if start == 0 { newest + 1 } else { start };
        let stage = if next < self.front { Stage::Behind } else { Stage::Front };
        let seat = Seat { group: NONE, place: 0 };
        let (has_heard, wants_mark) = (true, false);
        let watch = Watch { owner, next, seat, stage, has_marks, has_heard, wants_mark, bytes };
        let at = self.registry.add(watch);
        let index = if stage == Stage::Front { &mut self.at_front } else { &mut self.behind };
        let seat = index.insert(&Spec::of(&interest), at);
        self.registry.get_mut(at).expect("it was added").seat = seat;
        if stage == Stage::Behind {
            self.cohorts.entry(next).or_default().push(at);
        }
        self.push(owner, Word::Begun { revision: next - 1, newest });
    }

    /// With nobody at the front, everything that is applied has been shown to all there.
    fn skip_ahead(&mut self) {
        if let Some(newest) = self.newest
            && self.at_front.is_empty()
        {
            self.front = self.front.max(newest + 1);
        }
    }

    /// Where the past is to be read next: from one cohort to the next one and then from the
    /// first one again.
    fn next_past(&mut self) -> Option<u64> {
        loop {
            let ahead = self.cohorts.range(self.past..).next();
            let from = ahead.or_else(|| self.cohorts.first_key_value()).map(|(from, _)| *from)?;
            let cohort = self.cohorts.remove(&from).unwrap_or_default();
            let cohort = self.ready(from, cohort);
            if !cohort.is_empty() {
                self.cohorts.insert(from, cohort);
                self.past = from;
                return Some(from);
            }
        }
    }

    /// The watches of a cohort that can be shown something.
    fn ready(&mut self, next: u64, cohort: Vec<u32>) -> Vec<u32> {
        let registry = &mut self.registry;
        let mut is_ready = |at: &u32| {
            let Some(watch) = registry.get(*at) else { return false };
            if watch.stage != Stage::Behind || watch.next != next {
                return false;
            }
            let is_busy = registry.is_busy(watch.owner.connection);
            if is_busy {
                registry.pause(*at);
            }
            !is_busy
        };
        cohort.into_iter().filter(|at| is_ready(at)).collect()
    }

    fn show_front(&mut self, next: u64, bytes: &[u8]) {
        for collection in collect(&mut self.at_front, bytes) {
            let members = self.at_front.members(collection.0).to_vec();
            let from = self.front;
            self.show(&collection.1, members, |watch| Some(watch.next.max(from)));
        }
        self.front = self.front.max(next);
    }

    fn show_past(&mut self, from: u64, next: u64, bytes: &[u8]) {
        let passed: Vec<u64> = self.cohorts.range(from..next).map(|(from, _)| *from).collect();
        let mut reading = Vec::new();
        for at in passed {
            let cohort = self.cohorts.remove(&at).unwrap_or_default();
            reading.append(&mut self.ready(at, cohort));
        }
        for (group, collection) in collect(&mut self.behind, bytes) {
            let members = self.behind.members(group).to_vec();
            let is_reading = |watch: &Watch| {
                let is_in = watch.stage == Stage::Behind && (from..next).contains(&watch.next);
                is_in.then_some(watch.next)
            };
            self.show(&collection, members, is_reading);
        }
        for at in reading {
            if let Some(watch) = self.registry.get_mut(at)
                && watch.stage == Stage::Behind
                && watch.next < next
            {
                watch.next = next;
                if self.front <= next {
                    self.join_front(at);
                } else {
                    self.cohorts.entry(next).or_default().push(at);
                }
            }
        }
        self.past = next;
    }

    /// Shows a collection to those of the watches that `from` gives a revision for: all from
    /// there on is new to them.
    fn show(
        &mut self,
        collection: &Collection,
        watches: Vec<u32>,
        from: impl Fn(&Watch) -> Option<u64>,
    ) {
        for at in watches {
            let Some(watch) = self.registry.get_mut(at) else { continue };
            let Some(from) = from(watch) else { continue };
            let owner = watch.owner;
            let mut parcels = collection.parcels(from).peekable();
            if parcels.peek().is_some() {
                watch.has_heard = true;
                if self.registry.is_slow(owner.connection) {
                    let resume_at = from.max(collection.first);
                    self.end(at, End::Slow { resume_at });
                    continue;
                }
            }
            for parcel in parcels {
                self.registry.send(owner.connection, parcel.bytes.len());
                let word = Word::Changed { changes: parcel.bytes, is_cut: parcel.is_cut };
                self.pushes.push(Push { owner, word });
            }
            if let Some(revision) = collection.huge.filter(|revision| from <= *revision) {
                self.end(at, End::TooLarge { revision });
            }
        }
    }

    fn join_front(&mut self, at: u32) {
        let watch = *self.registry.get(at).expect("who joins is there");
        let spec = self.behind.spec(watch.seat.group).clone();
        self.leave_seat(&watch);
        let seat = self.at_front.insert(&spec, at);
        if watch.wants_mark {
            self.marks.insert((watch.next - 1, watch.owner));
        }
        let watch = self.registry.get_mut(at).expect("who joins is there");
        (watch.seat, watch.stage, watch.wants_mark) = (seat, Stage::Front, false);
    }

    fn forget(&mut self, oldest: u64) {
        let all: Vec<u32> = self.registry.all().map(|(at, _)| at).collect();
        for at in all {
            if self.next_of(at) < oldest {
                self.end(at, End::Compacted { oldest });
            }
        }
        // Whoever is left at the front waits for something that is yet to come.
        self.front = self.front.max(oldest);
    }

    /// The first revision that a watch has not been shown.
    fn next_of(&self, at: u32) -> u64 {
        let watch = self.registry.get(at).expect("a watch that is asked about is there");
        match watch.stage {
            Stage::Front => watch.next.max(self.front),
            Stage::Behind | Stage::Paused => watch.next,
        }
    }

    /// Tells those that are to be told how far they are and are so far.
    fn tell_marks(&mut self) {
        while let Some((needed, owner)) = self.marks.first().copied()
            && needed < self.front
        {
            self.marks.remove(&(needed, owner));
            let Some(at) = self.registry.find(owner) else { continue };
            let watch = self.registry.get_mut(at).expect("a watch that is found is there");
            if watch.stage == Stage::Front {
                watch.has_heard = true;
                self.push(owner, Word::Mark { revision: self.front - 1 });
            } else {
                watch.wants_mark = true;
            }
        }
    }

    fn end(&mut self, at: u32, why: End) {
        let owner = self.remove(at);
        self.push(owner, Word::Ended(why));
    }

    fn remove(&mut self, at: u32) -> Owner {
        let watch = self.registry.remove(at);
        self.leave_seat(&watch);
        watch.owner
    }

    fn leave_seat(&mut self, watch: &Watch) {
        let index = match watch.stage {
            Stage::Front => &mut self.at_front,
            Stage::Behind | Stage::Paused => &mut self.behind,
        };
        if let Some(moved) = index.remove(watch.seat) {
            let moved = self.registry.get_mut(moved).expect("who sits in a group is there");
            moved.seat = watch.seat;
        }
    }

    fn push(&mut self, owner: Owner, word: Word) {
        self.pushes.push(Push { owner, word });
    }
}

/// What each group is shown of what was read.
fn collect(index: &mut Index, bytes: &[u8]) -> Vec<(u32, Collection)> {
    let mut collected: Vec<Collected> = Vec::new();
    for record in read(bytes) {
        let record: Record<'_> = record;
        index.visit(&record, |group, collects, has_previous| {
            if *collects == NONE {
                *collects = u32::try_from(collected.len()).expect("groups are counted in 32 bits");
                collected.push(Collected::new(group));
            }
            let place = usize::try_from(*collects).expect("this program needs 32-bit addresses");
            collected[place].add(&record, has_previous);
        });
    }
    let finish = |collected: Collected| {
        index.collected(collected.group);
        (collected.group, collected.finish())
    };
    collected.into_iter().map(finish).collect()
}
