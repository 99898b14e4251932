//! The words of the commands about backups.

use std::path::PathBuf;

use clap::Subcommand;

/// What there is to do with backups.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Writes a backup of the first node that answers, and verifies it
    ///
    /// It has everything that was answered before. The file is there whole or not at all; one
    /// that is there already is replaced.
    Save {
        /// The file
        file: PathBuf,
    },
    /// Says what is in a backup, after verifying every byte of it; needs no cluster
    Inspect {
        /// The file
        file: PathBuf,
    },
    /// Puts the keys and leases of a backup in the place of those of the running cluster
    ///
    /// All at once: until then everything is as before, and if it does not come to that
    /// everything stays so. Members, sessions, users and roles stay. The revision goes above that
    /// of cluster and backup, nothing before it can be read any more, and every watch ends with it.
    /// --timeout is for each request.
    Restore {
        /// The file
        file: PathBuf,
        /// Verify the backup, say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}
