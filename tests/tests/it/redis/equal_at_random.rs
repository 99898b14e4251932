//! Random commands to a node and to a real server: the replies are the same.

use std::collections::HashSet;

use super::peer::{Peer, Reply, encoded};
use super::{Node, Redis};
use crate::harness::wait;

/// Numbers that look random, from a seed (Steele 2014, SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((word ^ (word >> 31)) % bound as u64).unwrap()
    }

    fn one_of<'t>(&mut self, all: &[&'t str]) -> &'t str {
        all[self.below(all.len())]
    }
}

/// Commands, some to a line: K stands for a key, V for a value, F for a field or member, N for a
/// number, D for a decimal number, S for a time to live, L for another one each time, P for a
/// pattern, and C for a channel.
const COMMANDS: &[&str] = &[
    "GET K; SET K V; SET K V; SET K V NX; SET K V XX; SET K V GET; SET K V NX GET",
    "SET K V EX S; SET K V PX S KEEPTTL; SET K V KEEPTTL; SET K V EXAT 4000000000",
    "SET K V EX N; SET K V XX GET; SETNX K V; SETEX K S V; PSETEX K S V; SETEX K N V",
    "GETSET K V; GETDEL K; GETEX K; GETEX K EX S; GETEX K PERSIST; GETEX K EX S PERSIST",
    "GETEX K PXAT S; MSET K V K V; MSET K V K; MSETNX K V K V; MGET K K K; APPEND K V",
    "STRLEN K; INCR K; DECR K; INCRBY K N; DECRBY K N; INCRBYFLOAT K D; GETRANGE K N N",
    "SUBSTR K N N; SETRANGE K N V; DEL K; DEL K K; UNLINK K; EXISTS K; EXISTS K K K",
    "TOUCH K K; TYPE K; EXPIRE K S; EXPIRE K N; EXPIRE K S NX; EXPIRE K S XX; EXPIRE K L GT",
    "EXPIRE K L LT; EXPIRE K L NX GT; EXPIRE K S FOO; PEXPIRE K S; EXPIREAT K S",
    "PEXPIREAT K S; PERSIST K; TTL K; PTTL K; EXPIRETIME K; RENAME K K; RENAMENX K K; KEYS P",
    "DBSIZE; HSET K F V; HSET K F V F V; HSET K F V F; HMSET K F V; HSETNX K F V; HGET K F",
    "HMGET K F F; HDEL K F; HDEL K F F; HEXISTS K F; HLEN K; HSTRLEN K F; HKEYS K; HVALS K",
    "HGETALL K; HINCRBY K F N; HINCRBYFLOAT K F D; HRANDFIELD K 9; HRANDFIELD K 9 WITHVALUES",
    "HRANDFIELD K 0; SADD K F; SADD K F F F; SREM K F; SREM K F F; SMEMBERS K; SISMEMBER K F",
    "SMISMEMBER K F F; SCARD K; SPOP K 9; SPOP K 0; SPOP K -1; SPOP K x; SMOVE K K F",
    "SINTER K K; SUNION K K; SDIFF K K; SINTERSTORE K K K; SUNIONSTORE K K K",
    "SDIFFSTORE K K K; SINTERCARD 2 K K; SINTERCARD 2 K K LIMIT N; SINTERCARD N K K; MULTI",
    "EXEC; DISCARD; WATCH K; UNWATCH; PING; ECHO V; SELECT 0; GET; GET K K; NOSUCH K V",
    "TIME K; CONFIG GET save; SCAN 0 COUNT 1000; SSCAN K 0 COUNT 1000; HSCAN K 0 COUNT 1000",
    "SRANDMEMBER K 9; SCAN x; SCAN 0 COUNT 0; FLUSHALL; OBJECT FREQ K; OBJECT REFCOUNT none",
    "OBJECT ENCODING none",
    "PUBLISH C V; PUBLISH C V; PUBSUB NUMSUB C C; PUBSUB NUMPAT; PUBSUB CHANNELS; PUBSUB FOO",
    "SUBSCRIBE C; SUBSCRIBE C; UNSUBSCRIBE C; PSUBSCRIBE c*; PUNSUBSCRIBE c*; PUNSUBSCRIBE",
    "CLIENT GETREDIR; CLIENT TRACKING off; CLIENT NO-EVICT on; CLIENT REPLY ON; CLIENT UNBLOCK 0",
    "PUBSUB NUMPAT K; SUBSCRIBE; PUBLISH C; SAVE K; LASTSAVE K; BGSAVE K",
];

