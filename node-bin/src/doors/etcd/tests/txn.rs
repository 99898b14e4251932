//! Transactions: what is refused, and what is carried out.

use bytes::Bytes;
use kv_store::command::{
    Answer, Command, Compare as StoreCompare, KeyRange, OnNo, Operation, Relation, Target,
    Transacted,
};
use raft_net::etcd::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use raft_net::etcd::etcdserverpb::request_op::Request;
use raft_net::etcd::etcdserverpb::response_op::Response;
use raft_net::etcd::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, ResponseHeader, TxnRequest,
};

use super::super::error::{self, EtcdError};
use super::super::txn;
use super::said;

fn op(request: Request) -> RequestOp {
    RequestOp { request: Some(request) }
}

fn put(key: &'static [u8]) -> RequestOp {
    let key = Bytes::from_static(key);
    op(Request::RequestPut(PutRequest { key, ..PutRequest::default() }))
}

fn delete(key: &'static [u8], end: &'static [u8]) -> RequestOp {
    let (key, range_end) = (Bytes::from_static(key), Bytes::from_static(end));
    op(Request::RequestDeleteRange(DeleteRangeRequest { key, range_end, prev_kv: false }))
}

fn nested(success: Vec<RequestOp>, failure: Vec<RequestOp>) -> RequestOp {
    op(Request::RequestTxn(TxnRequest { compare: Vec::new(), success, failure }))
}

fn encode(success: Vec<RequestOp>) -> Result<Bytes, EtcdError> {
    txn::encode(&TxnRequest { compare: Vec::new(), success, failure: Vec::new() })
}

#[test]
fn a_key_is_changed_in_one_way_only() {
    for (wrong, what) in [
        (vec![put(b"k"), put(b"k")], "put twice"),
        (vec![put(b"k"), delete(b"k", b"")], "put and removed"),
        (vec![delete(b"a", b"z"), put(b"k")], "put inside what is removed"),
        (vec![nested(vec![put(b"k")], vec![]), put(b"k")], "put inside and outside"),
        (vec![delete(b"k", b""), nested(vec![], vec![put(b"k")])], "put inside, removed outside"),
        (vec![nested(vec![delete(b"k", b"")], vec![]), put(b"k")], "removed inside"),
        (vec![nested(vec![put(b"k")], vec![]), nested(vec![put(b"k")], vec![])], "put in two"),
    ] {
        assert_eq!(encode(wrong), Err(error::DUPLICATE_KEY), "{what}");
    }
    for (right, what) in [
        (vec![put(b"k"), put(b"l")], "two keys"),
        (vec![delete(b"k", b""), delete(b"k", b"")], "removed twice"),
        (vec![nested(vec![put(b"k")], vec![put(b"k")])], "put in either branch"),
        (vec![delete(b"a", b"k"), put(b"k")], "put behind what is removed"),
        (vec![delete(b"a", b"\0"), put(b"k")], "etcd does not look at open ends"),
    ] {
        assert!(encode(right).is_ok(), "{what}");
    }
}

#[test]
fn every_part_is_checked_before_anything_is_done() {
    assert_eq!(encode(vec![put(b"")]), Err(error::EMPTY_KEY));
    assert_eq!(encode(vec![nested(vec![], vec![delete(b"", b"")])]), Err(error::EMPTY_KEY));
    assert_eq!(encode(vec![RequestOp { request: None }]), Err(error::KEY_NOT_FOUND));
    let range = op(Request::RequestRange(RangeRequest::default()));
    assert_eq!(encode(vec![range]), Err(error::EMPTY_KEY));
    let compare = vec![Compare::default()];
    let request = TxnRequest { compare, success: Vec::new(), failure: Vec::new() };
    assert_eq!(txn::encode(&request), Err(error::EMPTY_KEY));
    let many = vec![delete(b"k", b""); 10_001];
    assert_eq!(encode(many), Err(error::TOO_MANY_OPS));
    let mut deep = nested(vec![], vec![]);
    for _ in 0..100 {
        deep = nested(vec![deep], vec![]);
    }
    assert_eq!(encode(vec![deep]), Err(error::TOO_MANY_OPS));
}

