//! Which messages are let in at all, before any rule looks at them.

use crate::consensus::message::{Envelope, Message};
use crate::consensus::raft::Raft;
use crate::consensus::ready::Notice;
use crate::entry::TERM_MAX;
use crate::teeth::is_removed;
use crate::types::Term;

/// The highest term that a message may bring about at once, and how far beyond it counting
/// elections may have led: a single wrong message cannot use up the terms there are.
const TERM_LEAP_MAX: Term = Term(TERM_MAX.0 / 2);
const TERM_STEP_MAX: u64 = 1 << 32;

impl Raft {
    /// Whether a message is for this node, from somebody who may send it, and not void.
    pub(crate) fn is_acceptable(&mut self, envelope: &Envelope) -> bool {
        let believable = self.believable_term();
        let (from, state) = (envelope.from, &mut self.state);
        if envelope.to != state.id() || believable < envelope.term {
            return false;
        }
        if from == state.id() && !is_removed("own-words-stay-inside") {
            return false;
        }
        let bound = state.bindings.get(&from);
        let is_foreign = bound.is_some_and(|bound| *bound != envelope.incarnation);
        if is_foreign && !is_removed("lost-directories-are-refused") {
            state.notices.push(Notice::ForeignIncarnation { peer: from });
            return false;
        }
        let asks_for_votes =
            matches!(envelope.message, Message::PreVote { .. } | Message::RequestVote { .. });
        // What is committed is final: a removal that is not may still be taken back, by the
        // very node that it concerns.
        let commit_index = state.log.commit_index();
        let was_removed = state.log.membership().at(commit_index).1.was_removed(from);
        if was_removed && !is_removed("former-members-are-ignored") {
            // Who only listens asks nobody for votes.
            if asks_for_votes || matches!(envelope.message, Message::AskEmpty) {
                state.send(from, Message::NotAMember);
            }
            return false;
        }
        // Who was added behind the end of this log may lead or campaign nevertheless, and so may
        // who is to be removed (Ongaro 2014 §4.1, §4.2.2).
        state.configuration().is_member(from)
            || asks_for_votes
            || envelope.message.is_from_leader()
            || self.leader() == Some(from)
            || is_removed("strangers-are-ignored")
    }

    fn believable_term(&self) -> Term {
        if is_removed("terms-leap-little") {
            return TERM_MAX;
        }
        TERM_LEAP_MAX.max(Term(self.state.term().0 + TERM_STEP_MAX)).min(TERM_MAX)
    }
}
