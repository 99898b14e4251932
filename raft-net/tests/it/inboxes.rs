//! The inbox: what it tells of what has arrived, and in the turn of an actor.

use actix::prelude::*;
use bytes::BytesMut;
use raft_net::inbox::{Arrived, Inbox, Readable};
use tokio::io::AsyncWriteExt;

use crate::probe::{Seen, soon};

#[actix_rt::test]
async fn what_arrives_is_reported_and_waits_until_it_is_read() {
    let (probe, mut seen) = Seen::new();
    let (ours, mut theirs) = tokio::io::duplex(100);
    let (mut inbox, mut input) =
        (Inbox::new(7, Box::new(ours), probe.recipient()), BytesMut::new());
    assert!(!inbox.is_awaited());
    assert_eq!(inbox.read(&mut input).unwrap(), Arrived::Nothing);
    assert!(inbox.is_awaited());

    theirs.write_all(b"first").await.unwrap();
    assert_eq!(seen.readable().await, Readable { connection: 7 });
    theirs.write_all(b" and second").await.unwrap();
    inbox.rung();
    assert!(!inbox.is_awaited());
    assert_eq!(inbox.read(&mut input).unwrap(), Arrived::Bytes(16));
    assert_eq!(&input[..], b"first and second");
    assert_eq!(inbox.read(&mut input).unwrap(), Arrived::Nothing);

    drop(theirs);
    seen.readable().await;
    assert_eq!(inbox.read(&mut input).unwrap(), Arrived::End);
}

/// Owns many connections and reads all of them in one turn.
struct Busy {
    inboxes: Vec<Inbox>,
    input: BytesMut,
    rings: usize,
}

#[derive(Message)]
#[rtype(result = "usize")]
struct ReadAll;

impl Actor for Busy {
    type Context = Context<Self>;
}

impl Handler<ReadAll> for Busy {
    type Result = usize;

    fn handle(&mut self, _: ReadAll, _: &mut Self::Context) -> usize {
        let Self { inboxes, input, .. } = self;
        let has_read = |inbox: &mut Inbox| inbox.read(input).unwrap() == Arrived::Bytes(1);
        inboxes.iter_mut().map(has_read).filter(|has_read| *has_read).count()
    }
}

impl Handler<Readable> for Busy {
    type Result = ();

    fn handle(&mut self, fact: Readable, ctx: &mut Self::Context) {
        self.rings += 1;
        assert!(self.rings < 100_000, "an actor that wakes itself never ends its turn");
        let number = usize::try_from(fact.connection).unwrap();
        if self.inboxes[number].read(&mut self.input).unwrap() == Arrived::Nothing {
            ctx.address().do_send(fact);
        }
    }
}

/// Tokio gives a task a budget of 128 operations a turn; an actor's turn may need more.
#[actix_rt::test]
async fn an_actor_may_read_a_thousand_connections_in_one_turn() {
    let mut ends = Vec::new();
    for _ in 0..1000 {
        let (ours, mut theirs) = tokio::io::duplex(10);
        theirs.write_all(b"!").await.unwrap();
        ends.push((ours, theirs));
    }
    let (ours, _theirs): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
    let busy = Busy::create(|ctx| {
        let inboxes = (0..)
            .zip(ours)
            .map(|(number, ours)| Inbox::new(number, Box::new(ours), ctx.address().recipient()));
        Busy { inboxes: inboxes.collect(), input: BytesMut::new(), rings: 0 }
    });
    assert_eq!(soon("answer", busy.send(ReadAll)).await.unwrap(), 1000);
}
