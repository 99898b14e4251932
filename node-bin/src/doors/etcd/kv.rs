//! The service KV.

use kv_store::command::{
    ANSWER_KEYS_MAX, Command, Direction, KeyRange, Order, OrderBy, Selection, Show,
};
use raft_core::entry::SessionStamp;
use raft_core::types::Term;
use raft_net::etcd::etcdserverpb::range_request::SortTarget;
use raft_net::etcd::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest,
    PutResponse, RangeRequest, RangeResponse, RangeStreamResponse, TxnRequest, TxnResponse,
};
use raft_net::etcd::mvccpb;
use tonic::Status;

use super::error;
use super::keys::{self, Said, check_range, question, range_response, signed};
use super::node::Behind;
use super::txn;

/// The keys and values of one answer, at most; one that would be longer is refused, and can be
/// asked for in parts. Units: bytes.
const RANGE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Where a request for keys goes on: the last key that was answered, and the revision of the
/// first part.
struct Place {
    last: Vec<u8>,
    revision: u64,
}

/// A long answer that is given in parts.
pub(super) struct RangeParts {
    request: RangeRequest,
    has_limit: bool,
    place: Option<Place>,
    /// How many keys there are in all, as the first part says.
    count: Option<i64>,
    is_over: bool,
}

impl RangeParts {
    /// The parts of the answer to a request.
    ///
    /// Errors: if the request makes no sense, or asks for another order than that of the keys.
    pub(super) fn of(request: RangeRequest) -> Result<Self, Status> {
        check_range(&request)?;
        if keys::order(&request) != IN_ORDER {
            return Err(error::INVALID_SORT_OPTION.into());
        }
        let has_limit = 0 < request.limit;
        Ok(Self { request, has_limit, place: None, count: None, is_over: false })
    }
}

impl Behind {
    pub(super) async fn range(&self, request: RangeRequest) -> Result<RangeResponse, Status> {
        check_range(&request)?;
        if request.range_end.is_empty() {
            let query = keys::encode_query(&question(keys::selection(&request)))?;
            let is_local = request.serializable;
            drop(request);
            return self.range_answered(&self.read_encoded(query, is_local).await?);
        }
        Box::pin(self.range_of_several(request)).await
    }

    /// The answer to a request for one key.
    ///
    /// Errors: in etcd's words.
    pub(super) fn range_answered(&self, said: &Said) -> Result<RangeResponse, Status> {
        let mut response = range_response(said, &said.answer()?)?;
        response.header = self.fill(response.header, said.term);
        Ok(response)
    }

    async fn range_of_several(&self, request: RangeRequest) -> Result<RangeResponse, Status> {
        if keys::is_sorted_late(&request) {
            return self.range_sorted_late(request).await;
        }
        self.range_in_order(&request).await
    }

    /// Sorts only what is within the limit, and one key more, as etcd does without an order.
    async fn range_sorted_late(&self, request: RangeRequest) -> Result<RangeResponse, Status> {
        let sort_target = SortTarget::Key.into();
        let limit = request.limit + 1;
        let first = RangeRequest { limit, sort_target, keys_only: false, ..request.clone() };
        let mut response = self.range_in_order(&first).await?;
        sort(keys::order(&request), &mut response.kvs);
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        response.more = limit < response.kvs.len();
        response.kvs.truncate(limit);
        if request.keys_only {
            response.kvs.iter_mut().for_each(|kv| kv.value.clear());
        }
        Ok(response)
    }

    async fn range_in_order(&self, request: &RangeRequest) -> Result<RangeResponse, Status> {
        let (mut response, term) = self.range_part(request, None).await?;
        let limit = usize::try_from(request.limit).unwrap_or(0);
        let is_whole = |kvs: usize| limit != 0 && limit <= kvs;
        if response.more && !is_whole(response.kvs.len()) {
            if keys::order(request) == IN_ORDER {
                self.fetch_rest(request, &mut response).await?;
            } else {
                self.sort_all(request, &mut response).await?;
            }
        }
        response.header = self.fill(response.header, term);
        Ok(response)
    }

