//! A counter that eight clients count up while its leaders are killed.
//!
//! The counter is the version of one key, which every put raises by one. Each put is asked for
//! under a request id by two clients at a time, through different nodes and with little patience,
//! again and again until there is an answer.

use std::collections::BTreeSet;
use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kvorum_client::{Client, ClientError, Options, RequestId, SessionId};
use tokio::task::JoinSet;

use crate::harness::cluster::Cluster;
use crate::harness::wait;

const CLIENTS: usize = 8;

/// How many leaders are killed, unless the environment variable says otherwise.
const KILLS: u64 = 10;
const KILLS_VARIABLE: &str = "KVORUM_LEADER_KILLS";

/// How many puts are acknowledged between two killings, at least.
const PUTS_BETWEEN: u64 = 200;

/// Shorter than a change of the leader at times, so that outcomes are unknown.
const PATIENCE: Duration = Duration::from_millis(10);

const KEY: &[u8] = b"counter";

/// S-26: a request that is repeated, also at the same time and through another node or leader,
/// takes effect once, and all who ask get the same answer.
#[tokio::test]
async fn a_counter_stands_at_the_number_of_acknowledged_puts_after_killed_leaders() {
    let _turn = wait::turn().await;
    let kills = env::var(KILLS_VARIABLE).map_or(KILLS, |text| text.parse().expect("a number"));
    let mut cluster = Cluster::start(3).await;
    let (acknowledged, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut counting = JoinSet::new();
    for number in 0..CLIENTS {
        let mut endpoints = cluster.addresses.clone();
        endpoints.rotate_left(number % 3);
        counting.spawn(count(endpoints, acknowledged.clone(), is_over.clone()));
    }
    let go_on = async || {
        let goal = acknowledged.load(Ordering::Relaxed) + PUTS_BETWEEN;
        let reached = || acknowledged.load(Ordering::Relaxed);
        wait::until("acknowledged puts", async || (goal <= reached()).then_some(())).await;
    };
    for _ in 0..kills {
        go_on().await;
        let leader = cluster.leader().await;
        cluster.kill(leader);
        go_on().await;
        cluster.revive(leader);
    }
    is_over.store(true, Ordering::Relaxed);

    let (mut revisions, mut unknown) = (BTreeSet::new(), 0);
    while let Some(counted) = counting.join_next().await {
        let counted = counted.expect("no client found anything wrong");
        unknown += counted.unknown;
        for revision in counted.revisions {
            assert!(revisions.insert(revision), "two puts were answered alike: {revision}");
        }
    }
    let puts = u64::try_from(revisions.len()).unwrap();
    assert_eq!(puts, acknowledged.load(Ordering::Relaxed));
    assert!(0 < unknown, "without a doubt nothing was tried");
    let kv = cluster.client().await;
    let (revision, found) = kv.prefix("counter").await;
    assert_eq!(found.first().map(|kv| kv.version), Some(puts), "every put counts once");
    assert_eq!(revision, 1 + puts, "and there was nothing else");
    cluster.check_equal().await;
}

struct Counted {
    /// The answers to its puts.
    revisions: Vec<u64>,
    /// How often an attempt ended without an answer.
    unknown: u64,
}

async fn count(
    endpoints: Vec<String>,
    acknowledged: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
) -> Counted {
    let mut others = endpoints.clone();
    others.rotate_left(1);
    let open = SessionId::open(endpoints.clone(), wait::DEADLINE).await;
    let session = open.expect("a node is there");
    let asking = [connect(endpoints).await, connect(others).await];
    let mut counted = Counted { revisions: Vec::new(), unknown: 0 };
    for serial in 1.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let id = session.request(serial).expect("serials begin at 1");
        let put = put_once(&asking, id, &mut counted.unknown);
        counted.revisions.push(wait::in_time("answer to a put", put).await);
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    counted
}

async fn connect(endpoints: Vec<String>) -> Client {
    let connected = Client::connect(endpoints, Options { timeout: wait::DEADLINE }).await;
    connected.expect("a node is there")
}

/// Asks for the put until there is an answer, which must be the same for both.
async fn put_once(asking: &[Client; 2], id: RequestId, unknown: &mut u64) -> u64 {
    let value = id.to_string();
    loop {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let [one, two] = asking.each_ref().map(|client| client.until(deadline).with_request_id(id));
        let both = tokio::join!(one.put(KEY, value.as_bytes()), two.put(KEY, value.as_bytes()));
        match both {
            (Ok(one), Ok(two)) => {
                assert_eq!(one, two, "both are answers to {id}");
                return one;
            }
            (Ok(revision), Err(error)) | (Err(error), Ok(revision)) => {
                note(&error, unknown);
                return revision;
            }
            (Err(one), Err(two)) => {
                note(&one, unknown);
                note(&two, unknown);
            }
        }
    }
}

fn note(error: &ClientError, unknown: &mut u64) {
    match error {
        ClientError::Unknown => *unknown += 1,
        ClientError::NoQuorum { .. } | ClientError::Unreachable { .. } => {}
        other => panic!("a put is answered: {other}"),
    }
}

/// A number that a user chose names one client, for many processes at a time, at every node and
/// after the leader is gone; one whose session is not known is refused, and nothing is done.
#[tokio::test]
async fn a_number_names_one_client_everywhere() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let words = ["put", "counted", "1", "--request-id", "7:1", "-w", "json"];
    let asking: Vec<_> = cluster.ids().into_iter().chain(cluster.ids()).collect();
    let asking: Vec<_> =
        asking.iter().map(|&id| cluster.begin_kvctl_at(cluster.address(id), &words)).collect();
    let mut answers = BTreeSet::new();
    for process in asking {
        let ended = process.end().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        answers.insert(ended.stdout);
    }
    assert_eq!(answers.len(), 1, "one put has one answer: {answers:?}");
    cluster.kill(cluster.leader().await);
    let again = cluster.kvctl(&words).await;
    assert_eq!(Some(&again.stdout), answers.first(), "{}", again.stderr);
    let kv = cluster.client().await;
    let (revision, found) = kv.prefix("counted").await;
    assert_eq!(found[0].version, 1);
    // As it is when the cluster has forgotten it: nobody has handed this id out, or not yet.
    kv.put("kvorum/clients/8", "99999999999999999-00000000000000ff").await;
    let ended = cluster.kvctl(&["put", "counted", "2", "--request-id", "8:1"]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("does not know this client id"), "{}", ended.stderr);
    assert_eq!(kv.prefix("counted").await, (revision + 1, found));
    cluster.check_equal().await;
}
