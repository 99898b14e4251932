//! Transactions, in the store's words, and their answers in etcd's.
//!
//! Nothing here asks anybody. What etcd refuses before it does anything, such as one key put
//! twice, is refused here.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use kv_store::command::{
    Answer, Command, Compare as StoreCompare, List, OPERATIONS_PER_TRANSACTION_MAX, OnNo,
    Operation, Relation, Target, Transacted, Transaction,
};
use raft_net::etcd::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use raft_net::etcd::etcdserverpb::request_op::Request;
use raft_net::etcd::etcdserverpb::response_op::Response;
use raft_net::etcd::etcdserverpb::{
    Compare, DeleteRangeRequest, RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse,
};
use tonic::Status;

use super::error::{self, EtcdError};
use super::keys::{
    self, Said, check_range, delete_response, key_range, put_response, range_response, unlike,
};

/// How deep transactions may be nested here; far beyond what the store takes, so that checking
/// them has an end. A deeper one is refused.
const NESTING_MAX: usize = 32;

/// The command that a transaction is, encoded.
///
/// Errors: why it makes no sense.
pub(super) fn encode(request: &TxnRequest) -> Result<Bytes, EtcdError> {
    let mut bytes = BytesMut::new();
    encode_behind(request, &mut bytes)?;
    Ok(bytes.freeze())
}

/// Encodes the command that a transaction is behind what is there.
///
/// Errors: why it makes no sense; then nothing is added.
pub(super) fn encode_behind(request: &TxnRequest, bytes: &mut BytesMut) -> Result<(), EtcdError> {
    check(request, OPERATIONS_PER_TRANSACTION_MAX, 0)?;
    written(&request.success)?;
    written(&request.failure)?;
    let transaction = Box::new(transaction(request)?);
    let command = Command::Transaction { on_no: OnNo::UndoDecidedFirst, transaction };
    keys::encode_behind(&command, bytes)
}

/// Checks the size and every part. What is nested may have as many operations as the rest leaves.
fn check(request: &TxnRequest, operations_max: usize, depth: usize) -> Result<(), EtcdError> {
    let TxnRequest { compare, success, failure } = request;
    let count = compare.len().max(success.len()).max(failure.len());
    let Some(rest) = operations_max.checked_sub(count).filter(|_| depth < NESTING_MAX) else {
        return Err(error::TOO_MANY_OPS);
    };
    if compare.iter().any(|compare| compare.key.is_empty()) {
        return Err(error::EMPTY_KEY);
    }
    success.iter().chain(failure).try_for_each(|operation| match &operation.request {
        Some(Request::RequestRange(range)) => check_range(range),
        Some(Request::RequestPut(put)) => keys::put(put).map(drop),
        Some(Request::RequestDeleteRange(range)) => keys::delete_range(range).map(drop),
        Some(Request::RequestTxn(nested)) => check(nested, rest, depth + 1),
        None => Err(error::KEY_NOT_FOUND),
    })
}

/// What the operations of a branch change.
#[derive(Default)]
struct Written<'a> {
    puts: BTreeSet<&'a [u8]>,
    removed: Vec<&'a DeleteRangeRequest>,
}

impl<'a> Written<'a> {
    /// Notes a put.
    ///
    /// Errors: if the key is put or removed already.
    fn put(&mut self, key: &'a [u8]) -> Result<(), EtcdError> {
        // As with etcd, a range up to the end of all keys holds none here.
        let is_removed = self.removed.iter().any(|range| match &range.range_end[..] {
            b"" => range.key == key,
            end => range.key <= key && key < end,
        });
        if is_removed || !self.puts.insert(key) {
            return Err(error::DUPLICATE_KEY);
        }
        Ok(())
    }
}

/// What a branch changes, if it changes no key in two ways. The two branches of a nested
/// transaction may change the same, since one of them is taken.
fn written(operations: &[RequestOp]) -> Result<Written<'_>, EtcdError> {
    let mut all = Written::default();
    for operation in operations {
        if let Some(Request::RequestDeleteRange(range)) = &operation.request {
            all.removed.push(range);
        }
    }
    for operation in operations {
        let Some(Request::RequestTxn(nested)) = &operation.request else { continue };
        let (then, otherwise) = (written(&nested.success)?, written(&nested.failure)?);
        for key in &then.puts {
            all.put(key)?;
        }
        for key in &otherwise.puts {
            if then.puts.contains(key) {
                continue;
            }
            all.put(key)?;
        }
        all.removed.extend(then.removed);
        all.removed.extend(otherwise.removed);
    }
    for operation in operations {
        if let Some(Request::RequestPut(put)) = &operation.request {
            all.put(&put.key)?;
        }
    }
    Ok(all)
}

