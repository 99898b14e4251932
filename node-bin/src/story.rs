//! Hands on what happens on nodes, while they run, to whoever writes it down (`docs/events.md`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use actix::{Actor, Context, Handler};
use raft_core::types::NodeId;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::fault::FaultGuard;
use crate::monitor::events::Happened;

/// As many events wait to be written at most; what comes then is left out and counted.
const WAITING_MAX: usize = 16_384;

/// Takes the events of any number of nodes.
#[derive(Clone, Debug)]
pub struct Story {
    to: SyncSender<String>,
    lost: Arc<AtomicU64>,
}

impl Story {
    /// A story and its reader, to whom each event comes as a JSON document. When every node and
    /// everybody else who tells has ended, so does the story.
    #[must_use]
    pub fn begin() -> (Self, Receiver<String>) {
        let (to, reader) = sync_channel(WAITING_MAX);
        (Self { to, lost: Arc::default() }, reader)
    }

    /// Tells what was done to a node from outside. Units of what is told: by their names.
    pub(crate) fn tell(&self, node: NodeId, event: &str, about: &[(&str, Value)]) {
        let mut fields = json!({
            "node": node.number(), "at_us": Clock::wall_time(), "event": event,
        });
        for (name, value) in about {
            fields[name] = value.clone();
        }
        self.hand_on(node.number(), fields.to_string());
    }

    /// A reader that is slow loses events and is told so; one that is gone wants none.
    fn hand_on(&self, node: u64, text: String) {
        let count = self.lost.swap(0, Ordering::Relaxed);
        if count != 0 {
            let lost =
                json!({"node": node, "at_us": Clock::wall_time(), "event": "lost", "count": count});
            if let Err(TrySendError::Full(_)) = self.to.try_send(lost.to_string()) {
                self.lost.fetch_add(count + 1, Ordering::Relaxed);
                return;
            }
        }
        if let Err(TrySendError::Full(_)) = self.to.try_send(text) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The actor that tells the story of one node.
#[derive(Debug)]
pub(crate) struct Teller {
    story: Story,
    node: u64,
    _fault: FaultGuard,
}

impl Teller {
    pub(crate) fn new(story: Story, node: u64, fault: FaultGuard) -> Self {
        Self { story, node, _fault: fault }
    }
}

impl Actor for Teller {
    type Context = Context<Self>;
}

impl Handler<Happened> for Teller {
    type Result = ();

    fn handle(&mut self, Happened(dated): Happened, _: &mut Self::Context) {
        for event in dated {
            self.story.hand_on(self.node, event.to_json(self.node));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_is_told_how_much_it_lost() {
        let (story, reader) = Story::begin();
        let node = NodeId::new(1).expect("one is a number");
        for _ in 0..WAITING_MAX + 10 {
            story.tell(node, "paused", &[]);
        }
        let told: Vec<String> = reader.try_iter().collect();
        assert_eq!(told.len(), WAITING_MAX);
        story.tell(node, "resumed", &[]);
        let told: Vec<String> = reader.try_iter().collect();
        assert_eq!(told.len(), 2);
        assert!(told[0].contains("\"lost\"") && told[0].contains("10"), "{}", told[0]);
        drop(reader);
        story.tell(node, "paused", &[]);
    }
}
