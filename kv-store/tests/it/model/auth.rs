//! Users and roles of the model: rows that are searched from one end to the other.

use bytes::BytesMut;
use kv_store::command::{Access, Answer, AuthChange, AuthQuery, Name, No, Permission};

use super::{Model, encoded};

/// Everybody, and what everybody may do. The revision counts from 0.
#[derive(Default)]
pub(super) struct Auth {
    revision: u64,
    users: Vec<User>,
    roles: Vec<Role>,
}

struct User {
    name: String,
    roles: Vec<String>,
}

struct Role {
    name: String,
    permissions: Vec<(Access, Vec<u8>, Vec<u8>)>,
}

impl Auth {
    fn user(&mut self, name: &str) -> Result<&mut User, No> {
        self.users.iter_mut().find(|user| user.name == name).ok_or(No::UserUnknown)
    }

    fn role(&mut self, name: &str) -> Result<&mut Role, No> {
        self.roles.iter_mut().find(|role| role.name == name).ok_or(No::RoleUnknown)
    }

    /// Returns whether something has changed.
    fn change(&mut self, change: &AuthChange<'_>) -> Result<bool, No> {
        match *change {
            AuthChange::AddUser { name, password: _ } => {
                if self.user(name).is_ok() {
                    return Err(No::UserExists);
                }
                self.users.push(User { name: name.to_owned(), roles: Vec::new() });
            }
            AuthChange::DeleteUser { name } => {
                self.user(name)?;
                self.users.retain(|user| user.name != name);
            }
            // What hash a user has is asked for by nobody yet.
            AuthChange::SetPassword { name, password: _ } => drop(self.user(name)?),
            AuthChange::GrantRole { user, role } => {
                let is_role = role == "root" || self.role(role).is_ok();
                let user = self.user(user)?;
                if !is_role {
                    return Err(No::RoleUnknown);
                }
                if user.roles.iter().any(|other| other == role) {
                    return Ok(false);
                }
                user.roles.push(role.to_owned());
                user.roles.sort();
            }
            AuthChange::RevokeRole { user, role } => {
                let user = self.user(user)?;
                if !user.roles.iter().any(|other| other == role) {
                    return Err(No::RoleNotGranted);
                }
                user.roles.retain(|other| other != role);
            }
            AuthChange::AddRole { name } => {
                if self.role(name).is_ok() {
                    return Err(No::RoleExists);
                }
                self.roles.push(Role { name: name.to_owned(), permissions: Vec::new() });
            }
            AuthChange::DeleteRole { name } => {
                self.role(name)?;
                self.roles.retain(|role| role.name != name);
                self.users.iter_mut().for_each(|user| user.roles.retain(|other| other != name));
            }
            AuthChange::GrantPermission { role, permission } => {
                let Permission { access, key, range_end } = permission;
                let permissions = &mut self.role(role)?.permissions;
                match permissions.iter_mut().find(|(_, other, _)| key <= &other[..]) {
                    Some((old, same, end)) if same == key && end == range_end => *old = access,
                    _ => {
                        permissions.push((access, key.to_vec(), range_end.to_vec()));
                        permissions.sort_by(|one, other| one.1.cmp(&other.1));
                    }
                }
            }
            AuthChange::RevokePermission { role, key, range_end } => {
                let permissions = &mut self.role(role)?.permissions;
                let count = permissions.len();
                permissions.retain(|(_, other, end)| other != key || end != range_end);
                if permissions.len() == count {
                    return Err(No::PermissionNotGranted);
                }
            }
        }
        Ok(true)
    }
}

/// Names in their order.
fn sorted<'n>(names: impl Iterator<Item = &'n String>) -> Vec<&'n String> {
    let mut names: Vec<&String> = names.collect();
    names.sort();
    names
}

impl Model {
    pub(super) fn change_auth(&mut self, change: &AuthChange<'_>) -> BytesMut {
        match self.auth.change(change) {
            Ok(has_changed) => {
                self.auth.revision += u64::from(has_changed);
                encoded(&Answer::Done { revision: self.revision() })
            }
            Err(why) => self.no(why),
        }
    }

    pub(super) fn ask_auth(&self, query: &AuthQuery<'_>) -> BytesMut {
        let revision = self.so_far();
        let users = &self.auth.users;
        let names = |all: Vec<&String>| {
            let names = all.iter().map(|name| Name(name.as_bytes())).collect();
            encoded(&Answer::Names { revision, names })
        };
        match query {
            AuthQuery::Status => {
                let auth_revision = self.auth.revision + 1;
                encoded(&Answer::AuthStatus { revision, auth_revision })
            }
            AuthQuery::Users => names(sorted(users.iter().map(|user| &user.name))),
            AuthQuery::Roles => names(sorted(self.auth.roles.iter().map(|role| &role.name))),
            AuthQuery::RolesOf { user } => match users.iter().find(|it| it.name == *user) {
                Some(user) => names(user.roles.iter().collect()),
                None => self.no(No::UserUnknown),
            },
            AuthQuery::PermissionsOf { role: name } => {
                let Some(role) = self.auth.roles.iter().find(|it| it.name == *name) else {
                    return self.no(No::RoleUnknown);
                };
                let shown = |access, key, range_end| Permission { access, key, range_end };
                let permissions = match *name {
                    "root" => [shown(Access::ReadWrite, b"", b"\0")].into_iter().collect(),
                    _ => role.permissions.iter().map(|it| shown(it.0, &it.1, &it.2)).collect(),
                };
                encoded(&Answer::Permissions { revision, permissions })
            }
        }
    }
}
