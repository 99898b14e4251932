//! What can be typed at the prompt of `kvorum dev`.

use kvorum_client::cli::Order;
use kvorum_client::prompt::Word;
use kvorum_client::typed::{TYPED, Typed};
use raft_net::client_protocol::playground::{NodeName, Play};

use super::playing;

/// The commands, as `help` shows them.
pub(super) const COMMANDS: &[(&str, &str)] = &[
    ("SET key value", "sets a key"),
    ("GET key", "prints a key's value, or null"),
    ("DEL key...", "deletes keys and prints how many there were"),
    ("HSET key f:v...", "sets fields of a hash; \\: is a colon in a field"),
    ("HGET key f...", "prints the values of fields, or null"),
    ("HDEL key f...", "removes fields and prints how many there were"),
    ("HGETALL key", "prints every field; HLEN counts, HEXISTS asks"),
    ("SSET key m...", "adds members to a set"),
    ("SDEL key m...", "removes members and prints how many there were"),
    ("SHAS key m...", "prints true for members that exist, else false"),
    ("SMEMBERS key", "prints every member; SCARD counts"),
    ("INCR key [[f] n]", "adds to a number and prints the sum"),
    ("TXN if ... then", "if COMPARE and ... then OPERATION ; ... else OPERATION ; ..."),
    ("watch key", "prints what happens, until Enter; --prefix, --since N, --events N"),
    ("subscribe channel", "prints what is published, until Enter; publish CHANNEL MESSAGE"),
    ("history key", "prints every version; revert KEY N goes back, compact N forgets"),
    ("ls [prefix]", "lists what stands directly below; tree shows all of it"),
    ("lease ...", "grant SECONDS, revoke ID, renew ID, show ID, list, keep-alive ID"),
    ("lock name", "holds a lock until Enter; elect stands for election"),
    ("member ...", "list, add, remove, promote, demote, update, transfer"),
    ("session open", "prints a client id for --request-id"),
    ("snapshot save FILE", "writes a backup; also inspect FILE, and restore FILE [--dry-run]"),
    ("verify", "compares what all nodes have made of the same commands"),
    ("status", "prints a line for each node"),
    ("health", "says whether each node is ready to serve; doctor what is wrong"),
    ("mon get PATH", "shows live values; mon get / lists them; mon watch, mon set"),
    ("events", "tells what has happened; events --follow, events export --html FILE"),
    ("kill N", "ends a node as kill -9 would; its disk stays"),
    ("revive [N]", "starts a dead node again, or every dead node"),
    ("pause N [MS]", "makes a node stand still as SIGSTOP would, until resume, or for MS ms"),
    ("resume [N]", "lets a paused node go on, or every paused node"),
    ("cut A B", "loses whatever nodes A and B send each other; cut A > B one way only"),
    ("heal [A B]", "mends a link that is cut or delayed, or every link"),
    ("delay A B MS", "lets all between A and B come MS ms later; A > B one way; 0 ends it"),
    ("add", "starts one more node, which joins; new nodes vote in pairs"),
    ("remove N", "removes a node for ever"),
    ("transfer N", "hands leadership to a node"),
    ("campaign N", "makes a node stand for election, although there is a leader"),
    ("step-down [N]", "makes the leader lead no more, and name no successor"),
    ("time-scale X", "makes time pass X times as slow for all nodes; 1 is as it passes here"),
    ("freeze", "makes time stand still for all nodes; thaw lets it go on"),
    ("step MS", "lets MS ms pass while time stands still"),
    ("use N|any", "sends what follows through node N, or through any"),
    ("help [command]", "prints this, or what kvctl says of the command"),
    ("exit", "stops the cluster; its data stays"),
];

