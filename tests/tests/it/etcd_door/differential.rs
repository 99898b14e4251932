//! The same random requests to a node and to a real etcd: the same answers, the same events.
//!
//! More of them, with another seed: `KVORUM_ETCD_OPERATIONS=20000 KVORUM_ETCD_SEED=7`.

use std::fmt::Debug;

use bytes::Bytes;
use prost::Message;
use raft_net::etcd::etcdserverpb::compare::TargetUnion;
use raft_net::etcd::etcdserverpb::request_op::Request;
use raft_net::etcd::etcdserverpb::watch_request::RequestUnion;
use raft_net::etcd::etcdserverpb::{
    CompactionRequest, CompactionResponse, Compare, DeleteRangeRequest, DeleteRangeResponse,
    LeaseGrantRequest, LeaseGrantResponse, LeaseLeasesRequest, LeaseLeasesResponse,
    LeaseRevokeRequest, LeaseRevokeResponse, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
    PutRequest, PutResponse, RangeRequest, RangeResponse, RequestOp, TxnRequest, TxnResponse,
    WatchCreateRequest, WatchRequest, WatchResponse,
};
use raft_net::etcd::mvccpb::Event;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use crate::harness::cluster::Cluster;
use crate::harness::etcd::{Etcd, RealEtcd, program};
use crate::harness::scratch::Scratch;
use crate::harness::wait;

/// Requests, unless the environment asks for more.
const OPERATIONS: u64 = 4_000;

/// After so many requests the watches are read: the client's library ends a connection on which
/// some tens of thousands of frames wait unread.
const READ_EVERY: u64 = 1_000;

const KEYS: [&str; 6] = ["a", "b", "ba", "c", "d", "e"];

/// Numbers that look drawn at random and follow from a seed (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    fn is_one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn key(&mut self) -> Bytes {
        let place = usize::try_from(self.below(KEYS.len() as u64)).unwrap();
        Bytes::from_static(KEYS[place].as_bytes())
    }

    fn value(&mut self) -> Bytes {
        Bytes::from(self.below(4).to_string())
    }

    fn lease(&mut self) -> i64 {
        i64::try_from(100 + self.below(4)).unwrap()
    }

    fn number(&mut self, limit: i64) -> i64 {
        i64::try_from(self.below(u64::try_from(limit.max(1)).unwrap())).unwrap()
    }

    fn range_end(&mut self, may_be_open: bool) -> Bytes {
        match self.below(6) {
            0..=2 => Bytes::new(),
            3 if may_be_open => Bytes::from_static(b"\0"),
            _ => self.key(),
        }
    }

    fn put(&mut self) -> PutRequest {
        let (ignore_value, ignore_lease) = (self.is_one_in(8), self.is_one_in(8));
        PutRequest {
            key: if self.is_one_in(50) { Bytes::new() } else { self.key() },
            value: if ignore_value && !self.is_one_in(5) { Bytes::new() } else { self.value() },
            lease: if self.is_one_in(4) && (!ignore_lease || self.is_one_in(5)) {
                self.lease()
            } else {
                0
            },
            prev_kv: self.is_one_in(2),
            ignore_value,
            ignore_lease,
        }
    }

    fn range(&mut self, newest: i64, has_revision: bool) -> RangeRequest {
        let bound = |dice: &mut Self| if dice.is_one_in(6) { dice.number(newest + 2) } else { 0 };
        RangeRequest {
            key: if self.is_one_in(50) { Bytes::new() } else { self.key() },
            range_end: self.range_end(true),
            limit: if self.is_one_in(3) { self.number(4) } else { 0 },
            revision: if has_revision && self.is_one_in(3) {
                (newest + 2 - self.number(40)).max(0)
            } else {
                0
            },
            sort_order: i32::try_from(self.below(3)).unwrap(),
            sort_target: i32::try_from(self.below(5)).unwrap(),
            serializable: false,
            keys_only: self.is_one_in(5),
            count_only: self.is_one_in(8),
            min_mod_revision: bound(self),
            max_mod_revision: bound(self),
            min_create_revision: bound(self),
            max_create_revision: bound(self),
        }
    }

    fn delete(&mut self, may_be_open: bool) -> DeleteRangeRequest {
        let (key, range_end) = (self.key(), self.range_end(may_be_open));
        DeleteRangeRequest { key, range_end, prev_kv: self.is_one_in(2) }
    }

    fn txn(&mut self, newest: i64, depth: u64) -> TxnRequest {
        let compares = self.below(3);
        let compare = (0..compares).map(|_| self.compare(newest)).collect();
        let branch = |dice: &mut Self| -> Vec<RequestOp> {
            let count = dice.below(4);
            (0..count).map(|_| dice.operation(newest, depth)).collect()
        };
        TxnRequest { compare, success: branch(self), failure: branch(self) }
    }

    fn operation(&mut self, newest: i64, depth: u64) -> RequestOp {
        let request = match self.below(8) {
            0..=2 => {
                let mut put = self.put();
                if put.ignore_value || put.ignore_lease {
                    // Of two reasons to refuse it, etcd names another one in a transaction.
                    put.lease = 0;
                }
                Request::RequestPut(put)
            }
            3 | 4 => {
                let mut range = self.range(newest, false);
                if range.sort_order == 0 {
                    // Etcd sorts what is within the limit only (`docs/etcd.md`).
                    range.sort_target = 0;
                }
                Request::RequestRange(range)
            }
            5 | 6 => Request::RequestDeleteRange(self.delete(false)),
            _ if depth < 2 => Request::RequestTxn(self.txn(newest, depth + 1)),
            _ => Request::RequestDeleteRange(self.delete(false)),
        };
        RequestOp { request: Some(request) }
    }

    fn compare(&mut self, newest: i64) -> Compare {
        let target = self.below(5);
        let union = match target {
            0 => TargetUnion::Version(self.number(4)),
            1 => TargetUnion::CreateRevision(self.number(newest + 2)),
            2 => TargetUnion::ModRevision(self.number(newest + 2)),
            3 => TargetUnion::Value(self.value()),
            _ => TargetUnion::Lease(if self.is_one_in(2) { 0 } else { self.lease() }),
        };
        Compare {
            result: i32::try_from(self.below(4)).unwrap(),
            target: i32::try_from(target).unwrap(),
            key: self.key(),
            range_end: self.range_end(true),
            target_union: Some(union),
        }
    }
}

