//! How long requests took: counts in buckets of about 1.6 per cent.

/// Buckets per doubling, as a power of two.
const DETAIL_BITS: u32 = 6;

/// A histogram of latencies. Takes at most 15 kB however many it counts.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    /// Grown to the highest bucket in use.
    counts: Vec<u32>,
    total: u64,
    max_us: u64,
}

impl Latencies {
    /// Counts one request. Units: microseconds.
    pub fn record(&mut self, us: u64) {
        let bucket = bucket_of(us);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] = self.counts[bucket].saturating_add(1);
        self.total += 1;
        self.max_us = self.max_us.max(us);
    }

    /// Adds what another histogram counted.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (ours, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *ours = ours.saturating_add(*theirs);
        }
        self.total += other.total;
        self.max_us = self.max_us.max(other.max_us);
    }

    /// How many were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The longest. Units: microseconds.
    #[must_use]
    pub fn max_us(&self) -> u64 {
        self.max_us
    }

    /// The latency that `per_mille` of a thousand requests did not exceed; 0 if none were
    /// counted. Units: microseconds.
    #[must_use]
    pub fn quantile_us(&self, per_mille: u64) -> u64 {
        let wanted = (self.total * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return end_of(bucket).min(self.max_us);
            }
        }
        self.max_us
    }
}

fn bucket_of(us: u64) -> usize {
    let shift = us.max(1).ilog2().saturating_sub(DETAIL_BITS);
    let bucket = (u64::from(shift) << DETAIL_BITS) + (us >> shift);
    usize::try_from(bucket).expect("there are fewer than 4,096 buckets")
}

/// The highest latency that falls into a bucket.
fn end_of(bucket: usize) -> u64 {
    let shift = (bucket >> DETAIL_BITS).saturating_sub(1);
    let place = u64::try_from(bucket - (shift << DETAIL_BITS)).expect("a bucket is small");
    u64::try_from(((u128::from(place) + 1) << shift) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_and_hold_what_they_say() {
        let mut last = 0;
        for us in (0..5_000).chain((13..64).map(|bits| 1 << bits)).chain([u64::MAX]) {
            let bucket = bucket_of(us);
            assert!(bucket >= last, "{us} goes back from bucket {last} to {bucket}");
            let end = end_of(bucket);
            assert!(us <= end && end - us <= us / 64, "{us} is in a bucket up to {end}");
            last = bucket;
        }
    }

    #[test]
    fn quantiles_of_a_thousand_known_latencies() {
        let (mut low, mut high) = (Latencies::default(), Latencies::default());
        (1..=500).for_each(|us| low.record(us));
        (501..=1000).for_each(|us| high.record(us));
        low.merge(&high);
        assert_eq!((low.total(), low.max_us()), (1000, 1000));
        for per_mille in [500, 990, 999] {
            let found = low.quantile_us(per_mille);
            assert!((per_mille..=per_mille + 8).contains(&found), "{per_mille}: {found}");
        }
        assert_eq!(Latencies::default().quantile_us(500), 0);
    }
}