    /// One part of the answer, as much as the store answers at once.
    async fn range_part(
        &self,
        request: &RangeRequest,
        place: Option<&Place>,
    ) -> Result<(RangeResponse, Term), Status> {
        let mut selection = keys::selection(request);
        let mut buffer = Vec::new();
        if let Some(Place { last, revision }) = place {
            selection.range = selection.range.after(last, &mut buffer);
            selection.revision = *revision;
        }
        let said = self.read(&question(selection), request.serializable).await?;
        Ok((range_response(&said, &said.answer()?)?, said.term))
    }

    /// Fetches what did not fit the first part, in the order of the keys.
    async fn fetch_rest(
        &self,
        request: &RangeRequest,
        response: &mut RangeResponse,
    ) -> Result<(), Status> {
        let revision = revision_of(request, response);
        let mut bytes = bytes_of(&response.kvs);
        while response.more {
            let Some(last) = response.kvs.last() else { return Ok(()) };
            let place = Place { last: last.key.to_vec(), revision };
            let mut rest = request.clone();
            if 0 < request.limit {
                rest.limit = request.limit - i64::try_from(response.kvs.len()).unwrap_or(i64::MAX);
                if rest.limit <= 0 {
                    return Ok(());
                }
            }
            let (part, _) = self.range_part(&rest, Some(&place)).await?;
            bytes += bytes_of(&part.kvs);
            check_bytes(bytes)?;
            response.more = part.more;
            response.kvs.extend(part.kvs);
        }
        Ok(())
    }

    /// Answers in another order than that of the keys when that is too much for the store.
    async fn sort_all(
        &self,
        request: &RangeRequest,
        response: &mut RangeResponse,
    ) -> Result<(), Status> {
        let revision = signed(revision_of(request, response));
        let all = RangeRequest {
            limit: 0,
            revision,
            sort_order: 0,
            sort_target: SortTarget::Key.into(),
            keys_only: false,
            ..request.clone()
        };
        let (mut found, _) = self.range_part(&all, None).await?;
        self.fetch_rest(&all, &mut found).await?;
        sort(keys::order(request), &mut found.kvs);
        let limit = usize::try_from(request.limit).unwrap_or(0);
        response.more = limit != 0 && limit < found.kvs.len();
        if response.more {
            found.kvs.truncate(limit);
        }
        if request.keys_only {
            found.kvs.iter_mut().for_each(|kv| kv.value.clear());
        }
        response.kvs = found.kvs;
        Ok(())
    }

    /// The next part of a long answer, in the order of the keys; `None` behind the last.
    pub(super) async fn next_part(
        &self,
        parts: &mut RangeParts,
    ) -> Result<Option<RangeStreamResponse>, Status> {
        if parts.is_over {
            return Ok(None);
        }
        let (mut part, term) = self.range_part(&parts.request, parts.place.as_ref()).await?;
        part.count = *parts.count.get_or_insert(part.count);
        let revision = revision_of(&parts.request, &part);
        if 0 < parts.request.limit {
            parts.request.limit -= i64::try_from(part.kvs.len()).unwrap_or(i64::MAX);
        }
        let is_enough = parts.has_limit && parts.request.limit <= 0;
        parts.is_over = is_enough || !part.more || part.kvs.is_empty();
        if let Some(kv) = part.kvs.last() {
            parts.place = Some(Place { last: kv.key.to_vec(), revision });
        }
        part.more &= parts.is_over;
        part.header = self.fill(part.header, term);
        Ok(Some(RangeStreamResponse { range_response: Some(part) }))
    }

    pub(super) async fn put(
        &self,
        request: PutRequest,
        session: SessionStamp,
    ) -> Result<PutResponse, Status> {
        let command = keys::encode(&keys::put(&request)?)?;
        // Its bytes lie in what was read from the socket, which is used again when they are gone.
        drop(request);
        self.put_answered(&self.write(command, session).await?)
    }

    /// The answer to a put.
    ///
    /// Errors: in etcd's words.
    pub(super) fn put_answered(&self, said: &Said) -> Result<PutResponse, Status> {
        let mut response = keys::put_response(said, &said.answer()?)?;
        response.header = self.fill(response.header, said.term);
        Ok(response)
    }

