//! Console: shows the messages between the actors of this node, and between nodes, as they go.
//!
//! Facts: `Shown` (the taps), `RoleTold` (Consensus).
//! Only a node that was told to show messages has one, with taps between its other actors; without
//! one they speak to each other directly, at no cost at all.
//! Limits: one line for each message, with `PAYLOAD_CHARS_MAX` of what it carries. Nobody waits for
//! the terminal but this node, which is slower then.

mod taps;

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};

use actix::{Actor, Context, Handler, Message, Recipient};
use raft_core::consensus::message::{self, Envelope};
use raft_core::consensus::ready::RoleName;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

pub(crate) use self::taps::{LogFacts, SnapshotFacts, Tapped, WatchWords};
use crate::fault::FaultGuard;
use crate::node::Control;

/// How much is shown of what a message carries. Units: characters.
const PAYLOAD_CHARS_MAX: usize = 240;

/// How much of each message is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleMessages {
    /// What it is, from whom and to whom.
    Names,
    /// What it carries, too, cut to a few words.
    Full,
}

/// A message that was seen.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
#[rtype(result = "()")]
pub(crate) struct Shown {
    from: String,
    to: String,
    name: String,
    /// Empty if it is not to be shown.
    payload: String,
}

/// Reports the role of the node.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct RoleTold(pub RoleName);

/// What a node needs to have its messages shown; nothing, usually.
#[derive(Clone, Debug)]
pub(crate) struct Taps {
    console: Option<Opened>,
    faults: UnboundedSender<Control>,
}

/// A console that is open.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    shown: Recipient<Shown>,
    role: Recipient<RoleTold>,
    detail: ConsoleMessages,
}

impl Taps {
    /// Opens a console for this node if its messages are to be shown.
    pub(crate) fn open(
        node: u64,
        detail: Option<ConsoleMessages>,
        faults: &UnboundedSender<Control>,
    ) -> Self {
        let faults = faults.clone();
        let console = detail.map(|detail| {
            let fault = FaultGuard::new("Console", &faults);
            let console =
                Console { node, role: RoleName::Follower, last: Instant::now(), _fault: fault };
            let console = console.start();
            Opened { shown: console.clone().recipient(), role: console.recipient(), detail }
        });
        Self { console, faults }
    }

    /// The same outlets, with a tap behind them if messages are to be shown.
    pub(crate) fn on<O: Tapped>(&self, outlets: O) -> O {
        match &self.console {
            Some(console) => outlets.tapped(console, FaultGuard::new("Tap", &self.faults)),
            None => outlets,
        }
    }
}

/// The actor.
#[derive(Debug)]
struct Console {
    node: u64,
    role: RoleName,
    last: Instant,
    _fault: FaultGuard,
}

impl Actor for Console {
    type Context = Context<Self>;
}

impl Handler<RoleTold> for Console {
    type Result = ();

    fn handle(&mut self, RoleTold(role): RoleTold, _: &mut Self::Context) {
        self.role = role;
    }
}

impl Handler<Shown> for Console {
    type Result = ();

    fn handle(&mut self, shown: Shown, _: &mut Self::Context) {
        let now = Instant::now();
        let since_us = (now - self.last).as_micros();
        self.last = now;
        let line = line(self.node, self.role, since_us, &shown);
        // A terminal that is closed has nobody who misses it.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}

fn line(node: u64, role: RoleName, since_us: u128, shown: &Shown) -> String {
    let Shown { from, to, name, payload } = shown;
    let role = role.as_str();
    let space = if payload.is_empty() { "" } else { " " };
    format!("+{since_us:>8} us n{node} {role:<13} {from} -> {to} {name}{space}{payload}\n")
}

/// Whether an envelope says only that somebody is there.
fn is_heartbeat(envelope: &Envelope) -> bool {
    matches!(
        envelope.message,
        message::Message::Heartbeat { .. }
            | message::Message::HeartbeatResponse { .. }
            | message::Message::AskPromise { .. }
            | message::Message::Promise { .. }
    )
}

/// What something says of itself, up to a length; it is not asked for more than that.
fn cut(what: impl fmt::Debug) -> String {
    struct Room {
        text: String,
        left: usize,
    }
    impl fmt::Write for Room {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            for char in part.chars() {
                self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
                self.text.push(if char.is_control() { ' ' } else { char });
            }
            Ok(())
        }
    }
    let mut room = Room { text: String::new(), left: PAYLOAD_CHARS_MAX };
    if write!(room, "{what:?}").is_err() {
        room.text.push_str("...");
    }
    room.text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_who_from_whom_to_whom_and_what() {
        let mut shown = Shown {
            from: "Api".to_owned(),
            to: "Consensus".to_owned(),
            name: "Submit".to_owned(),
            payload: String::new(),
        };
        let said = line(2, RoleName::Leader, 312, &shown);
        assert_eq!(said, "+     312 us n2 leader        Api -> Consensus Submit\n");
        shown.payload = "Submit(1)".to_owned();
        let said = line(2, RoleName::Leader, 312, &shown);
        assert!(said.ends_with("Submit Submit(1)\n"), "{said}");
    }

    #[test]
    fn what_is_long_is_cut_and_stays_on_its_line() {
        assert_eq!(cut("a"), "\"a\"");
        let long = cut(vec![7_u8; 10_000_000]);
        assert_eq!(long.len(), PAYLOAD_CHARS_MAX + 3);
        assert!(long.starts_with("[7, 7, ") && long.ends_with("..."), "{long}");
        struct Odd;
        impl fmt::Debug for Odd {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("two\nlines")
            }
        }
        assert_eq!(cut(Odd), "two lines");
    }
}
