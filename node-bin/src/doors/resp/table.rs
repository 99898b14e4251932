//! Every command: its name, how many words it has, and who makes its plan.

use raft_net::resp::ReplyWriter;

use super::plan::{Made, Making, Refused, is, wrong_count};
use super::server::unknown_subcommand;
use super::{hashes, keys, server, sets, strings};

/// Who plans a command with the right number of words.
pub(super) type Plans = for<'w, 'm, 'a> fn(&'a mut Making<'m, 'w>, &'a [&'w [u8]]) -> Made<'w>;

/// A command.
pub(super) struct Entry {
    /// In small letters.
    pub(super) name: &'static str,
    /// How many words, its name included; below zero at least so many.
    arity: i64,
    /// Whether it may change keys; nothing if it is about none.
    writes: Option<bool>,
    /// The first and the last word that is a key, and in which steps; zeros without keys.
    keys: [i64; 3],
    pub(super) task: Task,
}

/// Whose business a command is.
#[derive(Clone, Copy)]
pub(super) enum Task {
    /// It is planned and then asked or said.
    Plan(Plans),
    /// It is about the connection's state.
    Control(Control),
    /// It is about channels.
    Speak,
}

/// A command about the connection's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Multi,
    Exec,
    Discard,
    Watch,
    Unwatch,
    Quit,
    Reset,
    Wait,
}

/// Commands whose name is that of a group, with the command itself behind it.
const GROUPS: &[&str] = &["client", "command", "config", "object", "pubsub"];

/// Commands of groups of which a transaction takes these alone, and how many words they have.
const OF_GROUPS: &[(&str, &str, i64)] = &[
    ("object", "encoding", 3),
    ("object", "freq", 3),
    ("object", "help", 2),
    ("object", "idletime", 3),
    ("object", "refcount", 3),
    ("pubsub", "channels", -2),
    ("pubsub", "help", 2),
    ("pubsub", "numpat", 2),
    ("pubsub", "numsub", -2),
];

fn fits(arity: i64, words: usize) -> bool {
    let words = i64::try_from(words).unwrap_or(i64::MAX);
    if arity < 0 { -arity <= words } else { arity == words }
}

impl Entry {
    /// Whether a command may have so many words.
    pub(super) fn takes(&self, words: usize) -> bool {
        fits(self.arity, words)
    }

    /// Whether a transaction takes the command of the group that these words say.
    ///
    /// Errors: as Redis, which looks at that before it queues.
    pub(super) fn check_of_group(&self, words: &[&[u8]]) -> Result<(), Refused> {
        let mut of_group = OF_GROUPS.iter().filter(|it| it.0 == self.name).peekable();
        if of_group.peek().is_none() {
            return Ok(());
        }
        match of_group.find(|it| is(words[1], it.1)) {
            Some((_, _, arity)) if fits(*arity, words.len()) => Ok(()),
            Some(_) => Err(wrong_count(&self.full_name(words))),
            None => Err(unknown_subcommand(words[1], &self.name.to_ascii_uppercase())),
        }
    }

    /// Whether it is carried out at once behind MULTI.
    pub(super) fn is_for_now(&self) -> bool {
        let Task::Control(control) = self.task else { return false };
        !matches!(control, Control::Unwatch | Control::Wait)
    }

    /// Whether a subscriber may say it in RESP2.
    pub(super) fn is_for_subscribers(&self) -> bool {
        match self.task {
            Task::Speak => !matches!(self.name, "publish" | "pubsub"),
            Task::Control(control) => matches!(control, Control::Quit | Control::Reset),
            Task::Plan(_) => false,
        }
    }

    /// The name with that of the command of the group, if it is one.
    pub(super) fn full_name(&self, words: &[&[u8]]) -> String {
        match words.get(1) {
            Some(word) if GROUPS.contains(&self.name) => {
                format!("{}|{}", self.name, String::from_utf8_lossy(word).to_ascii_lowercase())
            }
            Some(_) | None => self.name.to_owned(),
        }
    }

    /// As `COMMAND` shows it.
    pub(super) fn describe(&self, out: &mut ReplyWriter<'_>) {
        out.array(6);
        out.bulk(self.name.as_bytes());
        out.integer(self.arity);
        let flag = self.writes.map(|writes| if writes { "write" } else { "readonly" });
        out.array(usize::from(flag.is_some()));
        flag.into_iter().for_each(|flag| out.status(flag));
        self.keys.iter().for_each(|place| out.integer(*place));
    }
}

