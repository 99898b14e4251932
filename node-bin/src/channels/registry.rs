//! Who is subscribed to which channels and patterns.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use crate::glob;

/// The longest name of a channel, and the longest pattern. Units: bytes.
pub(crate) const NAME_BYTES_MAX: usize = 1_024;

/// Channels and patterns of one connection, at most.
pub(crate) const PER_CONNECTION_MAX: usize = 10_000;

/// Subscriptions to channels and patterns of all connections, at most.
const SUBSCRIPTIONS_MAX: usize = 1_000_000;

/// Different patterns of all connections, at most.
const PATTERNS_MAX: usize = 10_000;

/// What all different patterns may take: each is compared with each message, which takes as long
/// as pattern and channel together in the worst case, each byte with each. Units: bytes.
const PATTERNS_BYTES_MAX: usize = 128 * 1024;

/// What all names and patterns may take. Units: bytes.
const NAMES_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Channels that are listed at once, at most.
pub(crate) const LISTED_MAX: usize = 10_000;

/// Who is told messages: a connection, and which of its subscriptions if it has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subscriber {
    pub(crate) connection: u64,
    pub(crate) subscription: u64,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// The channel of this name.
    Channel,
    /// Every channel whose name matches.
    Pattern,
}

/// Why something is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Limit {
    #[error("a channel or a pattern of more than {NAME_BYTES_MAX} bytes")]
    Name,
    #[error("a message of more than {} bytes", super::MESSAGE_BYTES_MAX)]
    Message,
    #[error("more than {PER_CONNECTION_MAX} channels and patterns of one connection")]
    Connection,
    #[error("a message that the connection itself would be told too often, nobody is told it")]
    OfItself,
    #[error("too much is to be told to subscribers already, nobody is told it; try again")]
    Untold,
    #[error("this node has as many subscriptions as it can have, try another node")]
    Node,
    #[error("there are more than {LISTED_MAX} channels")]
    Listed,
}

/// Who is to be told a message for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Matched {
    /// The pattern; `None` for the name itself.
    pub(crate) pattern: Option<Bytes>,
    pub(crate) subscribers: Vec<Subscriber>,
}

/// Who is subscribed to what.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    channels: HashMap<Bytes, BTreeSet<Subscriber>>,
    patterns: HashMap<Bytes, BTreeSet<Subscriber>>,
    subscribers: BTreeMap<Subscriber, Subscribed>,
    /// Of those that have some.
    count_of_connections: HashMap<u64, usize>,
    count: usize,
    /// Of each different pattern once. Units: bytes.
    pattern_bytes: usize,
    /// Of each different name once. Units: bytes.
    bytes: usize,
}

/// What one subscriber is subscribed to.
#[derive(Debug, Default)]
struct Subscribed {
    channels: BTreeSet<Bytes>,
    patterns: BTreeSet<Bytes>,
}

impl Subscribed {
    fn names(&mut self, topic: Topic) -> &mut BTreeSet<Bytes> {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
        }
    }

    fn len(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }
}

impl Registry {
    /// Subscribes; to what one is subscribed to already it changes nothing.
    ///
    /// Errors: if the name is too long, or there are too many; nothing has changed.
    pub(crate) fn subscribe(
        &mut self,
        subscriber: Subscriber,
        topic: Topic,
        name: &[u8],
    ) -> Result<(), Limit> {
        if NAME_BYTES_MAX < name.len() {
            return Err(Limit::Name);
        }
        let has = self.subscribers.get_mut(&subscriber);
        if has.is_some_and(|has| has.names(topic).contains(name)) {
            return Ok(());
        }
        let of_connection = self.count_of_connections.get(&subscriber.connection);
        if of_connection.is_some_and(|count| PER_CONNECTION_MAX <= *count) {
            return Err(Limit::Connection);
        }
        let known = self.topics(topic).get_key_value(name).map(|(name, _)| name.clone());
        let is_new = known.is_none();
        let has_room = self.count < SUBSCRIPTIONS_MAX
            && (!is_new || self.bytes + name.len() <= NAMES_BYTES_MAX)
            && !(is_new && topic == Topic::Pattern && !self.has_room_for_pattern(name));
        if !has_room {
            return Err(Limit::Node);
        }
        let name = known.unwrap_or_else(|| Bytes::copy_from_slice(name));
        if is_new {
            self.bytes += name.len();
            self.pattern_bytes += if topic == Topic::Pattern { name.len() } else { 0 };
        }
        self.count += 1;
        *self.count_of_connections.entry(subscriber.connection).or_default() += 1;
        self.topics(topic).entry(name.clone()).or_default().insert(subscriber);
        self.subscribers.entry(subscriber).or_default().names(topic).insert(name);
        Ok(())
    }

