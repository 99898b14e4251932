//! Figures from measurements: medians, ratios of neighbours, a table for people.

use std::fmt::Write as _;

use super::plan::{Comparison, Pairs};
use crate::measurement::Measurement;
use crate::probe::Gap;

/// Between these a cluster of Kvorum begins an election. Units: milliseconds.
const ELECTION_TIMEOUT_UPPER_MS: f64 = 500.0;

/// Above this the machine changed so much during the run that it should be repeated.
const FLOOR_DRIFT_MAX: f64 = 0.2;

/// The middle of some figures, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The one in the middle, or the mean of the two there.
    pub median: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
}

/// What a ratio to etcd has to be.
#[derive(Clone, Copy, Debug)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// A figure of both systems.
struct Row<'a> {
    what: &'a str,
    unit: &'a str,
    etcd: Vec<f64>,
    kvorum: Vec<f64>,
    bounds: Bounds,
}

/// What the ratio of a row has to be.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    accepted: Option<Bound>,
    goal: Option<Bound>,
}

impl Spread {
    /// Of some figures; nothing of none.
    #[must_use]
    pub fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), min, max })
    }

    /// Of the ratios of neighbours.
    #[must_use]
    pub fn of_ratios(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> =
            ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        Self::of(&ratios)
    }
}

/// The whole comparison as Markdown.
#[must_use]
pub fn markdown(comparison: &Comparison) -> String {
    let mut text = head(comparison);
    text.push_str(
        "\n| what | etcd | Kvorum | ratio (lowest to highest) | accepted | goal | |\n\
         |---|---|---|---|---|---|---|\n",
    );
    rows(comparison).iter().for_each(|row| text.push_str(&row.line()));
    if let Some(stop) = Spread::of(&after(&comparison.stop.kvorum)) {
        let ratio = stop.median / ELECTION_TIMEOUT_UPPER_MS;
        let _ = writeln!(
            text,
            "| SIGSTOP of the leader to the next write, ms | - | {} | {} of the upper election \
             timeout | at most 2 | at most 1.3 | {} |",
            spread(&stop),
            figure(ratio),
            verdict(Bound::AtMost(2.0), ratio)
        );
    }
    text.push_str(&floor(comparison));
    text
}

fn head(comparison: &Comparison) -> String {
    let (machine, settings) = (&comparison.machine, &comparison.settings);
    let mut text = format!(
        "Machine: {}, {} threads, {} MB, Linux {}; a lone write and sync takes {} us; other \
         machines took {:.1} % of the time.\n",
        machine.processor,
        machine.processors,
        machine.memory_mb,
        machine.kernel,
        machine.sync_p50_us,
        comparison.stolen_percent
    );
    let etcd = machine.etcd.as_deref().unwrap_or("no etcd");
    let _ = writeln!(text, "Programs: {etcd}; {}.", machine.kvorum);
    let _ = writeln!(
        text,
        "Load: three nodes, clients on the leader, {} keys, values of {} bytes, {} connections \
         with {} requests in flight each; {} pairs of {} s; {} fail-overs.",
        settings.keys,
        settings.value_size,
        settings.connections,
        settings.in_flight,
        settings.pairs,
        settings.seconds,
        settings.fail_overs
    );
    text
}

fn rows(comparison: &Comparison) -> Vec<Row<'_>> {
    use Bound::{AtLeast, AtMost};
    let Comparison { put, one_client, get, kill, .. } = comparison;
    let per_second = |measured: &Measurement| Some(measured.ops_per_second);
    let cpu = |measured: &Measurement| measured.server_cpu_us_per_op;
    let p50 = |measured: &Measurement| Some(measured.p50_us);
    let p99 = |measured: &Measurement| Some(measured.p99_us);
    let none = Bounds { accepted: None, goal: None };
    let both = |accepted, goal| Bounds { accepted: Some(accepted), goal: Some(goal) };
    let goal = |goal| Bounds { accepted: None, goal: Some(goal) };
    let of_many = both(AtLeast(10.0), AtLeast(13.0));
    let cpu_of_many = both(AtMost(1.0 / 10.0), AtMost(1.0 / 12.0));
    let of_one = both(AtMost(0.6), AtMost(0.55));
    vec![
        Row::new("put", "per second", put, per_second, of_many),
        Row::new("put: server CPU", "us", put, cpu, cpu_of_many),
        Row::new("put: p50", "us", put, p50, none),
        Row::new("put: p99", "us", put, p99, none),
        Row::new("put, one client: p50", "us", one_client, p50, of_one),
        Row::new("put, one client", "per second", one_client, per_second, none),
        Row::new("put, one client: server CPU", "us", one_client, cpu, none),
        Row::new("linearizable get", "per second", get, per_second, goal(AtLeast(35.0))),
        Row::new("linearizable get: p50", "us", get, p50, none),
        Row::new("linearizable get: server CPU", "us", get, cpu, none),
        Row {
            what: "kill -9 of the leader to the next write",
            unit: "ms",
            etcd: after(&kill.etcd),
            kvorum: after(&kill.kvorum),
            bounds: both(AtMost(0.25), AtMost(0.2)),
        },
    ]
}

fn after(gaps: &[Gap]) -> Vec<f64> {
    gaps.iter().map(|gap| gap.after_ms).collect()
}

