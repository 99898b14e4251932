//! Commands about the connection and the node, which ask the store nothing.

use kvorum_client::RequestId;
use raft_net::resp::{Protocol, ReplyWriter};

use super::plan::{Client, Made, Making, Plan, Refused, Replies, SYNTAX_ERROR, is};
use super::table;

/// What a client is told that looks for features by version.
const REDIS_VERSION: &str = "7.0.15";

const NO_PASSWORD: &str = "ERR AUTH <password> called without any password configured for the \
                           default user. Are you sure your configuration is correct?";

fn say<'w>(making: &Making<'_, 'w>, say: impl FnOnce(&mut ReplyWriter<'_>)) -> Made<'w> {
    Ok(Plan::said(making.client.protocol, say))
}

fn ok<'w>(making: &Making<'_, 'w>) -> Made<'w> {
    say(making, |out| out.status("OK"))
}

pub(super) fn echo<'w>(making: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    say(making, |out| out.bulk(words[1]))
}

pub(super) fn select<'w>(making: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    match super::numbers::integer(words[1])? {
        0 => ok(making),
        _ => Err("ERR DB index is out of range".into()),
    }
}

pub(super) fn auth<'w>(_: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    match words.len() {
        2 => Err(NO_PASSWORD.into()),
        // As Redis does when its default user has no password.
        3 if words[1] == b"default" => Err(NO_PASSWORD.into()),
        3 => Err("WRONGPASS invalid username-password pair or user is disabled.".into()),
        _ => Err(SYNTAX_ERROR.into()),
    }
}

pub(super) fn time<'w>(making: &mut Making<'_, 'w>, _: &[&'w [u8]]) -> Made<'w> {
    let (seconds, ms) = (making.now_ms / 1_000, making.now_ms % 1_000);
    say(making, |out| {
        out.array(2);
        out.bulk(seconds.to_string().as_bytes());
        out.bulk((ms * 1_000).to_string().as_bytes());
    })
}

pub(super) fn hello<'w>(making: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let mut protocol = making.client.protocol;
    if let Some(version) = words.get(1) {
        let version = super::numbers::integer(version)
            .map_err(|_| Refused::from("ERR Protocol version is not an integer or out of range"))?;
        protocol = match version {
            2 => Protocol::Resp2,
            3 => Protocol::Resp3,
            _ => return Err("NOPROTO unsupported protocol version".into()),
        };
    }
    let mut name = None;
    let mut rest = words.get(2..).unwrap_or_default();
    while let Some((word, behind)) = rest.split_first() {
        rest = match (word, behind) {
            (word, [user, _, rest @ ..]) if is(word, "auth") => {
                if user != b"default" {
                    let wrong = "WRONGPASS invalid username-password pair or user is disabled.";
                    return Err(wrong.into());
                }
                rest
            }
            (word, [text, rest @ ..]) if is(word, "setname") => {
                name = Some(named(text)?);
                rest
            }
            (word, _) => {
                let text = String::from_utf8_lossy(word);
                return Err(format!("ERR Syntax error in HELLO option '{text}'").into());
            }
        };
    }
    making.client.protocol = protocol;
    if let Some(name) = name {
        making.client.name = name;
    }
    let id = making.client.id;
    say(making, |out| {
        out.map(7);
        out.bulk(b"server");
        out.bulk(b"redis");
        out.bulk(b"version");
        out.bulk(REDIS_VERSION.as_bytes());
        out.bulk(b"proto");
        out.integer(if protocol == Protocol::Resp3 { 3 } else { 2 });
        out.bulk(b"id");
        out.count(id);
        out.bulk(b"mode");
        out.bulk(b"standalone");
        out.bulk(b"role");
        out.bulk(b"master");
        out.bulk(b"modules");
        out.array(0);
    })
}

/// A name for a connection, if it is one.
fn named(text: &[u8]) -> Result<Vec<u8>, Refused> {
    if text.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Ok(text.to_vec());
    }
    Err("ERR Client names cannot contain spaces, newlines or special characters.".into())
}

