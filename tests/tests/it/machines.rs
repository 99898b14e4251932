//! Machines with addresses of their own, and what becomes of them, while clients read and write
//! through all of them: whatever they were told must have an order that explains it.

mod cuts;
mod load;
mod losses;
mod replacing;

pub(crate) use self::load::Load;

use raft_net::client_protocol::NodeStatus;

use crate::harness::client;
use crate::harness::namespaces::Subnet;
use crate::harness::process::Process;
use crate::harness::wait;

/// What each machine is told.
pub(crate) const ONE_LINE: [&str; 6] = [
    "--listen",
    "0.0.0.0:2379",
    "--cluster-secret",
    "a long text that nobody guesses",
    "--wal-segment-bytes",
    "1048576",
];

/// How many operations are answered between two things that happen, at least.
const OPERATIONS_BETWEEN: u64 = 100;

/// The machines of a subnet with a node on each, which may be off.
struct Nodes<'s> {
    subnet: &'s Subnet,
    flags: Vec<&'s str>,
    processes: Vec<Option<Process>>,
}

impl<'s> Nodes<'s> {
    /// Starts the first `count` machines at once, and waits until each is a voter.
    async fn start(subnet: &'s Subnet, count: usize, flags: &[&'s str]) -> Self {
        let processes = subnet.machines().iter().map(|_| None).collect();
        let mut nodes = Self { subnet, flags: [&ONE_LINE[..], flags].concat(), processes };
        (0..count).for_each(|place| nodes.turn_on(place));
        let places: Vec<usize> = (0..count).collect();
        nodes.until_voters(&places, &places).await;
        nodes
    }

    fn turn_on(&mut self, place: usize) {
        let process = self.subnet.machines()[place].kvorum(&self.flags);
        assert!(self.processes[place].replace(process).is_none(), "machine {place} is on");
    }

    fn take(&mut self, place: usize) -> Process {
        self.processes[place].take().unwrap_or_else(|| panic!("machine {place} is off"))
    }

    async fn ask(&self, place: usize) -> Option<NodeStatus> {
        let door = self.subnet.machines()[place].door();
        // A machine whose cable is pulled is silent.
        tokio::time::timeout(wait::DEADLINE / 20, client::status(&door)).await.ok()?
    }

    /// Where each member is.
    fn place(&self, status: &NodeStatus, id: u64) -> Option<usize> {
        let (_, address) = status.members.iter().find(|(it, _)| *it == id)?;
        self.subnet.machines().iter().position(|machine| machine.door() == *address)
    }

    /// The machine that leads, as all of these say.
    async fn leader(&self, among: &[usize]) -> usize {
        wait::until(&format!("leader that {among:?} follow"), async || {
            let mut leaders = Vec::new();
            for &place in among {
                let said = self.ask(place).await?;
                leaders.push((said.term, self.place(&said, said.leader_id?)?));
            }
            leaders.dedup();
            match leaders[..] {
                [(_, leader)] if among.contains(&leader) => Some(leader),
                _ => None,
            }
        })
        .await
    }

    /// Waits until all of these machines say that exactly `voters` vote.
    async fn until_voters(&self, among: &[usize], voters: &[usize]) {
        wait::until(&format!("word of {among:?} that {voters:?} vote"), async || {
            for &place in among {
                let said = self.ask(place).await?;
                said.leader_id?;
                let is_settled = said.member_roles.iter().all(|(_, role)| role != "outgoing");
                let voting = said.member_roles.iter().filter(|(_, role)| role == "voter");
                let mut voting =
                    voting.map(|(id, _)| self.place(&said, *id)).collect::<Option<Vec<_>>>()?;
                voting.sort_unstable();
                if !is_settled || voting != voters {
                    return None;
                }
            }
            Some(())
        })
        .await;
    }

    /// Waits until all of these have applied the same, and checks that it is the same.
    async fn check_equal(&self, among: &[usize]) {
        let hashes = wait::until("common applied index", async || {
            let (mut indexes, mut hashes) = (Vec::new(), Vec::new());
            for &place in among {
                let said = self.ask(place).await?;
                indexes.push(said.applied_index);
                hashes.push(said.state_hash);
            }
            indexes.dedup();
            (indexes.len() == 1).then_some(hashes)
        })
        .await;
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "states differ: {hashes:x?}");
    }
}
