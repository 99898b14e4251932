//! Carries out what was typed, on the cluster of this process.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kv_store::command::{Answer, Command as StoreCommand, KeyRange, Kind, List, No, Query};
use kv_store::store::Store;
use kvorum_client::cli::Lines;
use raft_core::entry::{ClientId, SessionStamp};
use raft_core::replica::event::SessionRefusal;
use raft_core::types::NodeId;

use super::command::{COMMANDS, Command, NodeName};
use crate::local_cluster::LocalCluster;
use crate::node::{Node, RequestError};

/// How long a command waits for a leader, a little less than the ten seconds that are promised.
pub(super) const PATIENCE: Duration = Duration::from_millis(9_500);

/// The same while too few nodes live for anybody to lead: the user is told soon.
const PATIENCE_WITHOUT_QUORUM: Duration = Duration::from_secs(3);

/// How long one node is asked before another is tried.
const ATTEMPT: Duration = Duration::from_millis(2_500);

/// How long a revived node may take to catch up before its user goes on without it.
const CATCH_UP: Duration = Duration::from_secs(2);

/// How often a leader is looked for.
const LEADER_INTERVAL: Duration = Duration::from_millis(10);

/// A user at the prompt.
#[derive(Debug)]
pub(super) struct Session {
    cluster: LocalCluster<Store>,
    /// Through whom commands go; `None` is any node.
    through: Option<NodeId>,
    /// Whose writes these are, and how many there were; `None` before the first, and when the
    /// cluster has forgotten the client.
    client: Option<(ClientId, u64)>,
    /// For the commands of `kvctl`; `None` before the first one, and for another way through.
    pub(super) lines: Option<Lines>,
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Lines for standard output, as bytes.
    Said(Vec<u8>),
    /// All was said already, if there was anything to say.
    Silent,
    /// The same, and it is a failure.
    Failed,
    /// Ctrl-C.
    Interrupted,
    /// The session is over.
    Exit,
}

impl From<String> for Outcome {
    fn from(text: String) -> Self {
        Self::Said(text.into_bytes())
    }
}

impl Session {
    pub(super) fn new(cluster: LocalCluster<Store>) -> Self {
        Self { cluster, through: None, client: None, lines: None }
    }

    pub(super) fn cluster(&mut self) -> &mut LocalCluster<Store> {
        &mut self.cluster
    }

    /// Carries out a command.
    ///
    /// Errors: one line that says what went wrong.
    pub(super) async fn run(&mut self, command: Command) -> Result<Outcome, String> {
        match command {
            Command::Set { key, value } => {
                let (key, value) = (key.as_bytes(), value.as_bytes());
                let body = encoded(|bytes| StoreCommand::Put { key, value }.encode(bytes));
                self.write(&body).await?;
                Ok("OK".to_owned().into())
            }
            Command::Get { key } => self.get(key.as_bytes()).await,
            Command::Del { keys } => self.delete(&keys).await,
            Command::Typed(typed) => {
                let answer = if typed.is_write {
                    self.write(&typed.body).await?
                } else {
                    self.ask(&typed.body, None).await?
                };
                let mut said = typed.said(&answer).map_err(|error| error.to_string())?.lines;
                // The prompt ends the last line itself.
                said.pop();
                Ok(Outcome::Said(said))
            }
            Command::Status => Ok(self.status().await.into()),
            Command::Kill(name) => {
                let id = self.find(name).await?;
                self.cluster.kill(id).map_err(|error| error.to_string())?;
                Ok(format!("node {id} killed").into())
            }
            Command::Revive(name) => self.revive(name).await,
            Command::Use(None) => {
                (self.through, self.lines) = (None, None);
                Ok("through any node".to_owned().into())
            }
            Command::Use(Some(name)) => {
                let id = self.find(name).await?;
                (self.through, self.lines) = (Some(id), None);
                Ok(format!("through node {id}").into())
            }
            Command::Help => {
                let lines = COMMANDS.iter().map(|(usage, what)| format!("{usage:<16} {what}"));
                Ok(lines.collect::<Vec<_>>().join("\n").into())
            }
            Command::Exit => Ok(Outcome::Exit),
            Command::OfKvctl { .. } => unreachable!("`carry_out` is for these"),
        }
    }

