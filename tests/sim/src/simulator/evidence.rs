//! Whether many runs together prove anything: what they had to survive, and whether there was
//! anybody to notice.
//!
//! A batch in which a class of faults is always on shows nothing of the cluster without it, and
//! one bug may hide behind another; one in which two classes never meet shows nothing of both
//! (TigerBeetle: swarm testing). A run without writes or elections is green by itself.

use std::collections::BTreeMap;
use std::fmt;

use crate::simulator::classes::{self, Presence};
use crate::simulator::report::Report;

/// In how many runs of a thousand each class must be on, and in how many off.
const ALONE_PER_MILLE_MIN: u64 = 300;

/// In how many runs of a thousand each pair of classes must be on together.
const TOGETHER_PER_MILLE_MIN: u64 = 50;

/// How many writes the median run must have acknowledged.
const WRITES_MEDIAN_MIN: u64 = 200;

/// In how many runs of a thousand leadership must have passed from one node to another.
const LEADER_CHANGED_PER_MILLE_MIN: u64 = 800;

/// In how many runs of a thousand a quorum must have been healed before all others. There is none
/// before a cluster is founded.
const QUORUM_PER_MILLE_MIN: u64 = 900;

/// How many events each run must consist of.
pub(crate) const EVENTS_MIN: u64 = 3_000;

/// Fewer runs than this are not judged together.
pub(crate) const RUNS_MIN: u64 = 200;

/// How often each number was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Spread(BTreeMap<u64, u64>);

impl Spread {
    fn add(&mut self, number: u64) {
        *self.0.entry(number).or_default() += 1;
    }

    fn merge(&mut self, other: &Self) {
        for (number, count) in &other.0 {
            *self.0.entry(*number).or_default() += count;
        }
    }

    /// The least number that is not below `per_mille` of all.
    fn quantile(&self, per_mille: u64) -> u64 {
        let total: u64 = self.0.values().sum();
        let mut passed = 0;
        let reaches = |count: &u64| {
            passed += count;
            total * per_mille <= passed * 1_000
        };
        let mut reaches = reaches;
        self.0.iter().find(|(_, count)| reaches(count)).map_or(0, |(number, _)| *number)
    }
}

/// What many runs have had.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    runs: u64,
    classes: Vec<Class>,
    events: Spread,
    writes: Spread,
    leader_changed: u64,
    /// How long quorums took to be well. Units: thousandths of an election timeout.
    quorums: Spread,
}

/// What they have had of one class.
#[derive(Clone, Debug, Default)]
struct Class {
    on: u64,
    off: u64,
    /// On together with each of the classes before this one.
    together: Vec<u64>,
}

impl Evidence {
    /// Adds a run.
    pub(crate) fn add(&mut self, report: &Report) {
        let presences = &report.presences;
        self.runs += 1;
        self.classes.resize_with(presences.len(), Class::default);
        for (place, (class, presence)) in self.classes.iter_mut().zip(presences).enumerate() {
            class.on += u64::from(*presence == Presence::On);
            class.off += u64::from(*presence == Presence::Off);
            class.together.resize(place, 0);
            for (count, other) in class.together.iter_mut().zip(presences) {
                *count += u64::from([*presence, *other] == [Presence::On; 2]);
            }
        }
        self.events.add(report.counts.events);
        self.writes.add(report.counts.acknowledged);
        self.leader_changed += u64::from(0 < report.counts.leader_changes);
        report.quorum_timeouts_per_mille.into_iter().for_each(|took| self.quorums.add(took));
    }