    /// Ends a subscription, if there is one.
    pub(crate) fn unsubscribe(&mut self, subscriber: Subscriber, topic: Topic, name: &[u8]) {
        let Some(subscribed) = self.subscribers.get_mut(&subscriber) else { return };
        if subscribed.names(topic).remove(name) {
            if subscribed.len() == 0 {
                self.subscribers.remove(&subscriber);
            }
            self.remove(subscriber, topic, name);
        }
    }

    /// Ends every subscription of one subscriber.
    pub(crate) fn leave(&mut self, subscriber: Subscriber) {
        let Some(Subscribed { channels, patterns }) = self.subscribers.remove(&subscriber) else {
            return;
        };
        channels.iter().for_each(|name| self.remove(subscriber, Topic::Channel, name));
        patterns.iter().for_each(|name| self.remove(subscriber, Topic::Pattern, name));
    }

    /// Ends every subscription of a connection; returns who they were.
    pub(crate) fn leave_all(&mut self, connection: u64) -> Vec<Subscriber> {
        let all: Vec<_> = self.of_connection(connection).map(|(it, _)| *it).collect();
        all.iter().for_each(|subscriber| self.leave(*subscriber));
        all
    }

    /// Takes a subscriber away from a name.
    fn remove(&mut self, subscriber: Subscriber, topic: Topic, name: &[u8]) {
        self.count -= 1;
        if let Some(count) = self.count_of_connections.get_mut(&subscriber.connection) {
            *count -= 1;
            if *count == 0 {
                self.count_of_connections.remove(&subscriber.connection);
            }
        }
        let topics = self.topics(topic);
        let Some(subscribers) = topics.get_mut(name) else { return };
        subscribers.remove(&subscriber);
        if subscribers.is_empty() {
            topics.remove(name);
            self.bytes -= name.len();
            self.pattern_bytes -= if topic == Topic::Pattern { name.len() } else { 0 };
        }
    }

    /// To how many channels and patterns somebody is subscribed.
    pub(crate) fn count(&self, subscriber: Subscriber) -> usize {
        self.subscribers.get(&subscriber).map_or(0, Subscribed::len)
    }

    /// Whether there is such a subscriber.
    pub(crate) fn has(&self, subscriber: Subscriber) -> bool {
        self.subscribers.contains_key(&subscriber)
    }

    /// The names that somebody is subscribed to, in their order.
    pub(crate) fn names(&self, subscriber: Subscriber, topic: Topic) -> Vec<Bytes> {
        let Some(subscribed) = self.subscribers.get(&subscriber) else { return Vec::new() };
        match topic {
            Topic::Channel => subscribed.channels.iter().cloned().collect(),
            Topic::Pattern => subscribed.patterns.iter().cloned().collect(),
        }
    }

    /// Who is to be told what is said on a channel: by its name, then by patterns.
    pub(crate) fn matching(&self, channel: &[u8]) -> Vec<Matched> {
        let all = |subscribers: &BTreeSet<Subscriber>| subscribers.iter().copied().collect();
        let by_name = self.channels.get(channel).map(all);
        let by_name = by_name.map(|subscribers| Matched { pattern: None, subscribers });
        let patterns = self.patterns.iter().filter(|(pattern, _)| glob::matches(pattern, channel));
        let by_pattern = patterns.map(|(pattern, subscribers)| Matched {
            pattern: Some(pattern.clone()),
            subscribers: all(subscribers),
        });
        by_name.into_iter().chain(by_pattern).collect()
    }

