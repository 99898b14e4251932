//! Users, roles and what these may do (etcd: auth store).
//!
//! The tables are small and are shared with a snapshot that is being read: whoever changes them
//! then copies them once, a megabyte at most.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, BytesMut};

use crate::command::{
    AUTH_BYTES_MAX, Access, Answer, AuthChange, AuthQuery, List, Name, No, Permission, ROOT_ROLE,
};
use crate::lasting::At;
use crate::rolling_hash::AuthEffect;
use crate::store::Store;

/// The auth revision of tables that nobody has changed, as etcd counts.
const REVISION_FIRST: u64 = 1;

/// What a user, a role, a role of a user or a permission takes in memory beside its bytes, about.
/// Units: bytes.
const SHARE_BYTES: usize = 64;

/// What the role that may do everything is shown as.
const EVERYTHING: Permission<'static> =
    Permission { access: Access::ReadWrite, key: b"", range_end: b"\0" };

/// All users and roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Auth {
    /// Raised by each change.
    pub(crate) revision: u64,
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) roles: BTreeMap<String, Role>,
    cost_bytes: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct User {
    /// The hash; `None` for a user that cannot have a password.
    pub(crate) password: Option<Vec<u8>>,
    /// In order. Each is there, or the one that may do everything.
    pub(crate) roles: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Role {
    /// In the order of their keys; of one key in that in which they were granted.
    pub(crate) permissions: Vec<Granted>,
}

/// As [`Permission`], kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) access: Access,
    pub(crate) key: Vec<u8>,
    pub(crate) range_end: Vec<u8>,
}

impl Default for Auth {
    fn default() -> Self {
        let (users, roles) = (BTreeMap::new(), BTreeMap::new());
        Self { revision: REVISION_FIRST, users, roles, cost_bytes: 0 }
    }
}

impl User {
    fn cost_bytes(&self, name: &str) -> usize {
        let roles = self.roles.iter().map(|role| SHARE_BYTES + role.len());
        let password = self.password.as_ref().map_or(0, Vec::len);
        SHARE_BYTES + name.len() + password + roles.sum::<usize>()
    }
}

impl Role {
    fn cost_bytes(&self, name: &str) -> usize {
        let permissions = self.permissions.iter();
        let costs = permissions.map(|it| SHARE_BYTES + it.key.len() + it.range_end.len());
        SHARE_BYTES + name.len() + costs.sum::<usize>()
    }
}

/// What a change leads to.
enum Outcome {
    /// A user is this now, or is gone.
    User(String, Option<User>),
    /// A role is this now.
    Role(String, Role),
    /// A role is gone, and so it is from these users.
    RoleGone(String, Vec<(String, User)>),
    /// Everything is so already.
    Same,
}

impl Auth {
    /// What all of it takes in memory, about. Units: bytes.
    pub(crate) fn cost_bytes(&self) -> u64 {
        self.cost_bytes as u64
    }

    /// Puts a user in the place of one that may be there.
    pub(crate) fn set_user(&mut self, name: String, user: User) {
        self.remove_user(&name);
        self.cost_bytes += user.cost_bytes(&name);
        self.users.insert(name, user);
    }

    fn remove_user(&mut self, name: &str) {
        if let Some(user) = self.users.remove(name) {
            self.cost_bytes -= user.cost_bytes(name);
        }
    }

    /// Puts a role in the place of one that may be there.
    pub(crate) fn set_role(&mut self, name: String, role: Role) {
        self.remove_role(&name);
        self.cost_bytes += role.cost_bytes(&name);
        self.roles.insert(name, role);
    }

    fn remove_role(&mut self, name: &str) {
        if let Some(role) = self.roles.remove(name) {
            self.cost_bytes -= role.cost_bytes(name);
        }
    }

    /// Adds a role behind all others, before there is a user. Returns whether it can stand there.
    pub(crate) fn load_role(&mut self, name: String, role: Role) -> bool {
        let is_next = self.roles.last_key_value().is_none_or(|(last, _)| *last < name);
        let is_sorted = role.permissions.is_sorted_by_key(|it| &it.key);
        let fits = is_next && is_sorted && self.users.is_empty();
        if fits {
            self.set_role(name, role);
        }
        fits
    }

    /// Adds a user behind all others. Returns whether it can stand there.
    pub(crate) fn load_user(&mut self, name: String, user: User) -> bool {
        let is_next = self.users.last_key_value().is_none_or(|(last, _)| *last < name);
        let is_sorted = user.roles.is_sorted_by(|one, other| one < other);
        let fits = is_next && is_sorted && user.roles.iter().all(|role| self.has_role(role));
        if fits {
            self.set_user(name, user);
        }
        fits
    }

    fn user(&self, name: &str) -> Result<&User, No> {
        self.users.get(name).ok_or(No::UserUnknown)
    }

