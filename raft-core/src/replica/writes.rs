//! Commands that clients of this node wait for.
//!
//! A command stays here, with its bytes, until this node has applied it or its deadline has
//! passed. Whenever the leader changes it is sent again; sessions make that harmless.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::entry::{ClientId, Draft, EntryRef, SessionStamp};
use crate::replica::event::{Refusal, Ticket};
use crate::replica::joining::Shares;
use crate::teeth::is_removed;
use crate::types::Time;

/// Commands sent again in one round, in bytes, but at least one.
const ROUND_BYTES_MAX: usize = 1024 * 1024;

#[derive(Clone, Debug)]
struct Waiting {
    serial: u64,
    /// The command as an entry, stamped or not.
    command: Bytes,
    shares: Shares,
    /// Others who gave the same command of the same session.
    more: Vec<Shares>,
    deadline: Time,
    /// When it last left for a log; `None` if it never did, so that it cannot have happened.
    sent_at: Option<Time>,
}

/// Bytes of commands that wait for a leader or for its log; when full, more are refused.
const WAITING_BYTES_MAX: usize = 128 * 1024 * 1024;

/// All commands that somebody waits for, by session and serial.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writes {
    /// Serials ascend in each row. They are added and taken in that order, nearly always, and a
    /// row without any stays for the next one until deadlines are looked at.
    waiting: BTreeMap<ClientId, VecDeque<Waiting>>,
    bytes: usize,
}

impl Writes {
    /// Whether no more commands can be kept until there is a leader.
    pub(crate) fn is_full(&self) -> bool {
        WAITING_BYTES_MAX <= self.bytes
    }

    /// Adds a command.
    pub(crate) fn add(
        &mut self,
        command: Bytes,
        shares: Shares,
        deadline: Time,
        sent_at: Option<Time>,
    ) {
        let SessionStamp { client, serial, .. } = EntryRef::of(&command).session();
        let row = self.waiting.entry(client).or_default();
        let is_last = row.back().is_none_or(|last| last.serial < serial);
        match if is_last { Err(row.len()) } else { place(row, serial) } {
            Err(place) => {
                self.bytes += command.len();
                let more = Vec::new();
                row.insert(place, Waiting { serial, command, shares, more, deadline, sent_at });
            }
            Ok(place) => {
                let same = &mut row[place];
                same.more.push(shares);
                same.deadline = same.deadline.max(deadline);
                same.sent_at = same.sent_at.or(sent_at);
            }
        }
    }

    /// Whoever waits for this command gets its answer now and waits no more.
    pub(crate) fn take(&mut self, session: &SessionStamp, mut each: impl FnMut(Shares)) {
        if self.waiting.is_empty() || !session.is_session() {
            return;
        }
        let Some(row) = self.waiting.get_mut(&session.client) else { return };
        let taken = place(row, session.serial).ok().and_then(|place| row.remove(place));
        if let Some(waiting) = taken {
            self.bytes -= waiting.command.len();
            each(waiting.shares);
            waiting.more.into_iter().for_each(each);
        }
    }

    /// Makes this command due at once, although it has left.
    pub(crate) fn send_soon(&mut self, session: &SessionStamp) {
        let Some(row) = self.waiting.get_mut(&session.client) else { return };
        if let Ok(place) = place(row, session.serial) {
            row[place].sent_at = Some(Time(0));
        }
    }

    /// Removes every command whose deadline has passed, and reports each of its tickets.
    pub(crate) fn expire(
        &mut self,
        now: Time,
        mut each: impl FnMut(&SessionStamp, Ticket, Refusal),
    ) {
        let bytes = &mut self.bytes;
        self.waiting.retain(|&client, row| {
            row.retain_mut(|waiting| {
                if now < waiting.deadline || is_removed("writes-expire") {
                    return true;
                }
                let refusal = match waiting.sent_at {
                    Some(_) => Refusal::Unknown,
                    None => Refusal::NoLeader,
                };
                let stamp = SessionStamp { client, serial: waiting.serial, acknowledged: 0 };
                *bytes -= waiting.command.len();
                let more = std::mem::take(&mut waiting.more);
                let shares = std::mem::replace(&mut waiting.shares, Shares::Joint(Vec::new()));
                for shares in std::iter::once(shares).chain(more) {
                    shares.each(|ticket, _| each(&stamp, ticket, refusal));
                }
                false
            });
            !row.is_empty()
        });
    }

