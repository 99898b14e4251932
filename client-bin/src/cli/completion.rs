//! `kvctl completion`: what shells need to complete its commands and flags.

use std::io::Write;

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::CommandError;
use super::arguments::Arguments;

/// Prints the script for a shell. Returns the exit code.
pub(super) fn run(output: &mut dyn Write, shell: Shell) -> Result<u8, CommandError> {
    // Into memory first: the generator panics if it cannot write.
    let mut script = Vec::new();
    generate(shell, &mut Arguments::command(), "kvctl", &mut script);
    output.write_all(&script)?;
    Ok(0)
}
