//! What went wrong in other systems, group C, third part: counting, windows, heartbeats and
//! the commands of clients. Each test is named after its row in `docs/raft.md`.

use raft_core::consensus::message::{AppendResult, Message};
use raft_core::consensus::quorum::reached_by_majority;
use raft_core::consensus::ready::RoleName;
use raft_core::consensus::rng::Rng;
use raft_core::entry::Entries;
use raft_core::hard_state::Configuration;
use raft_core::types::Index;
use sim::cluster::{Cluster, envelope, id, is_named, node};
use sim::entries::entries;
use sim::lone_raft::LoneRaft;

fn accepted(match_index: u64) -> Message {
    let result = AppendResult::Accepted { match_index: Index(match_index) };
    Message::AppendEntriesResponse { round: 0, counts: true, result }
}

/// All orders of these.
fn orders<T: Copy>(of: &[T]) -> Vec<Vec<T>> {
    if of.is_empty() {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for at in 0..of.len() {
        let mut rest = of.to_vec();
        let first = rest.remove(at);
        all.extend(orders(&rest).into_iter().map(|mut order| {
            order.insert(0, first);
            order
        }));
    }
    all
}

/// C10: what a majority holds, for even and odd sizes and values in any order, is what
/// counting says; and half of an even cluster is none.
#[test]
fn rel_c10_a_majority_is_what_counting_says_for_even_sizes_too() {
    let mut rng = Rng::new(10);
    for count in 1..=9u64 {
        let configuration = Configuration::of((1..=count).map(node));
        for _ in 0..2_000 {
            let values: Vec<u64> = (0..count).map(|_| rng.in_range(0, 12)).collect();
            let of = |voter: u64| values[usize::try_from(voter).unwrap() - 1];
            let found = reached_by_majority(&configuration, |voter| of(voter.number()));
            let held = |least: u64| values.iter().filter(|&&value| least <= value).count();
            let counted = (0..12).rev().find(|&v| values.len() < 2 * held(v));
            assert_eq!(Some(found), counted, "{values:?}");
        }
    }
    for count in [2u64, 4, 6] {
        let mut cluster = Cluster::led_by(count, node(1));
        let before = cluster.commit_index(1);
        cluster.submit(node(1), "w", "put a 1", None);
        // The later half answers first.
        for follower in (2..=count).rev() {
            cluster.deliver(|e| e.to == node(follower));
            cluster.deliver(|e| e.to == node(1));
            let holders = count - follower + 2;
            let committed = before + u64::from(count < 2 * holders);
            assert_eq!(cluster.commit_index(1), committed, "{holders} of {count} have it");
        }
    }
}

/// C18: a later term that has not reached the disk yet is a later term all the same: what the
/// old leader says behind it, a heartbeat or an append, finds no short way past it.
#[test]
fn rel_c18_a_heartbeat_does_not_overtake_a_change_of_term() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.hold_sync(node(3), true);
    let ask = Message::RequestVote { last: id(1, 9), transfer: true };
    cluster.inject(envelope(node(2), node(3), 2, ask));
    cluster.deliver(|e| e.to == node(3));
    cluster.take_told();
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.tick(10);
    assert_eq!((cluster.appends_to(3).len(), cluster.heartbeats_to(3).len()), (1, 1));
    cluster.deliver(|e| e.to == node(3));
    let status = cluster.status(node(3));
    assert_eq!((status.term.0, status.leader, cluster.last(3)), (2, None, id(1, 2)));
    assert_eq!(cluster.bag().filter(|e| e.from == node(3)).count(), 0, "all of it waits");
    cluster.sync(node(3), 1);
    assert_eq!(cluster.acks_from(3), []);
    let told = cluster.take_told();
    let answers: Vec<&String> = told.iter().filter(|line| line.starts_with("n3 ->")).collect();
    assert!(answers.iter().all(|line| line.contains(" t2 ")), "{answers:?}");
    assert!(answers.iter().any(|line| line.contains("granted=true")), "{answers:?}");
    cluster.deliver(|e| e.to == node(1));
    assert_eq!(cluster.role(1), RoleName::Follower);
}

