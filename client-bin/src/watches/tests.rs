//! What becomes of a client's watches when connections end, users are slow and nodes say no.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kv_store::command::No;
use raft_core::replica::event::Refusal;
use raft_net::client_protocol::{NodeStatus, Op, Reply, Request, Response, WatchEnded};
use raft_net::frame::{CLIENT_FRAME_BYTES_MAX, Frames};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::{Begun, Opening, Queued, UNTAKEN_BYTES_MAX, WatchOrder, Watches};
use crate::error::ClientError;
use crate::requests::Advice;
use crate::watch::Update;

/// A client's watches, the node that they speak to, and the user of one of them.
struct Bench {
    watches: Watches,
    now: Instant,
    begun: oneshot::Receiver<Result<(u64, u64), ClientError>>,
    updates: mpsc::UnboundedReceiver<Queued>,
}

impl Bench {
    fn open(start: u64) -> Self {
        let now = Instant::now();
        let mut watches = Watches::new(now);
        let (begun, takes_begun): (Begun, _) = oneshot::channel();
        let (to_user, updates) = mpsc::unbounded_channel();
        watches.obey(WatchOrder::Open(Opening {
            interest: Bytes::from_static(b"interest"),
            start,
            marks: false,
            deadline: now + Duration::from_secs(5),
            begun,
            updates: to_user,
        }));
        Self { watches, now, begun: takes_begun, updates }
    }

    /// The same, served under the id that is returned.
    fn begun(start: u64, revision: u64) -> (Self, u64) {
        let mut bench = Self::open(start);
        let id = bench.asked(start);
        bench.say(id, Reply::Watching(revision));
        assert_eq!(bench.begun.try_recv().unwrap(), Ok((1, revision)));
        (bench, id)
    }

    /// What the node is told, as words.
    fn told(&mut self) -> Vec<(u64, String)> {
        let mut output = BytesMut::new();
        self.watches.encode_due(self.now, false, &mut output);
        let (mut frames, mut told) = (Frames::new(CLIENT_FRAME_BYTES_MAX), Vec::new());
        while let Some(frame) = frames.next(&mut output).unwrap() {
            let Request { id, op } = Request::decode(&frame).unwrap();
            told.push((
                id,
                match op {
                    Op::Watch { start, .. } => format!("watch from {start}"),
                    other => format!("{other:?}"),
                },
            ));
        }
        told
    }

    /// The id under which the watch is asked for, from this revision on.
    fn asked(&mut self, start: u64) -> u64 {
        let told = self.told();
        let [(id, word)] = &told[..] else { panic!("one word is told: {told:?}") };
        assert_eq!(*word, format!("watch from {start}"));
        *id
    }

    fn say(&mut self, id: u64, reply: Reply<'_>) -> Advice {
        let mut output = BytesMut::new();
        Response { id, reply }.encode(&mut output).unwrap();
        let frame = Frames::new(CLIENT_FRAME_BYTES_MAX).next(&mut output).unwrap().unwrap();
        let frame = frame.freeze();
        let response = Response::decode(&frame).unwrap();
        self.watches.heard(self.now);
        self.watches.answered(&response, &frame, self.now).expect("it is about a watch")
    }

    /// Shows that `k` was set in these revisions.
    fn show(&mut self, id: u64, revisions: &[u64], is_cut: bool) {
        // [[revision, "k", nil, ["v", revision, revision, 1], nil], ...]
        let mut body = vec![0x90 | u8::try_from(revisions.len()).unwrap()];
        for &revision in revisions {
            let revision = u8::try_from(revision).unwrap();
            body.extend_from_slice(&[0x95, revision, 0xc4, 1, b'k', 0xc0]);
            body.extend_from_slice(&[0x94, 0xc4, 1, b'v', revision, revision, 1, 0xc0]);
        }
        assert_eq!(self.say(id, Reply::Events { is_cut, body: &body }), Advice::Stay);
    }

    /// What the user finds: for each update its revision and how many events it has.
    fn found(&mut self) -> Vec<(u64, usize)> {
        let mut found = Vec::new();
        while let Ok(Queued { update, .. }) = self.updates.try_recv() {
            found.push(match update.unwrap() {
                Update::Changes { revision, events } => (revision, events.len()),
                Update::Progress { revision } => (revision, 0),
            });
        }
        found
    }