/// What was answered, in words that do not depend on who was asked.
fn shown<R: Debug>(answer: Result<R, Status>) -> String {
    match answer {
        Ok(answer) => without_ids(&format!("{answer:?}")),
        Err(status) => format!("{:?} {}", status.code(), status.message()),
    }
}

fn without_ids(said: &str) -> String {
    let mut said = said.to_owned();
    for name in ["cluster_id: ", "member_id: ", "raft_term: "] {
        let mut parts = said.split(name);
        let first = parts.next().unwrap().to_owned();
        let rest = parts.map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()));
        said = rest.fold(first, |said, part| said + name + part);
    }
    said
}

/// One request to both.
async fn both<Q, R>(
    (node, etcd): (&mut Etcd, &mut Etcd),
    method: &'static str,
    request: Q,
) -> (Result<R, Status>, Result<R, Status>)
where
    Q: Message + Clone + 'static,
    R: Message + Default + 'static,
{
    tokio::join!(node.call(method, request.clone()), etcd.call(method, request))
}

/// Events from the beginning on, of everything.
struct Watched {
    _asks: mpsc::Sender<WatchRequest>,
    told: Streaming<WatchResponse>,
    events: Vec<Event>,
}

impl Watched {
    async fn begin(etcd: &mut Etcd) -> Self {
        let zero = Bytes::from_static(b"\0");
        let create = WatchCreateRequest {
            key: zero.clone(),
            range_end: zero,
            prev_kv: true,
            ..WatchCreateRequest::default()
        };
        let union = RequestUnion::CreateRequest(create);
        let create = WatchRequest { request_union: Some(union) };
        let (asks, told) = etcd.stream("/etcdserverpb.Watch/Watch", create).await.unwrap();
        Self { _asks: asks, told, events: Vec::new() }
    }

    /// All events up to a revision; those of one revision in the order of their keys, since etcd
    /// keeps the order in which a transaction made them.
    async fn until(&mut self, revision: i64) -> &[Event] {
        let of = |event: &Event| event.kv.as_ref().unwrap().mod_revision;
        while self.events.last().is_none_or(|last| of(last) < revision) {
            let told = wait::in_time("events", self.told.message()).await.unwrap().unwrap();
            assert!(!told.canceled, "{told:?}");
            self.events.extend(told.events);
        }
        self.events.sort_by_key(|event| (of(event), event.kv.as_ref().unwrap().key.clone()));
        &self.events
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.replace('_', "").parse().ok()).unwrap_or(default)
}

