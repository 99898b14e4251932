//! What happened to a key in a revision, as a watch shows it.

use std::fmt;

use crate::command::KeyValue;
use crate::keyspace::{Changed, Content, VersionRef};
use crate::page::key_value;

/// One change of one key (etcd: `mvccpb.Event`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'s> {
    /// The revision that made the change.
    pub revision: u64,
    /// The key.
    pub key: &'s [u8],
    /// The field or member that changed; `None` for the key itself, which moves with each of
    /// them and whose event comes before theirs. The pairs of an item have the key, and the
    /// value and revisions of the item.
    pub item: Option<&'s [u8]>,
    /// What the key is since then; `None` if it was removed.
    pub next: Option<KeyValue<'s>>,
    /// What the key was before; `None` if it did not exist. At the compaction revision itself
    /// nothing before it is known.
    pub previous: Option<KeyValue<'s>>,
}

impl<'s> Event<'s> {
    pub(crate) fn new(changed: &Changed<'s>, compacted: u64) -> Self {
        let Changed { key, item, version, previous } = *changed;
        let shown = |version: VersionRef<'s>| {
            let kv = |content: Content<'s>| key_value(key, version.mod_revision, content);
            version.content().map(kv)
        };
        let revision = version.mod_revision;
        let previous = previous.filter(|_| compacted < revision).and_then(shown);
        Self { revision, key, item, next: shown(version), previous }
    }
}

/// What was asked for was compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The first revision that is still there.
    pub oldest: u64,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what was before revision {} has been compacted", self.oldest)
    }
}

impl std::error::Error for Lost {}
