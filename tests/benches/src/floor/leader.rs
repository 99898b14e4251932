//! The leader of the floor: collects requests into rounds and answers them.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::wal::{self, Append};
use super::{READ_BYTES, REQUEST_BYTES, ROUND_PREFIX_BYTES};

/// How many rounds may be under way. With more, each is smaller and the syncs are as many.
const ROUNDS_MAX: usize = 2;

/// How many inputs may wait; readers wait when there are more.
const INPUTS_MAX: usize = 4096;

/// How many inputs are taken before a round is begun.
const INPUTS_PER_TURN: usize = 1024;

/// How long a follower may take to listen.
const FOLLOWER_PATIENCE: Duration = Duration::from_secs(30);

/// The leader and its two followers.
const NODES: usize = 3;

enum Input {
    /// A client came; its number counts from 0.
    Opened(OwnedWriteHalf),
    /// Whole requests of a client.
    Requests { connection: usize, bytes: Bytes },
    /// A client went.
    Closed { connection: usize },
    /// A node, the leader being 0, has synced every round up to this one.
    Durable { node: usize, round: u64 },
}

struct Leader {
    wal: std::sync::mpsc::Sender<Append>,
    followers: Vec<mpsc::UnboundedSender<Bytes>>,
    connections: Vec<Option<Connection>>,
    queued: Vec<Requests>,
    /// Under way, oldest first, with the number of the oldest.
    rounds: VecDeque<Vec<Requests>>,
    oldest: u64,
    durable: [u64; NODES],
}

struct Connection {
    stream: OwnedWriteHalf,
    output: BytesMut,
}

struct Requests {
    connection: usize,
    bytes: Bytes,
}

/// Leads `followers`, whose addresses are given, for clients at `listen`. Runs until it is
/// killed.
///
/// Errors: if the address or the folder cannot be used, or a follower does not listen in time.
pub async fn run(listen: &str, followers: &[String], folder: &Path) -> io::Result<()> {
    let (inputs, mut arrived) = mpsc::channel(INPUTS_MAX);
    let report = inputs.clone();
    let wal = wal::start(folder, move |round| {
        // Only a process that is ending hears no reports any more.
        let _ = report.blocking_send(Input::Durable { node: 0, round });
    })?;
    let mut outputs = Vec::new();
    for (address, node) in followers.iter().zip(1..NODES) {
        outputs.push(lead(dial(address).await?, node, inputs.clone())?);
    }
    let listener = TcpListener::bind(listen).await?;
    tokio::spawn(accept(listener, inputs));
    let mut leader = Leader {
        wal,
        followers: outputs,
        connections: Vec::new(),
        queued: Vec::new(),
        rounds: VecDeque::new(),
        oldest: 1,
        durable: [0; NODES],
    };
    let mut turn = Vec::with_capacity(INPUTS_PER_TURN);
    while arrived.recv_many(&mut turn, INPUTS_PER_TURN).await > 0 {
        turn.drain(..).for_each(|input| leader.take(input));
        leader.answer();
        leader.maybe_begin_round()?;
    }
    Ok(())
}

async fn dial(address: &str) -> io::Result<TcpStream> {
    let attempts = async {
        loop {
            match TcpStream::connect(address).await {
                Ok(stream) => return stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let stream = tokio::time::timeout(FOLLOWER_PATIENCE, attempts).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Starts the two tasks of a follower's connection.
fn lead(
    stream: TcpStream,
    node: usize,
    inputs: mpsc::Sender<Input>,
) -> io::Result<mpsc::UnboundedSender<Bytes>> {
    let (mut reports, mut output) = stream.into_split();
    let (sender, mut rounds) = mpsc::unbounded_channel::<Bytes>();
    tokio::spawn(async move {
        while let Some(round) = rounds.recv().await {
            if output.write_all(&round).await.is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Ok(round) = reports.read_u64().await {
            if inputs.send(Input::Durable { node, round }).await.is_err() {
                return;
            }
        }
    });
    Ok(sender)
}

async fn accept(listener: TcpListener, inputs: mpsc::Sender<Input>) {
    let mut connection = 0;
    while let Ok((stream, _)) = listener.accept().await {
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let (read, write) = stream.into_split();
        if inputs.send(Input::Opened(write)).await.is_err() {
            return;
        }
        tokio::spawn(read_requests(read, connection, inputs.clone()));
        connection += 1;
    }
}

async fn read_requests(mut read: OwnedReadHalf, connection: usize, inputs: mpsc::Sender<Input>) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(READ_BYTES);
        if !matches!(read.read_buf(&mut buffer).await, Ok(1..)) {
            let _ = inputs.send(Input::Closed { connection }).await;
            return;
        }
        let whole_bytes = buffer.len() - buffer.len() % REQUEST_BYTES;
        if whole_bytes > 0 {
            let bytes = buffer.split_to(whole_bytes).freeze();
            if inputs.send(Input::Requests { connection, bytes }).await.is_err() {
                return;
            }
        }
    }
}

impl Leader {
    fn take(&mut self, input: Input) {
        match input {
            Input::Opened(stream) => {
                self.connections.push(Some(Connection { stream, output: BytesMut::new() }));
            }
            Input::Requests { connection, bytes } => {
                self.queued.push(Requests { connection, bytes });
            }
            Input::Closed { connection } => self.connections[connection] = None,
            Input::Durable { node, round } => self.durable[node] = round,
        }
    }

    /// Answers every round that a majority has synced.
    fn answer(&mut self) {
        let mut sorted = self.durable;
        sorted.sort_unstable();
        let majority = sorted[NODES / 2];
        let mut touched = Vec::new();
        while self.oldest <= majority {
            let Some(round) = self.rounds.pop_front() else { break };
            for requests in round {
                let Some(connection) = &mut self.connections[requests.connection] else { continue };
                if connection.output.is_empty() {
                    touched.push(requests.connection);
                }
                for request in requests.bytes.chunks_exact(REQUEST_BYTES) {
                    connection.output.extend_from_slice(&request[..8]);
                    connection.output.put_u64(self.oldest);
                }
            }
            self.oldest += 1;
        }
        for number in touched {
            let Some(connection) = &mut self.connections[number] else { continue };
            let wanted = connection.output.len();
            let written = connection.stream.try_write(&connection.output);
            connection.output.clear();
            // The answers to all that a client may have in flight are far smaller than its
            // socket's buffer, so one that takes less has gone.
            if !matches!(written, Ok(length) if length == wanted) {
                self.connections[number] = None;
            }
        }
    }

    fn maybe_begin_round(&mut self) -> io::Result<()> {
        if self.queued.is_empty() || self.rounds.len() >= ROUNDS_MAX {
            return Ok(());
        }
        let requests = std::mem::take(&mut self.queued);
        let size: usize = requests.iter().map(|requests| requests.bytes.len()).sum();
        let mut bytes = BytesMut::with_capacity(ROUND_PREFIX_BYTES + size);
        bytes.put_u32(u32::try_from(size).map_err(io::Error::other)?);
        requests.iter().for_each(|requests| bytes.extend_from_slice(&requests.bytes));
        let bytes = bytes.freeze();
        for follower in &self.followers {
            // Without a follower the other one is the majority.
            let _ = follower.send(bytes.clone());
        }
        self.rounds.push_back(requests);
        let under_way = u64::try_from(self.rounds.len()).expect("two rounds at most");
        let round = self.oldest + under_way - 1;
        self.wal.send(Append { bytes, round }).map_err(io::Error::other)
    }
}
