//! What a load program prints: one JSON object, the same for all of them.

use serde::{Deserialize, Serialize};

use crate::latencies::Latencies;

/// One run of a load. `kvctl bench`, `etcd-load` and `floor load` print it as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// What was asked for: `put`, `get`, or `append` for the floor.
    pub op: String,
    /// Connections to the servers.
    pub connections: u64,
    /// Requests without an answer, per connection.
    pub in_flight: u64,
    /// Units: bytes.
    pub value_size: u64,
    /// How many different keys.
    pub keys: u64,
    /// How long was measured.
    pub seconds: f64,
    /// Requests that were answered in that time.
    pub operations: u64,
    /// Requests that failed, and surely had no effect.
    pub errors: u64,
    /// Requests that may or may not have had an effect.
    pub unknown: u64,
    /// Answers per second.
    pub ops_per_second: f64,
    /// Half of the answers came within this. Units: microseconds.
    pub p50_us: f64,
    /// 99 of 100 answers came within this. Units: microseconds.
    pub p99_us: f64,
    /// 999 of 1000 answers came within this. Units: microseconds.
    pub p99_9_us: f64,
    /// The slowest answer. Units: microseconds.
    pub max_us: f64,
    /// CPU time of the servers for one operation, all of them together; nothing if their
    /// process ids were not given. Units: microseconds.
    #[serde(default)]
    pub server_cpu_us_per_op: Option<f64>,
}

/// What a load was asked to do.
#[derive(Clone, Debug)]
pub struct Shape {
    /// As [`Measurement::op`].
    pub op: &'static str,
    /// As [`Measurement::connections`].
    pub connections: u64,
    /// As [`Measurement::in_flight`].
    pub in_flight: u64,
    /// Units: bytes.
    pub value_size: u64,
    /// As [`Measurement::keys`].
    pub keys: u64,
}

/// What the clients of a load counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Of the requests that were answered.
    pub latencies: Latencies,
    /// As [`Measurement::errors`].
    pub errors: u64,
    /// As [`Measurement::unknown`].
    pub unknown: u64,
}

impl Tally {
    /// Adds what another client counted.
    pub fn merge(&mut self, other: &Self) {
        self.latencies.merge(&other.latencies);
        self.errors += other.errors;
        self.unknown += other.unknown;
    }
}

impl Measurement {
    /// Puts together what was counted in `seconds`. `server_cpu_ns` is the CPU time that the
    /// servers used meanwhile, if it was watched.
    #[must_use]
    pub fn new(shape: &Shape, seconds: f64, tally: &Tally, server_cpu_ns: Option<u64>) -> Self {
        let operations = tally.latencies.total();
        let quantile = |per_mille| float(tally.latencies.quantile_us(per_mille));
        Self {
            op: shape.op.to_owned(),
            connections: shape.connections,
            in_flight: shape.in_flight,
            value_size: shape.value_size,
            keys: shape.keys,
            seconds,
            operations,
            errors: tally.errors,
            unknown: tally.unknown,
            ops_per_second: (float(operations) / seconds).round(),
            p50_us: quantile(500),
            p99_us: quantile(990),
            p99_9_us: quantile(999),
            max_us: float(tally.latencies.max_us()),
            server_cpu_us_per_op: server_cpu_ns
                .filter(|_| operations > 0)
                .map(|ns| (float(ns) / float(operations)).round() / 1e3),
        }
    }
}

/// A count as a number to calculate with. Exact below 2^53.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "counts here are far below 2^53")]
pub fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_reads_back_also_with_whole_numbers() {
        let shape = Shape { op: "put", connections: 2, in_flight: 3, value_size: 4, keys: 5 };
        let mut tally = Tally { errors: 1, ..Tally::default() };
        [10, 20, 30, 40].iter().for_each(|us| tally.latencies.record(*us));
        let measured = Measurement::new(&shape, 2.0, &tally, Some(10_000));
        assert_eq!((measured.operations, measured.errors), (4, 1));
        assert!((measured.ops_per_second - 2.0).abs() < 1e-9);
        assert_eq!(measured.server_cpu_us_per_op, Some(2.5));
        let text = serde_json::to_string(&measured).unwrap();
        assert_eq!(serde_json::from_str::<Measurement>(&text).unwrap(), measured);
        let whole = text.replace("20.0", "20").replace("\"seconds\":2.0", "\"seconds\":2");
        assert_eq!(serde_json::from_str::<Measurement>(&whole).unwrap(), measured);
    }
}