/// C22: the bytes that are in flight are counted down again when entries are committed and
/// when they are cut off, so that a node that was full takes commands once more.
#[test]
fn rel_c22_bytes_in_flight_are_given_back() {
    let mut cluster = Cluster::led_by_with(3, node(1), |config| {
        config.tail_bytes_max = 2_000;
        config.pending_bytes_max = 2_000;
    });
    for round in 0..6 {
        // Full of entries that nobody else has.
        cluster.isolate(1);
        let mut count = 0;
        let label = |n: u64| format!("w{round}.{n}");
        while cluster.answer(&label(count)).is_none() {
            count += 1;
            let command = format!("put a {}", "x".repeat(300));
            cluster.submit(node(1), &label(count), &command, None);
            assert!(count < 50, "it takes no end");
        }
        assert_eq!(cluster.answer(&label(count)), Some("refused: Overloaded"));
        assert!(2 < count, "round {round}: nothing was given back");
        // Others lead, and what n1 had is cut off; or it is committed after all.
        if round % 2 == 0 {
            cluster.campaign(node(2));
            cluster.settle();
            cluster.submit(node(2), "cut", "put b 1", None);
            cluster.settle();
        }
        cluster.heal();
        cluster.run(200);
        while cluster.role(1) != RoleName::Leader {
            let leader =
                cluster.ids().into_iter().find(|id| cluster.role(id.number()) == RoleName::Leader);
            if let Some(leader) = leader {
                cluster.crash(node(5 - leader.number()));
                cluster.hand_over(leader);
                cluster.run(60);
                cluster.restart(node(5 - leader.number()));
            }
            cluster.run(60);
        }
        cluster.run(100);
        for id in cluster.ids() {
            let bytes = cluster.replica(id).raft().log().tail_bytes();
            assert!(bytes <= 2_500, "{id:?} counts {bytes} bytes in round {round}");
        }
        assert!(cluster.answer(&label(1)).is_some());
    }
}

/// C23: a full window sends nothing but empty questions, and whatever answers are lost, it is
/// open again after the next one that arrives, in appends and in bytes.
#[test]
fn rel_c23_a_full_window_opens_again_although_answers_were_lost() {
    let mut cluster = Cluster::led_by_with(3, node(1), |config| {
        config.window_appends_max = 2;
        config.window_bytes_max = 1_000;
    });
    cluster.isolate(3);
    for round in 0..10 {
        for n in 0..2 {
            cluster.submit(node(1), "w", &format!("put a {round}.{n}"), None);
        }
        assert_eq!(cluster.appends_to(2).len(), 2);
        cluster.deliver(|e| is_named(e, "AppendEntries"));
        assert_eq!(cluster.acks_from(2).len(), 2);
        cluster.drop_messages(|e| is_named(e, "AppendEntriesResponse"));
        let long = format!("put a {}", "x".repeat(1_200));
        cluster.submit(node(1), "w", &long, None);
        assert_eq!(cluster.appends_to(2), [], "two are under way");
        let last = cluster.last(1).index;
        let mut questions = Vec::new();
        for _ in 0..6 {
            cluster.tick(10);
            while cluster.bag().next().is_some() {
                let appends = cluster.appends_to(2).into_iter();
                questions.extend(appends.filter(|(prev, to)| prev.index.0 == *to));
                cluster.deliver(|_| true);
            }
        }
        let asked_at = last.prev().0;
        assert_eq!(questions.first(), Some(&(id(1, asked_at), asked_at)), "an empty append");
        assert_eq!((cluster.last(2).index, cluster.commit_index(1)), (last, last.0));
        // One append of more than the window holds, and a new connection while it is full.
        cluster.submit(node(1), "w", &long, None);
        cluster.submit(node(1), "w", "put a 9", None);
        assert_eq!(cluster.appends_to(2).len(), 1, "its bytes fill the window");
        cluster.drop_messages(|_| true);
        cluster.lose_link(node(1), node(2));
        cluster.settle();
        assert_eq!(cluster.commit_index(1), last.0 + 2);
    }
}

