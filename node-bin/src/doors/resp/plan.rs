//! What a command asks of the store, and how the answer is told.

use std::borrow::Cow;

use bytes::BytesMut;
use kv_store::command::{
    Collection, Command, Compare, KeyRange, Kind, List, Operation, Query, Relation, Target,
    Transaction,
};
use raft_core::entry::SessionStamp;
use raft_net::resp::{Protocol, ReplyWriter};

use super::RespOptions;
use super::cursors::Cursors;
use super::shape::Shape;

/// What a client is told instead of an answer, its code first.
pub(super) type Refused = Cow<'static, str>;

pub(super) const SYNTAX_ERROR: &str = "ERR syntax error";

pub(super) const WRONG_TYPE: &str =
    "WRONGTYPE Operation against a key holding the wrong kind of value";

/// What a client has said of itself.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: u64,
    pub(super) address: String,
    pub(super) protocol: Protocol,
    pub(super) name: Vec<u8>,
    pub(super) library: [Vec<u8>; 2],
    /// The id of the next write.
    pub(super) request_id: Option<SessionStamp>,
    pub(super) replies: Replies,
}

/// Which replies a client wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Replies {
    /// All.
    #[default]
    All,
    /// None.
    None,
    /// Not the one to the command that is being carried out, and that to the next.
    NotTheNext,
    /// Not the one to the command that is being carried out.
    NotThis,
}

impl Replies {
    /// What it is when the next command begins.
    pub(super) fn at_next_command(self) -> Self {
        match self {
            Self::NotTheNext => Self::NotThis,
            Self::NotThis => Self::All,
            Self::All | Self::None => self,
        }
    }
}

/// What plans are made with.
pub(super) struct Making<'m, 'w> {
    pub(super) client: &'m mut Client,
    pub(super) cursors: &'w Cursors,
    pub(super) options: RespOptions,
    /// Units: milliseconds since 1970.
    pub(super) now_ms: u64,
    /// For lots of reads.
    pub(super) seed: u64,
    /// Where this node listens.
    pub(super) node_address: &'m str,
}

/// What a command comes to.
pub(super) struct Plan<'w> {
    /// What is asked; nothing if the shape says all there is to say.
    pub(super) operation: Option<Operation<'w>>,
    pub(super) is_write: bool,
    pub(super) shape: Shape,
}

pub(super) type Made<'w> = Result<Plan<'w>, Refused>;

impl<'w> Plan<'w> {
    pub(super) fn write(command: Command<'w>, shape: Shape) -> Self {
        Self { operation: Some(Operation::Write(command)), is_write: true, shape }
    }

    pub(super) fn read(query: Query<'w>, shape: Shape) -> Self {
        Self { operation: Some(Operation::Read(query)), is_write: false, shape }
    }

    /// Several questions about one state.
    pub(super) fn reads(queries: impl IntoIterator<Item = Query<'w>>, shape: Shape) -> Self {
        let then = queries.into_iter().map(Operation::Read).collect();
        let operation = Some(both(List::new(), then, List::new()));
        Self { operation, is_write: false, shape }
    }

    /// Several changes at once.
    pub(super) fn writes(commands: impl IntoIterator<Item = Command<'w>>, shape: Shape) -> Self {
        let then = commands.into_iter().map(Operation::Write).collect();
        Self { operation: Some(both(List::new(), then, List::new())), is_write: true, shape }
    }

    /// A write that depends on what is there.
    pub(super) fn choice(operation: Operation<'w>, shape: Shape) -> Self {
        Self { operation: Some(operation), is_write: true, shape }
    }

    /// What can be said at once.
    pub(super) fn said(protocol: Protocol, say: impl FnOnce(&mut ReplyWriter<'_>)) -> Self {
        let mut out = BytesMut::new();
        say(&mut ReplyWriter::new(&mut out, protocol));
        Self { operation: None, is_write: false, shape: Shape::Said(out.freeze()) }
    }
}

fn both<'w>(
    when: List<Compare<'w>>,
    then: List<Operation<'w>>,
    otherwise: List<Operation<'w>>,
) -> Operation<'w> {
    Operation::Nested(Box::new(Transaction { when, then, otherwise }))
}

/// One thing if a compare holds, and another if it does not.
pub(super) fn either<'w>(
    when: impl IntoIterator<Item = Compare<'w>>,
    then: impl IntoIterator<Item = Operation<'w>>,
    otherwise: impl IntoIterator<Item = Operation<'w>>,
) -> Operation<'w> {
    both(when.into_iter().collect(), then.into_iter().collect(), otherwise.into_iter().collect())
}

/// Whether a key exists, or does not.
pub(super) fn exists(key: &[u8], exists: bool) -> Compare<'_> {
    compare(key, Relation::Equal, Target::Exists(exists))
}

/// Whether a key exists and is something else.
pub(super) fn is_other_than(key: &[u8], kind: Kind) -> Compare<'_> {
    compare(key, Relation::NotEqual, Target::Kind(kind))
}

/// Whether a field or member exists, or does not.
pub(super) fn has<'w>(key: &'w [u8], of: Collection, name: &'w [u8], has: bool) -> Compare<'w> {
    compare(key, Relation::Equal, Target::Has { of, name, has })
}

pub(super) fn compare<'w>(key: &'w [u8], relation: Relation, target: Target<'w>) -> Compare<'w> {
    Compare { range: KeyRange::single(key), relation, target }
}

/// A key with its value.
pub(super) fn get(key: &[u8]) -> Query<'_> {
    Query::Range { range: KeyRange::single(key), limit: 1 }
}

/// A key without its value.
pub(super) fn look(key: &[u8]) -> Query<'_> {
    Query::Keys { range: KeyRange::single(key), limit: 1 }
}

/// The removal of a key.
pub(super) fn delete(key: &[u8]) -> Command<'_> {
    Command::Delete { ranges: std::iter::once(KeyRange::single(key)).collect() }
}

/// Whether a word is this one, in whatever case.
pub(super) fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

/// How Redis says that there are too few or too many words.
pub(super) fn wrong_count(command: &str) -> Refused {
    format!("ERR wrong number of arguments for '{command}' command").into()
}
