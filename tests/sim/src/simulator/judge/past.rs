//! Everything that ever changed, in order, of which watches must be shown their part.
//!
//! It is read from a store that never fails, right after each command and before any compaction
//! can take it away. What a key was before follows from the changes before, and what all of them
//! together lead to is compared with that store at the end.

use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;
use kv_store::command::{
    Answer, Attributes, Change, Collection, Command, KeyRange, KeyValue, Kind, Query, State,
};
use kv_store::store::{REVISION_EMPTY, Store};
use raft_core::replica::StateMachine as _;

use crate::simulator::witness::Execution;

/// What a key, a field or a member is, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    value: Vec<u8>,
    create_revision: u64,
    mod_revision: u64,
    version: u64,
    attributes: Attributes,
}

/// A change of a key, a field or a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) revision: u64,
    pub(crate) key: Vec<u8>,
    pub(crate) item: Option<Vec<u8>>,
    pub(crate) next: Option<Held>,
    pub(crate) previous: Option<Held>,
}

/// A key, or one of its fields or members.
type Name = (Vec<u8>, Option<Vec<u8>>);

/// All changes of a run.
#[derive(Debug)]
pub(crate) struct Past {
    all: Vec<Seen>,
    /// What there is now.
    held: BTreeMap<Name, Held>,
    newest: u64,
    /// The revisions at which the past was cut off.
    compactions: BTreeSet<u64>,
}

impl Default for Past {
    fn default() -> Self {
        let newest = REVISION_EMPTY;
        Self { all: Vec::new(), held: BTreeMap::new(), newest, compactions: BTreeSet::new() }
    }
}

impl Past {
    /// Notes what a command has changed in a store that has just executed it.
    pub(super) fn note(&mut self, execution: &Execution, store: &Store) {
        if let Ok(Command::Compact { revision }) = Command::decode(&execution.payload)
            && let Ok(Answer::Done { .. }) = Answer::decode(&execution.answer)
        {
            self.compactions.insert(revision);
        }
        if execution.revision == self.newest {
            return;
        }
        assert_eq!(execution.revision, self.newest + 1, "a command makes one revision at most");
        self.newest = execution.revision;
        let events = store.changes_since(self.newest).expect("what is new is not compacted");
        for event in events {
            assert_eq!(event.revision, self.newest, "what changed now bears the new revision");
            let (key, item) = (event.key.to_vec(), event.item.map(<[u8]>::to_vec));
            let next = event.next.map(|kv| Held::of_pair(&kv));
            let name = (key.clone(), item.clone());
            let previous = match next.clone() {
                Some(held) => self.held.insert(name, held),
                None => self.held.remove(&name),
            };
            let said = event.previous.map(|kv| Held::of_pair(&kv));
            assert_eq!(said, previous, "what {key:?} {item:?} was before {}", self.newest);
            self.all.push(Seen { revision: self.newest, key, item, next, previous });
        }
    }

    /// The newest revision that anybody has reached.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// The changes of these revisions.
    pub(crate) fn between(&self, from: u64, through: u64) -> &[Seen] {
        let begin = self.all.partition_point(|seen| seen.revision < from);
        let end = self.all.partition_point(|seen| seen.revision <= through);
        self.all.get(begin..end).unwrap_or_default()
    }

    /// Whether the past was cut off just here, so that what was before may not be known.
    pub(crate) fn was_compacted_at(&self, revision: u64) -> bool {
        self.compactions.contains(&revision)
    }

    /// All changes together must have led to what the store holds.
    pub(super) fn check(&self, store: &Store) {
        let mut found = BTreeMap::new();
        let mut answer = BytesMut::new();
        let everything = Query::Range { range: KeyRange::prefix(b""), limit: 0 };
        for kv in pairs(ask(store, &everything, &mut answer)) {
            let of = match kv.attributes.kind {
                Kind::String => None,
                Kind::Hash => Some(Collection::Hash),
                Kind::Set => Some(Collection::Set),
            };
            let mut answer = BytesMut::new();
            if let Some(of) = of {
                let query = Query::Items { of, key: kv.key, from: b"", limit: 0, revision: 0 };
                let Answer::Items { items, .. } = ask(store, &query, &mut answer) else {
                    panic!("{query:?} is answered by items")
                };
                for item in items.iter() {
                    found.insert((kv.key.to_vec(), Some(item.name.to_vec())), item.value.to_vec());
                }
            }
            found.insert((kv.key.to_vec(), None), kv.value.to_vec());
            let held = self.held.get(&(kv.key.to_vec(), None));
            assert_eq!(held, Some(&Held::of_pair(&kv)), "what its changes have led to");
        }
        let held = self.held.iter().map(|(name, held)| (name.clone(), held.value.clone()));
        assert_eq!(held.collect::<BTreeMap<_, _>>(), found, "what all changes have led to");
    }
}

fn ask<'a>(store: &Store, query: &Query<'_>, answer: &'a mut BytesMut) -> Answer<'a> {
    let mut body = BytesMut::new();
    query.encode(&mut body);
    store.query(&body, 0, answer);
    Answer::decode(answer).expect("stores write answers")
}

fn pairs<'a>(answer: Answer<'a>) -> Vec<KeyValue<'a>> {
    let Answer::Range { kvs, more: false, .. } = answer else { panic!("all keys are a range") };
    kvs.iter().copied().collect()
}

impl Held {
    fn of_pair(kv: &KeyValue<'_>) -> Self {
        Self {
            value: kv.value.to_vec(),
            create_revision: kv.create_revision,
            mod_revision: kv.mod_revision,
            version: kv.version,
            attributes: kv.attributes,
        }
    }

    fn of_state(state: &State<'_>) -> Self {
        Self {
            value: state.value.to_vec(),
            create_revision: state.create_revision,
            mod_revision: state.mod_revision,
            version: state.version,
            attributes: state.attributes,
        }
    }
}

impl Seen {
    /// A change as a watch was shown it.
    pub(crate) fn of(change: &Change<'_>) -> Self {
        Self {
            revision: change.revision,
            key: change.key.to_vec(),
            item: change.item.map(|name| name.0.to_vec()),
            next: change.next.as_ref().map(Held::of_state),
            previous: change.previous.as_ref().map(Held::of_state),
        }
    }
}
