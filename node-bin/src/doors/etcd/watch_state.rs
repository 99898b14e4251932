//! What the watches of one stream are, and what their client is told: pure, without anybody to
//! ask.
//!
//! The client's watches have ids of its own. Behind each stands a watch of the node under a
//! number that is never used twice, because a watch of the node ends when its client reads too
//! slowly: the next one then goes on where it ended, and the client does not notice.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use kv_store::command::{Change, Interest, Items, KeyRange, RangeEnd};
use kv_store::watching::{End, Word};
use raft_core::types::Term;
use raft_net::etcd::etcdserverpb::watch_create_request::FilterType;
use raft_net::etcd::etcdserverpb::{WatchCreateRequest, WatchResponse};
use raft_net::etcd::mvccpb;
use raft_net::etcd::mvccpb::event::EventType;

use super::error;
use super::keys::{key_range, signed};
use crate::api::StreamOrder;

/// Requests for progress of a stream that are not answered yet. A further one has its answer
/// in theirs, which come after it.
const PROGRESS_MAX: usize = 16;

/// The id of no watch, and of all watches of a stream.
const NO_WATCH: i64 = -1;

/// A response without its header's names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) revision: i64,
    pub(super) term: Term,
    pub(super) response: WatchResponse,
}

/// A watch of a client.
#[derive(Debug)]
struct Watch {
    /// The watch of the node behind it.
    number: u64,
    request: WatchCreateRequest,
    is_begun: bool,
    /// Events of a revision of which more is to come.
    collected: Vec<mvccpb::Event>,
}

/// The watches of a stream.
#[derive(Debug, Default)]
pub(super) struct Watches {
    watches: BTreeMap<i64, Watch>,
    numbers: BTreeMap<u64, i64>,
    newest_number: u64,
    next_id: i64,
    /// Watches that are still to say how far they are, and the least that was said; each for one
    /// request of the client.
    progress: Vec<(BTreeSet<i64>, u64)>,
    /// What is to be told.
    pub(super) told: Vec<Told>,
    /// What the node is to do.
    pub(super) orders: Vec<StreamOrder>,
    /// Whether the state of this node is being replaced, so that the client should go elsewhere.
    pub(super) is_lost: bool,
    /// The newest revision and term that were heard of.
    revision: u64,
    term: Term,
}

/// What etcd calls the range of a watch; an empty key is the least one.
fn range(request: &WatchCreateRequest) -> KeyRange<'_> {
    let key = if request.key.is_empty() { b"\0" } else { &request.key[..] };
    key_range(key, &request.range_end)
}

fn interest(request: &WatchCreateRequest) -> Bytes {
    let is_left_out = |filter: FilterType| request.filters.contains(&filter.into());
    encoded(&Interest {
        range: range(request),
        items: Items::Keys,
        puts: !is_left_out(FilterType::Noput),
        deletes: !is_left_out(FilterType::Nodelete),
        previous: request.prev_kv,
    })
}

/// Interest in the removals of a range and, perhaps, in what is put there.
pub(super) fn interest_in(range: KeyRange<'_>, puts: bool) -> Bytes {
    encoded(&Interest { items: Items::Keys, puts, ..Interest::of(range) })
}

fn encoded(interest: &Interest<'_>) -> Bytes {
    let mut bytes = BytesMut::new();
    interest.encode(&mut bytes);
    bytes.freeze()
}

impl Watches {
    fn tell(&mut self, revision: u64, response: WatchResponse) {
        self.told.push(Told { revision: signed(revision), term: self.term, response });
    }

