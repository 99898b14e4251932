//! Is there an order of all operations that explains every answer and respects real time?
//!
//! The search is that of Wing and Gong (1993) over a list of calls and returns, with the memo of
//! Lowe (2017): a set of operations that have taken effect, together with the state that they
//! left, is looked at once. A history falls into parts, one for each key, and is linearizable if
//! and only if each of them is (Horn and Kroening 2015).
//!
//! What makes it fast beyond that, and why it loses nothing:
//!
//! * A read that fits takes effect at once and without alternatives: an order in which it comes
//!   later could as well have it here.
//! * An operation of unknown outcome is only tried where it makes something possible that is
//!   not possible without it: one that nobody sees may as well never have happened. Where guesses
//!   say which of them took effect, those are tried first, and all sets of them only after that.
//! * Of two ways to the same state with the same answered operations, the one that has used up
//!   a part of the other's unknown ones can do all that the other can.
//! * Of unknown operations that ask the same, the one that was called first takes effect first:
//!   whatever another one can do later, it can do then.
//!
//! The search may be exponential all the same, so it has a budget; a history that it cannot
//! decide within it is `Unknown`, and whoever asked counts that as a failure.

mod counter;
mod hash;
mod history;
mod memo;
mod model;
mod register;
mod search;
mod set;
mod timeline;

use std::fmt;

pub use self::counter::{Counter, CounterAnswer, CounterOperation};
pub use self::hash::{Hash, HashAnswer, HashOperation};
pub use self::history::{History, Operation, Outcome};
pub use self::model::Model;
pub use self::register::{Register, RegisterAnswer, RegisterOperation};
use self::search::{Found, Search};
pub use self::set::{Set, SetAnswer, SetOperation};

/// What is known of a history.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<K> {
    /// There is an order that explains every answer.
    Linearizable,
    /// There is none.
    Illegal(Violation<K>),
    /// The budget was used up in the part of this key. To be treated as a failure: a checker
    /// that gives up has shown nothing.
    Unknown {
        /// The key.
        key: K,
    },
}

/// Where a history goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation<K> {
    /// The key whose operations fit no order.
    pub key: K,
    /// How many answered operations the longest beginning of an order has.
    pub explained: usize,
    /// How many answered operations there are.
    pub answered: usize,
    /// The operation that had returned at the end of that beginning and fitted nowhere: its
    /// place among those of the key in the order of calls.
    pub stuck: usize,
    /// That operation, for people.
    pub operation: String,
}

impl<K: fmt::Debug> fmt::Display for Violation<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, explained, answered, stuck, operation } = self;
        write!(
            f,
            "no order of the operations on {key:?} explains their answers: after {explained} of \
             {answered}, nothing explains the {stuck}th, {operation}"
        )
    }
}

/// Decides whether a history is linearizable.
///
/// Units: a step is one application of an operation to a state, about 50 ns; `steps_max` is
/// for all keys together. Whoever has a limit in time divides it by that.
pub fn check<K: Ord + Clone, M: Model>(history: &History<K, M>, steps_max: u64) -> Verdict<K> {
    let mut steps_left = steps_max;
    for (key, operations) in history.parts() {
        match Search::<M>::new(operations, &mut steps_left).run() {
            Found::Order => {}
            Found::UsedUp => return Verdict::Unknown { key: key.clone() },
            Found::NoOrder { explained, answered, stuck } => {
                let operation = operations[stuck].to_string();
                let key = key.clone();
                return Verdict::Illegal(Violation { key, explained, answered, stuck, operation });
            }
        }
    }
    Verdict::Linearizable
}
