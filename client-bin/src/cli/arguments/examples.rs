//! An example or two for each command, shown below its help.

use clap::Command;

/// The commands with what could be typed.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "put",
        &[
            "put city Oslo",
            "put photo @photo.jpg",
            "put --ttl 10m token 4711",
            "put --if-held \"$KVORUM_LOCK\" state done",
        ],
    ),
    (
        "get",
        &[
            "get city",
            "get --prefix users/",
            "get city --rev 12",
            "get --prefix '' --count-only",
            "get --local city",
        ],
    ),
    ("del", &["del city", "del --prefix users/", "del --prev city"]),
    ("history", &["history city", "history city --since 12"]),
    (
        "watch",
        &[
            "watch city",
            "watch --prefix users/ --prev",
            "watch city --since 12 --events 2",
            "watch -w json user --field name",
        ],
    ),
    ("publish", &["publish news 'it is raining'"]),
    ("subscribe", &["subscribe news", "subscribe --pattern 'news.*' --events 1"]),
    ("revert", &["revert city 12"]),
    ("ls", &["ls", "ls users/"]),
    ("tree", &["tree", "tree users/"]),
    ("compact", &["compact 12"]),
    ("hset", &["hset user name:Ada born:1815"]),
    ("hget", &["hget user name born"]),
    ("hdel", &["hdel user born"]),
    ("hgetall", &["hgetall user"]),
    ("hlen", &["hlen user"]),
    ("hexists", &["hexists user name"]),
    ("sset", &["sset fruits apple pear"]),
    ("sdel", &["sdel fruits pear"]),
    ("shas", &["shas fruits apple"]),
    ("smembers", &["smembers fruits"]),
    ("scard", &["scard fruits"]),
    ("incr", &["incr visits", "incr visits 10", "incr user visits -1"]),
    ("expire", &["expire city 60", "expire user name 2.5"]),
    ("persist", &["persist city"]),
    ("ttl", &["ttl city"]),
    (
        "lease",
        &["lease grant 60", "lease renew 7", "lease keep-alive 7", "lease revoke 7", "lease list"],
    ),
    (
        "txn",
        &[
            "txn if version leader = 0 then put leader me else get leader",
            "txn if value stock '>' 0 and exists order then incr stock -1 \\; del order",
        ],
    ),
    ("status", &["status", "status -w table"]),
    ("health", &["health"]),
    ("doctor", &["doctor", "doctor -w json"]),
    ("mon get", &["mon get /node/1/raft/role", "mon get /cluster/raft/applied"]),
    (
        "mon watch",
        &[
            "mon watch /cluster/raft/applied --interval 0.5 --count 10",
            "mon watch /node/1/log",
            "mon watch /node/1/raft/peers",
        ],
    ),
    ("mon set", &["mon set /node/1/log/level debug", "mon set /cluster/log/level info"]),
    ("events", &["events --node 1 --kind role,timer", "events --follow --heartbeats"]),
    ("events export", &["events export --html story.html", "events export --jsonl story.jsonl"]),
    ("verify", &["verify"]),
    ("member list", &["member list", "member list -w table"]),
    ("member add", &["member add 10.0.0.4:2379", "member add 10.0.0.4:2379 --dry-run"]),
    ("member remove", &["member remove 3 --dry-run", "member remove 3"]),
    ("member promote", &["member promote 4 --wait --timeout 60"]),
    ("member demote", &["member demote 4"]),
    (
        "member replace",
        &["member replace 3 4 --dry-run", "member replace 3 10.0.0.4:2379 --timeout 120"],
    ),
    ("member update", &["member update 3 10.0.0.9:2379"]),
    ("member transfer", &["member transfer", "member transfer 2"]),
    ("dev kill", &["dev kill leader", "dev kill 2"]),
    ("dev revive", &["dev revive", "dev revive 2"]),
    ("dev pause", &["dev pause leader", "dev pause 2 500"]),
    ("dev resume", &["dev resume 2"]),
    ("dev cut", &["dev cut 1 2", "dev cut 1 2 --one-way"]),
    ("dev heal", &["dev heal", "dev heal 1 2"]),
    ("dev delay", &["dev delay 1 2 50"]),
    ("dev add", &["dev add"]),
    ("dev remove", &["dev remove 4"]),
    ("dev transfer", &["dev transfer 2"]),
    ("dev campaign", &["dev campaign 2"]),
    ("dev step-down", &["dev step-down"]),
    ("dev time-scale", &["dev time-scale 10", "dev time-scale 1"]),
    ("dev freeze", &["dev freeze"]),
    ("dev thaw", &["dev thaw"]),
    ("dev step", &["dev step 50"]),
    ("shell", &["shell", "shell --client-id 7 < commands.txt"]),
    ("session open", &["session open"]),
    ("snapshot save", &["snapshot save backup.kvb"]),
    ("snapshot inspect", &["snapshot inspect backup.kvb"]),
    ("snapshot restore", &["snapshot restore --dry-run backup.kvb", "snapshot restore backup.kvb"]),
    ("lock", &["lock jobs", "lock jobs --wait 5 -- ./work.sh"]),
    ("elect", &["elect leader 10.0.0.1", "elect leader --listen"]),
    ("leave", &["--endpoints 10.0.0.3:2379 leave", "leave --dry-run"]),
    ("completion", &["completion bash"]),
    ("top", &["top", "top --interval 2 --count 10"]),
    (
        "bench",
        &[
            "bench --connections 64 --in-flight 16",
            "bench --op get --seconds 10",
            "--endpoints 127.0.0.1:6379 bench --protocol resp",
        ],
    ),
];

