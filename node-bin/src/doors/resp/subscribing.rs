//! Commands about channels: they ask neither the store nor other nodes, and are done at once.

use raft_net::publication::Publication;
use raft_net::resp::{Protocol, ReplyWriter};

use super::plan::{Refused, is, wrong_count};
use super::server::unknown_subcommand;
use crate::channels::{Channels, Limit, Subscriber, Topic};

/// Who says a command about channels, and where the replies go.
pub(super) struct Speaking<'s> {
    pub(super) channels: &'s mut Channels,
    pub(super) subscriber: Subscriber,
    /// Whether replies are not wanted; what is told beside them is.
    pub(super) is_silent: bool,
}

/// Carries out a command with as many words as it may have.
///
/// Errors: what is to be replied instead; nothing was done.
pub(super) fn carry_out(
    words: &[&[u8]],
    speaking: &mut Speaking<'_>,
    out: &mut ReplyWriter<'_>,
) -> Result<(), Refused> {
    let name = words[0].to_ascii_lowercase();
    match (&name[..], &words[1..]) {
        (b"subscribe", names) => subscribe((Topic::Channel, "subscribe"), names, speaking, out),
        (b"psubscribe", names) => subscribe((Topic::Pattern, "psubscribe"), names, speaking, out),
        (b"unsubscribe", names) => {
            unsubscribe((Topic::Channel, "unsubscribe"), names, speaking, out);
            Ok(())
        }
        (b"punsubscribe", names) => {
            unsubscribe((Topic::Pattern, "punsubscribe"), names, speaking, out);
            Ok(())
        }
        (b"publish", [channel, message]) => publish(channel, message, speaking, out),
        (b"ping", text) => ping(text, speaking, out),
        (b"pubsub", [subcommand, arguments @ ..]) => {
            pubsub(subcommand, arguments, speaking.channels, out)
        }
        _ => unreachable!("the table has no other commands about channels"),
    }
}

fn refused(limit: Limit) -> Refused {
    format!("ERR {limit}").into()
}

fn subscribe(
    (topic, word): (Topic, &str),
    names: &[&[u8]],
    speaking: &mut Speaking<'_>,
    out: &mut ReplyWriter<'_>,
) -> Result<(), Refused> {
    let Speaking { channels, subscriber, .. } = speaking;
    for name in names {
        // Those before it stay; each has been confirmed.
        channels.registry_mut().subscribe(*subscriber, topic, name).map_err(refused)?;
        confirm(word, Some(name), channels.registry().count(*subscriber), out);
    }
    Ok(())
}

fn unsubscribe(
    (topic, word): (Topic, &str),
    names: &[&[u8]],
    speaking: &mut Speaking<'_>,
    out: &mut ReplyWriter<'_>,
) {
    let Speaking { channels, subscriber, .. } = speaking;
    let all = match names {
        [] => channels.registry().names(*subscriber, topic),
        _ => Vec::new(),
    };
    for name in names.iter().copied().chain(all.iter().map(|name| &name[..])) {
        channels.registry_mut().unsubscribe(*subscriber, topic, name);
        confirm(word, Some(name), channels.registry().count(*subscriber), out);
    }
    if names.is_empty() && all.is_empty() {
        confirm(word, None, channels.registry().count(*subscriber), out);
    }
}

fn confirm(word: &str, name: Option<&[u8]>, count: usize, out: &mut ReplyWriter<'_>) {
    out.push(3);
    out.bulk(word.as_bytes());
    match name {
        Some(name) => out.bulk(name),
        None => out.null(),
    }
    out.count(count as u64);
}

fn publish(
    channel: &[u8],
    message: &[u8],
    speaking: &mut Speaking<'_>,
    out: &mut ReplyWriter<'_>,
) -> Result<(), Refused> {
    let told = speaking.channels.publish(speaking.subscriber, channel, message);
    let told = told.map_err(refused)?;
    for pattern in &told.own {
        write_message(pattern.as_deref(), channel, message, out);
    }
    if !speaking.is_silent {
        out.count(told.count);
    }
    Ok(())
}

/// A message as its subscribers are told it.
pub(super) fn write_message(
    pattern: Option<&[u8]>,
    channel: &[u8],
    message: &[u8],
    out: &mut ReplyWriter<'_>,
) {
    match pattern {
        Some(pattern) => {
            out.push(4);
            out.bulk(b"pmessage");
            out.bulk(pattern);
        }
        None => {
            out.push(3);
            out.bulk(b"message");
        }
    }
    out.bulk(channel);
    out.bulk(message);
}

/// The same as bytes, for all subscribers that speak this version.
pub(crate) fn encoded_message(
    protocol: Protocol,
    pattern: Option<&[u8]>,
    Publication { channel, message }: &Publication,
) -> bytes::BytesMut {
    let mut bytes = bytes::BytesMut::new();
    let mut out = ReplyWriter::new(&mut bytes, protocol);
    write_message(pattern, channel, message, &mut out);
    bytes
}

fn ping(
    text: &[&[u8]],
    speaking: &mut Speaking<'_>,
    out: &mut ReplyWriter<'_>,
) -> Result<(), Refused> {
    if 1 < text.len() {
        return Err(wrong_count("ping"));
    }
    let is_told = 0 < speaking.channels.registry().count(speaking.subscriber);
    let text = text.first().copied();
    // In RESP2 a subscriber is told arrays alone.
    if is_told && out.protocol() == Protocol::Resp2 {
        out.array(2);
        out.bulk(b"pong");
        out.bulk(text.unwrap_or_default());
    } else if let Some(text) = text {
        out.bulk(text);
    } else {
        out.status("PONG");
    }
    Ok(())
}

const PUBSUB_HELP: &[&str] = &[
    "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANNELS [<pattern>]",
    "    Return the channels with subscribers at this node, those that match a pattern.",
    "NUMPAT",
    "    Return how many patterns have subscribers at this node.",
    "NUMSUB [<channel> ...]",
    "    Return how many subscribers channels have at this node, by their names.",
    "HELP",
    "    Prints this help.",
];

fn pubsub(
    subcommand: &[u8],
    arguments: &[&[u8]],
    channels: &Channels,
    out: &mut ReplyWriter<'_>,
) -> Result<(), Refused> {
    let registry = channels.registry();
    match (subcommand, arguments) {
        (word, [] | [_]) if is(word, "channels") => {
            let listed = registry.list(arguments.first().copied()).map_err(refused)?;
            out.array(listed.len());
            listed.iter().for_each(|name| out.bulk(name));
        }
        (word, _) if is(word, "channels") => {
            let word = String::from_utf8_lossy(word);
            return Err(format!(
                "ERR unknown subcommand or wrong number of arguments for '{word}'. Try PUBSUB HELP."
            )
            .into());
        }
        (word, names) if is(word, "numsub") => {
            out.array(2 * names.len());
            for name in names {
                out.bulk(name);
                out.count(registry.count_of_channel(name) as u64);
            }
        }
        (word, []) if is(word, "numpat") => out.count(registry.count_of_patterns() as u64),
        (word, _) if is(word, "numpat") => return Err(wrong_count("pubsub|numpat")),
        (word, []) if is(word, "help") => {
            out.array(PUBSUB_HELP.len());
            PUBSUB_HELP.iter().for_each(|line| out.status(line));
        }
        (word, _) => return Err(unknown_subcommand(word, "PUBSUB")),
    }
    Ok(())
}
