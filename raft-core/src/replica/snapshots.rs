//! A replica's snapshots: built in slices while commands go on, and put in its place.
//!
//! A snapshot is a row of parts. The first byte of each says what it is: 0 what consensus
//! knows (once, at the beginning), 1 sessions, 2 the state machine's.

use bytes::{BufMut, Bytes, BytesMut};

use crate::configuration::Configuration;
use crate::entry::FEATURE_LEVEL_MIN;
use crate::replica::sessions::Sessions;
use crate::replica::state_machine::{LoadError, StateMachine};
use crate::snapshot::{SnapshotId, SnapshotState};
use crate::types::{EntryId, Incarnation, Index, NodeId, Time};

/// About how long a part is, so that making one delays nobody. Units: bytes.
const PART_BYTES: usize = 128 * 1024;

/// How long to wait after a snapshot could not be written. Units: microseconds.
const AFTER_FAILURE_US: u64 = 10_000_000;

const HEAD: u8 = 0;
const SESSIONS: u8 = 1;
const MACHINE: u8 = 2;

/// A part of a snapshot, by what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<'p> {
    /// What consensus knows.
    Head(SnapshotState),
    /// Sessions.
    Sessions(&'p [u8]),
    /// The state machine's.
    Machine(&'p [u8]),
}

impl<'p> Part<'p> {
    /// Looks at a part; `None` if it is none.
    #[must_use]
    pub fn of(part: &'p [u8]) -> Option<Self> {
        let (kind, rest) = part.split_first()?;
        match *kind {
            HEAD => decode_head(rest).map(Self::Head),
            SESSIONS => Some(Self::Sessions(rest)),
            MACHINE => Some(Self::Machine(rest)),
            _ => None,
        }
    }
}

/// What is to be done with snapshot files, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotOrder {
    /// Begin a file for a snapshot that ends in `last`.
    Begin {
        /// The last entry that it covers.
        last: EntryId,
    },
    /// Write the next part; answered by `Written`.
    Append {
        /// The part.
        part: Bytes,
    },
    /// Make the file durable; answered by `Finished`.
    Finish,
    /// Throw the unfinished file away.
    Abandon,
    /// Read a piece for a follower; answered by `Piece`.
    Read {
        /// Which snapshot.
        id: SnapshotId,
        /// Where the piece begins.
        offset: u64,
        /// How long it is at most.
        bytes_max: usize,
    },
    /// Keep a piece that the leader sent; answered by `Received`.
    Receive {
        /// Which snapshot.
        id: SnapshotId,
        /// Where the piece stands.
        offset: u64,
        /// Its bytes.
        data: Bytes,
    },
    /// Read the first part of a snapshot that was received; answered by `Part`.
    Load {
        /// Which snapshot.
        id: SnapshotId,
    },
    /// Read the next part; answered by `Part`.
    LoadNext,
    /// Set every snapshot aside: the state that they hold is wrong.
    DiscardAll,
    /// Remove a snapshot that cannot be loaded.
    Discard {
        /// Which snapshot.
        id: SnapshotId,
    },
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotFact {
    /// The part was written.
    Written,
    /// The snapshot is durable.
    Finished {
        /// Its name.
        id: SnapshotId,
    },
    /// The snapshot could not be written; what there was of it is gone.
    Failed {
        /// The reason, for the log.
        why: String,
    },
    /// A piece for a follower.
    Piece {
        /// Which snapshot.
        id: SnapshotId,
        /// Where the piece begins.
        offset: u64,
        /// The piece, or `None` if the file is gone or damaged.
        data: Option<Bytes>,
    },
    /// How far a snapshot from the leader has come.
    Received {
        /// Which snapshot.
        id: SnapshotId,
        /// The offset of the piece that is wanted next.
        next_offset: u64,
        /// Whether it is whole, verified and durable.
        is_whole: bool,
    },
    /// A part of the snapshot that is being loaded; `None` behind the last one.
    Part {
        /// The part.
        part: Option<Bytes>,
    },
    /// The snapshot that is being loaded cannot be read.
    Unreadable {
        /// The reason, for the log.
        why: String,
    },
}

/// The snapshot that is being built.
#[derive(Debug)]
pub(crate) struct Building {
    pub(crate) last: EntryId,
    stage: Stage,
    /// Whether a part is on its way to the disk.
    is_writing: bool,
    /// When the next part may be made.
    next_part_at: Time,
}

#[derive(Debug)]
enum Stage {
    Head(Bytes),
    Sessions,
    Machine,
    Finish,
    Finishing,
}

/// When to build, and what is being built.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    pub(crate) building: Option<Building>,
    /// Bytes of the entries that were applied since the last snapshot.
    log_bytes: u64,
    not_before: Time,
    /// Somebody wants one that covers this entry, which is applied.
    wanted: Index,
}

