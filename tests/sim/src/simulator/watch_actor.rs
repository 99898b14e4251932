//! The watches of a node: what its Watch actor is to a real one, with a mailbox and without an
//! actor.

use kv_store::command::Limits;
use kv_store::watching::{Order, Push, Watching};
use raft_core::replica::changes::{Changes, NoChanges};

/// A message to it.
#[derive(Debug)]
pub(crate) enum Letter {
    /// The node has applied something and is at this revision.
    Applied(u64),
    /// What changed, as it has asked.
    ChangesRead(Result<Changes, NoChanges>),
    /// What a client wants.
    Order(Order),
    /// What a connection has not read yet. Units: bytes.
    Unread { connection: u64, bytes: usize },
    /// A while has passed.
    Tick,
}

/// The watches of a process.
#[derive(Debug)]
pub(crate) struct WatchActor {
    watching: Watching,
    mailbox: Vec<Letter>,
    is_woken: bool,
}

/// What it wants done.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Read what changed from this revision on.
    pub(crate) changes_from: Option<u64>,
    /// Tell this to clients.
    pub(crate) pushes: Vec<Push>,
}

impl Default for WatchActor {
    fn default() -> Self {
        let watching = Watching::new(Limits::default());
        Self { watching, mailbox: Vec::new(), is_woken: false }
    }
}

impl WatchActor {
    /// Puts a letter into its mailbox. Returns whether it has to be woken.
    pub(crate) fn post(&mut self, letter: Letter) -> bool {
        self.mailbox.push(letter);
        !std::mem::replace(&mut self.is_woken, true)
    }

    /// It reads its mailbox.
    pub(crate) fn work(&mut self) -> Wanted {
        self.is_woken = false;
        for letter in std::mem::take(&mut self.mailbox) {
            match letter {
                Letter::Applied(revision) => self.watching.applied(revision),
                Letter::ChangesRead(changes) => self.watching.take(changes),
                Letter::Order(order) => self.watching.obey(order),
                Letter::Unread { connection, bytes } => self.watching.has_read(connection, bytes),
                Letter::Tick => self.watching.tick(),
            }
        }
        Wanted { changes_from: self.watching.wants(), pushes: self.watching.take_pushes() }
    }
}
