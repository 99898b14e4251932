//! `kvctl shell`: the commands from a prompt or a pipe, over one session.

use std::cell::Cell;
use std::io;

use super::arguments::{Shared, ShellArguments};
use super::line::{Lines, Order, WORDS};
use super::stop::Stop;
use super::{CommandError, Console, DECIDED_NO, Interrupts};
use crate::client::{Client, Options};
use crate::prompt::{Entered, Prompt, split};

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
    let lines = Lines::of_shell(client, shared.clone(), client_id);
    let mut session = Session { lines, is_terminal, line_number: 0, has_failed: false };
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

struct Session {
    lines: Lines,
    is_terminal: bool,
    line_number: u64,
    has_failed: bool,
}

impl Session {
    async fn carry_out(
        &mut self,
        console: &mut Console<'_>,
        line: &str,
        interrupts: &mut Interrupts,
    ) -> Result<Done, CommandError> {
        let words = split(line).map_err(|error| CommandError::Usage(error.to_string()))?;
        if words.is_empty() {
            return Ok(Done::Code(0));
        }
        let order = Order::read(&words)?;
        if order.is_exit() {
            return Ok(Done::Leave);
        }
        let was_interrupted = Cell::new(false);
        let mut stop = Stop::when(async {
            interrupts.next().await;
            was_interrupted.set(true);
        });
        let told: super::commands::Told<'_> = (&mut *console.output, &mut *console.errors);
        let code = self.lines.carry_out(order, told, &mut stop).await?;
        drop(stop);
        // A person has seen enough of one command, and ends a script as a whole.
        if was_interrupted.get() && !self.is_terminal {
            return Err(CommandError::Interrupted);
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
