//! The service Auth: users, roles and what these may do, which are kept while authentication
//! cannot be switched on.

use kv_store::command::{Access, Answer, AuthChange, AuthQuery, Command, Name, Permission, Query};
use raft_core::entry::SessionStamp;
use raft_net::etcd::authpb;
use raft_net::etcd::etcdserverpb::{
    AuthDisableRequest, AuthDisableResponse, AuthEnableRequest, AuthEnableResponse,
    AuthRoleAddRequest, AuthRoleAddResponse, AuthRoleDeleteRequest, AuthRoleDeleteResponse,
    AuthRoleGetRequest, AuthRoleGetResponse, AuthRoleGrantPermissionRequest,
    AuthRoleGrantPermissionResponse, AuthRoleListRequest, AuthRoleListResponse,
    AuthRoleRevokePermissionRequest, AuthRoleRevokePermissionResponse, AuthStatusRequest,
    AuthStatusResponse, AuthUserAddRequest, AuthUserAddResponse, AuthUserChangePasswordRequest,
    AuthUserChangePasswordResponse, AuthUserDeleteRequest, AuthUserDeleteResponse,
    AuthUserGetRequest, AuthUserGetResponse, AuthUserGrantRoleRequest, AuthUserGrantRoleResponse,
    AuthUserListRequest, AuthUserListResponse, AuthUserRevokeRoleRequest,
    AuthUserRevokeRoleResponse, AuthenticateRequest, AuthenticateResponse, ResponseHeader,
};
use tonic::Status;

use super::error;
use super::keys::{self, Said, signed, unlike};
use super::kv::revision_said;
use super::node::Behind;
use super::passwords;

type Header = Option<ResponseHeader>;

