//! Messages on channels: between clients of all nodes, in order, and at nobody else's cost.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::peer::{Peer, Reply, encoded};
use super::{Node, Redis, find};
use crate::harness::client::{Connection, Said};
use crate::harness::cluster::Cluster;
use crate::harness::process::Process;
use crate::harness::scratch::Scratch;
use crate::harness::wait;
use raft_net::client_protocol::Op;

/// Publishes a word at a node until somebody hears it, and then a last word.
async fn until_links_stand(from: &mut Peer, to: &mut Peer, last: &str) {
    wait::until("message over the links", async || {
        from.ask("PUBLISH news begin").await;
        timeout(Duration::from_millis(100), to.next()).await.ok().flatten()
    })
    .await;
    // What else is on its way comes before this.
    from.ask(&format!("PUBLISH news {last}")).await;
    until_heard(to, last).await;
}

async fn until_heard(to: &mut Peer, last: &str) {
    while !format!("{:?}", to.reply().await).contains(&format!("\"{last}\"")) {}
}

#[tokio::test]
async fn what_is_published_at_one_node_is_told_at_another_in_order() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let [near, far] = cluster.ids().into_iter().filter(|id| *id != leader).collect::<Vec<_>>()[..]
    else {
        panic!("three nodes")
    };
    let mut two = Peer::connect(cluster.address(near)).await;
    two.check("SUBSCRIBE news", "*[\"subscribe\", \"news\", 1]").await;
    let mut three = Peer::connect(cluster.address(far)).await;
    three.ask("HELLO 3").await;
    three.check("PSUBSCRIBE n*", ">[\"psubscribe\", \"n*\", 1]").await;
    let mut publisher = Peer::connect(cluster.address(leader)).await;
    until_links_stand(&mut publisher, &mut two, "one").await;
    until_links_stand(&mut publisher, &mut three, "two").await;
    until_heard(&mut two, "two").await;
    publisher.check("PUBSUB NUMSUB news", "*[\"news\", 0]").await;
    // A subscriber that hears of a write can read it, at whichever node.
    let rounds = 200;
    let mut bytes = Vec::new();
    for round in 0..rounds {
        let round = round.to_string();
        bytes.extend(encoded(&["SET", "k", &round]));
        bytes.extend(encoded(&["PUBLISH", "news", &round]));
    }
    publisher.send(&bytes).await;
    let mut reader = Peer::connect(cluster.address(far)).await;
    for round in 0..rounds {
        let expected = format!("*[\"message\", \"news\", \"{round}\"]");
        assert_eq!(format!("{:?}", two.reply().await), expected);
        let expected = format!(">[\"pmessage\", \"n*\", \"news\", \"{round}\"]");
        assert_eq!(format!("{:?}", three.reply().await), expected);
        let Reply::Bytes(seen) = reader.ask("GET k").await else { panic!("no value") };
        assert!(round <= String::from_utf8(seen).unwrap().parse::<i32>().unwrap());
        assert_eq!(publisher.reply().await, Reply::Line("+OK".to_owned()));
        assert_eq!(publisher.reply().await, Reply::Number(0));
    }

    // Without a leader, and with the node gone that published.
    cluster.kill(leader);
    let mut publisher = Peer::connect(cluster.address(near)).await;
    cluster.leader().await;
    until_links_stand(&mut publisher, &mut three, "three").await;
    until_heard(&mut two, "three").await;
    publisher.check("PUBLISH news again", "1").await;
    assert_eq!(format!("{:?}", two.reply().await), "*[\"message\", \"news\", \"again\"]");
    let expected = ">[\"pmessage\", \"n*\", \"news\", \"again\"]";
    assert_eq!(format!("{:?}", three.reply().await), expected);
    cluster.kill(far);
    assert_eq!(three.next().await, None);
    wait::until("the end of the leader", async || {
        let said = format!("{:?}", publisher.ask("GET k").await);
        (said.starts_with("-CLUSTERDOWN") || said.starts_with("-UNKNOWN")).then_some(())
    })
    .await;
    publisher.check("PUBLISH news alone", "1").await;
    publisher.check("MULTI", "+OK").await;
    publisher.check("PUBLISH news more", "+QUEUED").await;
    publisher.check("EXEC", "*[1]").await;
    for message in ["alone", "more"] {
        let expected = format!("*[\"message\", \"news\", \"{message}\"]");
        assert_eq!(format!("{:?}", two.reply().await), expected);
    }
}

