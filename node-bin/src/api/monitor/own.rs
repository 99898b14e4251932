//! What a node says for itself, now or when it knows.

use actix::Handler;
use raft_core::replica::event::{Outcome, Refusal, Ticket};
use raft_net::client_protocol::{MonitorEntry, MonitorError, MonitorPart, MonitorRequest};

use super::{HEALTH, Own, QUESTIONS, TRACE};
use crate::api::{Api, description};
use crate::clock::Clock;
use crate::consensus::{Tune, Tuned};
use crate::logging::LogControl;
use crate::monitor::events::SHOWN_BYTES_MAX;
use crate::monitor::health;
use crate::monitor::lines::Shown;
use crate::monitor::machine::Machine;
use crate::monitor::path::{EVENTS, LOG, VIEW, covers};
use crate::monitor::values::{
    Counts, ELECTION_TIMEOUT, HEARTBEAT_INTERVAL, LOG_LEVEL, Readings, entries,
};

/// What the events of all members together may take in one answer. Units: bytes.
const ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024;

impl Api {
    /// Says what this node has to say, now or when it knows.
    pub(super) fn answer_for_self(&mut self, number: u64, rest: &str) {
        let Some(task) = self.monitor.tasks.get(&number) else { return };
        let request = &task.request;
        let found = match &request.value {
            Some(value) => {
                let value = value.clone();
                match self.set(number, rest, &value) {
                    Some(found) => found,
                    None => return,
                }
            }
            None if rest == LOG => self.lines_for(number),
            None if rest == EVENTS => self.events_for(number),
            None if rest.starts_with(TRACE) => match self.begin_trace(number, rest, false) {
                Some(error) => Err(error),
                None => return,
            },
            None if covers(HEALTH, rest) => return self.begin_health(number, rest),
            None if rest == VIEW => self.values(number, ""),
            None => self.values(number, rest),
        };
        self.add_own(number, found);
    }

    fn values(&mut self, number: u64, rest: &str) -> Result<MonitorPart, MonitorError> {
        let counts = self.counts();
        let machine = Machine::read(self.monitor.options.directory.as_deref());
        let task = self.monitor.tasks.get(&number).expect("a task that is answered is there");
        let described = task.described.as_ref().expect("a task is planned when it is described");
        let readings = Readings {
            role: description::role(&described.status),
            status: &described.status,
            member: description::part(&described.status.configuration, described.status.node),
            pulse: &described.pulse,
            tally: task.tally.unwrap_or_default(),
            counts: &counts,
            machine: &machine,
            address: &self.info.address,
            page: self.info.page.as_deref(),
            wall_us: Clock::wall_time(),
        };
        let entries = entries(&readings, rest);
        if entries.is_empty() {
            return Err(self.unknown(rest));
        }
        Ok(MonitorPart { entries, ..MonitorPart::default() })
    }

    fn unknown(&self, rest: &str) -> MonitorError {
        let id = self.info.node_id;
        let text = format!("there is no {rest}; kvctl mon get /node/{id} shows what there is");
        MonitorError { code: MonitorError::UNKNOWN_PATH, text }
    }

    fn counts(&mut self) -> Counts {
        let clock = self.monitor.clock();
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Counts {
            writes: self.writes.count(),
            reads: self.reads.count(),
            in_flight: count(self.in_flight),
            write_times: self.writes.summary(clock),
            read_times: self.reads.summary(clock),
            native_clients: count(self.connections.len()),
            redis_clients: count(self.resp.len()),
            streams: count(self.streams.len()),
            log_level: self.monitor.logs().map(LogControl::level),
            log_lines: self.monitor.lines.newest(),
            events: self.monitor.events.newest(),
        }
    }

    fn lines_for(&self, number: u64) -> Result<MonitorPart, MonitorError> {
        let refused =
            |text: &str| Err(MonitorError { code: MonitorError::NOT_HERE, text: text.to_owned() });
        if self.monitor.logs().is_none() {
            return refused("this program keeps no lines of its log");
        }
        let request = self.monitor.tasks.get(&number).map(|task| &task.request);
        let Some(request) = request.filter(|request| request.interval_ms != 0) else {
            return refused("the log is a stream: kvctl mon watch shows it");
        };
        let seen = self.seen_by(request);
        Ok(shown(LOG, self.monitor.lines.after(seen)))
    }

    /// What has happened since the asker last looked. Unlike the log it can be asked for once, for
    /// what is there.
    fn events_for(&self, number: u64) -> Result<MonitorPart, MonitorError> {
        let Some(task) = self.monitor.tasks.get(&number) else {
            return Ok(MonitorPart::default());
        };
        let described = task.described.as_ref();
        let members = described.map_or(1, |it| it.status.configuration.members.len().max(1));
        let bytes_max = SHOWN_BYTES_MAX.min(ANSWER_BYTES_MAX / members);
        let seen = self.seen_by(&task.request);
        Ok(shown(EVENTS, self.monitor.events.after(self.info.node_id, seen, bytes_max)))
    }

    fn seen_by(&self, request: &MonitorRequest) -> Option<u64> {
        let own = self.info.node_id;
        request.lines_seen.iter().find(|(id, _)| *id == own).map(|(_, seen)| *seen)
    }

