//! Requests as etcd's clients send them, and what they mean in the store's words.

mod txn;
mod watch;

use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use kv_store::command::{
    Answer, Attributes, Command, Direction, Existing, Filter, KeyRange, KeyValue, List, No,
    OrderBy, PutOptions, Query, RangeEnd, Selection, Show,
};
use raft_core::types::Term;
use raft_net::etcd::etcdserverpb::range_request::{SortOrder, SortTarget};
use raft_net::etcd::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest};
use tonic::Code;

use super::error;
use super::keys::{self, Said};
use super::{Behind, call};

fn said(answer: &Answer<'_>) -> Said {
    let mut bytes = BytesMut::new();
    answer.encode(&mut bytes);
    Said { bytes: bytes.freeze(), term: Term(7) }
}

fn of_key(key: &'static [u8]) -> RangeRequest {
    RangeRequest { key: Bytes::from_static(key), ..RangeRequest::default() }
}

#[test]
fn a_range_end_says_which_keys_are_meant() {
    for (end, expected) in [
        (&b""[..], RangeEnd::Single),
        (b"\0", RangeEnd::From),
        (b"k\0", RangeEnd::HalfOpen(b"k\0")),
        (b"l", RangeEnd::HalfOpen(b"l")),
        (b"a", RangeEnd::HalfOpen(b"a")),
    ] {
        assert_eq!(keys::key_range(b"k", end), KeyRange { from: b"k", end: expected });
    }
}

#[test]
fn a_plain_get_is_a_plain_question() {
    let request = RangeRequest { limit: 5, ..of_key(b"k") };
    let expected = Query::Range { range: KeyRange::single(b"k"), limit: 5 };
    assert_eq!(keys::question(keys::selection(&request)), expected);
    let request = RangeRequest { sort_order: SortOrder::Ascend.into(), ..request };
    assert_eq!(keys::question(keys::selection(&request)), expected);
}

#[test]
fn every_part_of_a_request_for_keys_is_a_part_of_the_question() {
    let request = RangeRequest {
        range_end: Bytes::from_static(b"\0"),
        limit: 3,
        revision: 9,
        sort_order: SortOrder::Descend.into(),
        sort_target: SortTarget::Mod.into(),
        keys_only: true,
        min_mod_revision: 1,
        max_mod_revision: 2,
        min_create_revision: 3,
        max_create_revision: 4,
        ..of_key(b"k")
    };
    let asked = keys::selection(&request);
    assert_eq!((asked.limit, asked.revision, asked.show), (3, 9, Show::Keys));
    assert_eq!(
        (asked.order.by, asked.order.direction),
        (OrderBy::ModRevision, Direction::Descending)
    );
    let filter = Filter {
        mod_revision_min: 1,
        mod_revision_max: 2,
        create_revision_min: 3,
        create_revision_max: 4,
    };
    assert_eq!(asked.filter, filter);
    let count = RangeRequest { count_only: true, ..request };
    assert_eq!(keys::selection(&count).show, Show::Count);
}

/// What is unordered is ascending by whatever is named, and negative numbers are none, but for
/// the greatest revisions: nothing is below those.
#[test]
fn numbers_below_zero_mean_what_they_mean_to_etcd() {
    let request = RangeRequest {
        limit: -1,
        revision: -1,
        min_mod_revision: -1,
        sort_target: SortTarget::Create.into(),
        ..of_key(b"k")
    };
    let asked = keys::selection(&request);
    assert_eq!((asked.limit, asked.revision, asked.filter), (0, 0, Filter::ALL));
    assert_eq!(
        (asked.order.by, asked.order.direction),
        (OrderBy::CreateRevision, Direction::Ascending)
    );
    let nothing = RangeRequest { max_create_revision: -1, ..of_key(b"k") };
    assert!(!keys::selection(&nothing).filter.lets_through(9, 9));
}

#[test]
fn requests_without_sense_are_refused_in_etcds_words() {
    assert_eq!(keys::check_range(&of_key(b"")), Err(error::EMPTY_KEY));
    let sorted = RangeRequest { sort_order: 3, ..of_key(b"k") };
    assert_eq!(keys::check_range(&sorted), Err(error::INVALID_SORT_OPTION));
    let sorted = RangeRequest { sort_target: 5, ..of_key(b"k") };
    assert_eq!(keys::check_range(&sorted), Err(error::INVALID_SORT_OPTION));
    assert_eq!(keys::put(&PutRequest::default()), Err(error::EMPTY_KEY));
    let key = Bytes::from_static(b"k");
    let put = PutRequest { key: key.clone(), value: key.clone(), ..PutRequest::default() };
    let keeps = PutRequest { ignore_value: true, ..put.clone() };
    assert_eq!(keys::put(&keeps), Err(error::VALUE_PROVIDED));
    let keeps = PutRequest { ignore_lease: true, lease: 3, ..put };
    assert_eq!(keys::put(&keeps), Err(error::LEASE_PROVIDED));
    assert_eq!(keys::delete_range(&DeleteRangeRequest::default()), Err(error::EMPTY_KEY));
    let long = Command::Put { key: b"k", value: &[0; 2_000_000] };
    assert_eq!(keys::encode(&long), Err(error::REQUEST_TOO_LARGE));
}