    /// Begins a watch.
    pub(super) fn create(&mut self, request: WatchCreateRequest) {
        let refused = if request.start_revision < 0 {
            Some(error::COMPACTED.text)
        } else if let RangeEnd::HalfOpen(to) = range(&request).end
            && to <= range(&request).from
        {
            Some("mvcc: watcher range is empty")
        } else if request.watch_id != 0 && self.watches.contains_key(&request.watch_id) {
            Some("mvcc: duplicate watch ID provided on the WatchStream")
        } else {
            None
        };
        if let Some(reason) = refused {
            self.tell(
                self.revision,
                WatchResponse {
                    watch_id: NO_WATCH,
                    created: true,
                    canceled: true,
                    cancel_reason: reason.to_owned(),
                    ..WatchResponse::default()
                },
            );
            return;
        }
        let id = if request.watch_id == 0 { self.free_id() } else { request.watch_id };
        let start = u64::try_from(request.start_revision).unwrap_or(0);
        let watch = Watch { number: 0, request, is_begun: false, collected: Vec::new() };
        self.watches.insert(id, watch);
        self.begin(id, start);
    }

    fn free_id(&mut self) -> i64 {
        while self.watches.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        self.next_id - 1
    }

    /// Puts a watch of the node behind one of the client.
    fn begin(&mut self, id: i64, start: u64) {
        let Some(watch) = self.watches.get_mut(&id) else { return };
        self.newest_number += 1;
        self.numbers.remove(&watch.number);
        watch.number = self.newest_number;
        self.numbers.insert(watch.number, id);
        let (marks, interest) = (watch.request.progress_notify, interest(&watch.request));
        self.orders.push(StreamOrder::Watch { watch: watch.number, start, marks, interest });
    }

    /// Ends a watch; one that is not there is not spoken of.
    pub(super) fn cancel(&mut self, id: i64) {
        if let Some(watch) = self.watches.get(&id) {
            self.orders.push(StreamOrder::Unwatch(watch.number));
        }
    }

    /// Asks how far all watches are; answered when all have said it.
    pub(super) fn ask_progress(&mut self) {
        let waiting: BTreeSet<i64> = self.watches.keys().copied().collect();
        if waiting.is_empty() || PROGRESS_MAX <= self.progress.len() {
            return;
        }
        self.orders.extend(self.watches.values().map(|watch| StreamOrder::Mark(watch.number)));
        self.progress.push((waiting, u64::MAX));
    }

    /// Takes what the node told one of its watches.
    pub(super) fn take(&mut self, number: u64, word: Word, term: Term) {
        self.term = self.term.max(term);
        let Some(&watch_id) = self.numbers.get(&number) else { return };
        match word {
            Word::Begun { revision: _, newest } => self.begun(watch_id, newest),
            Word::Changed { changes, is_cut } => self.changed(watch_id, &changes, is_cut),
            Word::Mark { revision } => self.mark(watch_id, revision),
            Word::Malformed { why } => self.refuse(watch_id, why),
            Word::Overloaded => self.refuse(watch_id, error::TOO_MANY_REQUESTS.text.to_owned()),
            Word::Ended(end) => self.ended(watch_id, end),
        }
    }

    fn begun(&mut self, watch_id: i64, newest: u64) {
        self.revision = self.revision.max(newest);
        let Some(watch) = self.watches.get_mut(&watch_id) else { return };
        if !std::mem::replace(&mut watch.is_begun, true) {
            self.tell(newest, WatchResponse { watch_id, created: true, ..Default::default() });
        }
    }

    fn changed(&mut self, watch_id: i64, changes: &Bytes, is_cut: bool) {
        let Some(watch) = self.watches.get_mut(&watch_id) else { return };
        let events = match Change::decode_all(changes) {
            Ok(changed) => changed.iter().map(|change| event(change, changes)).collect::<Vec<_>>(),
            Err(error) => return self.refuse(watch_id, error.to_string()),
        };
        watch.collected.extend(events);
        if is_cut && !watch.request.fragment {
            return;
        }
        let events = std::mem::take(&mut watch.collected);
        let newest =
            events.last().and_then(|event| event.kv.as_ref()).map_or(0, |kv| kv.mod_revision);
        let revision = u64::try_from(newest).unwrap_or(0);
        self.revision = self.revision.max(revision);
        let response = WatchResponse { watch_id, fragment: is_cut, events, ..Default::default() };
        self.tell(revision, response);
    }

