//! The task that owns a client's connection.
//!
//! Moves bytes and time between the socket, [`Requests`] and [`Watches`], which decide. It ends
//! when the last [`Client`](crate::Client) of it is gone.

use std::future::Future;
use std::io;
use std::pin::pin;

use bytes::{Buf as _, BytesMut};
use raft_core::replica::event::Refusal;
use raft_net::client_protocol::Response;
use raft_net::frame::{CLIENT_FRAME_BYTES_MAX, Frames};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::back_off::pause;
use crate::dial::{CONNECT_TIMEOUT, Endpoints, Link, dial};
use crate::error::ClientError;
use crate::requests::{Advice, Ask, Requests};
use crate::subscriptions::{SubscriptionOrder, Subscriptions};
use crate::watches::{WatchOrder, Watches};

/// How much room a read finds at least. Units: bytes.
const READ_BYTES: usize = 16 * 1024;

/// What a user wants beside answers.
#[derive(Debug)]
pub(crate) enum Order {
    /// Of a watch.
    Watch(WatchOrder),
    /// Of a subscription.
    Subscription(SubscriptionOrder),
}

/// The task.
#[derive(Debug)]
pub(crate) struct Driver {
    asks: mpsc::Receiver<Ask>,
    orders: mpsc::UnboundedReceiver<Order>,
    requests: Requests,
    watches: Watches,
    subscriptions: Subscriptions,
    endpoints: Endpoints,
    /// A session means something only in the cluster that gave it out.
    cluster_id: u64,
    last_address: String,
}

/// Why a connection is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It is gone, silent, or of no use.
    Link,
    /// Nobody can ask for anything any more.
    Client,
}

impl Driver {
    pub(crate) fn new(
        (asks, orders): (mpsc::Receiver<Ask>, mpsc::UnboundedReceiver<Order>),
        endpoints: Endpoints,
        first: &Link,
    ) -> Self {
        Self {
            asks,
            orders,
            requests: Requests::new(first.hello.client, Instant::now()),
            watches: Watches::new(Instant::now()),
            subscriptions: Subscriptions::default(),
            endpoints,
            cluster_id: first.hello.cluster_id,
            last_address: first.address.clone(),
        }
    }

    /// Serves until the last client is gone.
    pub(crate) async fn run(mut self, first: Link) {
        let mut link = first;
        loop {
            if self.converse(link).await == End::Client {
                return;
            }
            match self.reconnect().await {
                Some(next) => link = next,
                None => return,
            }
        }
    }

    fn wants_nothing(&self) -> bool {
        self.requests.is_empty() && self.watches.is_empty() && self.subscriptions.is_empty()
    }

    async fn converse(&mut self, link: Link) -> End {
        let Link { address, stream, mut input, hello } = link;
        let mut frames = Frames::new(CLIENT_FRAME_BYTES_MAX);
        let mut output = BytesMut::new();
        let mut is_leaving = false;
        self.last_address = address;
        self.requests.connected(hello.client, Instant::now());
        self.watches.connected(Instant::now());
        let end = loop {
            let now = Instant::now();
            match self.take_responses(&mut frames, &mut input, now) {
                Ok(Advice::Stay) => {}
                Ok(Advice::TryAnother) => is_leaving |= 1 < self.endpoints.len(),
                Ok(Advice::NewSession) => is_leaving = true,
                Err(_) => break End::Link,
            }
            self.expire_connected(now);
            let is_over = is_leaving && self.requests.sent() == 0;
            if is_over || self.requests.is_silent(now) || self.watches.is_silent(now) {
                break End::Link;
            }
            if !is_leaving {
                self.requests.encode_due(now, &mut output);
                self.subscriptions.encode_due(now, &mut output);
                self.watches.encode_due(now, self.subscriptions.is_listening(), &mut output);
            }
            if write_some(&stream, &mut output).is_err() {
                break End::Link;
            }
            let next_due = self.requests.next_due().filter(|_| !is_leaving);
            let is_listening = self.subscriptions.is_listening();
            let next_watch = self.watches.next_time(is_listening).filter(|_| !is_leaving);
            let next_subscription = self.subscriptions.next_time().filter(|_| !is_leaving);
            let times = [self.requests.next_expiry(), next_due, next_watch, next_subscription];
            tokio::select! {
                ready = stream.ready(interest(&output)) => {
                    match ready.and_then(|_| read_some(&stream, &mut input)) {
                        Ok(()) => {}
                        Err(_) => break End::Link,
                    }
                }
                ask = self.asks.recv(), if self.requests.has_room() => match ask {
                    Some(ask) => self.take_asks(ask),
                    None => break End::Client,
                },
                Some(order) = self.orders.recv() => self.take_orders(order),
                () = sleep_until_first(times) => {}
            }
        };
        self.requests.lost();
        self.watches.lost();
        self.subscriptions.lost();
        self.endpoints.failed(&self.last_address, None, Instant::now());
        end
    }

