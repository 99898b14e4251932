//! `kvctl publish` and `kvctl subscribe`: messages on channels, each a line.

use std::io::Write;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use serde::Serialize;
use tokio::time::Instant;

use super::CommandError;
use super::arguments::{Format, PublishArguments, SubscribeArguments};
use super::commands::{Target, Told};
use super::output::{self, printable};
use crate::client::Client;
use crate::document::text_or_base64;
use crate::{Channels, Heard, Message};

const HEADS: &[&str] = &["CHANNEL", "MESSAGE", "PATTERN"];

/// Publishes a message, and says how many heard it at the node that took it. Returns the exit
/// code.
pub(super) async fn publish(
    PublishArguments { channel, message }: PublishArguments,
    client: &Client,
    (output, format): (&mut dyn Write, Format),
) -> Result<u8, CommandError> {
    #[derive(Serialize)]
    struct Document {
        subscribers: u64,
    }

    let subscribers = client.publish(channel.as_bytes(), message.as_bytes()).await?;
    match format {
        Format::Simple => writeln!(output, "{subscribers}")?,
        Format::Json => output::json(output, &Document { subscribers })?,
        Format::Table => output::table(output, &["SUBSCRIBERS"], &[vec![subscribers.to_string()]])?,
    }
    Ok(0)
}

/// Shows messages until there were as many as are wanted. Returns the exit code.
pub(super) async fn run(
    arguments: SubscribeArguments,
    target: &Target<'_>,
    deadline: Instant,
    format: Format,
    (output, errors): Told<'_>,
) -> Result<u8, CommandError> {
    let SubscribeArguments { channels, patterns, events } = arguments;
    let names = channels.into_iter().map(|it| it.into_vec().into()).collect();
    let patterns = patterns.into_iter().map(|it| it.into_vec().into()).collect();
    let channels = Channels { names, patterns };
    let mut subscription = target.client(deadline).await?.subscribe(channels).await?;
    let mut left = events.unwrap_or(u64::MAX);
    let mut has_head = false;
    while 0 < left {
        match subscription.next().await? {
            Heard::Message(message) => {
                show(&message, format, &mut has_head, output)?;
                left -= 1;
            }
            Heard::Gap => match format {
                Format::Json => output::json(output, &Document::gap())?,
                Format::Simple | Format::Table => {
                    writeln!(errors, "kvctl: messages may have been missed here")?;
                }
            },
        }
        output.flush()?;
    }
    Ok(0)
}

#[derive(Default, Serialize)]
struct Document<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern_base64: Option<String>,
}

impl Document<'_> {
    fn gap() -> Self {
        Self { event: "gap", ..Self::default() }
    }
}

/// Channel and message, and behind them the pattern by which it came.
fn show(
    Message { pattern, channel, message }: &Message,
    format: Format,
    has_head: &mut bool,
    output: &mut dyn Write,
) -> std::io::Result<()> {
    match format {
        Format::Simple => {
            let by = pattern.as_ref().map(|it| format!(" ({})", printable(it)));
            let by = by.unwrap_or_default();
            writeln!(output, "{} {}{by}", printable(channel), printable(message))
        }
        Format::Json => {
            let (channel, channel_base64) = text_or_base64(channel);
            let (message, message_base64) = text_or_base64(message);
            let (pattern, pattern_base64) =
                pattern.as_ref().map_or((None, None), |it| text_or_base64(it));
            let document = Document {
                event: "message",
                channel,
                channel_base64,
                message,
                message_base64,
                pattern,
                pattern_base64,
            };
            output::json(output, &document)
        }
        Format::Table => {
            let heads: &[&str] = if *has_head { &[] } else { HEADS };
            *has_head = true;
            let pattern = pattern.as_ref().map_or_else(String::new, |it| printable(it));
            output::table(output, heads, &[vec![printable(channel), printable(message), pattern]])
        }
    }
}
