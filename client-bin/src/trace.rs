//! The way of one request through the nodes, in one order.
//!
//! Each node notes times by its own clock. How far apart two clocks are is known from when a
//! question left and its answer came, to within the round trip; and what a node heard cannot have
//! come before it was said, which narrows it further. With a shift for each node that fits all of
//! that, nothing comes before its cause.

use std::collections::BTreeMap;

use crate::monitor::{MonitorAnswer, MonitorEntry, MonitorPart};

/// Something that a node saw of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The node.
    pub node_id: u64,
    /// When, from the first step on. Units: microseconds.
    pub at_us: i64,
    /// What, as a word of `docs/monitor.md`.
    pub word: String,
    /// The node, index or number that it is about.
    pub about: u64,
}

/// What is said by one node and heard by another.
const MESSAGES: [(&str, &str); 5] = [
    ("forward-to", "forward-from"),
    ("append-to", "append-from"),
    ("stored-to", "stored-from"),
    ("index-asked-of", "index-asked-by"),
    ("index-to", "index-from"),
];

/// In which order steps stand that have one time.
const ORDER: [&str; 19] = [
    "request",
    "round",
    "queries",
    "forward-to",
    "forward-from",
    "index-asked-of",
    "index-asked-by",
    "confirm-to",
    "confirm-from",
    "index-to",
    "index-from",
    "append-to",
    "append-from",
    "log",
    "synced",
    "stored-to",
    "stored-from",
    "committed",
    "applied",
];

/// How much has to be added to the clock of a node: at least and at most. Units: microseconds.
#[derive(Clone, Copy, Debug)]
struct Shift {
    least: i64,
    most: i64,
}

impl Shift {
    const UNKNOWN: Self = Self { least: i64::MIN / 4, most: i64::MAX / 4 };

    fn narrow(&mut self, least: i64, most: i64) {
        self.least = self.least.max(least);
        self.most = self.most.min(most);
    }

    /// One that fits; where the clocks contradict each other, what was heard came later.
    fn chosen(self) -> i64 {
        if self.most < self.least { self.least } else { self.least + (self.most - self.least) / 2 }
    }
}

/// All steps in their order, of answers in which nodes were told to look out and asked what they
/// saw.
#[must_use]
pub fn in_order(answers: &[MonitorAnswer]) -> Vec<Step> {
    let (mut shifts, mut steps) = (BTreeMap::new(), Vec::new());
    for part in answers.iter().flat_map(|answer| &answer.parts) {
        if part.error.is_none() {
            narrow_by_round_trip(&mut shifts, part);
            steps.extend(part.entries.iter().filter_map(|entry| step(part.node_id, entry)));
        }
    }
    let shifts = settle(shifts, &steps);
    for step in &mut steps {
        step.at_us += shifts.get(&step.node_id).copied().unwrap_or(0);
    }
    let place =
        |step: &Step| ORDER.iter().position(|word| *word == step.word).unwrap_or(ORDER.len());
    steps.sort_by_key(|step| (step.at_us, place(step), step.node_id));
    let first = steps.first().map_or(0, |step| step.at_us);
    steps.iter_mut().for_each(|step| step.at_us -= first);
    steps
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX / 4)
}

fn narrow_by_round_trip(shifts: &mut BTreeMap<u64, Shift>, part: &MonitorPart) {
    let shift = shifts.entry(part.node_id).or_insert(Shift::UNKNOWN);
    if part.heard_us == 0 {
        // The node that was asked, by whose clock all is told.
        shift.narrow(0, 0);
    } else {
        let clock = signed(part.clock_us);
        shift.narrow(signed(part.asked_us) - clock, signed(part.heard_us) - clock);
    }
}

fn step(node_id: u64, entry: &MonitorEntry) -> Option<Step> {
    let at_us = entry.path.rsplit('/').next()?.parse().ok()?;
    let value = entry.value.to_string();
    let (word, about) = value.split_once(' ')?;
    Some(Step { node_id, at_us, word: word.to_owned(), about: about.parse().ok()? })
}

/// Chooses a shift for each node, one after the other: first those whose shift is known best.
fn settle(mut shifts: BTreeMap<u64, Shift>, steps: &[Step]) -> BTreeMap<u64, i64> {
    let mut chosen = BTreeMap::new();
    while let Some((&id, _)) = shifts.iter().min_by_key(|(_, shift)| shift.most - shift.least) {
        let shift = shifts.remove(&id).expect("it was found just now").chosen();
        chosen.insert(id, shift);
        for (from, to) in exchanges(steps) {
            if from.node_id == id
                && let Some(other) = shifts.get_mut(&to.node_id)
            {
                other.least = other.least.max(from.at_us + shift - to.at_us);
            } else if to.node_id == id
                && let Some(other) = shifts.get_mut(&from.node_id)
            {
                other.most = other.most.min(to.at_us + shift - from.at_us);
            }
        }
    }
    chosen
}

/// What one node said, with where another one heard it.
fn exchanges(steps: &[Step]) -> impl Iterator<Item = (&Step, &Step)> {
    steps.iter().filter_map(move |from| {
        let (_, heard) = MESSAGES.iter().find(|(said, _)| *said == from.word)?;
        let is_it =
            |to: &&Step| to.word == *heard && to.node_id == from.about && to.about == from.node_id;
        Some((from, steps.iter().find(is_it)?))
    })
}

