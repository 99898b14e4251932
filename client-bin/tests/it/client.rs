//! The library: retries, what is known after a deadline, and which endpoint is asked.

use std::time::Duration;

use kvorum_client::{Client, ClientError, KeyRange, Options};
use raft_core::replica::event::{Refusal, SessionRefusal};

use crate::fake::{Act, Door, Seen, World, dead_address};

async fn connect(endpoints: &[&String], timeout_ms: u64) -> Result<Client, ClientError> {
    let endpoints = endpoints.iter().map(|&endpoint| endpoint.clone()).collect();
    Client::connect(endpoints, Options { timeout: Duration::from_millis(timeout_ms) }).await
}

/// The nodes that saw a write, if all attempts carried one client id and serial 1.
fn attempts_of_serial_1(world: &World) -> Vec<u64> {
    let writes = world.writes();
    let same =
        |seen: &Seen| (seen.session.client, seen.session.serial) == (writes[0].session.client, 1);
    assert!(writes.iter().all(same), "{writes:?}");
    writes.iter().map(|seen| seen.node_id).collect()
}

#[tokio::test]
async fn what_was_written_is_read_and_removed() {
    let world = World::default();
    let client = connect(&[&world.node(1, &[])], 5_000).await.unwrap();
    for (revision, key) in [(2, "a/1"), (3, "a/2"), (4, "a/3"), (5, "b")] {
        assert_eq!(client.put(key.as_bytes(), b"v").await, Ok(revision));
    }
    let found = client.get(b"a/2").await.unwrap().unwrap();
    assert_eq!((&found.key[..], &found.value[..], found.mod_revision), (&b"a/2"[..], &b"v"[..], 3));
    assert_eq!(client.get(b"a").await, Ok(None));

    let (mut pages, mut keys) = (client.range(KeyRange::prefix(b"a/")), Vec::new());
    while let Some(page) = pages.next().await.unwrap() {
        keys.push(page.kvs.iter().map(|kv| kv.key.to_vec()).collect::<Vec<_>>());
    }
    assert_eq!(keys, [vec![b"a/1".to_vec(), b"a/2".to_vec()], vec![b"a/3".to_vec()]]);

    let deleted = client.delete(&[KeyRange::prefix(b"a/"), KeyRange::single(b"x")]).await.unwrap();
    assert_eq!((deleted.count, deleted.revision), (3, 6));
    let serials: Vec<_> =
        world.writes().iter().map(|s| (s.session.serial, s.session.acknowledged)).collect();
    assert_eq!(serials, [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4)]);
    assert_eq!(world.connections(), 1);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_takes_effect_once_through_another_node() {
    for act in [Act::LoseAnswer, Act::HangUp, Act::Refuse(Refusal::Unknown)] {
        let world = World::default();
        let (a, b) = (world.node(1, &[act]), world.node(2, &[]));
        let client = connect(&[&a, &b], 5_000).await.unwrap();
        assert_eq!(client.put(b"k", b"v").await, Ok(2));
        assert_eq!(attempts_of_serial_1(&world), [1, 2]);
        assert_eq!(world.revision(), 1);
    }
}

#[tokio::test]
async fn a_refused_write_is_tried_again_at_the_only_node_there_is() {
    let world = World::default();
    let refuse = Act::Refuse(Refusal::NoLeader);
    let overloaded = Act::Refuse(Refusal::Overloaded);
    let client = connect(&[&world.node(1, &[refuse.clone(), refuse, overloaded])], 5_000).await;
    assert_eq!(client.unwrap().put(b"k", b"v").await, Ok(2));
    assert_eq!(attempts_of_serial_1(&world), [1, 1, 1, 1]);
    assert_eq!(world.connections(), 1);
}

#[tokio::test]
async fn a_silent_node_is_left_for_another() {
    let world = World::default();
    let (a, b) = (world.stubborn(1, Act::Ignore), world.node(2, &[]));
    let client = connect(&[&a, &b], 10_000).await.unwrap();
    let (put, got) = tokio::join!(client.put(b"k", b"v"), client.get(b"other"));
    assert_eq!((put, got), (Ok(2), Ok(None)));
    assert_eq!(attempts_of_serial_1(&world), [1, 2]);
}

#[tokio::test]
async fn after_the_deadline_a_write_that_may_have_taken_effect_is_unknown() {
    for act in [Act::LoseAnswer, Act::HangUp, Act::Ignore, Act::Refuse(Refusal::Unknown)] {
        let world = World::default();
        let client = connect(&[&world.stubborn(1, act.clone())], 300).await.unwrap();
        assert_eq!(client.put(b"k", b"v").await, Err(ClientError::Unknown), "{act:?}");
        attempts_of_serial_1(&world);
    }
    let world = World::default();
    let acts = [Act::Refuse(Refusal::Unknown), Act::Refuse(Refusal::NoLeader)];
    let acts: Vec<Act> = acts.iter().cycle().take(200).cloned().collect();
    let client = connect(&[&world.node(1, &acts)], 300).await.unwrap();
    assert_eq!(client.put(b"k", b"v").await, Err(ClientError::Unknown), "a doubt stays");
}

