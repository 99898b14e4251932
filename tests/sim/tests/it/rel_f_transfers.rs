//! Bugs that Raft implementations had with leadership that is handed over. Each test is named
//! after its entry in `docs/raft.md` and says in its own words what must hold.

use raft_core::consensus::message::{Envelope, Message};
use raft_core::consensus::ready::RoleName;
use sim::cluster::{Cluster, envelope, is_named, named, node};

fn transfer(cluster: &mut Cluster, at: u64, to: u64) {
    cluster.transfer(node(at), &format!("n{at} to n{to}"), Some(node(to)));
}

fn is_campaign_of(envelope: &Envelope, id: u64, wanted: bool) -> bool {
    envelope.from == node(id)
        && matches!(envelope.message, Message::RequestVote { transfer, .. } if transfer == wanted)
}

/// F1: while leadership is being handed over nothing new goes into the log, or the target would
/// never have all of it; what clients asked for meanwhile is done afterwards.
#[test]
fn rel_f01_writes_wait_while_leadership_is_handed_over() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.submit(node(1), "w1", "put a 1", None);
    let last = cluster.last(1);
    transfer(&mut cluster, 1, 2);
    assert!(!cluster.was_told(&["TimeoutNow"]), "n2 lacks an entry");
    for n in 0..20 {
        cluster.submit(node(1), &format!("late {n}"), "add b 1", None);
        cluster.submit(node(3), &format!("far {n}"), "add b 1", None);
        cluster.deliver_named("Forward");
        assert_eq!(cluster.last(1), last, "nothing is added behind it");
    }
    cluster.tick(1);
    cluster.settle();
    assert_eq!((cluster.leaders(), cluster.answer("n1 to n2")), (vec![2], Some("done")));
    cluster.run(1500);
    assert_eq!(cluster.value(2, "b"), Some("40"), "each of them once");
    assert!((0..20).all(|n| cluster.answer(&format!("late {n}")).is_some()));
}

/// F2: whoever does not lead passes the request on; whoever knows no leader refuses it at once.
#[test]
fn rel_f02_a_follower_passes_the_request_on_and_a_candidate_refuses_it() {
    let mut cluster = Cluster::led_by(3, node(1));
    transfer(&mut cluster, 3, 2);
    cluster.tick(1);
    cluster.settle();
    assert_eq!((cluster.leaders(), cluster.answer("n3 to n2")), (vec![2], Some("done")));
    cluster.crash(node(2));
    cluster.campaign(node(3));
    assert_eq!(cluster.role(3), RoleName::PreCandidate);
    transfer(&mut cluster, 3, 1);
    assert_eq!(cluster.answer("n3 to n1"), Some("refused: NotHandedOver"));
    cluster.settle();
    assert_eq!(cluster.leaders(), [3]);
}

/// F2: a request that the leader never gets ends in a refusal.
#[test]
fn rel_f02_a_request_that_is_lost_ends() {
    let mut cluster = Cluster::led_by(3, node(1));
    transfer(&mut cluster, 3, 2);
    cluster.drop_messages(named("Transfer"));
    cluster.run(600);
    assert_eq!(cluster.answer("n3 to n2"), Some("refused: NotHandedOver"));
    assert_eq!(cluster.leaders(), [1]);
}

/// F3: a target that cannot be reached is given up after an election timeout, and writes go
/// on, those that have waited and new ones.
#[test]
fn rel_f03_an_unreachable_target_is_given_up_and_writes_go_on() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.isolate(2);
    cluster.submit(node(1), "w1", "put a 1", None);
    transfer(&mut cluster, 1, 2);
    cluster.submit(node(1), "meanwhile", "put b 1", None);
    cluster.run(90);
    assert_eq!(cluster.answer("meanwhile"), None);
    cluster.run(30);
    cluster.submit(node(1), "after", "put c 1", None);
    cluster.settle();
    assert!(cluster.answer("after").is_some(), "it leads on");
    assert!(cluster.answer("meanwhile").is_some(), "it has waited long enough");
    cluster.run(400);
    assert_eq!(cluster.answer("n1 to n2"), Some("refused: NotHandedOver"));
    assert_eq!((cluster.leaders(), cluster.term(1)), (vec![1], 1));
}

