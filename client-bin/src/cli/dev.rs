//! `kvctl dev`.

use std::io::Write;

use serde::Serialize;
use tokio::time::Instant;

use super::CommandError;
use super::arguments::{DevCommand, Format};
use super::output;
use crate::playground::play;

/// Has the command carried out and writes what was done. Returns the exit code.
pub(crate) async fn run(
    command: &DevCommand,
    endpoints: &[String],
    deadline: Instant,
    (format, output): (Format, &mut dyn Write),
) -> Result<u8, CommandError> {
    #[derive(Serialize)]
    struct Document {
        done: String,
    }
    let within = deadline.saturating_duration_since(Instant::now());
    let done = play(endpoints, command.to_play(), within).await?;
    match format {
        Format::Simple | Format::Table => writeln!(output, "{done}")?,
        Format::Json => output::json(output, &Document { done })?,
    }
    Ok(0)
}