pub(super) fn client<'w>(making: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let subcommand = words[1].to_ascii_lowercase();
    match (&subcommand[..], &words[2..]) {
        (b"id", []) => say(making, |out| out.count(making.client.id)),
        (b"getname", []) if making.client.name.is_empty() => say(making, |out| out.null()),
        (b"getname", []) => say(making, |out| out.bulk(&making.client.name)),
        (b"setname", [name]) => {
            making.client.name = named(name)?;
            ok(making)
        }
        (b"setinfo", [what, text]) => {
            let place = match what {
                what if is(what, "lib-name") => 0,
                what if is(what, "lib-ver") => 1,
                _ => {
                    let what = String::from_utf8_lossy(what);
                    return Err(format!("ERR Unrecognized option '{what}'").into());
                }
            };
            making.client.library[place] = named(text)?;
            ok(making)
        }
        (b"info" | b"list", []) => say(making, |out| out.bulk(&described(making.client))),
        (b"no-evict" | b"no-touch", [how]) if is(how, "on") || is(how, "off") => ok(making),
        (b"no-evict" | b"no-touch", [_]) => Err(SYNTAX_ERROR.into()),
        (b"tracking" | b"trackinginfo" | b"getredir" | b"caching", arguments) => {
            tracking(making, &subcommand, arguments)
        }
        // No command blocks.
        (b"unblock", [id, ..]) => {
            super::numbers::integer(id)?;
            say(making, |out| out.integer(0))
        }
        (b"kill", [_, ..]) => {
            Err("ERR this node does not end the connections of other clients".into())
        }
        (b"pause", [_, ..]) => Err("ERR this node does not keep clients waiting".into()),
        (b"unpause", []) => ok(making),
        (b"reply", [how]) => {
            match (how, making.client.replies) {
                (how, _) if is(how, "on") => making.client.replies = Replies::All,
                (how, _) if is(how, "off") => making.client.replies = Replies::None,
                (how, Replies::None) if is(how, "skip") => {}
                (how, _) if is(how, "skip") => making.client.replies = Replies::NotTheNext,
                _ => return Err(SYNTAX_ERROR.into()),
            }
            ok(making)
        }
        (b"requestid", [id]) => {
            let id = std::str::from_utf8(id).ok().and_then(|id| id.parse::<RequestId>().ok());
            let id = id.ok_or(
                "ERR a request id is CLIENT:SERIAL, with a client that kvctl session open prints \
                 and serials from 1 on",
            )?;
            making.client.request_id = Some(id.stamp());
            ok(making)
        }
        _ => Err(unknown_subcommand(words[1], "CLIENT")),
    }
}

/// A client that keeps keys is not told what became of them.
fn tracking<'w>(making: &Making<'_, 'w>, subcommand: &[u8], arguments: &[&'w [u8]]) -> Made<'w> {
    match (subcommand, arguments) {
        (b"tracking", [how]) if is(how, "off") => ok(making),
        (b"tracking", [how, ..]) if is(how, "on") => {
            Err("ERR this node does not tell clients what became of keys that they keep".into())
        }
        (b"tracking", [_, ..]) => Err(SYNTAX_ERROR.into()),
        (b"trackinginfo", []) => say(making, |out| {
            out.map(3);
            out.bulk(b"flags");
            out.set(1);
            out.bulk(b"off");
            out.bulk(b"redirect");
            out.integer(-1);
            out.bulk(b"prefixes");
            out.set(0);
        }),
        (b"getredir", []) => say(making, |out| out.integer(-1)),
        (b"caching", [_]) => Err("ERR CLIENT CACHING can be called only when the client is in \
             tracking mode with OPTIN or OPTOUT mode enabled"
            .into()),
        _ => Err(unknown_subcommand(subcommand, "CLIENT")),
    }
}

pub(super) fn unknown_subcommand(subcommand: &[u8], command: &str) -> Refused {
    let text = String::from_utf8_lossy(subcommand);
    format!("ERR unknown subcommand '{text}'. Try {command} HELP.").into()
}

fn described(client: &Client) -> Vec<u8> {
    let [name, library, version] = [&client.name, &client.library[0], &client.library[1]]
        .map(|text| String::from_utf8_lossy(text));
    let protocol = if client.protocol == Protocol::Resp3 { 3 } else { 2 };
    format!(
        "id={} addr={} name={name} db=0 resp={protocol} lib-name={library} lib-ver={version}\n",
        client.id, client.address
    )
    .into_bytes()
}

