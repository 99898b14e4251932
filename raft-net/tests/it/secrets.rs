//! Who is let in and who is not, with the reason that both ends see.

use actix::prelude::*;
use raft_core::types::Incarnation;
use raft_net::frame;
use raft_net::handshake::{Identity, judge, open_as_client};
use raft_net::preface::{Greeting, LinkClass, Nonce, Preface, Proof, Refused, Role, Why};
use raft_net::stream::Transport;
use raft_net::switchboard::{Listen, Switchboard};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::probe::{Fact, Node, accept_by_hand, greeting, identity, node, soon};

/// What n2 says to n1 when everything is right.
fn good() -> Preface {
    Preface {
        role: Role::Peer { link: LinkClass::Control },
        node_id: 2,
        to: 1,
        incarnation: 1002,
        nonce: Nonce([3; 16]),
        ..Preface::client(77)
    }
}

#[test]
fn a_preface_is_judged_by_every_field() {
    let with_secret = identity(1, Some("long and random"));
    let without = identity(1, None);
    let table: [(&str, &Identity, Preface, Result<u16, Why>); 15] = [
        ("a peer", &without, good(), Ok(1)),
        ("no expectation", &without, Preface { to: 0, ..good() }, Ok(1)),
        ("a later peer", &without, Preface { version_max: 7, ..good() }, Ok(1)),
        (
            "too late",
            &without,
            Preface { version_min: 2, version_max: 3, ..good() },
            Err(Why::NoCommonVersion),
        ),
        (
            "too early",
            &without,
            Preface { version_min: 0, version_max: 0, ..good() },
            Err(Why::NoCommonVersion),
        ),
        ("another cluster", &without, Preface { cluster_id: 78, ..good() }, Err(Why::WrongCluster)),
        ("no cluster", &without, Preface { cluster_id: 0, ..good() }, Err(Why::WrongCluster)),
        ("another node", &without, Preface { to: 3, ..good() }, Err(Why::WrongNode)),
        ("the same id", &without, Preface { node_id: 1, ..good() }, Err(Why::TwoNodesWithOneId)),
        (
            "itself",
            &without,
            Preface { node_id: 1, incarnation: 1001, to: 3, ..good() },
            Err(Why::WrongNode),
        ),
        ("no id", &without, Preface { node_id: 0, ..good() }, Err(Why::Malformed)),
        ("a secret", &with_secret, Preface { secret: true, ..good() }, Ok(1)),
        ("no secret", &with_secret, good(), Err(Why::SecretMissing)),
        (
            "a secret too many",
            &without,
            Preface { secret: true, ..good() },
            Err(Why::SecretMissing),
        ),
        ("a client", &with_secret, Preface::client(0), Ok(1)),
    ];
    for (name, identity, preface, expected) in table {
        let found = judge(identity, &preface);
        assert_eq!(found.clone().map_err(|refused| refused.why), expected, "{name}");
        if let Err(Refused { text, .. }) = found {
            assert!(!text.ends_with('.') && !text.contains('\n'), "{text}");
        }
    }
    let wrong = judge(&without, &Preface::client(78)).unwrap_err();
    assert_eq!(wrong.why, Why::WrongCluster);
}

async fn listen(switchboard: &Addr<Switchboard>, identity: Identity, address: &str) -> Node {
    let transport = Transport::Memory(switchboard.clone().recipient());
    let node = Node::start(identity, transport, None);
    let to = node.listener.clone().recipient();
    switchboard.send(Listen { address: address.to_owned(), to }).await.unwrap();
    node
}

/// Whether n2, being `two`, gets a control link to n1, being `one`. Time is simulated, so
/// "not" means not within many attempts.
async fn is_let_in(one: Identity, two: Identity) -> bool {
    let switchboard = Switchboard::default().start();
    let mut one = listen(&switchboard, one, "one").await;
    let two = listen(&switchboard, two, "two").await;
    two.set_peers(&[(1, "one")]);
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    let mut connected = false;
    while let Some(fact) = one.seen.try_next() {
        connected |= matches!(fact, Fact::Connected(it) if it.peer == node(2));
    }
    one.stop();
    two.stop();
    connected
}

#[actix_rt::test]
async fn links_stand_between_nodes_that_agree_and_between_no_others() {
    tokio::time::pause();
    assert!(is_let_in(identity(1, None), identity(2, None)).await);
    assert!(is_let_in(identity(1, Some("s")), identity(2, Some("s"))).await);
    assert!(!is_let_in(identity(1, Some("s")), identity(2, Some("t"))).await);
    assert!(!is_let_in(identity(1, Some("s")), identity(2, None)).await);
    assert!(!is_let_in(identity(1, None), identity(2, Some("s"))).await);
    let elsewhere = Identity { cluster_id: 78, ..identity(2, None) };
    assert!(!is_let_in(identity(1, None), elsewhere).await);
    let twin = Identity { incarnation: Incarnation(5), ..identity(1, None) };
    assert!(!is_let_in(identity(1, None), twin).await);
    assert!(!is_let_in(identity(3, None), identity(2, None)).await);
}

/// A peer with a wrong secret that does not stop by itself: the node must find out.
#[actix_rt::test]
async fn a_wrong_proof_and_a_reflected_one_are_refused() {
    let switchboard = Switchboard::default().start();
    let mut one = listen(&switchboard, identity(1, Some("right")), "one").await;
    for reflects in [false, true] {
        let transport = Transport::Memory(switchboard.clone().recipient());
        let mut stream = transport.connect("one").await.unwrap();
        let mut output = bytes::BytesMut::new();
        Preface { secret: true, ..good() }.open(&mut output);
        stream.write_all(&output).await.unwrap();
        let Greeting::Welcome(welcome) = greeting(&mut stream).await else { panic!("no welcome") };
        assert_eq!(welcome.proof.len(), 32);
        let proof = Proof { proof: if reflects { welcome.proof } else { vec![1; 32] } };
        let mut output = bytes::BytesMut::new();
        frame::put_named(&mut output, 4096, &proof).unwrap();
        stream.write_all(&output).await.unwrap();
        let Greeting::Refused(refused) = greeting(&mut stream).await else { panic!("let in") };
        assert_eq!(refused.why, Why::SecretWrong);
        assert!(one.seen.try_next().is_none());
    }
}

/// Who cannot prove that it holds the secret does not get to see a proof of it.
#[actix_rt::test]
async fn a_node_tells_an_impostor_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for proof in [&[][..], &[1], &[1; 32]] {
        let one = Node::start(identity(1, Some("right")), Transport::Tcp, None);
        one.set_peers(&[(2, &address)]);
        for _ in 0..2 {
            let (_, mut stream) = accept_by_hand(&listener, proof).await;
            let mut heard = Vec::new();
            soon("end", stream.read_to_end(&mut heard)).await.unwrap();
            assert!(heard.is_empty(), "{heard:x?}");
        }
        one.stop();
    }
}

#[test]
fn a_secret_is_not_printed() {
    let shown = format!("{:?}", identity(1, Some("hush")));
    assert!(!shown.contains("hush") && shown.contains("hidden"), "{shown}");
}

#[actix_rt::test]
async fn a_client_of_another_cluster_is_told_so() {
    let switchboard = Switchboard::default().start();
    let _one = listen(&switchboard, identity(1, None), "one").await;
    let transport = Transport::Memory(switchboard.recipient());
    let mut stream = transport.connect("one").await.unwrap();
    let error = soon("answer", open_as_client(&mut stream, 78)).await.unwrap_err().to_string();
    assert!(error.contains("n1 belongs to cluster 000000000000004d"), "{error}");
}
