//! Where to look for the versions of a key, from the newest one back: pure.
//!
//! The store shows versions from a revision on, the oldest first, and as many as an answer holds.
//! So windows of revisions are asked for, one before the other: the next one is twice as wide when
//! there was room, and a narrower one is tried when what is in it has none.

/// What is asked for next.
#[derive(Debug)]
pub(super) struct Backwards {
    /// From which revision on; 0 is the oldest that there is.
    since: u64,
    /// What is older is still to be found.
    until: u64,
    /// How many revisions the next window has.
    width: u64,
    /// Below this nothing can be read but what was there at it.
    floor: u64,
}

impl Backwards {
    /// Begins behind the revision `newest`; `floor` is where the past begins that can be read.
    pub(super) fn new(newest: u64, floor: u64, width: u64) -> Self {
        let until = newest.saturating_add(1);
        let mut backwards = Self { since: until, until, width: width.max(1), floor };
        backwards.widen();
        backwards
    }

    /// From which revision on versions are to be asked for.
    pub(super) fn since(&self) -> u64 {
        self.since
    }

    /// What is older than this was not shown yet.
    pub(super) fn until(&self) -> u64 {
        self.until
    }

    /// Notes that less of the past can be read than before; the same is to be asked again.
    pub(super) fn raise_floor(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
        self.since = self.begin(self.since);
    }

    /// Takes what was found: the newest revision of it before `until`, if there is one, and
    /// whether there may be more between that and `until`.
    ///
    /// Returns whether all of the window is there. If not, another is to be asked for.
    pub(super) fn found(&mut self, newest: Option<u64>, is_cut: bool) -> bool {
        if let Some(newest) = newest.filter(|_| is_cut) {
            let from = self.since.max(self.floor);
            let middle = from + self.until.saturating_sub(from).div_ceil(2);
            let since = middle.max(newest + 1);
            if since < self.until {
                self.since = since;
                return false;
            }
        }
        self.width = self.until.saturating_sub(self.since.max(self.floor)).max(1);
        true
    }

    /// Goes on before what was found. Returns whether there is anything to ask for.
    pub(super) fn go_on(&mut self) -> bool {
        if self.since == 0 {
            return false;
        }
        self.until = self.since;
        self.widen();
        true
    }

    fn widen(&mut self) {
        self.width = self.width.saturating_mul(2);
        self.since = self.begin(self.until.saturating_sub(self.width));
    }

    fn begin(&self, since: u64) -> u64 {
        // What was there at the floor may be older than it, and is shown from 0 on.
        if since <= self.floor { 0 } else { since }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers as the store does, with at most `page` versions; returns what was found, the newest
    /// first, and how often was asked.
    fn found(versions: &[u64], (newest, floor, page): (u64, u64, usize)) -> (Vec<u64>, usize) {
        let base = versions.iter().rev().find(|version| **version <= floor).copied();
        let mut backwards = Backwards::new(newest, floor, 4);
        let (mut found, mut asked) = (Vec::new(), 0);
        loop {
            asked += 1;
            let since = match backwards.since() {
                0 => base.unwrap_or(floor),
                since => {
                    assert!(floor <= since, "{since} is compacted");
                    since
                }
            };
            let until = backwards.until();
            let from = versions.iter().filter(|version| since <= **version).copied();
            let all: Vec<u64> = from.collect();
            let shown = &all[..all.len().min(page)];
            let before: Vec<u64> = shown.iter().copied().filter(|it| *it < until).collect();
            let is_cut = shown.len() < all.len() && before.len() == shown.len();
            if backwards.found(before.last().copied(), is_cut) {
                found.extend(before.iter().rev());
                if !backwards.go_on() {
                    return (found, asked);
                }
            }
        }
    }

    #[test]
    fn every_version_is_found_once_and_the_newest_first() {
        let dense: Vec<u64> = (1..=1_000).collect();
        let sparse = vec![1, 2, 3, 500_000, 999_999];
        let mixed: Vec<u64> = (10..200).chain([5_000]).chain(70_000..70_300).collect();
        for versions in [dense, sparse, mixed, Vec::new()] {
            for floor in [0, 1, 2, 100, 70_010] {
                for page in [1, 2, 7, 10_000] {
                    let (found, asked) = found(&versions, (1_000_000, floor, page));
                    let base = versions.iter().rev().find(|it| **it <= floor).copied();
                    let expected: Vec<u64> = versions
                        .iter()
                        .rev()
                        .copied()
                        .filter(|it| base.is_none_or(|base| base <= *it))
                        .collect();
                    assert_eq!(found, expected, "floor {floor}, pages of {page}");
                    assert!(asked <= 64 + 4 * versions.len().div_ceil(page) * 4, "{asked}");
                }
            }
        }
    }

    #[test]
    fn what_is_compacted_meanwhile_is_asked_for_from_what_was_there_then() {
        let mut backwards = Backwards::new(1_000, 0, 50);
        assert_eq!(backwards.since(), 901);
        backwards.raise_floor(950);
        assert_eq!(backwards.since(), 0);
        assert!(backwards.found(Some(960), false) && !backwards.go_on());
    }
}
