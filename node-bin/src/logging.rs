//! Where lines of the log go, and what of it can be changed while the program runs.
//!
//! Lines go to standard error, to a file if there is one, and to each node that keeps the newest
//! for those who watch them. The library that writes them has the only locks of this program.

mod file;
mod tap;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;

use actix::Recipient;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::{Layered, SubscriberExt as _};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, fmt, reload};

use self::file::RotatingFile;
pub(crate) use self::tap::LogLine;
use self::tap::Taps;

/// As many lines wait for the file at most; what comes then does not go there.
const WAITING_LINES_MAX: usize = 16_384;

type Filtered = Layered<reload::Layer<LevelFilter, Registry>, Registry>;
type Output = Box<dyn Layer<Filtered> + Send + Sync>;
/// Has one more node told.
type Tell = dyn Fn(Recipient<LogLine>) + Send + Sync;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// Where the log is to go, and how.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// How much of it.
    pub level: LevelFilter,
    /// How a line is written.
    pub format: LogFormat,
    /// A file that takes it too.
    pub file: Option<LogFile>,
}

/// A file that takes the log.
#[derive(Clone, Debug)]
pub struct LogFile {
    /// Where; older ones stand beside it as `<path>.1`, `<path>.2`, ...
    pub path: PathBuf,
    /// When it is as long as this a new one is begun. Units: bytes.
    pub bytes_max: u64,
    /// As many older ones are kept.
    pub kept: usize,
}

/// The log of this program while it runs.
#[derive(Clone)]
pub struct LogControl {
    level: reload::Handle<LevelFilter, Registry>,
    tell: Arc<Tell>,
}

/// Ends with the program: what waits for the file is written then.
#[derive(Debug)]
pub struct LogGuard(
    #[allow(dead_code, reason = "it works when it is dropped")] Option<WorkerGuard>,
);

/// Begins the log of this program.
///
/// Errors: if the file cannot be opened.
///
/// Panics: if it has been begun before.
pub fn begin(settings: LogSettings) -> io::Result<(LogControl, LogGuard)> {
    let LogSettings { level, format, file } = settings;
    let mut outputs = vec![stderr(format)];
    let mut guard = None;
    if let Some(file) = file {
        let file = RotatingFile::open(file)?;
        let (writer, ends) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(WAITING_LINES_MAX)
            .thread_name("log-file")
            .finish(file);
        outputs.push(match format {
            LogFormat::Text => plain().with_writer(writer).boxed(),
            LogFormat::Json => plain().json().with_writer(writer).boxed(),
        });
        guard = Some(ends);
    }
    let (told, tell) = match format {
        LogFormat::Text => tapped(plain().with_writer(Taps::default())),
        LogFormat::Json => tapped(plain().json().with_writer(Taps::default())),
    };
    outputs.push(told);
    let (filter, level) = reload::Layer::new(level);
    tracing_subscriber::registry().with(filter).with(outputs).init();
    Ok((LogControl { level, tell }, LogGuard(guard)))
}

/// Writes each line once for all nodes of the program.
fn tapped<N, E>(layer: fmt::Layer<Filtered, N, E, Taps>) -> (Output, Arc<Tell>)
where
    N: Send + Sync + 'static,
    E: Send + Sync + 'static,
    fmt::Layer<Filtered, N, E, Taps>: Layer<Filtered>,
{
    let (layer, taps) = reload::Layer::new(layer);
    let tell = move |to: Recipient<LogLine>| {
        // It fails only when there is no log any more.
        let _ = taps.modify(|layer| layer.writer_mut().add(to));
    };
    (layer.boxed(), Arc::new(tell))
}

/// A span is told when it ends, with how long it was at work.
fn plain() -> fmt::Layer<Filtered> {
    fmt::layer().with_target(false).with_ansi(false).with_span_events(FmtSpan::CLOSE)
}

fn stderr(format: LogFormat) -> Output {
    match format {
        LogFormat::Text => {
            plain().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).boxed()
        }
        LogFormat::Json => plain().json().with_writer(io::stderr).boxed(),
    }
}

impl std::fmt::Debug for LogControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogControl({})", self.level())
    }
}

impl LogControl {
    /// How much is written, as a word.
    pub(crate) fn level(&self) -> String {
        let level = self.level.clone_current().unwrap_or(LevelFilter::OFF);
        level.to_string().to_lowercase()
    }

    /// Writes more or less from now on.
    ///
    /// Errors: names the words that there are.
    pub(crate) fn set_level(&self, word: &str) -> Result<(), String> {
        let level = match word {
            "error" => LevelFilter::ERROR,
            "warn" => LevelFilter::WARN,
            "info" => LevelFilter::INFO,
            "debug" => LevelFilter::DEBUG,
            "trace" => LevelFilter::TRACE,
            _ => return Err(format!("{word:?} is no level: error, warn, info, debug or trace")),
        };
        self.level.reload(level).map_err(|error| error.to_string())
    }

    /// Has every further line told to `to` too, until that is gone.
    pub(crate) fn tell(&self, to: Recipient<LogLine>) {
        (self.tell)(to);
    }
}
