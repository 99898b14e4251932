//! Scripts: narrated text files that drive a [`Cluster`] and say what must be seen.
//!
//! A script is a row of blocks: comments that tell the story, commands, a line of four dashes,
//! and the text that the commands lead to. A comment or a blank line ends the text.
//! `UPDATE_SCRIPTS=1` writes the text that was seen instead of comparing it; whoever commits
//! that explains the difference.
//!
//! | command | what it does |
//! |---|---|
//! | `cluster nodes=3 leader=1` | a founded cluster; without `leader` one with empty directories |
//! | `cluster ... auto-promote=on` | one whose leaders promote learners themselves |
//! | `campaign 2` | lets the election timer of n2 run out |
//! | `tick 20`, `run 300` | lets milliseconds pass, without or with delivery |
//! | `settle`, `deliver [1->2] [Name]`, `drop [1->2] [Name]` | moves the messages on their way |
//! | `keep x [1->2] [Name]`, `resend x` | takes messages away, and sends a copy of them later |
//! | `put 1 k=v [as C/S]`, `add 1 k=2 [as C/S]`, `read 1 k` | a request, named by its label |
//! | `crash 1`, `restart 1`, `wipe 1`, `damage 1 3` | ends and starts nodes, and spoils disks |
//! | `hold-sync 1`, `sync 1 [n]`, `release-sync 1` | lets a disk be slow |
//! | `cut 1-2`, `cut 1->2`, `isolate 1`, `heal` | loses what is sent from now on |
//! | `lose-link 2 1` | tells n2 that its link from n1 has ended |
//! | `hand-over 1` | asks n1 to give leadership away |
//! | `stand 1`, `step-down 1` | wants n1 to stand for election now, or to lead no more |
//! | `change 1 add=a4 promote=4,5 [as C/S]` | asks n1 to change the members, all in one |
//! | the same with `demote=2 remove=3 readdress=1@b` | as above |
//! | `join 4 2` | starts n4 with an empty directory; n2 has told it who the members are |
//! | `transfer 1 [2]` | asks n1 that n2 may lead, or whoever has most |
//! | `members` | shows who is in the cluster, as each node has it in its log |
//! | `status`, `disk 1` | shows nodes, or what a restart of one would find |
//! | `quiet` before a command | shows nothing of what it leads to |

use std::fmt::Write as _;

use raft_core::consensus::RaftConfig;
use raft_core::consensus::message::Envelope;
use raft_core::types::{Index, NodeId};

use crate::cluster::{Cluster, change_of, is_named};

/// Runs a script and returns it with the text that was seen.
///
/// Errors: names the line of a command that makes no sense.
pub fn run(text: &str) -> Result<String, String> {
    let mut script = Script { cluster: None, requests: 0 };
    let mut output = String::new();
    let mut told: Vec<String> = Vec::new();
    let mut in_expectation = false;
    for (number, line) in text.lines().enumerate() {
        let is_story = line.is_empty() || line.starts_with('#');
        if in_expectation && !is_story {
            continue;
        }
        in_expectation = false;
        writeln!(output, "{line}").expect("a string takes every line");
        if line == "----" {
            in_expectation = true;
            for seen in told.drain(..) {
                writeln!(output, "{seen}").expect("a string takes every line");
            }
        } else if !is_story {
            let words: Vec<&str> = line.split_whitespace().collect();
            told.extend(script.obey(&words).map_err(|why| format!("line {}: {why}", number + 1))?);
        }
    }
    if told.is_empty() { Ok(output) } else { Err("the script ends without ----".to_owned()) }
}

struct Script {
    cluster: Option<Cluster>,
    requests: u64,
}

impl Script {
    fn obey(&mut self, words: &[&str]) -> Result<Vec<String>, String> {
        let (words, is_quiet) = match words {
            ["quiet", rest @ ..] => (rest, true),
            words => (words, false),
        };
        if let ["cluster", settings @ ..] = words {
            self.cluster = Some(new_cluster(settings)?);
        } else {
            let cluster = self.cluster.as_mut().ok_or("a script begins with cluster")?;
            if let Some(shown) = show(cluster, words)? {
                return Ok(shown);
            }
            if !request(cluster, &mut self.requests, words)? {
                act(cluster, words)?;
            }
        }
        let told = self.cluster.as_mut().map(Cluster::take_told).unwrap_or_default();
        Ok(if is_quiet { Vec::new() } else { told })
    }
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("{word:?} is not a number"))
}

fn id(word: &str) -> Result<NodeId, String> {
    let id = number(word)?;
    NodeId::new(id).ok_or_else(|| "nodes are numbered from 1".to_owned())
}

fn new_cluster(settings: &[&str]) -> Result<Cluster, String> {
    let (mut nodes, mut leader, mut auto_promote) = (3, None, false);
    for setting in settings {
        match setting.split_once('=') {
            Some(("nodes", count)) => nodes = number(count)?,
            Some(("leader", name)) => leader = Some(id(name)?),
            Some(("auto-promote", "on")) => auto_promote = true,
            _ => return Err(format!("{setting:?} is no setting of a cluster")),
        }
    }
    let mut cluster = Cluster::with_settings(nodes, if auto_promote { promotes } else { |_| {} });
    if let Some(leader) = leader {
        cluster.found(leader);
    }
    Ok(cluster)
}

fn promotes(config: &mut RaftConfig) {
    config.auto_promote = true;
}