/// Commands of which the next ones are told something, or that are told more than a reply.
const OF_CHANNELS: &[&str] = &["PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", "PSUBSCRIBE", "PUNSUBSCRIBE"];

/// `may_subscribe`: whether who is subscribed may go on with other commands, and whether nothing
/// is queued, since a reply to what is queued has its messages in it.
fn command(numbers: &mut Numbers, may_subscribe: bool) -> Vec<String> {
    loop {
        let all: Vec<&str> = COMMANDS.iter().flat_map(|line| line.split("; ")).collect();
        let chosen = numbers.one_of(&all);
        // Seldom, so that something is there.
        if chosen == "FLUSHALL" && numbers.below(20) != 0 {
            continue;
        }
        let name = chosen.split(' ').next().unwrap();
        if !may_subscribe && OF_CHANNELS.contains(&name) {
            continue;
        }
        let word = |word: &str| match word {
            "K" => numbers.one_of(&["a", "b", "c", "d", "e"]).to_owned(),
            "V" => numbers.one_of(&["x", "12", "-3", "", "1.5", "a b\r\n", "0012"]).to_owned(),
            "F" => numbers.one_of(&["f", "g", "h", "1", ""]).to_owned(),
            "N" => numbers
                .one_of(&["0", "1", "-1", "5", "-7", "x", "9223372036854775807", "1.5", ""])
                .to_owned(),
            "D" => numbers.one_of(&["1.5", "-0.25", "3", "1e2", "x", "", "nan"]).to_owned(),
            "S" => numbers.one_of(&["100000", "200000", "300000"]).to_owned(),
            // Never the same twice, since both servers count time in steps of their own.
            "L" => (100_000 + numbers.below(300_000)).to_string(),
            "C" => numbers.one_of(&["c", "cc", "d"]).to_owned(),
            "P" => numbers.one_of(&["*", "a*", "?", "[ab]", "x"]).to_owned(),
            other => other.to_owned(),
        };
        return chosen.split(' ').map(word).collect();
    }
}

/// The parts of a reply whose order nobody promises, in order.
fn sorted(name: &str, reply: Reply) -> Reply {
    let is_pairs = name == "HGETALL";
    match reply {
        Reply::Many(mark, all) if name.ends_with("SCAN") && all.len() == 2 => {
            let inner = if name == "HSCAN" { "HGETALL" } else { "SMEMBERS" };
            let all = all.into_iter().map(|part| sorted(inner, part)).collect();
            Reply::Many(mark, all)
        }
        Reply::Many(mark, all) if is_pairs => {
            let mut pairs: Vec<_> = all.chunks(2).map(<[Reply]>::to_vec).collect();
            pairs.sort();
            Reply::Many(mark, pairs.concat())
        }
        Reply::Many(mark, mut all) => {
            all.sort();
            Reply::Many(mark, all)
        }
        other => other,
    }
}

