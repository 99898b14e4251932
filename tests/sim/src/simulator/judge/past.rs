//! Everything that ever changed, in order, of which watches must be shown their part: as the
//! naive model has it, which executes all commands in their order.

use std::collections::BTreeSet;

use kv_store::command::{Answer, Attributes, Change, Command, KeyValue, State};
use kv_store::store::REVISION_EMPTY;

use crate::revision_order::RevisionOrder;
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

/// All changes of a run.
#[derive(Debug)]
pub(crate) struct Past {
    all: Vec<Seen>,
    newest: u64,
    /// The revisions at which the past was cut off.
    compactions: BTreeSet<u64>,
}

impl Default for Past {
    fn default() -> Self {
        Self { all: Vec::new(), newest: REVISION_EMPTY, compactions: BTreeSet::new() }
    }
}

impl Past {
    /// Notes what a command has changed that is the last of an order.
    pub(super) fn note(&mut self, execution: &Execution, order: &RevisionOrder) {
        if let Ok(Command::Compact { revision }) = Command::decode(&execution.payload)
            && let Ok(Answer::Done { .. }) = Answer::decode(&execution.answer)
        {
            self.compactions.insert(revision);
        }
        if order.newest() == self.newest {
            return;
        }
        self.newest = order.newest();
        let revision = self.newest;
        self.all.extend(order.newest_changes().map(|change| Seen {
            revision,
            key: change.key.to_vec(),
            item: change.item.map(<[u8]>::to_vec),
            next: change.after.as_ref().map(Held::of_pair),
            previous: change.before.as_ref().map(Held::of_pair),
        }));
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