/// The same for completion and hints.
pub(super) const WORDS: &[Word] = &[
    Word { name: "set", usage: "KEY VALUE" },
    Word { name: "get", usage: "KEY" },
    Word { name: "del", usage: "KEY..." },
    Word { name: "hset", usage: "KEY FIELD:VALUE..." },
    Word { name: "hget", usage: "KEY FIELD..." },
    Word { name: "hdel", usage: "KEY FIELD..." },
    Word { name: "hgetall", usage: "KEY" },
    Word { name: "hlen", usage: "KEY" },
    Word { name: "hexists", usage: "KEY FIELD..." },
    Word { name: "sset", usage: "KEY MEMBER..." },
    Word { name: "sdel", usage: "KEY MEMBER..." },
    Word { name: "shas", usage: "KEY MEMBER..." },
    Word { name: "smembers", usage: "KEY" },
    Word { name: "scard", usage: "KEY" },
    Word { name: "incr", usage: "KEY [[FIELD] BY]" },
    Word { name: "txn", usage: "[if COMPARE [and ...]] [then OPERATION [; ...]] [else ...]" },
    Word { name: "put", usage: "KEY VALUE [--ttl SECONDS] [--lease ID]" },
    Word { name: "expire", usage: "KEY [FIELD] SECONDS" },
    Word { name: "persist", usage: "KEY [FIELD]" },
    Word { name: "ttl", usage: "KEY [FIELD]" },
    Word { name: "watch", usage: "KEY [--prefix] [--since REVISION] [--prev] [--events N]" },
    Word { name: "publish", usage: "CHANNEL MESSAGE" },
    Word { name: "subscribe", usage: "CHANNEL... [--pattern PATTERN] [--events N]" },
    Word { name: "history", usage: "KEY [--since REVISION]" },
    Word { name: "revert", usage: "KEY REVISION" },
    Word { name: "compact", usage: "REVISION" },
    Word { name: "ls", usage: "[PREFIX]" },
    Word { name: "tree", usage: "[PREFIX]" },
    Word { name: "lease", usage: "grant SECONDS [ID]|revoke|renew|show|list|keep-alive" },
    Word { name: "lock", usage: "NAME [-- COMMAND]" },
    Word { name: "elect", usage: "NAME [VALUE] [--listen]" },
    Word { name: "session", usage: "open" },
    Word { name: "snapshot", usage: "save FILE|inspect FILE|restore FILE [--dry-run]" },
    Word { name: "member", usage: "list|add|remove|promote|demote|replace|update|transfer" },
    Word { name: "verify", usage: "" },
    Word { name: "status", usage: "" },
    Word { name: "health", usage: "" },
    Word { name: "doctor", usage: "" },
    Word {
        name: "mon",
        usage: "get PATH|watch PATH [--interval SECONDS] [--count N]|set PATH VALUE",
    },
    Word {
        name: "events",
        usage: "[--follow] [--node N] [--kind KIND,...]|export --html FILE|--jsonl FILE",
    },
    Word { name: "kill", usage: "N|leader" },
    Word { name: "revive", usage: "[N]" },
    Word { name: "pause", usage: "N|leader [MS]" },
    Word { name: "resume", usage: "[N]" },
    Word { name: "cut", usage: "A B | A > B" },
    Word { name: "heal", usage: "[A B]" },
    Word { name: "delay", usage: "A B MS | A > B MS" },
    Word { name: "add", usage: "" },
    Word { name: "remove", usage: "N|leader" },
    Word { name: "transfer", usage: "N" },
    Word { name: "campaign", usage: "N" },
    Word { name: "step-down", usage: "[N]" },
    Word { name: "time-scale", usage: "X" },
    Word { name: "freeze", usage: "" },
    Word { name: "thaw", usage: "" },
    Word { name: "step", usage: "MS" },
    Word { name: "use", usage: "N|any" },
    Word { name: "help", usage: "[COMMAND]" },
    Word { name: "exit", usage: "" },
];

/// One line of input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Set {
        key: String,
        value: String,
    },
    Get {
        key: String,
    },
    Del {
        keys: Vec<String>,
    },
    /// Of hashes, sets and numbers.
    Typed(Typed),
    Status,
    /// Something is done to nodes or links.
    Play(Play),
    /// `None` is "any".
    Use(Option<NodeName>),
    /// What `kvctl` knows, and the prompt has no words of its own for.
    OfKvctl {
        words: Vec<String>,
    },
    Help,
    /// On a command that `kvctl` does not have.
    HelpOn((&'static str, &'static str)),
    Exit,
}

