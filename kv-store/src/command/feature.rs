//! Which feature level a command belongs to.

use super::Command;

impl Command<'_> {
    /// The lowest feature level that an entry with the command must have to execute it: on
    /// lower ones there may be nodes that do not know it, and it has no effect anywhere.
    #[must_use]
    pub fn feature_level(&self) -> u16 {
        match self {
            Self::Restore { .. } => 2,
            _ => 1,
        }
    }
}
