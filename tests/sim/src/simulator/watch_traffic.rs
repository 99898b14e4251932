//! Watches between clients and nodes (I20).

use kv_store::watching::{BACKLOG_BYTES_MAX, CATCH_UP_BYTES_MAX, End, Order, Push, Word};

use crate::simulator::judge::Heard;
use crate::simulator::schedule::What;
use crate::simulator::watch_actor::Letter;
use crate::simulator::world::World;

/// The way between a client and a node. Units: microseconds.
const WAY_US: (u64, u64) = (50, 3_000);

/// How long a letter lies in a mailbox at most, and a connection is dead before anybody notices.
/// Units: microseconds.
const MAILBOX_US: u64 = 300;
const NOTICE_US: u64 = 60_000;

/// How often a client does something about its watches, and a node's watches are told that a
/// while has passed. Units: microseconds.
const STEP_US: (u64, u64) = (10_000, 120_000);
const TICK_US: u64 = 400_000;

/// How long a letter waits for a process that is paused. Units: microseconds.
const PAUSED_US: u64 = 10_000;

/// How often in a row a node may say that it knows no leader before its clients leave it.
const LEADERLESS_MAX: u32 = 2;

impl World {
    /// Puts a letter into the mailbox of a node's watches.
    fn post(&mut self, node: usize, letter: Letter) {
        let delay_us = self.watchers.dice.below(MAILBOX_US);
        let life = self.nodes[node].life;
        let Some(process) = &mut self.nodes[node].process else { return };
        if process.watches.post(letter) {
            self.schedule.after(delay_us, What::WatchWake { node, life });
        }
    }

    /// A node has come to a revision.
    pub(crate) fn watches_applied(&mut self, node: usize, revision: u64) {
        if 0 < self.plan.clients.watchers {
            self.post(node, Letter::Applied(revision));
        }
    }

    /// The watches of a node look into their mailbox.
    pub(crate) fn watch_wake(&mut self, node: usize, life: u64) {
        if self.nodes[node].is_paused {
            self.schedule.after(PAUSED_US, What::WatchWake { node, life });
            return;
        }
        let Some(process) = self.nodes[node].in_life(life) else { return };
        let wanted = process.watches.work();
        if let Some(from) = wanted.changes_from {
            let delay_us = self.watchers.dice.below(MAILBOX_US);
            self.schedule.after(delay_us, What::ReadChanges { node, life, from });
        }
        wanted.pushes.into_iter().for_each(|push| self.push(push));
    }

    /// A node reads what changed, for its watches.
    pub(crate) fn read_changes(&mut self, node: usize, life: u64, from: u64) {
        if self.nodes[node].is_paused {
            self.schedule.after(PAUSED_US, What::ReadChanges { node, life, from });
            return;
        }
        let bytes_max = self.plan.clients.changes_bytes_max;
        let Some(process) = self.nodes[node].in_life(life) else { return };
        let changes = process.replica.changes(from, bytes_max);
        self.post(node, Letter::ChangesRead(changes));
    }

    /// A while has passed at a node.
    pub(crate) fn watch_tick(&mut self, node: usize, life: u64) {
        if self.nodes[node].in_life(life).is_some() {
            self.post(node, Letter::Tick);
            self.schedule.after(TICK_US, What::WatchTick { node, life });
        }
    }

    /// A node says something to a client, behind all that it has said on the same connection.
    fn push(&mut self, push: Push) {
        let Some(watcher) = self.watchers.find(push.owner.connection) else { return };
        let delay_us = self.watchers.dice.between(WAY_US);
        let Some(connection) = &mut self.watchers.all[watcher].connection else { return };
        connection.unread_bytes += bytes_of(&push.word);
        connection.arrives_at = connection.arrives_at.max(self.schedule.now() + delay_us);
        self.schedule.at(connection.arrives_at, What::WatchHears(push));
    }

    /// A client tells its node something, behind all that it has told it on that connection.
    fn order(&mut self, watcher: usize, letter: Letter) {
        let delay_us = self.watchers.dice.between(WAY_US);
        let Some(connection) = &mut self.watchers.all[watcher].connection else { return };
        connection.reaches_at = connection.reaches_at.max(self.schedule.now() + delay_us);
        let (node, life) = (connection.node, connection.life);
        self.schedule.at(connection.reaches_at, What::WatchLetter { node, life, letter });
    }