/// C30: between the moment in which a later term is seen and the end of the turn nothing is
/// taken into the log.
#[test]
fn rel_c30_no_command_is_taken_once_a_later_term_was_seen() {
    let mut node = LoneRaft::new(3, &[entries(1, 1, &["put a 1"])]);
    node.lead();
    node.persist_all();
    assert!(node.propose(&["put a 2"]));
    let before = node.raft.log().last();
    let term = node.raft.term().0;
    node.hear(2, term + 1, Message::HeartbeatResponse { round: 0, counts: true });
    assert!(!node.propose(&["put a 3"]), "it does not lead any more");
    assert_eq!(node.raft.log().last(), before);
    node.turn();
    assert_eq!((node.raft.role_name(), node.raft.term().0), (RoleName::Follower, term + 1));
    assert!(node.raft.log().last().term.0 <= term);
}

/// C31: whoever moves the commit index, the own disk or any follower's answer, in whatever
/// order and however late: it is what a majority holds and never goes back.
#[test]
fn rel_c31_the_commit_index_only_rises_whoever_moves_it() {
    #[derive(Clone, Copy, Debug)]
    enum Move {
        OwnDisk,
        Answer { of: u64, holds: u64 },
    }
    let answer = |of, holds| Move::Answer { of, holds };
    let moves = [Move::OwnDisk, answer(2, 5), answer(2, 3), answer(3, 4), answer(3, 2)];
    for order in orders(&moves) {
        let mut node = LoneRaft::new(3, &[entries(1, 1, &["put a 1"])]);
        node.lead();
        node.persist_all();
        assert!(node.propose(&["put a 2", "put a 3", "put a 4"]));
        node.turn();
        let (term, newest) = (node.raft.term().0, node.batches.len() as u64);
        let mut held = [2, 0, 0];
        for step in &order {
            match *step {
                Move::OwnDisk => {
                    held[0] = 5;
                    node.persisted(newest);
                }
                Move::Answer { of, holds } => {
                    let known = &mut held[usize::try_from(of).unwrap() - 1];
                    *known = holds.max(*known);
                    node.take(of, term, accepted(holds));
                }
            }
            let mut sorted = held;
            sorted.sort_unstable();
            // An entry of an older term is not committed by counting.
            let expected = if sorted[1] < 2 { 0 } else { sorted[1] };
            assert_eq!(node.raft.log().commit_index().0, expected, "{order:?} at {step:?}");
        }
    }
}

/// C31: nor does it go back on a follower, to which appends and heartbeats tell it.
#[test]
fn rel_c31_appends_and_heartbeats_in_any_order_only_raise_the_commit_index() {
    let run = entries(1, 1, &["put a 1", "put a 2", "put a 3", "put a 4"]);
    let tells = [(true, 1), (false, 2), (true, 3), (false, 4), (false, 0)];
    for order in orders(&tells) {
        let mut node = LoneRaft::new(3, std::slice::from_ref(&run));
        let mut highest = 0;
        for &(is_append, told) in &order {
            highest = highest.max(told);
            let commit_index = Index(told);
            node.take(
                2,
                1,
                match is_append {
                    true => Message::AppendEntries {
                        prev: id(1, 4),
                        commit_index,
                        round: 0,
                        entries: vec![],
                    },
                    false => Message::Heartbeat { commit_index, round: 0, log_time: 0 },
                },
            );
            assert_eq!(node.raft.log().commit_index().0, highest, "{order:?}");
        }
    }
}

/// C31: nor does a restart lower it: what the disk says of it holds at once, while nobody is
/// there who could say so again, and everything up to there is applied.
#[test]
fn rel_c31_a_restart_forgets_nothing_of_what_is_committed() {
    let mut cluster = Cluster::led_by(3, node(1));
    for n in 0..4 {
        cluster.submit(node(1), &format!("w{n}"), &format!("put a {n}"), None);
        cluster.settle();
    }
    let known = cluster.hard_state_on_disk(2).commit_index.0;
    assert_eq!(known, 5, "the last batch came with the commit of the one before");
    cluster.isolate(2);
    cluster.crash(node(2));
    cluster.restart(node(2));
    assert_eq!((cluster.commit_index(2), cluster.value(2, "a")), (known, Some("2")));
    cluster.heal();
    cluster.run(30);
    assert_eq!((cluster.commit_index(2), cluster.value(2, "a")), (6, Some("3")));
}

