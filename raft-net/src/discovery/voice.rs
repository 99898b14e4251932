//! How a node with an empty directory hears and is heard: by multicast, or by questions.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::answering;
use super::asking::{Targets, Told, ask_all};
use super::complaints::Complaints;
use super::seeking::SEEK_INTERVAL_MS;
use super::socket::{BeaconSocket, Datagram, Listening};

/// How many beacons may wait to be heard; what comes beyond comes again.
const HEARD_MAX: usize = 1_024;

/// A round of questions that takes longer was none: who was there may not have been asked.
const ROUND_MAX: Duration = Duration::from_secs(2);

/// A voice, and the ears for others.
#[derive(Debug)]
pub enum Voice {
    /// By multicast.
    Group(Group),
    /// By questions over HTTP.
    Asked(Asked),
}

/// A group that is listened to.
#[derive(Debug)]
pub struct Group {
    socket: BeaconSocket,
    listening: Listening,
}

/// Questions and answers.
#[derive(Debug)]
pub struct Asked {
    heard: mpsc::Receiver<Told>,
    said: watch::Sender<Vec<Vec<u8>>>,
    /// When a whole round of questions ended last.
    asked_at: watch::Receiver<Option<Instant>>,
    /// Ended with this.
    _tasks: JoinSet<()>,
}

impl Voice {
    /// Will be heard, and hear, in a group.
    ///
    /// Errors: those of the system.
    ///
    /// Panics: outside of a tokio runtime.
    pub fn in_group(socket: BeaconSocket) -> io::Result<Self> {
        let listening = socket.listen()?;
        Ok(Self::Group(Group { socket, listening }))
    }

    /// Will ask who is behind `targets`, and answer at `listener`.
    ///
    /// Errors: those of the system.
    ///
    /// Panics: outside of a tokio runtime.
    pub fn asking(targets: Targets, listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (to_be_heard, heard) = mpsc::channel(HEARD_MAX);
        let (said, saying) = watch::channel(Vec::new());
        let (asked, asked_at) = watch::channel(None);
        let mut tasks = JoinSet::new();
        tasks.spawn(answering::answer(listener, saying.clone(), to_be_heard.clone()));
        tasks.spawn(ask_on(targets, saying, (to_be_heard, asked)));
        Ok(Self::Asked(Asked { heard, said, asked_at, _tasks: tasks }))
    }

    /// Waits until somebody was heard.
    pub(super) async fn receive(&mut self) -> io::Result<Vec<Told>> {
        match self {
            Self::Group(group) => Ok(own(BeaconSocket::receive(&group.listening).await?)),
            // Its tasks never end before it.
            Self::Asked(asked) => Ok(asked.heard.recv().await.into_iter().collect()),
        }
    }

    /// Whether silence means something: by questions nobody is heard who was not asked just now,
    /// however long the name server takes.
    pub(super) fn is_listening(&self) -> bool {
        match self {
            Self::Group(_) => true,
            Self::Asked(asked) => {
                asked.asked_at.borrow().is_some_and(|ended_at| ended_at.elapsed() < ROUND_MAX)
            }
        }
    }

    /// What was heard.
    pub(super) fn take(&mut self) -> Vec<Told> {
        match self {
            Self::Group(group) => own(group.listening.take()),
            Self::Asked(asked) => std::iter::from_fn(|| asked.heard.try_recv().ok()).collect(),
        }
    }

    /// Says a beacon, or has it said to whoever asks from now on, with `others` behind it.
    pub(super) fn say(
        &self,
        beacon: Vec<u8>,
        others: impl Iterator<Item = Vec<u8>>,
    ) -> io::Result<()> {
        match self {
            Self::Group(group) => group.socket.send(&beacon),
            Self::Asked(asked) => {
                asked.said.send_replace(std::iter::once(beacon).chain(others).collect());
                Ok(())
            }
        }
    }
}

fn own(datagrams: Vec<Datagram>) -> Vec<Told> {
    datagrams.into_iter().map(|datagram| Told { datagram, is_own: true }).collect()
}

/// Asks again and again.
async fn ask_on(
    targets: Targets,
    said: watch::Receiver<Vec<Vec<u8>>>,
    (heard, asked): (mpsc::Sender<Told>, watch::Sender<Option<Instant>>),
) {
    let (since, mut complaints) = (Instant::now(), Complaints::default());
    loop {
        let own = said.borrow().first().cloned();
        match targets.addresses().await {
            Ok(addresses) => {
                for told in ask_all(addresses, own).await {
                    // What finds the place full is asked for again.
                    let _ = heard.try_send(told);
                }
            }
            Err(error) => {
                let now_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
                if complaints.about("name", now_ms) {
                    warn!("cannot find the address of {targets}: {error}; trying again");
                }
            }
        }
        asked.send_replace(Some(Instant::now()));
        sleep(Duration::from_millis(SEEK_INTERVAL_MS)).await;
    }
}