    fn end(&mut self, id: u64, why: u8, revision: u64) -> Advice {
        let ended = WatchEnded { why, revision, text: "it is over".to_owned() };
        self.say(id, Reply::Ended(Box::new(ended)))
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }
}

#[test]
fn a_watch_goes_on_where_it_was_on_every_new_connection() {
    let (mut bench, id) = Bench::begun(0, 6);
    bench.show(id, &[7, 9], false);
    assert_eq!(bench.found(), [(7, 1), (9, 1)]);
    bench.watches.lost();
    bench.watches.connected(bench.now);
    let next = bench.asked(10);
    assert_ne!(next, id);
    bench.show(id, &[9, 10], false);
    assert_eq!(bench.found(), [], "the id of another connection means nothing");
    bench.say(next, Reply::Watching(9));
    bench.show(next, &[8, 9, 10], false);
    assert_eq!(bench.found(), [(10, 1)], "what was shown is not shown again");
    bench.say(next, Reply::Mark(20));
    assert_eq!(bench.found(), [(20, 0)]);
    bench.watches.lost();
    bench.asked(21);
}

#[test]
fn a_watch_of_now_that_never_began_begins_at_the_next_node() {
    let mut bench = Bench::open(0);
    bench.asked(0);
    bench.watches.lost();
    let id = bench.asked(0);
    bench.say(id, Reply::Watching(12));
    assert_eq!(bench.begun.try_recv().unwrap(), Ok((1, 12)));
    bench.watches.lost();
    bench.asked(13);
}

#[test]
fn a_revision_in_pieces_is_one_update() {
    let (mut bench, id) = Bench::begun(7, 6);
    bench.show(id, &[7, 8, 8], true);
    assert_eq!(bench.found(), [(7, 1)]);
    bench.show(id, &[8], true);
    bench.show(id, &[8, 9], false);
    assert_eq!(bench.found(), [(8, 4), (9, 1)]);
    // Half a revision is nothing when the connection is lost.
    bench.show(id, &[10], true);
    bench.watches.lost();
    let id = bench.asked(10);
    bench.say(id, Reply::Watching(9));
    bench.show(id, &[10, 10], false);
    assert_eq!(bench.found(), [(10, 2)]);
}

#[test]
fn a_user_who_takes_nothing_stops_the_watch_and_finds_everything_later() {
    let (mut bench, mut id) = Bench::begun(2, 1);
    let (mut shown, mut next) = (0, 2);
    // Each event costs some bytes beside its own.
    while bench.watches.watches[&1].untaken_bytes <= UNTAKEN_BYTES_MAX {
        let watch = bench.watches.watches.get_mut(&1).unwrap();
        watch.next = 2;
        bench.show(id, &[next], false);
        shown += 1;
        next = 2 + shown % 100;
    }
    assert_eq!(bench.told(), [(id, "Unwatch".to_owned())]);
    let last = bench.watches.watches[&1].next;
    bench.end(id, WatchEnded::UNWATCHED, 0);
    bench.watches.lost();
    assert_eq!(bench.told(), [], "it waits for its user, on any connection");
    let mut taken = 0;
    while bench.told().is_empty() {
        let Queued { bytes, .. } = bench.updates.try_recv().unwrap();
        taken += bytes;
        bench.watches.obey(WatchOrder::Taken { number: 1, bytes });
    }
    assert!(UNTAKEN_BYTES_MAX / 2 <= taken);
    bench.watches.lost();
    id = bench.asked(last);
    bench.say(id, Reply::Watching(last - 1));
}

#[test]
fn ends_that_are_no_end_are_followed_by_another_watch() {
    for (why, advice) in [
        (WatchEnded::SLOW, Advice::Stay),
        (WatchEnded::NOT_HERE, Advice::TryAnother),
        (WatchEnded::UNWATCHED, Advice::TryAnother),
    ] {
        let (mut bench, id) = Bench::begun(7, 6);
        bench.show(id, &[7], false);
        assert_eq!(bench.end(id, why, 8), advice);
        assert!(bench.told().is_empty(), "after a pause");
        bench.wait(Duration::from_millis(300));
        bench.asked(8);
        assert_eq!(bench.found(), [(7, 1)]);
    }
    let mut bench = Bench::open(0);
    let id = bench.asked(0);
    assert_eq!(bench.say(id, Reply::Refused(Refusal::Overloaded)), Advice::TryAnother);
    bench.wait(Duration::from_millis(300));
    bench.asked(0);
    bench.wait(Duration::from_secs(5));
    bench.watches.expire(bench.now, |last| ClientError::NoQuorum { endpoint: "a:1".into(), last });
    let last = Some(Refusal::Overloaded);
    let error = ClientError::NoQuorum { endpoint: "a:1".into(), last };
    assert_eq!(bench.begun.try_recv().unwrap(), Err(error));
    assert!(bench.watches.is_empty());
}

