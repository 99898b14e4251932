//! Who a data directory belongs to: a short text file that a person can read.
//!
//! ```text
//! # Written by kvorum; do not change, move or copy.
//! format = 1
//! cluster_id = 00c0ffee00c0ffee
//! node_id = 2
//! incarnation = 8f14e45fceea167a
//! member.1 = 127.0.0.1:2379
//! member.2 = 127.0.0.1:2380
//! learner.4 = 127.0.0.1:2381
//! promise_us = 250000
//! checksum = 1a2b3c4d
//! ```
//!
//! The checksum is the CRC32C of all lines before it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use crate::configuration::Configuration;
use crate::types::{Incarnation, NodeId};
use crate::wal::disk::{Disk, DiskError};

/// The name of the file.
pub const IDENTITY_FILE: &str = "identity";

/// The longest file that is read or written; about a thousand members.
pub const IDENTITY_BYTES_MAX: usize = 64 * 1024;

const IDENTITY_FILE_NEW: &str = "identity.new";
const FORMAT: u32 = 1;
const MEMBER: &str = "member.";
const LEARNER: &str = "learner.";
const PROMISE: &str = "promise_us";
const COMMENT: &str = "# Written by kvorum; do not change, move or copy.";

/// Who a data directory belongs to, and whom it knew last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Drawn when the cluster was founded.
    pub cluster_id: u64,
    /// The id of this node in its cluster.
    pub node_id: NodeId,
    /// Drawn when the directory was made.
    pub incarnation: Incarnation,
    /// Where the members were heard last, so that a restart needs no flags.
    pub members: BTreeMap<NodeId, String>,
    /// Those of the members that did not vote.
    pub learners: BTreeSet<NodeId>,
    /// The longest promise to elect nobody that this directory may have given, for reads by
    /// lease; zero if it never gave any. Units: microseconds.
    pub promise_us: u64,
}

impl Identity {
    /// What the node takes for the configuration until its log says more.
    #[must_use]
    pub fn configuration(&self) -> Configuration {
        Configuration::known(self.members.clone(), &self.learners)
    }

    /// The identity as text.
    ///
    /// Errors: `Address` if an address cannot stand on one line, `TooLong`; nothing should be
    /// stored then.
    pub fn encode(&self) -> Result<String, IdentityError> {
        let Self { cluster_id, node_id, incarnation, members, learners, promise_us } = self;
        let mut text = format!(
            "{COMMENT}\nformat = {FORMAT}\ncluster_id = {cluster_id:016x}\nnode_id = {node_id}\n\
             incarnation = {:016x}\n",
            incarnation.0
        );
        for (member, address) in members {
            if address.trim() != address || address.is_empty() || address.contains(is_control) {
                return Err(IdentityError::Address(*member));
            }
            let role = if learners.contains(member) { LEARNER } else { MEMBER };
            let _ = writeln!(text, "{role}{member} = {address}");
        }
        if 0 < *promise_us {
            let _ = writeln!(text, "{PROMISE} = {promise_us}");
        }
        let checksum = crc32c::crc32c(text.as_bytes());
        let _ = writeln!(text, "checksum = {checksum:08x}");
        if IDENTITY_BYTES_MAX < text.len() {
            return Err(IdentityError::TooLong);
        }
        Ok(text)
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// Errors: `IdentityError`; the directory must not be used, for nobody knows whose it is.
    pub fn parse(text: &[u8]) -> Result<Self, IdentityError> {
        if IDENTITY_BYTES_MAX < text.len() {
            return Err(IdentityError::TooLong);
        }
        let text = std::str::from_utf8(text).map_err(|_| IdentityError::Checksum)?;
        let lines = text.strip_suffix('\n').ok_or(IdentityError::Checksum)?;
        let (body, last) = lines.rsplit_once('\n').ok_or(IdentityError::Checksum)?;
        let body = &text[..=body.len()];
        let stored = last.strip_prefix("checksum = ").and_then(|word| hex(word, 8));
        if stored != Some(u64::from(crc32c::crc32c(body.as_bytes()))) {
            return Err(IdentityError::Checksum);
        }
        parse_lines(body)
    }

    /// Reads the identity of a directory; `None` if it has none yet.
    ///
    /// Errors: as [`Self::parse`], and `Disk` if the disk does not answer.
    pub fn load<D: Disk>(disk: &mut D) -> Result<Option<Self>, IdentityError> {
        let names = disk.list().map_err(IdentityError::Disk)?;
        if !names.iter().any(|name| name == IDENTITY_FILE) {
            return Ok(None);
        }
        let mut bytes = vec![0; IDENTITY_BYTES_MAX + 1];
        let read = disk.read(IDENTITY_FILE, 0, &mut bytes).map_err(IdentityError::Disk)?;
        Self::parse(&bytes[..read]).map(Some)
    }

    /// Replaces the identity of a directory, all or nothing; durable when it returns.
    ///
    /// Errors: as [`Self::encode`], and `Disk`; the old identity stays then.
    pub fn store<D: Disk>(&self, disk: &mut D) -> Result<(), IdentityError> {
        let text = self.encode()?;
        let mut write = || {
            disk.create(IDENTITY_FILE_NEW, text.len() as u64)?;
            disk.write(IDENTITY_FILE_NEW, 0, text.as_bytes())?;
            disk.sync(IDENTITY_FILE_NEW)?;
            disk.rename(IDENTITY_FILE_NEW, IDENTITY_FILE)
        };
        write().map_err(IdentityError::Disk)
    }
}

/// Why a directory's identity cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// The disk did not do what it was asked.
    Disk(DiskError),
    /// The text is not what was written.
    Checksum,
    /// The text is whole, but this line makes no sense to this program.
    Line {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A key is not there.
    Missing(&'static str),
    /// The address of this member is empty or has a line break or spaces around it.
    Address(NodeId),
    /// More than [`IDENTITY_BYTES_MAX`].
    TooLong,
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(cause) => write!(f, "cannot read or write {IDENTITY_FILE}: {cause}"),
            Self::Checksum => write!(
                f,
                "{IDENTITY_FILE} was changed or is damaged (its checksum does not match); put \
                 back the original, or start with an empty directory"
            ),
            Self::Line { number, problem } => {
                write!(f, "{IDENTITY_FILE} line {number}: {problem}")
            }
            Self::Missing(key) => write!(f, "{IDENTITY_FILE} has no {key}"),
            Self::Address(member) => {
                write!(f, "the address of node {member} does not fit on a line of {IDENTITY_FILE}")
            }
            Self::TooLong => {
                write!(f, "{IDENTITY_FILE} is longer than {IDENTITY_BYTES_MAX} bytes")
            }
        }
    }
}