    fn role(&self, name: &str) -> Result<&Role, No> {
        self.roles.get(name).ok_or(No::RoleUnknown)
    }

    /// Whether a user may have a role of this name.
    pub(crate) fn has_role(&self, name: &str) -> bool {
        name == ROOT_ROLE || self.roles.contains_key(name)
    }

    /// What a change would lead to.
    fn outcome(&self, change: &AuthChange<'_>) -> Result<Outcome, No> {
        Ok(match *change {
            AuthChange::AddUser { name, password } => {
                if self.users.contains_key(name) {
                    return Err(No::UserExists);
                }
                let password = password.map(<[u8]>::to_vec);
                Outcome::User(name.to_owned(), Some(User { password, roles: Vec::new() }))
            }
            AuthChange::DeleteUser { name } => {
                self.user(name)?;
                Outcome::User(name.to_owned(), None)
            }
            AuthChange::SetPassword { name, password } => {
                let mut user = self.user(name)?.clone();
                user.password = user.password.map(|_| password.to_vec());
                Outcome::User(name.to_owned(), Some(user))
            }
            AuthChange::GrantRole { user: name, role } => {
                let mut user = self.user(name)?.clone();
                if !self.has_role(role) {
                    return Err(No::RoleUnknown);
                }
                match user.roles.binary_search_by(|other| other.as_str().cmp(role)) {
                    Ok(_) => return Ok(Outcome::Same),
                    Err(place) => user.roles.insert(place, role.to_owned()),
                }
                Outcome::User(name.to_owned(), Some(user))
            }
            AuthChange::RevokeRole { user: name, role } => {
                let user = self.user(name)?;
                let user = user.without(role).ok_or(No::RoleNotGranted)?;
                Outcome::User(name.to_owned(), Some(user))
            }
            AuthChange::AddRole { name } => {
                if self.roles.contains_key(name) {
                    return Err(No::RoleExists);
                }
                Outcome::Role(name.to_owned(), Role::default())
            }
            AuthChange::DeleteRole { name } => {
                self.role(name)?;
                let users = self.users.iter();
                let users = users.filter_map(|(user, it)| Some((user.clone(), it.without(name)?)));
                Outcome::RoleGone(name.to_owned(), users.collect())
            }
            AuthChange::GrantPermission { role: name, permission } => {
                let mut role = self.role(name)?.clone();
                role.grant(&permission);
                Outcome::Role(name.to_owned(), role)
            }
            AuthChange::RevokePermission { role: name, key, range_end } => {
                let mut role = self.role(name)?.clone();
                let before = role.permissions.len();
                role.permissions.retain(|it| it.key != key || it.range_end != range_end);
                if role.permissions.len() == before {
                    return Err(No::PermissionNotGranted);
                }
                Outcome::Role(name.to_owned(), role)
            }
        })
    }

    /// What all of it would take. Units: bytes.
    fn cost_bytes_with(&self, outcome: &Outcome) -> usize {
        let (before, after) = match outcome {
            Outcome::User(name, Some(user)) => {
                let before = self.users.get(name).map_or(0, |user| user.cost_bytes(name));
                (before, user.cost_bytes(name))
            }
            Outcome::Role(name, role) => {
                let before = self.roles.get(name).map_or(0, |role| role.cost_bytes(name));
                (before, role.cost_bytes(name))
            }
            Outcome::User(_, None) | Outcome::RoleGone(..) | Outcome::Same => (0, 0),
        };
        self.cost_bytes - before + after
    }
}

impl User {
    /// Appends what a snapshot has behind the name.
    pub(crate) fn encode(&self, to: &mut BytesMut) {
        to.put_u8(u8::from(self.password.is_some()));
        put(to, self.password.as_deref().unwrap_or_default());
        put_count(to, self.roles.len());
        self.roles.iter().for_each(|role| put(to, role.as_bytes()));
    }

    /// Reads what `encode` wrote; `None` if it is cut or impossible.
    pub(crate) fn decode(from: &mut &[u8]) -> Option<Self> {
        let has_password = match from.try_get_u8().ok()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let password = take(from)?;
        if !has_password && !password.is_empty() {
            return None;
        }
        let password = has_password.then_some(password);
        let count = from.try_get_u32_le().ok()?;
        let roles = (0..count).map(|_| String::from_utf8(take(from)?).ok());
        Some(Self { password, roles: roles.collect::<Option<_>>()? })
    }

    /// The user without a role; `None` if it has not got it.
    fn without(&self, role: &str) -> Option<Self> {
        let mut user = self.clone();
        user.roles.retain(|other| other != role);
        (user.roles.len() < self.roles.len()).then_some(user)
    }
}

impl Role {
    /// Appends what a snapshot has behind the name.
    pub(crate) fn encode(&self, to: &mut BytesMut) {
        put_count(to, self.permissions.len());
        for Granted { access, key, range_end } in &self.permissions {
            to.put_u8(*access as u8);
            put(to, key);
            put(to, range_end);
        }
    }