impl Builder {
    /// Notes that somebody wants one that covers an entry, which is applied.
    pub(crate) fn want(&mut self, covers: Index) {
        self.wanted = self.wanted.max(covers);
    }

    /// Whether somebody wants one, which the last is not, and it may begin.
    pub(crate) fn is_wanted(&self, now: Time, last: Option<SnapshotId>) -> bool {
        self.may_begin(now) && last.map_or(Index::ZERO, |id| id.last.index) < self.wanted
    }

    /// Notes that entries of so many bytes were applied.
    pub(crate) fn applied(&mut self, bytes: usize) {
        self.log_bytes += bytes as u64;
    }

    /// Whether the log behind the last snapshot has become long enough for another one: as long
    /// as that was, so that what is written for snapshots is no more than what was written for
    /// the log.
    pub(crate) fn is_due(&self, now: Time, least_bytes: u64, last: Option<SnapshotId>) -> bool {
        let last_bytes = last.map_or(0, |id| id.bytes);
        self.may_begin(now) && least_bytes.max(last_bytes) < self.log_bytes
    }

    /// Whether none is being built, and the last failure is long ago.
    pub(crate) fn may_begin(&self, now: Time) -> bool {
        self.building.is_none() && self.not_before <= now
    }

    /// Begins a snapshot of what is pinned; returns the first order.
    pub(crate) fn begin(&mut self, last: EntryId, state: &SnapshotState) -> SnapshotOrder {
        let stage = Stage::Head(encode_head(state));
        self.building =
            Some(Building { last, stage, is_writing: false, next_part_at: Time::default() });
        self.log_bytes = 0;
        SnapshotOrder::Begin { last }
    }

    /// Notes that the part on its way was written.
    pub(crate) fn written(&mut self) {
        if let Some(building) = &mut self.building {
            building.is_writing = false;
        }
    }

    /// The next order of the snapshot that is being built, if it is time for one.
    pub(crate) fn next_order<S: StateMachine>(
        &mut self,
        (now, interval_us): (Time, u64),
        sessions: &mut Sessions,
        machine: &mut S,
    ) -> Option<SnapshotOrder> {
        let is_time = |it: &&mut Building| !it.is_writing && it.next_part_at <= now;
        let building = self.building.as_mut().filter(is_time)?;
        match building.stage {
            Stage::Finish => {
                building.stage = Stage::Finishing;
                return Some(SnapshotOrder::Finish);
            }
            Stage::Finishing => return None,
            Stage::Head(_) | Stage::Sessions | Stage::Machine => {}
        }
        let mut part = BytesMut::new();
        let next = building.stage.put_part(sessions, machine, &mut part);
        building.stage = next.unwrap_or(Stage::Finish);
        building.is_writing = true;
        building.next_part_at = now.after(interval_us);
        Some(SnapshotOrder::Append { part: part.freeze() })
    }

    /// Ends the build, well or not.
    pub(crate) fn end<S: StateMachine>(&mut self, sessions: &mut Sessions, machine: &mut S) {
        if self.building.take().is_some() {
            sessions.unpin();
            machine.unpin();
        }
    }

    /// Notes that the disk did not take it: try again after a while.
    pub(crate) fn failed(&mut self, now: Time) {
        self.not_before = now.after(AFTER_FAILURE_US);
        self.log_bytes = u64::MAX / 2;
    }

    /// Notes that the state was replaced: the log behind it is empty.
    pub(crate) fn installed(&mut self) {
        self.log_bytes = 0;
    }
}

/// A snapshot on its way from a file into a state machine.
#[derive(Debug)]
pub struct Loader<S> {
    machine: S,
    sessions: Sessions,
    state: Option<SnapshotState>,
}

/// A state machine as a snapshot has it, with what belongs to it.
#[derive(Debug)]
pub struct Loaded<S> {
    pub(crate) machine: S,
    pub(crate) sessions: Sessions,
    /// What the snapshot says about consensus.
    pub state: SnapshotState,
}

impl<S: StateMachine> Loader<S> {
    /// Loads into `machine`, which must be empty.
    #[must_use]
    pub fn new(machine: S) -> Self {
        Self { machine, sessions: Sessions::default(), state: None }
    }

    /// Takes the next part.
    ///
    /// Errors: if it is not one of a snapshot of this state machine; the loader is of no use
    /// then.
    pub fn load(&mut self, part: &[u8]) -> Result<(), LoadError> {
        let Some((kind, rest)) = part.split_first() else {
            return Err(LoadError::because("a part is empty"));
        };
        match (*kind, &self.state) {
            (HEAD, None) => {
                let head = decode_head(rest);
                let Some(state) = head else { return Err(LoadError::because("its head")) };
                self.state = Some(state);
                Ok(())
            }
            (SESSIONS, Some(_)) => self.sessions.load(rest),
            (MACHINE, Some(_)) => self.machine.load(rest),
            (kind, _) => Err(LoadError::because(format!("a part of kind {kind} is out of place"))),
        }
    }