impl<'a> Row<'a> {
    fn new(
        what: &'a str,
        unit: &'a str,
        pairs: &Pairs,
        of: impl Fn(&Measurement) -> Option<f64>,
        bounds: Bounds,
    ) -> Self {
        let figures = |measured: &[Measurement]| measured.iter().filter_map(&of).collect();
        Self { what, unit, etcd: figures(&pairs.etcd), kvorum: figures(&pairs.kvorum), bounds }
    }

    /// Nothing if it was not measured.
    fn line(&self) -> String {
        let Some(ours) = Spread::of(&self.kvorum) else { return String::new() };
        let etcd = Spread::of(&self.etcd).map_or("-".to_owned(), |etcd| spread(&etcd));
        let ratio = Spread::of_ratios(&self.kvorum, &self.etcd);
        let ratio_text = ratio.map_or("-".to_owned(), |ratio| spread(&ratio));
        let text = |bound: Option<Bound>| bound.map_or("-".to_owned(), Bound::text);
        let (accepted, goal) = (text(self.bounds.accepted), text(self.bounds.goal));
        let met = match (self.bounds.accepted, ratio) {
            (Some(accepted), Some(ratio)) => verdict(accepted, ratio.median),
            (None, _) | (_, None) => "",
        };
        let (what, unit) = (self.what, self.unit);
        let ours = spread(&ours);
        format!(
            "| {what}, {unit} | {etcd} | {ours} | {ratio_text} | {accepted} | {goal} | {met} |\n"
        )
    }
}

impl Bound {
    fn text(self) -> String {
        let rounded = |bound: f64| (bound * 1e3).round() / 1e3;
        match self {
            Self::AtLeast(bound) => format!("at least {}", rounded(bound)),
            Self::AtMost(bound) => format!("at most {}", rounded(bound)),
        }
    }
}

fn verdict(bound: Bound, ratio: f64) -> &'static str {
    let is_met = match bound {
        Bound::AtLeast(bound) => ratio >= bound,
        Bound::AtMost(bound) => ratio <= bound,
    };
    if is_met { "yes" } else { "no" }
}

fn floor(comparison: &Comparison) -> String {
    let per_second = |measured: &[Measurement]| -> Vec<f64> {
        measured.iter().map(|measured| measured.ops_per_second).collect()
    };
    let mut text = String::new();
    let parts = [
        ("put", &comparison.floor, &comparison.put, "at least 22 %"),
        ("put, one client", &comparison.floor_one_client, &comparison.one_client, "-"),
    ];
    for (what, floor, pairs, goal) in parts {
        let Some(limit) = Spread::of(&per_second(floor)) else { continue };
        if text.is_empty() {
            text.push_str(
                "\n| what | floor, per second | Kvorum, per second | part of the floor | goal |\n\
                 |---|---|---|---|---|\n",
            );
        }
        let ours = Spread::of(&per_second(&pairs.kvorum));
        let part = ours
            .map_or("-".to_owned(), |ours| format!("{:.0} %", 100.0 * ours.median / limit.median));
        let ours = ours.map_or("-".to_owned(), |ours| spread(&ours));
        let _ = writeln!(text, "| {what} | {} | {ours} | {part} | {goal} |", spread(&limit));
    }
    if let Some(limit) = Spread::of(&per_second(&comparison.floor)) {
        let drift = limit.max / limit.min - 1.0;
        if drift > FLOOR_DRIFT_MAX {
            let percent = 100.0 * drift;
            let _ = writeln!(
                text,
                "\nThe floor moved by {percent:.0} % between begin and end: repeat the run."
            );
        }
    }
    text
}

fn spread(spread: &Spread) -> String {
    let Spread { median, min, max } = *spread;
    if min.total_cmp(&max).is_eq() {
        return figure(median);
    }
    format!("{} ({} to {})", figure(median), figure(min), figure(max))
}

/// A number with three digits that count.
fn figure(number: f64) -> String {
    match number.abs() {
        100.0.. => format!("{number:.0}"),
        10.0.. => format!("{number:.1}"),
        1.0.. => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_those_of_neighbours() {
        let spread = Spread::of_ratios(&[10.0, 40.0, 30.0], &[1.0, 2.0, 10.0]).unwrap();
        assert_eq!(spread, Spread { median: 10.0, min: 3.0, max: 20.0 });
        assert_eq!(Spread::of(&[4.0, 1.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn a_row_says_whether_it_is_accepted() {
        let (accepted, goal) = (Some(Bound::AtLeast(10.0)), Some(Bound::AtMost(1.0 / 12.0)));
        let row = |kvorum: f64, etcd: Vec<f64>| {
            let bounds = Bounds { accepted, goal };
            Row { what: "put", unit: "us", etcd, kvorum: vec![kvorum], bounds }.line()
        };
        let line = "| put, us | 1000 | 12000 | 12.0 | at least 10 | at most 0.083 | yes |\n";
        assert_eq!(row(12_000.0, vec![1000.0]), line);
        assert!(row(9_000.0, vec![1000.0]).ends_with("| no |\n"));
        assert!(row(9_000.0, Vec::new()).contains("| - | 9000 | - |"));
    }
}
