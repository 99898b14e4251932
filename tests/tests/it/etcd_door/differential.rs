//! The same random requests to a node and to a real etcd: the same answers, the same events.
//!
//! More of them, with another seed: `KVORUM_ETCD_OPERATIONS=20000 KVORUM_ETCD_SEED=7`.

use std::cmp::Ordering;
use std::fmt::Debug;
use std::path::Path;

use bytes::Bytes;
use prost::Message;
use raft_net::etcd::etcdserverpb::compare::TargetUnion;
use raft_net::etcd::etcdserverpb::request_op::Request;
use raft_net::etcd::etcdserverpb::watch_create_request::FilterType;
use raft_net::etcd::etcdserverpb::watch_request::RequestUnion;
use raft_net::etcd::etcdserverpb::{
    CompactionRequest, CompactionResponse, Compare, DeleteRangeRequest, DeleteRangeResponse,
    LeaseGrantRequest, LeaseGrantResponse, LeaseLeasesRequest, LeaseLeasesResponse,
    LeaseRevokeRequest, LeaseRevokeResponse, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
    PutRequest, PutResponse, RangeRequest, RangeResponse, RequestOp, ResponseHeader, TxnRequest,
    TxnResponse, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use raft_net::etcd::mvccpb::Event;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use crate::harness::cluster::Cluster;
use crate::harness::etcd::{Etcd, RealEtcd, program};
use crate::harness::scratch::Scratch;
use crate::harness::wait;

/// Requests in all, unless the environment says otherwise.
const OPERATIONS: u64 = 10_000;

/// Nodes that are compared with an etcd each, at the same time and from seeds of their own, since
/// most of the time everybody waits for a disk.
const PAIRS: u64 = 4;

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

/// Compares two answers but for what is of one cluster; returns the revision that they show.
///
/// Errors: what differs, in words.
fn compared<R: Debug + PartialEq>(
    asked: &impl Debug,
    (ours, theirs): (Result<R, Status>, Result<R, Status>),
    header: impl Fn(&mut R) -> Option<&mut ResponseHeader>,
) -> Result<i64, String> {
    let mut revisions = [0, 0];
    let mut settled = |place: usize, answer: Result<R, Status>| {
        let mut answer = answer.map_err(|it| (it.code(), it.message().to_owned()));
        if let Some(header) = answer.as_mut().ok().and_then(&header) {
            revisions[place] = header.revision;
            let revision = header.revision;
            *header = ResponseHeader { revision, ..ResponseHeader::default() };
        }
        answer
    };
    let (ours, theirs) = (settled(0, ours), settled(1, theirs));
    if ours == theirs {
        return Ok(revisions[0]);
    }
    Err(format!("{asked:?}\n  node: {ours:?}\n  etcd: {theirs:?}"))
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

/// What is watched from the beginning on: everything with what was before, the removals alone,
/// the puts of some keys, and one key.
fn watches() -> [WatchCreateRequest; 4] {
    let zero = || Bytes::from_static(b"\0");
    let all = || WatchCreateRequest { key: zero(), range_end: zero(), ..Default::default() };
    let [from, to] = [b"b", b"d"].map(|key| Bytes::from_static(key));
    [
        WatchCreateRequest { prev_kv: true, ..all() },
        WatchCreateRequest { filters: vec![FilterType::Noput.into()], ..all() },
        WatchCreateRequest {
            key: from.clone(),
            range_end: to,
            filters: vec![FilterType::Nodelete.into()],
            ..Default::default()
        },
        WatchCreateRequest { key: from, prev_kv: true, ..Default::default() },
    ]
}

fn revision_of(event: &Event) -> i64 {
    event.kv.as_ref().unwrap().mod_revision
}

/// What a stream of watches was told.
struct Watched {
    asks: mpsc::Sender<WatchRequest>,
    told: Streaming<WatchResponse>,
    /// The events of each watch since the last comparison, in the order in which they were told.
    events: Vec<Vec<Event>>,
    /// The newest revision of which the first watch was told.
    newest: i64,
}

impl Watched {
    async fn begin(etcd: &mut Etcd, watches: &[WatchCreateRequest]) -> Self {
        let create = |(id, create): (i64, &WatchCreateRequest)| {
            let create = WatchCreateRequest { watch_id: id, ..create.clone() };
            WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }
        };
        let mut creates = (1..).zip(watches).map(create);
        let first = creates.next().unwrap();
        let (asks, told) = etcd.stream("/etcdserverpb.Watch/Watch", first).await.unwrap();
        let mut watched = Self { asks, told, events: vec![Vec::new(); watches.len()], newest: 0 };
        watched.hear().await;
        for create in creates {
            watched.asks.send(create).await.unwrap();
            watched.hear().await;
        }
        watched
    }

    /// Takes the next response; returns the revision of one that tells how far all watches are.
    async fn hear(&mut self) -> Option<i64> {
        let told = wait::in_time("a response", self.told.message()).await.unwrap().unwrap();
        assert!(!told.canceled, "{told:?}");
        match usize::try_from(told.watch_id - 1) {
            Ok(watch) => {
                let last = told.events.last().filter(|_| watch == 0).map(revision_of);
                self.newest = last.unwrap_or(0).max(self.newest);
                self.events[watch].extend(told.events);
            }
            Err(_) => return told.header.map(|header| header.revision),
        }
        None
    }

    /// Hears everything up to a revision. The first watch is of everything, so that progress is
    /// asked for when it is so far.
    async fn until(&mut self, revision: i64) {
        while self.newest < revision {
            self.hear().await;
        }
        let union = RequestUnion::ProgressRequest(WatchProgressRequest {});
        self.asks.send(WatchRequest { request_union: Some(union) }).await.unwrap();
        let progress = loop {
            if let Some(revision) = self.hear().await {
                break revision;
            }
        };
        assert_eq!(progress, revision);
    }
}

/// Both, watching the same.
struct Watchers {
    node: Watched,
    etcd: Watched,
}

impl Watchers {
    async fn begin((node, etcd): (&mut Etcd, &mut Etcd), watches: &[WatchCreateRequest]) -> Self {
        let (node, etcd) =
            (Watched::begin(node, watches).await, Watched::begin(etcd, watches).await);
        Self { node, etcd }
    }

    /// Compares all that was told up to a revision.
    async fn compare(&mut self, revision: i64, seed: u64) {
        self.node.until(revision).await;
        self.etcd.until(revision).await;
        for watch in 0..self.node.events.len() {
            // The progress of an etcd may come before the last events of some watches.
            loop {
                let [ours, theirs] =
                    [&self.node, &self.etcd].map(|watched| watched.events[watch].len());
                match ours.cmp(&theirs) {
                    Ordering::Less => {
                        self.node.hear().await;
                    }
                    Ordering::Greater => {
                        self.etcd.hear().await;
                    }
                    Ordering::Equal => break,
                }
            }
            let [ours, theirs] = [&mut self.node, &mut self.etcd]
                .map(|watched| std::mem::take(&mut watched.events[watch]));
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!(ours, theirs, "seed {seed}, watch {watch}");
            }
        }
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
    let operations = setting("KVORUM_ETCD_OPERATIONS", OPERATIONS).div_ceil(PAIRS);
    let seed = setting("KVORUM_ETCD_SEED", 1);
    let pair = |seed: u64| {
        let etcd = etcd.clone();
        let compared = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(compare(&etcd, seed, operations));
        };
        tokio::task::spawn_blocking(compared)
    };
    let pairs: Vec<_> = (seed..seed + PAIRS).map(pair).collect();
    for pair in pairs {
        pair.await.unwrap();
    }
}

