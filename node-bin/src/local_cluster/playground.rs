//! What can be done to the nodes of a cluster and to the links between them, to see what happens:
//! stand still, be cut off, come late, join, leave, and lead or not.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use raft_core::configuration::{Change, ChangeRefusal};
use raft_core::consensus::ready::RoleName;
use raft_core::replica::StateMachine;
use raft_core::replica::event::Status;
use raft_core::types::{NodeId, Term};
use raft_net::faults::{DELAY_MS_MAX, Faults};
use raft_net::stream;
use tokio::time::sleep;

use super::doors::Door;
use super::folders::{node_directory, set_aside};
use super::orders::Ahead;
use super::{LocalCluster, NODES_MAX, Place, PlaceError, Ports, Storage, Way, bind};
use crate::directory::{Data, MemoryData};
use crate::error::StartError;
use crate::node::{Node, RequestError, Wires};

/// How long a node that was there a moment ago may take to say who is a member.
const STATUS_PATIENCE: Duration = Duration::from_secs(1);

/// How often is looked whether something has happened.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What a node may take beyond its time to say that it is over; then it is not waited for.
const GRACE: Duration = Duration::from_secs(1);

/// Through whom a change of the members is asked for.
#[derive(Clone, Copy, Debug)]
enum Through {
    Anybody,
    /// Anybody else, if there is somebody.
    AnybodyBut(NodeId),
    Node(NodeId),
}