impl std::error::Error for IdentityError {}

fn parse_lines(body: &str) -> Result<Identity, IdentityError> {
    let (mut cluster_id, mut node_id, mut incarnation) = (None, None, None);
    let (mut members, mut learners) = (BTreeMap::new(), BTreeSet::new());
    let (mut promise_us, mut has_format) = (None, false);
    for (number, line) in (1..).zip(body.lines()) {
        let bad = |problem| IdentityError::Line { number, problem };
        if line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once(" = ").ok_or(bad("expected key = value"))?;
        let is_new = match key {
            "format" if value == "1" => !std::mem::replace(&mut has_format, true),
            "format" => return Err(bad("written by another version of the program")),
            "cluster_id" => {
                let id = hex(value, 16).ok_or(bad("expected 16 hexadecimal digits"))?;
                cluster_id.replace(id).is_none()
            }
            "node_id" => {
                let id = node(value).ok_or(bad("expected a number above zero"))?;
                node_id.replace(id).is_none()
            }
            "incarnation" => {
                let drawn = hex(value, 16).ok_or(bad("expected 16 hexadecimal digits"))?;
                incarnation.replace(Incarnation(drawn)).is_none()
            }
            PROMISE => {
                let length = value.parse().map_err(|_| bad("expected a number"))?;
                promise_us.replace(length).is_none()
            }
            member => {
                let learner = member.strip_prefix(LEARNER);
                let id = learner.or(member.strip_prefix(MEMBER)).ok_or(bad("unknown key"))?;
                let id = node(id).ok_or(bad("expected a number above zero after member"))?;
                learners.extend(learner.map(|_| id));
                members.insert(id, value.to_owned()).is_none()
            }
        };
        if !is_new {
            return Err(bad("the key stands there twice"));
        }
    }
    if !has_format {
        return Err(IdentityError::Missing("format"));
    }
    Ok(Identity {
        cluster_id: cluster_id.ok_or(IdentityError::Missing("cluster_id"))?,
        node_id: node_id.ok_or(IdentityError::Missing("node_id"))?,
        incarnation: incarnation.ok_or(IdentityError::Missing("incarnation"))?,
        members,
        learners,
        promise_us: promise_us.unwrap_or(0),
    })
}

fn is_control(character: char) -> bool {
    character.is_control()
}

fn node(number: &str) -> Option<NodeId> {
    NodeId::new(number.parse().ok()?)
}