    /// The commands that left before `before`, or never, again, in rounds of bounded size.
    /// They count as sent now.
    pub(crate) fn due(&mut self, now: Time, before: Time) -> Vec<Draft> {
        let mut rounds = Vec::new();
        let mut draft = Draft::default();
        for waiting in self.waiting.values_mut().flatten() {
            if waiting.sent_at.is_some_and(|at| before <= at) {
                continue;
            }
            waiting.sent_at = Some(now);
            if ROUND_BYTES_MAX < draft.byte_len() + waiting.command.len() && !draft.is_empty() {
                rounds.push(std::mem::take(&mut draft));
            }
            draft.push_again(&waiting.command);
        }
        if !draft.is_empty() {
            rounds.push(draft);
        }
        rounds
    }
}

/// Where a serial stands in a row, or would stand.
fn place(row: &VecDeque<Waiting>, serial: u64) -> Result<usize, usize> {
    match row.front() {
        Some(first) if first.serial == serial => Ok(0),
        Some(_) | None => row.binary_search_by_key(&serial, |waiting| waiting.serial),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::rng::Rng;
    use crate::entry::EntryKind;

    fn command(stamp: &SessionStamp) -> Bytes {
        let mut draft = Draft::default();
        draft.push(EntryKind::Command, stamp, b"command");
        draft.into_commands().0
    }

    #[test]
    fn whoever_waits_is_found_in_whatever_order_commands_come_and_go() {
        let mut rng = Rng::new(5);
        let (mut writes, mut known) = (Writes::default(), BTreeMap::new());
        for request in 0..20_000 {
            let client = ClientId { issued_at: 0, random: rng.next_u64() % 3 };
            let stamp = SessionStamp { client, serial: 1 + rng.next_u64() % 9, acknowledged: 0 };
            let key = (client, stamp.serial);
            let ticket = Ticket { connection: 1, request };
            if rng.next_u64().is_multiple_of(2) {
                let deadline = Time(request + 40);
                writes.add(command(&stamp), Shares::One(ticket), deadline, None);
                let (tickets, end) = known.entry(key).or_insert((Vec::new(), deadline));
                tickets.push(ticket);
                *end = deadline;
            } else {
                let mut taken = Vec::new();
                writes.take(&stamp, |shares| shares.each(|ticket, _| taken.push(ticket)));
                assert_eq!(taken, known.remove(&key).map_or(Vec::new(), |(tickets, _)| tickets));
            }
            if request % 10 == 0 {
                let mut ended = Vec::new();
                writes.expire(Time(request), |stamp, ticket, _| {
                    ended.push((stamp.client, stamp.serial, ticket));
                });
                let mut expected = Vec::new();
                known.retain(|&(client, serial), (tickets, end): &mut (Vec<Ticket>, Time)| {
                    let is_over = *end <= Time(request);
                    let all = tickets.iter().filter(|_| is_over);
                    expected.extend(all.map(|&ticket| (client, serial, ticket)));
                    !is_over
                });
                assert_eq!(ended, expected);
                assert!(writes.waiting.values().all(|row| !row.is_empty()));
            }
            assert_eq!(writes.bytes, known.len() * command(&stamp).len());
        }
        let sent: Vec<_> = writes.due(Time(0), Time(0)).iter().flat_map(sessions).collect();
        assert_eq!(sent, known.into_keys().collect::<Vec<_>>(), "each client's in their order");
    }

    fn sessions(draft: &Draft) -> Vec<(ClientId, u64)> {
        let stamps = draft.iter().map(|entry| entry.session());
        stamps.map(|stamp| (stamp.client, stamp.serial)).collect()
    }
}
