//! The commands of `kvctl` at the prompt, carried out by `kvctl`'s own code over connections to the
//! nodes of this process.

use std::io::{self, Write as _};

use kvorum_client::cli::{CommandError, Lines, Order, Stop};

use super::keyboard::Keyboard;
use super::session::{Outcome, Session};
use crate::local_cluster::PATIENCE;

/// The highest exit code of `kvctl` that is an answer.
const DECIDED_NO: u8 = 1;

impl Session {
    /// Carries a line out, and writes the answer as it comes.
    ///
    /// Errors: one line that says what went wrong.
    pub(super) async fn carry_out(
        &mut self,
        words: &[String],
        keyboard: &mut Keyboard,
    ) -> Result<Outcome, String> {
        let order = Order::read(words).map_err(|error| error.to_string())?;
        let (takes_a_while, is_terminal) = (order.takes_a_while(), keyboard.is_terminal());
        // In a script the next line is the next command, but for one that would never end.
        let by_line = if is_terminal { takes_a_while } else { order.is_endless() };
        let mut stop = Stop::when(keyboard.enough(by_line));
        let told = self.told(order, &mut stop).await;
        drop(stop);
        // When nobody reads any more, the next line of input will not come either.
        let _ = io::stdout().flush();
        let was_interrupted = keyboard.take_interrupt();
        if was_interrupted && !(is_terminal && takes_a_while) {
            return Ok(Outcome::Interrupted);
        }
        match told {
            Ok(0..=DECIDED_NO) | Err(CommandError::Interrupted) => Ok(Outcome::Silent),
            Ok(_) => Ok(Outcome::Failed),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn told(&mut self, order: Order, stop: &mut Stop<'_>) -> Result<u8, CommandError> {
        let (through, all) = self.addresses().map_err(CommandError::Usage)?;
        let (owner, kept) = self.parts();
        let told = async {
            let lines = match kept {
                Some(lines) => lines,
                None => kept.insert(Lines::connect(through, all, PATIENCE).await?),
            };
            lines.carry_out(order, (&mut io::stdout(), &mut io::stderr()), stop).await
        };
        // Somebody may want to see something done while this goes on, this very command included.
        owner.serve_during(told).await
    }
}
