//! One connection of a load on a server that speaks RESP, Redis or Kvorum.

use std::collections::VecDeque;
use std::pin::pin;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::keys::{key, value};
use super::meter::{CONNECT_TIMEOUT, FAILURE_PAUSE, Failure, Meter, Ring, TICK};
use super::{BenchError, Kind, Load};
use crate::driver::{read_some, write_some};

/// The longest line of a reply. A server's errors are shorter.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Commands go out one after the other, as many as may be outstanding, and each reply makes room
/// for the next.
#[derive(Debug)]
pub(super) struct Lane {
    load: Load,
    value: Vec<u8>,
    chance: fastrand::Rng,
    /// When each command was sent whose reply has not come.
    outstanding: VecDeque<Instant>,
    endpoints: Ring,
}

/// What stands at the front of what a server has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First<'a> {
    /// A reply of so many bytes that is no error.
    Good(usize),
    /// An error of so many bytes.
    Error(usize, &'a [u8]),
    Incomplete,
    /// No reply to what was asked.
    Senseless,
}

/// Connects, and asks whether somebody is there who speaks the protocol.
///
/// Errors: `BenchError::Server`.
async fn connect(address: &str) -> Result<TcpStream, BenchError> {
    let fails = |why: String| BenchError::Server {
        address: address.to_owned(),
        what: "a Redis server",
        why,
    };
    let greeted = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(b"PING\r\n").await?;
        let mut reply = BytesMut::new();
        while !reply.ends_with(b"\n") && reply.len() < LINE_BYTES_MAX {
            if stream.read_buf(&mut reply).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok((stream, reply))
    };
    let (stream, reply) = timeout(CONNECT_TIMEOUT, greeted)
        .await
        .map_err(|_| fails("no answer to PING".to_owned()))?
        .map_err(|error: std::io::Error| fails(error.to_string()))?;
    if &reply[..] != b"+PONG\r\n" {
        let reply = String::from_utf8_lossy(&reply);
        return Err(fails(reply.trim_end().chars().take(100).collect()));
    }
    Ok(stream)
}

impl Lane {
    /// Connects connection number `place`.
    ///
    /// Errors: `BenchError::Server`.
    pub(super) async fn open(load: &Load, place: usize) -> Result<(Self, TcpStream), BenchError> {
        let endpoints = Ring::new(load, place);
        let stream = connect(endpoints.current()).await?;
        let mut chance = fastrand::Rng::new();
        let lane = Self {
            load: load.clone(),
            value: value(load.value_bytes, &mut chance),
            chance,
            outstanding: VecDeque::with_capacity(load.in_flight),
            endpoints,
        };
        Ok((lane, stream))
    }

    /// Measures until the time is over and everything is answered or given up.
    ///
    /// Errors: if the server says what is no reply.
    pub(super) async fn run(
        mut self,
        first: TcpStream,
        mut meter: Meter,
    ) -> Result<(), BenchError> {
        let mut connected = Some(first);
        loop {
            if let Some(stream) = connected.take() {
                self.converse(&stream, &mut meter).await?;
                let lost = u64::try_from(self.outstanding.len()).expect("a length fits");
                meter.failed(lost, Failure::InDoubt);
                self.outstanding.clear();
            }
            if !meter.is_measuring(Instant::now()) {
                break;
            }
            sleep(FAILURE_PAUSE).await;
            self.endpoints.turn();
            connected = connect(self.endpoints.current()).await.ok();
        }
        meter.end().await;
        Ok(())
    }