    pub(super) async fn delete_range(
        &self,
        request: DeleteRangeRequest,
        session: SessionStamp,
    ) -> Result<DeleteRangeResponse, Status> {
        let command = keys::encode(&keys::delete_range(&request)?)?;
        drop(request);
        let said = self.write(command, session).await?;
        let mut response = keys::delete_response(&said, &said.answer()?)?;
        response.header = self.fill(response.header, said.term);
        Ok(response)
    }

    pub(super) async fn txn(
        &self,
        request: TxnRequest,
        session: SessionStamp,
    ) -> Result<TxnResponse, Status> {
        let command = txn::encode(&request)?;
        drop(request);
        self.txn_answered(&self.write(command, session).await?)
    }

    /// The answer to a transaction.
    ///
    /// Errors: in etcd's words.
    pub(super) fn txn_answered(&self, said: &Said) -> Result<TxnResponse, Status> {
        let mut response = txn::response(said, &said.answer()?)?;
        response.header = self.fill(response.header, said.term);
        Ok(response)
    }

    pub(super) async fn compact(
        &self,
        request: CompactionRequest,
    ) -> Result<CompactionResponse, Status> {
        let Ok(revision) = u64::try_from(request.revision) else {
            return Err(error::COMPACTED.into());
        };
        let said = self.done(&Command::Compact { revision }).await?;
        let header = self.header(revision_said(&said)?, said.term);
        Ok(CompactionResponse { header })
    }

    /// Has a command replicated in the node's own session.
    pub(super) async fn done(&self, command: &Command<'_>) -> Result<Said, Status> {
        self.write(keys::encode(command)?, SessionStamp::default()).await
    }

    /// The revision of the store now, as everything that was answered before has made it.
    pub(super) async fn revision(&self) -> Result<(i64, Term), Status> {
        let nothing = Selection { show: Show::Count, ..Selection::of(KeyRange::single(b"\0")) };
        let said = self.read(&question(nothing), false).await?;
        Ok((revision_said(&said)?, said.term))
    }
}

/// The order in which the store answers without sorting.
const IN_ORDER: Order = Order { by: OrderBy::Key, direction: Direction::Ascending };

/// The revision that an answer shows, so that further parts show it too.
fn revision_of(request: &RangeRequest, response: &RangeResponse) -> u64 {
    let now = response.header.as_ref().map_or(0, |header| header.revision);
    u64::try_from(if 0 < request.revision { request.revision } else { now }).unwrap_or(0)
}

fn bytes_of(kvs: &[mvccpb::KeyValue]) -> usize {
    kvs.iter().map(|kv| kv.key.len() + kv.value.len()).sum()
}

fn check_bytes(bytes: usize) -> Result<(), Status> {
    if RANGE_BYTES_MAX < bytes {
        return Err(Status::resource_exhausted(format!(
            "kvorum: the answer is above the limit of {RANGE_BYTES_MAX} bytes, ask for at most \
             {ANSWER_KEYS_MAX} keys at once"
        )));
    }
    Ok(())
}

fn sort(order: Order, kvs: &mut [mvccpb::KeyValue]) {
    kvs.sort_by(|one, other| {
        let ascending = match order.by {
            OrderBy::Key => one.key.cmp(&other.key),
            OrderBy::Version => one.version.cmp(&other.version),
            OrderBy::CreateRevision => one.create_revision.cmp(&other.create_revision),
            OrderBy::ModRevision => one.mod_revision.cmp(&other.mod_revision),
            OrderBy::Value => one.value.cmp(&other.value),
        };
        if order.direction == Direction::Descending { ascending.reverse() } else { ascending }
    });
}

/// The revision of the store that any answer says.
pub(super) fn revision_said(said: &Said) -> Result<i64, Status> {
    use kv_store::command::Answer;
    let revision = match said.answer()? {
        Answer::Done { revision }
        | Answer::Deleted { revision, .. }
        | Answer::Granted { revision, .. }
        | Answer::Renewed { revision, .. }
        | Answer::Lease { revision, .. }
        | Answer::Leases { revision, .. }
        | Answer::Range { revision, .. } => revision,
        answer => return Err(keys::unlike(&answer)),
    };
    Ok(signed(revision))
}