fn transaction(request: &TxnRequest) -> Result<Transaction<'_>, EtcdError> {
    Ok(Transaction {
        when: request.compare.iter().map(compare).collect(),
        then: operations(&request.success)?,
        otherwise: operations(&request.failure)?,
    })
}

fn operations(operations: &[RequestOp]) -> Result<List<Operation<'_>>, EtcdError> {
    let mut list = List::new();
    for operation in operations {
        list.push(match &operation.request {
            Some(Request::RequestRange(range)) => {
                Operation::Read(keys::question(keys::selection(range)))
            }
            Some(Request::RequestPut(put)) => Operation::Write(keys::put(put)?),
            Some(Request::RequestDeleteRange(range)) => {
                Operation::Write(keys::delete_range(range)?)
            }
            Some(Request::RequestTxn(nested)) => Operation::Nested(Box::new(transaction(nested)?)),
            None => return Err(error::KEY_NOT_FOUND),
        });
    }
    Ok(list)
}

fn compare(compare: &Compare) -> StoreCompare<'_> {
    let relation = match compare.result() {
        CompareResult::Equal => Relation::Equal,
        CompareResult::Greater => Relation::Greater,
        CompareResult::Less => Relation::Less,
        CompareResult::NotEqual => Relation::NotEqual,
    };
    // What is not given, or given for another target, is 0 or empty.
    let given = |number: fn(&TargetUnion) -> Option<i64>| {
        compare.target_union.as_ref().and_then(number).unwrap_or(0)
    };
    let (relation, target) = match compare.target() {
        CompareTarget::Version => {
            let version =
                given(|it| if let TargetUnion::Version(it) = it { Some(*it) } else { None });
            with_number(relation, version, Target::Version)
        }
        CompareTarget::Create => with_number(
            relation,
            given(|it| if let TargetUnion::CreateRevision(it) = it { Some(*it) } else { None }),
            Target::CreateRevision,
        ),
        CompareTarget::Mod => with_number(
            relation,
            given(|it| if let TargetUnion::ModRevision(it) = it { Some(*it) } else { None }),
            Target::ModRevision,
        ),
        CompareTarget::Lease => {
            let lease = given(|it| if let TargetUnion::Lease(it) = it { Some(*it) } else { None });
            (relation, Target::Lease(lease.cast_unsigned()))
        }
        CompareTarget::Value => match &compare.target_union {
            Some(TargetUnion::Value(value)) => (relation, Target::Value(value)),
            Some(_) | None => (relation, Target::Value(b"")),
        },
    };
    StoreCompare { range: key_range(&compare.key, &compare.range_end), relation, target }
}

/// A compare with a number that may be negative, which is below everything that is there.
fn with_number<'a>(
    relation: Relation,
    number: i64,
    target: fn(u64) -> Target<'a>,
) -> (Relation, Target<'a>) {
    match (u64::try_from(number), relation) {
        (Ok(number), _) => (relation, target(number)),
        (Err(_), Relation::Greater | Relation::NotEqual) => (Relation::Less, target(u64::MAX)),
        (Err(_), Relation::Less | Relation::Equal) => (Relation::Greater, target(u64::MAX)),
    }
}

/// The answer to a transaction, with headers that say the revision only.
pub(super) fn response(said: &Said, answer: &Answer<'_>) -> Result<TxnResponse, Status> {
    let Answer::Transaction(transacted) = answer else { return Err(unlike(answer)) };
    let Transacted { succeeded, revision, answers } = &**transacted;
    let responses = answers.iter().map(|answer| part(said, answer)).collect::<Result<_, _>>()?;
    Ok(TxnResponse { header: keys::part_header(*revision), succeeded: *succeeded, responses })
}

fn part(said: &Said, answer: &Answer<'_>) -> Result<ResponseOp, Status> {
    let response = match answer {
        Answer::Range { .. } => Response::ResponseRange(range_response(said, answer)?),
        Answer::Put { .. } | Answer::PutOver { .. } => {
            Response::ResponsePut(put_response(said, answer)?)
        }
        Answer::Deleted { .. } | Answer::DeletedKeys { .. } => {
            Response::ResponseDeleteRange(delete_response(said, answer)?)
        }
        Answer::Transaction(_) => {
            // A nested one has an empty header.
            let nested = response(said, answer)?;
            let header = Some(ResponseHeader::default());
            Response::ResponseTxn(TxnResponse { header, ..nested })
        }
        answer => return Err(unlike(answer)),
    };
    Ok(ResponseOp { response: Some(response) })
}