/// Exactly `digits` hexadecimal digits.
fn hex(word: &str, digits: usize) -> Option<u64> {
    let is_hex = word.len() == digits && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex { u64::from_str_radix(word, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::memory_disk::MemoryDisk;

    fn identity() -> Identity {
        let node = |number| NodeId::new(number).unwrap();
        Identity {
            cluster_id: 0x00c0_ffee,
            node_id: node(2),
            incarnation: Incarnation(u64::MAX),
            members: [(node(1), "127.0.0.1:2379".to_owned()), (node(2), "[::1]:80".to_owned())]
                .into(),
            learners: [node(2)].into(),
            promise_us: 250_000,
        }
    }

    fn with_checksum(body: &str) -> Vec<u8> {
        format!("{body}checksum = {:08x}\n", crc32c::crc32c(body.as_bytes())).into_bytes()
    }

    #[test]
    fn an_identity_is_stored_whole_and_read_back() {
        let mut disk = MemoryDisk::default();
        assert_eq!(Identity::load(&mut disk), Ok(None));
        identity().store(&mut disk).unwrap();
        disk.crash(|_, _| false);
        assert_eq!(Identity::load(&mut disk), Ok(Some(identity())));

        let mut moved = identity();
        moved.members.clear();
        moved.learners.clear();
        moved.promise_us = 0;
        disk.set_capacity(Some(1));
        assert_eq!(moved.store(&mut disk), Err(IdentityError::Disk(DiskError::NoSpace)));
        assert_eq!(Identity::load(&mut disk), Ok(Some(identity())));
        disk.set_capacity(None);
        moved.store(&mut disk).unwrap();
        assert_eq!(Identity::load(&mut disk), Ok(Some(moved)));
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let text = identity().encode().unwrap().into_bytes();
        for at in 0..text.len() {
            let mut changed = text.clone();
            changed[at] ^= 1;
            assert!(Identity::parse(&changed).is_err(), "byte {at} was changed");
            assert!(Identity::parse(&text[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_file_from_before_there_were_learners_is_read() {
        let mut text = identity().encode().unwrap().replace("learner.2", "member.2");
        text.truncate(text.rfind("checksum").unwrap());
        let read = Identity::parse(&with_checksum(&text)).unwrap();
        assert_eq!(read, Identity { learners: BTreeSet::new(), ..identity() });
        let (founded, joined) = (read.configuration(), identity().configuration());
        assert!(founded.voters.len() == 2 && founded.learners.is_empty());
        assert!(joined.voters.len() == 1 && joined.learners.len() == 1 && joined.next_id == 3);
        let body = format!("{text}learner.1 = a:1\n");
        let twice = Identity::parse(&with_checksum(&body)).unwrap_err().to_string();
        assert!(twice.contains("the key stands there twice"), "{twice}");
    }

    #[test]
    fn a_file_from_before_there_were_promises_promised_nothing() {
        let mut text = identity().encode().unwrap().replace("promise_us = 250000\n", "");
        text.truncate(text.rfind("checksum").unwrap());
        let read = Identity::parse(&with_checksum(&text)).unwrap();
        assert_eq!(read, Identity { promise_us: 0, ..identity() });
        assert!(!read.encode().unwrap().contains(PROMISE), "and nobody else sees a difference");
        let wrong = Identity::parse(&with_checksum(&format!("{text}promise_us = soon\n")));
        assert!(wrong.unwrap_err().to_string().contains("expected a number"));
    }

    #[test]
    fn errors_name_the_line_and_the_problem() {
        let body = "format = 1\ncluster_id = 00000000000000aa\nnode_id = 1\n";
        let say = |body: &str| Identity::parse(&with_checksum(body)).unwrap_err().to_string();
        assert_eq!(say(body), "identity has no incarnation");
        let zero = body.replace("node_id = 1", "node_id = 0");
        assert_eq!(say(&zero), "identity line 3: expected a number above zero");
        let newer = body.replace("format = 1", "format = 2");
        assert_eq!(say(&newer), "identity line 1: written by another version of the program");
        let twice = format!("{body}node_id = 3\n");
        assert_eq!(say(&twice), "identity line 4: the key stands there twice");
        assert_eq!(say("oops\n"), "identity line 1: expected key = value");
        assert_eq!(say(body.split_once('\n').unwrap().1), "identity has no format");
    }

    #[test]
    fn an_address_cannot_smuggle_in_a_line() {
        let mut identity = identity();
        let node = identity.node_id;
        identity.members.insert(node, "a:1\nnode_id = 9".to_owned());
        assert_eq!(identity.encode(), Err(IdentityError::Address(node)));
    }

    #[test]
    fn a_file_that_is_too_long_is_neither_written_nor_read() {
        let mut identity = identity();
        let long = "h".repeat(IDENTITY_BYTES_MAX);
        identity.members.insert(identity.node_id, long);
        assert_eq!(identity.encode(), Err(IdentityError::TooLong));
        let text = vec![b'#'; IDENTITY_BYTES_MAX + 1];
        assert_eq!(Identity::parse(&text), Err(IdentityError::TooLong));
    }
}
