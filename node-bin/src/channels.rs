//! Channels: who on this node is subscribed to what, and what is to be told to whom.
//!
//! Decides everything and touches no socket and no actor. A message is told once, to whoever is
//! subscribed when it comes, on this node at once and on the others by peer links; nothing of it
//! is written, repeated or kept.

mod registry;
mod unread;

use bytes::Bytes;
use kv_store::command::VALUE_BYTES_MAX_DEFAULT;
use raft_net::publication::{PUBLICATION_BYTES_MAX, Publication};

use registry::NAME_BYTES_MAX;
pub(crate) use registry::{Limit, Matched, Registry, Subscriber, Topic};
use unread::UNREAD_BYTES_MAX;
pub(crate) use unread::Unread;

/// The longest message: as long as a value. Units: bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = VALUE_BYTES_MAX_DEFAULT;

/// While so much is to be told on this node already, once for each message and subscriber,
/// nothing more is taken from its own clients: they have sent it all at once.
const UNTOLD_MAX: u64 = 1_000_000;

/// Every message can go to the other nodes.
const _: () = assert!(NAME_BYTES_MAX + MESSAGE_BYTES_MAX <= PUBLICATION_BYTES_MAX);

/// A message with those on this node that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) publication: Publication,
    /// At least one.
    pub(crate) matched: Vec<Matched>,
}

/// What became of a message that somebody on this node said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// How often it is told on this node: once for each name and each pattern of a subscriber
    /// that it matches.
    pub(crate) count: u64,
    /// By what the speaker is told it too, in this order.
    pub(crate) own: Vec<Option<Bytes>>,
}

/// The channels of a node.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    registry: Registry,
    deliveries: Vec<Delivery>,
    spread: Vec<Publication>,
    /// Units: bytes.
    spread_bytes: usize,
    /// How often something is to be told by the deliveries.
    untold: u64,
    pub(crate) unread: Unread,
}