    /// Reads what `encode` wrote; `None` if it is cut or impossible.
    pub(crate) fn decode(from: &mut &[u8]) -> Option<Self> {
        let count = from.try_get_u32_le().ok()?;
        let permissions = (0..count).map(|_| {
            let access = match from.try_get_u8().ok()? {
                0 => Access::Read,
                1 => Access::Write,
                2 => Access::ReadWrite,
                _ => return None,
            };
            Some(Granted { access, key: take(from)?, range_end: take(from)? })
        });
        Some(Self { permissions: permissions.collect::<Option<_>>()? })
    }

    /// Of the permissions of a key only the first is looked at for one of the same range, as
    /// etcd does; another one of the same range stands beside it then.
    fn grant(&mut self, permission: &Permission<'_>) {
        let Permission { access, key, range_end } = *permission;
        let first = self.permissions.partition_point(|other| other.key.as_slice() < key);
        match self.permissions.get_mut(first) {
            Some(same) if same.key == key && same.range_end == range_end => same.access = access,
            Some(_) | None => {
                let (key, range_end) = (key.to_vec(), range_end.to_vec());
                let behind = self.permissions.partition_point(|other| other.key <= key);
                self.permissions.insert(behind, Granted { access, key, range_end });
            }
        }
    }

    fn shown(&self) -> List<Permission<'_>> {
        let permissions = self.permissions.iter();
        permissions
            .map(|Granted { access, key, range_end }| Permission {
                access: *access,
                key,
                range_end,
            })
            .collect()
    }
}

fn put_count(to: &mut BytesMut, count: usize) {
    to.put_u32_le(u32::try_from(count).expect("they are bounded by bytes"));
}

fn put(to: &mut BytesMut, bytes: &[u8]) {
    put_count(to, bytes.len());
    to.extend_from_slice(bytes);
}

fn take(from: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(from.try_get_u32_le().ok()?).ok()?;
    from.split_off(..length).map(<[u8]>::to_vec)
}

fn names<'s>(all: impl Iterator<Item = &'s String>) -> List<Name<'s>> {
    all.map(|name| Name(name.as_bytes())).collect()
}

impl Store {
    /// Changes users and roles.
    pub(crate) fn change_auth(&mut self, at: At, change: &AuthChange<'_>) -> Answer<'static> {
        let revision = self.revision;
        let outcome = match self.auth.outcome(change) {
            Ok(Outcome::Same) => return Answer::Done { revision },
            Ok(outcome) if self.auth.cost_bytes_with(&outcome) <= AUTH_BYTES_MAX => outcome,
            Ok(_) => {
                let why = No::AuthFull { limit: AUTH_BYTES_MAX as u64 };
                return Answer::No { revision, why };
            }
            Err(why) => return Answer::No { revision, why },
        };
        let (auth, hash) = (Arc::make_mut(&mut self.auth), &mut self.hash);
        auth.revision += 1;
        let at = (at.index, auth.revision);
        match outcome {
            Outcome::User(name, Some(user)) => {
                hash.auth(at, AuthEffect::User(&name, &user));
                auth.set_user(name, user);
            }
            Outcome::User(name, None) => {
                hash.auth(at, AuthEffect::UserGone(&name));
                auth.remove_user(&name);
            }
            Outcome::Role(name, role) => {
                hash.auth(at, AuthEffect::Role(&name, &role));
                auth.set_role(name, role);
            }
            Outcome::RoleGone(name, users) => {
                hash.auth(at, AuthEffect::RoleGone(&name));
                auth.remove_role(&name);
                for (name, user) in users {
                    hash.auth(at, AuthEffect::User(&name, &user));
                    auth.set_user(name, user);
                }
            }
            Outcome::Same => {}
        }
        Answer::Done { revision }
    }

    /// Answers a question about users and roles.
    pub(crate) fn ask_auth(&self, query: &AuthQuery<'_>) -> Answer<'_> {
        let revision = self.revision_so_far();
        let found = match query {
            AuthQuery::Status => {
                return Answer::AuthStatus { revision, auth_revision: self.auth.revision };
            }
            AuthQuery::Users => {
                return Answer::Names { revision, names: names(self.auth.users.keys()) };
            }
            AuthQuery::Roles => {
                return Answer::Names { revision, names: names(self.auth.roles.keys()) };
            }
            AuthQuery::RolesOf { user } => self
                .auth
                .user(user)
                .map(|user| Answer::Names { revision, names: names(user.roles.iter()) }),
            AuthQuery::PermissionsOf { role } => self.auth.role(role).map(|found| {
                let everything = || [EVERYTHING].into_iter().collect();
                let permissions = if *role == ROOT_ROLE { everything() } else { found.shown() };
                Answer::Permissions { revision, permissions }
            }),
        };
        found.unwrap_or_else(|why| Answer::No { revision, why })
    }
}
