//! Users, roles and what these may do: changes and questions.
//!
//! The words and the rules are those of etcd's service Auth. Nobody is kept from anything by them
//! yet; they are kept so that they can be.

use serde::{Deserialize, Serialize};

use super::limits::{Excess, LimitError, Limits};

/// The longest name of a user or a role, and the longest hash of a password. A longer one is
/// refused. Units: bytes.
pub const AUTH_NAME_BYTES_MAX: usize = 1_024;

/// What all users and roles may take together, by lengths and fixed shares. A change that would
/// make it more is answered by [`No::AuthFull`](super::No::AuthFull). Units: bytes.
pub const AUTH_BYTES_MAX: usize = 1024 * 1024;

/// The role that may do everything; it can be granted without having been added.
pub const ROOT_ROLE: &str = "root";

/// A change of users and roles. Each that changes something, and each new password, raises the
/// auth revision by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthChange<'a> {
    /// Adds a user. Answered by [`Answer::Done`](super::Answer::Done), or by
    /// [`No::UserExists`](super::No::UserExists).
    #[serde(rename = "u")]
    AddUser {
        /// Its name.
        #[serde(borrow)]
        name: &'a str,
        /// The hash of its password, in whatever form the door has made it; `None` for a user
        /// that cannot have one.
        #[serde(with = "serde_bytes", borrow)]
        password: Option<&'a [u8]>,
    },
    /// Removes a user. Answered by `Done`, or by [`No::UserUnknown`](super::No::UserUnknown).
    #[serde(rename = "U")]
    DeleteUser {
        /// Its name.
        #[serde(borrow)]
        name: &'a str,
    },
    /// Gives a user another password; one that cannot have any keeps none. Answered as
    /// `DeleteUser`.
    #[serde(rename = "p")]
    SetPassword {
        /// The user.
        #[serde(borrow)]
        name: &'a str,
        /// The hash.
        #[serde(with = "serde_bytes", borrow)]
        password: &'a [u8],
    },
    /// Gives a user a role; one that it has already is no change. Answered by `Done`, or by
    /// [`No::UserUnknown`](super::No::UserUnknown) or
    /// [`No::RoleUnknown`](super::No::RoleUnknown).
    #[serde(rename = "g")]
    GrantRole {
        /// The user.
        #[serde(borrow)]
        user: &'a str,
        /// The role, or [`ROOT_ROLE`].
        #[serde(borrow)]
        role: &'a str,
    },
    /// Takes a role from a user. Answered by `Done`, or by
    /// [`No::UserUnknown`](super::No::UserUnknown) or
    /// [`No::RoleNotGranted`](super::No::RoleNotGranted).
    #[serde(rename = "r")]
    RevokeRole {
        /// The user.
        #[serde(borrow)]
        user: &'a str,
        /// The role.
        #[serde(borrow)]
        role: &'a str,
    },
    /// Adds a role. Answered by `Done`, or by [`No::RoleExists`](super::No::RoleExists).
    #[serde(rename = "o")]
    AddRole {
        /// Its name.
        #[serde(borrow)]
        name: &'a str,
    },
    /// Removes a role, also from all users. Answered by `Done`, or by
    /// [`No::RoleUnknown`](super::No::RoleUnknown).
    #[serde(rename = "O")]
    DeleteRole {
        /// Its name.
        #[serde(borrow)]
        name: &'a str,
    },
    /// Lets a role do something, in place of the same range's permission if that is the first of
    /// its key. Answered as `DeleteRole`.
    #[serde(rename = "m")]
    GrantPermission {
        /// The role.
        #[serde(borrow)]
        role: &'a str,
        /// What it may do.
        #[serde(borrow)]
        permission: Permission<'a>,
    },
    /// Takes what a role may do with a range. Answered by `Done`, or by
    /// [`No::RoleUnknown`](super::No::RoleUnknown) or
    /// [`No::PermissionNotGranted`](super::No::PermissionNotGranted).
    #[serde(rename = "M")]
    RevokePermission {
        /// The role.
        #[serde(borrow)]
        role: &'a str,
        /// As in [`Permission`].
        #[serde(with = "serde_bytes", borrow)]
        key: &'a [u8],
        /// As in [`Permission`].
        #[serde(with = "serde_bytes", borrow)]
        range_end: &'a [u8],
    },
}