/// Compares a node with an etcd.
async fn compare(etcd: &Path, seed: u64, operations: u64) {
    let cluster = Cluster::start(1).await;
    let scratch = Scratch::new();
    let real = RealEtcd::start(&scratch, etcd).await;
    let mut node = Etcd::connect(cluster.address(1)).await;
    let mut etcd = Etcd::connect(&real.address).await;
    let mut watchers = Watchers::begin((&mut node, &mut etcd), &watches()).await;
    let (mut dice, mut newest) = (Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1), 1);
    let mut compacted = 0;
    for number in 0..operations {
        let done = step(&mut dice, (&mut node, &mut etcd), newest).await;
        let Done { revision, is_compaction } =
            done.unwrap_or_else(|why| panic!("seed {seed}, request {number}: {why}"));
        newest = newest.max(revision);
        compacted = is_compaction.unwrap_or(0).max(compacted);
        if number % READ_EVERY == READ_EVERY - 1 {
            watchers.compare(newest, seed).await;
            // Others begin in the past, and are told the same again.
            let start_revision = (newest - dice.number(60)).max(compacted + 1);
            if start_revision <= newest {
                let past = watches().map(|watch| WatchCreateRequest { start_revision, ..watch });
                let mut late = Watchers::begin((&mut node, &mut etcd), &past).await;
                late.compare(newest, seed).await;
            }
        }
    }
    watchers.compare(newest, seed).await;
}

