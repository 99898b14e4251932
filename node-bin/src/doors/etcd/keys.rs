//! Requests about keys, in the store's words, and its answers in etcd's.
//!
//! Nothing here asks anybody: requests and answers are translated.

use bytes::{Bytes, BytesMut};
use kv_store::command::{
    Answer, Command, Direction, Existing, Filter, KeyRange, KeyValue, Limits, Order, OrderBy,
    PutOptions, Query, RangeEnd, Selection, Show,
};
use raft_core::types::Term;
use raft_net::etcd::etcdserverpb::range_request::{SortOrder, SortTarget};
use raft_net::etcd::etcdserverpb::{
    DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest, RangeResponse,
    ResponseHeader,
};
use raft_net::etcd::mvccpb;
use tonic::Status;

use super::error::{self, EtcdError};

/// What the store said, and the term in which it did.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// An encoded answer.
    pub(crate) bytes: Bytes,
    pub(crate) term: Term,
}

impl Said {
    /// The answer.
    ///
    /// Errors: what the store decided against.
    pub(crate) fn answer(&self) -> Result<Answer<'_>, Status> {
        match Answer::decode(&self.bytes) {
            Ok(Answer::No { why, .. } | Answer::Undone { why, .. }) => Err(error::of_no(&why)),
            Ok(Answer::Malformed { why }) => Err(Status::internal(why.to_owned())),
            Ok(answer) => Ok(answer),
            Err(error) => Err(Status::internal(error.to_string())),
        }
    }

    /// A pair as etcd shows it; its bytes are shared.
    pub(super) fn pair(&self, kv: &KeyValue<'_>) -> mvccpb::KeyValue {
        mvccpb::KeyValue {
            key: self.bytes.slice_ref(kv.key),
            create_revision: signed(kv.create_revision),
            mod_revision: signed(kv.mod_revision),
            version: signed(kv.version),
            value: self.bytes.slice_ref(kv.value),
            lease: kv.attributes.lease.cast_signed(),
        }
    }
}

/// An answer that is none to what was asked: the request id stands for something else.
pub(crate) fn unlike(answer: &Answer<'_>) -> Status {
    Status::failed_precondition(format!(
        "kvorum: this is the answer to another request: {answer:?}"
    ))
}

/// Revisions and counts stay far below the limit.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The header of a part of a transaction's answer, which says the revision only.
pub(super) fn part_header(revision: u64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision: signed(revision), ..ResponseHeader::default() })
}

/// The keys that `key` and `range_end` stand for.
pub(crate) fn key_range<'a>(key: &'a [u8], range_end: &'a [u8]) -> KeyRange<'a> {
    let end = match range_end {
        b"" => RangeEnd::Single,
        b"\0" => RangeEnd::From,
        range_end => RangeEnd::HalfOpen(range_end),
    };
    KeyRange { from: key, end }
}

/// Room for most commands and queries, so that it is made once. Units: bytes.
const ENCODED_BYTES: usize = 512;

/// Encodes a command that is within the limits.
///
/// Errors: what is beyond them.
pub(crate) fn encode(command: &Command<'_>) -> Result<Bytes, EtcdError> {
    let mut bytes = BytesMut::with_capacity(ENCODED_BYTES);
    encode_behind(command, &mut bytes)?;
    Ok(bytes.freeze())
}

/// Encodes a command that is within the limits behind what is there.
///
/// Errors: what is beyond them; then nothing is added.
pub(super) fn encode_behind(command: &Command<'_>, bytes: &mut BytesMut) -> Result<(), EtcdError> {
    command.check(&Limits::default()).map_err(|error| error::of_limit(&error))?;
    let before = bytes.len();
    command.encode(bytes);
    if kv_store::command::COMMAND_BYTES_MAX < bytes.len() - before {
        bytes.truncate(before);
        return Err(error::REQUEST_TOO_LARGE);
    }
    Ok(())
}

/// Encodes a query that is within the limits.
///
/// Errors: what is beyond them.
pub(crate) fn encode_query(query: &Query<'_>) -> Result<Bytes, EtcdError> {
    let mut bytes = BytesMut::with_capacity(ENCODED_BYTES);
    encode_query_behind(query, &mut bytes)?;
    Ok(bytes.freeze())
}

/// Encodes a query that is within the limits behind what is there.
///
/// Errors: what is beyond them; then nothing is added.
pub(super) fn encode_query_behind(
    query: &Query<'_>,
    bytes: &mut BytesMut,
) -> Result<(), EtcdError> {
    query.check(&Limits::default()).map_err(|error| error::of_limit(&error))?;
    query.encode(bytes);
    Ok(())
}

/// Whether a request for keys makes sense.
///
/// Errors: why it does not.
pub(super) fn check_range(request: &RangeRequest) -> Result<(), EtcdError> {
    if request.key.is_empty() {
        return Err(error::EMPTY_KEY);
    }
    let is_known = SortOrder::try_from(request.sort_order).is_ok()
        && SortTarget::try_from(request.sort_target).is_ok();
    is_known.then_some(()).ok_or(error::INVALID_SORT_OPTION)
}

/// Whether a request names what to sort by, no order, and a limit: then etcd applies the limit
/// before it sorts.
pub(super) fn is_sorted_late(request: &RangeRequest) -> bool {
    let bounds = [
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    ];
    request.sort_order() == SortOrder::None
        && request.sort_target() != SortTarget::Key
        && (1..i64::MAX).contains(&request.limit)
        && !request.count_only
        && bounds.iter().all(|bound| *bound == 0)
}

