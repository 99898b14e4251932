//! Conversations with a store that answers when a test wants it to.

use bytes::{Bytes, BytesMut};
use kv_store::store::Store;
use raft_core::entry::{Draft, EntryKind, SessionStamp, Stamp};
use raft_core::replica::StateMachine as _;
use raft_core::types::{Index, Term};
use raft_net::resp::Parser;
use tokio::sync::oneshot;

use super::{Ask, Conversation, Desk, Reading, RespOptions, Told};
use crate::channels::{Subscriber, Topic};

const SUBSCRIBER: Subscriber = Subscriber { connection: 1, subscription: 0 };

/// A conversation, what it has asked and what it has said.
struct Talk {
    store: Store,
    last_index: Index,
    desk: Desk,
    conversation: Conversation,
    asks: Vec<(Ask, Bytes)>,
    out: BytesMut,
    told: Option<oneshot::Receiver<Reading>>,
}

impl Talk {
    fn new() -> Self {
        Self {
            store: Store::new(),
            last_index: Index(0),
            desk: Desk::new(RespOptions::default(), "here:1".to_owned(), 7),
            conversation: Conversation::new(1, "there:2".to_owned(), SUBSCRIBER),
            asks: Vec::new(),
            out: BytesMut::new(),
            told: None,
        }
    }

    /// Lines arrive together.
    fn hear(&mut self, lines: &str) {
        let mut input = BytesMut::from(lines);
        let (batch, failure) = Parser::default().cut(&mut input);
        let (go_on, told) = oneshot::channel();
        self.told = Some(told);
        self.conversation.take_in(batch, failure, go_on);
        self.go_on();
    }

    fn go_on(&mut self) {
        while let Some(ask) = self.conversation.next(&mut self.desk, &mut self.out) {
            self.asks.push((ask, self.desk.body.split().freeze()));
        }
        self.conversation.read_on();
    }

    /// Answers one of the questions that are open, from 0.
    fn answer(&mut self, place: usize) {
        let (ask, body) = self.asks.remove(place);
        let mut answer = BytesMut::new();
        if ask.write.is_some() {
            self.last_index = self.last_index.next();
            let mut draft = Draft::default();
            draft.push(EntryKind::Command, &SessionStamp::default(), &body);
            let (term, first) = (Term(1), self.last_index);
            let stamp = Stamp {
                term,
                first,
                log_time: 0,
                feature_level: raft_core::entry::FEATURE_LEVEL,
                wall_time: 0,
                seed: 0,
            };
            draft.stamp(&stamp).iter().for_each(|entry| self.store.apply(entry, &mut answer));
        } else {
            self.store.query(&body, 0, &mut answer);
        }
        let told = Told::Answer(&answer);
        self.conversation.answered(ask.request, &told, &mut self.desk, &mut self.out);
        self.go_on();
    }

    fn said(&mut self) -> String {
        String::from_utf8_lossy(&self.out.split()).replace("\r\n", " ")
    }

    /// Whether each open question is a write.
    fn open(&self) -> Vec<bool> {
        self.asks.iter().map(|(ask, _)| ask.write.is_some()).collect()
    }

    fn reading(&mut self) -> Option<Reading> {
        self.told.as_mut().and_then(|told| told.try_recv().ok())
    }
}

#[test]
fn replies_wait_for_those_before_them() {
    let mut talk = Talk::new();
    talk.hear("GET a\nPING\nSTRLEN b\nPING x\n");
    assert_eq!(talk.open(), [false, false]);
    talk.answer(1);
    assert_eq!(talk.said(), "");
    talk.answer(0);
    assert_eq!(talk.said(), "$-1 +PONG :0 $1 x ");
}

#[test]
fn writes_wait_for_reads_and_reads_follow_writes_through_the_log() {
    let mut talk = Talk::new();
    talk.hear("GET a\nSET a 1\nGET a\nINCR a\nGET a\n");
    assert_eq!(talk.open(), [false], "the write must not be seen by the read before it");
    assert_eq!(talk.reading(), None);
    talk.answer(0);
    assert_eq!(talk.open(), [true; 4], "the reads must see the writes before them");
    assert_eq!(talk.reading(), Some(Reading::On));
    (0..4).for_each(|_| talk.answer(0));
    assert_eq!(talk.said(), "$-1 +OK $1 1 :2 $1 2 ");
}

#[test]
fn exec_waits_for_what_is_watched() {
    let mut talk = Talk::new();
    talk.hear("SET k 1\nWATCH k\nMULTI\nINCR k\nEXEC\n");
    assert_eq!(talk.open(), [true, true], "the watch reads behind the write");
    talk.answer(0);
    talk.answer(0);
    assert_eq!(talk.said(), "+OK +OK +OK +QUEUED ");
    assert_eq!(talk.open(), [true]);
    talk.answer(0);
    assert_eq!(talk.said(), "*1 :2 ");
}