    /// Where the commands of `kvctl` go, and where every node is reached.
    ///
    /// Errors: one line, if nobody there is alive.
    pub(super) fn addresses(&self) -> Result<(Vec<String>, Vec<String>), String> {
        self.pick(0)?;
        let all = self.cluster.client_addresses();
        let through = all.iter().filter(|(id, _)| self.through.is_none_or(|it| it == **id));
        Ok((through.map(|(_, at)| at.clone()).collect(), all.values().cloned().collect()))
    }

    async fn get(&mut self, key: &[u8]) -> Result<Outcome, String> {
        let query = Query::Range { range: KeyRange::single(key), limit: 1 };
        let body = encoded(|bytes| query.encode(bytes));
        let answer = self.ask(&body, None).await?;
        match Answer::decode(&answer).map_err(|error| error.to_string())? {
            Answer::Range { kvs, .. } => Ok(match kvs.first() {
                Some(found) if found.attributes.kind != Kind::String => {
                    return Err(No::WrongType { found: found.attributes.kind }.to_string());
                }
                Some(found) => Outcome::Said(found.value.to_vec()),
                None => "null".to_owned().into(),
            }),
            other => Err(unexpected(&other)),
        }
    }

    async fn delete(&mut self, keys: &[String]) -> Result<Outcome, String> {
        let ranges: List<KeyRange<'_>> =
            keys.iter().map(|key| KeyRange::single(key.as_bytes())).collect();
        let body = encoded(|bytes| StoreCommand::Delete { ranges }.encode(bytes));
        let answer = self.write(&body).await?;
        match Answer::decode(&answer).map_err(|error| error.to_string())? {
            Answer::Deleted { count, .. } => Ok(count.to_string().into()),
            other => Err(unexpected(&other)),
        }
    }

    async fn write(&mut self, body: &Bytes) -> Result<Bytes, String> {
        StoreCommand::decode(body)
            .map_err(|error| error.to_string())?
            .check(&kv_store::command::Limits::default())
            .map_err(|error| error.to_string())?;
        let stamp = self.next_stamp().await?;
        self.ask(body, Some(stamp)).await
    }

    async fn next_stamp(&mut self) -> Result<SessionStamp, String> {
        let (client, newest) = match self.client {
            Some(known) => known,
            None => (self.pick(0)?.new_client().await.map_err(|error| error.to_string())?, 0),
        };
        self.client = Some((client, newest + 1));
        Ok(SessionStamp { client, serial: newest + 1, acknowledged: newest })
    }

    /// Asks through the chosen node, or through one after the other. A write keeps its stamp,
    /// so that trying again never makes it happen twice.
    async fn ask(&mut self, body: &Bytes, write: Option<SessionStamp>) -> Result<Bytes, String> {
        let mut write = write;
        let patience = self.patience();
        let deadline = now() + patience;
        let mut is_open = false;
        for attempt in 0.. {
            let left = deadline.saturating_duration_since(now());
            let node = self.pick(attempt)?;
            let wait = if self.through.is_some() { left } else { left.min(ATTEMPT) };
            let result = match write {
                Some(stamp) => node.propose(body.clone(), Some(stamp), wait).await,
                None => node.query(body.clone(), wait).await,
            };
            match result {
                Ok(answer) => return Ok(answer),
                Err(RequestError::Unknown) => is_open = true,
                // An earlier attempt may have been executed all the same.
                Err(RequestError::NoSpace) if is_open => {}
                // No attempt can have been executed, so it may become another client's.
                Err(RequestError::Session(SessionRefusal::SessionExpired)) if !is_open => {
                    self.client = None;
                    write = Some(self.next_stamp().await?);
                }
                Err(
                    RequestError::NotLeader { .. }
                    | RequestError::Overloaded
                    | RequestError::Fenced,
                ) => {}
                Err(RequestError::Ended) => is_open |= write.is_some(),
                Err(
                    error @ (RequestError::TooLarge
                    | RequestError::Session(_)
                    | RequestError::NoSpace
                    | RequestError::NotHandedOver
                    | RequestError::ChangeRefused(_)),
                ) => {
                    return Err(error.to_string());
                }
            }
            if deadline <= now() {
                break;
            }
        }
        let (alive, all) = (self.cluster.running().count(), self.cluster.members().len());
        Err(if is_open {
            format!(
                "outcome unknown: no answer in time ({alive} of {all} nodes alive); \
                 it may or may not have happened"
            )
        } else {
            format!("no quorum: no leader in time ({alive} of {all} nodes alive), nothing done")
        })
    }

