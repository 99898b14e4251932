//! The outbox: what it does when the socket is full, and in the turn of an actor.

use std::io::ErrorKind;

use actix::prelude::*;
use raft_net::outbox::{Flushed, Outbox, Writable};
use tokio::io::AsyncReadExt;

use crate::probe::{Seen, soon};

#[actix_rt::test]
async fn a_full_socket_is_reported_when_it_takes_bytes_again() {
    let (probe, mut seen) = Seen::new();
    let (ours, mut theirs) = tokio::io::duplex(10);
    let mut outbox = Outbox::new(7, Box::new(ours), 12, probe.recipient());
    outbox.push(b"ten bytes.");
    assert_eq!(outbox.flush().unwrap(), Flushed::Everything);
    outbox.push(b"and fourteen..");
    assert!(outbox.is_over_limit());
    assert_eq!(outbox.flush().unwrap(), Flushed::Waiting);
    assert_eq!(outbox.queued_bytes(), 14);

    let mut heard = [0; 10];
    theirs.read_exact(&mut heard).await.unwrap();
    assert_eq!(seen.writable().await, Writable { connection: 7 });
    assert_eq!(outbox.flush().unwrap(), Flushed::Waiting);
    assert_eq!((outbox.queued_bytes(), outbox.is_over_limit()), (4, false));
    theirs.read_exact(&mut heard).await.unwrap();
    seen.writable().await;
    assert_eq!(outbox.flush().unwrap(), Flushed::Everything);

    drop(theirs);
    outbox.push(b"x");
    assert_eq!(outbox.flush().unwrap_err().kind(), ErrorKind::BrokenPipe);
}

/// Owns many connections and answers all of them in one turn.
struct Busy {
    outboxes: Vec<Outbox>,
    wakes: usize,
}

#[derive(Message)]
#[rtype(result = "usize")]
struct AnswerAll;

impl Actor for Busy {
    type Context = Context<Self>;
}

impl Handler<AnswerAll> for Busy {
    type Result = usize;

    fn handle(&mut self, _: AnswerAll, _: &mut Self::Context) -> usize {
        let written = |outbox: &mut Outbox| {
            outbox.push(b"!");
            outbox.flush().unwrap() == Flushed::Everything
        };
        self.outboxes.iter_mut().map(written).filter(|written| *written).count()
    }
}

impl Handler<Writable> for Busy {
    type Result = ();

    fn handle(&mut self, fact: Writable, ctx: &mut Self::Context) {
        self.wakes += 1;
        assert!(self.wakes < 100_000, "an actor that wakes itself never ends its turn");
        let number = usize::try_from(fact.connection).unwrap();
        if self.outboxes[number].flush().unwrap() == Flushed::Waiting {
            ctx.address().do_send(fact);
        }
    }
}

/// Tokio gives a task a budget of 128 operations a turn; an actor's turn may need more.
#[actix_rt::test]
async fn an_actor_may_flush_a_thousand_connections_in_one_turn() {
    let mut ends = Vec::new();
    let busy = Busy::create(|ctx| {
        let outboxes = (0..1000).map(|number| {
            let (ours, theirs) = tokio::io::duplex(10);
            ends.push(theirs);
            Outbox::new(number, Box::new(ours), 10, ctx.address().recipient())
        });
        Busy { outboxes: outboxes.collect(), wakes: 0 }
    });
    assert_eq!(soon("answer", busy.send(AnswerAll)).await.unwrap(), 1000);
    for end in &mut ends {
        assert_eq!(soon("byte", end.read_u8()).await.unwrap(), b'!');
    }
}
