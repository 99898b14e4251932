//! Watches over real processes: what is seen while leaders are killed, and the node that serves.

use std::collections::BTreeSet;
use std::env;

use kv_store::command::Change;
use kvorum_client::{Client, Event, Interest, KeyRange, Options, Update, WatchOptions};

use raft_net::client_protocol::{Op, WatchEnded};
use rustix::process::Signal;

use crate::harness::client::{Connection, Said, encoded};
use crate::harness::cluster::Cluster;
use crate::harness::wait;

/// How many leaders are killed, unless the environment variable says otherwise.
const KILLS: u64 = 4;
const KILLS_VARIABLE: &str = "KVORUM_WATCHED_KILLS";

/// How many writes there are between two killings.
const WRITES_BETWEEN: u64 = 500;

/// How many of them there are while the one that was killed is away.
const WRITES_AWAY: u64 = 100;

const KEY: &[u8] = b"watched";

async fn connect(endpoints: Vec<String>) -> Client {
    let connected = Client::connect(endpoints, Options { timeout: wait::DEADLINE }).await;
    connected.expect("a node is there")
}

/// The endpoints with that of one node first.
fn first(cluster: &Cluster, id: u64) -> Vec<String> {
    let mut endpoints = cluster.addresses.clone();
    endpoints.rotate_left(usize::try_from(id - 1).unwrap());
    endpoints
}

fn text(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

/// Sees that `event` is put number `number` of the key.
fn check(event: &Event, number: u64) {
    let next = event.next.as_ref().expect("a put is shown");
    assert_eq!((&next.value[..], next.version), (&text(number)[..], number));
    assert_eq!((&event.key[..], event.revision), (KEY, 1 + number));
    let previous = event.previous.as_ref().map(|kv| kv.value.to_vec());
    assert_eq!(previous, (1 < number).then(|| text(number - 1)));
}

/// Every write is seen once, in order and with what was before, by a library's watch and by
/// `kvctl watch`, both on a follower at first, while leaders are killed and once their own node.
#[tokio::test]
async fn every_write_is_seen_once_through_killed_leaders_and_a_killed_node() {
    let _turn = wait::turn().await;
    let kills = env::var(KILLS_VARIABLE).map_or(KILLS, |text| text.parse().expect("a number"));
    let writes = (kills + 1) * WRITES_BETWEEN;
    let mut cluster = Cluster::start(3).await;
    let own = cluster.follower().await;
    let endpoints = first(&cluster, own);
    let interest = Interest { previous: true, ..Interest::of(KeyRange::single(KEY)) };
    let watching = connect(endpoints.clone()).await;
    let mut watch = watching.watch(&interest, WatchOptions::default()).await.unwrap();
    assert_eq!(watch.revision(), 1);
    let (doors, count) = (endpoints.join(","), writes.to_string());
    let words = ["watch", "watched", "--prev", "--since", "2", "--events", &count];
    let shown = cluster.begin_kvctl_at(&doors, &words);
    let seeing = tokio::spawn(async move {
        let mut number = 0;
        while number < writes {
            let Update::Changes { events, .. } = watch.next().await.unwrap() else { continue };
            for event in &events {
                number += 1;
                check(event, number);
            }
        }
        watch
    });
    let writing = connect(cluster.addresses.clone()).await;
    let mut dead = None;
    for number in 1..=writes {
        writing.put(KEY, &text(number)).await.unwrap();
        let kill = number / WRITES_BETWEEN;
        match number % WRITES_BETWEEN {
            0 if kill <= kills => {
                let victim = if kill == kills.div_ceil(2) { own } else { cluster.leader().await };
                cluster.kill(victim);
                dead = Some(victim);
            }
            WRITES_AWAY => dead.take().into_iter().for_each(|id| cluster.revive(id)),
            _ => {}
        }
    }
    let mut watch = wait::in_time("last write", seeing).await.expect("nothing was wrong");
    let ended = shown.end().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let expected: Vec<String> = (1..=writes)
        .map(|number| match number {
            1 => "2 put watched 1".to_owned(),
            _ => format!("{} put watched {number} (was {})", number + 1, number - 1),
        })
        .collect();
    assert_eq!(ended.stdout.lines().collect::<Vec<_>>(), expected);
    watch.request_progress();
    let mark = wait::in_time("mark", watch.next()).await;
    assert_eq!(mark, Ok(Update::Progress { revision: 1 + writes }), "there is nothing else");
    cluster.check_equal().await;
}

/// One node with a little of everything: two puts, a hash, a set, a removal.
async fn one_node_with_a_history() -> Cluster {
    let cluster = Cluster::start(1).await;
    for words in [
        &["put", "colour", "red"][..],
        &["put", "colour", "green"],
        &["hset", "user", "name:Ada", "born:1815"],
        &["sset", "fruits", "apple"],
        &["hdel", "user", "born"],
        &["del", "colour"],
    ] {
        let ended = cluster.kvctl(words).await;
        assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.stderr);
    }
    cluster
}

