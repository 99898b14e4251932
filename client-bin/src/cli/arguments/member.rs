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
        how: How,
    },
    /// Removes members for ever; a leader hands over first
    Remove {
        /// Their ids
        #[arg(value_name = "ID", required = true)]
        ids: Vec<u64>,
        #[command(flatten)]
        how: How,
    },
    /// Makes voters of learners that have caught up
    Promote {
        /// Their ids
        #[arg(value_name = "ID", required = true)]
        ids: Vec<u64>,
        #[command(flatten)]
        how: How,
    },
    /// Makes learners of voters
    Demote {
        /// Their ids
        #[arg(value_name = "ID", required = true)]
        ids: Vec<u64>,
        #[command(flatten)]
        how: How,
    },
    /// Puts another node in the place of a member, which leaves for ever
    ///
    /// NEW is a learner, or the address of a node that is yet to join: then it is added, how to
    /// start it is printed, and it takes the place when it has caught up, within --timeout.
    Replace {
        /// The id of the member that leaves
        old: u64,
        /// Who takes its place
        #[arg(value_name = "ID|HOST:PORT")]
        new: String,
        #[command(flatten)]
        how: How,
    },
    /// Says where a member is reached from now on
    Update {
        /// Its id
        id: u64,
        /// Its new address
        #[arg(value_name = "HOST:PORT")]
        address: String,
        #[command(flatten)]
        how: How,
    },
    /// Hands leadership to a voter, or to the one that has most
    Transfer {
        /// Its id
        id: Option<u64>,
    },
}

/// How a change is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
pub(crate) struct How {
    /// Only say who would vote, and how many of them would be needed
    #[arg(long, conflicts_with = "wait")]
    pub(crate) dry_run: bool,
    /// Try again, until --timeout, while another change is under way or a learner catches up
    #[arg(long)]
    pub(crate) wait: bool,
}
