//! What snapshots cost and how quick they are: builds beside puts, and a transfer to a follower
//! that was away; `alone` has the starts of a node.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::alone::{self, Alone};
use super::cluster::{Cluster, Launch, Programs, System};
use super::load::{self, Load};
use super::plan::tell;
use super::table::Spread;
use crate::clock;
use crate::error::BenchError;
use crate::measurement::float;

pub(super) const FLAG: &str = "--snapshot-log-bytes";

/// As a node has it by default. Units: bytes.
const USUAL_LOG_BYTES: &str = "67108864";
/// So much that no snapshot is made. Units: bytes.
pub(super) const NO_SNAPSHOTS: &str = "1000000000000";

/// How long each load is that is put into one of two classes.
const SLICE: Duration = Duration::from_millis(500);

/// Slices at most, should builds never begin.
const SLICES_MAX: usize = 240;

/// Slices beside builds that are enough.
const SLICES_WANTED: usize = 40;

/// How often the files of a node are looked at.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshots {
    /// Puts with and without a build.
    pub builds: Builds,
    /// A snapshot that was sent.
    pub sent: Sent,
    /// One node by itself.
    pub alone: Alone,
}

/// Puts in slices of half a second, on a cluster that builds snapshots and in turn on one that
/// builds none. A slice of the first counts if the leader was building in it or in the one
/// before, so that what comes of a build's end counts too, and then so does the next one of the
/// second.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Builds {
    /// The 99th percentile of each slice with a build. Units: microseconds.
    pub with_p99_us: Vec<f64>,
    /// Of each slice without one.
    pub without_p99_us: Vec<f64>,
    /// Puts for each second of slices with a build.
    pub with_per_second: Vec<f64>,
    /// Without one.
    pub without_per_second: Vec<f64>,
}

/// How a snapshot came to a follower.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sent {
    /// Its length.
    pub bytes: u64,
    /// From the first byte to the file's last name. Units: seconds.
    pub seconds: f64,
    /// From then until the follower had it in the place of its state. Units: seconds.
    pub install_seconds: f64,
}

/// Measures it all, with data under `folder`; of `load`, which writes, neither the warm-up nor the
/// duration is used.
///
/// Errors: the first thing that goes wrong ends the run.
pub async fn run(programs: &Programs, folder: &Path, load: &Load) -> Result<Snapshots, BenchError> {
    let load = Load { warm_up: Duration::ZERO, measured: SLICE, ..*load };
    let (builds, sent) = beside_puts(programs, &folder.join("three"), &load).await?;
    let alone = alone::run(programs, &folder.join("one"), &load).await?;
    Ok(Snapshots { builds, sent, alone })
}

