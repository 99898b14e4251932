//! What a run, or many, consisted of.
//!
//! A simulator that is green because nothing happened proves nothing, so a batch of seeds
//! whose totals have a zero fails.

use std::fmt;

use crate::simulator::classes::Presence;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// How often what happened.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counts {
            /// Adds the counts of another run.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// Each count with its name.
            #[must_use]
            pub fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

counts! {
    /// Events of any kind.
    events,
    /// Turns of nodes.
    turns,
    /// Terms that had a leader.
    leaders,
    /// Leaders that took over from another node.
    leader_changes,
    /// Leaders that took over while an earlier leader still thought that it led.
    rivals,
    /// Entries that were committed.
    committed,
    /// Commands that were executed.
    executed,
    /// Batches that removed entries from a log.
    truncations,
    /// Batches that reached a disk.
    persisted,
    /// Reads of entries that were no longer in memory.
    fetches,
    /// Snapshots that were made.
    snapshots,
    /// Snapshots that could not be made.
    snapshots_failed,
    /// Snapshots of a leader that took the place of a follower's state.
    installs,
    /// Starts from a snapshot.
    snapshots_loaded,
    /// Snapshots that turned out to be damaged at a start.
    snapshots_damaged,
    /// Transfers of snapshots in more than one piece.
    long_transfers,
    /// Pieces of snapshots that were not there any more when they were to be sent.
    pieces_gone,
    /// Cuts of the front of a log.
    cuts,
    /// Messages that were sent.
    messages,
    /// Messages that were lost.
    messages_lost,
    /// Messages that arrived twice.
    messages_doubled,
    /// Messages that took much longer than others.
    messages_late,
    /// Messages that were sent over bulk links.
    messages_bulk,
    /// Links that broke.
    links_broken,
    /// Partitions, both kinds.
    partitions,
    /// Partitions in one direction.
    one_way_partitions,
    /// Partitions with one node between two halves.
    bridges,
    /// Partitions of single pairs.
    cut_pairs,
    /// Clocks that jumped ahead.
    clock_jumps,
    /// Calendars that were set to another time.
    calendar_jumps,
    /// Processes that ended.
    kills,
    /// Machines that lost power.
    power_losses,
    /// Crashes while a batch was being written.
    crashes_in_write,
    /// Restarts that found a torn batch.
    torn,
    /// Starts, the first ones included.
    starts,
    /// Processes that ended while a cluster was being founded.
    rough_strikes,
    /// Machines that were to lose power at their next batch.
    doomed,
    /// Processes that were paused.
    pauses,
    /// Disks that became slow.
    slow_disks,
    /// Disks that from then on fail, have little room, or give back wrong bits.
    disks_harmed,
    /// Errors of disks when something was read.
    read_errors,
    /// Errors of disks when something was written.
    write_errors,
    /// Errors of disks when something was synced.
    sync_errors,
    /// Processes that ended because of what their disk did.
    disk_faults,
    /// Starts that failed because of what the disks did.
    failed_starts,
    /// Logs that found no room.
    full_disks,
    /// Commands that were refused because no majority had room.
    refused_no_space,
    /// Writes that were synced and turned out to be lost.
    writes_lost,
    /// Writes that were synced and turned out to be at another place.
    writes_misdirected,
    /// Copies of promises that were synced and turned out to be lost, or at another place.
    promises_lost,
    /// Reads that gave back a wrong bit.
    flipped_reads,
    /// Entries whose bytes were found to be wrong when they were read back.
    damages_read,
    /// Directories that were lost.
    wipes,
    /// Logs in which bytes rotted.
    damages,
    /// Disks among them whose process went on.
    damages_live,
    /// Starts in quarantine.
    quarantines,
    /// Quarantines that ended, and empty nodes that were taken in.
    admissions,
    /// Nodes that may not start again because nobody knows what they had promised.
    lost_nodes,
    /// Messages of a directory that the cluster does not know.
    foreign_messages,
    /// Leaders that were asked to hand over.
    hand_overs,
    /// Requests to move leadership.
    transfers,
    /// Requests to change the membership.
    changes_asked,
    /// Those among them that were made once more.
    changes_repeated,
    /// Answers that a change was made.
    changes_made,
    /// Answers that a change was refused.
    changes_refused,
    /// Machines that joined with an empty directory.
    joins,
    /// Ends of a node that had joined and did not count yet.
    joins_cut_short,
    /// Requests by which nodes that had joined became voters.
    joiners_promoted,
    /// Nodes that had joined and were removed again.
    joiners_removed,
    /// Members that were to be reached elsewhere.
    readdresses,
    /// Quorums that were well in time while all others were dead or cut off.
    quorums,
    /// Operations that clients began.
    operations,
    /// Attempts to repeat an operation.
    retries,
    /// Writes that were answered.
    acknowledged,
    /// Those among them that were commands on types, leases and several keys.
    typed,
    /// Answers to writes.
    writes_answered,
    /// Answers to reads.
    reads_answered,
    /// Those among them that a leader gave in the turn in which they came, by its lease.
    reads_by_lease,
    /// Watches that began at a node.
    watches,
    /// Changes that watches were shown.
    watch_changes,
    /// Times when a watch was told how far it is.
    watch_marks,
    /// Connections with watches that ended, so that they went on elsewhere.
    watch_moves,
    /// Watches that were told that what they want was compacted.
    watches_compacted,
    /// Watches that were ended because their client did not read.
    watches_slow,
    /// Snapshots that took the place of a state that somebody watched.
    watched_installs,
    /// Operations on single keys whose answers one order per key explains.
    explained,
    /// Writes among them of which nobody knows what became.
    unresolved,
    /// Requests or answers that were lost between client and node.
    client_losses,
    /// Commands in the log that their sessions kept from being executed again.
    repeats,
    /// Repetitions that came after the client had acknowledged the answer.
    late_repeats,
    /// Commands that were refused because their session was forgotten.
    expired_sessions,
    /// Commands that were refused because their session had no room.
    full_sessions,
    /// Refusals because there was no leader in time.
    refused_no_leader,
    /// Refusals because too much was in flight.
    refused_overloaded,
    /// Answers that the outcome is unknown.
    unknown,
}

/// A run that went well.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// A hash over everything that happened, in order.
    pub trace_hash: u64,
    /// How often what happened.
    pub counts: Counts,
    /// What the run had of each class of faults.
    pub(crate) presences: Vec<Presence>,
    /// How long it took until a healed quorum served and was of one mind; `None` if no quorum was
    /// left to heal, as before a cluster is founded. Units: thousandths of an election timeout.
    pub quorum_timeouts_per_mille: Option<u64>,
    /// From the end of the faults until all was well. Units: microseconds of virtual time.
    pub recovery_us: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, count)) in self.list().into_iter().enumerate() {
            let end = if place % 4 == 3 { '\n' } else { ' ' };
            write!(f, "{name:>20} {count:<9}{end}")?;
        }
        Ok(())
    }
}