#[tokio::test]
async fn after_the_deadline_a_write_that_went_nowhere_is_not_done() {
    for refusal in [Refusal::NoLeader, Refusal::Overloaded, Refusal::Stopping] {
        let world = World::default();
        let node = world.stubborn(1, Act::Refuse(refusal));
        let client = connect(&[&node], 300).await.unwrap();
        let error = client.put(b"k", b"v").await.unwrap_err();
        assert_eq!(error, ClientError::NoQuorum { endpoint: node.clone(), last: Some(refusal) });
        assert_eq!(error.exit_code(), 3);
        let error = client.get(b"k").await.unwrap_err();
        assert_eq!(error, ClientError::NoQuorum { endpoint: node, last: Some(refusal) });
    }
    let world = World::default();
    let node = world.stubborn(1, Act::Ignore);
    let client = connect(&[&node], 300).await.unwrap();
    let error = client.get(b"k").await.unwrap_err();
    assert_eq!(error, ClientError::NoQuorum { endpoint: node, last: None });
}

#[tokio::test]
async fn what_a_node_rejects_is_not_tried_again() {
    let world = World::default();
    let node = world.node(1, &[Act::Refuse(Refusal::TooLarge)]);
    let client = connect(&[&node, &dead_address()], 5_000).await.unwrap();
    assert!(matches!(client.put(b"k", b"v").await, Err(ClientError::Rejected(_))));
    let empty = client.put(b"", b"v").await.unwrap_err();
    assert_eq!(empty, ClientError::Rejected("key is not provided".to_owned()));
    let long = vec![0; 5 << 20];
    assert!(matches!(client.put(b"k", &long).await, Err(ClientError::Rejected(_))));
    assert_eq!(world.writes().len(), 2);
    assert_eq!(client.put(b"k", b"v").await, Ok(2));
}

#[tokio::test]
async fn an_expired_session_is_renewed_unless_a_write_is_in_doubt() {
    let expired = Act::Session(SessionRefusal::SessionExpired);
    let world = World::default();
    let client = connect(&[&world.node(1, &[Act::Answer, expired.clone()])], 5_000).await.unwrap();
    assert_eq!(client.put(b"a", b"1").await, Ok(2));
    assert_eq!(client.put(b"b", b"1").await, Ok(3));
    let serials: Vec<_> =
        world.writes().iter().map(|s| (s.session.client.random, s.session.serial)).collect();
    assert_eq!(serials, [(1, 1), (1, 2), (2, 1)]);

    let world = World::default();
    let client = connect(&[&world.node(1, &[Act::LoseAnswer, expired])], 5_000).await.unwrap();
    assert_eq!(client.put(b"a", b"1").await, Err(ClientError::Unknown));
    assert_eq!(world.revision(), 1);
}

#[tokio::test]
async fn a_write_for_which_the_session_has_no_room_waits_for_earlier_answers() {
    let world = World::default();
    let too_far = Act::Session(SessionRefusal::WindowExceeded);
    let acts = [too_far.clone(), Act::Answer, Act::LoseAnswer, too_far];
    let client = connect(&[&world.node(1, &acts)], 5_000).await.unwrap();
    let (one, two) = tokio::join!(client.put(b"a", b"1"), client.put(b"b", b"1"));
    assert_eq!([one, two].map(|result| result.is_ok()), [true; 2]);
    assert_eq!(client.put(b"c", b"1").await, Ok(4));
    assert_eq!(world.revision(), 3, "each is made once");
    let clients = world.writes().iter().map(|seen| seen.session.client.random).max();
    assert_eq!(clients, Some(1), "in one session");
}

#[tokio::test]
async fn many_writes_share_a_connection_and_survive_its_end_once_each() {
    let world = World::default();
    let mut acts = vec![Act::Answer; 100];
    acts[7] = Act::Refuse(Refusal::Overloaded);
    acts[50] = Act::LoseAnswer;
    let client = connect(&[&world.node(1, &acts), &world.node(2, &[])], 10_000).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..2_000_u32 {
        let client = client.clone();
        tasks.spawn(async move { client.put(format!("k{number}").as_bytes(), b"v").await });
    }
    let mut revisions: Vec<u64> =
        tasks.join_all().await.into_iter().map(|result| result.unwrap()).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (2..=2_001).collect::<Vec<u64>>());
    let window = |seen: &Seen| seen.session.serial - seen.session.acknowledged <= 1_024;
    assert!(world.writes().iter().all(window));
}

#[tokio::test]
async fn dead_endpoints_are_passed_over() {
    let world = World::default();
    let (dead, live) = (dead_address(), world.node(1, &[]));
    let client = connect(&[&dead, &live], 5_000).await.unwrap();
    assert_eq!(client.put(b"k", b"v").await, Ok(2));
    assert_eq!(attempts_of_serial_1(&world), [1]);

    let error = connect(&[&dead], 60_000).await.unwrap_err();
    let text = format!("no node answers at {dead}; start one with: kvorum dev");
    assert_eq!((error.to_string(), error.exit_code()), (text, 3));
}

#[tokio::test]
async fn a_service_that_is_no_node_is_named() {
    let doors = [
        Door::Says(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        Door::Says(b"-ERR unknown command\r\n"),
        Door::Says(b"\0\0\0\x04\0\0\0\0\0"),
        Door::Closes,
    ];
    for door in doors {
        let world = World::default();
        let other = world.door(door.clone());
        let error = connect(&[&other], 60_000).await.unwrap_err();
        let text = format!("{other} does not speak Kvorum's protocol; is it another service?");
        assert_eq!((error.to_string(), error.exit_code()), (text, 3), "{door:?}");
        let client = connect(&[&other, &world.node(1, &[])], 5_000).await.unwrap();
        assert_eq!(client.put(b"k", b"v").await, Ok(2));
    }
    let mute = World::default().door(Door::Mute);
    let error = connect(&[&mute], 300).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}
