//! The state machine of the tests: a few named registers, in words that a script can show.
//!
//! Commands are text: `put <key> <value>`, `add <key> <number>` and `delete <key>`; a query is a
//! key. Every command that makes sense raises the revision by one and is answered with it.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf as _, BufMut as _, BytesMut};
use raft_core::entry::EntryRef;
use raft_core::replica::{LoadError, StateMachine};
use raft_core::types::{EntryId, Index, Term};

/// Named registers, and which entries made them what they are.
#[derive(Clone, Debug, Default)]
pub struct Registers {
    values: BTreeMap<String, String>,
    applied: Vec<EntryId>,
    /// What was executed here, and not loaded, since somebody asked.
    executed: RefCell<Vec<Index>>,
    revision: u64,
    /// The records of a snapshot that are still to be read; registers are few.
    pinned: VecDeque<BytesMut>,
    loading: Option<Loading>,
}

/// How many records of a snapshot are still to come.
#[derive(Clone, Copy, Debug)]
struct Loading {
    registers: u64,
    applied: u64,
}

/// The kinds of the records of a snapshot: its begin, a register, an executed command.
const BEGIN: u8 = 1;
const REGISTER: u8 = 2;
const APPLIED: u8 = 3;

const FORMAT: u8 = 1;

impl Registers {
    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// All registers, by key.
    #[must_use]
    pub fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// The commands that were executed, in order.
    #[must_use]
    pub fn applied(&self) -> &[EntryId] {
        &self.applied
    }

    /// The entries that were executed since the last call.
    pub(crate) fn take_executed(&self) -> Vec<Index> {
        self.executed.take()
    }

    /// Executes a command given as text; `None` if it makes no sense.
    fn execute(&mut self, command: &str) -> Option<u64> {
        let mut words = command.splitn(3, ' ');
        let (verb, key) = (words.next()?, words.next()?);
        match (verb, words.next()) {
            ("put", Some(value)) => {
                self.values.insert(key.to_owned(), value.to_owned());
            }
            ("delete", None) => {
                self.values.remove(key);
            }
            ("add", Some(value)) => {
                let old: u64 = self.values.get(key).and_then(|old| old.parse().ok()).unwrap_or(0);
                let new = old.wrapping_add(value.parse().ok()?);
                self.values.insert(key.to_owned(), new.to_string());
            }
            _ => return None,
        }
        self.revision += 1;
        Some(self.revision)
    }

    fn records(&self) -> VecDeque<BytesMut> {
        let mut begin = BytesMut::from(&[BEGIN, FORMAT][..]);
        begin.put_u64_le(self.revision);
        begin.put_u64_le(self.values.len() as u64);
        begin.put_u64_le(self.applied.len() as u64);
        let registers = self.values.iter().map(|(key, value)| {
            let mut record = BytesMut::from(&[REGISTER][..]);
            record.put_u64_le(key.len() as u64);
            record.put_u64_le(value.len() as u64);
            record.put_slice(key.as_bytes());
            record.put_slice(value.as_bytes());
            record
        });
        let applied = self.applied.iter().map(|id| {
            let mut record = BytesMut::from(&[APPLIED][..]);
            record.put_u64_le(id.term.0);
            record.put_u64_le(id.index.0);
            record
        });
        [begin].into_iter().chain(registers).chain(applied).collect()
    }

    /// Takes in the next record; `None` if it makes no sense.
    fn load_record(&mut self, part: &mut &[u8]) -> Option<()> {
        match (part.try_get_u8().ok()?, self.loading.as_mut()) {
            (BEGIN, None) if part.try_get_u8().ok()? == FORMAT => {
                self.revision = part.try_get_u64_le().ok()?;
                let registers = part.try_get_u64_le().ok()?;
                let applied = part.try_get_u64_le().ok()?;
                self.loading = Some(Loading { registers, applied });
            }
            (REGISTER, Some(loading)) => {
                loading.registers = loading.registers.checked_sub(1)?;
                let key_bytes = usize::try_from(part.try_get_u64_le().ok()?).ok()?;
                let value_bytes = usize::try_from(part.try_get_u64_le().ok()?).ok()?;
                let key = String::from_utf8(part.split_off(..key_bytes)?.to_vec()).ok()?;
                let value = String::from_utf8(part.split_off(..value_bytes)?.to_vec()).ok()?;
                self.values.insert(key, value);
            }
            (APPLIED, Some(loading)) => {
                loading.applied = loading.applied.checked_sub(1)?;
                let term = Term(part.try_get_u64_le().ok()?);
                self.applied.push(EntryId { term, index: Index(part.try_get_u64_le().ok()?) });
            }
            _ => return None,
        }
        Some(())
    }
}