    /// The highest feature level that the snapshot covers, as far as it is known.
    pub(crate) fn feature_level(&self) -> u16 {
        self.state.as_ref().map_or(FEATURE_LEVEL_MIN, |state| state.feature_level)
    }

    /// The state machine, when every part was taken.
    ///
    /// Errors: if something is missing.
    pub fn finish(mut self) -> Result<Loaded<S>, LoadError> {
        let Some(state) = self.state else {
            return Err(LoadError::because("it has no head"));
        };
        self.sessions.finish_load()?;
        self.machine.finish_load()?;
        Ok(Loaded { machine: self.machine, sessions: self.sessions, state })
    }
}

/// Every part of a snapshot of the present state, one after the other.
pub(crate) fn parts_of<'s, S: StateMachine>(
    state: &SnapshotState,
    sessions: &'s mut Sessions,
    machine: &'s mut S,
) -> impl Iterator<Item = Bytes> + use<'s, S> {
    sessions.pin();
    machine.pin();
    let mut stage = Some(Stage::Head(encode_head(state)));
    std::iter::from_fn(move || {
        let mut part = BytesMut::new();
        stage = stage.take()?.put_part(sessions, machine, &mut part);
        Some(part.freeze())
    })
}

impl Stage {
    /// Appends a part; returns the stage of the next one, `None` behind the last.
    fn put_part<S: StateMachine>(
        &self,
        sessions: &mut Sessions,
        machine: &mut S,
        part: &mut BytesMut,
    ) -> Option<Self> {
        match self {
            Self::Head(head) => {
                part.put_u8(HEAD);
                part.extend_from_slice(head);
                Some(Self::Sessions)
            }
            Self::Sessions => {
                part.put_u8(SESSIONS);
                let has_more = sessions.read_pinned(PART_BYTES, part);
                Some(if has_more { Self::Sessions } else { Self::Machine })
            }
            Self::Machine => {
                part.put_u8(MACHINE);
                machine.read_pinned(PART_BYTES, part).then_some(Self::Machine)
            }
            Self::Finish | Self::Finishing => None,
        }
    }
}

/// A version (2), log time (8 bytes), feature level (2, from version 2 on), the entry that made
/// the configuration (8), the number of bindings (4) and for each the node id (8) and the
/// incarnation (8), then the configuration.
fn encode_head(state: &SnapshotState) -> Bytes {
    let mut head = BytesMut::new();
    head.put_u8(2);
    head.put_u64_le(state.log_time);
    head.put_u16_le(state.feature_level);
    head.put_u64_le(state.configured_at.0);
    head.put_u32_le(u32::try_from(state.bindings.len()).expect("ids are counted one by one"));
    for (node, incarnation) in &state.bindings {
        head.put_u64_le(node.number());
        head.put_u64_le(incarnation.0);
    }
    head.extend_from_slice(&state.configuration.encode());
    head.freeze()
}

fn decode_head(mut head: &[u8]) -> Option<SnapshotState> {
    use bytes::Buf as _;
    let version = head.try_get_u8().ok().filter(|version| (1..=2).contains(version))?;
    let mut state = SnapshotState {
        log_time: head.try_get_u64_le().ok()?,
        feature_level: match version {
            1 => FEATURE_LEVEL_MIN,
            _ => head.try_get_u16_le().ok()?,
        },
        configured_at: Index(head.try_get_u64_le().ok()?),
        ..SnapshotState::default()
    };
    for _ in 0..head.try_get_u32_le().ok()? {
        let node = NodeId::new(head.try_get_u64_le().ok()?)?;
        state.bindings.insert(node, Incarnation(head.try_get_u64_le().ok()?));
    }
    state.configuration = Configuration::decode(head)?;
    Some(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back_and_a_cut_one_is_refused() {
        let id = |number| NodeId::new(number).unwrap();
        let state = SnapshotState {
            configuration: Configuration::of([id(1), id(2)]),
            configured_at: Index(7),
            bindings: [(id(1), Incarnation(5)), (id(2), Incarnation(6))].into(),
            log_time: 99,
            feature_level: 3,
        };
        let head = encode_head(&state);
        assert_eq!(decode_head(&head), Some(state));
        for length in 0..head.len() {
            assert_eq!(decode_head(&head[..length]), None, "cut at {length}");
        }
    }
}
