//! The watches of a node and the connections that they belong to.

use std::collections::BTreeMap;

use super::index::Seat;
use super::{
    BACKLOG_BYTES_MAX, CATCH_UP_BYTES_MAX, INTERESTS_BYTES_MAX, Owner, Tally, WATCHES_MAX,
    WATCHES_PER_CONNECTION_MAX,
};

/// A watch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    pub(super) owner: Owner,
    /// The first revision that it has not been shown. At the front everything before the front
    /// has been, whatever stands here.
    pub(super) next: u64,
    pub(super) seat: Seat,
    pub(super) stage: Stage,
    /// Whether it is told from time to time how far it is.
    pub(super) has_marks: bool,
    /// Whether it has been told something since the last of these times.
    pub(super) has_heard: bool,
    /// Whether it is to be told how far it is as soon as it is at the front.
    pub(super) wants_mark: bool,
    /// What it is about takes so much. Units: bytes.
    pub(super) bytes: u32,
}

/// Where a watch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// At the front: it is shown what is applied.
    Front,
    /// Behind it: it is shown the past as that is read.
    Behind,
    /// Behind it, and its connection has enough to read for now.
    Paused,
}

/// A connection with watches.
#[derive(Debug, Default)]
struct Reader {
    /// What it has not read. Units: bytes.
    unread_bytes: usize,
    watches: usize,
    paused: Vec<u32>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Registry {
    watches: Vec<Option<Watch>>,
    free: Vec<u32>,
    owners: BTreeMap<Owner, u32>,
    readers: BTreeMap<u64, Reader>,
    interests_bytes: usize,
}

impl Registry {
    /// Whether another watch of this connection has room.
    pub(super) fn has_room(&self, connection: u64, bytes: u32) -> bool {
        let own = self.readers.get(&connection).map_or(0, |reader| reader.watches);
        own < WATCHES_PER_CONNECTION_MAX
            && self.owners.len() < WATCHES_MAX
            && self.interests_bytes + index(bytes) <= INTERESTS_BYTES_MAX
    }

    pub(super) fn add(&mut self, watch: Watch) -> u32 {
        let (owner, bytes) = (watch.owner, watch.bytes);
        let at = if let Some(at) = self.free.pop() {
            self.watches[index(at)] = Some(watch);
            at
        } else {
            self.watches.push(Some(watch));
            u32::try_from(self.watches.len() - 1).expect("watches are counted in 32 bits")
        };
        self.owners.insert(owner, at);
        self.readers.entry(owner.connection).or_default().watches += 1;
        self.interests_bytes += index(bytes);
        at
    }

    pub(super) fn remove(&mut self, at: u32) -> Watch {
        let watch = self.watches[index(at)].take().expect("a watch that is removed is there");
        self.free.push(at);
        self.owners.remove(&watch.owner);
        self.interests_bytes -= index(watch.bytes);
        let connection = watch.owner.connection;
        let reader = self.readers.get_mut(&connection).expect("a watch has a reader");
        reader.watches -= 1;
        if reader.watches == 0 {
            self.readers.remove(&connection);
        }
        watch
    }

    pub(super) fn find(&self, owner: Owner) -> Option<u32> {
        self.owners.get(&owner).copied()
    }

    pub(super) fn of_connection(&self, connection: u64) -> Vec<u32> {
        let owner = |watch| Owner { connection, watch };
        self.owners.range(owner(0)..=owner(u64::MAX)).map(|(_, at)| *at).collect()
    }

    /// Every watch.
    pub(super) fn all(&self) -> impl Iterator<Item = (u32, &Watch)> {
        (0..).zip(&self.watches).filter_map(|(at, watch)| Some((at, watch.as_ref()?)))
    }

    pub(super) fn get(&self, at: u32) -> Option<&Watch> {
        self.watches.get(index(at))?.as_ref()
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut Watch> {
        self.watches.get_mut(index(at))?.as_mut()
    }

    /// Notes that a connection is sent so much.
    pub(super) fn send(&mut self, connection: u64, bytes: usize) {
        if let Some(reader) = self.readers.get_mut(&connection) {
            reader.unread_bytes += bytes;
        }
    }

    pub(super) fn is_slow(&self, connection: u64) -> bool {
        self.unread_bytes(connection).is_some_and(|unread| BACKLOG_BYTES_MAX < unread)
    }

    /// Whether a connection has so much to read that its watches of the past can wait.
    pub(super) fn is_busy(&self, connection: u64) -> bool {
        self.unread_bytes(connection).is_some_and(|unread| CATCH_UP_BYTES_MAX < unread)
    }

    /// How many there are, and how their readers fare.
    pub(super) fn tally(&self) -> Tally {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let readers = self.readers.values();
        let slow = readers.clone().filter(|reader| CATCH_UP_BYTES_MAX < reader.unread_bytes);
        Tally {
            watches: count(self.owners.len()),
            paused: count(readers.clone().map(|reader| reader.paused.len()).sum()),
            slow_readers: count(slow.count()),
            unread_bytes_max: count(readers.map(|reader| reader.unread_bytes).max().unwrap_or(0)),
        }
    }

    fn unread_bytes(&self, connection: u64) -> Option<usize> {
        self.readers.get(&connection).map(|reader| reader.unread_bytes)
    }

    pub(super) fn pause(&mut self, at: u32) {
        let watch = self.watches[index(at)].as_mut().expect("a watch that pauses is there");
        watch.stage = Stage::Paused;
        let reader = self.readers.get_mut(&watch.owner.connection).expect("a watch has a reader");
        reader.paused.push(at);
    }

    /// Notes what a connection has unread; returns its watches that may go on.
    pub(super) fn has_read(&mut self, connection: u64, unread_bytes: usize) -> Vec<u32> {
        let Some(reader) = self.readers.get_mut(&connection) else { return Vec::new() };
        reader.unread_bytes = unread_bytes;
        if CATCH_UP_BYTES_MAX / 2 < unread_bytes {
            return Vec::new();
        }
        std::mem::take(&mut reader.paused)
    }
}

fn index(at: u32) -> usize {
    usize::try_from(at).expect("this program needs 32-bit addresses")
}
