//! Requests whose answer is not the state machine's: a change of the members, a hand-over.

use std::collections::BTreeMap;

use raft_core::configuration::Decision;
use raft_net::client_protocol::Reply;

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// A change of the members: the answer is a decision.
    Members,
    /// A hand-over: the answer has no bytes.
    Leadership,
}

/// The requests of one connection that are answered otherwise, by their ids.
#[derive(Debug, Default)]
pub(super) struct Unlike(BTreeMap<u64, About>);

impl Unlike {
    pub(super) fn begin(&mut self, request: u64, about: About) {
        self.0.insert(request, about);
    }

    /// The reply to a request that was answered with these bytes, after which it is done with.
    pub(super) fn reply<'a>(&mut self, request: u64, answer: &'a [u8]) -> Reply<'a> {
        match self.end(request) {
            None => Reply::Answer(answer),
            Some(About::Leadership) => Reply::Transferred,
            Some(About::Members) => match Decision::decode(answer) {
                Some(Decision::Made { added, .. }) => {
                    Reply::Changed(added.iter().map(|id| id.number()).collect())
                }
                Some(Decision::Refused(refusal)) => Reply::ChangeRefused(refusal.into()),
                // The serial stands for something else, whose answer this is.
                None => Reply::Malformed(
                    "the session has used this serial for a command; give each request its own"
                        .into(),
                ),
            },
        }
    }

    /// Notes that a request has ended in another way.
    pub(super) fn end(&mut self, request: u64) -> Option<About> {
        if self.0.is_empty() { None } else { self.0.remove(&request) }
    }
}
