//! What has happened on all nodes, in the order of time: pure.

use raft_net::client_protocol::{MonitorEntry, MonitorValue};

use super::pages::Part;

/// Events that wait to be shown together; the oldest of more are not shown, and their numbers
/// say so.
const EVENTS_MAX: usize = 4_096;

/// What stands before the time of an event.
const AT: &str = "\"at_us\":";

/// Events as they are written, with their time.
#[derive(Debug, Default)]
pub(super) struct News(Vec<(u64, String)>);

impl News {
    /// Takes the events of a node, oldest first.
    pub(super) fn take(&mut self, entries: Vec<MonitorEntry>) {
        for entry in entries {
            if let MonitorValue::Text(text) = entry.value {
                self.0.push((at_us(&text), text));
            }
        }
        if EVENTS_MAX < self.0.len() {
            self.0.sort_by_key(|(at_us, _)| *at_us);
            self.0.drain(..self.0.len() - EVENTS_MAX);
        }
    }

    /// All of them as a part of the stream, if there are any; then they are forgotten.
    pub(super) fn event(&mut self) -> Option<Part> {
        if self.0.is_empty() {
            return None;
        }
        // Events of a node stay in their order.
        self.0.sort_by_key(|(at_us, _)| *at_us);
        let events: Vec<String> = self.0.drain(..).map(|(_, text)| text).collect();
        Some(format!("event: events\ndata: [{}]\n\n", events.join(",")).into())
    }
}

/// When an event happened. Units: microseconds.
fn at_us(text: &str) -> u64 {
    let digits = text.split_once(AT).map_or("", |(_, rest)| rest);
    let end = digits.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_all_nodes_are_shown_in_the_order_of_time() {
        let entry = |node: u64, at_us: u64| MonitorEntry {
            value: format!("{{\"node\":{node},\"at_us\":{at_us},\"event\":\"role\"}}").into(),
            ..MonitorEntry::default()
        };
        let mut news = News::default();
        assert_eq!(news.event(), None);
        news.take(vec![entry(1, 5), entry(1, 20)]);
        news.take(vec![entry(2, 9)]);
        let shown = String::from_utf8(news.event().unwrap().to_vec()).unwrap();
        let [one, two, three] = [(1, 5), (2, 9), (1, 20)].map(|(node, at_us)| {
            format!("{{\"node\":{node},\"at_us\":{at_us},\"event\":\"role\"}}")
        });
        assert_eq!(shown, format!("event: events\ndata: [{one},{two},{three}]\n\n"));
        assert_eq!(news.event(), None);
    }
}
