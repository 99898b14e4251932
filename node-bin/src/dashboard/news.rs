//! What has happened on all nodes, in the order of time: pure.

use std::collections::VecDeque;

use raft_net::client_protocol::{MonitorEntry, MonitorValue};

use super::pages::Part;

/// Events that wait to be shown together; the oldest of more are not shown, and their numbers
/// say so.
const EVENTS_MAX: usize = 4_096;

/// So many frequent events are shown together; of more, a part: no page draws them all, and every
/// open page is sent each.
const FREQUENT_MAX: usize = 100;

/// What stands before the time of an event, before the number of a message, and before the number
/// of an event.
const AT: &str = "\"at_us\":";
const ID: &str = "\"id\":";
const SEQ: &str = "\"seq\":";

/// What stands before its name.
const NAME: &str = "\"event\":\"";

/// What stands in a heartbeat.
const HEARTBEAT: &str = "\"is_heartbeat\":true";

/// The newest events are kept for pages that are opened later; without heartbeats, which would
/// leave no room for others.
const KEPT_MAX: usize = 300;

/// What is told of every turn and every message: of before somebody looked it is left out.
const FREQUENT: [&str; 4] = ["message", "appended", "persisted", "committed"];

/// Events as they are written.
#[derive(Debug, Default)]
pub(super) struct News {
    fresh: Vec<Event>,
    kept: VecDeque<String>,
}

#[derive(Debug)]
struct Event {
    at_us: u64,
    is_frequent: bool,
    text: String,
}

impl News {
    /// Takes the events of a node, oldest first; of those up to the number `old` the rare ones.
    pub(super) fn take(&mut self, entries: Vec<MonitorEntry>, old: u64) {
        for entry in entries {
            let number = entry.path.rsplit('/').next().and_then(|number| number.parse().ok());
            let MonitorValue::Text(text) = entry.value else { continue };
            if !is_document(&text) {
                continue;
            }
            let is_old = number.is_some_and(|number: u64| number <= old);
            let is_frequent = FREQUENT.iter().any(|name| is_called(&text, name));
            if !is_old || !is_frequent {
                self.fresh.push(Event { at_us: number_behind(AT, &text), is_frequent, text });
            }
        }
        if EVENTS_MAX < self.fresh.len() {
            self.fresh.sort_by_key(|event| event.at_us);
            self.fresh.drain(..self.fresh.len() - EVENTS_MAX);
        }
    }

    /// All of them as a part of the stream, if there are any.
    pub(super) fn event(&mut self) -> Option<Part> {
        if self.fresh.is_empty() {
            return None;
        }
        let frequent = self.fresh.iter().filter(|event| event.is_frequent).count();
        let every = frequent.div_ceil(FREQUENT_MAX);
        if 1 < every {
            self.fresh.retain(|event| !event.is_frequent || is_one_in(every, &event.text));
        }
        // Events of a node stay in their order.
        self.fresh.sort_by_key(|event| event.at_us);
        let events: Vec<String> = self.fresh.drain(..).map(|event| event.text).collect();
        let part = part(&events);
        self.kept.extend(events.into_iter().filter(|text| !text.contains(HEARTBEAT)));
        self.kept.drain(..self.kept.len().saturating_sub(KEPT_MAX));
        Some(part)
    }

    /// The newest of those that were shown, if there are any.
    pub(super) fn kept(&self) -> Option<Part> {
        let kept: Vec<String> = self.kept.iter().cloned().collect();
        (!kept.is_empty()).then(|| part(&kept))
    }
}

fn part(events: &[String]) -> Part {
    format!("event: events\ndata: [{}]\n\n", events.join(",")).into()
}

/// Whether an event has this name. Names and numbers stand in events, and no texts of users.
fn is_called(text: &str, name: &str) -> bool {
    text.split_once(NAME)
        .is_some_and(|(_, rest)| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('"')))
}