#[tokio::test]
async fn kvctl_watch_prints_an_event_to_a_line_and_ends_after_as_many_as_it_is_told() {
    let _turn = wait::turn().await;
    let cluster = one_node_with_a_history().await;
    let watch = async |words: &[&str]| {
        let ended = cluster.kvctl(&[&["watch"], words].concat()).await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{words:?}");
        ended.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let all = [
        "2 put colour red",
        "3 put colour green (was red)",
        "4 put user (HASH)",
        "4 put user name:Ada",
        "4 put user born:1815",
        "5 put fruits (SET)",
        "5 put fruits apple",
        "6 put user (HASH) (was (HASH))",
        "6 del user born (was 1815)",
        "7 del colour (was green)",
    ];
    let everything = ["", "--prefix", "--since", "2", "--prev", "--events", "10"];
    assert_eq!(watch(&everything).await, all);
    assert_eq!(watch(&["", "--prefix", "--since", "2", "--prev", "--events", "5"]).await, all[..5]);
    let field = ["user", "--field", "born", "--since", "1", "--events", "2"];
    assert_eq!(watch(&field).await, ["4 put user born:1815", "6 del user born"]);
    let member = ["f", "--to", "g", "--member", "apple", "--since", "1", "--events", "1"];
    assert_eq!(watch(&member).await, ["5 put fruits apple"]);
    let removals = ["a", "--from-key", "--only", "del", "--since", "1", "--events", "2"];
    assert_eq!(watch(&removals).await, ["6 del user born", "7 del colour"]);
    let json = ["colour", "--since", "3", "--prev", "--events", "2", "-w", "json"];
    assert_eq!(
        watch(&json).await,
        [
            "{\"revision\":3,\"event\":\"put\",\"key\":\"colour\",\"next\":{\"key\":\"colour\",\
             \"value\":\"green\",\"create_revision\":2,\"mod_revision\":3,\"version\":2},\
             \"previous\":{\"key\":\"colour\",\"value\":\"red\",\"create_revision\":2,\
             \"mod_revision\":2,\"version\":1}}",
            "{\"revision\":7,\"event\":\"del\",\"key\":\"colour\",\"previous\":{\"key\":\"colour\",\
             \"value\":\"green\",\"create_revision\":2,\"mod_revision\":3,\"version\":2}}",
        ]
    );
    let table = ["colour", "--since", "2", "--events", "1", "-w", "table"];
    let rows =
        ["REVISION  EVENT  KEY     ITEM  VALUE  PREVIOUS", "2         put    colour        red"];
    assert_eq!(watch(&table).await, rows);
}

#[tokio::test]
async fn kvctl_watch_ends_by_ctrl_c_and_says_what_it_cannot_show() {
    let _turn = wait::turn().await;
    let cluster = one_node_with_a_history().await;
    let watching = cluster.begin_kvctl(&["watch", "colour", "--since", "7"]);
    assert_eq!(watching.lines(1).await, ["7 del colour"]);
    watching.signal(Signal::INT);
    let ended = watching.end().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    // It was to show more.
    let watching = cluster.begin_kvctl(&["watch", "colour", "--since", "7", "--events", "9"]);
    watching.lines(1).await;
    watching.signal(Signal::INT);
    assert_eq!(watching.end().await.code, Some(130));

    assert_eq!(cluster.kvctl(&["compact", "5"]).await.code, Some(0));
    let ended = cluster.kvctl(&["watch", "colour", "--since", "4"]).await;
    let words = "kvctl: the revision has been compacted, the oldest one is 5\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), words));
    let ended = cluster.kvctl(&["watch", "fruits", "--since", "5", "--events", "1"]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "5 put fruits (SET)\n"));
    let ended = cluster.kvctl(&["watch", ""]).await;
    let words = "kvctl: key is not provided\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(2), words));
}

/// A watch as any program could have it.
async fn open(connection: &mut Connection, interest: &Interest<'_>, start: u64) -> u64 {
    let body = encoded(|bytes| interest.encode(bytes));
    connection.send(Op::Watch { start, marks: false, body: &body }).await.unwrap()
}

/// The revisions that a watch is shown up to one, which may be ended as slow and goes on then.
async fn revisions(connection: &mut Connection, interest: &Interest<'_>, last: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.last() != Some(&last) {
        match connection.receive().await.unwrap().1 {
            Said::Watching(_) => {}
            Said::Events { body, .. } => {
                let changes = Change::decode_all(&body).expect("changes are shown");
                seen.extend(changes.iter().map(|change| change.revision));
            }
            Said::Ended(WatchEnded { why: WatchEnded::SLOW, revision, .. }) => {
                open(connection, interest, revision).await;
            }
            other => panic!("a watch is told {other:?}"),
        }
    }
    seen
}

