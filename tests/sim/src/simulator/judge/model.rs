//! The keys that are put, removed and read as they should be: naive, with all of their history.

use std::collections::BTreeMap;

use bytes::BytesMut;
use kv_store::command::{Answer, Attributes, Command, KeyRange, KeyValue, List, No};
use kv_store::store::REVISION_EMPTY;

/// What the keys begin with that are put, removed and read.
const FOLLOWED: &[u8] = b"key";

/// A key from one revision on.
#[derive(Clone, Debug)]
struct Version {
    revision: u64,
    /// `None` from when it was removed.
    content: Option<Content>,
}

#[derive(Clone, Debug)]
struct Content {
    value: Vec<u8>,
    create_revision: u64,
    version: u64,
}

/// All keys at all revisions.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) revision: u64,
    compacted: u64,
    keys: BTreeMap<Vec<u8>, Vec<Version>>,
}

/// Whether a key is one of those that are put, removed and read.
pub(super) fn is_followed(key: &[u8]) -> bool {
    key.starts_with(FOLLOWED)
}

impl Default for Model {
    fn default() -> Self {
        Self { revision: REVISION_EMPTY, compacted: 0, keys: BTreeMap::new() }
    }
}

impl Model {
    /// Executes a command and gives the answer that it should have; `None` if it is not about
    /// the keys that are followed here.
    pub(super) fn execute(&mut self, payload: &[u8]) -> Option<BytesMut> {
        let mut answer = BytesMut::new();
        match Command::decode(payload).expect("clients here write commands") {
            Command::Put { key, value } => self.put(key, value).encode(&mut answer),
            Command::Delete { ranges } if !is_followed(ranges[0].from) => return None,
            Command::Delete { ranges } => self.delete(&ranges).encode(&mut answer),
            Command::Compact { revision } => self.compact(revision).encode(&mut answer),
            _ => return None,
        }
        Some(answer)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Answer<'static> {
        self.revision += 1;
        let revision = self.revision;
        let before = self.at(key, revision).cloned();
        let (create_revision, version) =
            before.map_or((revision, 1), |before| (before.create_revision, before.version + 1));
        let content = Some(Content { value: value.to_vec(), create_revision, version });
        self.keys.entry(key.to_vec()).or_default().push(Version { revision, content });
        Answer::Put { revision }
    }

    fn delete(&mut self, ranges: &[KeyRange<'_>]) -> Answer<'static> {
        let revision = self.revision;
        let is_meant = |key: &[u8]| ranges.iter().any(|range| range.contains(key));
        let doomed: Vec<Vec<u8>> = self
            .keys
            .keys()
            .filter(|key| is_meant(key) && self.at(key, revision).is_some())
            .cloned()
            .collect();
        let count = doomed.len() as u64;
        self.revision += u64::from(0 < count);
        let revision = self.revision;
        for key in doomed {
            let versions = self.keys.get_mut(&key).expect("it was just found");
            versions.push(Version { revision, content: None });
        }
        Answer::Deleted { count, revision }
    }

    /// What a leader asked for; reads here are of the newest revision, which always stays.
    fn compact(&mut self, compacted: u64) -> Answer<'static> {
        let revision = self.revision;
        assert!(compacted <= revision, "no leader compacts the future");
        if compacted <= self.compacted {
            return Answer::No { revision, why: No::Compacted { oldest: self.compacted } };
        }
        self.compacted = compacted;
        Answer::Done { revision }
    }

    fn at(&self, key: &[u8], revision: u64) -> Option<&Content> {
        let versions = self.keys.get(key)?;
        let count = versions.partition_point(|version| version.revision <= revision);
        versions[..count].last()?.content.as_ref()
    }

    /// The answer to a range query at a revision.
    pub(super) fn range(&self, range: &KeyRange<'_>, revision: u64) -> BytesMut {
        let kvs: List<KeyValue<'_>> = self
            .keys
            .iter()
            .filter(|(key, _)| range.contains(key))
            .filter_map(|(key, versions)| {
                let Content { value, create_revision, version } = self.at(key, revision)?;
                let count = versions.partition_point(|version| version.revision <= revision);
                let mod_revision = versions[count - 1].revision;
                let (create_revision, version) = (*create_revision, *version);
                let attributes = Attributes::default();
                Some(KeyValue { key, value, create_revision, mod_revision, version, attributes })
            })
            .collect();
        let count = kvs.len() as u64;
        let mut answer = BytesMut::new();
        Answer::Range { revision, kvs, more: false, count }.encode(&mut answer);
        answer
    }
}
