//! Carries out what was typed, on the cluster of this process.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kv_store::command::{Answer, Command as StoreCommand, KeyRange, Kind, List, No, Query};
use kv_store::store::Store;
use kvorum_client::cli::Lines;
use raft_core::entry::{ClientId, SessionStamp};
use raft_core::replica::event::SessionRefusal;
use raft_core::types::NodeId;

use super::command::{COMMANDS, Command};
use crate::local_cluster::{LocalCluster, in_time};
use crate::node::{Node, RequestError};

/// How long one node is asked before another is tried.
const ATTEMPT: Duration = Duration::from_millis(2_500);

/// A user at the prompt.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) cluster: LocalCluster<Store>,
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

    /// Has the cluster learn where its nodes are, if that is not where they were. Without a leader
    /// it does not, and goes on all the same.
    pub(super) async fn settle(&mut self) {
        let within = self.cluster.patience();
        if let Err(error) = self.cluster.renew_addresses(within).await {
            tracing::warn!("the cluster keeps the addresses of an earlier start: {error}");
        }
    }

    /// Who does what clients want to see done, beside the connections for the commands of `kvctl`.
    pub(super) fn parts(&mut self) -> (Owner<'_>, &mut Option<Lines>) {
        (Owner(&mut self.cluster), &mut self.lines)
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
            Command::Play(play) => {
                Ok(self.cluster.play(play).await.map_err(|error| error.to_string())?.into())
            }
            Command::Use(None) => {
                (self.through, self.lines) = (None, None);
                Ok("through any node".to_owned().into())
            }
            Command::Use(Some(name)) => {
                let id = self.cluster.find(name).await.map_err(|error| error.to_string())?;
                (self.through, self.lines) = (Some(id), None);
                Ok(format!("through node {id}").into())
            }
            Command::Help => {
                let lines = COMMANDS.iter().map(|(usage, what)| format!("{usage:<16} {what}"));
                Ok(lines.collect::<Vec<_>>().join("\n").into())
            }
            Command::HelpOn((usage, what)) => Ok(format!("{usage}: {what}").into()),
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
        let patience = self.cluster.patience();
        let deadline = now() + patience;
        let mut is_open = false;
        for attempt in 0.. {
            let left = deadline.saturating_duration_since(now());
            let node = self.pick(attempt)?;
            let wait = if self.through.is_some() { left } else { left.min(ATTEMPT) };
            let inside = self.cluster.inside(wait);
            let result = match write {
                Some(stamp) => {
                    let asked = in_time(wait, node.propose(body.clone(), Some(stamp), inside));
                    self.cluster.meanwhile(asked).await.unwrap_or(Err(RequestError::Unknown))
                }
                None => {
                    let hint = RequestError::NotLeader { hint: None };
                    let asked = in_time(wait, node.query(body.clone(), inside));
                    self.cluster.meanwhile(asked).await.unwrap_or(Err(hint))
                }
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
        if self.cluster.is_frozen() {
            let cure = "time stands still; thaw lets it go on";
            return Err(match is_open {
                true => format!("outcome unknown: {cure}, and it may happen then"),
                false => format!("no answer: {cure}"),
            });
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

    fn pick(&self, attempt: usize) -> Result<&Node, String> {
        if let Some(id) = self.through {
            let (state, cure) = match self.cluster.paused().contains(&id) {
                true => ("paused", "resume"),
                false => ("dead", "revive"),
            };
            return self.cluster.node(id).ok_or_else(|| {
                format!("node {id} is {state}; {cure} it, or choose another with use")
            });
        }
        let nodes: Vec<&Node> = self.cluster.running().map(|(_, node)| node).collect();
        match nodes.len() {
            0 => Err("every node is dead or paused; revive or resume one".to_owned()),
            count => Ok(nodes[attempt % count]),
        }
    }

    async fn status(&mut self) -> String {
        self.cluster.await_leader().await;
        let (paused, mut lines) = (self.cluster.paused(), Vec::new());
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
                None if paused.contains(id) => format!("node {id} paused"),
                None => format!("node {id} dead"),
            });
        }
        lines.extend(self.cluster.spoilt_links());
        lines.join("\n")
    }
}

/// Does what clients want to see, while something else goes on.
#[derive(Debug)]
pub(super) struct Owner<'a>(&'a mut LocalCluster<Store>);

impl Owner<'_> {
    /// Does it until something else is done, and finishes what it is at then: half an order is
    /// worse than none.
    pub(super) async fn serve_during<T>(self, something: impl Future<Output = T>) -> T {
        let mut something = pin!(something);
        loop {
            let order = tokio::select! {
                done = &mut something => return done,
                order = self.0.next_order() => order,
            };
            let mut order = pin!(self.0.serve(order));
            let done = tokio::select! {
                done = &mut something => Some(done),
                () = &mut order => None,
            };
            if let Some(done) = done {
                order.await;
                return done;
            }
        }
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
