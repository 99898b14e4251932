//! What a replica does for sessions beside asking them.

use bytes::Bytes;
use raft_core::configuration::Configuration;
use raft_core::consensus::message::Message;
use raft_core::entry::{ClientId, Draft, EntryKind, SessionStamp, Stamp};
use raft_core::replica::event::{Event, Outcome, Refusal, Submission, Ticket};
use raft_core::replica::session_limits::{SESSION_BYTES_MIN, SessionLimits};
use raft_core::types::{EntryId, Term};
use sim::cluster::node;
use sim::lone_replica::LoneReplica;

/// Longer than a node waits until it looks for commands that are due. Units: microseconds.
const LOOK_US: u64 = 60_000;

fn follower(limits: SessionLimits) -> LoneReplica {
    let mut lone = LoneReplica::new(|_| {});
    lone.replica = lone.replica.with_session_limits(limits);
    // Nobody's clock begins now.
    lone.wait(10_000_000);
    lone.take(
        2,
        1,
        Message::Heartbeat { commit_index: EntryId::ZERO.index, round: 0, log_time: 0 },
    );
    lone
}

/// Gives the follower a command without a session; returns it as it was forwarded.
fn submit(lone: &mut LoneReplica, command: &str) -> Draft {
    let mut draft = Draft::default();
    draft.push(EntryKind::Command, &SessionStamp::default(), command.as_bytes());
    let ticket = Ticket { connection: 1, request: 1 };
    let tickets = vec![ticket];
    lone.hear(Event::Submit(Submission { draft, tickets, timeout_us: 10_000_000, wall_time: 0 }));
    lone.turn();
    forwarded(lone).pop().expect("it goes to the leader")
}

/// What was sent to the leader since the last call.
fn forwarded(lone: &mut LoneReplica) -> Vec<Draft> {
    let forward = |message: &Message| match message {
        Message::Forward { commands } => Draft::decode(commands).ok(),
        _ => None,
    };
    lone.sent.drain(..).filter_map(|envelope| forward(&envelope.message)).collect()
}

/// The leader has these commands behind what there is, and all of it is committed.
fn append(lone: &mut LoneReplica, commands: &[&Draft]) {
    let mut round = Draft::default();
    for entry in commands.iter().flat_map(|draft| draft.iter()) {
        round.push(entry.kind(), &entry.session(), entry.payload());
    }
    let prev = lone.replica.raft().log().last();
    let (term, first) = (Term(1), prev.index.next());
    let entries =
        round.stamp(&Stamp { term, first, log_time: 5, feature_level: 1, wall_time: 0, seed: 0 });
    let commit_index = entries.last_index();
    let entries = vec![entries];
    lone.take(2, 1, Message::AppendEntries { prev, commit_index, round: 0, entries });
}

fn commands_of(draft: &Draft) -> Vec<Bytes> {
    draft.iter().map(|entry| Bytes::copy_from_slice(entry.payload())).collect()
}

#[test]
fn a_client_without_a_session_never_hears_of_the_one_that_its_node_has_for_it() {
    let table_bytes_max = SESSION_BYTES_MIN;
    let mut lone = follower(SessionLimits { table_bytes_max, ..SessionLimits::default() });
    let first = submit(&mut lone, "put a 1");
    append(&mut lone, &[&first]);
    assert!(matches!(lone.outcomes[..], [Outcome::Answered(_)]), "{:?}", lone.outcomes);

    // Another client's command takes all the room just before the second one.
    let second = submit(&mut lone, "put a 2");
    let mut other = Draft::default();
    let client = ClientId { issued_at: 5, random: 7 };
    let session = SessionStamp { client, serial: 1, acknowledged: 0 };
    other.push(EntryKind::Command, &session, b"put b 1");
    append(&mut lone, &[&other, &second]);
    let unknown = Outcome::Refused(Refusal::Unknown);
    assert_eq!(lone.outcomes.get(1), Some(&unknown), "an earlier copy may have been executed");
    assert_eq!(lone.value("a"), Some("1"));

    let third = submit(&mut lone, "put a 3");
    let stamps = [&second, &third].map(|draft| draft.iter().next().map(|e| e.session().client));
    assert_ne!(stamps[0], stamps[1], "the node has a new session");
    append(&mut lone, &[&third]);
    assert!(matches!(lone.outcomes[2..], [Outcome::Answered(_)]), "{:?}", lone.outcomes);
}

#[test]
fn a_command_for_which_the_nodes_session_has_no_room_is_sent_again() {
    let mut lone = follower(SessionLimits { session_bytes_max: 1, ..SessionLimits::default() });
    let [first, second, third] = ["put a 1", "put a 2", "put a 3"].map(|c| submit(&mut lone, c));
    append(&mut lone, &[&second, &third]);
    assert_eq!((lone.value("a"), lone.outcomes.len()), (Some("2"), 1));
    assert!(forwarded(&mut lone).is_empty());
    lone.wait(LOOK_US);
    let again: Vec<Vec<Bytes>> = forwarded(&mut lone).iter().map(commands_of).collect();
    assert_eq!(again, [["put a 3"]], "and nothing else");
    append(&mut lone, &[&first, &third]);
    lone.wait(LOOK_US);
    let fourth = submit(&mut lone, "put a 4");
    assert_eq!(fourth.iter().map(|entry| entry.session().acknowledged).max(), Some(2));
    append(&mut lone, &[&fourth, &third]);
    assert_eq!((lone.value("a"), lone.outcomes.len()), (Some("3"), 4));
}

#[test]
fn an_idle_leader_keeps_log_time_in_the_log_and_counts_no_time_in_which_it_did_not_run() {
    let mut lone = LoneReplica::new(|config| {
        config.configuration = Configuration::of([node(1)]);
    });
    let election_timeout_us = lone.replica.raft().config().election_timeout_us;
    let slack_us = SessionLimits::default().lifetime_us / 8;
    let run = |lone: &mut LoneReplica, us: u64| {
        let step_us = election_timeout_us / 20;
        (0..us / step_us).for_each(|_| lone.wait(step_us));
    };
    run(&mut lone, 6 * election_timeout_us);
    let (begin, log_time) = (lone.applied(), lone.replica.status().log_time);
    assert!(1 <= begin, "it leads");
    lone.wait(10 * slack_us);
    run(&mut lone, slack_us - 8 * election_timeout_us);
    assert_eq!(lone.applied(), begin);
    run(&mut lone, 8 * election_timeout_us);
    assert_eq!(lone.applied(), begin + 1);
    let issued_at = lone.replica.new_client().issued_at;
    assert!((log_time + slack_us..log_time + 2 * slack_us).contains(&issued_at));
    run(&mut lone, slack_us / 2);
    assert_eq!(lone.applied(), begin + 1);
}