/// S13: who does not read is ended with the revision to go on at, the others notice nothing, and
/// the node keeps little for it.
#[tokio::test]
async fn a_watch_that_is_not_read_is_ended_and_goes_on_where_it_was() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let interest = Interest::of(KeyRange::single(KEY));
    let mut lazy = Connection::open(cluster.address(1)).await.unwrap();
    let id = open(&mut lazy, &interest, 0).await;
    assert_eq!(lazy.receive().await.unwrap(), (id, Said::Watching(1)));
    let client = connect(cluster.addresses.clone()).await;
    let mut other = client.watch(&interest, WatchOptions::default()).await.unwrap();
    // More than the system and the backlog take.
    let (value, puts) = (vec![b'v'; 100_000], 400);
    for number in 1..=puts {
        client.put(KEY, &value).await.unwrap();
        let update = wait::in_time("change for who reads", other.next()).await.unwrap();
        assert!(matches!(update, Update::Changes { revision, .. } if revision == 1 + number));
    }
    let mut seen = 0;
    let resume_at = loop {
        match wait::in_time("word to the lazy", lazy.receive()).await.unwrap().1 {
            Said::Events { .. } => seen += 1,
            Said::Ended(WatchEnded { why: WatchEnded::SLOW, revision, .. }) => break revision,
            other => panic!("a watch is told {other:?}"),
        }
    };
    assert!(seen < puts && resume_at == 2 + seen, "{seen} and then {resume_at}");
    open(&mut lazy, &interest, resume_at).await;
    let rest = wait::in_time("rest", revisions(&mut lazy, &interest, 1 + puts)).await;
    assert_eq!(rest, (resume_at..=1 + puts).collect::<Vec<_>>());
}

/// H7: a follower that was given a snapshot shows what happened meanwhile, and nothing twice.
#[tokio::test]
async fn rel_h7_a_watch_goes_on_over_the_snapshot_that_its_node_is_given() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start_with(3, &["--snapshot-log-bytes", "131072"]).await;
    let (leader, away) = (cluster.leader().await, cluster.follower().await);
    let interest = Interest::of(KeyRange::single(KEY));
    let mut watching = Connection::open(cluster.address(away)).await.unwrap();
    open(&mut watching, &interest, 2).await;
    let others = cluster.addresses.iter().filter(|it| *it != cluster.address(away));
    let client = connect(others.cloned().collect()).await;
    let value = vec![b'v'; 60_000];
    for _ in 0..10 {
        client.put(KEY, &value).await.unwrap();
    }
    let seen = wait::in_time("first changes", revisions(&mut watching, &interest, 11)).await;
    assert_eq!(seen, (2..=11).collect::<Vec<_>>());
    cluster.node(away).signal(Signal::STOP);
    // One that is there but slow holds the log for one snapshot more, and 8 MiB of it are on their
    // way already.
    let (mut last, mut snapshots) = (11, BTreeSet::new());
    while snapshots.iter().nth_back(1).is_none_or(|&index| index < 250) {
        client.put(KEY, &value).await.unwrap();
        last += 1;
        let leader = cluster.status(leader).await;
        snapshots.insert(leader.snapshot_index);
    }
    cluster.node(away).signal(Signal::CONT);
    let seen = wait::in_time("later changes", revisions(&mut watching, &interest, last)).await;
    assert_eq!(seen, (12..=last).collect::<Vec<_>>());
    cluster.node(away).complains(&["a snapshot took the place of the state"]).await;
}

/// A node that stands still keeps its connections and says nothing: the watch goes elsewhere.
#[tokio::test]
async fn a_watch_leaves_a_node_that_stands_still() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    let frozen = cluster.follower().await;
    let interest = Interest::of(KeyRange::single(KEY));
    let watching = connect(first(&cluster, frozen)).await;
    let mut watch = watching.watch(&interest, WatchOptions::default()).await.unwrap();
    cluster.node(frozen).signal(Signal::STOP);
    let others = cluster.addresses.iter().filter(|it| *it != cluster.address(frozen));
    let client = connect(others.cloned().collect()).await;
    for number in 1..=3 {
        assert_eq!(client.put(KEY, &text(number)).await, Ok(1 + number));
    }
    for revision in 2..=4 {
        let update = wait::in_time("change", watch.next()).await.unwrap();
        assert!(matches!(update, Update::Changes { revision: found, .. } if found == revision));
    }
    cluster.node(frozen).signal(Signal::CONT);
}

/// What goes after a time is removed for those who watch, as by anybody's hand.
#[tokio::test]
async fn what_goes_after_a_time_is_shown_as_removed() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let watching = cluster.begin_kvctl(&["watch", "", "--prefix", "--prev", "--since", "2"]);
    assert_eq!(cluster.kvctl(&["put", "soon", "gone", "--ttl", "100ms"]).await.code, Some(0));
    let lines = watching.lines(2).await;
    assert_eq!(lines, ["2 put soon gone", "3 del soon (was gone)"]);
}
