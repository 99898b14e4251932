//! The load programs, and what they print.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::cluster::{Cluster, Programs, System};
use super::process::{bare, describe};
use crate::error::BenchError;
use crate::etcd::load::Op;
use crate::measurement::Measurement;

/// How much longer than its measured time a load may take, besides filling.
const SLACK: Duration = Duration::from_secs(60);

/// How long writing every key once may take.
const FILL_PATIENCE: Duration = Duration::from_secs(300);

/// How much of a program's complaint is shown. Units: characters.
const COMPLAINT_CHARS_MAX: usize = 500;

/// A load, in the terms of every system.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// What is asked for.
    pub op: Op,
    /// Connections.
    pub connections: u64,
    /// Requests without an answer, per connection.
    pub in_flight: u64,
    /// Units: bytes.
    pub value_size: u64,
    /// How many different keys.
    pub keys: u64,
    /// How long the load runs before it is measured.
    pub warm_up: Duration,
    /// How long is measured.
    pub measured: Duration,
}

/// Puts `load` on the leader of `cluster`, of which `system` tells how.
///
/// Errors: if the load program fails, or takes far too long, or a node ended meanwhile.
pub async fn run(
    system: System,
    programs: &Programs,
    cluster: &mut Cluster,
    load: &Load,
) -> Result<Measurement, BenchError> {
    let (place, _) = cluster.leader().await?;
    let target = Target { address: cluster.address(place).to_owned(), pids: cluster.pids() };
    let measurement = match system {
        System::Floor => {
            let mut arguments = arguments("load --leader", &target, load);
            arguments.extend(in_flight_and_warm_up(load));
            measure(&programs.floor, arguments, limit(load)).await
        }
        System::Etcd => {
            let arguments = etcd_arguments(&target, load);
            measure(&programs.etcd_load, arguments, limit(load)).await
        }
        System::Kvorum => {
            // kvctl has no warm-up of its own.
            let warm_up = Load { measured: load.warm_up, ..*load };
            if !load.warm_up.is_zero() {
                measure(&programs.kvctl, kvctl_arguments(&target, &warm_up), limit(load)).await?;
            }
            measure(&programs.kvctl, kvctl_arguments(&target, load), limit(load)).await
        }
    };
    cluster.check()?;
    measurement
}

/// Writes every key, or nearly every key, so that gets find them.
///
/// Errors: as [`run`].
pub async fn fill(
    system: System,
    programs: &Programs,
    cluster: &mut Cluster,
    load: &Load,
) -> Result<(), BenchError> {
    let (place, _) = cluster.leader().await?;
    let target = Target { address: cluster.address(place).to_owned(), pids: Vec::new() };
    match system {
        System::Floor => {}
        System::Etcd => {
            let short = Load { measured: Duration::from_millis(100), op: Op::Get, ..*load };
            let mut arguments = etcd_arguments(&target, &short);
            arguments.push("--fill".into());
            measure(&programs.etcd_load, arguments, FILL_PATIENCE).await?;
        }
        System::Kvorum => {
            // kvctl draws keys at random: after eight writes per key one in 3,000 is missing.
            let mut written = 0;
            let puts = Load { op: Op::Put, measured: Duration::from_secs(1), ..*load };
            while written < 8 * load.keys {
                let arguments = kvctl_arguments(&target, &puts);
                let done = measure(&programs.kvctl, arguments, limit(load)).await?.operations;
                if done == 0 {
                    return Err(BenchError::Deadline {
                        what: "a put to fill the store".to_owned(),
                        waited: puts.measured,
                    });
                }
                written += done;
            }
        }
    }
    Ok(())
}

/// Where a load goes.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Whom clients connect to.
    pub(super) address: String,
    /// Whose CPU is charged.
    pub(super) pids: Vec<u32>,
}

/// Runs `kvctl bench` by another protocol than its own.
///
/// Errors: if it fails, or takes far too long.
pub(super) async fn kvctl(
    programs: &Programs,
    target: &Target,
    protocol: &str,
    load: &Load,
) -> Result<Measurement, BenchError> {
    let mut arguments = kvctl_arguments(target, load);
    arguments.extend(["--protocol", protocol].map(OsString::from));
    measure(&programs.kvctl, arguments, limit(load)).await
}