impl Step {
    /// For people.
    #[must_use]
    pub fn in_words(&self) -> String {
        let about = self.about;
        match self.word.as_str() {
            "request" => "Api takes the request".to_owned(),
            "round" => format!("Consensus takes it, in a round of {about}"),
            "queries" => format!("Consensus takes it, with {about} queries in all"),
            "forward-to" => format!("forwards it to node {about}, which leads"),
            "forward-from" => format!("has it forwarded by node {about}"),
            "append-to" => format!("sends it to node {about}"),
            "append-from" => format!("has it from node {about}"),
            "log" => format!("Consensus hands it to the LogStore, index {about}"),
            "synced" => format!("the LogStore has synced it, which took {about} us"),
            "stored-to" => format!("tells node {about} that it is on disk"),
            "stored-from" => format!("hears that it is on the disk of node {about}"),
            "committed" => format!("knows that index {about} is committed"),
            "applied" => format!("applies it, revision {about}"),
            "answered" => "Consensus hands the answer to Api".to_owned(),
            "reply" => "Api replies".to_owned(),
            "index-asked-of" => format!("asks node {about} how far reads must be"),
            "index-asked-by" => format!("is asked by node {about} how far reads must be"),
            "index-to" => format!("tells node {about} how far reads must be"),
            "index-from" => format!("hears from node {about} how far reads must be"),
            "confirm-to" => format!("asks node {about} whether it still leads"),
            "confirm-from" => format!("hears from node {about} that it still leads"),
            other => format!("{} {about}", other.escape_debug()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(node_id: u64, clock_us: u64, trip: (u64, u64), notes: &[(u64, &str)]) -> MonitorPart {
        let entry = |(at_us, value): &(u64, &str)| MonitorEntry {
            path: format!("trace/{at_us}"),
            value: (*value).into(),
            settable: false,
        };
        MonitorPart {
            node_id,
            clock_us,
            asked_us: trip.0,
            heard_us: trip.1,
            entries: notes.iter().map(entry).collect(),
            ..MonitorPart::default()
        }
    }

    const BASE: u64 = 5_000_000;

    /// A put through node 2, which is asked; node 1 leads and its clock is a million behind.
    fn answers() -> [MonitorAnswer; 2] {
        let (early, late) = ((BASE - 400, BASE + 400), (BASE + 8_800, BASE + 9_900));
        let armed = vec![
            part(2, BASE, (0, 0), &[]),
            part(1, BASE - 1_000_000, early, &[]),
            part(3, BASE + 77, early, &[]),
        ];
        let asked = [
            (BASE + 1_000, "request 0"),
            (BASE + 1_010, "round 1"),
            (BASE + 1_020, "forward-to 1"),
            (BASE + 1_100, "append-from 1"),
            (BASE + 1_110, "log 7"),
            (BASE + 1_200, "synced 80"),
            (BASE + 1_210, "stored-to 1"),
            (BASE + 1_400, "committed 7"),
            (BASE + 1_400, "applied 4"),
            (BASE + 1_400, "answered 0"),
            (BASE + 1_410, "reply 0"),
        ];
        let leader = [
            (BASE - 999_230, "forward-from 2"),
            (BASE - 999_220, "log 7"),
            (BASE - 999_220, "append-to 2"),
            (BASE - 999_220, "append-to 3"),
            (BASE - 999_100, "synced 60"),
            (BASE - 999_020, "stored-from 2"),
            (BASE - 999_020, "committed 7"),
        ];
        let other = [(BASE + 1_000, "append-from 1"), (BASE + 1_130, "stored-to 1")];
        let seen = vec![
            part(2, BASE + 9_000, (0, 0), &asked),
            part(1, BASE - 991_000, late, &leader),
            part(3, BASE + 9_077, late, &other),
        ];
        [armed, seen].map(|parts| MonitorAnswer { parts })
    }

    #[test]
    fn steps_of_clocks_that_are_far_apart_stand_in_the_order_of_their_causes() {
        let steps = in_order(&answers());
        assert_eq!(steps.len(), 20, "{steps:#?}");
        assert!(steps.windows(2).all(|pair| pair[0].at_us <= pair[1].at_us));
        let place = |node_id: u64, word: &str| {
            let is_it = |step: &Step| step.node_id == node_id && step.word == word;
            steps.iter().position(is_it).unwrap_or_else(|| panic!("{node_id} {word}"))
        };
        for ((from, said), (to, heard)) in [
            ((2, "request"), (2, "forward-to")),
            ((2, "forward-to"), (1, "forward-from")),
            ((1, "append-to"), (2, "append-from")),
            ((1, "append-to"), (3, "append-from")),
            ((2, "stored-to"), (1, "stored-from")),
            ((1, "committed"), (2, "committed")),
            ((2, "applied"), (2, "reply")),
        ] {
            assert!(place(from, said) < place(to, heard), "{said} of {from}: {steps:#?}");
        }
        assert_eq!((steps[0].at_us, steps[0].in_words().as_str()), (0, "Api takes the request"));
    }

    #[test]
    fn what_nobody_can_make_out_is_left_out() {
        let bad = part(1, 0, (0, 0), &[(1, "request"), (2, "x y"), (3, "reply 0")]);
        let steps = in_order(&[MonitorAnswer { parts: vec![bad] }]);
        assert_eq!(steps.len(), 1);
        assert!(in_order(&[]).is_empty());
    }
}