#[tokio::test]
async fn a_node_and_etcd_answer_random_requests_alike() {
    let test = "a_node_and_etcd_answer_random_requests_alike";
    let Some(etcd) = program(test, "etcd") else { return };
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let scratch = Scratch::new();
    let real = RealEtcd::start(&scratch, &etcd).await;
    let mut node = Etcd::connect(cluster.address(1)).await;
    let mut etcd = Etcd::connect(&real.address).await;
    let (mut shown_by_node, mut shown_by_etcd) =
        (Watched::begin(&mut node).await, Watched::begin(&mut etcd).await);
    let seed = setting("KVORUM_ETCD_SEED", 1);
    let (mut dice, mut newest) = (Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1), 1);
    for number in 0..setting("KVORUM_ETCD_OPERATIONS", OPERATIONS) {
        let (asked, ours, theirs) = step(&mut dice, (&mut node, &mut etcd), newest).await;
        assert_eq!(ours, theirs, "seed {seed}, request {number}: {asked}");
        newest = newest_of(&ours).max(newest);
        if number % READ_EVERY == READ_EVERY - 1 {
            shown_by_node.until(newest).await;
            shown_by_etcd.until(newest).await;
        }
    }
    let ours = shown_by_node.until(newest).await;
    let theirs = shown_by_etcd.until(newest).await;
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert_eq!(ours, theirs, "seed {seed}");
    }
}

/// The revision in the header of an answer.
fn newest_of(shown: &str) -> i64 {
    let digits = shown.split("revision: ").nth(1).and_then(|rest| rest.split(',').next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Asks both for the same; returns the request and both answers.
async fn step(
    dice: &mut Dice,
    (node, etcd): (&mut Etcd, &mut Etcd),
    newest: i64,
) -> (String, String, String) {
    macro_rules! ask {
        ($method:literal, $request:expr, $answer:ty) => {{
            let request = $request;
            let asked = format!("{request:?}");
            let (ours, theirs) = both::<_, $answer>((node, etcd), $method, request).await;
            (asked, shown(ours), shown(theirs))
        }};
    }
    match dice.below(40) {
        0..=9 => ask!("/etcdserverpb.KV/Put", dice.put(), PutResponse),
        10..=19 => ask!("/etcdserverpb.KV/Range", dice.range(newest, true), RangeResponse),
        20..=23 => {
            ask!("/etcdserverpb.KV/DeleteRange", dice.delete(true), DeleteRangeResponse)
        }
        24..=33 => ask!("/etcdserverpb.KV/Txn", dice.txn(newest, 0), TxnResponse),
        34 => {
            let revision = (newest + 1 - dice.number(40)).max(1);
            let request = CompactionRequest { revision, physical: true };
            ask!("/etcdserverpb.KV/Compact", request, CompactionResponse)
        }
        35 | 36 => {
            let request = LeaseGrantRequest { ttl: 5_000, id: dice.lease() };
            ask!("/etcdserverpb.Lease/LeaseGrant", request, LeaseGrantResponse)
        }
        37 => {
            let request = LeaseRevokeRequest { id: dice.lease() };
            ask!("/etcdserverpb.Lease/LeaseRevoke", request, LeaseRevokeResponse)
        }
        38 => {
            let request = LeaseTimeToLiveRequest { id: dice.lease(), keys: true };
            let asked = format!("{request:?}");
            let (ours, theirs) = both::<_, LeaseTimeToLiveResponse>(
                (node, etcd),
                "/etcdserverpb.Lease/LeaseTimeToLive",
                request,
            )
            .await;
            // Seconds pass, and etcd keeps the keys of a lease in no order.
            let settled = |answer: Result<LeaseTimeToLiveResponse, Status>| {
                shown(answer.map(|mut answer| {
                    answer.ttl = answer.ttl.signum();
                    answer.keys.sort();
                    answer
                }))
            };
            (asked, settled(ours), settled(theirs))
        }
        _ => {
            let (ours, theirs) = both::<_, LeaseLeasesResponse>(
                (node, etcd),
                "/etcdserverpb.Lease/LeaseLeases",
                LeaseLeasesRequest {},
            )
            .await;
            // Etcd orders them by their ends.
            let sorted = |answer: Result<LeaseLeasesResponse, Status>| {
                shown(answer.map(|mut answer| {
                    answer.leases.sort_by_key(|lease| lease.id);
                    answer
                }))
            };
            ("leases".to_owned(), sorted(ours), sorted(theirs))
        }
    }
}
