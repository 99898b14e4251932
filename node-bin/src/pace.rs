//! How fast time passes for the part of a node that decides: as it does outside, unless somebody
//! plays with the cluster. Pure.

use actix::Message;
use raft_core::types::Time;

/// How fast time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// How much slower than outside. Units: hundredths.
    pub(crate) slower_percent: u64,
    /// Whether it stands still.
    pub(crate) is_frozen: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { slower_percent: 100, is_frozen: false }
    }
}

/// Changes how fast time passes for a node from now on.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct SetPace(pub(crate) Pace);

/// Time inside, which never goes back however its pace changes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Passing {
    pace: Pace,
    /// When it began to have this pace, by the clock outside and by the one inside.
    since: (Time, Time),
}

impl Passing {
    /// What time it is inside.
    pub(crate) fn inside(&self, outside: Time) -> Time {
        let Pace { slower_percent, is_frozen } = self.pace;
        let (outside_then, inside_then) = self.since;
        if is_frozen {
            return inside_then;
        }
        let passed_us = outside.since(outside_then);
        // As it is outside, without rounding and for ever.
        let passed_us = match slower_percent {
            100 => passed_us,
            percent => passed_us.saturating_mul(100) / percent.max(1),
        };
        inside_then.after(passed_us)
    }

    /// Changes the pace from now on.
    pub(crate) fn set(&mut self, outside: Time, pace: Pace) {
        self.since = (outside, self.inside(outside));
        self.pace = pace;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_where_it_was_whenever_its_pace_changes() {
        let mut passing = Passing::default();
        assert_eq!(passing.inside(Time(700)), Time(700));
        let pace = |slower_percent, is_frozen| Pace { slower_percent, is_frozen };
        passing.set(Time(1_000), pace(1_000, false));
        assert_eq!(passing.inside(Time(1_000)), Time(1_000));
        assert_eq!(passing.inside(Time(2_000)), Time(1_100));
        passing.set(Time(2_000), pace(1_000, true));
        assert_eq!(passing.inside(Time(9_000)), Time(1_100));
        passing.set(Time(9_000), pace(50, false));
        assert_eq!(passing.inside(Time(9_000)), Time(1_100));
        assert_eq!(passing.inside(Time(9_100)), Time(1_300));
    }
}
