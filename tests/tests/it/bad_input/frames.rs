//! Bytes that are no requests, and connections that say nothing.

use kv_store::command::{Command, OnNo, Operation, Transaction};
use raft_core::entry::SessionStamp;
use raft_net::client_protocol::Op;
use raft_net::handshake::open_as_client;
use raft_net::listener::{UNDECIDED_DEADLINE, UNDECIDED_MAX};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::client::{Client, Connection, Said, encoded};
use crate::harness::process::{KVORUM, Process};
use crate::harness::scratch::Scratch;
use crate::harness::wait;

/// A node by itself, with a client that is connected throughout.
struct Alone {
    address: String,
    client: Client,
    process: Process,
    _scratch: Scratch,
}

impl Alone {
    async fn start() -> Self {
        let scratch = Scratch::new();
        let arguments = ["--listen", "127.0.0.1:0", "--data-dir", "data", "--log-level", "debug"];
        let process = Process::start(&scratch, "node", KVORUM, &arguments);
        let said = process.lines(1).await;
        let address = said[0].split_once("listens on ").unwrap().1.split_once(',').unwrap().0;
        let endpoints = [address.to_owned()];
        let client = Client::connect(&endpoints).await;
        client.put("k", "0").await;
        Self { address: address.to_owned(), client, process, _scratch: scratch }
    }

    /// The client that was there before is served, and a new one too.
    async fn check_serves(&self) {
        self.client.put("k", "1").await;
        let mut newcomer = Connection::open(&self.address).await.unwrap();
        assert!(matches!(newcomer.put(b"k", b"2").await, Ok(Said::Answer(_))));
    }
}

/// Reads until the other end closes.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = async {
        // A connection may also be reset, which closes it just as well.
        let _ = stream.read_to_end(&mut bytes).await;
    };
    wait::in_time("end of the connection", read).await;
    bytes
}

/// Frames from a client that has shaken hands: too large, no MessagePack, no request, cut short.
#[tokio::test]
async fn frames_that_are_no_requests() {
    let _turn = wait::turn().await;
    let node = Alone::start().await;
    let table: [(&[u8], &str); 5] = [
        (&[0xff, 0xff, 0xff, 0xff, 0], "a frame of 4294967295 bytes exceeds the limit"),
        (&[0, 0x40, 0, 1], "a frame of 4194305 bytes exceeds the limit of 4194304"),
        (&[0, 0, 0, 1, 0xc1], "a frame is not the expected MessagePack"),
        // An array of four thousand million elements of which none is there.
        (&[0, 0, 0, 5, 0xdd, 0xff, 0xff, 0xff, 0xff], "a frame is not the expected MessagePack"),
        (&[0, 0, 0, 3, 0x92, 1, 0x7f], "a frame is not the expected MessagePack"),
    ];
    for (bytes, words) in table {
        let mut stream = TcpStream::connect(&node.address).await.unwrap();
        open_as_client(&mut stream, 0).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        assert_eq!(rest(&mut stream).await, b"", "{words}");
        node.process.complains(&[words]).await;
        node.check_serves().await;
    }
    let mut cut = TcpStream::connect(&node.address).await.unwrap();
    open_as_client(&mut cut, 0).await.unwrap();
    cut.write_all(&[0, 0, 1, 0, 0x92]).await.unwrap();
    drop(cut);
    node.check_serves().await;
}

/// Commands beyond a limit, of clients that do not check: refused before they are replicated.
#[tokio::test]
async fn transactions_beyond_the_limits() {
    let _turn = wait::turn().await;
    let node = Alone::start().await;
    let put = |count, value| -> Transaction<'_> {
        let one = || Operation::Write(Command::Put { key: b"k", value });
        Transaction { then: (0..count).map(|_| one()).collect(), ..Transaction::default() }
    };
    let body = |transaction| {
        let (on_no, transaction) = (OnNo::Undo, Box::new(transaction));
        encoded(|bytes| Command::Transaction { on_no, transaction }.encode(bytes)).to_vec()
    };
    let nested = |depth| {
        let around = |inner| {
            let then = [Operation::Nested(Box::new(inner))].into_iter().collect();
            Transaction { then, ..Transaction::default() }
        };
        body((1..depth).fold(put(1, b"v"), |inner, _| around(inner)))
    };
    let long = vec![0; 1_500_000];
    // An array that holds an array that holds ... is far deeper than any stack.
    let arrays = [&body(Transaction::default())[..5], &vec![0x91; 1_000_000]].concat();
    let table = [
        (body(put(10_001, b"v")), "transaction of 10001 operations is above the limit of 10000"),
        (nested(17), "transaction nested 17 deep is above the limit of 16"),
        (nested(100), "the message is nested too deep"),
        (arrays, "the message"),
        (body(put(2, &long)), "command of 3000040 bytes is above the limit of 2097056 bytes"),
    ];
    let mut connection = Connection::open(&node.address).await.unwrap();
    let mut write = async |body: &[u8]| {
        let session = SessionStamp::default();
        connection.ask(Op::Write { session, timeout_ms: 2_000, body }).await.unwrap()
    };
    for (body, words) in table {
        match write(&body).await {
            Said::Malformed(why) => assert!(why.starts_with(words), "{why} instead of {words}"),
            Said::Answer(_) => panic!("it was carried out, not refused with {words}"),
            other => panic!("{words}: {other:?}"),
        }
    }
    for body in [body(put(10_000, b"v")), nested(16)] {
        assert!(matches!(write(&body).await, Said::Answer(_)));
    }
    node.check_serves().await;
}

/// The right magic and then nonsense is told why it is refused; another protocol is answered in
/// its own words where it has some.
#[tokio::test]
async fn openings_that_are_no_preface() {
    let _turn = wait::turn().await;
    let node = Alone::start().await;
    let table: [(&[u8], &str); 8] = [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 421"),
        (b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404"),
        (b"*1\r\n$4\r\nPING\r\n", "+PONG"),
        (b"SET k v\r\n", "+OK"),
        (b"\x16\x03\x01\x02\0\x01\0", ""),
        (b"\xde\xad\xbe\xef", ""),
        (b"\0kvorum\n\0\0\0\x02\xff\xff", "MessagePack"),
        (b"\0kvorum\n\xff\xff\xff\xff", ""),
    ];
    for (bytes, words) in table {
        let mut stream = TcpStream::connect(&node.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let said = rest(&mut stream).await;
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains(words), "{}: {said}", bytes.escape_ascii());
    }
    node.check_serves().await;
}

/// Connections that never say who they are: they are closed in time, and until then keep nobody
/// out, however many they are.
#[tokio::test]
async fn connections_that_say_nothing() {
    let _turn = wait::turn().await;
    let node = Alone::start().await;
    let mut silent = Vec::new();
    for number in 0..UNDECIDED_MAX + 50 {
        let mut stream = TcpStream::connect(&node.address).await.unwrap();
        if number % 2 == 0 {
            // A beginning that never goes on.
            stream.write_all(b"\0kvo").await.unwrap();
        }
        silent.push(stream);
    }
    node.check_serves().await;
    assert!(UNDECIDED_DEADLINE < wait::DEADLINE);
    for stream in &mut silent {
        assert_eq!(rest(stream).await, b"");
    }
    node.check_serves().await;
}
