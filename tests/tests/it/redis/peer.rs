//! A client of either server, made of a socket.

use std::fmt;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::wait;

/// What a server replied.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reply {
    Line(String),
    Number(i64),
    Nothing,
    Bytes(Vec<u8>),
    /// The mark of the aggregate, and what is in it.
    Many(u8, Vec<Reply>),
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Nothing => f.write_str("nil"),
            Self::Bytes(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Self::Many(mark, all) => write!(f, "{}{all:?}", char::from(*mark)),
        }
    }
}

/// A connection.
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    input: Vec<u8>,
    at: usize,
}

/// A command as clients send it.
pub(super) fn encoded<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words.iter().map(AsRef::as_ref) {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

impl Peer {
    pub(super) async fn connect(address: &str) -> Self {
        wait::until("connection", async || Self::try_connect(address).await).await
    }

    pub(super) async fn try_connect(address: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).unwrap();
        Some(Self { stream, input: Vec::new(), at: 0 })
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        let sent = self.stream.write_all(bytes);
        wait::in_time("room in the socket", sent).await.unwrap();
    }

    /// Sends a command of plain words and waits for the reply.
    pub(super) async fn ask(&mut self, words: &str) -> Reply {
        let words: Vec<&str> = words.split(' ').collect();
        self.send(&encoded(&words)).await;
        self.reply().await
    }

    /// Sends a command of plain words and checks how its reply looks.
    pub(super) async fn check(&mut self, words: &str, expected: &str) {
        let reply = self.ask(words).await;
        assert_eq!(format!("{reply:?}"), expected, "{words}");
    }

    pub(super) async fn reply(&mut self) -> Reply {
        wait::in_time("reply", self.next()).await.expect("the connection was closed")
    }

    /// The next reply, or nothing if the connection is closed instead.
    pub(super) async fn next(&mut self) -> Option<Reply> {
        loop {
            let mut at = self.at;
            if let Some(reply) = parse(&self.input, &mut at) {
                self.at = at;
                return Some(reply);
            }
            self.input.drain(..self.at);
            self.at = 0;
            if !matches!(self.stream.read_buf(&mut self.input).await, Ok(1..)) {
                return None;
            }
        }
    }
}

fn parse(input: &[u8], at: &mut usize) -> Option<Reply> {
    let end = input[*at..].windows(2).position(|pair| pair == b"\r\n")? + *at;
    let (mark, text) = (input[*at], String::from_utf8_lossy(&input[*at + 1..end]).into_owned());
    *at = end + 2;
    let length: i64 = text.parse().unwrap_or(0);
    let Ok(length) = usize::try_from(length) else {
        return Some(if mark == b':' { Reply::Number(length) } else { Reply::Nothing });
    };
    Some(match mark {
        b'+' | b'-' => Reply::Line(format!("{}{text}", char::from(mark))),
        b':' => Reply::Number(text.parse().unwrap()),
        b'_' => Reply::Nothing,
        b'$' => {
            let bytes = input.get(*at..*at + length)?.to_vec();
            input.get(*at + length..*at + length + 2)?;
            *at += length + 2;
            Reply::Bytes(bytes)
        }
        b'*' | b'~' | b'%' | b'>' => {
            let count = if mark == b'%' { 2 * length } else { length };
            let mut all = Vec::new();
            for _ in 0..count {
                if input.len() <= *at {
                    return None;
                }
                all.push(parse(input, at)?);
            }
            Reply::Many(mark, all)
        }
        other => panic!("a reply begins with {:?}", char::from(other)),
    })
}
