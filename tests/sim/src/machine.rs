//! The state machine of the tests: a few named registers, in words that a script can show.
//!
//! Commands are text: `put <key> <value>` and `add <key> <number>`; a query is a key. Every
//! command that makes sense raises the revision by one and is answered with it.

use std::collections::BTreeMap;

use bytes::BytesMut;
use raft_core::entry::EntryRef;
use raft_core::replica::StateMachine;
use raft_core::types::EntryId;

/// Named registers, and which entries made them what they are.
#[derive(Clone, Debug, Default)]
pub struct Registers {
    values: BTreeMap<String, String>,
    applied: Vec<EntryId>,
    revision: u64,
}

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

    /// Executes a command given as text; `None` if it makes no sense.
    fn execute(&mut self, command: &str) -> Option<u64> {
        let mut words = command.splitn(3, ' ');
        let (verb, key, value) = (words.next()?, words.next()?, words.next()?);
        match verb {
            "put" => {
                self.values.insert(key.to_owned(), value.to_owned());
            }
            "add" => {
                let old: u64 = self.values.get(key).and_then(|old| old.parse().ok()).unwrap_or(0);
                let new = old.wrapping_add(value.parse().ok()?);
                self.values.insert(key.to_owned(), new.to_string());
            }
            _ => return None,
        }
        self.revision += 1;
        Some(self.revision)
    }
}

impl StateMachine for Registers {
    fn apply(&mut self, command: EntryRef<'_>, answer: &mut BytesMut) {
        self.applied.push(command.id());
        let executed = std::str::from_utf8(command.payload()).ok().and_then(|c| self.execute(c));
        match executed {
            Some(revision) => answer.extend_from_slice(format!("r{revision}").as_bytes()),
            None => answer.extend_from_slice(b"malformed"),
        }
    }

    fn query(&self, query: &[u8], answer: &mut BytesMut) {
        let key = std::str::from_utf8(query).unwrap_or_default();
        answer.extend_from_slice(self.get(key).unwrap_or("nothing").as_bytes());
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    /// FNV-1a over keys and values in order.
    fn state_hash(&self) -> u64 {
        let texts = self.values.iter().flat_map(|(key, value)| [key, "=", value, ";"]);
        texts.flat_map(str::bytes).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}
