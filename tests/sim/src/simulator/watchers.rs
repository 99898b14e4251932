//! Clients that watch: each has a connection to some node and a few watches on it, and goes on
//! elsewhere from the revision that it has seen.
//!
//! They have dice of their own, so that a seed without them is the run that it was.

use kv_store::watching::{Order, Owner};

use crate::simulator::dice::Dice;
use crate::simulator::judge::{About, AboutItems, Watched};
use crate::simulator::plan::Traffic;

/// How many watches a client has.
const WATCHES: (u64, u64) = (1, 3);

/// How far behind what has come a watch may begin, and how far ahead. Units: revisions.
const PAST: u64 = 200;
const AHEAD: u64 = 6;

/// All clients that watch.
#[derive(Debug)]
pub(crate) struct Watchers {
    pub(crate) dice: Dice,
    pub(crate) all: Vec<Watcher>,
    newest: u64,
}

/// One of them.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    pub(crate) connection: Option<Connection>,
    pub(crate) watches: Vec<Asked>,
    /// How often in a row its node has said that it knows no leader.
    pub(crate) leaderless: u32,
}

/// A connection to a node, on which nothing overtakes anything.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) number: u64,
    pub(crate) node: usize,
    pub(crate) life: u64,
    /// When the last word on it arrives at the client, and the last order at the node.
    pub(crate) arrives_at: u64,
    pub(crate) reaches_at: u64,
    /// What was sent to the client and has not arrived. Units: bytes.
    pub(crate) unread_bytes: usize,
    /// The same of a client that does not read. Units: bytes.
    pub(crate) ignored_bytes: usize,
}

/// A watch as its client knows it.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Under which id it is asked for on the connection, if it is.
    pub(crate) id: Option<u64>,
    pub(crate) has_begun: bool,
    pub(crate) watched: Watched,
}

impl Watchers {
    /// So many clients, who watch nothing yet.
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        let dice = Dice::new(seed ^ 0x0077_6174_6368_6573);
        Self { dice, all: (0..count).map(|_| Watcher::default()).collect(), newest: 0 }
    }

    /// A number that nothing else of the watchers has.
    pub(crate) fn number(&mut self) -> u64 {
        self.newest += 1;
        self.newest
    }

    /// The client with this connection, if it still has it.
    pub(crate) fn find(&self, connection: u64) -> Option<usize> {
        let has_it = |watcher: &Watcher| {
            watcher.connection.as_ref().is_some_and(|held| held.number == connection)
        };
        self.all.iter().position(has_it)
    }

    /// A client opens a connection.
    pub(crate) fn connect(&mut self, watcher: usize, (node, life): (usize, u64)) {
        let number = self.number();
        self.all[watcher].leaderless = 0;
        self.all[watcher].connection = Some(Connection {
            number,
            node,
            life,
            arrives_at: 0,
            reaches_at: 0,
            unread_bytes: 0,
            ignored_bytes: 0,
        });
    }

    /// A client has no connection any more, and its watches are to be asked for again.
    pub(crate) fn disconnect(&mut self, watcher: usize) -> Option<Connection> {
        let this = &mut self.all[watcher];
        for asked in &mut this.watches {
            (asked.id, asked.has_begun) = (None, false);
            asked.watched.cut_off();
        }
        this.connection.take()
    }

    /// Gives a client the watches that it is to have; `newest` is the newest revision.
    pub(crate) fn fill(&mut self, watcher: usize, traffic: &Traffic, newest: u64) {
        if self.all[watcher].watches.is_empty() {
            for _ in 0..self.dice.between(WATCHES) {
                let watched = self.draw(traffic, newest);
                self.all[watcher].watches.push(Asked { id: None, has_begun: false, watched });
            }
        }
    }

    /// A watch of anything, from now, from the past, or from a time that is yet to come.
    pub(crate) fn draw(&mut self, traffic: &Traffic, newest: u64) -> Watched {
        let dice = &mut self.dice;
        let (from, is_prefix) = match dice.below(6) {
            0 => (Vec::new(), true),
            1 => (b"key".to_vec(), true),
            2 => (b"typed".to_vec(), true),
            3 => (format!("typed-{}", dice.below(4)).into_bytes(), false),
            _ => (format!("key-{}", dice.below(traffic.keys)).into_bytes(), false),
        };
        let items = match dice.below(3) {
            0 => AboutItems::None,
            1 => AboutItems::All,
            _ => AboutItems::Named(dice.pick(&[b"a", b"b", b"c"]).to_vec()),
        };
        let start = match dice.below(4) {
            0 | 1 => 0,
            2 => newest.saturating_sub(dice.below(PAST)).max(1),
            _ => newest + dice.below(AHEAD),
        };
        let (puts, deletes, previous) = (dice.chance(800), dice.chance(800), dice.chance(500));
        Watched::new(About { from, is_prefix, items, puts, deletes, previous }, start)
    }

    /// Asks for a watch under a new id, which makes an order.
    pub(crate) fn ask(&mut self, watcher: usize, watch: usize) -> Option<Order> {
        let (id, marks) = (self.number(), self.dice.chance(500));
        let this = &mut self.all[watcher];
        let connection = this.connection.as_ref()?.number;
        let asked = &mut this.watches[watch];
        (asked.id, asked.has_begun) = (Some(id), false);
        let (interest, start) = asked.watched.asked();
        Some(Order::Watch { owner: Owner { connection, watch: id }, start, marks, interest })
    }
}

impl Watcher {
    /// How the node calls a watch that it has.
    pub(crate) fn owner(&self, watch: usize) -> Option<Owner> {
        let (connection, asked) = (self.connection.as_ref()?, &self.watches[watch]);
        Some(Owner { connection: connection.number, watch: asked.id? })
    }
}
