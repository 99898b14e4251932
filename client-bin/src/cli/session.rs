//! `kvctl session`.

use serde::Serialize;

use super::arguments::{Format, SessionCommand, Shared};
use super::stop::Stop;
use super::{CommandError, output};
use crate::request_id::SessionId;

/// Carries the command out and writes the answer. Returns the exit code.
pub(super) async fn run(
    output: &mut dyn std::io::Write,
    shared: &Shared,
    command: SessionCommand,
    stop: &mut Stop<'_>,
) -> Result<u8, CommandError> {
    let SessionCommand::Open = command;
    let session = tokio::select! {
        session = SessionId::open(shared.endpoints.clone(), shared.timeout()) => session?,
        () = stop.comes() => return Err(CommandError::Interrupted),
    };
    opened(output, shared.write_out, session)?;
    Ok(0)
}

fn opened(
    output: &mut dyn std::io::Write,
    format: Format,
    session: SessionId,
) -> std::io::Result<()> {
    #[derive(Serialize)]
    struct Opened {
        client_id: String,
    }
    let client_id = session.to_string();
    match format {
        Format::Simple => writeln!(output, "{client_id}"),
        Format::Json => output::json(output, &Opened { client_id }),
        Format::Table => output::table(output, &["CLIENT_ID"], &[vec![client_id]]),
    }
}