fn compared(compare: Compare) -> Vec<u8> {
    let request = TxnRequest { compare: vec![compare], success: vec![], failure: vec![] };
    txn::encode(&request).unwrap().to_vec()
}

fn compare_of(target: CompareTarget, union: Option<TargetUnion>) -> Compare {
    Compare {
        result: CompareResult::Greater.into(),
        target: target.into(),
        key: Bytes::from_static(b"k"),
        range_end: Bytes::from_static(b"l"),
        target_union: union,
    }
}

#[test]
fn compares_are_those_of_the_store() {
    use CompareTarget::{Create, Lease, Mod, Value, Version};
    let value = Bytes::from_static(b"v");
    for (target, union, relation, expected) in [
        (Version, Some(TargetUnion::Version(3)), Relation::Greater, Target::Version(3)),
        (
            Create,
            Some(TargetUnion::CreateRevision(3)),
            Relation::Greater,
            Target::CreateRevision(3),
        ),
        (Mod, Some(TargetUnion::ModRevision(3)), Relation::Greater, Target::ModRevision(3)),
        (Lease, Some(TargetUnion::Lease(3)), Relation::Greater, Target::Lease(3)),
        (Value, Some(TargetUnion::Value(value)), Relation::Greater, Target::Value(b"v")),
        // What is not given is 0 or empty.
        (Version, None, Relation::Greater, Target::Version(0)),
        (Value, Some(TargetUnion::Lease(3)), Relation::Greater, Target::Value(b"")),
        // Everything is above a negative number.
        (Mod, Some(TargetUnion::ModRevision(-1)), Relation::Less, Target::ModRevision(u64::MAX)),
    ] {
        let body = compared(compare_of(target, union.clone()));
        let Ok(Command::Transaction { on_no, transaction }) = Command::decode(&body) else {
            panic!("{target:?} {union:?}")
        };
        let range = super::super::keys::key_range(b"k", b"l");
        assert_eq!(on_no, OnNo::UndoDecidedFirst);
        assert_eq!(transaction.when[0], StoreCompare { range, relation, target: expected });
    }
}

#[test]
fn operations_and_their_answers_stand_in_the_same_order() {
    let get = op(Request::RequestRange(RangeRequest {
        key: Bytes::from_static(b"k"),
        ..RangeRequest::default()
    }));
    let inner = nested(vec![delete(b"d", b"")], vec![]);
    let body = encode(vec![put(b"k"), get, inner]).unwrap();
    let Ok(Command::Transaction { transaction, .. }) = Command::decode(&body) else { panic!() };
    assert_eq!(transaction.then.len(), 3);
    let first = Operation::Write(Command::Put { key: b"k", value: b"" });
    assert_eq!(transaction.then[0], first);
    assert!(matches!(&transaction.then[1], Operation::Read(_)));
    assert!(matches!(&transaction.then[2], Operation::Nested(_)));

    let deleted = Answer::Deleted { count: 1, revision: 9 };
    let inner =
        Transacted { succeeded: true, revision: 9, answers: [deleted].into_iter().collect() };
    let answers = [Answer::Put { revision: 9 }, Answer::Transaction(Box::new(inner))];
    let answers = answers.into_iter().collect();
    let outer = Transacted { succeeded: true, revision: 9, answers };
    let told = said(&Answer::Transaction(Box::new(outer)));
    let response = txn::response(&told, &told.answer().unwrap()).unwrap();
    let header = ResponseHeader { revision: 9, ..ResponseHeader::default() };
    assert_eq!((response.succeeded, response.header.as_ref()), (true, Some(&header)));
    let Some(Response::ResponsePut(put)) = &response.responses[0].response else { panic!() };
    assert_eq!(put.header.as_ref(), Some(&header));
    let Some(Response::ResponseTxn(txn)) = &response.responses[1].response else { panic!() };
    assert_eq!(txn.header, Some(ResponseHeader::default()));
    let Some(Response::ResponseDeleteRange(gone)) = &txn.responses[0].response else { panic!() };
    assert_eq!((gone.deleted, gone.header.as_ref()), (1, Some(&header)));
    assert_eq!(KeyRange::single(b"k"), super::super::keys::key_range(b"k", b""));
}
