//! Flags of the log of the program.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tracing_subscriber::filter::LevelFilter;

use crate::error::StartError;
use crate::logging::{self, LogControl, LogFile, LogFormat, LogGuard, LogSettings};

/// Where the log goes and how it is written.
#[derive(Clone, Debug, Args)]
pub(super) struct LogArguments {
    /// How a line of the log is written
    #[arg(long, value_enum, env = "KVORUM_LOG_FORMAT", default_value = "text")]
    log_format: FormatName,
    /// A file that takes the log, beside standard error
    #[arg(long, value_name = "FILE", env = "KVORUM_LOG_FILE")]
    log_file: Option<PathBuf>,
    /// How long that file may become before a new one is begun
    #[arg(long, value_name = "BYTES", env = "KVORUM_LOG_FILE_BYTES",
          default_value_t = 64 * 1024 * 1024, value_parser = clap::value_parser!(u64).range(1..))]
    log_file_bytes: u64,
    /// How many older ones are kept, as FILE.1, FILE.2, ...
    #[arg(long, value_name = "N", env = "KVORUM_LOG_FILES_KEPT", default_value_t = 4)]
    log_files_kept: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatName {
    /// Lines for people
    Text,
    /// A JSON document per line
    Json,
}

/// How much is written to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// Begins the log of this program.
///
/// Errors: if the file cannot be opened.
pub(super) fn begin(
    arguments: &LogArguments,
    level: LogLevel,
) -> Result<(LogControl, LogGuard), StartError> {
    let LogArguments { log_format, log_file, log_file_bytes, log_files_kept } = arguments;
    let format = match log_format {
        FormatName::Text => LogFormat::Text,
        FormatName::Json => LogFormat::Json,
    };
    let file = log_file.clone().map(|path| LogFile {
        path,
        bytes_max: *log_file_bytes,
        kept: usize::from(*log_files_kept),
    });
    let settings = LogSettings { level: level.into(), format, file };
    logging::begin(settings).map_err(|error| {
        let path = log_file.as_ref().map_or_else(String::new, |path| path.display().to_string());
        StartError::Setting(format!("--log-file {path} cannot be opened: {error}"))
    })
}