/// The names of users or roles.
fn told_names(names: &[Name<'_>]) -> Vec<String> {
    names.iter().map(|name| String::from_utf8_lossy(name.0).into_owned()).collect()
}

/// Whether a permission is for any key at all.
fn is_range(key: &[u8], range_end: &[u8]) -> bool {
    !key.is_empty() && (range_end.is_empty() || range_end == b"\0" || key < range_end)
}

fn told_permission(permission: &Permission<'_>) -> authpb::Permission {
    let Permission { access, key, range_end } = *permission;
    let kind = match access {
        Access::Read => authpb::permission::Type::Read,
        Access::Write => authpb::permission::Type::Write,
        Access::ReadWrite => authpb::permission::Type::Readwrite,
    };
    authpb::Permission {
        perm_type: kind.into(),
        key: key.to_vec().into(),
        range_end: range_end.to_vec().into(),
    }
}

impl Behind {
    async fn change_auth(
        &self,
        change: AuthChange<'_>,
        session: SessionStamp,
    ) -> Result<Header, Status> {
        let said = self.write(keys::encode(&Command::Auth { change })?, session).await?;
        Ok(self.header(revision_said(&said)?, said.term))
    }

    async fn ask_auth(&self, query: AuthQuery<'_>) -> Result<Said, Status> {
        self.read(&Query::Auth { query }, false).await
    }

    async fn names(&self, query: AuthQuery<'_>) -> Result<(Header, Vec<String>), Status> {
        let said = self.ask_auth(query).await?;
        let answer = said.answer()?;
        let Answer::Names { revision, names } = &answer else { return Err(unlike(&answer)) };
        Ok((self.header(signed(*revision), said.term), told_names(names)))
    }

    pub(super) async fn auth_status(
        &self,
        _: AuthStatusRequest,
    ) -> Result<AuthStatusResponse, Status> {
        let said = self.ask_auth(AuthQuery::Status).await?;
        let Answer::AuthStatus { revision, auth_revision } = said.answer()? else {
            return Err(unlike(&said.answer()?));
        };
        let header = self.header(signed(revision), said.term);
        Ok(AuthStatusResponse { header, enabled: false, auth_revision })
    }

    pub(super) async fn auth_enable(
        &self,
        _: AuthEnableRequest,
    ) -> Result<AuthEnableResponse, Status> {
        Err(Status::unimplemented("kvorum: authentication cannot be switched on yet"))
    }

    /// It is off.
    pub(super) async fn auth_disable(
        &self,
        _: AuthDisableRequest,
    ) -> Result<AuthDisableResponse, Status> {
        let state = self.state().await?;
        Ok(AuthDisableResponse { header: self.header(signed(state.revision), state.term) })
    }

    pub(super) async fn authenticate(
        &self,
        _: AuthenticateRequest,
    ) -> Result<AuthenticateResponse, Status> {
        Err(error::AUTH_NOT_ENABLED.into())
    }

    /// A hash that the client has made is not looked at, as with etcd.
    pub(super) async fn user_add(
        &self,
        request: AuthUserAddRequest,
        session: SessionStamp,
    ) -> Result<AuthUserAddResponse, Status> {
        let AuthUserAddRequest { name, password, options, hashed_password: _ } = request;
        if name.is_empty() {
            return Err(error::USER_EMPTY.into());
        }
        let hash = match options.is_some_and(|options| options.no_password) {
            true => None,
            false => Some(passwords::hash(&self.hashing, password).await?),
        };
        let change = AuthChange::AddUser { name: &name, password: hash.as_deref() };
        Ok(AuthUserAddResponse { header: self.change_auth(change, session).await? })
    }

    pub(super) async fn user_get(
        &self,
        AuthUserGetRequest { name }: AuthUserGetRequest,
    ) -> Result<AuthUserGetResponse, Status> {
        let (header, roles) = self.names(AuthQuery::RolesOf { user: &name }).await?;
        Ok(AuthUserGetResponse { header, roles })
    }

    pub(super) async fn user_list(
        &self,
        _: AuthUserListRequest,
    ) -> Result<AuthUserListResponse, Status> {
        let (header, users) = self.names(AuthQuery::Users).await?;
        Ok(AuthUserListResponse { header, users })
    }

    pub(super) async fn user_delete(
        &self,
        AuthUserDeleteRequest { name }: AuthUserDeleteRequest,
        session: SessionStamp,
    ) -> Result<AuthUserDeleteResponse, Status> {
        let change = AuthChange::DeleteUser { name: &name };
        Ok(AuthUserDeleteResponse { header: self.change_auth(change, session).await? })
    }

    pub(super) async fn user_change_password(
        &self,
        request: AuthUserChangePasswordRequest,
        session: SessionStamp,
    ) -> Result<AuthUserChangePasswordResponse, Status> {
        let AuthUserChangePasswordRequest { name, password, hashed_password: _ } = request;
        let hash = passwords::hash(&self.hashing, password).await?;
        let change = AuthChange::SetPassword { name: &name, password: &hash };
        Ok(AuthUserChangePasswordResponse { header: self.change_auth(change, session).await? })
    }

    pub(super) async fn user_grant_role(
        &self,
        AuthUserGrantRoleRequest { user, role }: AuthUserGrantRoleRequest,
        session: SessionStamp,
    ) -> Result<AuthUserGrantRoleResponse, Status> {
        let change = AuthChange::GrantRole { user: &user, role: &role };
        Ok(AuthUserGrantRoleResponse { header: self.change_auth(change, session).await? })
    }

    pub(super) async fn user_revoke_role(
        &self,
        AuthUserRevokeRoleRequest { name, role }: AuthUserRevokeRoleRequest,
        session: SessionStamp,
    ) -> Result<AuthUserRevokeRoleResponse, Status> {
        let change = AuthChange::RevokeRole { user: &name, role: &role };
        Ok(AuthUserRevokeRoleResponse { header: self.change_auth(change, session).await? })
    }

    pub(super) async fn role_add(
        &self,
        AuthRoleAddRequest { name }: AuthRoleAddRequest,
        session: SessionStamp,
    ) -> Result<AuthRoleAddResponse, Status> {
        if name.is_empty() {
            return Err(error::ROLE_EMPTY.into());
        }
        let change = AuthChange::AddRole { name: &name };
        Ok(AuthRoleAddResponse { header: self.change_auth(change, session).await? })
    }

    pub(super) async fn role_get(
        &self,
        AuthRoleGetRequest { role }: AuthRoleGetRequest,
    ) -> Result<AuthRoleGetResponse, Status> {
        let said = self.ask_auth(AuthQuery::PermissionsOf { role: &role }).await?;
        let answer = said.answer()?;
        let Answer::Permissions { revision, permissions } = &answer else {
            return Err(unlike(&answer));
        };
        let header = self.header(signed(*revision), said.term);
        let perm = permissions.iter().map(told_permission).collect();
        Ok(AuthRoleGetResponse { header, perm })
    }

    pub(super) async fn role_list(
        &self,
        _: AuthRoleListRequest,
    ) -> Result<AuthRoleListResponse, Status> {
        let (header, roles) = self.names(AuthQuery::Roles).await?;
        Ok(AuthRoleListResponse { header, roles })
    }

    pub(super) async fn role_delete(
        &self,
        AuthRoleDeleteRequest { role }: AuthRoleDeleteRequest,
        session: SessionStamp,
    ) -> Result<AuthRoleDeleteResponse, Status> {
        let change = AuthChange::DeleteRole { name: &role };
        Ok(AuthRoleDeleteResponse { header: self.change_auth(change, session).await? })
    }

    pub(super) async fn role_grant_permission(
        &self,
        request: AuthRoleGrantPermissionRequest,
        session: SessionStamp,
    ) -> Result<AuthRoleGrantPermissionResponse, Status> {
        let AuthRoleGrantPermissionRequest { name, perm } = request;
        let Some(perm) = perm else { return Err(error::PERMISSION_NOT_GIVEN.into()) };
        if !is_range(&perm.key, &perm.range_end) {
            return Err(error::INVALID_AUTH_MANAGEMENT.into());
        }
        let access = match authpb::permission::Type::try_from(perm.perm_type) {
            Ok(authpb::permission::Type::Read) => Access::Read,
            Ok(authpb::permission::Type::Write) => Access::Write,
            Ok(authpb::permission::Type::Readwrite) => Access::ReadWrite,
            Err(_) => return Err(error::INVALID_AUTH_MANAGEMENT.into()),
        };
        let permission = Permission { access, key: &perm.key, range_end: &perm.range_end };
        let change = AuthChange::GrantPermission { role: &name, permission };
        Ok(AuthRoleGrantPermissionResponse { header: self.change_auth(change, session).await? })
    }

    pub(super) async fn role_revoke_permission(
        &self,
        request: AuthRoleRevokePermissionRequest,
        session: SessionStamp,
    ) -> Result<AuthRoleRevokePermissionResponse, Status> {
        let AuthRoleRevokePermissionRequest { role, key, range_end } = request;
        let change = AuthChange::RevokePermission { role: &role, key: &key, range_end: &range_end };
        Ok(AuthRoleRevokePermissionResponse { header: self.change_auth(change, session).await? })
    }
}