/// Whether two replies say the same, as far as they can.
fn agree(words: &[String], queued: &[Vec<String>], one: &Reply, other: &Reply) -> bool {
    let name = &words[0][..];
    match (one, other) {
        // What was queued, one after the other.
        (Reply::Many(_, one), Reply::Many(_, other)) if name == "EXEC" => {
            let pairs = one.iter().zip(other).zip(queued);
            let agrees = |((one, other), words): ((&Reply, &Reply), &Vec<String>)| {
                agree(words, &[], one, other)
            };
            one.len() == other.len() && one.len() == queued.len() && pairs.into_iter().all(agrees)
        }
        // Time passes, and both count it from another moment.
        (Reply::Number(one), Reply::Number(other))
            if name.contains("TTL") || name == "EXPIRETIME" =>
        {
            let most = if name == "PTTL" { 5_000 } else { 5 };
            one == other || (0 < *one && 0 < *other && one.abs_diff(*other) < most)
        }
        _ => {
            let unordered = [
                "KEYS",
                "HKEYS",
                "HVALS",
                "HGETALL",
                "HRANDFIELD",
                "SMEMBERS",
                "SPOP",
                "SRANDMEMBER",
                "SINTER",
                "SUNION",
                "SDIFF",
                "SCAN",
                "HSCAN",
                "SSCAN",
            ];
            let is_list = name == "PUBSUB" && words[1] == "CHANNELS";
            let is_unordered = is_list || unordered.contains(&name);
            // Names with values one after the other, unless they are arrays of two.
            let is_flat =
                matches!(one, Reply::Many(_, all) if !matches!(all.first(), Some(Reply::Many(..))));
            let name =
                if words.len() == 4 && name == "HRANDFIELD" && is_flat { "HGETALL" } else { name };
            let shown = |reply: &Reply| {
                if is_unordered { sorted(name, reply.clone()) } else { reply.clone() }
            };
            shown(one) == shown(other)
        }
    }
}

/// Commands in batches, so that there are many and so that pipelines are tried as well.
/// `KVORUM_REDIS_COMMANDS` says how many, and `KVORUM_REDIS_SEED` where to begin.
#[tokio::test]
async fn a_node_replies_as_a_real_server_does() {
    let Some(redis) = Redis::start("a_node_replies_as_a_real_server_does").await else { return };
    let _turn = wait::turn().await;
    let node = Node::start().await;
    let setting = |name: &str, default| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let mut left: usize = setting("KVORUM_REDIS_COMMANDS", 100_000);
    let first_seed = setting("KVORUM_REDIS_SEED", 0);
    let mut tried = HashSet::new();
    for seed in first_seed as u64.. {
        if left == 0 {
            break;
        }
        let mut numbers = Numbers(seed);
        let (mut one, mut other) =
            (Peer::connect(&node.address).await, Peer::connect(&redis.address).await);
        for peer in [&mut one, &mut other] {
            peer.check("FLUSHALL", "+OK").await;
            if seed % 3 == 2 {
                peer.ask("HELLO 3").await;
            }
        }
        let mut queued: Vec<Vec<String>> = Vec::new();
        let mut is_queueing = false;
        for _ in 0..20 {
            let mut batch = Vec::new();
            for _ in 0..=numbers.below(60) {
                let words = command(&mut numbers, seed % 3 == 2 && !is_queueing);
                match &words[0][..] {
                    "MULTI" => is_queueing = true,
                    "EXEC" | "DISCARD" => is_queueing = false,
                    _ => {}
                }
                batch.push(words);
            }
            let bytes: Vec<u8> = batch.iter().flat_map(|words| encoded(words)).collect();
            one.send(&bytes).await;
            other.send(&bytes).await;
            for words in &batch {
                let (mut mine, mut theirs) = (one.reply().await, other.reply().await);
                // What is said on channels comes before the reply to it.
                while words[0] == "PUBLISH" && matches!(theirs, Reply::Many(b'>', _)) {
                    assert_eq!(mine, theirs, "seed {seed}: {words:?}");
                    (mine, theirs) = (one.reply().await, other.reply().await);
                }
                let is_equal = agree(words, &queued, &mine, &theirs);
                assert!(is_equal, "seed {seed}: {words:?}: {mine:?} and not {theirs:?}");
                match &words[0][..] {
                    "MULTI" | "EXEC" | "DISCARD" if !format!("{theirs:?}").contains("nested") => {
                        queued.clear();
                    }
                    _ if theirs == Reply::Line("+QUEUED".to_owned()) => queued.push(words.clone()),
                    _ => {}
                }
                tried.insert(words[0].clone());
                left = left.saturating_sub(1);
            }
        }
        // Nobody is subscribed when the next ones come.
        for peer in [&mut one, &mut other] {
            peer.check("RESET", "+RESET").await;
        }
    }
    assert!(node.process.stderr().lines().all(|line| !line.contains("panicked")));
    assert!(75 < tried.len(), "only {} commands were tried", tried.len());
}