    fn patience(&self) -> Duration {
        let quorum = self.cluster.members().len() / 2 + 1;
        if self.cluster.running().count() < quorum { PATIENCE_WITHOUT_QUORUM } else { PATIENCE }
    }

    fn pick(&self, attempt: usize) -> Result<&Node, String> {
        if let Some(id) = self.through {
            return self.cluster.node(id).ok_or_else(|| {
                format!("node {id} is dead; revive it, or choose another with use")
            });
        }
        let nodes: Vec<&Node> = self.cluster.running().map(|(_, node)| node).collect();
        match nodes.len() {
            0 => Err("every node is dead; revive one".to_owned()),
            count => Ok(nodes[attempt % count]),
        }
    }

    async fn revive(&mut self, name: Option<NodeName>) -> Result<Outcome, String> {
        let dead = match name {
            Some(name) => vec![self.find(name).await?],
            None => self.cluster.dead(),
        };
        if dead.is_empty() {
            return Err("every node is alive".to_owned());
        }
        for &id in &dead {
            self.cluster.revive(id).map_err(|error| error.to_string())?;
        }
        self.await_caught_up(&dead).await;
        let names: Vec<String> = dead.iter().map(ToString::to_string).collect();
        let noun = if names.len() == 1 { "node" } else { "nodes" };
        Ok(format!("{noun} {} revived", names.join(", ")).into())
    }

    /// Gives nodes that have just started a moment to find their leader and to catch up, so
    /// that what is typed next shows them as they are. Without a quorum they cannot.
    async fn await_caught_up(&self, revived: &[NodeId]) {
        let deadline = now() + CATCH_UP;
        let Some(leader) = self.await_leader().await.and_then(|id| self.cluster.node(id)) else {
            return;
        };
        let Ok(target) = leader.status().await.map(|status| status.commit_index) else { return };
        for node in revived.iter().filter_map(|&id| self.cluster.node(id)) {
            while now() < deadline {
                let status = node.status().await;
                if status.is_ok_and(|s| s.leader.is_some() && target <= s.applied_index) {
                    break;
                }
                tokio::time::sleep(LEADER_INTERVAL).await;
            }
        }
    }

    async fn find(&self, name: NodeName) -> Result<NodeId, String> {
        match name {
            NodeName::Number(id) if self.cluster.members().contains_key(&id) => Ok(id),
            NodeName::Number(id) => {
                Err(format!("there is no node {id}, only 1 to {}", self.cluster.members().len()))
            }
            NodeName::Leader => {
                self.await_leader().await.ok_or_else(|| "there is no leader".to_owned())
            }
        }
    }

    async fn await_leader(&self) -> Option<NodeId> {
        let deadline = now() + self.patience();
        loop {
            let leader = self.cluster.leader().await;
            if leader.is_some() || deadline <= now() {
                return leader;
            }
            tokio::time::sleep(LEADER_INTERVAL).await;
        }
    }

    async fn status(&self) -> String {
        self.await_leader().await;
        let mut lines = Vec::new();
        for (id, address) in self.cluster.members() {
            let status = match self.cluster.node(*id) {
                Some(node) => node.status().await.ok(),
                None => None,
            };
            lines.push(match status {
                Some(status) => format!(
                    "node {id} {:<13} term {} commit {} applied {} revision {} at {address}",
                    status.role.as_str(),
                    status.term,
                    status.commit_index,
                    status.applied_index,
                    status.revision
                ),
                None => format!("node {id} dead"),
            });
        }
        lines.join("\n")
    }
}

#[allow(clippy::disallowed_methods, reason = "a person's patience is measured here")]
fn now() -> Instant {
    Instant::now()
}

fn encoded(encode: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut bytes = BytesMut::new();
    encode(&mut bytes);
    bytes.freeze()
}

fn unexpected(answer: &Answer<'_>) -> String {
    format!("the store answered {answer:?}, which makes no sense here")
}