    /// Connects again when something is asked for, however long that takes; nothing if the
    /// last client goes away first.
    async fn reconnect(&mut self) -> Option<Link> {
        let mut attempt = 0;
        loop {
            while self.wants_nothing() {
                tokio::select! {
                    ask = self.asks.recv() => self.take_asks(ask?),
                    Some(order) = self.orders.recv() => self.take_orders(order),
                }
            }
            let address = self.endpoints.next().to_owned();
            let dialled = self.meanwhile(dial(&address, self.cluster_id, CONNECT_TIMEOUT)).await?;
            match dialled {
                Ok(link) => {
                    self.endpoints.served(&address);
                    return Some(link);
                }
                Err(error) => self.endpoints.failed(&address, Some(error), Instant::now()),
            }
            attempt += 1;
            if attempt % self.endpoints.len() == 0 {
                let pass = u32::try_from(attempt / self.endpoints.len()).unwrap_or(u32::MAX);
                self.meanwhile(tokio::time::sleep(pause(pass))).await?;
            }
        }
    }

    /// Waits for `future`, and takes and expires requests in the meantime. Nothing if the last
    /// client goes away first.
    async fn meanwhile<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        loop {
            let next_watch = self.watches.next_deadline();
            let next_subscription = self.subscriptions.next_deadline();
            let times = [self.requests.next_expiry(), next_watch, next_subscription, None];
            tokio::select! {
                output = &mut future => return Some(output),
                ask = self.asks.recv(), if self.requests.has_room() => self.take_asks(ask?),
                Some(order) = self.orders.recv() => self.take_orders(order),
                () = sleep_until_first(times) => {
                    let (endpoints, address) = (&self.endpoints, &self.last_address);
                    let absence = |last| match last {
                        Some(_) => not_served(address, last),
                        None => endpoints.error(),
                    };
                    self.requests.expire(Instant::now(), absence);
                    self.watches.expire(Instant::now(), absence);
                    self.subscriptions.expire(Instant::now(), absence);
                }
            }
        }
    }

    fn take_asks(&mut self, first: Ask) {
        self.requests.submit(first);
        while self.requests.has_room()
            && let Ok(ask) = self.asks.try_recv()
        {
            self.requests.submit(ask);
        }
    }

    fn take_orders(&mut self, first: Order) {
        let mut next = Some(first);
        while let Some(order) = next {
            match order {
                Order::Watch(order) => self.watches.obey(order),
                Order::Subscription(order) => self.subscriptions.obey(order),
            }
            next = self.orders.try_recv().ok();
        }
    }

    fn expire_connected(&mut self, now: Instant) {
        let address = &self.last_address;
        self.requests.expire(now, |last| not_served(address, last));
        self.watches.expire(now, |last| not_served(address, last));
        self.subscriptions.expire(now, |last| not_served(address, last));
    }

    /// Takes every whole response in `input`; the most urgent advice wins.
    fn take_responses(
        &mut self,
        frames: &mut Frames,
        input: &mut BytesMut,
        now: Instant,
    ) -> Result<Advice, raft_net::frame::FrameError> {
        let mut advice = Advice::Stay;
        while let Some(frame) = frames.next(input)? {
            let frame = frame.freeze();
            let response = Response::decode(&frame)?;
            self.watches.heard(now);
            let given = self
                .subscriptions
                .answered(&response, &frame, now)
                .or_else(|| self.watches.answered(&response, &frame, now))
                .unwrap_or_else(|| self.requests.answered(&response, &frame, now));
            match (advice, given) {
                (_, Advice::Stay) | (Advice::NewSession, Advice::TryAnother) => {}
                (_, urgent) => advice = urgent,
            }
        }
        Ok(advice)
    }
}

fn not_served(address: &str, last: Option<Refusal>) -> ClientError {
    ClientError::NoQuorum { endpoint: address.to_owned(), last }
}

fn interest(output: &BytesMut) -> Interest {
    if output.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE }
}

/// Writes what the socket takes now.
pub(crate) fn write_some(stream: &TcpStream, output: &mut BytesMut) -> io::Result<()> {
    while !output.is_empty() {
        match stream.try_write(output) {
            Ok(written) => output.advance(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads what has arrived.
///
/// Errors: also if the other end has closed the connection.
pub(crate) fn read_some(stream: &TcpStream, input: &mut BytesMut) -> io::Result<()> {
    input.reserve(READ_BYTES);
    match stream.try_read_buf(input) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}

async fn sleep_until_first(times: [Option<Instant>; 4]) {
    match times.into_iter().flatten().min() {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