pub(super) fn config<'w>(making: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    match &words[1..] {
        [get, patterns @ ..] if is(get, "get") && !patterns.is_empty() => {
            // What benchmarks and dashboards ask for, in the words of Redis: nothing is kept by
            // its own snapshots, and everything by a log that is synced first.
            let all = [
                ("save", ""),
                ("appendonly", "yes"),
                ("appendfsync", "always"),
                ("databases", "1"),
                ("maxmemory", "0"),
                ("maxmemory-policy", "noeviction"),
            ];
            let is_asked = |(name, _): &(&str, &str)| {
                let matches =
                    |it: &&[u8]| crate::glob::matches(&it.to_ascii_lowercase(), name.as_bytes());
                patterns.iter().any(matches)
            };
            say(making, |out| {
                out.map(all.iter().filter(|it| is_asked(it)).count());
                for (name, value) in all.iter().filter(|it| is_asked(it)) {
                    out.bulk(name.as_bytes());
                    out.bulk(value.as_bytes());
                }
            })
        }
        [set, ..] if is(set, "set") => {
            Err("ERR the settings of a node are given when it is started".into())
        }
        [reset] if is(reset, "resetstat") => ok(making),
        _ => Err(unknown_subcommand(words[1], "CONFIG")),
    }
}

/// What is answered is on disk already, so there is nothing to save.
pub(super) fn save<'w>(making: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    match words {
        [word] if is(word, "lastsave") => say(making, |out| out.count(making.now_ms / 1_000)),
        [word] if is(word, "save") => ok(making),
        [_] => say(making, |out| out.status("Everything that was answered is on disk")),
        [_, how] if is(how, "schedule") => {
            say(making, |out| out.status("Everything that was answered is on disk"))
        }
        _ => Err(SYNTAX_ERROR.into()),
    }
}

pub(super) fn info<'w>(making: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let port = making.node_address.rsplit_once(':').map_or("0", |(_, port)| port);
    let version = env!("CARGO_PKG_VERSION");
    let sections = [
        (
            "server",
            format!(
                "# Server\r\nredis_version:{REDIS_VERSION}\r\nredis_mode:standalone\r\n\
                 kvorum_version:{version}\r\ntcp_port:{port}\r\n"
            ),
        ),
        ("persistence", "# Persistence\r\nloading:0\r\naof_enabled:1\r\n".to_owned()),
        ("replication", "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n".to_owned()),
        ("cluster", "# Cluster\r\ncluster_enabled:0\r\n".to_owned()),
    ];
    let is_all = |word: &&&[u8]| ["all", "default", "everything"].iter().any(|it| is(word, it));
    let wants_all = words.len() == 1 || words[1..].iter().find(is_all).is_some();
    let is_shown = |name: &str| wants_all || words[1..].iter().any(|word| is(word, name));
    let shown: Vec<String> =
        sections.into_iter().filter(|(name, _)| is_shown(name)).map(|(_, text)| text).collect();
    say(making, |out| out.bulk(shown.join("\r\n").as_bytes()))
}

pub(super) fn command<'w>(making: &mut Making<'_, 'w>, words: &[&'w [u8]]) -> Made<'w> {
    let entries = table::all();
    match (words.get(1), words.get(2..).unwrap_or_default()) {
        (None, _) => say(making, |out| {
            out.array(entries.len());
            entries.iter().for_each(|entry| entry.describe(out));
        }),
        (Some(word), []) if is(word, "count") => say(making, |out| out.count(entries.len() as u64)),
        (Some(word), []) if is(word, "list") => say(making, |out| {
            out.array(entries.len());
            entries.iter().for_each(|entry| out.bulk(entry.name.as_bytes()));
        }),
        (Some(word), names) if is(word, "info") => say(making, |out| {
            out.array(names.len());
            for name in names {
                match table::find(name) {
                    Some(entry) => entry.describe(out),
                    None => out.null_array(),
                }
            }
        }),
        // Documentation for prompts, which do without.
        (Some(word), _) if is(word, "docs") => say(making, |out| out.map(0)),
        (Some(word), _) => Err(unknown_subcommand(word, "COMMAND")),
    }
}
