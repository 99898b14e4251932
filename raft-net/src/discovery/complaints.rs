//! What has been said in the log already, so that it is repeated rarely.

use std::collections::BTreeMap;

/// The time between two lines about the same. Units: milliseconds.
const PAUSE_MS: u64 = 600_000;

/// How many things are told apart; beyond it the oldest is forgotten.
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
            let oldest = self.0.iter().min_by_key(|(_, at_ms)| **at_ms);
            let oldest = oldest.map(|(subject, _)| subject.clone());
            oldest.and_then(|subject| self.0.remove(&subject));
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
        for number in 0..1_000 {
            assert!(complaints.about(&number.to_string(), PAUSE_MS + number));
        }
        assert_eq!(complaints.0.len(), SUBJECTS_MAX);
    }
}
