//! The words of the commands about the members of a cluster.

use clap::{Args, Subcommand};

/// Who is in the cluster, and what each of them is.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum MemberCommand {
    /// Lists the members: id, role, address, and which of them leads
    List,
    /// Makes room for new nodes, as learners, and prints how to start each
    Add {
        /// Where each of them will be reached
        #[arg(value_name = "HOST:PORT", required = true)]
        addresses: Vec<String>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Removes members for ever; a leader hands over first
    Remove {
        /// Their ids
        #[arg(value_name = "ID", required = true)]
        ids: Vec<u64>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Makes voters of learners that have caught up
    Promote {
        /// Their ids
        #[arg(value_name = "ID", required = true)]
        ids: Vec<u64>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Makes learners of voters
    Demote {
        /// Their ids
        #[arg(value_name = "ID", required = true)]
        ids: Vec<u64>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Says where a member is reached from now on
    Update {
        /// Its id
        id: u64,
        /// Its new address
        #[arg(value_name = "HOST:PORT")]
        address: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Hands leadership to a voter, or to the one that has most
    Transfer {
        /// Its id
        id: Option<u64>,
    },
}

/// Patience with a cluster that is busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
pub(crate) struct Wait {
    /// Try again, until --timeout, while another change is under way or a learner catches up
    #[arg(long)]
    pub(crate) wait: bool,
}