/// The bound that is meant by a number; 0 and what is below it are none.
fn at_least(revision: i64) -> u64 {
    u64::try_from(revision).unwrap_or(0)
}

/// The order in which a request wants its keys.
pub(super) fn order(request: &RangeRequest) -> Order {
    let by = match request.sort_target() {
        SortTarget::Key => OrderBy::Key,
        SortTarget::Version => OrderBy::Version,
        SortTarget::Create => OrderBy::CreateRevision,
        SortTarget::Mod => OrderBy::ModRevision,
        SortTarget::Value => OrderBy::Value,
    };
    let direction = match request.sort_order() {
        SortOrder::Descend => Direction::Descending,
        // Unordered is ascending, by whatever is named.
        SortOrder::None | SortOrder::Ascend => Direction::Ascending,
    };
    Order { by, direction }
}

/// What a request for keys asks the store.
pub(super) fn selection(request: &RangeRequest) -> Selection<'_> {
    let RangeRequest { max_mod_revision, max_create_revision, .. } = *request;
    let mut filter = Filter {
        mod_revision_min: at_least(request.min_mod_revision),
        mod_revision_max: at_least(max_mod_revision),
        create_revision_min: at_least(request.min_create_revision),
        create_revision_max: at_least(max_create_revision),
    };
    if max_mod_revision < 0 || max_create_revision < 0 {
        // Nothing is below it.
        filter.mod_revision_min = u64::MAX;
    }
    let show = match (request.count_only, request.keys_only) {
        (true, _) => Show::Count,
        (false, true) => Show::Keys,
        (false, false) => Show::Pairs,
    };
    Selection {
        range: key_range(&request.key, &request.range_end),
        revision: at_least(request.revision),
        limit: at_least(request.limit),
        order: order(request),
        filter,
        show,
    }
}

/// The question that a selection is; most are plain.
pub(super) fn question(selection: Selection<'_>) -> Query<'_> {
    let plain = Selection { limit: selection.limit, ..Selection::of(selection.range) };
    if selection == plain {
        return Query::Range { range: selection.range, limit: selection.limit };
    }
    Query::Select(selection)
}

/// An answer to a request for keys, without its header.
pub(super) fn range_response(said: &Said, answer: &Answer<'_>) -> Result<RangeResponse, Status> {
    let Answer::Range { revision, kvs, more, count } = answer else { return Err(unlike(answer)) };
    Ok(RangeResponse {
        header: part_header(*revision),
        kvs: kvs.iter().map(|kv| said.pair(kv)).collect(),
        more: *more,
        count: signed(*count),
    })
}

/// The command that a put is.
///
/// Errors: why it makes no sense.
pub(super) fn put(request: &PutRequest) -> Result<Command<'_>, EtcdError> {
    let PutRequest { key, value, lease, prev_kv, ignore_value, ignore_lease } = request;
    if key.is_empty() {
        return Err(error::EMPTY_KEY);
    }
    if *ignore_value && !value.is_empty() {
        return Err(error::VALUE_PROVIDED);
    }
    if *ignore_lease && *lease != 0 {
        return Err(error::LEASE_PROVIDED);
    }
    let options = PutOptions {
        returns_previous: *prev_kv,
        lease: lease.cast_unsigned(),
        ttl_ms: 0,
        keeps_end: *ignore_lease,
        existing: match (ignore_value, ignore_lease) {
            (true, _) => Existing::KeepsValue,
            (false, true) => Existing::Required,
            (false, false) => Existing::Any,
        },
    };
    if options == PutOptions::default() {
        return Ok(Command::Put { key, value });
    }
    Ok(Command::PutWith { key, value, options })
}

/// The answer to a put, with a header that says the revision only.
pub(super) fn put_response(said: &Said, answer: &Answer<'_>) -> Result<PutResponse, Status> {
    let (revision, previous) = match answer {
        Answer::Put { revision } => (revision, &None),
        Answer::PutOver { revision, previous } => (revision, previous),
        answer => return Err(unlike(answer)),
    };
    let prev_kv = previous.as_ref().map(|kv| said.pair(kv));
    Ok(PutResponse { header: part_header(*revision), prev_kv })
}

/// The command that a removal is.
///
/// Errors: why it makes no sense.
pub(super) fn delete_range(request: &DeleteRangeRequest) -> Result<Command<'_>, EtcdError> {
    if request.key.is_empty() {
        return Err(error::EMPTY_KEY);
    }
    let ranges = [key_range(&request.key, &request.range_end)].into_iter().collect();
    Ok(if request.prev_kv {
        Command::DeleteReturning { ranges }
    } else {
        Command::Delete { ranges }
    })
}

/// The answer to a removal, with a header that says the revision only.
pub(super) fn delete_response(
    said: &Said,
    answer: &Answer<'_>,
) -> Result<DeleteRangeResponse, Status> {
    let (count, revision, prev_kvs) = match answer {
        Answer::Deleted { count, revision } => (count, revision, Vec::new()),
        Answer::DeletedKeys { count, revision, kvs, more: _ } => {
            (count, revision, kvs.iter().map(|kv| said.pair(kv)).collect())
        }
        answer => return Err(unlike(answer)),
    };
    Ok(DeleteRangeResponse { header: part_header(*revision), deleted: signed(*count), prev_kvs })
}
