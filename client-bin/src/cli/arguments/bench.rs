//! The words of `kvctl bench`.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// How the servers are spoken to; etcd and Redis can be measured too
    #[arg(long, value_enum, default_value = "native")]
    pub(crate) protocol: crate::bench::Protocol,
    /// What to measure
    #[arg(long, value_enum, default_value = "put")]
    pub(crate) op: crate::bench::Kind,
    /// Connections, dealt out over the endpoints in turn
    #[arg(long, value_name = "N", default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) connections: u32,
    /// Requests that are outstanding on each connection
    #[arg(long, value_name = "N", default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(crate) in_flight: u32,
    /// Length of the values
    #[arg(long, value_name = "BYTES", default_value = "256",
          value_parser = clap::value_parser!(u32).range(0..=1_572_864))]
    pub(crate) value_size: u32,
    /// How many keys, of 16 bytes each, are chosen from at random
    #[arg(long, value_name = "N", default_value = "100000",
          value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) keys: u64,
    /// How long it is measured
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = parse_bench_seconds)]
    pub(crate) seconds: f64,
    /// Processes whose CPU time is charged to the operations
    #[arg(long, value_name = "PID,...", value_delimiter = ',', num_args = 1)]
    pub(crate) pids: Vec<u32>,
}

fn parse_bench_seconds(text: &str) -> Result<f64, String> {
    let longest = crate::bench::DURATION_MAX.as_secs_f64();
    match text.parse::<f64>() {
        Ok(seconds) if 0.0 < seconds && seconds <= longest => Ok(seconds),
        Ok(_) | Err(_) => Err(format!("give seconds above 0 and up to {longest}")),
    }
}