#[test]
fn a_version_changes_between_two_replies() {
    let mut talk = Talk::new();
    talk.hear("GET a\nHELLO 3\nGET a\n");
    assert_eq!(talk.open(), [false]);
    talk.answer(0);
    assert!(talk.said().starts_with("$-1 %7 "));
    talk.answer(0);
    assert_eq!(talk.said(), "_ ");
}

#[test]
fn what_is_senseless_ends_the_conversation_behind_its_replies() {
    let mut talk = Talk::new();
    talk.hear("GET a\n*1\r\n:\r\n");
    assert!(!talk.conversation.is_over());
    talk.answer(0);
    assert_eq!(talk.said(), "$-1 -ERR Protocol error: expected '$', got ':' ");
    assert!(talk.conversation.is_over());
    assert_eq!(talk.reading(), Some(Reading::Off));
}

#[test]
fn a_long_pipeline_is_taken_a_part_at_a_time() {
    let mut talk = Talk::new();
    talk.hear(&"GET a\n".repeat(10_000));
    let first = talk.asks.len();
    assert!(first < 10_000, "{first} are open at once");
    assert_eq!(talk.reading(), None);
    let mut answered = 0;
    while !talk.asks.is_empty() {
        talk.answer(0);
        answered += 1;
        assert!(talk.asks.len() <= 1_024);
    }
    assert_eq!((answered, talk.said().matches("$-1").count()), (10_000, 10_000));
    assert_eq!(talk.reading(), Some(Reading::On));
}

#[test]
fn what_is_published_waits_for_what_was_said_before_it() {
    let mut talk = Talk::new();
    let other = Subscriber { connection: 2, subscription: 0 };
    talk.desk.channels.registry_mut().subscribe(other, Topic::Channel, b"c").unwrap();
    talk.hear("SET a 1\nPUBLISH c x\nSET a 2\n");
    assert_eq!(talk.open(), [true], "what comes behind the message waits with it");
    assert!(talk.desk.channels.take_deliveries().is_empty());
    talk.answer(0);
    assert_eq!(talk.said(), "+OK :1 ");
    assert_eq!(talk.desk.channels.take_deliveries().len(), 1);
    assert_eq!(talk.open(), [true]);
}

#[test]
fn a_transaction_tells_messages_when_it_is_done_and_not_before() {
    let mut talk = Talk::new();
    talk.hear("WATCH k\nMULTI\nPUBLISH c x\nSUBSCRIBE c\nSET k 1\nPING\nEXEC\nGET k\n");
    talk.answer(0);
    assert_eq!(talk.said(), "+OK +OK +QUEUED +QUEUED +QUEUED +QUEUED ");
    assert_eq!(talk.desk.channels.spread_bytes(), None);
    assert_eq!(talk.open(), [true], "what follows must know whether it is subscribed");
    talk.answer(0);
    let told = "*4 :0 *3 $9 subscribe $1 c :1 +OK *2 $4 pong $0  ";
    let refused = "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / \
                   QUIT / RESET are allowed in this context ";
    assert_eq!(talk.said(), format!("{told}{refused}"));
    assert_eq!(talk.desk.channels.spread_bytes(), Some(2));
}

#[test]
fn a_transaction_that_is_not_made_tells_nothing() {
    let mut talk = Talk::new();
    talk.hear("WATCH k\n");
    talk.answer(0);
    talk.hear("SET k 1\n");
    talk.answer(0);
    talk.hear("MULTI\nPUBLISH c x\nEXEC\n");
    talk.answer(0);
    assert_eq!(talk.said(), "+OK +OK +OK +QUEUED *-1 ");
    assert_eq!(talk.desk.channels.spread_bytes(), None);
}

#[test]
fn a_transaction_of_messages_alone_asks_nobody() {
    let mut talk = Talk::new();
    talk.hear("MULTI\nPUBLISH c x\nUNWATCH\nECHO y\nEXEC\n");
    assert!(talk.open().is_empty());
    assert_eq!(talk.said(), "+OK +QUEUED +QUEUED +QUEUED *3 :0 +OK $1 y ");
    assert_eq!(talk.desk.channels.take_spread().len(), 1);
}

#[test]
fn replies_that_are_not_wanted_are_not_told() {
    let mut talk = Talk::new();
    talk.hear("CLIENT REPLY SKIP\nGET a\nGET a\nCLIENT REPLY OFF\nGET a\nNOSUCH\n");
    (0..3).for_each(|_| talk.answer(0));
    assert_eq!(talk.said(), "$-1 ");
    talk.hear("CLIENT REPLY SKIP\nSUBSCRIBE c\nCLIENT REPLY ON\nPING\n");
    assert_eq!(talk.said(), "*3 $9 subscribe $1 c :1 ", "what is refused is not told either");
    talk.hear("UNSUBSCRIBE c\nCLIENT REPLY ON\nPING\n");
    assert_eq!(talk.said(), "*3 $11 unsubscribe $1 c :0 +OK +PONG ");
}
