//! `kvctl bench`.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use super::arguments::{BenchArguments, Format, Shared};
use super::{CommandError, Console, Interrupts, output};
use crate::bench::{self, BenchError, Load, Progress, Report};

/// Measures and writes the report. Returns the exit code.
pub(super) async fn run(
    console: &mut Console<'_>,
    shared: &Shared,
    arguments: &BenchArguments,
) -> Result<u8, CommandError> {
    let load = load(shared, arguments);
    let mut interrupts = Interrupts::new()?;
    let Console { output, errors, .. } = console;
    let report = tokio::select! {
        report = bench::run(&load, |progress| show(*errors, progress)) => report?,
        () = interrupts.next() => return Err(CommandError::Interrupted),
    };
    let document = Document::new(&load, &report);
    match shared.write_out {
        Format::Simple => lines(*output, &document)?,
        Format::Json => output::json(*output, &document)?,
        Format::Table => table(*output, &document)?,
    }
    Ok(0)
}

impl From<BenchError> for CommandError {
    fn from(error: BenchError) -> Self {
        match error {
            BenchError::Client(error) => Self::Client(error),
            error @ BenchError::Server { .. } => Self::Server(error.to_string()),
            error @ BenchError::Pid { .. } => Self::Usage(error.to_string()),
        }
    }
}

fn load(shared: &Shared, arguments: &BenchArguments) -> Load {
    let amount = |number: u32| usize::try_from(number).expect("32 bits fit");
    Load {
        endpoints: shared.endpoints.clone(),
        protocol: arguments.protocol,
        kind: arguments.op,
        connections: amount(arguments.connections),
        in_flight: amount(arguments.in_flight),
        value_bytes: amount(arguments.value_size),
        keys: arguments.keys,
        duration: Duration::from_secs_f64(arguments.seconds),
        timeout: shared.timeout(),
        server_pids: arguments.pids.clone(),
    }
}

fn show(errors: &mut dyn Write, progress: Progress) {
    let Progress { elapsed, operations, errors: refused } = progress;
    // A measurement that nobody watches is a measurement all the same.
    let _ = writeln!(
        errors,
        "{:>4} s  {operations} operations, {refused} errors",
        elapsed.as_secs_f64().round()
    );
}

#[derive(Serialize)]
struct Document {
    protocol: &'static str,
    op: &'static str,
    connections: usize,
    in_flight: usize,
    value_size: usize,
    keys: u64,
    seconds: f64,
    operations: u64,
    errors: u64,
    unknown: u64,
    ops_per_second: f64,
    p50_us: u64,
    p99_us: u64,
    p99_9_us: u64,
    max_us: u64,
    server_cpu_us_per_op: Option<f64>,
}

impl Document {
    fn new(load: &Load, report: &Report) -> Self {
        Self {
            protocol: load.protocol.name(),
            op: load.kind.name(),
            connections: load.connections,
            in_flight: load.in_flight,
            value_size: load.value_bytes,
            keys: load.keys,
            seconds: report.seconds,
            operations: report.operations,
            errors: report.errors,
            unknown: report.unknown,
            ops_per_second: report.ops_per_second(),
            p50_us: report.p50_us,
            p99_us: report.p99_us,
            p99_9_us: report.p99_9_us,
            max_us: report.max_us,
            server_cpu_us_per_op: report.server_cpu_us_per_op,
        }
    }
}

fn cpu(document: &Document) -> String {
    document.server_cpu_us_per_op.map_or("-".to_owned(), |cpu| format!("{cpu:.2}"))
}

fn lines(output: &mut dyn Write, document: &Document) -> io::Result<()> {
    let Document { op, connections, in_flight, value_size, keys, seconds, .. } = document;
    writeln!(
        output,
        "{op}: {connections} connections with {in_flight} in flight, values of {value_size} \
         bytes, {keys} keys, {seconds} s"
    )?;
    let Document { operations, errors, unknown, ops_per_second, .. } = document;
    writeln!(
        output,
        "{ops_per_second:.0} operations per second, {operations} in all, {errors} errors, \
         {unknown} unknown"
    )?;
    let Document { p50_us, p99_us, p99_9_us, max_us, .. } = document;
    writeln!(output, "p50 {p50_us} us, p99 {p99_us} us, p99.9 {p99_9_us} us, max {max_us} us")?;
    if document.server_cpu_us_per_op.is_some() {
        writeln!(output, "server CPU {} us per operation", cpu(document))?;
    }
    Ok(())
}

fn table(output: &mut dyn Write, document: &Document) -> io::Result<()> {
    let heads =
        ["OP", "OPS/S", "ERRORS", "UNKNOWN", "P50_US", "P99_US", "P99.9_US", "MAX_US", "CPU_US/OP"];
    let row = vec![
        document.op.to_owned(),
        format!("{:.0}", document.ops_per_second),
        document.errors.to_string(),
        document.unknown.to_string(),
        document.p50_us.to_string(),
        document.p99_us.to_string(),
        document.p99_9_us.to_string(),
        document.max_us.to_string(),
        cpu(document),
    ];
    output::table(output, &heads, &[row])
}