impl StateMachine for Registers {
    fn apply(&mut self, command: EntryRef<'_>, answer: &mut BytesMut) {
        self.applied.push(command.id());
        self.executed.get_mut().push(command.id().index);
        let executed = std::str::from_utf8(command.payload()).ok().and_then(|c| self.execute(c));
        match executed {
            Some(revision) => answer.extend_from_slice(format!("r{revision}").as_bytes()),
            None => answer.extend_from_slice(b"malformed"),
        }
    }

    fn query(&self, query: &[u8], _log_time: u64, answer: &mut BytesMut) {
        let key = std::str::from_utf8(query).unwrap_or_default();
        answer.extend_from_slice(self.get(key).unwrap_or("nothing").as_bytes());
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    fn live_bytes(&self) -> u64 {
        self.values.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }

    fn grows(&self, command: &[u8]) -> bool {
        !command.starts_with(b"delete")
    }

    /// FNV-1a over keys and values in order.
    fn state_hash(&self) -> u64 {
        let texts = self.values.iter().flat_map(|(key, value)| [key, "=", value, ";"]);
        texts.flat_map(str::bytes).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
    fn pin(&mut self) {
        self.pinned = self.records();
    }

    fn read_pinned(&mut self, bytes_max: usize, part: &mut BytesMut) -> bool {
        let end = part.len() + bytes_max;
        while let Some(record) = self.pinned.pop_front() {
            part.extend_from_slice(&record);
            if end <= part.len() {
                break;
            }
        }
        !self.pinned.is_empty()
    }

    fn unpin(&mut self) {
        self.pinned.clear();
    }

    fn empty(&self) -> Self {
        Self::default()
    }

    fn load(&mut self, mut part: &[u8]) -> Result<(), LoadError> {
        while !part.is_empty() {
            let loaded = self.load_record(&mut part);
            loaded.ok_or_else(|| LoadError::because("a record makes no sense"))?;
        }
        Ok(())
    }

    fn finish_load(&mut self) -> Result<(), LoadError> {
        match self.loading {
            Some(Loading { registers: 0, applied: 0 }) => Ok(()),
            Some(_) | None => Err(LoadError::because("records are missing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use raft_core::entry::{Draft, EntryKind, SessionStamp, Stamp};

    use super::*;

    fn apply(registers: &mut Registers, commands: &[&str]) {
        let mut draft = Draft::default();
        for command in commands {
            draft.push(EntryKind::Command, &SessionStamp::default(), command.as_bytes());
        }
        let first = Index(registers.applied.len() as u64 + 1);
        let stamp = Stamp {
            term: Term(2),
            first,
            log_time: 0,
            feature_level: raft_core::entry::FEATURE_LEVEL,
            wall_time: 0,
            seed: 0,
        };
        let (entries, mut answer) = (draft.stamp(&stamp), BytesMut::new());
        entries.iter().for_each(|entry| registers.apply(entry, &mut answer));
    }

    #[test]
    fn loaded_registers_are_the_pinned_ones_or_an_error() {
        for bytes_max in [1, 30, 1000] {
            let mut registers = Registers::default();
            apply(&mut registers, &["put x 1", "nonsense", "add x 4", "put a b c", "put e "]);
            let at_pin = registers.clone();
            let mut loaded = registers.empty();
            registers.pin();
            let mut more = true;
            while more {
                assert_eq!(loaded.finish_load(), Err(LoadError::because("records are missing")));
                apply(&mut registers, &["put x later", "put y new"]);
                let mut part = BytesMut::new();
                more = registers.read_pinned(bytes_max, &mut part);
                loaded.clone().load(&part[1..]).unwrap_err();
                loaded.load(&part).unwrap();
            }
            loaded.finish_load().unwrap();
            assert_eq!(loaded.values, at_pin.values);
            assert_eq!(loaded.applied, at_pin.applied);
            assert_eq!(loaded.revision, at_pin.revision);
        }
    }
}
