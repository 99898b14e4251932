//! What our actors rely on in actix 0.13, so that an upgrade that changes it is noticed here.

use std::thread;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, Recipient};
use actix_rt::{Arbiter, System};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::harness::wait;

/// A number.
#[derive(Message)]
#[rtype(result = "()")]
struct Push(u64);

/// "Report what was pushed since the last time."
#[derive(Message)]
#[rtype(result = "()")]
struct Flush;

/// "Panic."
#[derive(Message)]
#[rtype(result = "()")]
struct Fail;

/// Collects as LogStore, Api and Consensus do: the first message of a drain asks for a flush.
struct Collector {
    waiting: Vec<u64>,
    flushed: UnboundedSender<Vec<u64>>,
}

impl Collector {
    fn new() -> (Self, UnboundedReceiver<Vec<u64>>) {
        let (flushed, seen) = unbounded_channel();
        (Self { waiting: Vec::new(), flushed }, seen)
    }
}

impl Actor for Collector {
    type Context = Context<Self>;
}

impl Handler<Push> for Collector {
    type Result = ();

    fn handle(&mut self, Push(number): Push, context: &mut Self::Context) {
        if self.waiting.is_empty() {
            context.notify(Flush);
        }
        self.waiting.push(number);
    }
}

impl Handler<Flush> for Collector {
    type Result = ();

    fn handle(&mut self, _: Flush, _: &mut Self::Context) {
        self.flushed.send(std::mem::take(&mut self.waiting)).unwrap();
    }
}

/// Far more than the mailbox's capacity, which is 16.
const MANY: u64 = 10_000;

/// Group commit without timers: what came in together is flushed once, after the last of it.
#[actix_rt::test]
async fn notify_runs_after_the_mailbox_is_drained() {
    let (collector, mut seen) = Collector::new();
    let address = collector.start();
    for number in 0..100 {
        address.do_send(Push(number));
    }
    let first = seen.recv().await.unwrap();
    assert_eq!(first, (0..100).collect::<Vec<_>>(), "one flush, with everything, in order");
    address.do_send(Push(100));
    assert_eq!(seen.recv().await.unwrap(), [100], "and the next drain has its own");
}

/// Envelopes, batches and answers keep their order from one sender, also between threads, and
/// no queue between actors is bounded by actix: our own limits must do it.
#[actix_rt::test]
async fn do_send_keeps_order_and_ignores_the_capacity_of_the_mailbox() {
    let arbiter = Arbiter::new();
    let (flushed, mut seen) = unbounded_channel();
    let address = Collector::start_in_arbiter(&arbiter.handle(), move |_| Collector {
        waiting: Vec::new(),
        flushed,
    });
    for number in 0..MANY {
        address.do_send(Push(number));
    }
    let mut all = Vec::new();
    let collect = async {
        while (all.len() as u64) < MANY {
            all.extend(seen.recv().await.unwrap());
        }
    };
    wait::in_time("ten thousand messages", collect).await;
    assert_eq!(all, (0..MANY).collect::<Vec<_>>());
    arbiter.stop();
    arbiter.join().unwrap();
}

/// Even without a chance for the receiver to run: the sender is never told that it is full.
#[actix_rt::test]
async fn a_mailbox_takes_everything_while_its_actor_waits_for_its_turn() {
    let (collector, mut seen) = Collector::new();
    let address = collector.start();
    (0..MANY).for_each(|number| address.do_send(Push(number)));
    assert!(seen.try_recv().is_err(), "the actor runs on this thread, which is busy here");
    assert_eq!(seen.recv().await.unwrap().len(), 10_000);
}

/// Says when it is dropped, and whether a panic did it.
struct Witness(Option<oneshot::Sender<bool>>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.take().unwrap().send(thread::panicking()).unwrap();
    }
}

struct Mortal {
    _witness: Witness,
}

impl Actor for Mortal {
    type Context = Context<Self>;
}

impl Handler<Fail> for Mortal {
    type Result = ();

    fn handle(&mut self, _: Fail, _: &mut Self::Context) {
        panic!("an actor fails, as this test wants");
    }
}

/// A panic ends the actor and nothing else, and nobody is told: the guard that every actor of
/// ours owns is dropped while the thread is panicking, and that is how its node hears of it.
#[actix_rt::test]
async fn a_panicking_actor_dies_alone_and_its_fields_are_dropped_by_the_panic() {
    let (tell, told) = oneshot::channel();
    let arbiter = Arbiter::new();
    let mortal = Mortal::start_in_arbiter(&arbiter.handle(), move |_| Mortal {
        _witness: Witness(Some(tell)),
    });
    let recipient: Recipient<Fail> = mortal.clone().recipient();
    assert!(recipient.connected());
    recipient.do_send(Fail);
    let dropped_by_panic = wait::in_time("word of the witness", told).await.unwrap();
    assert!(dropped_by_panic, "a guard can tell a panic from an orderly end");
    wait::until("end of the mailbox", async || (!recipient.connected()).then_some(())).await;
    // Into the void, without an error.
    recipient.do_send(Fail);

    let (tell, told) = oneshot::channel();
    assert!(arbiter.spawn(async move { tell.send(thread::panicking()).unwrap() }));
    let panicking = wait::in_time("sign of life of the thread", told).await.unwrap();
    assert!(!panicking, "the thread goes on");
    arbiter.stop();
    arbiter.join().unwrap();
}

/// The end of a whole thread is no panic to the actors on it.
#[actix_rt::test]
async fn an_actor_that_ends_with_its_thread_is_not_dropped_by_a_panic() {
    let (tell, told) = oneshot::channel();
    let arbiter = Arbiter::new();
    let mortal = Mortal::start_in_arbiter(&arbiter.handle(), move |_| Mortal {
        _witness: Witness(Some(tell)),
    });
    // The thread takes its orders one after the other: the actor runs when this is done.
    let (tell, asked) = oneshot::channel();
    assert!(arbiter.spawn(async move { tell.send(()).unwrap() }));
    wait::in_time("sign of life of the thread", asked).await.unwrap();
    assert!(mortal.connected());
    arbiter.stop();
    arbiter.join().unwrap();
    assert!(!wait::in_time("word of the witness", told).await.unwrap());
}

/// Tells another actor a number as soon as it starts.
struct Early(Addr<Collector>);

impl Actor for Early {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.0.do_send(Push(1));
    }
}

/// Actors that know each other are made like this: every address exists first, and what is sent
/// to an actor that does not run yet waits for it.
#[actix_rt::test]
async fn an_address_is_good_before_its_actor_runs() {
    let context: Context<Collector> = Context::new();
    let address = context.address();
    let early = Early(address.clone()).start();
    address.do_send(Push(2));
    wait::until("start of the other actor", async || early.connected().then_some(())).await;
    tokio::task::yield_now().await;
    let (collector, mut seen) = Collector::new();
    context.run(collector);
    let mut first = seen.recv().await.unwrap();
    first.sort_unstable();
    assert_eq!(first, [1, 2]);
}

/// A node's thread has a system of its own; several can be in one process, one after the other
/// on one thread as well.
#[test]
fn systems_come_and_go() {
    for round in 0..3 {
        let system = System::new();
        let flushed = system.block_on(async {
            let (collector, mut seen) = Collector::new();
            collector.start().do_send(Push(round));
            seen.recv().await.unwrap()
        });
        assert_eq!(flushed, [round]);
    }
}