    /// Asks until the connection is lost, or it is all measured and answered.
    async fn converse(&mut self, stream: &TcpStream, meter: &mut Meter) -> Result<(), BenchError> {
        let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
        let mut timer = pin!(sleep_until(Instant::now() + TICK));
        let mut resume_at = Instant::now();
        loop {
            let now = Instant::now();
            if self.take_replies(&mut input, meter, now)? {
                resume_at = now + FAILURE_PAUSE;
            }
            if meter.is_measuring(now) {
                if resume_at <= now {
                    self.fill(now, &mut output);
                }
            } else if self.outstanding.is_empty() {
                return Ok(());
            }
            if write_some(stream, &mut output).is_err() {
                return Ok(());
            }
            let interest = if output.is_empty() {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            tokio::select! {
                biased;
                ready = stream.ready(interest) => {
                    if ready.and_then(|_| read_some(stream, &mut input)).is_err() {
                        return Ok(());
                    }
                }
                () = &mut timer => {
                    meter.tell();
                    let oldest = self.outstanding.front().copied().unwrap_or(now);
                    if oldest + self.load.timeout <= now {
                        return Ok(());
                    }
                    let idle = resume_at.max(now + FAILURE_PAUSE);
                    let wake = if self.outstanding.is_empty() { idle } else { now + TICK };
                    timer.as_mut().reset(wake);
                }
            }
        }
    }

    fn fill(&mut self, now: Instant, output: &mut BytesMut) {
        while self.outstanding.len() < self.load.in_flight {
            let key = key(self.chance.u64(0..self.load.keys.max(1)));
            match self.load.kind {
                Kind::Put => {
                    output.extend_from_slice(b"*3\r\n$3\r\nSET\r\n$16\r\n");
                    output.extend_from_slice(&key);
                    let length = format!("\r\n${}\r\n", self.value.len());
                    output.extend_from_slice(length.as_bytes());
                    output.extend_from_slice(&self.value);
                }
                Kind::Get => {
                    output.extend_from_slice(b"*2\r\n$3\r\nGET\r\n$16\r\n");
                    output.extend_from_slice(&key);
                }
            }
            output.extend_from_slice(b"\r\n");
            self.outstanding.push_back(now);
        }
    }

    /// Takes every whole reply; returns whether there was an error among them.
    fn take_replies(
        &mut self,
        input: &mut BytesMut,
        meter: &mut Meter,
        now: Instant,
    ) -> Result<bool, BenchError> {
        let (mut taken, mut is_refused) = (0, false);
        loop {
            let reply = first_reply(&input[taken..]);
            let length = match reply {
                First::Incomplete => break,
                First::Good(length) | First::Error(length, _) => length,
                First::Senseless => 0,
            };
            let Some(started) = self.outstanding.pop_front().filter(|_| 0 < length) else {
                return Err(BenchError::Server {
                    address: self.endpoints.current().to_owned(),
                    what: "a Redis server",
                    why: "it sends what is no reply to SET or GET".to_owned(),
                });
            };
            match reply {
                First::Error(_, text) => {
                    is_refused = true;
                    let is_in_doubt = text.starts_with(b"UNKNOWN ");
                    meter.failed(1, if is_in_doubt { Failure::InDoubt } else { Failure::Refused });
                }
                _ => meter.answered(started, now),
            }
            taken += length;
        }
        input.advance(taken);
        Ok(is_refused)
    }
}

/// Finds the end of a status, an error, a null or a string.
fn first_reply(bytes: &[u8]) -> First<'_> {
    let Some((&kind, rest)) = bytes.split_first() else { return First::Incomplete };
    let Some(end) = rest.iter().take(LINE_BYTES_MAX).position(|&byte| byte == b'\n') else {
        return if rest.len() < LINE_BYTES_MAX { First::Incomplete } else { First::Senseless };
    };
    let (line, head) = (rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]), end + 2);
    match kind {
        b'+' | b'_' => First::Good(head),
        b'-' => First::Error(head, line),
        b'$' if line == b"-1" => First::Good(head),
        b'$' => {
            let length = std::str::from_utf8(line).ok().and_then(|text| text.parse().ok());
            match length.and_then(|length: usize| length.checked_add(head + 2)) {
                Some(whole) if whole <= bytes.len() => First::Good(whole),
                Some(_) => First::Incomplete,
                None => First::Senseless,
            }
        }
        _ => First::Senseless,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_told_apart_at_every_length() {
        for reply in [&b"+OK\r\n"[..], b"$-1\r\n", b"_\r\n", b"$3\r\na\r\n\r\n", b"$0\r\n\r\n"] {
            for cut in 0..reply.len() {
                assert_eq!(first_reply(&reply[..cut]), First::Incomplete, "{cut} of {reply:?}");
            }
            let behind = [reply, b"+OK\r\n"].concat();
            assert_eq!(first_reply(&behind), First::Good(reply.len()), "{reply:?}");
        }
        assert_eq!(first_reply(b"-ERR no\r\n+OK\r\n"), First::Error(9, b"ERR no"));
        for wrong in [&b":1\r\n"[..], b"HTTP/1.1 400\r\n", b"$-2\r\n", b"$18446744073709551615\r\n"]
        {
            assert_eq!(first_reply(wrong), First::Senseless, "{wrong:?}");
        }
        assert_eq!(first_reply(&vec![b'+'; LINE_BYTES_MAX + 1]), First::Senseless);
    }
}
