//! Why a benchmark could not go on.

use std::io;
use std::time::Duration;

/// What ends a run. Nothing is repeated: a figure of a run that had to be mended is worth little.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A file, socket or process could not be used.
    #[error("{what}: {source}")]
    Io {
        /// What was to be done, and with what.
        what: String,
        /// In the words of the system.
        source: io::Error,
    },
    /// A program of the run ended before it was told to, or with a failure.
    #[error("{program} ended with {status}; see {log}")]
    Ended {
        /// The program.
        program: String,
        /// How it ended.
        status: String,
        /// What it said, or where that stands.
        log: String,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {} s", waited.as_secs())]
    Deadline {
        /// What was waited for.
        what: String,
        /// For how long.
        waited: Duration,
    },
    /// A load program printed something else than a measurement.
    #[error("{program} printed no measurement: {text}")]
    NotAMeasurement {
        /// The program.
        program: String,
        /// What is wrong with it.
        text: String,
    },
    /// An option makes no sense, or the machine lacks what the run needs.
    #[error("{0}")]
    Setting(String),
}

impl BenchError {
    /// For `map_err` on what the system answers.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what: what.into(), source }
    }
}
