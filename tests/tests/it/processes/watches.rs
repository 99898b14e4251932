//! Watches over real processes: what is seen while leaders are killed, and the node that serves.

use std::env;

use kvorum_client::{Client, Event, Interest, KeyRange, Options, Update, WatchOptions};

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
