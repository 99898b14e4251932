//! The commands that the command line and the shell share.

use std::io::{BufRead, Write};
use std::os::unix::ffi::OsStringExt;

use tokio::time::Instant;

use super::arguments::{DataCommand, DelArguments, Format, GetArguments, MemberCommand};
use super::output::{self, PairWriter};
use super::{CommandError, DECIDED_NO, member, status, value};
use crate::client::{Client, Options};
use crate::{KeyRange, RangeEnd};

/// A command with everything that it needs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Job {
    Put { key: Vec<u8>, value: Vec<u8> },
    Get { key: Vec<u8>, end: RangeEnd<'static> },
    Delete { keys: Vec<Vec<u8>>, end: RangeEnd<'static> },
    Status,
    Member(MemberCommand),
}

/// Whom a command is for.
#[derive(Debug)]
pub(crate) enum Target<'a> {
    /// A client of its own.
    Endpoints(&'a [String]),
    /// The shell's client.
    Session(&'a Client, &'a [String]),
}

impl Job {
    /// Reads what the command line points at. `input` is standard input, if it is free.
    ///
    /// Errors: `CommandError::Usage`.
    pub(crate) fn new(
        command: DataCommand,
        input: Option<&mut Box<dyn BufRead + Send>>,
    ) -> Result<Self, CommandError> {
        Ok(match command {
            DataCommand::Put(arguments) => {
                let (key, value) = value::key_and_value(arguments, input)?;
                Self::Put { key, value }
            }
            DataCommand::Get(GetArguments { key, prefix }) => {
                Self::Get { key: key.into_vec(), end: range_end(prefix) }
            }
            DataCommand::Del(DelArguments { keys, prefix }) => Self::Delete {
                keys: keys.into_iter().map(OsStringExt::into_vec).collect(),
                end: range_end(prefix),
            },
            DataCommand::Status => Self::Status,
            DataCommand::Member(command) => Self::Member(command),
        })
    }

    /// Carries the command out and writes the answer. Returns the exit code.
    pub(crate) async fn run(
        self,
        target: &Target<'_>,
        deadline: Instant,
        format: Format,
        output: &mut dyn Write,
    ) -> Result<u8, CommandError> {
        match self {
            Self::Put { key, value } => {
                let client = target.client(deadline).await?;
                let revision = client.put(&key, &value).await?;
                output::put(output, format, revision)?;
                Ok(0)
            }
            Self::Get { key, end } => {
                let client = target.client(deadline).await?;
                get(&client, KeyRange { from: &key, end }, format, output).await
            }
            Self::Delete { keys, end } => {
                let ranges: Vec<KeyRange<'_>> =
                    keys.iter().map(|key| KeyRange { from: key, end }).collect();
                let client = target.client(deadline).await?;
                let deleted = client.delete(&ranges).await?;
                output::deleted(output, format, deleted)?;
                Ok(0)
            }
            Self::Status => status::run(target.endpoints(), deadline, format, output).await,
            Self::Member(command) => member::run(command, target, deadline, (format, output)).await,
        }
    }
}

impl Target<'_> {
    /// The nodes to ask.
    pub(crate) fn endpoints(&self) -> &[String] {
        let (Self::Endpoints(endpoints) | Self::Session(_, endpoints)) = self;
        endpoints
    }

    /// A client whose operations end at the deadline.
    pub(crate) async fn client(&self, deadline: Instant) -> Result<Client, CommandError> {
        match self {
            Self::Endpoints(endpoints) => {
                let timeout = deadline.saturating_duration_since(Instant::now());
                let client = Client::connect(endpoints.to_vec(), Options { timeout }).await?;
                Ok(client.until(deadline))
            }
            Self::Session(client, _) => Ok(client.until(deadline)),
        }
    }
}

async fn get(
    client: &Client,
    range: KeyRange<'_>,
    format: Format,
    output: &mut dyn Write,
) -> Result<u8, CommandError> {
    let is_single = range.end == RangeEnd::Single;
    let mut writer = PairWriter::new(format, is_single);
    let mut pages = client.range(range);
    while let Some(page) = pages.next().await? {
        writer.page(output, &page)?;
    }
    let count = writer.finish(output)?;
    Ok(if is_single && count == 0 { DECIDED_NO } else { 0 })
}

fn range_end(is_prefix: bool) -> RangeEnd<'static> {
    if is_prefix { RangeEnd::Prefix } else { RangeEnd::Single }
}
