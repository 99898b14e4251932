//! A client's subscriptions with a node that a test plays.

use std::time::Duration;

use raft_net::frame::Frames;
use tokio::sync::oneshot::error::TryRecvError;

use super::*;

struct Play {
    subscriptions: Subscriptions,
    now: Instant,
    begins: oneshot::Receiver<Result<u64, ClientError>>,
    heard: mpsc::UnboundedReceiver<Queued>,
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

impl Play {
    /// A user subscribes to `news` and `n*`.
    fn new() -> Self {
        let (begun, begins) = oneshot::channel();
        let (to_user, heard) = mpsc::unbounded_channel();
        let now = Instant::now();
        let mut subscriptions = Subscriptions::default();
        subscriptions.obey(SubscriptionOrder::Open(Opening {
            channels: vec![bytes("news")],
            patterns: vec![bytes("n*")],
            deadline: now + Duration::from_secs(5),
            begun,
            heard: to_user,
        }));
        Self { subscriptions, now, begins, heard }
    }

    /// The ids of what the node is told, and whether each is a beginning.
    fn sent(&mut self) -> Vec<(u64, bool)> {
        let mut output = BytesMut::new();
        self.subscriptions.encode_due(self.now, &mut output);
        let mut frames = Frames::new(1 << 20);
        let mut sent = Vec::new();
        while let Some(frame) = frames.next(&mut output).unwrap() {
            let request = Request::decode(&frame).unwrap();
            if let Op::Subscribe { channels, patterns } = &request.op {
                assert_eq!((&channels[0][..], &patterns[0][..]), (&b"news"[..], &b"n*"[..]));
            }
            sent.push((request.id, matches!(request.op, Op::Subscribe { .. })));
        }
        sent
    }

    fn say(&mut self, id: u64, reply: Reply<'_>) -> Option<Advice> {
        let mut output = BytesMut::new();
        Response { id, reply }.encode(&mut output).unwrap();
        let frame = output.freeze().slice(4..);
        let response = Response::decode(&frame).unwrap();
        self.subscriptions.answered(&response, &frame, self.now)
    }

    fn publish(&mut self, id: u64, message: &[u8]) {
        let reply = Reply::Message { pattern: None, channel: b"news", message };
        assert_eq!(self.say(id, reply), Some(Advice::Stay));
    }

    /// What the user takes: messages, and `None` for a gap.
    fn taken(&mut self) -> Vec<Option<Bytes>> {
        let mut taken = Vec::new();
        while let Ok(Queued { heard, bytes }) = self.heard.try_recv() {
            self.subscriptions.obey(SubscriptionOrder::Taken { number: 1, bytes });
            taken.push(match heard.unwrap() {
                Heard::Message(message) => Some(message.message),
                Heard::Gap => None,
            });
        }
        taken
    }
}

#[test]
fn a_subscription_is_made_again_on_every_connection_and_says_so() {
    let mut play = Play::new();
    let [(first, true)] = play.sent()[..] else { panic!("one request") };
    assert_eq!(play.begins.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(play.say(first, Reply::Subscribed), Some(Advice::Stay));
    assert_eq!(play.begins.try_recv(), Ok(Ok(1)));
    play.publish(first, b"one");
    assert_eq!(play.taken(), [Some(bytes("one"))]);
    assert!(play.subscriptions.is_listening());

    play.subscriptions.lost();
    assert!(!play.subscriptions.is_listening());
    let [(second, true)] = play.sent()[..] else { panic!("one request") };
    assert_ne!(first, second);
    // What an earlier connection still says is of no interest.
    play.publish(first, b"late");
    assert_eq!(play.taken(), []);
    play.say(second, Reply::Subscribed);
    play.publish(second, b"two");
    assert_eq!(play.taken(), [None, Some(bytes("two"))]);
    play.subscriptions.obey(SubscriptionOrder::Close { number: 1 });
    assert_eq!(play.sent(), [(second, false)]);
    assert!(play.subscriptions.is_empty() && !play.subscriptions.is_listening());
}

#[test]
fn what_is_refused_is_asked_for_again_and_what_makes_no_sense_is_not() {
    let mut play = Play::new();
    let (id, _) = play.sent()[0];
    let refused = Reply::Refused(Refusal::Stopping);
    assert_eq!(play.say(id, refused), Some(Advice::TryAnother));
    assert_eq!(play.sent(), []);
    play.now = play.subscriptions.next_time().unwrap();
    let (id, _) = play.sent()[0];
    play.say(id, Reply::Malformed("no".into()));
    assert_eq!(play.begins.try_recv(), Ok(Err(ClientError::Rejected("no".to_owned()))));
    assert!(play.subscriptions.is_empty());
}

#[test]
fn one_that_cannot_begin_in_time_is_over() {
    let mut play = Play::new();
    let (id, _) = play.sent()[0];
    play.now += Duration::from_secs(6);
    play.subscriptions.expire(play.now, |last| {
        assert_eq!(last, None);
        ClientError::Unknown
    });
    assert_eq!(play.begins.try_recv(), Ok(Err(ClientError::Unknown)));
    assert_eq!(play.sent(), [(id, false)], "the node must not go on with it");
}

#[test]
fn a_user_who_takes_nothing_misses_something_and_is_told_so() {
    let mut play = Play::new();
    let (id, _) = play.sent()[0];
    play.say(id, Reply::Subscribed);
    let long = vec![b'x'; 1 << 20];
    for _ in 0..20 {
        play.publish(id, &long);
    }
    let taken = play.taken();
    let messages = taken.iter().filter(|it| it.is_some()).count();
    assert!((7..=8).contains(&messages), "{messages} of 20 messages");
    assert_eq!(taken.last(), Some(&None), "the gap is told although nothing more is said");
    play.publish(id, b"new");
    assert_eq!(play.taken(), [Some(bytes("new"))]);
}

#[test]
fn a_node_that_ends_it_is_asked_again() {
    let mut play = Play::new();
    let (id, _) = play.sent()[0];
    play.say(id, Reply::Subscribed);
    let ended = WatchEnded { why: WatchEnded::SLOW, ..WatchEnded::default() };
    assert_eq!(play.say(id, Reply::Ended(Box::new(ended))), Some(Advice::Stay));
    play.now = play.subscriptions.next_time().unwrap();
    let (id, _) = play.sent()[0];
    play.say(id, Reply::Subscribed);
    assert_eq!(play.taken(), [None]);
}
