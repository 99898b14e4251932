//! `kvctl session`.

use serde::Serialize;

use super::arguments::{Format, SessionCommand, Shared};
use super::{CommandError, Console, Interrupts, output};
use crate::request_id::SessionId;

/// Carries the command out and writes the answer. Returns the exit code.
pub(super) async fn run(
    console: &mut Console<'_>,
    shared: &Shared,
    command: SessionCommand,
) -> Result<u8, CommandError> {
    let SessionCommand::Open = command;
    let mut interrupts = Interrupts::new()?;
    let session = tokio::select! {
        session = SessionId::open(shared.endpoints.clone(), shared.timeout()) => session?,
        () = interrupts.next() => return Err(CommandError::Interrupted),
    };
    opened(console.output, shared.write_out, session)?;
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