/// What may be done with a range (etcd: `authpb.Permission`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission<'a> {
    /// What.
    pub access: Access,
    /// The first key.
    #[serde(with = "serde_bytes", borrow)]
    pub key: &'a [u8],
    /// Where the range ends, as etcd writes it: empty for one key, a zero byte for no end.
    #[serde(with = "serde_bytes", borrow)]
    pub range_end: &'a [u8],
}

/// What may be done (etcd: `authpb.Permission.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Reading.
    #[serde(rename = "r")]
    Read = 0,
    /// Writing.
    #[serde(rename = "w")]
    Write = 1,
    /// Both.
    #[serde(rename = "b")]
    ReadWrite = 2,
}

/// A question about users and roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthQuery<'a> {
    /// How often they changed. Answered by [`Answer::AuthStatus`](super::Answer::AuthStatus).
    #[serde(rename = "s")]
    Status,
    /// The names of all users, in order. Answered by [`Answer::Names`](super::Answer::Names).
    #[serde(rename = "u")]
    Users,
    /// The names of all roles, in order. Answered as `Users`.
    #[serde(rename = "o")]
    Roles,
    /// The roles of a user, in order. Answered as `Users`, or by
    /// [`No::UserUnknown`](super::No::UserUnknown).
    #[serde(rename = "g")]
    RolesOf {
        /// The user.
        #[serde(borrow)]
        user: &'a str,
    },
    /// What a role may do, in the order of the keys. Answered by
    /// [`Answer::Permissions`](super::Answer::Permissions), or by
    /// [`No::RoleUnknown`](super::No::RoleUnknown).
    #[serde(rename = "m")]
    PermissionsOf {
        /// The role.
        #[serde(borrow)]
        role: &'a str,
    },
}

impl AuthChange<'_> {
    /// Whether it may add to what is kept.
    pub(super) fn grows(&self) -> bool {
        match self {
            Self::AddUser { .. }
            | Self::SetPassword { .. }
            | Self::GrantRole { .. }
            | Self::AddRole { .. }
            | Self::GrantPermission { .. } => true,
            Self::DeleteUser { .. }
            | Self::RevokeRole { .. }
            | Self::DeleteRole { .. }
            | Self::RevokePermission { .. } => false,
        }
    }

    pub(super) fn check(&self, limits: &Limits) -> Result<(), LimitError> {
        match self {
            Self::AddUser { name, password } => {
                check_new(name)?;
                password.map_or(Ok(()), check_length)
            }
            Self::SetPassword { name, password } => {
                check_length(name.as_bytes())?;
                check_length(password)
            }
            Self::AddRole { name } => check_new(name),
            Self::DeleteUser { name } | Self::DeleteRole { name } => check_length(name.as_bytes()),
            Self::GrantRole { user, role } | Self::RevokeRole { user, role } => {
                check_length(user.as_bytes())?;
                check_length(role.as_bytes())
            }
            Self::GrantPermission { role, permission: Permission { key, range_end, .. } }
            | Self::RevokePermission { role, key, range_end } => {
                check_length(role.as_bytes())?;
                limits.check_bound(key)?;
                limits.check_bound(range_end)
            }
        }
    }
}

impl AuthQuery<'_> {
    pub(super) fn check(&self) -> Result<(), LimitError> {
        match self {
            Self::Status | Self::Users | Self::Roles => Ok(()),
            Self::RolesOf { user: name } | Self::PermissionsOf { role: name } => {
                check_length(name.as_bytes())
            }
        }
    }
}

fn check_new(name: &str) -> Result<(), LimitError> {
    if name.is_empty() {
        return Err(LimitError::AuthNameEmpty);
    }
    check_length(name.as_bytes())
}

fn check_length(name: &[u8]) -> Result<(), LimitError> {
    if AUTH_NAME_BYTES_MAX < name.len() {
        let (found, limit) = (name.len(), AUTH_NAME_BYTES_MAX);
        return Err(LimitError::AuthNameTooLong(Excess { found, limit }));
    }
    Ok(())
}