/// The same commands with their examples, as they are typed behind `program`.
pub(crate) fn with(command: Command, program: &str) -> Command {
    EXAMPLES.iter().fold(command, |command, (path, examples)| {
        let lines: String = examples.iter().map(|line| format!("\n  {program}{line}")).collect();
        let path: Vec<&str> = path.split(' ').collect();
        below(command, &path, &format!("Examples:{lines}"))
    })
}

fn below(command: Command, path: &[&str], text: &str) -> Command {
    match path {
        [] => command.after_help(text.to_owned()),
        // The shell does not have them all.
        [name, ..] if command.find_subcommand(name).is_none() => command,
        [name, rest @ ..] => command.mut_subcommand(name, |it| below(it, rest, text)),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::arguments::{Arguments, Line};

    fn without_examples(command: &Command, path: &str, found: &mut Vec<String>) {
        for subcommand in command.get_subcommands().filter(|it| it.get_name() != "help") {
            let path = format!("{path} {}", subcommand.get_name());
            if subcommand.has_subcommands() {
                without_examples(subcommand, &path, found);
            } else if subcommand.get_after_help().is_none() && subcommand.get_name() != "exit" {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_command_has_an_example() {
        for command in [with(Arguments::command(), "kvctl "), with(Line::command(), "")] {
            let mut found = Vec::new();
            without_examples(&command, "", &mut found);
            assert_eq!(found, [""; 0]);
        }
        for (path, examples) in EXAMPLES {
            let path: Vec<&str> = path.split(' ').collect();
            let command = Arguments::command();
            let known = path.iter().try_fold(&command, |it, name| it.find_subcommand(name));
            assert!(known.is_some(), "there is no {path:?}");
            let is_of = |line: &&str| line.contains(&path.join(" "));
            assert!(examples.iter().all(is_of), "{path:?} {examples:?}");
        }
    }

    #[test]
    fn every_example_can_be_typed() {
        for line in EXAMPLES.iter().flat_map(|(_, lines)| *lines) {
            let typed = line.split(" < ").next().unwrap_or_default();
            let mut words = shell_words::split(typed).unwrap();
            words.insert(0, "kvctl".to_owned());
            let parsed = Arguments::try_parse_from(words);
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }
}