impl<S: StateMachine + Send + Unpin + 'static> LocalCluster<S> {
    /// Makes a node stand still, as SIGSTOP would do it to a process, until it is resumed, and for
    /// so long at most.
    ///
    /// Errors: `PlaceError`; nothing was changed then.
    pub fn pause(&mut self, id: NodeId, at_most: Option<Duration>) -> Result<(), PlaceError> {
        match self.place(id)? {
            Place::Running(node) if node.is_paused() => return Err(PlaceError::Paused(id)),
            Place::Running(node) => {
                if !node.pause(at_most) {
                    return Err(PlaceError::Dead(id));
                }
            }
            Place::Dead(_) => return Err(PlaceError::Dead(id)),
        }
        self.tell_surroundings();
        Ok(())
    }

    /// Lets a node go on that stands still.
    ///
    /// Errors: `PlaceError`; nothing was changed then.
    pub fn resume(&mut self, id: NodeId) -> Result<(), PlaceError> {
        match self.place(id)? {
            Place::Running(node) => {
                if !node.resume() {
                    return Err(PlaceError::NotPaused(id));
                }
            }
            Place::Dead(_) => return Err(PlaceError::Dead(id)),
        }
        self.tell_surroundings();
        Ok(())
    }

    /// The nodes that stand still.
    #[must_use]
    pub fn paused(&self) -> Vec<NodeId> {
        let stands = |id: &NodeId| self.living(*id).is_some_and(Node::is_paused);
        self.places.keys().copied().filter(stands).collect()
    }

    /// Loses whatever goes from one node to another, and back too if it is to be both ways, until
    /// it is healed. Connections stay open.
    ///
    /// Errors: `PlaceError`; nothing was changed then.
    pub fn cut(&mut self, from: NodeId, to: NodeId, way: Way) -> Result<(), PlaceError> {
        self.check_link(from, to)?;
        if !self.links.cut(from, to, way) {
            return Err(PlaceError::Cut(from, to));
        }
        self.tell_links();
        Ok(())
    }

    /// Makes everything that goes from one node to another, and back too if it is to be both ways,
    /// come so much later; zero is at once. Units: milliseconds.
    ///
    /// Errors: `PlaceError`; nothing was changed then.
    pub fn delay(
        &mut self,
        (from, to): (NodeId, NodeId),
        way: Way,
        delay_ms: u64,
    ) -> Result<(), PlaceError> {
        self.check_link(from, to)?;
        if DELAY_MS_MAX < delay_ms {
            return Err(PlaceError::TooLong(delay_ms));
        }
        self.links.delay((from, to), way, delay_ms);
        self.tell_links();
        Ok(())
    }

    /// Mends a link, in both directions.
    ///
    /// Errors: `PlaceError`; nothing was changed then.
    pub fn heal(&mut self, one: NodeId, other: NodeId) -> Result<(), PlaceError> {
        self.check_link(one, other)?;
        if !self.links.heal(one, other) {
            return Err(PlaceError::Whole(one, other));
        }
        self.tell_links();
        Ok(())
    }

    /// Mends every link.
    ///
    /// Errors: `AllWhole` if nothing was wrong.
    pub fn heal_all(&mut self) -> Result<(), PlaceError> {
        if !self.links.heal_all() {
            return Err(PlaceError::AllWhole);
        }
        self.tell_links();
        Ok(())
    }

    /// A line for each link that is cut or delayed.
    #[must_use]
    pub fn spoilt_links(&self) -> Vec<String> {
        self.links.described()
    }

    fn check_link(&mut self, one: NodeId, other: NodeId) -> Result<(), PlaceError> {
        self.place(one)?;
        self.place(other)?;
        if one == other { Err(PlaceError::Itself(one)) } else { Ok(()) }
    }

    /// Tells every node what is wrong with its links; one that stands still reads it when it goes
    /// on, and one that is dead when it starts.
    pub(super) fn tell_links(&mut self) {
        let before = std::mem::replace(&mut self.links_told, self.links.clone());
        if let Some(story) = &self.options.story {
            for ((from, to), word, delay_ms) in self.links.since(&before) {
                let late = (delay_ms != 0).then(|| ("delay_ms", delay_ms.into()));
                let about = [("peer", to.number().into())].into_iter().chain(late);
                story.tell(from, word, &about.collect::<Vec<_>>());
            }
        }
        for &id in self.places.keys() {
            if let Some(node) = self.living(id) {
                node.set_faults(self.faults_of(id));
            }
        }
        self.tell_surroundings();
    }

    /// What is wrong with the wires of a node.
    pub(super) fn faults_of(&self, id: NodeId) -> Faults {
        Faults { is_frozen: self.is_frozen(), ..self.links.of(id) }
    }

    /// Makes a node stand for election, although its leader may be well, and returns who leads
    /// when that is over.
    ///
    /// Errors: `PlaceError`; `NoLeader` if nobody was elected in time.
    pub async fn campaign(&mut self, id: NodeId, within: Duration) -> Result<NodeId, PlaceError> {
        let before = self.begin_campaign(id).await?;
        self.leader_after(before, within).await
    }

    /// Makes a node stand for election, and waits for nothing. Returns its term before.
    pub(super) async fn begin_campaign(&mut self, id: NodeId) -> Result<Term, PlaceError> {
        let status = self.status_of(id).await?;
        if status.role == RoleName::Leader {
            return Err(PlaceError::Leads(id));
        }
        if !status.configuration.is_voter(id) {
            return Err(PlaceError::NoVote(id));
        }
        self.node(id).ok_or(PlaceError::Dead(id))?.campaign();
        Ok(status.term)
    }

    /// Makes a node give up leadership, and returns who leads next.
    ///
    /// Errors: `PlaceError`; `NoLeader` if nobody was elected in time.
    pub async fn step_down(&mut self, id: NodeId, within: Duration) -> Result<NodeId, PlaceError> {
        let before = self.begin_step_down(id).await?;
        self.leader_after(before, within).await
    }

    /// Makes a node give up leadership, and waits for nothing. Returns its term before.
    pub(super) async fn begin_step_down(&mut self, id: NodeId) -> Result<Term, PlaceError> {
        let status = self.status_of(id).await?;
        if status.role != RoleName::Leader {
            return Err(PlaceError::DoesNotLead(id));
        }
        self.node(id).ok_or(PlaceError::Dead(id))?.step_down();
        Ok(status.term)
    }

    /// Hands leadership to a node.
    ///
    /// Errors: `PlaceError`; who leads stays as it is then.
    pub async fn transfer(&mut self, id: NodeId, within: Duration) -> Result<(), PlaceError> {
        self.check_time_passes()?;
        if self.status_of(id).await?.role == RoleName::Leader {
            return Err(PlaceError::Leads(id));
        }
        let node = self.somebody(None).await?;
        let handed_over = in_time(within, node.transfer(Some(id), self.inside(within)));
        let handed_over = self.meanwhile(handed_over).await;
        Ok(handed_over.unwrap_or(Err(RequestError::NotHandedOver))?)
    }

    async fn leader_after(&mut self, term: Term, within: Duration) -> Result<NodeId, PlaceError> {
        let deadline = now() + within;
        loop {
            match self.newest_leader().await {
                Some((newer, leader)) if term < newer => return Ok(leader),
                Some(_) | None if deadline <= now() => return Err(PlaceError::NoLeader),
                Some(_) | None => self.meanwhile(sleep(LOOK_INTERVAL)).await,
            }
        }
    }

    async fn status_of(&mut self, id: NodeId) -> Result<Status, PlaceError> {
        self.place(id)?;
        if self.paused().contains(&id) {
            return Err(PlaceError::Paused(id));
        }
        let node = self.node(id).ok_or(PlaceError::Dead(id))?;
        Ok(node.status().await?)
    }

    /// The leader, or whoever else can be asked; not the one that is named, if there is another.
    async fn somebody(&self, not: Option<NodeId>) -> Result<&Node, PlaceError> {
        let leader = self.leader().await.filter(|&id| Some(id) != not);
        let leader = leader.and_then(|id| self.node(id));
        let other = || self.running().find(|(id, _)| Some(*id) != not).map(|(_, node)| node);
        let named = || not.and_then(|id| self.node(id));
        leader.or_else(other).or_else(named).ok_or(PlaceError::Nobody)
    }

    /// Changes the members, and asks again while another change is under way.
    async fn change(
        &mut self,
        change: &Change,
        through: Through,
        within: Duration,
    ) -> Result<Vec<NodeId>, PlaceError> {
        let deadline = now() + within;
        loop {
            let node = match through {
                Through::Anybody => self.somebody(None).await?,
                Through::AnybodyBut(id) => self.somebody(Some(id)).await?,
                Through::Node(id) => self.node(id).ok_or(PlaceError::Dead(id))?,
            };
            let left = deadline.saturating_duration_since(now());
            let changed = node.change_members(change.clone(), None, self.inside(left));
            let changed = self.beside(Ahead::Mending, in_time(left, changed)).await;
            match changed.unwrap_or(Err(RequestError::Unknown)) {
                Ok(added) => return Ok(added),
                Err(RequestError::ChangeRefused(ChangeRefusal::InProgress)) if now() < deadline => {
                    self.beside(Ahead::Mending, sleep(LOOK_INTERVAL)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Adds a node to the cluster, through the node that is named or through any, and returns its
    /// number. It begins as a learner; leaders make voters of learners that have caught up, two
    /// at a time.
    ///
    /// Errors: `PlaceError`; one that was added and does not start stays a member, dead.
    pub async fn add(
        &mut self,
        through: Option<NodeId>,
        within: Duration,
    ) -> Result<NodeId, PlaceError> {
        self.check_time_passes()?;
        let through = through.map_or(Through::Anybody, Through::Node);
        if NODES_MAX <= self.members.len() as u64 {
            return Err(PlaceError::Full);
        }
        let next_id = self.somebody(None).await?.status().await?.configuration.next_id;
        let expected = NodeId::new(next_id).expect("ids are counted upwards from 1");
        let bound = self.bind_next(expected)?;
        let address = match (&self.wires, &bound) {
            (Wires::Tcp, Some(bound)) => address_of(bound)?,
            (Wires::Tcp | Wires::Memory { .. }, _) => format!("node-{expected}"),
        };
        let add = Change { add: vec![address.clone()], ..Change::default() };
        let added = self.change(&add, through, within).await?;
        let id = added.first().copied().unwrap_or(expected);
        self.members.insert(id, address.clone());
        // Whoever does not stand still; a learner that is not named is told by the log.
        let status = match self.somebody(None).await {
            Ok(node) => in_time(STATUS_PATIENCE, node.status()).await.and_then(Result::ok),
            Err(_) => None,
        };
        let known = status.map(|status| status.configuration.learners).unwrap_or_default();
        let learners = known.into_iter().chain([id]).collect();
        let data = match &self.options.storage {
            Storage::Directory(root) => Data::Directory(node_directory(root, id)),
            Storage::Memory => Data::Memory(MemoryData::default()),
        };
        self.places.insert(id, Place::Dead(None));
        let bound = match (&self.wires, &mut self.doors, bound) {
            (Wires::Memory { dial, .. }, Some(doors), Some(listener)) => {
                let transport = stream::Transport::Memory(dial.clone());
                doors.add(id, Door { listener, transport, name: address })?;
                None
            }
            (_, _, bound) => bound,
        };
        let node = self.start_node(id, data, (bound, learners))?;
        self.places.insert(id, Place::Running(node));
        self.tell_surroundings();
        Ok(id)
    }

    /// A port for one more node, or for its door: one behind those that are in use.
    fn bind_next(&self, id: NodeId) -> Result<Option<std::net::TcpListener>, StartError> {
        let addresses = self.client_addresses();
        let ports = addresses.values().filter_map(|at| at.rsplit_once(':')?.1.parse().ok());
        let Some(highest) = ports.max() else { return Ok(None) };
        let first: u16 = u16::saturating_add(highest, 1);
        let bound = bind(&BTreeSet::from([id]), Ports { first, may_try: true })?;
        Ok(bound.into_values().next())
    }

    /// Removes a node from the cluster for ever, and ends it; a leader hands over first.
    ///
    /// Errors: `PlaceError`; a node that could not be removed goes on.
    pub async fn remove(&mut self, id: NodeId, within: Duration) -> Result<(), PlaceError> {
        self.take_out(id, within).await?;
        self.forget(id);
        Ok(())
    }

    /// Takes a node out of the cluster; it still runs.
    pub(super) async fn take_out(
        &mut self,
        id: NodeId,
        within: Duration,
    ) -> Result<(), PlaceError> {
        self.check_time_passes()?;
        self.place(id)?;
        let remove = Change { remove: BTreeSet::from([id]), ..Change::default() };
        self.change(&remove, Through::AnybodyBut(id), within).await.map(drop)
    }

    /// Ends a node that was taken out, and forgets it.
    pub(super) fn forget(&mut self, id: NodeId) {
        if let Some(Place::Running(node)) = self.places.remove(&id) {
            // What it leaves behind means nothing to anybody any more.
            node.stop();
        }
        if let Storage::Directory(root) = &self.options.storage {
            // If it stays where it is, the node is told at the next start that it is removed.
            let _ = set_aside(root, id);
        }
        self.members.remove(&id);
        self.links.forget(id);
        if let Some(doors) = &mut self.doors {
            doors.close(id);
        }
        self.tell_surroundings();
    }

    /// Tells the cluster where its nodes are now, if its log knows them elsewhere from an earlier
    /// start.
    ///
    /// Errors: `PlaceError`; nodes reach each other all the same, but clients that ask one node
    /// for the others do not.
    pub async fn renew_addresses(&mut self, within: Duration) -> Result<(), PlaceError> {
        let known = self.somebody(None).await?.status().await?.configuration.members;
        let is_new = |(id, address): &(&NodeId, &String)| {
            known.get(*id).is_some_and(|recorded| recorded != *address)
        };
        let moved = self.members.iter().filter(is_new);
        let readdress = moved.map(|(id, address)| (*id, address.clone())).collect();
        let change = Change { readdress, ..Change::default() };
        if !change.readdress.is_empty() {
            self.change(&change, Through::Anybody, within).await?;
        }
        Ok(())
    }
}

/// The answer of a node to which so much time was given, as long as it is waited for outside.
pub(crate) async fn in_time<T>(within: Duration, answer: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(within.saturating_add(GRACE), answer).await.ok()
}

fn address_of(bound: &std::net::TcpListener) -> Result<String, StartError> {
    let at = bound.local_addr().map_err(|source| super::listen_error("loopback", source))?;
    Ok(at.to_string())
}

#[allow(clippy::disallowed_methods, reason = "a caller's patience is measured here")]
pub(super) fn now() -> Instant {
    Instant::now()
}
