//! `kvctl shell`: the commands from a prompt or a pipe, over one session.

use std::io;

use clap::Parser as _;
use tokio::time::Instant;

use super::arguments::{Format, Line, LineAction, Shared, ShellArguments, one_line};
use super::commands::{Job, Target};
use super::{CommandError, Console, DECIDED_NO, Interrupts};
use crate::client::{Client, Options};
use crate::prompt::{Entered, Prompt, Word, split};
use crate::request_id::SessionId;

const WORDS: &[Word] = &[
    Word { name: "put", usage: "KEY VALUE" },
    Word { name: "set", usage: "KEY VALUE" },
    Word { name: "get", usage: "KEY [--prefix]" },
    Word { name: "del", usage: "KEY... [--prefix]" },
    Word { name: "hset", usage: "KEY FIELD:VALUE..." },
    Word { name: "hget", usage: "KEY FIELD..." },
    Word { name: "hdel", usage: "KEY FIELD..." },
    Word { name: "hgetall", usage: "KEY" },
    Word { name: "hlen", usage: "KEY" },
    Word { name: "hexists", usage: "KEY FIELD..." },
    Word { name: "sset", usage: "KEY MEMBER..." },
    Word { name: "sdel", usage: "KEY MEMBER..." },
    Word { name: "shas", usage: "KEY MEMBER..." },
    Word { name: "smembers", usage: "KEY" },
    Word { name: "scard", usage: "KEY" },
    Word { name: "incr", usage: "KEY [[FIELD] BY]" },
    Word { name: "txn", usage: "[if COMPARE [and ...]] [then OPERATION [; ...]] [else ...]" },
    Word { name: "history", usage: "KEY [--since REVISION]" },
    Word { name: "watch", usage: "KEY [--prefix] [--since REVISION] [--prev]" },
    Word { name: "compact", usage: "REVISION" },
    Word { name: "status", usage: "" },
    Word { name: "member", usage: "list|add|remove|promote|demote|update|transfer" },
    Word { name: "help", usage: "[COMMAND]" },
    Word { name: "exit", usage: "" },
];

/// What a line came to.
enum Done {
    /// The exit code that the command would have had by itself.
    Code(u8),
    /// The user leaves.
    Leave,
}

/// Carries out line by line. Returns the exit code: from a pipe, 1 if a line failed.
pub(super) async fn run(
    console: &mut Console<'_>,
    shared: &Shared,
    ShellArguments { client_id }: ShellArguments,
) -> Result<u8, CommandError> {
    let mut interrupts = Interrupts::new()?;
    let options = Options { timeout: shared.timeout() };
    let client = tokio::select! {
        client = Client::connect(shared.endpoints.clone(), options) => client?,
        () = interrupts.next() => return Err(CommandError::Interrupted),
    };
    let is_terminal = console.input_is_terminal;
    let input = std::mem::replace(&mut console.input, Box::new(io::empty()));
    let mut prompt = if is_terminal {
        writeln!(
            console.errors,
            "kvctl {}; help shows the commands, Ctrl-D leaves",
            env!("CARGO_PKG_VERSION")
        )?;
        Prompt::on_terminal("kvctl> ", WORDS)
    } else {
        Prompt::on_input(input)
    };
    let numbering = client_id.map(|id| (id, 0));
    let (line_number, has_failed) = (0, false);
    let mut session = Session { client, numbering, shared, is_terminal, line_number, has_failed };
    loop {
        let entered = tokio::select! {
            entered = prompt.next() => entered,
            () = interrupts.next() => return Err(CommandError::Interrupted),
        };
        let line = match entered {
            Ok(Entered::Line(line)) => Ok(line),
            Ok(Entered::Interrupted) => continue,
            Ok(Entered::End) => break,
            Err(error) if is_terminal => return Err(CommandError::Output(error)),
            Err(error) => Err(CommandError::Usage(error.to_string())),
        };
        session.line_number += 1;
        let done = match line {
            Ok(line) => session.carry_out(console, &line, &mut interrupts).await,
            Err(error) => Err(error),
        };
        if session.report(console, done)? {
            break;
        }
        console.output.flush()?;
    }
    Ok(if session.has_failed && !is_terminal { DECIDED_NO } else { 0 })
}

struct Session<'a> {
    client: Client,
    /// The client id under which writes are numbered, and the newest number.
    numbering: Option<(SessionId, u64)>,
    shared: &'a Shared,
    is_terminal: bool,
    line_number: u64,
    has_failed: bool,
}

impl Session<'_> {
    async fn carry_out(
        &mut self,
        console: &mut Console<'_>,
        line: &str,
        interrupts: &mut Interrupts,
    ) -> Result<Done, CommandError> {
        let mut words = split(line).map_err(|error| CommandError::Usage(error.to_string()))?;
        let Some(first) = words.first_mut() else { return Ok(Done::Code(0)) };
        *first = first.to_lowercase();
        if first == "set" {
            *first = "put".to_owned();
        }
        let Line { write_out, request_id, action } = match Line::try_parse_from(&words) {
            Ok(line) => line,
            Err(error) => {
                let text = error.render().to_string();
                if error.use_stderr() {
                    return Err(CommandError::Usage(one_line(&text)));
                }
                write!(console.output, "{text}")?;
                return Ok(Done::Code(0));
            }
        };
        let command = match action {
            LineAction::Data(command) => command,
            LineAction::Exit => return Ok(Done::Leave),
        };
        let job = Job::new(command, None)?;
        let names_a_key = matches!(job, Job::Get { .. });
        let format = write_out.unwrap_or(self.shared.write_out);
        let request_id = match &mut self.numbering {
            Some((id, newest)) if request_id.is_none() && job.is_write() => {
                *newest += 1;
                id.request(*newest)
            }
            Some(_) | None => request_id,
        };
        let (endpoints, shell) = (self.shared.endpoints.as_slice(), Some(&self.client));
        let target = Target { endpoints, shell, request_id };
        let deadline = Instant::now() + self.shared.timeout();
        let told: super::commands::Told<'_> = (&mut *console.output, &mut *console.errors);
        let is_endless = job.is_endless();
        let code = tokio::select! {
            code = job.run(&target, deadline, format, told) => code?,
            () = interrupts.next() => {
                let is_end = is_endless && self.is_terminal;
                return if is_end { Ok(Done::Code(0)) } else { Err(CommandError::Interrupted) };
            }
        };
        if code == DECIDED_NO && names_a_key && self.is_terminal && format == Format::Simple {
            writeln!(console.errors, "no such key")?;
        }
        Ok(Done::Code(code))
    }

    /// Tells what went wrong; returns whether the user leaves.
    ///
    /// Errors: what ends the shell: the output is gone, or Ctrl-C stopped a script.
    fn report(
        &mut self,
        console: &mut Console<'_>,
        done: Result<Done, CommandError>,
    ) -> Result<bool, CommandError> {
        let error = match done {
            Ok(Done::Leave) => return Ok(true),
            Ok(Done::Code(code)) => {
                self.has_failed |= code != 0;
                return Ok(false);
            }
            Err(error @ CommandError::Output(_)) => return Err(error),
            Err(CommandError::Interrupted) if !self.is_terminal => {
                return Err(CommandError::Interrupted);
            }
            Err(error) => error,
        };
        self.has_failed = true;
        // What was written before the error comes before it.
        console.output.flush()?;
        if self.is_terminal {
            writeln!(console.errors, "error: {error}")?;
        } else {
            writeln!(console.errors, "kvctl: line {}: {error}", self.line_number)?;
        }
        Ok(false)
    }
}