/// The commands that only look.
fn show(cluster: &Cluster, words: &[&str]) -> Result<Option<Vec<String>>, String> {
    match words {
        ["status"] => Ok(Some(cluster.ids().into_iter().map(|id| cluster.describe(id)).collect())),
        ["members"] => {
            let up = cluster.ids().into_iter().filter(|&id| cluster.is_up(id));
            Ok(Some(up.map(|id| format!("n{id} {}", cluster.members_at(id.number()))).collect()))
        }
        ["disk", name] => {
            let ids = cluster.ids_on_disk(id(name)?);
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            Ok(Some(vec![format!("n{name} has {} on disk", ids.join(" "))]))
        }
        _ => Ok(None),
    }
}

/// The commands of clients; returns whether it was one.
fn request(cluster: &mut Cluster, count: &mut u64, words: &[&str]) -> Result<bool, String> {
    if let ["change" | "transfer", ..] = words {
        *count += 1;
        return ask_for_members(cluster, *count, words);
    }
    let (verb @ ("put" | "add" | "read"), [name, what, rest @ ..]) = (words[0], &words[1..]) else {
        return Ok(false);
    };
    *count += 1;
    let label = format!("{} {what} at n{name} (request {count})", words[0]);
    if verb == "read" {
        cluster.read(id(name)?, &label, what);
        return Ok(true);
    }
    let client = session(rest)?;
    let (key, value) = what.split_once('=').ok_or("what is set is key=value")?;
    cluster.submit(id(name)?, &label, &format!("{verb} {key} {value}"), client);
    Ok(true)
}

/// The commands that change who is in the cluster, and who leads it.
fn ask_for_members(cluster: &mut Cluster, request: u64, words: &[&str]) -> Result<bool, String> {
    let end = words.iter().position(|word| *word == "as").unwrap_or(words.len());
    let label = format!("{} (request {request})", words[..end].join(" "));
    match &words[..end] {
        ["change", name, parts @ ..] => {
            let client = session(&words[end..])?;
            cluster.change_as(id(name)?, &label, &change_of(parts)?, client);
        }
        ["transfer", name] => cluster.transfer(id(name)?, &label, None),
        ["transfer", name, to] => cluster.transfer(id(name)?, &label, Some(id(to)?)),
        _ => return Err(format!("{:?} is no command", words.join(" "))),
    }
    Ok(true)
}

fn session(words: &[&str]) -> Result<Option<(u64, u64)>, String> {
    match words {
        [] => Ok(None),
        ["as", client] => {
            let (client, serial) = client.split_once('/').ok_or("a session is client/serial")?;
            Ok(Some((number(client)?, number(serial)?)))
        }
        _ => Err(format!("{words:?} is not a session")),
    }
}

/// The commands that move time, messages, disks and nodes.
fn act(cluster: &mut Cluster, words: &[&str]) -> Result<(), String> {
    match words {
        ["campaign", name] => cluster.campaign(id(name)?),
        ["tick", ms] => cluster.tick(number(ms)?),
        ["run", ms] => cluster.run(number(ms)?),
        ["settle"] => cluster.settle(),
        ["deliver", filter @ ..] => cluster.deliver(picked(filter)?),
        ["drop", filter @ ..] => cluster.drop_messages(picked(filter)?),
        ["keep", name, filter @ ..] => cluster.keep(name, picked(filter)?),
        ["resend", name] => cluster.send_kept(name),
        ["crash", name] => cluster.crash(id(name)?),
        ["restart", name] => cluster.restart(id(name)?),
        ["wipe", name] => cluster.wipe(id(name)?),
        ["join", name, asked] => cluster.join(id(name)?, id(asked)?),
        ["damage", name, last] => cluster.damage(id(name)?, Index(number(last)?)),
        ["hold-sync", name] => cluster.hold_sync(id(name)?, true),
        ["release-sync", name] => cluster.hold_sync(id(name)?, false),
        ["sync", name] => cluster.sync(id(name)?, usize::MAX),
        ["sync", name, count] => {
            let count = usize::try_from(number(count)?).map_err(|error| error.to_string())?;
            cluster.sync(id(name)?, count);
        }
        ["cut", link] => cut(cluster, link)?,
        ["isolate", name] => {
            let alone = id(name)?;
            for other in cluster.ids().into_iter().filter(|&other| other != alone) {
                cluster.cut(alone, other);
                cluster.cut(other, alone);
            }
        }
        ["heal"] => cluster.heal(),
        ["lose-link", at, peer] => cluster.lose_link(id(at)?, id(peer)?),
        ["hand-over", name] => cluster.hand_over(id(name)?),
        ["stand", name] => cluster.stand_at_once(id(name)?),
        ["step-down", name] => cluster.step_down(id(name)?),
        _ => return Err(format!("{:?} is no command", words.join(" "))),
    }
    Ok(())
}

fn cut(cluster: &mut Cluster, link: &str) -> Result<(), String> {
    if let Some((from, to)) = link.split_once("->") {
        cluster.cut(id(from)?, id(to)?);
        return Ok(());
    }
    let (one, other) = link.split_once('-').ok_or("a link is 1-2 or 1->2")?;
    cluster.cut(id(one)?, id(other)?);
    cluster.cut(id(other)?, id(one)?);
    Ok(())
}

/// Which messages a command means: all, those of a link, those of a name, or both.
fn picked(filter: &[&str]) -> Result<impl Fn(&Envelope) -> bool, String> {
    let (mut link, mut name) = (None, None);
    for word in filter {
        if let Some((from, to)) = word.split_once("->") {
            let side = |word: &str| if word == "*" { Ok(None) } else { id(word).map(Some) };
            link = Some((side(from)?, side(to)?));
        } else {
            name = Some((*word).to_owned());
        }
    }
    Ok(move |envelope: &Envelope| {
        let on_link = link.is_none_or(|(from, to)| {
            from.is_none_or(|from| from == envelope.from) && to.is_none_or(|to| to == envelope.to)
        });
        on_link && name.as_deref().is_none_or(|name| is_named(envelope, name))
    })
}