    /// By what one subscriber is to be told what is said on a channel.
    pub(crate) fn matching_one(
        &self,
        channel: &[u8],
        subscriber: Subscriber,
    ) -> Vec<Option<Bytes>> {
        let Some(Subscribed { channels, patterns }) = self.subscribers.get(&subscriber) else {
            return Vec::new();
        };
        let by_name = channels.contains(channel).then_some(None);
        let by_pattern = patterns.iter().filter(|pattern| glob::matches(pattern, channel));
        by_name.into_iter().chain(by_pattern.cloned().map(Some)).collect()
    }

    /// How many are subscribed to a channel by its name.
    pub(crate) fn count_of_channel(&self, channel: &[u8]) -> usize {
        self.channels.get(channel).map_or(0, BTreeSet::len)
    }

    /// How many different patterns there are.
    pub(crate) fn count_of_patterns(&self) -> usize {
        self.patterns.len()
    }

    /// The channels that have subscribers by their names, in order; those that match a pattern.
    ///
    /// Errors: if there are too many, or the pattern is too long.
    pub(crate) fn list(&self, pattern: Option<&[u8]>) -> Result<Vec<Bytes>, Limit> {
        if pattern.is_some_and(|pattern| NAME_BYTES_MAX < pattern.len()) {
            return Err(Limit::Name);
        }
        let is_shown = |name: &&Bytes| pattern.is_none_or(|pattern| glob::matches(pattern, name));
        let mut names: Vec<_> =
            self.channels.keys().filter(is_shown).take(LISTED_MAX + 1).cloned().collect();
        if LISTED_MAX < names.len() {
            return Err(Limit::Listed);
        }
        names.sort_unstable();
        Ok(names)
    }