    /// What a client has told its node arrives there.
    pub(crate) fn watch_letter(&mut self, node: usize, life: u64, letter: Letter) {
        if self.nodes[node].in_life(life).is_some() {
            self.post(node, letter);
        }
    }

    /// A word arrives at a client.
    pub(crate) fn watch_hears(&mut self, Push { owner, word }: Push) {
        let Some(watcher) = self.watchers.find(owner.connection) else { return };
        let this = &mut self.watchers.all[watcher];
        if let Some(connection) = &mut this.connection {
            connection.unread_bytes -= bytes_of(&word);
        }
        // What is said of one that was given up is of no interest.
        let known = this.watches.iter_mut().find(|asked| asked.id == Some(owner.watch));
        if let Some(asked) = known {
            let heard = asked.watched.hear(&word, self.judge.executions.past());
            match heard {
                Heard::Begun => {
                    asked.has_begun = true;
                    self.counts.watches += 1;
                }
                Heard::Shown(count) => self.counts.watch_changes += count as u64,
                Heard::Marked => self.counts.watch_marks += 1,
                Heard::Over(end) => {
                    (asked.id, asked.has_begun) = (None, false);
                    self.counts.watches_compacted +=
                        u64::from(matches!(end, End::Compacted { .. }));
                    self.counts.watches_slow += u64::from(matches!(end, End::Slow { .. }));
                }
            }
            self.trace.note(&[self.schedule.now(), owner.watch, bytes_of(&word) as u64]);
            self.say(|| format!("watch {} hears {word:?}", owner.watch));
        }
        self.tell_unread(watcher);
    }

    /// A node learns what its client has not read.
    fn tell_unread(&mut self, watcher: usize) {
        let Some(connection) = &self.watchers.all[watcher].connection else { return };
        let (number, bytes) =
            (connection.number, connection.unread_bytes + connection.ignored_bytes);
        self.order(watcher, Letter::Unread { connection: number, bytes });
    }

    /// A client learns that its connection is gone.
    pub(crate) fn watch_lost(&mut self, connection: u64) {
        if let Some(watcher) = self.watchers.find(connection) {
            self.watchers.disconnect(watcher);
            self.counts.watch_moves += 1;
        }
    }

    /// The process with these watches has ended.
    pub(crate) fn lose_watches_of(&mut self, node: usize) {
        let connections = self.watchers.all.iter().filter_map(|it| it.connection.as_ref());
        let lost = connections.filter(|connection| connection.node == node);
        let lost: Vec<u64> = lost.map(|connection| connection.number).collect();
        for connection in lost {
            let delay_us = self.watchers.dice.below(NOTICE_US);
            self.schedule.after(delay_us, What::WatchLost { connection });
        }
    }

    /// Somebody's watches go on over a snapshot that took the place of their node's state.
    pub(crate) fn note_watched_install(&mut self, node: usize) {
        let connections = self.watchers.all.iter().filter_map(|it| it.connection.as_ref());
        let is_watched = connections.into_iter().any(|connection| connection.node == node);
        self.counts.watched_installs += u64::from(is_watched);
    }

    /// A client does something about its watches.
    pub(crate) fn watch_step(&mut self, watcher: usize) {
        let delay_us = self.watchers.dice.between(STEP_US);
        self.schedule.after(delay_us, What::WatchStep { watcher });
        let newest = self.judge.executions.past().newest();
        self.watchers.fill(watcher, &self.plan.clients, newest);
        match self.watchers.all[watcher].connection.as_ref().map(|it| it.node) {
            None => self.watch_elsewhere(watcher),
            Some(node) if self.is_to_leave(watcher, node) => self.leave(watcher),
            Some(_) => self.watch_on(watcher),
        }
    }

    /// A client without a connection opens one, if the node that it thinks of runs.
    fn watch_elsewhere(&mut self, watcher: usize) {
        let known = self.known_to_clients();
        let node = self.watchers.dice.pick(&known);
        if self.nodes[node].process.is_some() {
            self.watchers.connect(watcher, (node, self.nodes[node].life));
            self.watch_on(watcher);
        }
    }