/// C32: in a cluster without any traffic a follower that was being probed, and whose probe was
/// lost, is found again by its answers to heartbeats.
#[test]
fn rel_c32_a_lost_probe_is_sent_again_though_nothing_happens() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.lose_link(node(1), node(2));
    assert_eq!(cluster.appends_to(2), [(id(1, 2), 2)], "an empty probe");
    cluster.drop_messages(|_| true);
    for _ in 0..4 {
        cluster.tick(10);
        cluster.settle();
    }
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.submit(node(1), "w", "put a 2", None);
    assert_eq!(cluster.appends_to(2).len(), 2, "one behind the other, as to any follower");
}

/// C33: what was committed reaches a follower to which nothing else has to be said within two
/// heartbeats, also when the first one is lost.
#[test]
fn rel_c33_an_idle_follower_learns_the_commit_index_from_heartbeats() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.deliver(|_| true);
    cluster.deliver(|_| true);
    cluster.drop_messages(|_| true);
    assert_eq!((cluster.commit_index(1), cluster.commit_index(2)), (3, 2));
    cluster.tick(10);
    assert_eq!(cluster.heartbeats_to(2), [3]);
    cluster.drop_messages(|_| true);
    cluster.tick(10);
    cluster.deliver(|e| is_named(e, "Heartbeat"));
    assert_eq!((cluster.commit_index(2), cluster.commit_index(3)), (3, 3));
    assert_eq!(cluster.value(2, "a"), Some("1"));
}

/// C34: a heartbeat names no more than the follower is known to hold.
#[test]
fn rel_c34_a_heartbeat_names_no_more_than_the_follower_holds() {
    let mut cluster = Cluster::led_by(3, node(1));
    for n in 0..4 {
        cluster.submit(node(1), "w", &format!("put a {n}"), None);
        cluster.drop_messages(|e| is_named(e, "AppendEntries") && e.to == node(3));
        cluster.settle();
    }
    assert_eq!((cluster.commit_index(1), cluster.last(3)), (6, id(1, 2)));
    cluster.tick(10);
    assert_eq!((cluster.heartbeats_to(2), cluster.heartbeats_to(3)), (vec![6], vec![2]));
    cluster.deliver(|e| is_named(e, "Heartbeat"));
    assert_eq!((cluster.commit_index(2), cluster.commit_index(3)), (6, 2));
    // A new leader knows nothing of anybody, and says so.
    cluster.hand_over(node(1));
    while cluster.role(2) != RoleName::Leader {
        cluster.deliver(|_| true);
    }
    cluster.drop_messages(|_| true);
    cluster.tick(10);
    assert_eq!((cluster.heartbeats_to(1), cluster.heartbeats_to(3)), (vec![0], vec![0]));
}

/// C35: a command goes to the leader in one hop: whoever does not lead drops it, and whoever
/// sent it sends it to the next leader, or tells its client in time.
#[test]
fn rel_c35_a_forwarded_command_is_not_forwarded_again() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.submit(node(3), "w", "add n 1", None);
    cluster.keep("forward", |e| is_named(e, "Forward"));
    cluster.tick(1);
    cluster.hand_over(node(1));
    cluster.settle();
    assert_eq!(cluster.role(2), RoleName::Leader);
    cluster.send_kept("forward");
    cluster.deliver(|e| is_named(e, "Forward"));
    assert!(!cluster.bag().any(|e| is_named(e, "Forward")), "n1 passes nothing on");
    cluster.run(60);
    assert_eq!((cluster.answer("w"), cluster.answers_to("w")), (Some("r1"), 1));
    assert_eq!(cluster.value(2, "n"), Some("1"), "sent twice, done once");

    // It never arrives, and nobody says so: its client is told that nothing is known.
    cluster.cut(node(3), node(2));
    cluster.submit(node(3), "lost", "add n 1", None);
    cluster.run(2_100);
    assert_eq!((cluster.answer("lost"), cluster.answers_to("lost")), (Some("refused: Unknown"), 1));
    // Without a leader it goes nowhere.
    cluster.heal();
    (1..=2).for_each(|id| cluster.crash(node(id)));
    cluster.run(300);
    cluster.submit(node(3), "nowhere", "add n 1", None);
    cluster.run(2_100);
    assert_eq!(cluster.answer("nowhere"), Some("refused: NoLeader"));
}