/// Two of three nodes take puts and build snapshots, then the third comes back.
async fn beside_puts(
    programs: &Programs,
    folder: &Path,
    load: &Load,
) -> Result<(Builds, Sent), BenchError> {
    // Both are there before a node goes, whose port the other might take.
    let mut cluster = three_nodes(programs, &folder.join("on"), USUAL_LOG_BYTES).await?;
    let mut quiet = three_nodes(programs, &folder.join("off"), NO_SNAPSHOTS).await?;
    let away = fill_without_one(programs, &mut cluster, load).await?;
    fill_without_one(programs, &mut quiet, load).await?;
    let builds = build(programs, &mut cluster, &mut quiet, load).await?;
    quiet.end().await?;
    let (leader, view) = cluster.leader().await?;
    // What is being built now is sent as well when it is complete.
    cluster.until(leader, SLICE, |view| 0 < view.snapshot).await?;
    while is_building(cluster.data(leader)) {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    cluster.restart(away).await?;
    let sent = receive(&mut cluster, away, view.applied).await?;
    cluster.end().await?;
    Ok((builds, sent))
}

async fn three_nodes(
    programs: &Programs,
    folder: &Path,
    log_bytes: &str,
) -> Result<Cluster, BenchError> {
    let launch = Launch { flags: vec![FLAG.into(), log_bytes.into()], ..Launch::default() };
    let mut cluster = Cluster::launch(System::Kvorum, programs, folder, &launch)?;
    // There is a leader only when all of them have their ports.
    cluster.leader().await?;
    Ok(cluster)
}

/// Fills two nodes while the third, whose place is returned, is away.
async fn fill_without_one(
    programs: &Programs,
    cluster: &mut Cluster,
    load: &Load,
) -> Result<usize, BenchError> {
    let (leader, _) = cluster.leader().await?;
    let away = usize::from(leader == 0);
    cluster.kill(away).await?;
    fill(programs, cluster, load).await?;
    Ok(away)
}

/// Puts under keys at random until nearly `load.keys` different ones are there.
async fn fill(programs: &Programs, cluster: &mut Cluster, load: &Load) -> Result<(), BenchError> {
    let keys = load.keys;
    let puts = Load { measured: Duration::from_secs(2), ..*load };
    put_until(programs, cluster, &puts, 3 * keys).await
}

async fn put_until(
    programs: &Programs,
    cluster: &mut Cluster,
    load: &Load,
    puts: u64,
) -> Result<(), BenchError> {
    let mut done = 0;
    while done < puts {
        let measured = load::run(System::Kvorum, programs, cluster, load).await?;
        tell(System::Kvorum, "fill", &measured);
        if measured.operations == 0 {
            let what = "a put to fill the store".to_owned();
            return Err(BenchError::Deadline { what, waited: load.measured });
        }
        done += measured.operations;
    }
    Ok(())
}

async fn build(
    programs: &Programs,
    cluster: &mut Cluster,
    quiet: &mut Cluster,
    load: &Load,
) -> Result<Builds, BenchError> {
    let (leader, _) = cluster.leader().await?;
    let data = cluster.data(leader).to_owned();
    let mut builds = Builds::default();
    let mut was_building = false;
    for _ in 0..SLICES_MAX {
        let watch = tokio::spawn(watch_builds(data.clone(), SLICE));
        let with = load::run(System::Kvorum, programs, cluster, load).await?;
        let builds_now = watch.await.map_err(|error| BenchError::Setting(error.to_string()))?;
        let counts = builds_now || std::mem::replace(&mut was_building, builds_now);
        if !counts {
            continue;
        }
        let without = load::run(System::Kvorum, programs, quiet, load).await?;
        builds.with_p99_us.push(with.p99_us);
        builds.with_per_second.push(with.ops_per_second);
        builds.without_p99_us.push(without.p99_us);
        builds.without_per_second.push(without.ops_per_second);
        if builds.with_p99_us.len() == SLICES_WANTED {
            break;
        }
    }
    Ok(builds)
}

pub(super) fn is_building(data: &Path) -> bool {
    data.join("snapshot-new").exists()
}

/// Whether a snapshot was being built at any moment.
async fn watch_builds(data: std::path::PathBuf, duration: Duration) -> bool {
    let (mut was_building, end) = (false, clock::now() + duration);
    while clock::now() < end {
        was_building |= is_building(&data);
        tokio::time::sleep(5 * LOOK_INTERVAL).await;
    }
    was_building
}

/// Watches how the file of a snapshot grows on a node, and how it is put in place.
async fn receive(cluster: &mut Cluster, place: usize, applied: u64) -> Result<Sent, BenchError> {
    let incoming = cluster.data(place).join("snapshot-incoming");
    let length = || std::fs::metadata(&incoming).map(|file| file.len());
    let give_up = clock::now() + super::cluster::PATIENCE;
    let mut began: Option<Instant> = None;
    let mut bytes = 0;
    loop {
        match (length(), began) {
            (Ok(length), _) => {
                began = began.or_else(|| Some(clock::now()));
                bytes = bytes.max(length);
            }
            (Err(_), Some(_)) => break,
            (Err(_), None) => {}
        }
        if give_up < clock::now() {
            let what = "a whole snapshot on the follower".to_owned();
            return Err(BenchError::Deadline { what, waited: super::cluster::PATIENCE });
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    let complete = clock::now();
    let began = began.expect("the loop ends with a file that was there");
    let is_installed = |view: &super::cluster::NodeView| 0 < view.snapshot;
    cluster.until(place, 5 * LOOK_INTERVAL, is_installed).await?;
    let install_seconds = (clock::now() - complete).as_secs_f64();
    cluster.until(place, 5 * LOOK_INTERVAL, |view| applied <= view.applied).await?;
    let seconds = (complete - began).as_secs_f64();
    eprintln!("a snapshot of {bytes} bytes came in {seconds:.2} s, installed {install_seconds:.2}");
    Ok(Sent { bytes, seconds, install_seconds })
}

impl Snapshots {
    /// The figures with their bounds, as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let Self { builds, sent, alone } = self;
        let median = |figures: &[f64]| Spread::of(figures).map_or(f64::NAN, |spread| spread.median);
        let (with, without) = (median(&builds.with_p99_us), median(&builds.without_p99_us));
        let (rate_with, rate_without) =
            (median(&builds.with_per_second), median(&builds.without_per_second));
        let ratio = with / without;
        let mb_per_second = float(sent.bytes) / sent.seconds / 1e6;
        let verdict = |is_met: bool| if is_met { "yes" } else { "no" };
        let (slices_with, slices_without) = (builds.with_p99_us.len(), builds.without_p99_us.len());
        let mb = float(sent.bytes) / 1e6;
        format!(
            "| what | measured | accepted | |\n|---|---|---|---|\n\
             | p99 of puts while a snapshot is built, to p99 without | {ratio:.2} ({with:.0} and \
             {without:.0} us, {slices_with} and {slices_without} slices; {rate_with:.0} and \
             {rate_without:.0} puts per second) | at most 1.25 | {} |\n\
             | a snapshot of {mb:.0} MB to a follower, MB per second | {mb_per_second:.0} | \
             at least 200 | {} |\n\
             | its installation, s | {:.2} | - | |\n{}",
            verdict(ratio <= 1.25),
            verdict(200.0 <= mb_per_second),
            sent.install_seconds,
            alone.rows(),
        )
    }
}