impl Channels {
    /// Who is subscribed.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The same, to be changed.
    pub(crate) fn registry_mut(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Takes a message of somebody on this node: for those here, the speaker apart, and for the
    /// other nodes.
    ///
    /// Errors: if the channel or the message is too long.
    pub(crate) fn publish(
        &mut self,
        speaker: Subscriber,
        channel: &[u8],
        message: &[u8],
    ) -> Result<Told, Limit> {
        if NAME_BYTES_MAX < channel.len() {
            return Err(Limit::Name);
        }
        if MESSAGE_BYTES_MAX < message.len() {
            return Err(Limit::Message);
        }
        if UNTOLD_MAX < self.untold {
            return Err(Limit::Untold);
        }
        let mut matched = self.registry.matching(channel);
        let mut told = Told::default();
        let mut others = 0;
        for one in &mut matched {
            told.count += one.subscribers.len() as u64;
            one.subscribers.retain(|subscriber| *subscriber != speaker);
            others += one.subscribers.len() as u64;
        }
        // Seldom: only then it is worth a second look.
        if others < told.count {
            told.own = self.registry.matching_one(channel, speaker);
            if UNREAD_BYTES_MAX < told.own.len() * message.len() {
                return Err(Limit::OfItself);
            }
        }
        matched.retain(|one| !one.subscribers.is_empty());
        self.untold += told.count;
        let both = [channel, message].concat();
        let mut both = Bytes::from(both);
        let channel = both.split_to(channel.len());
        let publication = Publication { channel, message: both };
        self.spread_bytes += publication.bytes_len();
        self.spread.push(publication.clone());
        if !matched.is_empty() {
            self.deliveries.push(Delivery { publication, matched });
        }
        Ok(told)
    }

    /// Takes a message of somebody on another node.
    pub(crate) fn hear(&mut self, publication: Publication) {
        let matched = self.registry.matching(&publication.channel);
        if !matched.is_empty() {
            self.deliveries.push(Delivery { publication, matched });
        }
    }

    /// What is to be told on this node, in this order.
    pub(crate) fn take_deliveries(&mut self) -> Vec<Delivery> {
        self.untold = 0;
        std::mem::take(&mut self.deliveries)
    }

    /// How much is to be told to the other nodes, if something is. Units: bytes.
    pub(crate) fn spread_bytes(&self) -> Option<usize> {
        (!self.spread.is_empty()).then_some(self.spread_bytes)
    }

    /// Forgets a connection.
    pub(crate) fn forget(&mut self, connection: u64) {
        self.registry.leave_all(connection);
        self.unread.note(connection, 0);
    }

    /// What is to be told to the other nodes, in this order.
    pub(crate) fn take_spread(&mut self) -> Vec<Publication> {
        self.spread_bytes = 0;
        std::mem::take(&mut self.spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriber(connection: u64) -> Subscriber {
        Subscriber { connection, subscription: 0 }
    }

    #[test]
    fn a_message_goes_to_the_others_and_to_the_speaker_apart() {
        let mut channels = Channels::default();
        let registry = channels.registry_mut();
        for connection in [1, 2] {
            registry.subscribe(subscriber(connection), Topic::Channel, b"news").unwrap();
        }
        registry.subscribe(subscriber(1), Topic::Pattern, b"n*").unwrap();
        let told = channels.publish(subscriber(1), b"news", b"hello").unwrap();
        let own = vec![None, Some(Bytes::from_static(b"n*"))];
        assert_eq!(told, Told { count: 3, own });
        let [Delivery { publication, matched }] = &channels.take_deliveries()[..] else {
            panic!("one delivery")
        };
        assert_eq!(
            (&publication.channel[..], &publication.message[..]),
            (&b"news"[..], &b"hello"[..])
        );
        let others = vec![Matched { pattern: None, subscribers: vec![subscriber(2)] }];
        assert_eq!(*matched, others);
        assert_eq!(channels.spread_bytes(), Some(9));
        assert_eq!(channels.take_spread(), std::slice::from_ref(publication));
        assert!(channels.spread_bytes().is_none() && channels.take_deliveries().is_empty());
    }

    #[test]
    fn what_comes_from_another_node_is_not_sent_on() {
        let mut channels = Channels::default();
        let said = |channel| Publication {
            channel: Bytes::from_static(channel),
            message: Bytes::from_static(b"m"),
        };
        channels.hear(said(b"news"));
        assert_eq!(channels.take_deliveries(), []);
        channels.registry_mut().subscribe(subscriber(3), Topic::Pattern, b"*").unwrap();
        channels.hear(said(b"news"));
        assert_eq!(channels.take_deliveries().len(), 1);
        assert_eq!(channels.spread_bytes(), None);
    }

    #[test]
    fn nobody_is_told_so_often_that_memory_ends() {
        let mut channels = Channels::default();
        let one = subscriber(1);
        let patterns = UNREAD_BYTES_MAX / MESSAGE_BYTES_MAX + 1;
        for number in 0..patterns {
            let pattern = format!("*{}", "*".repeat(number));
            channels.registry_mut().subscribe(one, Topic::Pattern, pattern.as_bytes()).unwrap();
        }
        let long = vec![0; MESSAGE_BYTES_MAX];
        assert_eq!(channels.publish(one, b"c", &long), Err(Limit::OfItself));
        assert_eq!((channels.spread_bytes(), channels.take_deliveries()), (None, Vec::new()));
        let told = channels.publish(one, b"c", b"short").unwrap();
        assert_eq!((told.count, told.own.len()), (patterns as u64, patterns));

        for connection in 2..1_002 {
            let other = subscriber(connection);
            channels.registry_mut().subscribe(other, Topic::Channel, b"d").unwrap();
        }
        let said = (0..).take_while(|_| channels.publish(one, b"d", b"m").is_ok()).count();
        assert!((900..=1_001).contains(&said), "{said} messages of a thousand each");
        assert_eq!(channels.publish(one, b"nobody", b"m"), Err(Limit::Untold));
        channels.take_deliveries();
        assert!(channels.publish(one, b"d", b"m").is_ok());
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let mut channels = Channels::default();
        let long = vec![0; MESSAGE_BYTES_MAX + 1];
        assert_eq!(channels.publish(subscriber(1), b"c", &long), Err(Limit::Message));
        assert_eq!(channels.publish(subscriber(1), b"c", &long[1..]), Ok(Told::default()));
        let long = vec![0; NAME_BYTES_MAX + 1];
        assert_eq!(channels.publish(subscriber(1), &long, b""), Err(Limit::Name));
    }
}
