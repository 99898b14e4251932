//! What has been said in the log already, so that it is repeated rarely.

use std::collections::BTreeMap;

/// The time between two lines about the same. Units: milliseconds.
const PAUSE_MS: u64 = 600_000;

/// How many things are told apart; beyond it nothing new is said until one is old.
const SUBJECTS_MAX: usize = 64;

/// When what was said last.
#[derive(Clone, Debug, Default)]
pub(super) struct Complaints(BTreeMap<String, u64>);

impl Complaints {
    /// Whether a line about this is due now.
    pub(super) fn about(&mut self, subject: &str, now_ms: u64) -> bool {
        let last = self.0.get(subject).copied();
        if last.is_some_and(|last| now_ms.saturating_sub(last) < PAUSE_MS) {
            return false;
        }
        if last.is_none() && self.0.len() == SUBJECTS_MAX {
            // Strangers can make up subjects, and no more lines than this.
            self.0.retain(|_, at_ms| now_ms.saturating_sub(*at_ms) < PAUSE_MS);
            if self.0.len() == SUBJECTS_MAX {
                return false;
            }
        }
        self.0.insert(subject.to_owned(), now_ms);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_repeated_rarely_and_what_is_remembered_is_bounded() {
        let mut complaints = Complaints::default();
        assert!(complaints.about("a", 0) && complaints.about("b", 0));
        assert!(!complaints.about("a", PAUSE_MS - 1));
        assert!(complaints.about("a", PAUSE_MS));
        let lines = (0..1_000).filter(|n: &u64| complaints.about(&n.to_string(), PAUSE_MS + n));
        assert_eq!(lines.count(), SUBJECTS_MAX - 1, "a flood is not told");
        assert_eq!(complaints.0.len(), SUBJECTS_MAX);
        assert!(complaints.about("new", 3 * PAUSE_MS), "what is old makes way");
    }
}