fn arguments(begin: &str, target: &Target, load: &Load) -> Vec<OsString> {
    let mut line = format!(
        "{begin} {} --connections {} --seconds {}",
        target.address,
        load.connections,
        load.measured.as_secs_f64()
    );
    if !target.pids.is_empty() {
        let pids: Vec<String> = target.pids.iter().map(u32::to_string).collect();
        line = format!("{line} --pids {}", pids.join(","));
    }
    line.split(' ').map(OsString::from).collect()
}

fn in_flight_and_warm_up(load: &Load) -> [OsString; 4] {
    let warm_up = load.warm_up.as_secs_f64().to_string();
    let in_flight = load.in_flight.to_string();
    ["--in-flight", &in_flight, "--warm-up-seconds", &warm_up].map(OsString::from)
}

fn shape(load: &Load) -> [OsString; 6] {
    let op = if load.op == Op::Put { "put" } else { "get" };
    let (value_size, keys) = (load.value_size.to_string(), load.keys.to_string());
    ["--op", op, "--value-size", &value_size, "--keys", &keys].map(OsString::from)
}

fn etcd_arguments(target: &Target, load: &Load) -> Vec<OsString> {
    let mut arguments = arguments("--endpoints", target, load);
    arguments.extend(shape(load));
    let clients = (load.connections * load.in_flight).to_string();
    let warm_up = load.warm_up.as_secs_f64().to_string();
    arguments.extend(["--clients", &clients, "--warm-up-seconds", &warm_up].map(OsString::from));
    arguments
}

fn kvctl_arguments(target: &Target, load: &Load) -> Vec<OsString> {
    let mut arguments = arguments("bench -w json --endpoints", target, load);
    arguments.extend(shape(load));
    arguments.extend(["--in-flight", &load.in_flight.to_string()].map(OsString::from));
    arguments
}

fn limit(load: &Load) -> Duration {
    load.warm_up + load.measured + SLACK
}

async fn measure(
    program: &PathBuf,
    arguments: Vec<OsString>,
    limit: Duration,
) -> Result<Measurement, BenchError> {
    let name = program.display().to_string();
    let output = tokio::time::timeout(limit, bare(program).args(&arguments).output()).await;
    let output = output
        .map_err(|_| BenchError::Deadline { what: format!("the end of {name}"), waited: limit })?
        .map_err(BenchError::io(&name))?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr);
        let log = log.trim().chars().take(COMPLAINT_CHARS_MAX).collect();
        return Err(BenchError::Ended { program: name, status: describe(output.status), log });
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| BenchError::NotAMeasurement { program: name, text: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_told_the_same_load() {
        let load = Load {
            op: Op::Put,
            connections: 100,
            in_flight: 10,
            value_size: 256,
            keys: 100_000,
            warm_up: Duration::from_secs(1),
            measured: Duration::from_secs(5),
        };
        let target = Target { address: "h:1".to_owned(), pids: vec![7, 8] };
        let joined = |arguments: Vec<OsString>| arguments.join(" ".as_ref()).into_string().unwrap();
        assert_eq!(
            joined(kvctl_arguments(&target, &load)),
            "bench -w json --endpoints h:1 --connections 100 --seconds 5 --pids 7,8 --op put \
             --value-size 256 --keys 100000 --in-flight 10"
        );
        assert_eq!(
            joined(etcd_arguments(&target, &load)),
            "--endpoints h:1 --connections 100 --seconds 5 --pids 7,8 --op put --value-size 256 \
             --keys 100000 --clients 1000 --warm-up-seconds 1"
        );
    }

    #[tokio::test]
    async fn a_program_that_prints_no_measurement_is_named() {
        let patience = Duration::from_secs(60);
        let error = measure(&"echo".into(), vec!["nothing".into()], patience).await.unwrap_err();
        assert!(error.to_string().starts_with("echo printed no measurement"), "{error}");
        let error = measure(&"false".into(), Vec::new(), patience).await.unwrap_err();
        assert!(error.to_string().starts_with("false ended with exit code 1"), "{error}");
    }
}