#[test]
fn what_was_compacted_or_is_too_large_is_an_error_of_the_watch() {
    let (mut bench, id) = Bench::begun(7, 6);
    bench.end(id, WatchEnded::COMPACTED, 12);
    let error = bench.updates.try_recv().unwrap().update.unwrap_err();
    assert_eq!(error, ClientError::DecidedNo(No::Compacted { oldest: 12 }));
    assert_eq!(error.exit_code(), 1);
    for why in [WatchEnded::TOO_LARGE, 99] {
        let (mut bench, id) = Bench::begun(7, 6);
        bench.end(id, why, 7);
        let error = bench.updates.try_recv().unwrap().update.unwrap_err();
        assert_eq!(error, ClientError::Rejected("it is over".to_owned()));
        assert!(bench.watches.is_empty());
    }
    let mut bench = Bench::open(7);
    let id = bench.asked(7);
    bench.say(id, Reply::Malformed("no".into()));
    assert_eq!(bench.begun.try_recv().unwrap(), Err(ClientError::Rejected("no".to_owned())));
}

#[test]
fn a_closed_watch_is_ended_at_the_node() {
    let (mut bench, id) = Bench::begun(7, 6);
    bench.watches.obey(WatchOrder::Close { number: 1 });
    assert_eq!(bench.told(), [(id, "Unwatch".to_owned())]);
    bench.show(id, &[7], false);
    assert!(bench.watches.is_empty() && bench.updates.try_recv().is_err());
    // So is one whose user went away before it began.
    let mut bench = Bench::open(7);
    let id = bench.asked(7);
    bench.begun.close();
    bench.say(id, Reply::Watching(6));
    assert_eq!(bench.told(), [(id, "Unwatch".to_owned())]);
    assert!(bench.watches.is_empty());
}

#[test]
fn a_mark_that_is_asked_for_survives_the_connection() {
    let (mut bench, id) = Bench::begun(7, 6);
    bench.watches.obey(WatchOrder::Mark { number: 1 });
    assert_eq!(bench.told(), [(id, "Mark".to_owned())]);
    bench.watches.lost();
    bench.watches.obey(WatchOrder::Mark { number: 1 });
    let id = bench.asked(7);
    bench.say(id, Reply::Watching(6));
    assert_eq!(bench.told(), [(id, "Mark".to_owned())]);
}

#[test]
fn a_silent_node_and_one_without_a_leader_are_left() {
    let (mut bench, _) = Bench::begun(7, 6);
    bench.wait(Duration::from_millis(900));
    assert!(bench.told().is_empty());
    bench.wait(Duration::from_millis(100));
    let told = bench.told();
    let [(ping, word)] = &told[..] else { panic!("a ping is told: {told:?}") };
    assert_eq!(word, "Status");
    assert!(!bench.watches.is_silent(bench.now));
    let status = |leader_id| Box::new(NodeStatus { leader_id, ..NodeStatus::default() });
    assert_eq!(bench.say(*ping, Reply::Status(status(None))), Advice::Stay);
    assert_eq!(bench.say(*ping, Reply::Status(status(Some(2)))), Advice::Stay);
    assert_eq!(bench.say(*ping, Reply::Status(status(None))), Advice::Stay);
    assert_eq!(bench.say(*ping, Reply::Status(status(None))), Advice::TryAnother);
    bench.wait(Duration::from_secs(1));
    assert_eq!(bench.told().len(), 1);
    bench.wait(Duration::from_secs(1));
    assert!(bench.told().is_empty() && !bench.watches.is_silent(bench.now));
    bench.wait(Duration::from_secs(1));
    assert!(bench.watches.is_silent(bench.now));
}
