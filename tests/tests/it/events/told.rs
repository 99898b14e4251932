//! Events as a reader has them.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, TryRecvError};

use serde_json::Value;

use crate::harness::wait;

/// A story that is being told.
pub(crate) struct Told {
    reader: Receiver<String>,
    pub(crate) events: Vec<Value>,
}

impl Told {
    pub(crate) fn new(reader: Receiver<String>) -> Self {
        Self { reader, events: Vec::new() }
    }

    /// How much was told by now.
    pub(crate) fn len(&mut self) -> usize {
        loop {
            match self.reader.try_recv() {
                Ok(text) => self.events.push(serde_json::from_str(&text).unwrap()),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return self.events.len(),
            }
        }
    }

    /// Waits for an event that comes after the first `seen`, and returns it.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        seen: usize,
        is_it: impl Fn(&Value) -> bool,
    ) -> Value {
        wait::until(what, async || {
            self.len();
            self.events[seen..].iter().find(|event| is_it(event)).cloned()
        })
        .await
    }

    /// Everything that was told, in the order of its times, when everybody has ended.
    pub(crate) fn whole(mut self) -> Vec<Value> {
        self.len();
        self.events.sort_by_key(|event| (number(event, "at_us"), number(event, "seq")));
        self.events
    }
}

pub(crate) fn number(event: &Value, name: &str) -> u64 {
    event[name].as_u64().unwrap_or(0)
}

pub(crate) fn is(event: &Value, node: u64, kind: &str) -> bool {
    event["node"] == node && event["event"] == kind
}

/// Each node counts its events from 1 in each of its runs, without a gap.
pub(crate) fn check_numbers<'a>(events: impl Iterator<Item = &'a Value>) {
    let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
    for event in events.filter(|event| !event["seq"].is_null()) {
        let (node, seq) = (number(event, "node"), number(event, "seq"));
        let before = newest.insert(node, seq).unwrap_or(0);
        let is_start = event["event"] == "started" && seq == 1;
        assert!(is_start || seq == before + 1, "after {before} of node {node}: {event}");
    }
}
