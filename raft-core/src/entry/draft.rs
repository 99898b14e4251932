//! Rounds of commands on their way into the log.

use bytes::{Bytes, BytesMut};

use super::{
    ACKNOWLEDGED, CLIENT_ISSUED, CLIENT_RANDOM, CRC, ENTRY_BYTES_MAX, ENTRY_FORMAT,
    ENTRY_HEADER_BYTES, Entries, EntryError, EntryKind, EntryRef, FEATURE, FEATURE_LEVEL_MIN,
    FORMAT, INDEX, KIND, LENGTH, LOG_TIME, SEED, SERIAL, SessionStamp, Stamp, TERM, WALL_TIME,
    put_u64, ranges, split_first, u32_of,
};

/// A round of commands that has no place in the log yet.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    bytes: BytesMut,
    ends: Vec<u32>,
    /// Whether an entry is not a command for the state machine.
    concerns_members: bool,
}

impl Draft {
    /// Adds a command; `payload` is copied here for the only time.
    ///
    /// Panics: if the entry would exceed [`ENTRY_BYTES_MAX`]; callers check [`Self::fits`].
    pub fn push(&mut self, kind: EntryKind, session: &SessionStamp, payload: &[u8]) {
        assert!(Self::fits(payload.len()), "payload of {} bytes is within limits", payload.len());
        let length = ENTRY_HEADER_BYTES + payload.len();
        // At once, since each step of its own would ask whether there is room.
        let mut header = [0; ENTRY_HEADER_BYTES];
        header[LENGTH].copy_from_slice(&u32_of(length).to_le_bytes());
        header[FORMAT] = ENTRY_FORMAT;
        header[KIND] = kind.code();
        header[FEATURE..FEATURE + 2].copy_from_slice(&FEATURE_LEVEL_MIN.to_le_bytes());
        put_session(&mut header, session);
        self.bytes.reserve(length);
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(payload);
        self.ends.push(u32_of(self.bytes.len()));
        self.concerns_members |= matches!(kind, EntryKind::Change | EntryKind::Configure);
    }

    /// Whether a change of the membership, or the decision on one, is among the entries.
    #[must_use]
    pub fn concerns_members(&self) -> bool {
        self.concerns_members
    }

    /// Whether a payload of this many bytes makes an entry of allowed length.
    #[must_use]
    pub const fn fits(payload_bytes: usize) -> bool {
        payload_bytes <= ENTRY_BYTES_MAX - ENTRY_HEADER_BYTES
    }

    /// How many commands the draft holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the draft holds no command.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all commands with their headers.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The commands in order, each with the place in the round where it stands.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = EntryRef<'_>> {
        ranges(&self.ends, 0).map(|range| EntryRef { bytes: &self.bytes[range] })
    }

    /// Gives every command its term, index and times, and closes the round.
    ///
    /// Panics: if the draft is empty.
    #[must_use]
    pub fn stamp(mut self, stamp: &Stamp) -> Entries {
        assert!(!self.is_empty(), "a round holds at least one command");
        let (mut index, mut seed) = (stamp.first, stamp.seed);
        for range in ranges(&self.ends, 0) {
            let entry = &mut self.bytes[range];
            put_u64(entry, TERM, stamp.term.0);
            put_u64(entry, INDEX, index.0);
            entry[FEATURE..FEATURE + 2].copy_from_slice(&stamp.feature_level.to_le_bytes());
            put_u64(entry, LOG_TIME, stamp.log_time);
            put_u64(entry, WALL_TIME, stamp.wall_time);
            put_u64(entry, SEED, seed);
            let crc = crc32c::crc32c(&entry[CRC.end..]);
            entry[CRC].copy_from_slice(&crc.to_le_bytes());
            index = index.next();
            seed = seed.wrapping_add(1);
        }
        let bytes = self.bytes.freeze();
        Entries::of_round((stamp.term, stamp.first), bytes, self.ends, self.concerns_members)
    }

    /// Gives every command without a session the stamp that `next` makes for it.
    pub fn assign_sessions(&mut self, mut next: impl FnMut() -> SessionStamp) {
        for range in ranges(&self.ends, 0) {
            let entry = &mut self.bytes[range];
            if (EntryRef { bytes: entry }).session().is_session() {
                continue;
            }
            put_session(entry, &next());
        }
    }

    /// Adds a command that was taken from another draft or from the log, to be tried again.
    ///
    /// Panics: if `command` is not one well-formed entry.
    pub fn push_again(&mut self, command: &[u8]) {
        let entry = EntryRef::of(command);
        self.push(entry.kind(), &entry.session(), entry.payload());
    }

    /// The draft's bytes, to be sent to the leader, and those of each command; all of them
    /// share one allocation.
    #[must_use]
    pub fn into_commands(self) -> (Bytes, Vec<Bytes>) {
        let bytes = self.bytes.freeze();
        let commands = ranges(&self.ends, 0).map(|range| bytes.slice(range)).collect();
        (bytes, commands)
    }

    /// Reads a draft that a follower sent.
    ///
    /// Errors: `EntryError` if the bytes are not a row of well-formed commands; the caller
    /// should drop the message.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let mut draft = Self { bytes: BytesMut::from(bytes), ..Self::default() };
        let mut at = 0;
        while at < bytes.len() {
            let entry = split_first(&bytes[at..])?;
            entry.check_fields()?;
            match entry.kind() {
                EntryKind::Command => {}
                EntryKind::Change => draft.concerns_members = true,
                EntryKind::Noop | EntryKind::Bind | EntryKind::Configure => {
                    return Err(EntryError::Kind(entry.bytes[KIND]));
                }
            }
            at += entry.bytes.len();
            draft.ends.push(u32_of(at));
        }
        Ok(draft)
    }
}

fn put_session(entry: &mut [u8], session: &SessionStamp) {
    put_u64(entry, CLIENT_ISSUED, session.client.issued_at);
    put_u64(entry, CLIENT_RANDOM, session.client.random);
    put_u64(entry, SERIAL, session.serial);
    put_u64(entry, ACKNOWLEDGED, session.acknowledged);
}
