//! Locks and elections, on real nodes and with the program.

use rustix::process::Signal;

use crate::harness::cluster::Cluster;
use crate::harness::process::Process;
use crate::harness::scratch::Scratch;
use crate::harness::wait;

const CONTENDERS: usize = 5;

/// The first line that a program has printed.
async fn first_line(process: &Process) -> String {
    process.lines(1).await.remove(0)
}

fn revision_of(held: &str) -> u64 {
    held.rsplit_once('@').and_then(|(_, revision)| revision.parse().ok()).expect("KEY@REVISION")
}

/// Of several who want the same lock one has it at a time, also while the leader dies.
#[tokio::test]
async fn one_command_at_a_time_runs_under_a_lock() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let scratch = Scratch::new();
    let log = scratch.join("log");
    let script = format!(
        "echo begin $KVORUM_LOCK >> {0}; seq 1 20000 > {0}.work; echo end >> {0}",
        log.display()
    );
    let contend = ["lock", "--ttl", "5s", "printer", "--", "sh", "-c", &script];
    let contenders: Vec<Process> = (0..CONTENDERS).map(|_| cluster.begin_kvctl(&contend)).collect();
    cluster.kill(cluster.leader().await);
    for contender in contenders {
        let ended = wait::in_time("end", contender.end()).await;
        assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    }
    let text = std::fs::read_to_string(log).expect("the commands have run");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2 * CONTENDERS, "{text}");
    let mut before = 0;
    for turn in lines.chunks(2) {
        let held = turn[0].strip_prefix("begin printer/").expect("a begin");
        assert_eq!(turn[1], "end", "nobody begins before the one before has ended: {text}");
        assert!(before < revision_of(held), "fencing tokens rise: {text}");
        before = revision_of(held);
    }
}

/// A holder that dies is waited for as long as its lease lasts; then the next one has the lock,
/// and what the first one still sends is refused by the revision.
#[tokio::test]
async fn a_lock_outlives_its_holder_by_no_more_than_a_lease_and_fences_it() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    let first = cluster.begin_kvctl(&["lock", "--ttl", "1s", "printer"]);
    let lost = first_line(&first).await;
    let write = async |held: &str| cluster.kvctl(&["put", "--if-held", held, "page", held]).await;
    assert_eq!(write(&lost).await.code, Some(0));
    let refused = cluster.kvctl(&["lock", "--wait", "200ms", "printer"]).await;
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("somebody else's"), "{}", refused.stderr);
    let second = cluster.begin_kvctl(&["lock", "--ttl", "1s", "printer"]);
    first.kill();
    let held = first_line(&second).await;
    assert!(revision_of(&lost) < revision_of(&held), "{lost} and then {held}");
    let late = write(&lost).await;
    assert_eq!(late.code, Some(1));
    assert!(late.stderr.contains("is not held, nothing was done"), "{}", late.stderr);
    assert_eq!(write(&held).await.code, Some(0));
    assert_eq!(cluster.client().await.get("page").await, Some(held));
    second.signal(Signal::INT);
    assert_eq!(second.end().await.code, Some(0));
    assert_eq!(cluster.client().await.prefix("printer/").await.1.len(), 0);
}

/// Who listens hears of each winner; the next one wins when the one before ends.
#[tokio::test]
async fn an_election_has_one_winner_after_the_other() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    let listener = cluster.begin_kvctl(&["elect", "--listen", "chair"]);
    let ada = cluster.begin_kvctl(&["elect", "chair", "Ada"]);
    let first = first_line(&ada).await;
    let bob = cluster.begin_kvctl(&["elect", "chair", "Bob"]);
    wait::until("both stand", async || {
        (cluster.client().await.prefix("chair/").await.1.len() == 2).then_some(())
    })
    .await;
    assert_eq!(bob.stdout(), "");
    ada.signal(Signal::INT);
    assert_eq!(ada.end().await.code, Some(0));
    let second = first_line(&bob).await;
    assert!(revision_of(&first) < revision_of(&second));
    assert_eq!(listener.lines(2).await, ["Ada", "Bob"]);
    listener.signal(Signal::INT);
    assert_eq!(listener.end().await.code, Some(0));
    bob.signal(Signal::INT);
    assert_eq!(bob.end().await.code, Some(0));
}
