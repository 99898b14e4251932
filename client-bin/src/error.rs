//! Why an operation brought no answer.

use kv_store::command::No;
use raft_core::replica::event::{Refusal, SessionRefusal};
use raft_net::client_protocol::ChangeRefused;

/// Why an operation brought no answer. Every variant is one line for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No endpoint accepts connections. Nothing was done; try again when a node is up.
    #[error("no node answers at {endpoints}; start one with: kvorum dev")]
    Unreachable {
        /// Every endpoint that was tried.
        endpoints: String,
    },
    /// Something answers that is not a node. Nothing was done; correct the address.
    #[error("{endpoint} does not speak Kvorum's protocol; is it another service?")]
    NotKvorum {
        /// Where.
        endpoint: String,
    },
    /// A node answers and does not let the client in. Nothing was done.
    #[error("{endpoint} turns this client away: {why}")]
    TurnedAway {
        /// Where.
        endpoint: String,
        /// The node's words.
        why: String,
    },
    /// Nodes answer, but none could serve the request before the deadline. Nothing was done;
    /// try again.
    #[error("{}", no_quorum(endpoint, *last))]
    NoQuorum {
        /// The node that was asked last.
        endpoint: String,
        /// What it said, if it said anything.
        last: Option<Refusal>,
    },
    /// The write may or may not have taken effect, and it will never be known from the answer:
    /// none came before the deadline. Read before writing again.
    #[error("unknown: the write may or may not have taken effect; read what it was to change")]
    Unknown,
    /// The cluster did not execute a write under a request id of the caller, now.
    #[error("{}", session_words(*.0))]
    Session(SessionRefusal),
    /// The store decided against the request. Nothing has changed.
    #[error("{0}")]
    DecidedNo(No),
    /// An operation of a transaction cannot be carried out, so that nothing of it was. Nothing has
    /// changed.
    #[error("{}", undone_words(path, *why))]
    Undone {
        /// Where the operation stands in the branch that was taken, from 0, of a nested one
        /// behind where each transaction around it stands; nothing if there was no room for any
        /// answer.
        path: Vec<u64>,
        /// Why it cannot be carried out.
        why: No,
    },
    /// The cluster decided against a change of its members. Everything is as it was.
    #[error("{}", one_line(&.0.text))]
    ChangeRefused(ChangeRefused),
    /// Nobody took over leadership in time. Who leads stays as it is, unless somebody took over
    /// for another reason.
    #[error("{0}")]
    NotHandedOver(String),
    /// What was to be played was not done, and nothing was changed unless it says so.
    #[error("{0}")]
    NotPlayed(String),
    /// The request makes no sense to the node. Nothing was done, and repeating it is of no use.
    #[error("{0}")]
    Rejected(String),
}

/// How much of a node's words is shown. Units: characters.
const TEXT_CHARS_MAX: usize = 300;

impl ClientError {
    /// The node's words about a request that it rejects, on one line.
    pub(crate) fn rejected(text: &str) -> Self {
        Self::Rejected(one_line(text))
    }

    /// An answer that is none to what was asked.
    pub(crate) fn nonsense() -> Self {
        Self::rejected("the node's answer makes no sense")
    }

    /// The exit code of a program that ends with this error (design: 1 decided no, 2 wrong
    /// usage, 3 nothing was done, 4 unknown).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::DecidedNo(_)
            | Self::Undone { .. }
            | Self::ChangeRefused(_)
            | Self::NotHandedOver(_)
            | Self::NotPlayed(_)
            | Self::Session(_) => 1,
            Self::Rejected(_) => 2,
            Self::Unreachable { .. }
            | Self::NotKvorum { .. }
            | Self::TurnedAway { .. }
            | Self::NoQuorum { .. } => 3,
            Self::Unknown => 4,
        }
    }
}

/// A node's words, not at any length.
pub(crate) fn one_line(text: &str) -> String {
    text.escape_debug().take(TEXT_CHARS_MAX).collect()
}

/// Where it stands is counted from 1 for people.
fn undone_words(path: &[u64], why: No) -> String {
    if path.is_empty() {
        return format!("nothing was done: {why}");
    }
    let places: Vec<String> = path.iter().map(|place| (place + 1).to_string()).collect();
    format!("nothing was done, because of operation {}: {why}", places.join("."))
}

fn session_words(refusal: SessionRefusal) -> &'static str {
    match refusal {
        SessionRefusal::SessionExpired => {
            "the cluster does not know this client id, or no longer, and nothing was done now; if \
             the write was asked for before, read what it was to change; then kvctl session open \
             gives another id, and another number begins anew"
        }
        SessionRefusal::AlreadyAcknowledged => {
            "this serial is too far below the newest one of its client id, and nothing was done \
             now; if the write was asked for before, read what it was to change"
        }
        SessionRefusal::WindowExceeded => {
            "the answers kept for this client id take too much room, and nothing was done; repeat \
             no earlier serials and use another id: kvctl session open"
        }
    }
}

fn no_quorum(endpoint: &str, last: Option<Refusal>) -> String {
    match last {
        Some(Refusal::Overloaded) => {
            format!("{endpoint} is overloaded, nothing was done; try again later")
        }
        Some(Refusal::Stopping) => {
            format!("{endpoint} is stopping, nothing was done; try another node with --endpoints")
        }
        Some(Refusal::Fenced) => format!(
            "the state of {endpoint} differs from the majority's and is being replaced, nothing \
             was done; ask another node with --endpoints"
        ),
        Some(Refusal::NoSpace) => {
            "the store takes all the memory it may, or no majority of the nodes has room on its \
             disk, nothing was done; see kvctl status, and delete or make room"
                .to_owned()
        }
        Some(Refusal::NotHandedOver) => {
            format!("nobody took over in time, {endpoint} says; who leads stays as it is")
        }
        Some(Refusal::NoLeader | Refusal::Unknown | Refusal::TooLarge) => format!(
            "{endpoint} finds no leader with a quorum, nothing was done; see who is up: kvctl \
             status"
        ),
        None => format!(
            "{endpoint} did not answer in time, nothing was done; see who is up: kvctl status"
        ),
    }
}