    /// A watch has said how far it is: because the client asked for all of them, or because it is
    /// told so from time to time.
    fn mark(&mut self, watch_id: i64, revision: u64) {
        self.revision = self.revision.max(revision);
        let Some(first) = self.progress.iter_mut().find(|(waiting, _)| waiting.contains(&watch_id))
        else {
            let response = WatchResponse { watch_id, ..Default::default() };
            return self.tell(revision, response);
        };
        first.0.remove(&watch_id);
        first.1 = first.1.min(revision);
        self.tell_progress();
    }

    fn tell_progress(&mut self) {
        while let Some((waiting, revision)) = self.progress.first()
            && waiting.is_empty()
        {
            let revision = *revision;
            self.progress.remove(0);
            if revision != u64::MAX {
                let response = WatchResponse { watch_id: NO_WATCH, ..Default::default() };
                self.tell(revision, response);
            }
        }
    }

    fn ended(&mut self, watch_id: i64, end: End) {
        match end {
            // Its client did not read for a while: it is shown the rest when it does.
            End::Slow { resume_at } => {
                let Some(watch) = self.watches.get_mut(&watch_id) else { return };
                // What was cut is shown again, from the beginning of its revision.
                watch.collected.clear();
                let is_awaited =
                    self.progress.iter().any(|(waiting, _)| waiting.contains(&watch_id));
                self.begin(watch_id, resume_at);
                if is_awaited && let Some(watch) = self.watches.get(&watch_id) {
                    self.orders.push(StreamOrder::Mark(watch.number));
                }
            }
            End::NotHere { resume_at: _ } => self.is_lost = true,
            End::Unwatched => self.end(watch_id, WatchResponse::default()),
            End::Compacted { oldest } => {
                // First it has begun, as always.
                let oldest = signed(oldest);
                self.end(
                    watch_id,
                    WatchResponse { compact_revision: oldest, ..Default::default() },
                );
            }
            End::TooLarge { .. } => self.refuse(watch_id, end.to_string()),
        }
    }

    fn refuse(&mut self, watch_id: i64, cancel_reason: String) {
        let is_begun = self.watches.get(&watch_id).is_none_or(|watch| watch.is_begun);
        let created = !is_begun;
        self.end(watch_id, WatchResponse { created, cancel_reason, ..Default::default() });
    }

    fn end(&mut self, watch_id: i64, response: WatchResponse) {
        if let Some(watch) = self.watches.remove(&watch_id) {
            self.numbers.remove(&watch.number);
        }
        for (waiting, _) in &mut self.progress {
            waiting.remove(&watch_id);
        }
        let watch_id = if response.created { NO_WATCH } else { watch_id };
        // Of what was compacted etcd says no revision.
        let revision = if response.compact_revision == 0 { self.revision } else { 0 };
        self.tell(revision, WatchResponse { watch_id, canceled: true, ..response });
        self.tell_progress();
    }
}

/// A change as etcd shows it; the bytes are shared.
fn event(change: &Change<'_>, bytes: &Bytes) -> mvccpb::Event {
    let pair = |state: &kv_store::command::State<'_>| mvccpb::KeyValue {
        key: bytes.slice_ref(change.key),
        create_revision: signed(state.create_revision),
        mod_revision: signed(state.mod_revision),
        version: signed(state.version),
        value: bytes.slice_ref(state.value),
        lease: state.attributes.lease.cast_signed(),
    };
    let gone = || mvccpb::KeyValue {
        key: bytes.slice_ref(change.key),
        mod_revision: signed(change.revision),
        ..mvccpb::KeyValue::default()
    };
    let kind = if change.next.is_some() { EventType::Put } else { EventType::Delete };
    mvccpb::Event {
        r#type: kind.into(),
        kv: Some(change.next.as_ref().map_or_else(gone, pair)),
        prev_kv: change.previous.as_ref().map(pair),
    }
}