/// What both did.
struct Done {
    /// What the header says, 0 without one.
    revision: i64,
    /// The revision at which they compacted, if they did.
    is_compaction: Option<i64>,
}

/// Asks both for the same.
///
/// Errors: what differs.
async fn step(
    dice: &mut Dice,
    (node, etcd): (&mut Etcd, &mut Etcd),
    newest: i64,
) -> Result<Done, String> {
    let mut is_compaction = None;
    macro_rules! ask {
        ($method:literal, $request:expr => $answer:ty) => {
            ask!($method, $request => $answer, |_| ())
        };
        ($method:literal, $request:expr => $answer:ty, $settle:expr) => {{
            let request = $request;
            let asked = request.clone();
            let (mut ours, mut theirs) =
                both::<_, $answer>((node, etcd), concat!("/etcdserverpb.", $method), request).await;
            let settle: fn(&mut $answer) = $settle;
            [&mut ours, &mut theirs].into_iter().flatten().for_each(settle);
            compared(&asked, (ours, theirs), |answer| answer.header.as_mut())?
        }};
    }
    let revision = match dice.below(40) {
        0..=9 => ask!("KV/Put", dice.put() => PutResponse),
        10..=19 => ask!("KV/Range", dice.range(newest, true) => RangeResponse),
        20..=23 => ask!("KV/DeleteRange", dice.delete(true) => DeleteRangeResponse),
        24..=33 => ask!("KV/Txn", dice.txn(newest, 0) => TxnResponse),
        34 => {
            let revision = (newest + 1 - dice.number(40)).max(1);
            let request = CompactionRequest { revision, physical: true };
            let shown = ask!("KV/Compact", request => CompactionResponse);
            is_compaction = Some(revision).filter(|_| shown != 0);
            shown
        }
        35 | 36 => {
            let request = LeaseGrantRequest { ttl: 5_000, id: dice.lease() };
            ask!("Lease/LeaseGrant", request => LeaseGrantResponse)
        }
        37 => {
            let request = LeaseRevokeRequest { id: dice.lease() };
            ask!("Lease/LeaseRevoke", request => LeaseRevokeResponse)
        }
        38 => {
            let request = LeaseTimeToLiveRequest { id: dice.lease(), keys: true };
            // Seconds pass, and etcd keeps the keys of a lease in no order.
            ask!("Lease/LeaseTimeToLive", request => LeaseTimeToLiveResponse, |answer| {
                answer.ttl = answer.ttl.signum();
                answer.keys.sort();
            })
        }
        // Etcd orders them by their ends.
        _ => ask!("Lease/LeaseLeases", LeaseLeasesRequest {} => LeaseLeasesResponse, |answer| {
            answer.leases.sort_by_key(|lease| lease.id);
        }),
    };
    Ok(Done { revision, is_compaction })
}
