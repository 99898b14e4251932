//! Channels as their users see them.

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::client::Client;
use crate::driver::Order;
use crate::error::ClientError;
use crate::requests::{Answered, Work};
use crate::subscriptions::{Opening, Queued, SubscriptionOrder};

/// What all names and patterns of a subscription may take. Units: bytes.
const NAMES_BYTES_MAX: usize = 1024 * 1024;

/// The longest message. Units: bytes.
const MESSAGE_BYTES_MAX: usize = kv_store::command::VALUE_BYTES_MAX_DEFAULT;

/// What a subscription is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Channels {
    /// The names of channels.
    pub names: Vec<Bytes>,
    /// Patterns of names: `*`, `?`, `[a-c]`, `[^a]`, and `\` before a byte that stands for itself.
    pub patterns: Vec<Bytes>,
}

/// What a subscription says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Somebody has published a message.
    Message(Message),
    /// Messages may have been missed here: the connection was lost and there is another one, or
    /// its user has not taken what came.
    Gap,
}

/// A message on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The pattern by which it comes; `None` if by the name of its channel.
    pub pattern: Option<Bytes>,
    /// The channel.
    pub channel: Bytes,
    /// The message.
    pub message: Bytes,
}

impl Message {
    /// How long it is. Units: bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.pattern.as_ref().map_or(0, Bytes::len) + self.channel.len() + self.message.len()
    }
}

/// A subscription to channels: what is published on them from now on, at whichever node, by
/// clients of Kvorum and of Redis.
///
/// A message is told at most once for each name and each pattern that it matches; those of one
/// publisher come in their order. Nobody keeps messages. The subscription outlives connections
/// and nodes: when one is lost it is made again at another endpoint, and says [`Heard::Gap`].
/// Messages wait here until they are taken, up to 8 MiB; further ones are dropped, and that is a
/// gap too. Dropping the subscription ends it.
#[derive(Debug)]
pub struct Subscription {
    client: Client,
    number: u64,
    heard: mpsc::UnboundedReceiver<Queued>,
    over: Option<ClientError>,
}

impl Client {
    /// Tells a message to whoever is subscribed to a channel now, at any node. Returns how many
    /// of them are at the node that took it; nobody knows of the others. It is told at most once,
    /// also while there is no leader, and never written.
    ///
    /// Errors: `Rejected` if the channel has more than 1,024 bytes or the message more than
    /// 1,572,864; after `Unknown` it may or may not have been told, after every other error it
    /// has not.
    pub async fn publish(&self, channel: &[u8], message: &[u8]) -> Result<u64, ClientError> {
        if MESSAGE_BYTES_MAX < message.len() {
            let text = format!("a message of more than {MESSAGE_BYTES_MAX} bytes");
            return Err(ClientError::Rejected(text));
        }
        let owned = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
        let work = Work::Publish { channel: owned(channel), message: owned(message) };
        match self.ask_for(work).await? {
            Answered::Published(count) => Ok(count),
            _ => Err(ClientError::Unknown),
        }
    }

    /// Subscribes to channels. When this returns, it has begun: what is published at the same
    /// node afterwards is told.
    ///
    /// Errors: `Rejected` without names and patterns, above 1 MiB of them, above 10,000 for one
    /// connection, or if one has more than 1,024 bytes; otherwise `ClientError`, except
    /// `Unknown`, if it cannot begin before the deadline.
    ///
    /// ```no_run
    /// # use kvorum_client::{Client, ClientError};
    /// # async fn example(client: Client) -> Result<(), ClientError> {
    /// use kvorum_client::{Channels, Heard};
    ///
    /// let channels = Channels { names: vec!["news".into()], patterns: vec!["log.*".into()] };
    /// let mut subscription = client.subscribe(channels).await?;
    /// client.publish(b"news", b"hello").await?;
    /// if let Heard::Message(message) = subscription.next().await? {
    ///     println!("{message:?}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn subscribe(&self, channels: Channels) -> Result<Subscription, ClientError> {
        let Channels { names, patterns } = channels;
        if names.iter().chain(&patterns).map(|it| it.len() + 5).sum::<usize>() > NAMES_BYTES_MAX {
            let text = format!("names and patterns of more than {NAMES_BYTES_MAX} bytes");
            return Err(ClientError::Rejected(text));
        }
        let (begun, begins) = oneshot::channel();
        let (to_user, heard) = mpsc::unbounded_channel();
        self.order(Order::Subscription(SubscriptionOrder::Open(Opening {
            channels: names,
            patterns,
            deadline: self.deadline(),
            begun,
            heard: to_user,
        })));
        let number = begins.await.unwrap_or_else(|_| Err(ended()))?;
        Ok(Subscription { client: self.clone(), number, heard, over: None })
    }
}

impl Subscription {
    /// Waits for what comes next, for any length of time. May be dropped and called again:
    /// nothing is lost.
    ///
    /// Errors: `Rejected` if a node refuses to go on with it. It is over then, and every further
    /// call says the same.
    pub async fn next(&mut self) -> Result<Heard, ClientError> {
        if let Some(error) = &self.over {
            return Err(error.clone());
        }
        let Queued { heard, bytes } = match self.heard.recv().await {
            Some(queued) => queued,
            None => Queued { heard: Err(ended()), bytes: 0 },
        };
        if 0 < bytes {
            let taken = SubscriptionOrder::Taken { number: self.number, bytes };
            self.client.order(Order::Subscription(taken));
        }
        self.over = heard.as_ref().err().cloned();
        heard
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let close = SubscriptionOrder::Close { number: self.number };
        self.client.order(Order::Subscription(close));
    }
}

/// The task that serves the client ends with its runtime alone.
fn ended() -> ClientError {
    ClientError::Rejected("the runtime of this client has ended".to_owned())
}