#[test]
fn a_put_asks_for_no_more_than_its_request() {
    let key = Bytes::from_static(b"k");
    let put = PutRequest { key, ..PutRequest::default() };
    assert_eq!(keys::put(&put), Ok(Command::Put { key: b"k", value: b"" }));
    let of = |request: &PutRequest| match keys::put(request) {
        Ok(Command::PutWith { options, .. }) => options,
        other => panic!("{other:?}"),
    };
    let plain = PutOptions::default();
    let request = PutRequest { lease: -1, prev_kv: true, ..put.clone() };
    let expected = PutOptions { returns_previous: true, lease: u64::MAX, ..plain };
    assert_eq!(of(&request), expected);
    let request = PutRequest { ignore_lease: true, ..put.clone() };
    let expected = PutOptions { keeps_end: true, existing: Existing::Required, ..plain };
    assert_eq!(of(&request), expected);
    let request = PutRequest { ignore_value: true, lease: 3, ..put };
    let expected = PutOptions { lease: 3, existing: Existing::KeepsValue, ..plain };
    assert_eq!(of(&request), expected);
}

#[test]
fn answers_become_responses_with_every_number() {
    let kv = KeyValue {
        key: b"k",
        value: b"v",
        create_revision: 3,
        mod_revision: 4,
        version: 2,
        attributes: Attributes { lease: u64::MAX, ..Attributes::default() },
    };
    let kvs: List<KeyValue<'_>> = [kv].into_iter().collect();
    let told = said(&Answer::Range { revision: 9, kvs: kvs.clone(), more: true, count: 5 });
    let response = keys::range_response(&told, &told.answer().unwrap()).unwrap();
    assert_eq!((response.header.unwrap().revision, response.more, response.count), (9, true, 5));
    let found = &response.kvs[0];
    assert_eq!((&found.key[..], &found.value[..]), (&b"k"[..], &b"v"[..]));
    assert_eq!((found.create_revision, found.mod_revision, found.version), (3, 4, 2));
    assert_eq!(found.lease, -1);
    let told = said(&Answer::PutOver { revision: 9, previous: Some(kv) });
    let response = keys::put_response(&told, &told.answer().unwrap()).unwrap();
    assert_eq!(response.prev_kv.as_ref(), Some(found));
    let told = said(&Answer::DeletedKeys { count: 5, revision: 9, kvs, more: false });
    let response = keys::delete_response(&told, &told.answer().unwrap()).unwrap();
    assert_eq!((response.deleted, response.prev_kvs.len()), (5, 1));
}

#[test]
fn what_the_store_decides_against_is_said_in_etcds_words() {
    for (why, code, text) in [
        (
            No::Compacted { oldest: 3 },
            Code::OutOfRange,
            "etcdserver: mvcc: required revision has been compacted",
        ),
        (
            No::Future { newest: 3 },
            Code::OutOfRange,
            "etcdserver: mvcc: required revision is a future revision",
        ),
        (No::LeaseUnknown { id: 3 }, Code::NotFound, "etcdserver: requested lease not found"),
        (No::LeaseExists { id: 3 }, Code::FailedPrecondition, "etcdserver: lease already exists"),
        (No::KeyUnknown, Code::InvalidArgument, "etcdserver: key not found"),
    ] {
        for answer in [
            Answer::No { revision: 9, why },
            Answer::Undone { revision: 9, path: List::new(), why },
        ] {
            let status = said(&answer).answer().unwrap_err();
            assert_eq!((status.code(), status.message()), (code, text));
        }
    }
}

/// The question for everything is one that the store knows as such.
#[test]
fn all_keys_are_those_from_the_least_one_on() {
    let request = RangeRequest { range_end: Bytes::from_static(b"\0"), ..of_key(b"\0") };
    let all = Selection::of(KeyRange { from: b"\0", end: RangeEnd::From });
    assert_eq!(keys::selection(&request), all);
}

/// Each request is a task that holds its future, so a large one costs every request more, also in
/// the allocator: what is asked seldom is boxed.
#[test]
fn the_future_of_a_request_is_small() {
    fn size<B, F: Future>(_: impl Fn(&'static Behind, http::Request<B>) -> F) -> usize {
        size_of::<F>()
    }
    let size = size(call::<Full<Bytes>>);
    assert!(size <= 1_024, "{size} bytes");
}