    /// Sets a value; `None` if it is not yet known what comes of it.
    fn set(
        &mut self,
        number: u64,
        rest: &str,
        value: &str,
    ) -> Option<Result<MonitorPart, MonitorError>> {
        let bad = |text| Some(Err(MonitorError { code: MonitorError::BAD_VALUE, text }));
        match rest {
            _ if rest.starts_with(TRACE) => self.begin_trace(number, rest, true).map(Err),
            LOG_LEVEL => match self.monitor.logs() {
                Some(logs) => match logs.set_level(value) {
                    Ok(()) => {
                        let node = self.info.node_id;
                        tracing::info!(node, "the log is written at level {value} from here on");
                        Some(self.values(number, rest))
                    }
                    Err(text) => bad(text),
                },
                None => Some(Err(self.unknown(rest))),
            },
            ELECTION_TIMEOUT | HEARTBEAT_INTERVAL => {
                let Some(us) = value.parse::<u64>().ok().and_then(|ms| ms.checked_mul(1_000))
                else {
                    return bad(format!("{value:?} is no number of milliseconds"));
                };
                let ticket = Ticket { connection: QUESTIONS, request: number };
                self.outlets.tune.do_send(Tune {
                    ticket,
                    election_timeout_us: (rest == ELECTION_TIMEOUT).then_some(us),
                    heartbeat_interval_us: (rest == HEARTBEAT_INTERVAL).then_some(us),
                });
                self.own_of(number, Own::Tuning(rest.to_owned()));
                None
            }
            _ => Some(self.values(number, rest).and_then(|_| {
                let text = format!("{rest} can be read and not set");
                Err(MonitorError { code: MonitorError::READ_ONLY, text })
            })),
        }
    }

    pub(in crate::api) fn own_of(&mut self, number: u64, own: Own) {
        if let Some(task) = self.monitor.tasks.get_mut(&number) {
            task.own = own;
        }
    }

    /// Asks a query of the state machine: that it is answered shows that others are reached.
    fn begin_health(&mut self, number: u64, rest: &str) {
        let patience_us =
            self.monitor.tasks.get(&number).map_or(0, |task| task.request.timeout_ms * 750);
        self.own_of(number, Own::Health(rest.to_owned()));
        match self.monitor.options.probe.clone() {
            Some(probe) => {
                let ticket = Ticket { connection: QUESTIONS, request: number };
                self.round.read(ticket, patience_us, &probe);
            }
            None => self.end_health(number, Err("this program has no query to try".to_owned())),
        }
    }

    /// Takes how the query ended.
    pub(in crate::api) fn answered_task(&mut self, number: u64, outcome: &Outcome) {
        let read = match outcome {
            Outcome::Answered(_) | Outcome::AnsweredLocally(..) => Ok(()),
            Outcome::Refused(Refusal::NoLeader | Refusal::Unknown) => {
                Err("no leader was found in time".to_owned())
            }
            Outcome::Refused(refusal) => Err(format!("refused: {refusal:?}")),
            Outcome::Session(_) => Err("not answered".to_owned()),
        };
        self.end_health(number, read);
    }

    pub(super) fn end_health(&mut self, number: u64, read: Result<(), String>) {
        let Some(task) = self.monitor.tasks.get_mut(&number) else { return };
        let Own::Health(rest) = std::mem::replace(&mut task.own, Own::Nothing) else { return };
        let described = task.described.as_ref().expect("a task is planned when it is described");
        let entries = health::entries(&described.status, &read);
        let entries: Vec<_> =
            entries.into_iter().filter(|entry| covers(&rest, &entry.path)).collect();
        let found = match entries.is_empty() {
            true => Err(self.unknown(&rest)),
            false => Ok(MonitorPart { entries, ..MonitorPart::default() }),
        };
        self.add_own(number, found);
        self.end_task_if_whole(number);
    }
}

/// Numbered texts of a stream, as values below its path.
fn shown(path: &str, shown: Shown) -> MonitorPart {
    let entry = |(number, text): (u64, String)| MonitorEntry {
        path: format!("{path}/{number}"),
        value: text.into(),
        settable: false,
    };
    MonitorPart {
        entries: shown.lines.into_iter().map(entry).collect(),
        lines_seen: shown.seen,
        lines_lost: shown.lost,
        ..MonitorPart::default()
    }
}

impl Handler<Tuned> for Api {
    type Result = ();

    fn handle(&mut self, Tuned { ticket, result }: Tuned, context: &mut Self::Context) {
        let number = ticket.request;
        if let Some(task) = self.monitor.tasks.get_mut(&number)
            && let Own::Tuning(path) = std::mem::replace(&mut task.own, Own::Nothing)
        {
            let value = task.request.value.as_ref().and_then(|value| value.parse::<u64>().ok());
            let value = value.unwrap_or(0);
            let found = match result {
                Ok(()) => {
                    tracing::info!(node = self.info.node_id, "{path} is {value} from here on");
                    let entry = MonitorEntry { path, value: value.into(), settable: true };
                    Ok(MonitorPart { entries: vec![entry], ..MonitorPart::default() })
                }
                Err(refused) => {
                    let text = refused.to_string();
                    Err(MonitorError { code: MonitorError::BAD_VALUE, text })
                }
            };
            self.add_own(number, found);
            self.end_task_if_whole(number);
        }
        self.settle(context);
    }
}
