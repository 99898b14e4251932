//! What etcd says when it does not do what was asked for: codes and texts that its clients
//! compare, letter by letter.
//!
//! Source: the public texts of etcd's `rpctypes`.

use kv_store::command::{LimitError, No};
use raft_core::configuration::ChangeRefusal;
use raft_core::replica::event::{Refusal, SessionRefusal};
use tonic::{Code, Status};

/// A refusal in etcd's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EtcdError {
    /// gRPC's code.
    pub(crate) code: Code,
    /// What clients compare.
    pub(crate) text: &'static str,
}

macro_rules! errors {
    ($($name:ident = $code:ident $text:literal;)*) => {
        $(pub(crate) const $name: EtcdError =
            EtcdError { code: Code::$code, text: $text };)*
    };
}

errors! {
    EMPTY_KEY = InvalidArgument "etcdserver: key is not provided";
    KEY_NOT_FOUND = InvalidArgument "etcdserver: key not found";
    VALUE_PROVIDED = InvalidArgument "etcdserver: value is provided";
    LEASE_PROVIDED = InvalidArgument "etcdserver: lease is provided";
    TOO_MANY_OPS = InvalidArgument "etcdserver: too many operations in txn request";
    DUPLICATE_KEY = InvalidArgument "etcdserver: duplicate key given in txn request";
    INVALID_SORT_OPTION = InvalidArgument "etcdserver: invalid sort option";
    COMPACTED = OutOfRange "etcdserver: mvcc: required revision has been compacted";
    FUTURE_REVISION = OutOfRange "etcdserver: mvcc: required revision is a future revision";
    NO_SPACE = ResourceExhausted "etcdserver: mvcc: database space exceeded";
    LEASE_NOT_FOUND = NotFound "etcdserver: requested lease not found";
    LEASE_EXISTS = FailedPrecondition "etcdserver: lease already exists";
    LEASE_TTL_TOO_LARGE = OutOfRange "etcdserver: too large lease TTL";
    PEER_URL_EXISTS = FailedPrecondition "etcdserver: Peer URLs already exists";
    MEMBER_NOT_ENOUGH_STARTED = FailedPrecondition
        "etcdserver: re-configuration failed due to not enough started members";
    MEMBER_BAD_URLS = InvalidArgument "etcdserver: given member URLs are invalid";
    MEMBER_NOT_FOUND = NotFound "etcdserver: member not found";
    MEMBER_NOT_LEARNER = FailedPrecondition
        "etcdserver: can only promote a learner member";
    LEARNER_NOT_READY = FailedPrecondition
        "etcdserver: can only promote a learner member which is in sync with leader";
    UNHEALTHY = Unavailable "etcdserver: unhealthy cluster";
    REQUEST_TOO_LARGE = InvalidArgument "etcdserver: request is too large";
    TOO_MANY_REQUESTS = ResourceExhausted "etcdserver: too many requests";
    NO_LEADER = Unavailable "etcdserver: no leader";
    NOT_LEADER = FailedPrecondition "etcdserver: not leader";
    BAD_LEADER_TRANSFEREE = FailedPrecondition "etcdserver: bad leader transferee";
    TIMEOUT = Unavailable "etcdserver: request timed out";
    TIMEOUT_LEADER_TRANSFER = Unavailable
        "etcdserver: request timed out, leader transfer took too long";
    STOPPED = Unavailable "etcdserver: server stopped";
    CORRUPT = DataLoss "etcdserver: corrupt cluster";
    WRONG_DOWNGRADE_VERSION = InvalidArgument "etcdserver: wrong downgrade target version format";
    INVALID_DOWNGRADE_TARGET = InvalidArgument "etcdserver: invalid downgrade target version";
    USER_NOT_FOUND = FailedPrecondition "etcdserver: user name not found";
    ROLE_NOT_FOUND = FailedPrecondition "etcdserver: role name not found";
    USER_EMPTY = InvalidArgument "etcdserver: user name is empty";
    USER_EXISTS = FailedPrecondition "etcdserver: user name already exists";
    ROLE_EMPTY = InvalidArgument "etcdserver: role name is empty";
    ROLE_EXISTS = FailedPrecondition "etcdserver: role name already exists";
    ROLE_NOT_GRANTED = FailedPrecondition "etcdserver: role is not granted to the user";
    PERMISSION_NOT_GIVEN = InvalidArgument "etcdserver: permission not given";
    PERMISSION_NOT_GRANTED = FailedPrecondition
        "etcdserver: permission is not granted to the role";
    INVALID_AUTH_MANAGEMENT = InvalidArgument "etcdserver: invalid auth management";
    AUTH_NOT_ENABLED = FailedPrecondition "etcdserver: authentication is not enabled";
    NO_DOWNGRADE = FailedPrecondition "etcdserver: no inflight downgrade job";
}