    /// Whether a client has had enough of its node: that knows no leader, or is none of those
    /// that clients should ask, or for no reason.
    fn is_to_leave(&mut self, watcher: usize, node: usize) -> bool {
        let leader = self.nodes[node].process.as_ref().map(|it| it.replica.status().leader);
        let is_leaderless = leader == Some(None);
        let known = self.known_to_clients();
        let this = &mut self.watchers.all[watcher];
        this.leaderless = if is_leaderless { this.leaderless + 1 } else { 0 };
        let is_forlorn = LEADERLESS_MAX <= this.leaderless;
        let is_restless = self.healed.is_none() && self.watchers.dice.chance(30);
        is_forlorn || is_restless || (self.healed.is_some() && !known.contains(&node))
    }

    /// A client closes its connection; the node learns that when all before has arrived there.
    fn leave(&mut self, watcher: usize) {
        let Some(connection) = &self.watchers.all[watcher].connection else { return };
        let connection = connection.number;
        self.order(watcher, Letter::Order(Order::Leave { connection }));
        self.watchers.disconnect(watcher);
        self.counts.watch_moves += 1;
    }

    /// A client asks for what it is to have, and now and then for something else.
    fn watch_on(&mut self, watcher: usize) {
        self.maybe_read(watcher);
        let newest = self.judge.executions.past().newest();
        for watch in 0..self.watchers.all[watcher].watches.len() {
            let asked = &self.watchers.all[watcher].watches[watch];
            let (is_asked, is_behind) = (asked.id.is_some(), !asked.watched.has_passed(newest));
            let whim = if self.is_healed() { 0 } else { self.watchers.dice.below(40) };
            match self.watchers.all[watcher].owner(watch).filter(|_| is_asked) {
                None => {
                    let order = self.watchers.ask(watcher, watch);
                    order.into_iter().for_each(|it| self.order(watcher, Letter::Order(it)));
                }
                Some(owner) if whim == 1 || whim == 2 => {
                    self.order(watcher, Letter::Order(Order::Unwatch(owner)));
                    let asked = &mut self.watchers.all[watcher].watches[watch];
                    (asked.id, asked.has_begun) = (None, false);
                    asked.watched.cut_off();
                    if whim == 2 {
                        let watched = self.watchers.draw(&self.plan.clients, newest);
                        self.watchers.all[watcher].watches[watch].watched = watched;
                    }
                }
                Some(owner) if whim == 3 || (self.is_healed() && is_behind) => {
                    self.order(watcher, Letter::Order(Order::Mark(owner)));
                }
                Some(_) => {}
            }
        }
    }

    /// A client stops reading, or reads all that there is.
    fn maybe_read(&mut self, watcher: usize) {
        let stops = !self.is_healed() && self.watchers.dice.chance(40);
        let ignored_bytes = match self.watchers.dice.below(2) {
            _ if !stops => 0,
            0 => CATCH_UP_BYTES_MAX + 1,
            _ => BACKLOG_BYTES_MAX + 1,
        };
        let Some(connection) = &mut self.watchers.all[watcher].connection else { return };
        if connection.ignored_bytes != ignored_bytes {
            connection.ignored_bytes = ignored_bytes;
            self.tell_unread(watcher);
        }
    }

    /// Which watch does not show all that there is, if any.
    pub(crate) fn watch_complaint(&self) -> Option<String> {
        let newest = self.judge.executions.past().newest();
        for (number, watcher) in self.watchers.all.iter().enumerate() {
            for asked in &watcher.watches {
                if !asked.has_begun || !asked.watched.has_passed(newest) {
                    let connection = &watcher.connection;
                    return Some(format!(
                        "at {newest} watcher {number} waits: {asked:?} over {connection:?}"
                    ));
                }
            }
        }
        None
    }
}

fn bytes_of(word: &Word) -> usize {
    match word {
        Word::Changed { changes, .. } => changes.len(),
        Word::Begun { .. }
        | Word::Mark { .. }
        | Word::Malformed { .. }
        | Word::Overloaded
        | Word::Ended(_) => 0,
    }
}