const NO_KEY: [i64; 3] = [0, 0, 0];
const ONE_KEY: [i64; 3] = [1, 1, 1];
const TWO_KEYS: [i64; 3] = [1, 2, 1];
const ALL_KEYS: [i64; 3] = [1, -1, 1];
const PAIRS: [i64; 3] = [1, -1, 2];

const fn other(name: &'static str, arity: i64, plan: Plans) -> Entry {
    Entry { name, arity, writes: None, keys: NO_KEY, task: Task::Plan(plan) }
}

const fn read(name: &'static str, arity: i64, keys: [i64; 3], plan: Plans) -> Entry {
    Entry { name, arity, writes: Some(false), keys, task: Task::Plan(plan) }
}

const fn write(name: &'static str, arity: i64, keys: [i64; 3], plan: Plans) -> Entry {
    Entry { name, arity, writes: Some(true), keys, task: Task::Plan(plan) }
}

const fn control(name: &'static str, arity: i64, control: Control) -> Entry {
    let keys = if matches!(control, Control::Watch) { ALL_KEYS } else { NO_KEY };
    Entry { name, arity, writes: None, keys, task: Task::Control(control) }
}

const fn speak(name: &'static str, arity: i64) -> Entry {
    Entry { name, arity, writes: None, keys: NO_KEY, task: Task::Speak }
}

