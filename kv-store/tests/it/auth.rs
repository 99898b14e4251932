//! Users and roles: what is decided about them, how much of them there may be, and that a
//! snapshot has them.

use bytes::BytesMut;
use kv_store::command::{
    AUTH_BYTES_MAX, AUTH_NAME_BYTES_MAX, Access, Answer, AuthChange, AuthQuery, Command, Limits,
    No, Permission, Query,
};
use raft_core::replica::state_machine::StateMachine as _;

use crate::node::Node;
use crate::random::snapshot;

fn change(node: &mut Node, change: AuthChange<'_>) -> Result<(), No> {
    let answer = node.apply(&Command::Auth { change });
    match Answer::decode(&answer).expect("the store writes answers") {
        Answer::Done { revision: 1 } => Ok(()),
        Answer::No { revision: 1, why } => Err(why),
        other => panic!("{change:?} is answered by {other:?}"),
    }
}

fn names(node: &Node, query: AuthQuery<'_>) -> Vec<String> {
    let bytes = node.ask(&Query::Auth { query });
    let Ok(Answer::Names { names, .. }) = Answer::decode(&bytes) else { panic!("{query:?}") };
    names.iter().map(|name| String::from_utf8(name.0.to_vec()).expect("text")).collect()
}

fn auth_revision(node: &Node) -> u64 {
    let bytes = node.ask(&Query::Auth { query: AuthQuery::Status });
    let Ok(Answer::AuthStatus { auth_revision, .. }) = Answer::decode(&bytes) else { panic!() };
    auth_revision
}

fn add_user(name: &str) -> AuthChange<'_> {
    AuthChange::AddUser { name, password: Some(b"hash") }
}

#[test]
fn the_roles_of_a_user_are_those_that_there_are() {
    let mut node = Node::default();
    let grant = |role| AuthChange::GrantRole { user: "ada", role };
    assert_eq!(change(&mut node, grant("root")), Err(No::UserUnknown));
    assert_eq!(change(&mut node, add_user("ada")), Ok(()));
    assert_eq!(change(&mut node, add_user("ada")), Err(No::UserExists));
    assert_eq!(change(&mut node, grant("reader")), Err(No::RoleUnknown));
    assert_eq!(change(&mut node, grant("root")), Ok(()));
    assert_eq!(change(&mut node, AuthChange::AddRole { name: "reader" }), Ok(()));
    assert_eq!(change(&mut node, grant("reader")), Ok(()));
    let before = auth_revision(&node);
    let hash = node.store.state_hash();
    assert_eq!(change(&mut node, grant("reader")), Ok(()), "it is granted already");
    assert_eq!((auth_revision(&node), node.store.state_hash()), (before, hash));
    assert_eq!(names(&node, AuthQuery::RolesOf { user: "ada" }), ["reader", "root"]);
    assert_eq!(change(&mut node, AuthChange::DeleteRole { name: "reader" }), Ok(()));
    assert_eq!(names(&node, AuthQuery::RolesOf { user: "ada" }), ["root"]);
    assert_eq!((auth_revision(&node), before), (6, 5));
    assert_ne!(node.store.state_hash(), hash, "every change is part of the hash");
    let revoke = AuthChange::RevokeRole { user: "ada", role: "reader" };
    assert_eq!(change(&mut node, revoke), Err(No::RoleNotGranted));
    assert_eq!(node.store.revision(), 1, "no revision is about users and roles");
}