    /// Adds other runs.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.runs += other.runs;
        self.classes.resize_with(self.classes.len().max(other.classes.len()), Class::default);
        for (class, added) in self.classes.iter_mut().zip(&other.classes) {
            class.on += added.on;
            class.off += added.off;
            class.together.resize(added.together.len(), 0);
            class.together.iter_mut().zip(&added.together).for_each(|(sum, more)| *sum += more);
        }
        self.events.merge(&other.events);
        self.writes.merge(&other.writes);
        self.leader_changed += other.leader_changed;
        self.quorums.merge(&other.quorums);
    }

    /// Why the runs prove nothing, each reason in a line; none if they do. Fewer than
    /// `RUNS_MIN` runs are only judged one by one.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let events = self.events.quantile(0);
        if 0 < self.runs && events < EVENTS_MIN {
            complaints.push(format!("a run has only {events} events, not {EVENTS_MIN}"));
        }
        if self.runs < RUNS_MIN {
            return complaints;
        }
        let mut demand = |what: &dyn Fn() -> String, count: u64, per_mille_min: u64| {
            if count * 1_000 < self.runs * per_mille_min {
                let (of, least) = (self.runs, self.runs * per_mille_min / 1_000);
                complaints.push(format!("{} in {count} of {of} runs, not in {least}", what()));
            }
        };
        let names = classes::names();
        for (place, (class, name)) in self.classes.iter().zip(&names).enumerate() {
            demand(&|| format!("{name} is on"), class.on, ALONE_PER_MILLE_MIN);
            demand(&|| format!("{name} is off"), class.off, ALONE_PER_MILLE_MIN);
            for (other, count) in names[..place].iter().zip(&class.together) {
                let what = || format!("{other} and {name} are on together");
                demand(&what, *count, TOGETHER_PER_MILLE_MIN);
            }
        }
        let what = || "leadership has changed".to_owned();
        demand(&what, self.leader_changed, LEADER_CHANGED_PER_MILLE_MIN);
        let what = || "a quorum was healed alone".to_owned();
        demand(&what, self.quorums.0.values().sum(), QUORUM_PER_MILLE_MIN);
        let writes = self.writes.quantile(500);
        if writes < WRITES_MEDIAN_MIN {
            let least = WRITES_MEDIAN_MIN;
            complaints.push(format!("the median run answered {writes} writes, not {least}"));
        }
        complaints
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |count: u64| count as f64 * 100.0 / self.runs.max(1) as f64;
        writeln!(f, "{:>20}   on  off  least often together with", "class")?;
        let names = classes::names();
        for (place, (class, name)) in self.classes.iter().zip(&names).enumerate() {
            let after = self.classes.iter().skip(place + 1).map(|other| other.together[place]);
            let all: Vec<u64> =
                class.together.iter().copied().chain([u64::MAX]).chain(after).collect();
            let rarest = (0..all.len()).min_by_key(|&other| all[other]);
            let (on, off) = (percent(class.on), percent(class.off));
            write!(f, "{name:>20} {on:>3.0}% {off:>3.0}%  ")?;
            match rarest.filter(|_| 1 < all.len()) {
                Some(other) => writeln!(f, "{:.0}% {}", percent(all[other]), names[other])?,
                None => writeln!(f)?,
            }
        }
        let spread = |spread: &Spread| {
            [0, 500, 1_000].map(|per_mille| spread.quantile(per_mille).to_string()).join(" / ")
        };
        writeln!(f, "{:>20}   least / median / most", "")?;
        writeln!(f, "{:>20}   {}", "events", spread(&self.events))?;
        writeln!(f, "{:>20}   {}", "writes answered", spread(&self.writes))?;
        writeln!(f, "{:>20}   {}", "quorum is well", spread(&self.quorums))?;
        writeln!(f, "{:>20}   (thousandths of an election timeout)", "after")?;
        let changed = percent(self.leader_changed);
        writeln!(f, "leadership changed in {changed:.0}% of {} runs", self.runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::report::Counts;

    /// Runs of two classes, by what they have had of both.
    fn runs(of: &[(u64, Presence, Presence)], events: u64, acknowledged: u64) -> Evidence {
        let mut evidence = Evidence::default();
        for &(count, first, second) in of {
            let mut half = Evidence::default();
            let quorum_timeouts_per_mille = Some(4_000);
            for seed in 0..count {
                let counts =
                    Counts { events, acknowledged, leader_changes: 1, ..Counts::default() };
                let presences = vec![first, second];
                half.add(&Report {
                    seed,
                    trace_hash: 0,
                    counts,
                    presences,
                    quorum_timeouts_per_mille,
                    recovery_us: 0,
                });
            }
            evidence.merge(&half);
        }
        evidence
    }

    use Presence::{Absent, Off, On};

    const FAIR: [(u64, Presence, Presence); 4] =
        [(60, On, Off), (50, Off, On), (40, Off, Off), (50, On, On)];

    #[test]
    fn a_fair_batch_counts() {
        let evidence = runs(&FAIR, EVENTS_MIN, WRITES_MEDIAN_MIN);
        assert_eq!(evidence.complaints(), Vec::<String>::new(), "{evidence}");
    }

    #[test]
    fn a_class_that_is_rarely_on_off_or_together_with_another_is_named() {
        for (of, words) in [
            ([(50, On, On), (90, Off, On), (60, Absent, Off)], "Kill is on in 50"),
            ([(50, Off, On), (90, On, On), (60, Absent, Off)], "Kill is off in 50"),
            (
                [(9, On, On), (95, On, Off), (96, Off, On)],
                "Kill and PowerLoss are on together in 9",
            ),
        ] {
            let complaints = runs(&of, EVENTS_MIN, WRITES_MEDIAN_MIN).complaints();
            assert!(complaints.len() == 1 && complaints[0].starts_with(words), "{complaints:?}");
        }
    }

    #[test]
    fn short_idle_and_settled_runs_do_not_count() {
        let complaints = runs(&FAIR, EVENTS_MIN - 1, WRITES_MEDIAN_MIN - 1).complaints();
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        let mut settled = runs(&FAIR, EVENTS_MIN, WRITES_MEDIAN_MIN);
        settled.leader_changed = 159;
        assert_eq!(settled.complaints().len(), 1, "{:?}", settled.complaints());
        let mut unhealed = runs(&FAIR, EVENTS_MIN, WRITES_MEDIAN_MIN);
        unhealed.quorums = Spread::default();
        assert_eq!(unhealed.complaints().len(), 1, "{:?}", unhealed.complaints());
    }

    #[test]
    fn few_runs_are_judged_only_by_their_length() {
        let evidence = runs(&[(199, On, On)], EVENTS_MIN, 0);
        assert_eq!(evidence.complaints(), Vec::<String>::new());
        let evidence = runs(&[(1, On, On)], EVENTS_MIN - 1, 0);
        assert_eq!(evidence.complaints().len(), 1);
    }
}
