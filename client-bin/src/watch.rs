//! Watches as their users see them.

use bytes::{Bytes, BytesMut};
use kv_store::command::{self, Change, Interest, Limits, State};
use tokio::sync::{mpsc, oneshot};

use crate::client::{Client, KeyValue};
use crate::driver::Order;
use crate::error::ClientError;
use crate::watches::{Opening, Queued, WatchOrder};

/// How a watch begins and what it tells beside changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchOptions {
    /// The first revision that is shown, which may have passed or be yet to come; 0 is the next
    /// one after what the node has applied.
    pub since: u64,
    /// Whether [`Update::Progress`] comes from time to time while nothing happens.
    pub progress: bool,
}

/// What a watch says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// Everything that a revision did, as far as the watch is about it.
    Changes {
        /// The revision. The next ones are above it.
        revision: u64,
        /// At least one event, in the order in which the revision changed keys first, each key
        /// before its items.
        events: Vec<Event>,
    },
    /// Everything up to this revision has been shown.
    Progress {
        /// The revision.
        revision: u64,
    },
}

/// One change of one key, field or member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The revision that made the change.
    pub revision: u64,
    /// The key.
    pub key: Bytes,
    /// The field or member that changed; `None` for the key itself.
    pub item: Option<Bytes>,
    /// What it is since then; `None` if it was removed. The pair of an item has the key of its
    /// hash or set, and the value and revisions of the item.
    pub next: Option<KeyValue>,
    /// What it was before, if that was asked for and it existed. At the compaction revision
    /// itself nothing before it is known.
    pub previous: Option<KeyValue>,
}

/// A watch: what happens to some keys, from a revision on, each change once and in order.
///
/// It outlives connections and nodes: when one is lost it goes on through another endpoint, at
/// the first revision that has not been shown, without gap or double; a node that is behind is
/// waited for. Changes wait here until they are taken, up to 8 MiB; then the node is told to
/// stop and later asked to go on, so a slow user costs nobody anything, and loses nothing unless
/// compaction overtakes it. Dropping the watch ends it.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    number: u64,
    revision: u64,
    updates: mpsc::UnboundedReceiver<Queued>,
    over: Option<ClientError>,
}

impl Client {
    /// Watches what an interest is about. When this returns, the watch has begun: every change
    /// after [`Watch::revision`] will be shown.
    ///
    /// Errors: `ClientError`, except `Unknown`, if it cannot begin before the deadline.
    ///
    /// ```no_run
    /// # use kvorum_client::{Client, ClientError};
    /// # async fn example(client: Client) -> Result<(), ClientError> {
    /// use kvorum_client::{Interest, KeyRange, Update, WatchOptions};
    ///
    /// let interest = Interest::of(KeyRange::prefix(b"services/"));
    /// let mut watch = client.watch(&interest, WatchOptions::default()).await?;
    /// client.put(b"services/web", b"10.0.0.7").await?;
    /// if let Update::Changes { revision, events } = watch.next().await? {
    ///     println!("revision {revision}: {events:?}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn watch(
        &self,
        interest: &Interest<'_>,
        options: WatchOptions,
    ) -> Result<Watch, ClientError> {
        let checked = interest.check(&Limits::default());
        checked.map_err(|error| ClientError::rejected(&error.to_string()))?;
        let mut body = BytesMut::new();
        interest.encode(&mut body);
        let (begun, begins) = oneshot::channel();
        let (to_user, updates) = mpsc::unbounded_channel();
        self.order(Order::Watch(WatchOrder::Open(Opening {
            interest: body.freeze(),
            start: options.since,
            marks: options.progress,
            deadline: self.deadline(),
            begun,
            updates: to_user,
        })));
        let (number, revision) = begins.await.unwrap_or_else(|_| Err(ended()))?;
        Ok(Watch { client: self.clone(), number, revision, updates, over: None })
    }
}

impl Watch {
    /// The revision after which everything is shown.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Waits for what comes next, for any length of time. May be dropped and called again:
    /// nothing is lost.
    ///
    /// Errors: `DecidedNo` with `Compacted` if what comes next was compacted before it could be
    /// shown; `Rejected` if a revision shows more than can be sent (16 MiB), or if a node says
    /// that the watch makes no sense. The watch is over then, and every further call says the
    /// same.
    pub async fn next(&mut self) -> Result<Update, ClientError> {
        if let Some(error) = &self.over {
            return Err(error.clone());
        }
        let Queued { update, bytes } = match self.updates.recv().await {
            Some(queued) => queued,
            None => Queued { update: Err(ended()), bytes: 0 },
        };
        if 0 < bytes {
            let taken = WatchOrder::Taken { number: self.number, bytes };
            self.client.order(Order::Watch(taken));
        }
        self.over = update.as_ref().err().cloned();
        update
    }

    /// Asks how far the watch is: an [`Update::Progress`] comes when everything that its node has
    /// applied by now has been shown.
    pub fn request_progress(&self) {
        self.client.order(Order::Watch(WatchOrder::Mark { number: self.number }));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.client.order(Order::Watch(WatchOrder::Close { number: self.number }));
    }
}

impl Event {
    /// An event of an answer, without copying it.
    pub(crate) fn owned(answer: &Bytes, change: &Change<'_>) -> Self {
        let Change { revision, key, item, next, previous } = change;
        let owned = |state: &State<'_>| {
            let State { value, create_revision, mod_revision, version, attributes } = *state;
            let kv = command::KeyValue {
                key,
                value,
                create_revision,
                mod_revision,
                version,
                attributes,
            };
            KeyValue::owned(answer, &kv)
        };
        Self {
            revision: *revision,
            key: answer.slice_ref(key),
            item: item.map(|name| answer.slice_ref(name.0)),
            next: next.as_ref().map(owned),
            previous: previous.as_ref().map(owned),
        }
    }

    /// How long it is. Units: bytes.
    pub(crate) fn bytes(&self) -> usize {
        let value = |kv: &Option<KeyValue>| kv.as_ref().map_or(0, |kv| kv.value.len());
        let item = self.item.as_ref().map_or(0, Bytes::len);
        self.key.len() + item + value(&self.next) + value(&self.previous)
    }
}

/// The task that serves the client ends with its runtime alone.
fn ended() -> ClientError {
    ClientError::Rejected("the runtime of this client has ended".to_owned())
}