/// In the order of their names, so that one is found quickly.
static ENTRIES: &[Entry] = &[
    write("append", 3, ONE_KEY, strings::append),
    other("auth", -2, server::auth),
    other("bgsave", -1, server::save),
    other("client", -2, server::client),
    other("command", -1, server::command),
    other("config", -2, server::config),
    read("dbsize", 1, NO_KEY, keys::dbsize),
    write("decr", 2, ONE_KEY, strings::incr),
    write("decrby", 3, ONE_KEY, strings::incr),
    write("del", -2, ALL_KEYS, keys::del),
    control("discard", 1, Control::Discard),
    other("echo", 2, server::echo),
    control("exec", 1, Control::Exec),
    read("exists", -2, ALL_KEYS, keys::exists_count),
    write("expire", -3, ONE_KEY, keys::expire),
    write("expireat", -3, ONE_KEY, keys::expire),
    read("expiretime", 2, ONE_KEY, keys::ttl),
    write("flushall", -1, NO_KEY, keys::flush),
    write("flushdb", -1, NO_KEY, keys::flush),
    read("get", 2, ONE_KEY, strings::get_value),
    write("getdel", 2, ONE_KEY, strings::getdel),
    write("getex", -2, ONE_KEY, strings::getex),
    read("getrange", 4, ONE_KEY, strings::getrange),
    write("getset", 3, ONE_KEY, strings::getset),
    write("hdel", -3, ONE_KEY, hashes::hdel),
    other("hello", -1, server::hello),
    read("hexists", 3, ONE_KEY, hashes::hexists),
    read("hget", 3, ONE_KEY, hashes::hget),
    read("hgetall", 2, ONE_KEY, hashes::all),
    write("hincrby", 4, ONE_KEY, hashes::hincrby),
    write("hincrbyfloat", 4, ONE_KEY, hashes::hincrbyfloat),
    read("hkeys", 2, ONE_KEY, hashes::all),
    read("hlen", 2, ONE_KEY, hashes::hlen),
    read("hmget", -3, ONE_KEY, hashes::hmget),
    write("hmset", -4, ONE_KEY, hashes::hset),
    read("hrandfield", -2, ONE_KEY, hashes::hrandfield),
    read("hscan", -3, ONE_KEY, hashes::hscan),
    write("hset", -4, ONE_KEY, hashes::hset),
    write("hsetnx", 4, ONE_KEY, hashes::hsetnx),
    read("hstrlen", 3, ONE_KEY, hashes::hstrlen),
    read("hvals", 2, ONE_KEY, hashes::all),
    write("incr", 2, ONE_KEY, strings::incr),
    write("incrby", 3, ONE_KEY, strings::incr),
    write("incrbyfloat", 3, ONE_KEY, strings::incrbyfloat),
    other("info", -1, server::info),
    read("keys", 2, NO_KEY, keys::keys),
    other("lastsave", 1, server::save),
    read("mget", -2, ALL_KEYS, strings::mget),
    write("mset", -3, PAIRS, strings::mset),
    write("msetnx", -3, PAIRS, strings::msetnx),
    control("multi", 1, Control::Multi),
    read("object", -2, [2, 2, 1], keys::object),
    write("persist", 2, ONE_KEY, keys::persist),
    write("pexpire", -3, ONE_KEY, keys::expire),
    write("pexpireat", -3, ONE_KEY, keys::expire),
    read("pexpiretime", 2, ONE_KEY, keys::ttl),
    speak("ping", -1),
    write("psetex", 4, ONE_KEY, strings::setex),
    speak("psubscribe", -2),
    read("pttl", 2, ONE_KEY, keys::ttl),
    speak("publish", 3),
    speak("pubsub", -2),
    speak("punsubscribe", -1),
    control("quit", -1, Control::Quit),
    read("randomkey", 1, NO_KEY, keys::random_key),
    write("rename", 3, TWO_KEYS, keys::rename),
    write("renamenx", 3, TWO_KEYS, keys::renamenx),
    control("reset", 1, Control::Reset),
    write("sadd", -3, ONE_KEY, sets::sadd),
    other("save", 1, server::save),
    read("scan", -2, NO_KEY, keys::scan),
    read("scard", 2, ONE_KEY, sets::scard),
    write("sdel", -3, ONE_KEY, sets::srem),
    read("sdiff", -2, ALL_KEYS, sets::combine),
    write("sdiffstore", -3, ALL_KEYS, sets::store_combined),
    other("select", 2, server::select),
    write("set", -3, ONE_KEY, strings::set),
    write("setex", 4, ONE_KEY, strings::setex),
    write("setnx", 3, ONE_KEY, strings::setnx),
    write("setrange", 4, ONE_KEY, strings::setrange),
    read("shas", 3, ONE_KEY, sets::sismember),
    read("sinter", -2, ALL_KEYS, sets::combine),
    read("sintercard", -3, NO_KEY, sets::sintercard),
    write("sinterstore", -3, ALL_KEYS, sets::store_combined),
    read("sismember", 3, ONE_KEY, sets::sismember),
    read("smembers", 2, ONE_KEY, sets::smembers),
    read("smismember", -3, ONE_KEY, sets::smismember),
    write("smove", 4, TWO_KEYS, sets::smove),
    write("spop", -2, ONE_KEY, sets::spop),
    read("srandmember", -2, ONE_KEY, sets::srandmember),
    write("srem", -3, ONE_KEY, sets::srem),
    read("sscan", -3, ONE_KEY, sets::sscan),
    write("sset", -3, ONE_KEY, sets::sadd),
    read("strlen", 2, ONE_KEY, strings::strlen),
    speak("subscribe", -2),
    read("substr", 4, ONE_KEY, strings::getrange),
    read("sunion", -2, ALL_KEYS, sets::combine),
    write("sunionstore", -3, ALL_KEYS, sets::store_combined),
    other("time", 1, server::time),
    read("touch", -2, ALL_KEYS, keys::exists_count),
    read("ttl", 2, ONE_KEY, keys::ttl),
    read("type", 2, ONE_KEY, keys::type_of),
    write("unlink", -2, ALL_KEYS, keys::del),
    speak("unsubscribe", -1),
    control("unwatch", 1, Control::Unwatch),
    control("wait", 3, Control::Wait),
    control("watch", -2, Control::Watch),
];

/// The longest name. Units: bytes.
const NAME_BYTES_MAX: usize = 16;

/// Every command of the table.
pub(super) fn all() -> &'static [Entry] {
    ENTRIES
}

/// The command of this name, in whatever case.
pub(super) fn find(name: &[u8]) -> Option<&'static Entry> {
    let mut small = [0; NAME_BYTES_MAX];
    let small = small.get_mut(..name.len())?;
    small.copy_from_slice(name);
    small.make_ascii_lowercase();
    let place = ENTRIES.binary_search_by(|entry| entry.name.as_bytes().cmp(small)).ok()?;
    ENTRIES.get(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_by_its_name() {
        assert!(all().is_sorted_by(|one, next| one.name < next.name));
        for entry in all() {
            let upper = entry.name.to_ascii_uppercase();
            assert_eq!(find(upper.as_bytes()).map(|found| found.name), Some(entry.name));
        }
        for name in [&b""[..], b"gett", b"a-name-longer-than-any-command"] {
            assert!(find(name).is_none());
        }
    }
}