/// What several connections say one after the other, to a node and to a real server.
const TALK: &[(usize, &str)] = &[
    (0, "UNSUBSCRIBE"),
    (0, "UNSUBSCRIBE a b"),
    (0, "PUNSUBSCRIBE"),
    (0, "SUBSCRIBE a"),
    (0, "SUBSCRIBE a"),
    (0, "PSUBSCRIBE p*"),
    (0, "PING"),
    (0, "PING x"),
    (0, "PING x y"),
    (0, "GET a"),
    (0, "GET"),
    (0, "NOSUCH"),
    (0, "MULTI"),
    (0, "CLIENT ID"),
    (0, "PUBSUB CHANNELS"),
    (0, "PUBLISH a 1"),
    (0, "HELLO 3"),
    (0, "SUBSCRIBE"),
    (1, "PUBLISH a one"),
    (0, ""),
    (1, "PUBLISH pa two"),
    (0, ""),
    (1, "PUBSUB CHANNELS"),
    (1, "PUBSUB CHANNELS b*"),
    (1, "PUBSUB CHANNELS a b"),
    (1, "PUBSUB NUMSUB"),
    (1, "PUBSUB NUMSUB a b"),
    (1, "PUBSUB NUMPAT"),
    (1, "PUBSUB NUMPAT x"),
    (1, "PUBSUB FOO"),
    (1, "PUBSUB"),
    (1, "PUBLISH a"),
    (1, "PUBLISH a b c"),
    (0, "UNSUBSCRIBE zz"),
    (0, "UNSUBSCRIBE"),
    (0, "PUNSUBSCRIBE"),
    (0, "GET a"),
    (0, "MULTI"),
    (0, "SUBSCRIBE a"),
    (0, "PUBLISH a 1"),
    (0, "PING"),
    (0, "SET k v"),
    (0, "UNSUBSCRIBE a"),
    (0, "PING"),
    (0, "EXEC"),
    (0, "PING"),
    (0, "MULTI"),
    (0, "SUBSCRIBE a"),
    (0, "GET k"),
    (0, "EXEC"),
    (0, "GET k"),
    (0, "RESET"),
    (1, "PUBLISH a nobody"),
    (1, "HELLO 3 SETNAME x"),
    (1, "UNSUBSCRIBE"),
    (1, "SUBSCRIBE a"),
    (1, "PUBLISH a 1"),
    (1, ""),
    (1, "PSUBSCRIBE a*"),
    (1, "PUBLISH a 2"),
    (1, ""),
    (1, ""),
    (1, "PING"),
    (1, "GET k"),
    (1, "MULTI"),
    (1, "PUBLISH a 3"),
    (1, "GET k"),
    (1, "EXEC"),
    (1, "CLIENT REPLY SKIP"),
    (1, "UNSUBSCRIBE a"),
    (1, "PUNSUBSCRIBE"),
    (2, "CLIENT REPLY OFF"),
    (2, "SUBSCRIBE a"),
    (2, "UNSUBSCRIBE a"),
    (2, "CLIENT REPLY ON"),
    (2, "PING"),
    (2, "RESET"),
    (2, "CLIENT REPLY x"),
    (2, "GET k"),
];

/// Commands after which nothing is replied.
fn is_silent(words: &str) -> bool {
    ["CLIENT REPLY SKIP", "CLIENT REPLY OFF"].contains(&words)
}

