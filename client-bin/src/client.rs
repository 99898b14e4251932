//! The client as its users see it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kv_store::command::{self, Answer, Command, KeyRange, Kind, List, Query};
use raft_net::member_change::MemberChange;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::back_off::pause;
use crate::dial::{Endpoints, Link, dial};
use crate::driver::{Driver, Order};
use crate::error::ClientError;
use crate::request_id::{RequestId, SessionId};
use crate::requests::{Answered, Ask, IN_FLIGHT_MAX, Staleness, Work};

/// Keys in one page of a range, at most.
const PAGE_KEYS_MAX: u64 = 1_000;

/// How a client behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long an operation may take, with every attempt at every node; also how long the
    /// first connection may take.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5) }
    }
}

/// A client of a cluster. Cheap to clone; clones share one connection and one session.
///
/// Operations may be awaited one after the other or many at a time; the latter share round
/// trips. An operation whose future is dropped goes on until its deadline.
/// Limit: 1,024 operations in flight; further ones wait until one is finished.
#[derive(Clone, Debug)]
pub struct Client {
    asks: mpsc::Sender<Ask>,
    orders: mpsc::UnboundedSender<Order>,
    patience: Patience,
    /// The name of the next write, if its caller has one for it.
    request_id: Option<RequestId>,
    /// The session of the first connection.
    session: SessionId,
}

#[derive(Clone, Copy, Debug)]
enum Patience {
    /// Every operation may take this long.
    Each(Duration),
    /// All of them must be finished by then.
    Until(Instant),
}

/// A key with its value and its place in history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
    /// The revision at which the key came into being.
    pub create_revision: u64,
    /// The revision of its last change.
    pub mod_revision: u64,
    /// How many puts the key has seen since it came into being, from 1.
    pub version: u64,
    /// What the key is; the value of a hash or a set is empty.
    pub kind: Kind,
    /// The lease that it goes with; 0 is none.
    pub lease: u64,
}

/// What a delete did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// How many keys existed and are gone.
    pub count: u64,
    /// The revision that the removal made; the current one if there was nothing to remove.
    pub revision: u64,
}

/// Some keys of a range, in bytewise order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The revision of the store that this page shows.
    pub revision: u64,
    /// The keys with their values.
    pub kvs: Vec<KeyValue>,
    /// Whether the range holds keys after the last one here.
    pub more: bool,
    /// How many keys the range holds in all.
    pub count: u64,
}

impl KeyValue {
    /// A pair of an answer, without copying it.
    pub(crate) fn owned(answer: &Bytes, kv: &command::KeyValue<'_>) -> Self {
        Self {
            key: answer.slice_ref(kv.key),
            value: answer.slice_ref(kv.value),
            create_revision: kv.create_revision,
            mod_revision: kv.mod_revision,
            version: kv.version,
            kind: kv.attributes.kind,
            lease: kv.attributes.lease,
        }
    }
}

impl Client {
    /// Connects to the first of `endpoints` (each `host:port`) at which a node answers, and
    /// starts the task that serves this client on the current tokio runtime, whose IO and time
    /// drivers must be on.
    ///
    /// Errors: `Unreachable`, `NotKvorum` or `TurnedAway`, at once if it is of no use to wait,
    /// else after `Options::timeout`; `Rejected` if an endpoint is no address.
    pub async fn connect(endpoints: Vec<String>, options: Options) -> Result<Self, ClientError> {
        let mut endpoints = Endpoints::new(endpoints)?;
        let link = first_link(&mut endpoints, Instant::now() + options.timeout).await?;
        let session = SessionId::of(link.hello.client);
        let (asks, receiver) = mpsc::channel(IN_FLIGHT_MAX);
        let (orders, taken) = mpsc::unbounded_channel();
        tokio::spawn(Driver::new((receiver, taken), endpoints, &link).run(link));
        let patience = Patience::Each(options.timeout);
        Ok(Self { asks, orders, patience, request_id: None, session })
    }