/// F3: a target whose disk is slow is not told to campaign before it has synced everything,
/// and is given up like one that is away.
#[test]
fn rel_f03_a_slow_target_is_given_up() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.hold_sync(node(2), true);
    cluster.submit(node(1), "w1", "put a 1", None);
    transfer(&mut cluster, 1, 2);
    cluster.run(120);
    assert!(!cluster.was_told(&["TimeoutNow"]), "n2 has not synced everything");
    cluster.submit(node(1), "after", "put c 1", None);
    cluster.settle();
    assert!(cluster.answer("after").is_some());
    cluster.hold_sync(node(2), false);
    cluster.run(50);
    assert!(!cluster.was_told(&["TimeoutNow"]), "nothing is handed over any more");
    assert_eq!(cluster.leaders(), [1]);
}

/// F3: whoever was removed or demoted does not get leadership, and nothing stands still for it.
#[test]
fn rel_f03_who_has_no_vote_does_not_get_leadership() {
    for words in ["remove=2", "demote=2"] {
        let mut cluster = Cluster::led_by(3, node(1));
        cluster.ask(1, words);
        cluster.run(20);
        transfer(&mut cluster, 1, 2);
        assert_eq!(cluster.answer("n1 to n2"), Some("refused: NotHandedOver"));
        // Who does not know it yet asks the leader, who knows.
        let term = cluster.term(1);
        let question = Message::Transfer { to: Some(node(2)) };
        cluster.inject(envelope(node(3), node(1), term, question));
        cluster.settle();
        cluster.submit(node(1), "w", "put a 1", None);
        cluster.settle();
        assert_eq!(cluster.answer("w"), Some("r1"), "{words}");
        assert!(!cluster.was_told(&["TimeoutNow"]), "{words}");
    }
}

/// F4: that a campaign is at the leader's request holds for that campaign: the next one, after
/// it has failed, moves nobody from its leader.
#[test]
fn rel_f04_the_next_campaign_is_an_ordinary_one() {
    let mut cluster = Cluster::led_by(3, node(1));
    transfer(&mut cluster, 1, 2);
    cluster.deliver_named("TimeoutNow");
    let count = |cluster: &Cluster, wanted: bool| {
        cluster.bag().filter(|e| is_campaign_of(e, 2, wanted)).count()
    };
    assert_eq!(count(&cluster, true), 2);
    cluster.drop_messages(named("RequestVote"));
    cluster.isolate(3);
    cluster.time_out(node(2));
    assert_eq!(count(&cluster, true) + count(&cluster, false), 0, "it asks before it campaigns");
    cluster.pass(200);
    cluster.deliver(|e| is_named(e, "PreVote") && e.to == node(1));
    assert_eq!(count(&cluster, true), 0);
    cluster.heal();
    cluster.run(400);
    assert!(!cluster.was_told(&["n2 ->", "t3", "RequestVote", "transfer"]));
    assert_eq!(cluster.leaders().len(), 1);
}

/// F6: a second request for the same target is the same, one for another target takes its
/// place, and leadership can come back.
#[test]
fn rel_f06_a_second_request_replaces_the_first() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.isolate(2);
    cluster.submit(node(1), "w", "put a 1", None);
    transfer(&mut cluster, 1, 2);
    cluster.run(60);
    transfer(&mut cluster, 1, 2);
    cluster.run(45);
    cluster.submit(node(1), "w2", "put a 2", None);
    cluster.settle();
    assert!(cluster.answer("w2").is_some(), "the same request gets no more time");
    transfer(&mut cluster, 1, 2);
    transfer(&mut cluster, 1, 3);
    cluster.tick(1);
    cluster.settle();
    assert_eq!((cluster.leaders(), cluster.answer("n1 to n3")), (vec![3], Some("done")));
    cluster.heal();
    cluster.run(50);
    transfer(&mut cluster, 3, 1);
    cluster.tick(1);
    cluster.settle();
    assert_eq!((cluster.leaders(), cluster.answer("n3 to n1")), (vec![1], Some("done")));
}

/// F6: a candidate of a later term ends the leadership, and with it what was being handed over.
#[test]
fn rel_f06_a_later_term_ends_a_transfer() {
    let mut cluster = Cluster::led_by(3, node(1));
    cluster.submit(node(1), "w", "put a 1", None);
    cluster.settle_among(&[1, 3]);
    cluster.drop_messages(|_| true);
    cluster.cut(node(1), node(2));
    transfer(&mut cluster, 1, 2);
    cluster.stand(3);
    cluster.settle();
    assert_eq!(cluster.leaders(), [3]);
    cluster.heal();
    cluster.run(600);
    assert_eq!(cluster.leaders(), [3], "nobody hands over any more");
    assert_eq!(cluster.answer("n1 to n2"), Some("refused: NotHandedOver"));
    assert!(!cluster.was_told(&["TimeoutNow"]));
}