#[tokio::test]
async fn a_node_says_of_channels_what_a_real_server_says() {
    let Some(redis) = Redis::start("a_node_says_of_channels_what_a_real_server_says").await else {
        return;
    };
    let _turn = wait::turn().await;
    let node = Node::start().await;
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        mine.push(Peer::connect(&node.address).await);
        theirs.push(Peer::connect(&redis.address).await);
    }
    for (step, (place, words)) in TALK.iter().enumerate() {
        let mut said = Vec::new();
        for peers in [&mut mine, &mut theirs] {
            let peer = &mut peers[*place];
            if !words.is_empty() {
                peer.send(&encoded(&words.split(' ').collect::<Vec<_>>())).await;
            }
            let hello = |reply: &str| reply.contains("\"server\"");
            let reply = if is_silent(words) { None } else { Some(peer.reply().await) };
            let reply = format!("{reply:?}");
            said.push(if hello(&reply) { "hello".to_owned() } else { reply });
            if words.starts_with("UNSUBSCRIBE a b") {
                said.push(format!("{:?}", peer.reply().await));
            }
        }
        let (one, other) = said.split_at(said.len() / 2);
        assert_eq!(one, other, "step {step}: {place} says {words:?}");
    }
}

/// A subscriber that reads nothing is sent away, and costs the others nothing.
#[tokio::test]
async fn a_subscriber_that_never_reads_costs_the_others_nothing() {
    let _turn = wait::turn().await;
    let node = Node::start().await;
    let mut silent = Peer::connect(&node.address).await;
    silent.check("SUBSCRIBE flood", "*[\"subscribe\", \"flood\", 1]").await;
    let mut native = Connection::open(&node.address).await.unwrap();
    let channels = vec![(&b"flood"[..]).into()];
    let id = native.send(Op::Subscribe { channels, patterns: Vec::new() }).await.unwrap();
    assert_eq!(native.receive().await.unwrap(), (id, Said::Subscribed));
    let mut reading = Peer::connect(&node.address).await;
    reading.check("SUBSCRIBE flood", "*[\"subscribe\", \"flood\", 1]").await;
    let mut publisher = Peer::connect(&node.address).await;
    let message = "x".repeat(1 << 20);
    let mut longest = Duration::ZERO;
    for number in 0..64 {
        let begin = Instant::now();
        publisher.send(&encoded(&["PUBLISH", "flood", &message])).await;
        let Reply::Number(count) = publisher.reply().await else { panic!("no count") };
        longest = longest.max(begin.elapsed());
        let Reply::Many(_, parts) = reading.reply().await else { panic!("no message") };
        assert_eq!(parts[2], Reply::Bytes(message.clone().into_bytes()), "message {number}");
        if number == 63 {
            assert_eq!(count, 1, "only one of them reads");
        }
    }
    assert!(longest < Duration::from_secs(5), "a message took {longest:?}");
    publisher.check("PUBSUB NUMSUB flood", "*[\"flood\", 1]").await;
    // The native connection is still good for other things, and says what was the matter.
    let mut messages = 0;
    loop {
        match native.receive().await.unwrap() {
            (_, Said::Message { .. }) => messages += 1,
            (ended, Said::Ended(why)) => {
                assert_eq!((ended, why.why), (id, 3), "{why:?}");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((8..40).contains(&messages), "{messages} of 64 messages");
    assert!(matches!(native.ask(Op::Status).await, Ok(Said::Status(_))));
    // The other connection ends, after what the system has taken for it.
    let mut messages = 0;
    while let Some(Reply::Many(..)) = silent.next().await {
        messages += 1;
    }
    assert!(messages < 40, "{messages} of 64 messages");
}

#[tokio::test]
async fn limits_of_channels_are_told() {
    let _turn = wait::turn().await;
    let node = Node::start().await;
    let mut peer = Peer::connect(&node.address).await;
    let long = "x".repeat(1_025);
    let expected = "-ERR a channel or a pattern of more than 1024 bytes";
    for words in ["SUBSCRIBE", "PSUBSCRIBE"] {
        peer.check(&format!("{words} {long}"), expected).await;
    }
    peer.check(&format!("PUBLISH {long} m"), expected).await;
    let message = "x".repeat(1_572_865);
    let expected = "-ERR a message of more than 1572864 bytes";
    peer.check(&format!("PUBLISH c {message}"), expected).await;
    peer.check(&format!("PUBLISH c {}", &message[1..]), "0").await;
    let mut names: Vec<String> = (0..=10_000).map(|number| number.to_string()).collect();
    names.insert(0, "SUBSCRIBE".to_owned());
    peer.send(&encoded(&names)).await;
    for number in 0..10_000 {
        let Reply::Many(_, parts) = peer.reply().await else { panic!("{number} is refused") };
        assert_eq!(parts[2], Reply::Number(number + 1));
    }
    let expected = "-ERR more than 10000 channels and patterns of one connection";
    assert_eq!(format!("{:?}", peer.reply().await), expected);
    drop(peer);
    let mut peer = Peer::connect(&node.address).await;
    wait::until("the end of the subscriptions", async || {
        (format!("{:?}", peer.ask("PUBSUB CHANNELS").await) == "*[]").then_some(())
    })
    .await;
}

/// `kvctl` and `redis-cli` hear each other, at different nodes, and `kvctl` goes on at another
/// node when its own is lost.
#[tokio::test]
async fn kvctl_and_redis_cli_hear_each_other() {
    let test = "kvctl_and_redis_cli_hear_each_other";
    let Some(program) = find(test, "redis-cli") else { return };
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let scratch = Scratch::new();
    let address = |id: u64| cluster.address(id).to_owned();
    let addresses = [address(1), address(2), address(3)];
    let endpoints = format!("{},{}", addresses[0], addresses[1]);
    let words = ["subscribe", "news", "--pattern", "n*", "-w", "json"];
    let subscriber = cluster.begin_kvctl_at(&endpoints, &words);
    let mut other = Peer::connect(&addresses[2]).await;
    let subscribed = async |address: &str| {
        let mut peer = Peer::connect(address).await;
        wait::until("subscriber", async || {
            (format!("{:?}", peer.ask("PUBSUB NUMSUB news").await) == "*[\"news\", 1]")
                .then_some(())
        })
        .await;
    };
    subscribed(&addresses[0]).await;
    wait::until("message over the links", async || {
        other.check("PUBLISH nothing first", "0").await;
        wait::pause().await;
        subscriber.stdout().contains("first").then_some(())
    })
    .await;
    let port = addresses[2].rsplit_once(':').unwrap().1;
    let said = Process::start(&scratch, "cli", &program, &["-p", port, "publish", "news", "hello"]);
    assert_eq!(said.end().await.stdout.trim(), "0");
    let by_name = r#"{"event":"message","channel":"news","message":"hello"}"#;
    let by_pattern = r#"{"event":"message","channel":"news","message":"hello","pattern":"n*"}"#;
    let shows = async |line: &str| {
        wait::until(line, async || subscriber.stdout().contains(line).then_some(())).await;
    };
    shows(by_name).await;
    shows(by_pattern).await;
    cluster.kill(1);
    subscribed(&addresses[1]).await;
    shows(r#"{"event":"gap"}"#).await;
    let ended = cluster.begin_kvctl_at(&addresses[1], &["publish", "news", "again"]).end().await;
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "2\n"), "{}", ended.stderr);
    shows(r#"{"event":"message","channel":"news","message":"again"}"#).await;
    // The other way round.
    let mut args = vec!["-p", addresses[1].rsplit_once(':').unwrap().1];
    args.extend(["--raw", "subscribe", "old"]);
    let cli = Process::start(&scratch, "listening", &program, &args);
    cli.lines(3).await;
    wait::until("message for redis-cli", async || {
        cluster.begin_kvctl_at(&addresses[2], &["publish", "old", "to you"]).end().await;
        cli.stdout().contains("message\nold\nto you\n").then_some(())
    })
    .await;
    let ended = cluster.kvctl(&["publish", "x", "y", "--request-id", "7:1"]).await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    drop(subscriber);
}