#[test]
fn a_snapshot_has_users_and_roles_as_they_were_when_it_was_begun() {
    let mut node = Node::default();
    let permission = Permission { access: Access::Write, key: b"k", range_end: b"l" };
    for made in [
        AuthChange::AddRole { name: "w" },
        AuthChange::GrantPermission { role: "w", permission },
        add_user("ada"),
        AuthChange::AddUser { name: "bob", password: None },
        AuthChange::GrantRole { user: "bob", role: "w" },
    ] {
        change(&mut node, made).unwrap();
    }
    let expected = snapshot(&mut node.store.clone(), 1 << 20);
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let put = |bytes: &[u8]| [&length(bytes)[..], bytes].concat();
    let one = 1u32.to_le_bytes();
    let written = [
        &[&[9][..], &6u64.to_le_bytes()].concat(),
        &[&[10][..], &put(b"w"), &one, &[1], &put(b"k"), &put(b"l")].concat(),
        &[&[11][..], &put(b"ada"), &[1], &put(b"hash"), &[0; 4]].concat(),
        &[&[11][..], &put(b"bob"), &[0], &put(b""), &one, &put(b"w")].concat(),
    ]
    .map(Vec::as_slice)
    .concat();
    let whole = expected.concat();
    assert_eq!(whole[26..whole.len() - 33], written);

    node.store.pin();
    change(&mut node, AuthChange::DeleteRole { name: "w" }).unwrap();
    let mut part = BytesMut::new();
    assert!(!node.store.read_pinned(1 << 20, &mut part));
    node.store.unpin();
    assert_eq!([part], expected[..], "a change meanwhile leaves no trace");
    let mut store = node.store.empty();
    expected.iter().try_for_each(|part| store.load(part)).unwrap();
    store.finish_load().unwrap();
    let mut loaded = node.with_store(store);
    assert_eq!(names(&loaded, AuthQuery::Users), ["ada", "bob"]);
    assert_eq!(snapshot(&mut loaded.store.clone(), 1 << 20), expected);
    change(&mut loaded, AuthChange::DeleteRole { name: "w" }).unwrap();
    assert_eq!(names(&loaded, AuthQuery::RolesOf { user: "bob" }), names(&node, AuthQuery::Roles));
    assert_eq!(loaded.store.live_bytes(), node.store.live_bytes());
    // What no store has written is refused and does not panic.
    for at in 26..whole.len() - 33 {
        for cut in [&whole[..at], &[&whole[..at], &whole[at + 1..]].concat()] {
            let mut store = node.store.empty();
            assert!(store.load(cut).and_then(|()| store.finish_load()).is_err(), "{at}");
        }
    }
}

#[test]
fn users_and_roles_have_room_for_so_much_and_no_more() {
    let mut node = Node::default();
    let before = node.store.live_bytes();
    let hash = [b'h'; AUTH_NAME_BYTES_MAX];
    let name = |number: usize| format!("{number:0>1000}");
    let mut count = 0;
    let refused = loop {
        let added = AuthChange::AddUser { name: &name(count), password: Some(&hash) };
        match change(&mut node, added) {
            Ok(()) => count += 1,
            Err(why) => break why,
        }
    };
    let limit = AUTH_BYTES_MAX as u64;
    assert_eq!(refused, No::AuthFull { limit });
    let taken = node.store.live_bytes() - before;
    assert!((limit - 3_000..=limit).contains(&taken), "{count} users take {taken} bytes");
    assert_eq!(names(&node, AuthQuery::Users).len(), count);
    let shorter = AuthChange::SetPassword { name: &name(0), password: b"h" };
    change(&mut node, shorter).expect("who takes less is let in");
    change(&mut node, AuthChange::DeleteUser { name: &name(1) }).unwrap();
    change(&mut node, AuthChange::AddUser { name: "new", password: Some(&hash) }).unwrap();
    (0..count).filter(|it| *it != 1).for_each(|number| {
        change(&mut node, AuthChange::DeleteUser { name: &name(number) }).unwrap();
    });
    change(&mut node, AuthChange::DeleteUser { name: "new" }).unwrap();
    assert_eq!(node.store.live_bytes(), before);
}

#[test]
fn names_are_checked_before_they_are_proposed() {
    let long = "x".repeat(AUTH_NAME_BYTES_MAX + 1);
    let said = |change: AuthChange<'_>| {
        let command = Command::Auth { change };
        command.check(&Limits::default()).map_err(|error| error.to_string())
    };
    let too_long = Err("name or hash of 1025 bytes is above the limit of 1024 bytes".to_owned());
    let nameless = Err("a user or a role needs a name".to_owned());
    assert_eq!(said(add_user("")), nameless);
    assert_eq!(said(AuthChange::AddRole { name: "" }), nameless);
    assert_eq!(said(add_user("ada")), Ok(()));
    let password = Some(long.as_bytes());
    for change in [
        add_user(&long),
        AuthChange::AddUser { name: "ada", password },
        AuthChange::SetPassword { name: "ada", password: long.as_bytes() },
        AuthChange::AddRole { name: &long },
        AuthChange::DeleteUser { name: &long },
        AuthChange::GrantRole { user: "ada", role: &long },
        AuthChange::RevokePermission { role: &long, key: b"", range_end: b"" },
    ] {
        assert_eq!(said(change), too_long, "{change:?}");
    }
    let query = Query::Auth { query: AuthQuery::RolesOf { user: &long } };
    assert!(query.check(&Limits::default()).is_err());
    let key = vec![b'k'; 70_000];
    let permission = Permission { access: Access::Read, key: &key, range_end: b"" };
    let refused = said(AuthChange::GrantPermission { role: "r", permission }).unwrap_err();
    assert_eq!(refused, "key of 70000 bytes is above the limit of 65537 bytes");
}