/// Whether a text of another node may stand among events: a broken one would break all, and a
/// line break would end the part of the stream.
fn is_document(text: &str) -> bool {
    !text.contains(char::is_control)
        && text.starts_with('{')
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Whether an event is shown if one in so many is. Both ends of a link tell a message with the
/// same number, and both or neither are shown.
fn is_one_in(every: usize, text: &str) -> bool {
    let number = if text.contains(ID) { ID } else { SEQ };
    // Those that nodes tell under load have low bits in common.
    let mixed = number_behind(number, text).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    mixed.is_multiple_of(every as u64)
}

/// A number of an event; 0 if it is not there.
fn number_behind(name: &str, text: &str) -> u64 {
    let digits = text.split_once(name).map_or("", |(_, rest)| rest);
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
        news.take(vec![entry(1, 5), entry(1, 20)], 0);
        news.take(vec![entry(2, 9)], 0);
        let shown = String::from_utf8(news.event().unwrap().to_vec()).unwrap();
        let [one, two, three] = [(1, 5), (2, 9), (1, 20)].map(|(node, at_us)| {
            format!("{{\"node\":{node},\"at_us\":{at_us},\"event\":\"role\"}}")
        });
        assert_eq!(shown, format!("event: events\ndata: [{one},{two},{three}]\n\n"));
        assert_eq!(news.event(), None);
        assert_eq!(news.kept().unwrap(), shown, "for pages that come later");
    }

    #[test]
    fn of_much_that_is_frequent_a_part_is_shown_with_both_ends_of_each_message() {
        let message = |node: u64, id: u64| MonitorEntry {
            value: format!("{{\"node\":{node},\"at_us\":1,\"event\":\"message\",\"id\":{id}}}")
                .into(),
            ..MonitorEntry::default()
        };
        let rare = "{\"node\":3,\"seq\":1,\"at_us\":1,\"event\":\"role\"}";
        let rare = MonitorEntry { value: rare.to_owned().into(), ..MonitorEntry::default() };
        let mut news = News::default();
        let ids = || (1..=10 * FREQUENT_MAX as u64).map(|id| id << 4);
        news.take(ids().map(|id| message(1, id)).collect(), 0);
        news.take(ids().map(|id| message(2, id)).chain([rare]).collect(), 0);
        let shown = String::from_utf8(news.event().unwrap().to_vec()).unwrap();
        let of = |node: u64| {
            let begins = format!("{{\"node\":{node},");
            let events = shown.split(&begins).skip(1).map(|rest| number_behind(ID, rest));
            events.collect::<Vec<_>>()
        };
        assert_eq!(of(1), of(2));
        assert!((20..=80).contains(&of(1).len()), "{}", of(1).len());
        assert_eq!(of(3).len(), 1, "what is rare is shown in any case");
    }

    #[test]
    fn what_is_no_document_is_not_shown() {
        let mut news = News::default();
        for text in ["{\"at_us\":1", "{}\n", "7", "{},{}", "{\"a\":\n1}"] {
            let entry = MonitorEntry { value: text.to_owned().into(), ..MonitorEntry::default() };
            news.take(vec![entry], 0);
            assert_eq!(news.event(), None, "{text:?}");
        }
    }

    #[test]
    fn of_the_past_what_is_rare_is_shown_and_heartbeats_are_not_kept() {
        let entry = |seq: u64, event: &str| MonitorEntry {
            path: format!("events/{seq}"),
            value: format!("{{\"seq\":{seq},\"at_us\":{seq},\"event\":\"{event}\"}}").into(),
            ..MonitorEntry::default()
        };
        let heartbeat = "message\",\"is_heartbeat\":true,\"type\":\"Heartbeat";
        let mut news = News::default();
        let told = ["role", "message", "committed", "members", heartbeat, "appended"];
        news.take((1..).zip(told).map(|(seq, name)| entry(seq, name)).collect(), 4);
        let shown = String::from_utf8(news.event().unwrap().to_vec()).unwrap();
        let seqs = |text: &str| text.matches("\"seq\":").count();
        assert_eq!(seqs(&shown), 4, "{shown}");
        let kept = String::from_utf8(news.kept().unwrap().to_vec()).unwrap();
        assert!(seqs(&kept) == 3 && !kept.contains(HEARTBEAT), "{kept}");
    }
}
