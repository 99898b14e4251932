//! What open dashboards cost a cluster that is busy.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::builds::push;
use super::cluster::{Cluster, Programs, System};
use super::load::{self, Load};
use super::plan::tell;
use super::table::Spread;
use crate::error::BenchError;
use crate::measurement::{Measurement, float};

/// How long a page may take until it is shown something.
const FIRST_SIGHT: Duration = Duration::from_secs(10);

/// Loads of one cluster without and then with pages, in turn.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Dashboards {
    /// How many pages were open, dealt out over the nodes.
    pub pages: u64,
    /// Puts while none was.
    pub without: Vec<Measurement>,
    /// Puts while they were.
    pub with: Vec<Measurement>,
    /// What each page was shown. Units: bytes for each second.
    pub shown_bytes_per_second: Vec<f64>,
}

/// Measures it on a new cluster of three nodes with data under `folder`.
///
/// Errors: the first thing that goes wrong ends the run.
pub async fn run(
    programs: &Programs,
    folder: &Path,
    load: &Load,
    (pages, pairs): (u64, u64),
) -> Result<Dashboards, BenchError> {
    let mut found = Dashboards { pages, ..Dashboards::default() };
    let mut cluster = Cluster::start(System::Kvorum, programs, folder)?;
    load::run(System::Kvorum, programs, &mut cluster, load).await?;
    for _ in 0..pairs {
        let without = load::run(System::Kvorum, programs, &mut cluster, load).await?;
        tell(System::Kvorum, "without", &without);
        let open = Pages::open(&cluster.addresses(), pages).await?;
        let (begun, before) = (crate::clock::now(), open.shown_bytes());
        let with = load::run(System::Kvorum, programs, &mut cluster, load).await?;
        let shown = float(open.shown_bytes() - before) / begun.elapsed().as_secs_f64();
        open.check()?;
        tell(System::Kvorum, "with pages", &with);
        found.without.push(without);
        found.with.push(with);
        found.shown_bytes_per_second.push(shown / float(pages.max(1)));
    }
    cluster.end().await?;
    Ok(found)
}

/// Pages that read all that they are shown; closed when it is dropped.
struct Pages {
    readers: JoinSet<()>,
    shown_bytes: Arc<AtomicU64>,
    count: usize,
}

impl Pages {
    /// Opens so many, and returns when each has been shown something.
    async fn open(addresses: &[String], count: u64) -> Result<Self, BenchError> {
        let shown_bytes = Arc::new(AtomicU64::new(0));
        let mut readers = JoinSet::new();
        for (address, _) in addresses.iter().cycle().zip(0..count) {
            let opened = tokio::time::timeout(FIRST_SIGHT, open(address)).await;
            let mut stream = opened
                .map_err(|_| BenchError::Deadline {
                    what: format!("a page of {address}"),
                    waited: FIRST_SIGHT,
                })?
                .map_err(BenchError::io(format!("a page of {address}")))?;
            let shown_bytes = shown_bytes.clone();
            readers.spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    shown_bytes.fetch_add(u64::try_from(read).unwrap_or(0), Ordering::Relaxed);
                }
            });
        }
        let count = readers.len();
        Ok(Self { readers, shown_bytes, count })
    }

    fn shown_bytes(&self) -> u64 {
        self.shown_bytes.load(Ordering::Relaxed)
    }

    /// Whether all of them are still open, without which the figures say nothing.
    fn check(mut self) -> Result<(), BenchError> {
        if self.readers.try_join_next().is_none() && self.readers.len() == self.count {
            return Ok(());
        }
        let why = std::io::Error::other("the node ended it");
        Err(BenchError::io("a page")(why))
    }
}

async fn open(address: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /ui/live HTTP/1.1\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    match head.ends_with(b" 200") {
        true => Ok(stream),
        false => Err(std::io::Error::other(String::from_utf8_lossy(&head).into_owned())),
    }
}

impl Dashboards {
    /// The figures with their bound, as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "| what | with {} pages to without, median (lowest to highest) | accepted | |\n\
             |---|---|---|---|\n",
            self.pages
        );
        let per_second = |side: &[Measurement]| -> Vec<f64> {
            side.iter().map(|measured| measured.ops_per_second).collect()
        };
        let cpu = |side: &[Measurement]| -> Vec<f64> {
            side.iter().filter_map(|measured| measured.server_cpu_us_per_op).collect()
        };
        let rates = (&per_second(&self.with)[..], &per_second(&self.without)[..]);
        push(&mut text, "puts per second", rates, ("at least 0.95", |ratio| 0.95 <= ratio));
        let cpu = (&cpu(&self.with)[..], &cpu(&self.without)[..]);
        push(&mut text, "server CPU for each put", cpu, ("-", |_| true));
        if let Some(Spread { median, .. }) = Spread::of(&self.shown_bytes_per_second) {
            let shown =
                format!("| shown to each page, kB per second | {:.1} | - | |\n", median / 1e3);
            text.push_str(&shown);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latencies::Latencies;
    use crate::measurement::{Shape, Tally};

    #[test]
    fn rates_with_pages_are_compared_with_those_before_them() {
        let measured = |operations: u64| {
            let shape = Shape { op: "put", connections: 1, in_flight: 1, value_size: 1, keys: 1 };
            let mut latencies = Latencies::default();
            (0..operations).for_each(|_| latencies.record(1));
            let tally = Tally { latencies, ..Tally::default() };
            Measurement::new(&shape, 1.0, &tally, None)
        };
        let dashboards = Dashboards {
            pages: 10,
            without: vec![measured(100), measured(200)],
            with: vec![measured(94), measured(188)],
            shown_bytes_per_second: vec![1_500.0],
        };
        let told = dashboards.markdown();
        let rates = "| puts per second | 0.940 (0.940 to 0.940) | at least 0.95 | no |\n";
        assert!(told.contains(rates), "{told}");
        assert!(told.ends_with("| shown to each page, kB per second | 1.5 | - | |\n"), "{told}");
    }
}