    /// The session that the first node gave this client, under which it numbers its writes until
    /// the connection is lost.
    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    /// The same client with one deadline for everything that it will be asked.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        Self { patience: Patience::Until(deadline), ..self.clone() }
    }

    /// The same client that gives each operation this long.
    #[must_use]
    pub fn each(&self, timeout: Duration) -> Self {
        Self { patience: Patience::Each(timeout), ..self.clone() }
    }

    /// The same client for one write, which is the one of this name: if it was asked for before,
    /// by whomever and through whichever node, its answer is given once more and nothing is done.
    /// Reads are as always. A second write through what this returns gets the first one's answer.
    ///
    /// Errors of such a write: `Session` too, see [`SessionRefusal`](crate::SessionRefusal), and
    /// `Rejected` if the name was used for a command of another kind.
    ///
    /// ```no_run
    /// # use kvorum_client::{Client, ClientError};
    /// # async fn example(client: Client) -> Result<(), ClientError> {
    /// use std::time::Duration;
    ///
    /// use kvorum_client::SessionId;
    ///
    /// let endpoints = vec!["127.0.0.1:2379".to_owned()];
    /// let session = SessionId::open(endpoints, Duration::from_secs(5)).await?;
    /// let id = session.request(1).expect("serials begin at 1");
    /// let once = client.with_request_id(id).put(b"paid", b"yes").await?;
    /// let again = client.with_request_id(id).put(b"paid", b"yes").await?;
    /// assert_eq!(once, again, "it took effect once");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_request_id(&self, id: RequestId) -> Self {
        Self { request_id: Some(id), ..self.clone() }
    }

    /// Sets a key to a value; returns the revision that this made. Takes effect exactly once,
    /// however often it had to be sent.
    ///
    /// Errors: `ClientError`; after `Unknown` it may or may not have taken effect, after
    /// every other one it has not.
    pub async fn put(&self, key: &[u8], value: &[u8]) -> Result<u64, ClientError> {
        let body = encode_command(&Command::Put { key, value });
        let answer = self.ask(Work::Write(body)).await?;
        match decode(&answer)? {
            Answer::Put { revision } => Ok(revision),
            other => Err(self.no_answer_to_a_write(&other)),
        }
    }

    /// Removes every key in any of the ranges, in one revision and exactly once.
    ///
    /// Errors: as [`Client::put`]; `Rejected` above 1,024 ranges.
    pub async fn delete(&self, ranges: &[KeyRange<'_>]) -> Result<Deleted, ClientError> {
        let ranges: List<KeyRange<'_>> = ranges.iter().copied().collect();
        let body = encode_command(&Command::Delete { ranges });
        let answer = self.ask(Work::Write(body)).await?;
        match decode(&answer)? {
            Answer::Deleted { count, revision } => Ok(Deleted { count, revision }),
            other => Err(self.no_answer_to_a_write(&other)),
        }
    }

    /// The value of a key, if it exists. Sees every write that was answered before.
    ///
    /// Errors: `ClientError`, except `Unknown`.
    pub async fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, ClientError> {
        let page = self.page(KeyRange::single(key)).await?;
        Ok(page.kvs.into_iter().next())
    }

    /// The keys of a range in order, page by page.
    #[must_use]
    pub fn range<'r>(&self, range: KeyRange<'r>) -> Pages<'r> {
        Pages { client: self.clone(), range, local: None, last_key: None, is_finished: false }
    }

    /// As `range`, from the state of whichever node is asked, however old that is:
    /// [`Pages::staleness`] says how old it may be.
    #[must_use]
    pub fn range_locally<'r>(&self, range: KeyRange<'r>) -> Pages<'r> {
        Pages { local: Some(None), ..self.range(range) }
    }

    async fn page(&self, range: KeyRange<'_>) -> Result<Page, ClientError> {
        let bytes = self.ask(Work::Read(page_query(range))).await?;
        decode_page(&bytes)
    }

    async fn page_locally(&self, range: KeyRange<'_>) -> Result<(Page, Staleness), ClientError> {
        match self.ask_for(Work::ReadLocally(page_query(range))).await? {
            Answered::Local(bytes, staleness) => Ok((decode_page(&bytes)?, staleness)),
            Answered::Body(_) | Answered::Changed(_) | Answered::Published(_) => {
                Err(ClientError::nonsense())
            }
        }
    }

    /// Changes who is in the cluster; returns the ids of those who were added, in the order of
    /// the change. Made exactly once, however often it had to be sent.
    ///
    /// Errors: `ChangeRefused` if the cluster decided against it; `Rejected` if it makes no
    /// sense; otherwise as [`Client::put`].
    pub async fn change_members(&self, change: &MemberChange) -> Result<Vec<u64>, ClientError> {
        match self.ask_for(Work::Change(change.clone())).await? {
            Answered::Changed(added) => Ok(added),
            Answered::Body(_) | Answered::Local(..) | Answered::Published(_) => {
                Err(self.answer_of_another_kind())
            }
        }
    }

    /// An answer that is not the expected one to a write.
    pub(crate) fn no_answer_to_a_write(&self, answer: &Answer<'_>) -> ClientError {
        match no_answer_to_a_write(answer) {
            ClientError::Unknown => self.answer_of_another_kind(),
            decided => decided,
        }
    }

    /// A write's answer that is none to this write.
    pub(crate) fn answer_of_another_kind(&self) -> ClientError {
        match self.request_id {
            Some(id) => ClientError::Rejected(format!(
                "{id} was used for another command, nothing was done; choose another serial"
            )),
            None => ClientError::Unknown,
        }
    }

    pub(crate) async fn ask(&self, work: Work) -> Result<Bytes, ClientError> {
        match self.ask_for(work).await? {
            Answered::Body(body) => Ok(body),
            Answered::Local(..) | Answered::Changed(_) | Answered::Published(_) => {
                Err(self.answer_of_another_kind())
            }
        }
    }

    pub(crate) async fn ask_for(&self, work: Work) -> Result<Answered, ClientError> {
        let deadline = self.deadline();
        let (reply, answer) = oneshot::channel();
        // The task ends only after the last client, or together with the runtime; then the
        // answer is missing too.
        let _ = self.asks.send(Ask { work, request_id: self.request_id, deadline, reply }).await;
        answer.await.unwrap_or(Err(ClientError::Unknown))
    }

    /// When what is asked for now must be done.
    pub(crate) fn deadline(&self) -> Instant {
        match self.patience {
            Patience::Each(timeout) => Instant::now() + timeout,
            Patience::Until(deadline) => deadline,
        }
    }

    /// Tells the task what the user of a watch or a subscription wants.
    pub(crate) fn order(&self, order: Order) {
        // It ends only together with the runtime.
        let _ = self.orders.send(order);
    }
}

