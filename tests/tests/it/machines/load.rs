//! Clients that read, write, and compare and set a few keys through all nodes, and remember what
//! they were told and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kvorum_client::transaction::{Relation, Transaction, key, put};
use kvorum_client::{Client, ClientError, Options};
use raft_core::consensus::rng::Rng;
use sim::linearizability::{
    History, Operation, Outcome, Register, RegisterAnswer, RegisterOperation, Verdict, check,
};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::harness::wait;

const CLIENTS: u64 = 8;
const KEYS: usize = 3;

/// How many steps a history may take, a few seconds.
const STEPS_MAX: u64 = 100_000_000;

/// What was asked, of which key, and what was said.
struct Call {
    key: u64,
    asked: RegisterOperation<u64>,
    called_us: u64,
    /// When and what; `None` if nobody knows what became of it.
    answered: Option<(u64, RegisterAnswer<u64>)>,
}

/// What clients share.
struct Shared {
    began: Instant,
    written: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    is_over: AtomicBool,
    doors: Vec<String>,
    timeout: Duration,
}

/// Clients at work.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Vec<Call>>>,
}

impl Load {
    /// Lets clients begin, each at another node; an operation takes this long at most.
    pub(crate) fn start(doors: &[String], timeout: Duration) -> Self {
        let shared = Arc::new(Shared {
            began: Instant::now(),
            written: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            doors: doors.to_vec(),
            timeout,
        });
        let begin = |number| tokio::spawn(work(Arc::clone(&shared), number));
        Self { clients: (0..CLIENTS).map(begin).collect(), shared }
    }

    /// Waits until this many more operations are answered.
    pub(crate) async fn go_on(&self, operations: u64) {
        let count = || self.shared.answered.load(Ordering::Relaxed);
        let goal = count() + operations;
        wait::until("answers", async || (goal <= count()).then_some(())).await;
    }

    /// Lets the clients end, and checks that there is an order that explains all they saw.
    /// Returns how many operations had no answer, reads among them.
    pub(crate) async fn end(self) -> u64 {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let mut calls = Vec::new();
        for client in self.clients {
            calls.extend(wait::in_time("end of a client", client).await.unwrap());
        }
        calls.sort_by_key(|call| call.called_us);
        let answered = calls.iter().filter(|call| call.answered.is_some()).count();
        let failed = self.shared.failed.load(Ordering::Relaxed);
        println!("{answered} operations were answered, {failed} failed");
        let mut history = History::<u64, Register<u64>>::default();
        for Call { key, asked, called_us: called, answered } in calls {
            let outcome = answered.map_or(Outcome::Unknown, |(returned, answer)| {
                Outcome::Answered { returned, answer }
            });
            history.add(key, Operation { asked, called, outcome, guess: None });
        }
        match check(&history, STEPS_MAX) {
            Verdict::Linearizable => failed,
            Verdict::Illegal(violation) => panic!("{violation}"),
            Verdict::Unknown { key } => panic!("key {key} takes more than {STEPS_MAX} steps"),
        }
    }
}

impl Shared {
    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap()
    }

    async fn connect(&self, number: u64) -> Client {
        let mut doors = self.doors.clone();
        let first = usize::try_from(number).unwrap() % doors.len();
        doors.rotate_left(first);
        let options = Options { timeout: wait::DEADLINE };
        Client::connect(doors, options).await.unwrap().each(self.timeout)
    }
}

/// What one client does and remembers.
async fn work(shared: Arc<Shared>, number: u64) -> Vec<Call> {
    let client = shared.connect(number).await;
    let mut rng = Rng::new(number);
    let (mut calls, mut last_seen) = (Vec::new(), [None; KEYS]);
    while !shared.is_over.load(Ordering::Relaxed) {
        let key = rng.in_range(0, last_seen.len() as u64);
        let seen = &mut last_seen[usize::try_from(key).unwrap()];
        let new = 1 + shared.written.fetch_add(1, Ordering::Relaxed);
        let asked = match rng.in_range(0, 10) {
            0..=4 => RegisterOperation::Read,
            5..=7 => RegisterOperation::Write(new),
            _ => RegisterOperation::CompareAndSet { old: *seen, new },
        };
        let called_us = shared.now_us();
        let said = ask(&client, key, &asked).await;
        let returned_us = shared.now_us();
        match said {
            Ok(answer) => {
                shared.answered.fetch_add(1, Ordering::Relaxed);
                if let RegisterAnswer::Value(value) = answer {
                    *seen = value;
                }
                calls.push(Call { key, asked, called_us, answered: Some((returned_us, answer)) });
            }
            Err(_) => {
                shared.failed.fetch_add(1, Ordering::Relaxed);
                // A read that failed says nothing; of a write that failed nothing is believed.
                if asked != RegisterOperation::Read {
                    calls.push(Call { key, asked, called_us, answered: None });
                }
            }
        }
        wait::pause().await;
    }
    calls
}

async fn ask(
    client: &Client,
    number: u64,
    asked: &RegisterOperation<u64>,
) -> Result<RegisterAnswer<u64>, ClientError> {
    let name = format!("register {number}").into_bytes();
    match asked {
        RegisterOperation::Read => {
            let found = client.get(&name).await?;
            let number = |value: &[u8]| std::str::from_utf8(value).unwrap().parse().unwrap();
            Ok(RegisterAnswer::Value(found.map(|pair| number(&pair.value))))
        }
        RegisterOperation::Write(new) => {
            client.put(&name, new.to_string().as_bytes()).await?;
            Ok(RegisterAnswer::Done)
        }
        RegisterOperation::CompareAndSet { old, new } => {
            let (old, new) = (old.map(|old| old.to_string()), new.to_string());
            let holds = match &old {
                Some(old) => key(&name).value(Relation::Equal, old.as_bytes()),
                None => key(&name).version(Relation::Equal, 0),
            };
            let transaction = Transaction::new().when(holds).then(put(&name, new.as_bytes()));
            Ok(RegisterAnswer::Changed(client.transact(&transaction).await?.succeeded))
        }
        RegisterOperation::Delete => unreachable!("nobody deletes"),
    }
}