/// Reads the words of a line; `None` if there are none.
///
/// Errors: one line that says what is wrong with it and what would be right.
pub(super) fn parse(words: &[String]) -> Result<Option<Command>, String> {
    let Some((name, arguments)) = words.split_first() else { return Ok(None) };
    if is_of_kvctl(&name.to_ascii_lowercase(), arguments) {
        return Ok(Some(Command::OfKvctl { words: words.to_vec() }));
    }
    let bytes: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    if let Some(typed) = Typed::parse(&bytes) {
        return typed.map(|typed| Some(Command::Typed(typed)));
    }
    let command = match (name.to_ascii_lowercase().as_str(), arguments) {
        ("set", [key, value]) => Command::Set { key: key.clone(), value: value.clone() },
        ("get", [key]) => Command::Get { key: key.clone() },
        ("del", [_, ..]) => Command::Del { keys: arguments.to_vec() },
        ("status", []) => Command::Status,
        ("use", [node]) if node.eq_ignore_ascii_case("any") => Command::Use(None),
        ("use", [node]) => Command::Use(Some(node.parse()?)),
        ("help", []) => Command::Help,
        ("help", [name]) => Command::HelpOn(known(name).ok_or_else(|| wrong_usage(name))?),
        ("exit" | "quit", []) => Command::Exit,
        (name, _) => match playing::parse(name, arguments) {
            Some(play) => Command::Play(play?),
            None => return Err(wrong_usage(name)),
        },
    };
    Ok(Some(command))
}

/// Whether a line is for `kvctl`: a command that the prompt has not, or one with flags.
fn is_of_kvctl(name: &str, arguments: &[String]) -> bool {
    let has_flags = arguments.iter().any(|word| word.starts_with("--") || word == "-w");
    let is_own = match name {
        "set" | "get" | "del" | "status" | "use" | "exit" | "quit" => true,
        "help" => match arguments {
            [] => true,
            [name, ..] => !Order::is_known(&name.to_ascii_lowercase()),
        },
        "lease" => arguments.first().is_none_or(|word| word != "keep-alive"),
        name => TYPED.iter().any(|(known, ..)| *known == name),
    };
    (has_flags || !is_own) && Order::is_known(name)
}

/// The line of a command in `COMMANDS`.
fn known(name: &str) -> Option<(&'static str, &'static str)> {
    let is_it = |(usage, _): &&(&str, &str)| {
        usage.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case(name))
    };
    COMMANDS.iter().find(is_it).copied()
}

fn wrong_usage(name: &str) -> String {
    match known(name) {
        Some((usage, _)) => {
            format!("wrong number of arguments; usage: {usage} (quote words with spaces)")
        }
        None => format!("unknown command {name:?}; try help"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Command>, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn words_are_commands_in_any_case() {
        let set = Command::Set { key: "a".into(), value: "B".into() };
        assert_eq!(parsed("sEt a B"), Ok(Some(set)));
        assert_eq!(parsed("KILL Leader"), Ok(Some(Command::Play(Play::Kill(NodeName::Leader)))));
        assert_eq!(parsed("use ANY"), Ok(Some(Command::Use(None))));
        assert_eq!(parsed("revive"), Ok(Some(Command::Play(Play::Revive(None)))));
        assert_eq!(parsed("  "), Ok(None));
    }

    #[test]
    fn what_the_prompt_has_no_words_for_is_a_line_of_kvctl() {
        for line in [
            "Watch a --events 2",
            "get a --prefix",
            "SET a b --ttl 5",
            "lease keep-alive 7",
            "member list",
            "hget a b -w json",
            "help watch",
            "put a b",
        ] {
            let words = line.split(' ').map(str::to_owned).collect();
            assert_eq!(parsed(line), Ok(Some(Command::OfKvctl { words })), "{line}");
        }
        for line in ["get a", "lease grant 5", "hset a b:c", "incr a -5", "help", "status"] {
            assert!(!matches!(parsed(line), Ok(Some(Command::OfKvctl { .. }))), "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_said_with_what_would() {
        for (line, words) in [
            ("SET a", "usage: SET key value"),
            ("SET a b c", "usage: SET key value"),
            ("GET", "usage: GET key"),
            ("kill", "usage: kill N"),
            ("kill 0", "\"0\" is not a node"),
            ("kill two", "\"two\" is not a node"),
            ("frob", "unknown command \"frob\""),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