/// C36: when a leader is deposed and its entries are cut off, everybody who waits there or at a
/// follower of it is answered once: by the next leader, or in time.
#[test]
fn rel_c36_everybody_who_waits_is_answered_when_leadership_is_lost() {
    for is_healed in [true, false] {
        let mut cluster = Cluster::led_by(3, node(1));
        cluster.submit(node(2), "forwarded", "add n 1", None);
        cluster.read(node(2), "asked", "n");
        cluster.isolate(1);
        for label in ["w1", "w2"] {
            cluster.submit(node(1), label, "add n 1", None);
        }
        cluster.read(node(1), "read", "n");
        cluster.tick(5);
        cluster.campaign(node(2));
        cluster.settle();
        assert_eq!(cluster.role(2), RoleName::Leader);
        cluster.run(50);
        assert_eq!(cluster.answer("forwarded"), Some("r1"));
        assert!(matches!(cluster.answer("asked"), Some("nothing" | "1")));
        if is_healed {
            cluster.heal();
        }
        cluster.run(2_200);
        let answers =
            ["w1", "w2", "read"].map(|label| cluster.answer(label).unwrap_or("waits for ever"));
        if is_healed {
            assert_eq!(answers[..2], ["r2", "r3"]);
            assert!(matches!(answers[2], "1" | "2" | "3"), "{answers:?}");
            assert_eq!(cluster.value(1, "n"), Some("3"));
        } else {
            assert_eq!(answers, ["refused: Unknown", "refused: Unknown", "refused: NoLeader"]);
        }
        for label in ["forwarded", "asked", "w1", "w2", "read"] {
            assert_eq!(cluster.answers_to(label), 1, "{label}");
        }
    }
}

/// C37: what a follower has missed is sent in appends of bounded length, and an entry that is
/// not there as a whole is not there.
#[test]
fn rel_c37_a_long_way_is_sent_in_bounded_appends_of_whole_entries() {
    let mut cluster = Cluster::led_by_with(3, node(1), |config| config.append_bytes_max = 1_000);
    cluster.isolate(3);
    for n in 0..30 {
        let length = if n % 7 == 3 { 5_000 } else { 30 * n };
        cluster.submit(node(1), "w", &format!("put a {}", "x".repeat(length)), None);
        cluster.settle();
    }
    cluster.heal();
    cluster.lose_link(node(1), node(3));
    let mut appends = 0;
    while cluster.last(3) != cluster.last(1) {
        for envelope in cluster.bag() {
            let Message::AppendEntries { entries, .. } = &envelope.message else { continue };
            let bytes: usize = entries.iter().map(|run| run.bytes().len()).sum();
            let count: usize = entries.iter().map(Entries::len).sum();
            assert!(bytes <= 1_000 || count == 1, "{count} entries of {bytes} bytes");
            appends += 1;
        }
        cluster.deliver(|_| true);
    }
    assert!(20 < appends, "{appends}");
    assert_eq!(cluster.ids_on_disk(node(3)), cluster.ids_on_disk(node(1)));

    let run = entries(1, 1, &["put a 1", "put b 22", "put c 333"]);
    let ends: Vec<usize> = run
        .commands()
        .scan(0, |end, c| {
            *end += c.len();
            Some(*end)
        })
        .collect();
    for cut in 1..run.bytes().len() {
        let found = Entries::decode(&run.bytes().slice(..cut));
        let whole = ends.iter().position(|&end| end == cut);
        match whole {
            Some(last) => assert_eq!(found.unwrap()[0].len(), last + 1),
            None => assert!(found.is_err(), "{cut} bytes hold half an entry: {found:?}"),
        }
    }
}
