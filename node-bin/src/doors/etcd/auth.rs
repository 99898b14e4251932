//! The service Auth, while authentication cannot be switched on: there is nobody, and nothing
//! that anybody may.

use raft_net::etcd::etcdserverpb::ResponseHeader;
use raft_net::etcd::etcdserverpb::{
    AuthDisableRequest, AuthDisableResponse, AuthEnableRequest, AuthEnableResponse,
    AuthRoleGetRequest, AuthRoleGetResponse, AuthRoleListRequest, AuthRoleListResponse,
    AuthStatusRequest, AuthStatusResponse, AuthUserGetRequest, AuthUserGetResponse,
    AuthUserListRequest, AuthUserListResponse, AuthenticateRequest, AuthenticateResponse,
};
use tonic::Status;

use super::error;
use super::keys::signed;
use super::node::Behind;

/// What counts the changes of users and roles begins at one.
const AUTH_REVISION: u64 = 1;

impl Behind {
    async fn header_now(&self) -> Result<Option<ResponseHeader>, Status> {
        let state = self.state().await?;
        Ok(self.header(signed(state.revision), state.term))
    }

    pub(super) async fn auth_status(
        &self,
        _: AuthStatusRequest,
    ) -> Result<AuthStatusResponse, Status> {
        let header = self.header_now().await?;
        Ok(AuthStatusResponse { header, enabled: false, auth_revision: AUTH_REVISION })
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
        Ok(AuthDisableResponse { header: self.header_now().await? })
    }

    pub(super) async fn authenticate(
        &self,
        _: AuthenticateRequest,
    ) -> Result<AuthenticateResponse, Status> {
        Err(error::AUTH_NOT_ENABLED.into())
    }

    pub(super) async fn user_list(
        &self,
        _: AuthUserListRequest,
    ) -> Result<AuthUserListResponse, Status> {
        Ok(AuthUserListResponse { header: self.header_now().await?, users: Vec::new() })
    }

    pub(super) async fn user_get(
        &self,
        _: AuthUserGetRequest,
    ) -> Result<AuthUserGetResponse, Status> {
        Err(error::USER_NOT_FOUND.into())
    }

    pub(super) async fn role_list(
        &self,
        _: AuthRoleListRequest,
    ) -> Result<AuthRoleListResponse, Status> {
        Ok(AuthRoleListResponse { header: self.header_now().await?, roles: Vec::new() })
    }

    pub(super) async fn role_get(
        &self,
        _: AuthRoleGetRequest,
    ) -> Result<AuthRoleGetResponse, Status> {
        Err(error::ROLE_NOT_FOUND.into())
    }
}
