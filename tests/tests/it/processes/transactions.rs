//! Amounts that go from account to account while leaders are killed: none is lost, none comes
//! from nowhere, and whoever looks sees all of it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kvorum_client::transaction::{Relation, Reply, Transaction, increment, key, put, range};
use kvorum_client::{Client, ClientError, KeyRange, No, Options};
use tokio::task::JoinSet;

use crate::harness::cluster::Cluster;
use crate::harness::wait;

const ACCOUNTS: [&[u8]; 4] = [b"bank/a", b"bank/b", b"bank/c", b"bank/d"];

/// What each account has at first.
const AMOUNT: i64 = 100;

/// How many leaders are killed.
const KILLS: usize = 3;

/// How many transfers are acknowledged between two killings, at least.
const TRANSFERS_BETWEEN: u64 = 100;

/// S-25: transactions are all or nothing, once, and in one order.
#[tokio::test]
async fn what_goes_from_account_to_account_stays_as_much_as_it_was() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let client = connect(cluster.addresses.clone()).await;
    let open = ACCOUNTS.into_iter().fold(Transaction::new(), |open, account| {
        open.when(key(account).exists(false)).then(put(account, b"100"))
    });
    assert!(client.transact(&open).await.unwrap().succeeded);
    let (transfers, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut clerks = JoinSet::new();
    for number in 0..6 {
        let mut endpoints = cluster.addresses.clone();
        endpoints.rotate_left(number % 3);
        clerks.spawn(transfer(number, endpoints, transfers.clone(), is_over.clone()));
    }
    let go_on = async || {
        let goal = transfers.load(Ordering::Relaxed) + TRANSFERS_BETWEEN;
        let reached = || transfers.load(Ordering::Relaxed);
        wait::until("transfers", async || (goal <= reached()).then_some(())).await;
    };
    for _ in 0..KILLS {
        go_on().await;
        let leader = cluster.leader().await;
        cluster.kill(leader);
        go_on().await;
        cluster.revive(leader);
    }
    is_over.store(true, Ordering::Relaxed);
    let mut done = 0;
    while let Some(clerk) = clerks.join_next().await {
        done += clerk.expect("no clerk found anything wrong");
    }
    assert_eq!(done, transfers.load(Ordering::Relaxed));
    let look = client.transact(&look()).await.unwrap();
    check_sum(&look.answers[0]);
    // Each transfer has made one revision, and so has the opening.
    assert_eq!(look.revision, 2 + done);
    cluster.check_equal().await;
}

fn look() -> Transaction<'static> {
    Transaction::new().then(range(KeyRange::prefix(b"bank/")))
}

/// The accounts of a page with their revisions, in order.
fn check_sum(page: &Reply) -> Vec<(i64, u64)> {
    let Reply::Page(page) = page else { panic!("no page: {page:?}") };
    let amount = |text: &[u8]| std::str::from_utf8(text).unwrap().parse().unwrap();
    let accounts: Vec<(i64, u64)> =
        page.kvs.iter().map(|kv| (amount(&kv.value), kv.mod_revision)).collect();
    let sum: i64 = accounts.iter().map(|(amount, _)| amount).sum();
    assert_eq!((accounts.len(), sum), (4, 4 * AMOUNT), "{accounts:?}");
    assert!(accounts.iter().all(|(amount, _)| 0 <= *amount), "{accounts:?}");
    accounts
}

async fn connect(endpoints: Vec<String>) -> Client {
    let connected = Client::connect(endpoints, Options { timeout: wait::DEADLINE }).await;
    connected.expect("a node is there")
}

/// Moves amounts until it is over; returns how often.
async fn transfer(
    number: usize,
    endpoints: Vec<String>,
    transfers: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
) -> u64 {
    let client = connect(endpoints).await;
    let mut done = 0;
    for round in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let found = client.transact(&look()).await.unwrap();
        let accounts = check_sum(&found.answers[0]);
        let (from, to) = ((number + round) % 4, (number + round + 1 + round % 3) % 4);
        let (has, revision) = accounts[from];
        let amount = 7 + i64::try_from(round % 20).unwrap();
        if has < amount || from == to {
            continue;
        }
        let unchanged = key(ACCOUNTS[from]).mod_revision(Relation::Equal, revision);
        let transaction = Transaction::new()
            .when(unchanged)
            .then(increment(ACCOUNTS[from], None, -amount))
            .then(increment(ACCOUNTS[to], None, amount));
        // What goes wrong behind the first half leaves nothing of it.
        let wrong = transaction.clone().then(increment(ACCOUNTS[to], None, i64::MAX));
        if round % 5 == 0 {
            match client.transact(&wrong).await {
                Ok(outcome) => assert!(!outcome.succeeded, "{outcome:?}"),
                Err(ClientError::Undone { path, why: No::Overflow }) => assert_eq!(path, [2]),
                Err(error) => panic!("{error}"),
            }
        }
        if client.transact(&transaction).await.unwrap().succeeded {
            done += 1;
            transfers.fetch_add(1, Ordering::Relaxed);
        }
    }
    done
}
