//! Which commands make the store larger.

use super::{Command, Operation, Transaction};

impl Command<'_> {
    /// Whether the command may add to what exists, so that a leader refuses it while memory is
    /// short. It is judged by what it is and not by what it would find: a put of a shorter value
    /// grows, and a transaction does that would grow in either branch. An end or a renewal adds a
    /// few bytes to what exists already, and does not count.
    #[must_use]
    pub fn grows(&self) -> bool {
        match self {
            Self::Put { .. }
            | Self::PutWith { .. }
            | Self::SetFields { .. }
            | Self::AddMembers { .. }
            | Self::Increment { .. }
            | Self::Edit { .. }
            | Self::Rename { .. }
            | Self::StoreCombined { .. }
            | Self::GrantLease { .. } => true,
            Self::Delete { .. }
            | Self::DeleteReturning { .. }
            | Self::Compact { .. }
            | Self::RemoveItems { .. }
            | Self::RevokeLease { .. }
            | Self::RenewLeases { .. }
            | Self::Expire { .. }
            | Self::Take { .. }
            | Self::RemoveEnded => false,
            Self::Transaction { on_no: _, transaction } => transaction.grows(),
            Self::Auth { change } => change.grows(),
            Self::Restore { step } => step.grows(),
        }
    }
}

impl Transaction<'_> {
    /// Walks without recursion: who builds a transaction may nest it as deep as memory allows.
    fn grows(&self) -> bool {
        let mut rest = vec![self];
        while let Some(Self { when: _, then, otherwise }) = rest.pop() {
            for operation in then.iter().chain(otherwise.iter()) {
                match operation {
                    // One that cannot be an operation is refused when it is applied.
                    Operation::Write(Command::Transaction { .. }) | Operation::Read(_) => {}
                    Operation::Write(command) if command.grows() => return true,
                    Operation::Write(_) => {}
                    Operation::Nested(nested) => rest.push(nested),
                }
            }
        }
        false
    }
}