impl From<EtcdError> for Status {
    fn from(error: EtcdError) -> Self {
        Self::new(error.code, error.text)
    }
}

/// What the store decided against.
pub(crate) fn of_no(why: &No) -> Status {
    let error = match why {
        No::Compacted { .. } => COMPACTED,
        No::Future { .. } => FUTURE_REVISION,
        No::LeaseUnknown { .. } => LEASE_NOT_FOUND,
        No::LeaseExists { .. } => LEASE_EXISTS,
        No::KeyUnknown => KEY_NOT_FOUND,
        No::TooLong { .. } => REQUEST_TOO_LARGE,
        No::UserExists => USER_EXISTS,
        No::UserUnknown => USER_NOT_FOUND,
        No::RoleExists => ROLE_EXISTS,
        No::RoleUnknown => ROLE_NOT_FOUND,
        No::RoleNotGranted => ROLE_NOT_GRANTED,
        No::PermissionNotGranted => PERMISSION_NOT_GRANTED,
        // etcd has no limit here, and this is its word for room that is used up.
        No::AuthFull { .. } => NO_SPACE,
        // Of what etcd's clients can ask for nothing ends so.
        No::WrongType { .. }
        | No::NotANumber
        | No::Overflow
        | No::ValueTooLong { .. }
        | No::RestoreUnknown { .. }
        | No::PieceExpected { .. }
        | No::NotInTransaction => {
            return Status::internal(why.to_string());
        }
    };
    error.into()
}

/// What is beyond the limits of the node.
pub(crate) fn of_limit(error: &LimitError) -> EtcdError {
    match error {
        LimitError::KeyEmpty => EMPTY_KEY,
        LimitError::TtlTooLong { .. } | LimitError::TtlZero => LEASE_TTL_TOO_LARGE,
        LimitError::TooManyOperations(_)
        | LimitError::TooManyCompares(_)
        | LimitError::NestedTooDeep(_) => TOO_MANY_OPS,
        LimitError::KeyTooLong(_)
        | LimitError::ValueTooLong(_)
        | LimitError::TooManyRanges(_)
        | LimitError::NameTooLong(_)
        | LimitError::TooManyItems(_)
        | LimitError::TooManyLeases(_)
        | LimitError::CommandTooLong(_)
        | LimitError::NotInTransaction
        | LimitError::RevisionTooHigh
        | LimitError::WritesInQuery
        | LimitError::AuthNameTooLong(_) => REQUEST_TOO_LARGE,
        LimitError::AuthNameEmpty => USER_EMPTY,
    }
}

/// What was not decided.
pub(crate) fn of_refusal(refusal: Refusal) -> EtcdError {
    match refusal {
        Refusal::NoLeader => NO_LEADER,
        Refusal::Overloaded => TOO_MANY_REQUESTS,
        Refusal::TooLarge => REQUEST_TOO_LARGE,
        Refusal::Stopping => STOPPED,
        Refusal::NoSpace => NO_SPACE,
        Refusal::Fenced => CORRUPT,
        Refusal::NotHandedOver => TIMEOUT_LEADER_TRANSFER,
        // The write may or may not have taken effect, as with etcd.
        Refusal::Unknown => TIMEOUT,
    }
}

/// What the session rules decided about a request that its client has named.
pub(crate) fn of_session(refusal: SessionRefusal) -> Status {
    let why = match refusal {
        SessionRefusal::AlreadyAcknowledged => "it has been acknowledged, or named something else",
        SessionRefusal::WindowExceeded => "too many of its client are kept",
        SessionRefusal::SessionExpired => "its client is not known, or not any more",
    };
    Status::failed_precondition(format!("kvorum: the request id cannot be used: {why}"))
}

/// Why the members stay as they are.
pub(crate) fn of_change(refusal: ChangeRefusal) -> EtcdError {
    match refusal {
        ChangeRefusal::NotAMember(_) => MEMBER_NOT_FOUND,
        ChangeRefusal::NotALearner(_) | ChangeRefusal::NotAVoter(_) => MEMBER_NOT_LEARNER,
        ChangeRefusal::NotCaughtUp(_) => LEARNER_NOT_READY,
        ChangeRefusal::AddressTaken(_) => PEER_URL_EXISTS,
        ChangeRefusal::BadAddress => MEMBER_BAD_URLS,
        ChangeRefusal::NoVoterLeft | ChangeRefusal::QuorumUnreachable => MEMBER_NOT_ENOUGH_STARTED,
        ChangeRefusal::TooManyVoters | ChangeRefusal::TooManyMembers => TOO_MANY_REQUESTS,
        ChangeRefusal::InProgress | ChangeRefusal::Malformed | ChangeRefusal::Contradictory(_) => {
            UNHEALTHY
        }
    }
}
