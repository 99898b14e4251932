//! A check from its beginning to its end, or to the end of its time.

use std::collections::BTreeMap;
use std::fmt;
use std::thread;
use std::time::Duration;

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use crate::bounds::Bounds;
use crate::clock;
use crate::world::World;

/// How often a check that is watched tells how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// How often is looked whether it is over.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What a check has found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Steps that were taken, those to known states included; until the first violation if there
    /// is one.
    pub states: usize,
    /// Different states.
    pub unique_states: usize,
    /// The longest way from the beginning that was looked at.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// Whether every state within the bounds was looked at. A check that was cut short has
    /// shown nothing about those that were not.
    pub is_exhausted: bool,
    /// What did not hold, with the way there.
    pub violations: BTreeMap<&'static str, String>,
    /// What should have happened somewhere and did not.
    pub missing: Vec<&'static str>,
}

impl Found {
    /// Whether nothing was wrong; in a check that was cut short, as far as it went.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.violations.is_empty() && (self.missing.is_empty() || !self.is_exhausted)
    }
}

/// Looks at every state within the bounds, for at most `limit`, and tells `progress` now and
/// then how far it is: steps, different states, depth.
pub fn run(bounds: &Bounds, limit: Option<Duration>, progress: fn(usize, usize, usize)) -> Found {
    let world = World { bounds: bounds.clone() };
    let began = clock::now();
    let builder = world.clone().checker().finish_when(HasDiscoveries::AnyFailures);
    let builder = match limit {
        Some(limit) => builder.timeout(limit),
        None => builder,
    };
    let checker = builder.spawn_bfs();
    let mut told = began;
    while !checker.is_done() {
        thread::sleep(LOOK_INTERVAL);
        if PROGRESS_INTERVAL < told.elapsed() {
            told = clock::now();
            progress(checker.state_count(), checker.unique_state_count(), checker.max_depth());
        }
    }
    let took = began.elapsed();
    let is_cut_short = limit.is_some_and(|limit| limit <= took);
    // One that was cut short goes on for a while nevertheless. Of one that was not the end is
    // only believed if the checker itself has not panicked, which is what this panics for.
    let checker = if is_cut_short { checker } else { checker.join() };
    let discoveries = checker.discoveries();
    let (mut violations, mut missing) = (BTreeMap::new(), Vec::new());
    for property in world.properties() {
        let path = discoveries.get(property.name);
        match (property.expectation, path) {
            (Expectation::Always | Expectation::Eventually, Some(path)) => {
                let last = path.last_state().clone();
                let steps: Vec<String> =
                    path.clone().into_actions().iter().map(|it| format!("  {it:?}")).collect();
                let way = format!("{}\n{last:?}", steps.join("\n"));
                violations.insert(property.name, way);
            }
            (Expectation::Sometimes, None) => missing.push(property.name),
            (Expectation::Always | Expectation::Eventually, None)
            | (Expectation::Sometimes, Some(_)) => {}
        }
    }
    Found {
        states: checker.state_count(),
        unique_states: checker.unique_state_count(),
        depth: checker.max_depth(),
        took,
        is_exhausted: !is_cut_short && violations.is_empty(),
        violations,
        missing,
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (states, unique, depth) = (self.states, self.unique_states, self.depth);
        let seconds = self.took.as_secs_f64();
        writeln!(f, "{unique} states, {states} steps, depth {depth}, {seconds:.1} s")?;
        for (name, way) in &self.violations {
            writeln!(f, "violated: {name}\n{way}")?;
        }
        for name in &self.missing {
            writeln!(f, "never seen: {name}")?;
        }
        match (self.is_exhausted, self.violations.is_empty()) {
            (true, _) => write!(f, "exhausted: every state within the bounds was looked at"),
            (false, true) => write!(f, "cut short: nothing is known of the other states"),
            (false, false) => write!(f, "stopped at a violation"),
        }
    }
}