/// The pages of a range. Each page shows the store at its own revision, not earlier than the
/// page before; a key that changes meanwhile is shown as one of its versions.
#[derive(Debug)]
pub struct Pages<'r> {
    client: Client,
    range: KeyRange<'r>,
    /// Whether nodes are asked for their own state, and how old what they gave may be.
    local: Option<Option<Staleness>>,
    last_key: Option<Bytes>,
    is_finished: bool,
}

impl Pages<'_> {
    /// The next page; the first one may be empty, and `None` comes after the last one.
    ///
    /// Errors: as [`Client::get`]; the page can be asked for again.
    pub async fn next(&mut self) -> Result<Option<Page>, ClientError> {
        if self.is_finished {
            return Ok(None);
        }
        let mut buffer = Vec::new();
        let rest = match &self.last_key {
            Some(last) => self.range.after(last, &mut buffer),
            None => self.range,
        };
        let page = match self.local {
            None => self.client.page(rest).await?,
            Some(so_far) => {
                let (page, staleness) = self.client.page_locally(rest).await?;
                self.local = Some(Some(so_far.map_or(staleness, |known| known.worse(staleness))));
                page
            }
        };
        self.is_finished = !page.more || page.kvs.is_empty();
        self.last_key = page.kvs.last().map(|kv| kv.key.clone());
        Ok(Some(page))
    }

    /// How old the oldest of the pages so far may be; `None` before the first page, and for
    /// pages that are not local.
    #[must_use]
    pub fn staleness(&self) -> Option<Staleness> {
        self.local.flatten()
    }
}

/// Tries the endpoints in turn until a node says hello.
///
/// Errors: when the time is over, or at once when waiting is of no use.
pub(crate) async fn first_link(
    endpoints: &mut Endpoints,
    deadline: Instant,
) -> Result<Link, ClientError> {
    for pass in 1.. {
        for _ in 0..endpoints.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() && 1 < pass {
                return Err(endpoints.error());
            }
            let address = endpoints.next().to_owned();
            match dial(&address, 0, left).await {
                Ok(link) => {
                    endpoints.served(&address);
                    return Ok(link);
                }
                Err(error) => endpoints.failed(&address, Some(error), Instant::now()),
            }
        }
        if endpoints.is_hopeless(pass) || deadline <= Instant::now() {
            break;
        }
        tokio::time::sleep(pause(pass)).await;
    }
    Err(endpoints.error())
}

fn page_query(range: KeyRange<'_>) -> Bytes {
    encode_query(&Query::Range { range, limit: PAGE_KEYS_MAX })
}

pub(crate) fn decode_page(bytes: &Bytes) -> Result<Page, ClientError> {
    match Answer::decode(bytes).map_err(|_| ClientError::nonsense())? {
        Answer::Range { revision, kvs, more, count } => {
            let kvs = kvs.iter().map(|kv| KeyValue::owned(bytes, kv)).collect();
            Ok(Page { revision, kvs, more, count })
        }
        other => Err(no_answer_to_a_read(&other)),
    }
}

pub(crate) fn encode_command(command: &Command<'_>) -> Bytes {
    let mut body = BytesMut::new();
    command.encode(&mut body);
    body.freeze()
}

pub(crate) fn encode_query(query: &Query<'_>) -> Bytes {
    let mut body = BytesMut::new();
    query.encode(&mut body);
    body.freeze()
}

/// A write's answer. One that cannot be read says nothing about what was done.
pub(crate) fn decode(answer: &[u8]) -> Result<Answer<'_>, ClientError> {
    Answer::decode(answer).map_err(|_| ClientError::Unknown)
}

/// An answer that is not the expected one to a write; `Unknown` if it is to none like it.
pub(crate) fn no_answer_to_a_write(answer: &Answer<'_>) -> ClientError {
    match answer {
        Answer::Malformed { why } => ClientError::rejected(why),
        Answer::No { why, .. } => ClientError::DecidedNo(*why),
        Answer::Undone { path, why, .. } => ClientError::Undone { path: path.to_vec(), why: *why },
        _ => ClientError::Unknown,
    }
}

/// An answer that is not the expected one to a read.
pub(crate) fn no_answer_to_a_read(answer: &Answer<'_>) -> ClientError {
    match answer {
        Answer::Malformed { why } => ClientError::rejected(why),
        Answer::No { why, .. } => ClientError::DecidedNo(*why),
        _ => ClientError::nonsense(),
    }
}