    fn topics(&mut self, topic: Topic) -> &mut HashMap<Bytes, BTreeSet<Subscriber>> {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
        }
    }

    fn of_connection(&self, connection: u64) -> impl Iterator<Item = (&Subscriber, &Subscribed)> {
        let first = Subscriber { connection, subscription: 0 };
        let last = Subscriber { connection, subscription: u64::MAX };
        self.subscribers.range(first..=last)
    }

    fn has_room_for_pattern(&self, pattern: &[u8]) -> bool {
        self.patterns.len() < PATTERNS_MAX
            && self.pattern_bytes + pattern.len() <= PATTERNS_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriber(connection: u64, subscription: u64) -> Subscriber {
        Subscriber { connection, subscription }
    }

    /// Everything is as if nobody had ever come.
    fn assert_empty(registry: &Registry) {
        assert!(registry.channels.is_empty() && registry.patterns.is_empty());
        assert!(registry.subscribers.is_empty());
        assert_eq!((registry.count, registry.bytes, registry.pattern_bytes), (0, 0, 0));
        assert!(registry.count_of_connections.is_empty());
    }

    #[test]
    fn whoever_matches_is_found_by_name_and_by_pattern() {
        let mut registry = Registry::default();
        let (one, two) = (subscriber(1, 0), subscriber(2, 7));
        registry.subscribe(one, Topic::Channel, b"news.art").unwrap();
        registry.subscribe(two, Topic::Channel, b"news.art").unwrap();
        registry.subscribe(two, Topic::Pattern, b"news.*").unwrap();
        registry.subscribe(two, Topic::Pattern, b"*.tech").unwrap();
        let matched = registry.matching(b"news.art");
        let pattern = Some(Bytes::from_static(b"news.*"));
        let by_pattern = Matched { pattern: pattern.clone(), subscribers: vec![two] };
        assert_eq!(
            matched,
            [Matched { pattern: None, subscribers: vec![one, two] }, by_pattern.clone()]
        );
        assert_eq!(registry.matching_one(b"news.art", two), [None, pattern]);
        assert_eq!(registry.matching_one(b"news.art", subscriber(2, 8)), []);
        assert_eq!(registry.matching(b"old"), []);
        registry.leave(one);
        registry.unsubscribe(two, Topic::Channel, b"news.art");
        assert_eq!(registry.matching(b"news.art"), [by_pattern]);
        assert_eq!((registry.count(two), registry.has(one)), (2, false));
        assert_eq!(registry.leave_all(2), [two]);
        assert_empty(&registry);
    }

    #[test]
    fn a_name_counts_once_for_a_subscriber() {
        let mut registry = Registry::default();
        let one = subscriber(1, 0);
        for _ in 0..2 {
            registry.subscribe(one, Topic::Channel, b"a").unwrap();
            registry.subscribe(one, Topic::Pattern, b"a").unwrap();
        }
        assert_eq!((registry.count(one), registry.count_of_channel(b"a")), (2, 1));
        assert_eq!((registry.count_of_patterns(), registry.count), (1, 2));
        registry.unsubscribe(one, Topic::Channel, b"b");
        registry.unsubscribe(subscriber(2, 0), Topic::Channel, b"a");
        assert_eq!(registry.names(one, Topic::Channel), [Bytes::from_static(b"a")]);
        registry.unsubscribe(one, Topic::Channel, b"a");
        registry.unsubscribe(one, Topic::Pattern, b"a");
        assert_empty(&registry);
    }

    #[test]
    fn channels_are_listed_in_order() {
        let mut registry = Registry::default();
        for name in [&b"b"[..], b"a", b"ab", b""] {
            registry.subscribe(subscriber(1, 0), Topic::Channel, name).unwrap();
        }
        registry.subscribe(subscriber(1, 0), Topic::Pattern, b"x*").unwrap();
        let listed = |pattern: Option<&[u8]>| {
            registry.list(pattern).unwrap().iter().map(|it| it.to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(listed(None), [&b""[..], b"a", b"ab", b"b"]);
        assert_eq!(listed(Some(b"a*")), [&b"a"[..], b"ab"]);
    }

    #[test]
    fn there_is_a_limit_to_everything() {
        let mut registry = Registry::default();
        let long = vec![b'x'; NAME_BYTES_MAX + 1];
        let one = subscriber(1, 0);
        assert_eq!(registry.subscribe(one, Topic::Pattern, &long), Err(Limit::Name));
        assert_eq!(registry.list(Some(&long)), Err(Limit::Name));
        for number in 0..PER_CONNECTION_MAX {
            // Of several subscriptions of the same connection.
            let subscription = u64::from(number % 2 == 0);
            let name = format!("{number}");
            registry
                .subscribe(subscriber(1, subscription), Topic::Pattern, name.as_bytes())
                .unwrap();
        }
        assert_eq!(registry.subscribe(one, Topic::Channel, b"more"), Err(Limit::Connection));
        // All of the patterns that there can be are there.
        let two = subscriber(2, 0);
        assert_eq!(registry.subscribe(two, Topic::Pattern, b"more"), Err(Limit::Node));
        registry.subscribe(two, Topic::Pattern, b"1").unwrap();
        registry.subscribe(two, Topic::Channel, b"more").unwrap();
        registry.subscribe(one, Topic::Pattern, b"1").unwrap();
        assert_eq!(registry.count, PER_CONNECTION_MAX + 2);
        registry.unsubscribe(two, Topic::Pattern, b"1");
        registry.unsubscribe(one, Topic::Pattern, b"1");
        assert_eq!(registry.subscribe(two, Topic::Pattern, &long[1..]), Ok(()));
        registry.unsubscribe(two, Topic::Pattern, &long[1..]);
        (2..1_000).for_each(|number: usize| {
            let subscriber = subscriber(1, u64::from(number.is_multiple_of(2)));
            registry.unsubscribe(subscriber, Topic::Pattern, format!("{number}").as_bytes());
        });
        let longest = |number: usize| format!("{number:0>1024}");
        let mut fits = 0;
        while registry.subscribe(two, Topic::Pattern, longest(fits).as_bytes()).is_ok() {
            fits += 1;
        }
        assert!((80..=128).contains(&fits), "{fits} patterns of the longest");
        let all = (0..=LISTED_MAX).map(|number| format!("c{number}"));
        for (number, name) in all.enumerate() {
            let connection = 3 + (number / PER_CONNECTION_MAX) as u64;
            let subscriber = subscriber(connection, 0);
            registry.subscribe(subscriber, Topic::Channel, name.as_bytes()).unwrap();
        }
        assert_eq!(registry.list(None), Err(Limit::Listed));
        (1..=4).for_each(|connection| drop(registry.leave_all(connection)));
        assert_empty(&registry);
    }
}
