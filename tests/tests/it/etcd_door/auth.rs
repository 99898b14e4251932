//! Users and roles: the same on every node, and still there after a crash.

use raft_net::etcd::authpb::{Permission, UserAddOptions, permission};
use raft_net::etcd::etcdserverpb::{
    AuthEnableRequest, AuthEnableResponse, AuthRoleAddRequest, AuthRoleAddResponse,
    AuthRoleGetRequest, AuthRoleGetResponse, AuthRoleGrantPermissionRequest,
    AuthRoleGrantPermissionResponse, AuthStatusRequest, AuthStatusResponse, AuthUserAddRequest,
    AuthUserAddResponse, AuthUserGetRequest, AuthUserGetResponse, AuthUserGrantRoleRequest,
    AuthUserGrantRoleResponse, AuthUserListRequest, AuthUserListResponse, AuthenticateRequest,
    AuthenticateResponse,
};
use tonic::{Code, Request, Status};

use crate::harness::cluster::Cluster;
use crate::harness::etcd::Etcd;
use crate::harness::wait;

macro_rules! ask {
    ($etcd:expr, $method:literal, $request:expr => $answer:ty) => {
        $etcd.call::<_, $answer>(concat!("/etcdserverpb.Auth/", $method), $request).await
    };
}

fn said<R>(answer: Result<R, Status>) -> (Code, String) {
    answer.map(drop).map_err(|status| (status.code(), status.message().to_owned())).unwrap_err()
}

async fn auth_revision(etcd: &mut Etcd) -> u64 {
    let status = ask!(etcd, "AuthStatus", AuthStatusRequest {} => AuthStatusResponse).unwrap();
    assert!(!status.enabled);
    status.auth_revision
}

#[tokio::test]
async fn users_and_roles_are_the_same_on_every_node_and_outlive_it() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let mut one = Etcd::connect(cluster.address(1)).await;
    let mut two = Etcd::connect(cluster.address(2)).await;
    assert_eq!(auth_revision(&mut one).await, 1);
    let role = || "reader".to_owned();
    ask!(two, "RoleAdd", AuthRoleAddRequest { name: role() } => AuthRoleAddResponse).unwrap();
    let range = Permission {
        perm_type: permission::Type::Readwrite.into(),
        key: "a".into(),
        range_end: "b".into(),
    };
    let grant = |perm| AuthRoleGrantPermissionRequest { name: role(), perm };
    let method = "/etcdserverpb.Auth/RoleGrantPermission";
    let granted: AuthRoleGrantPermissionResponse =
        one.call(method, grant(Some(range.clone()))).await.unwrap();
    assert_eq!(granted.header.unwrap().revision, 1, "no revision of the keys is made");
    let nothing = one.call::<_, AuthRoleGrantPermissionResponse>(method, grant(None)).await;
    let not_given = "etcdserver: permission not given".to_owned();
    assert_eq!(said(nothing), (Code::InvalidArgument, not_given));
    let empty = Permission { range_end: "a".into(), ..range.clone() };
    let refused = one.call::<_, AuthRoleGrantPermissionResponse>(method, grant(Some(empty))).await;
    let no_range = "etcdserver: invalid auth management".to_owned();
    assert_eq!(said(refused), (Code::InvalidArgument, no_range));
    let add = |name: &str, no_password| AuthUserAddRequest {
        name: name.to_owned(),
        password: "secret".to_owned(),
        options: Some(UserAddOptions { no_password }),
        ..AuthUserAddRequest::default()
    };
    ask!(one, "UserAdd", add("ada", false) => AuthUserAddResponse).unwrap();
    ask!(two, "UserAdd", add("bob", true) => AuthUserAddResponse).unwrap();
    let nameless = ask!(two, "UserAdd", add("", true) => AuthUserAddResponse);
    assert_eq!(said(nameless).1, "etcdserver: user name is empty");
    // A write that its client names is carried out once.
    let session = cluster.kvctl(&["session", "open"]).await.stdout;
    for _ in 0..2 {
        let mut named = Request::new(add("eve", true));
        let name = format!("{}:1", session.trim()).parse().unwrap();
        named.metadata_mut().insert("kvorum-request-id", name);
        let added: Result<AuthUserAddResponse, _> =
            two.ask("/etcdserverpb.Auth/UserAdd", named).await;
        added.unwrap();
    }
    let to_ada = AuthUserGrantRoleRequest { user: "ada".to_owned(), role: role() };
    ask!(two, "UserGrantRole", to_ada => AuthUserGrantRoleResponse).unwrap();
    cluster.kill(3);
    cluster.revive(3);
    for id in cluster.ids() {
        let mut etcd = Etcd::connect(cluster.address(id)).await;
        let list = ask!(etcd, "UserList", AuthUserListRequest {} => AuthUserListResponse).unwrap();
        assert_eq!(list.users, ["ada", "bob", "eve"], "at node {id}");
        let ada = AuthUserGetRequest { name: "ada".to_owned() };
        let ada = ask!(etcd, "UserGet", ada => AuthUserGetResponse).unwrap();
        assert_eq!(ada.roles, [role()]);
        let reader = AuthRoleGetRequest { role: role() };
        let reader = ask!(etcd, "RoleGet", reader => AuthRoleGetResponse).unwrap();
        assert_eq!(reader.perm, std::slice::from_ref(&range));
        assert_eq!(auth_revision(&mut etcd).await, 7);
    }
    cluster.check_equal().await;
}

#[tokio::test]
async fn authentication_stays_off() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let mut etcd = Etcd::connect(cluster.address(1)).await;
    let enabled = ask!(etcd, "AuthEnable", AuthEnableRequest {} => AuthEnableResponse);
    let (code, why) = said(enabled);
    assert_eq!(code, Code::Unimplemented);
    assert!(why.starts_with("kvorum: ") && !why.contains('\n'), "{why}");
    let ada = AuthenticateRequest { name: "ada".to_owned(), password: "secret".to_owned() };
    let token = ask!(etcd, "Authenticate", ada => AuthenticateResponse);
    let off = "etcdserver: authentication is not enabled".to_owned();
    assert_eq!(said(token), (Code::FailedPrecondition, off));
    let long = AuthUserAddRequest {
        name: "ada".to_owned(),
        password: "x".repeat(73),
        ..AuthUserAddRequest::default()
    };
    let refused = ask!(etcd, "UserAdd", long => AuthUserAddResponse);
    assert_eq!(said(refused).1, "bcrypt: password length exceeds 72 bytes");
}
