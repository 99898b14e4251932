//! The commands that the command line and the shell share.

use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt};

use tokio::time::Instant;

use super::arguments::{
    By, DataCommand, DelArguments, DevCommand, EndArguments, EventsArguments, Format, GetArguments,
    GetDetail, HistoryArguments, MemberCommand, MonCommand, PublishArguments, SubscribeArguments,
    TypedArguments, WatchArguments,
};
use super::output::{self, PairWriter};
use super::stop::Stop;
use super::{
    CommandError, DECIDED_NO, dev, doctor, events, health, listing, member, monitor, status,
    subscribe, transaction, value, verify, watch,
};
use crate::client::{Client, KeyValue, Options, Pages};
use crate::error::ClientError;
use crate::typed::Typed;
use crate::{
    Direction, Filter, Held, KeyRange, Kind, No, Order, OrderBy, PutOptions, RangeEnd, RequestName,
    Selection, Show,
};

/// Where the answer goes, and where what is to be said beside it.
pub(crate) type Told<'a> = (&'a mut dyn Write, &'a mut dyn Write);

/// A command with everything that it needs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Job {
    Put { key: Vec<u8>, value: Vec<u8>, options: PutOptions },
    PutIfHeld { key: Vec<u8>, value: Vec<u8>, options: PutOptions, held: Held },
    KeepAlive { lease: u64 },
    Select { key: Vec<u8>, end: RangeEnd<'static>, detail: GetDetail },
    History { key: Vec<u8>, since: u64 },
    Compact { revision: u64 },
    Revert { key: Vec<u8>, revision: u64 },
    Ls { prefix: Vec<u8> },
    Tree { prefix: Vec<u8> },
    Typed(Typed),
    Transaction(Typed),
    Get { key: Vec<u8>, end: RangeEnd<'static>, is_local: bool },
    Delete { keys: Vec<Vec<u8>>, end: RangeEnd<'static>, shows_previous: bool },
    Status,
    Health,
    Doctor,
    Monitor(MonCommand),
    Events(EventsArguments),
    Verify,
    Member(MemberCommand),
    Dev(DevCommand),
    Watch(WatchArguments),
    Publish(PublishArguments),
    Subscribe(SubscribeArguments),
}

/// Whom a command is for.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    /// The nodes to ask.
    pub(crate) endpoints: &'a [String],
    /// The shell's client; without one a command has a client of its own.
    pub(crate) shell: Option<&'a Client>,
    /// The name of the command, which must be a write.
    pub(crate) request_id: Option<RequestName>,
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
                let options = put_options(arguments.prev, arguments.end);
                let held = arguments.if_held.as_ref().map(held_lock).transpose()?;
                let (key, value) = value::key_and_value(arguments, input)?;
                match held {
                    Some(held) => Self::PutIfHeld { key, value, options, held },
                    None => Self::Put { key, value, options },
                }
            }
            DataCommand::Get(GetArguments { key, prefix, local, detail }) => {
                let (key, end) = (key.into_vec(), range_end(prefix));
                if detail == GetDetail::default() {
                    Self::Get { key, end, is_local: local }
                } else {
                    Self::Select { key, end, detail }
                }
            }
            DataCommand::Del(DelArguments { keys, prefix, prev }) => Self::Delete {
                keys: keys.into_iter().map(OsStringExt::into_vec).collect(),
                end: range_end(prefix),
                shows_previous: prev,
            },
            DataCommand::History(HistoryArguments { key, since }) => {
                Self::History { key: key.into_vec(), since }
            }
            DataCommand::Compact { revision } => Self::Compact { revision },
            DataCommand::Revert { key, revision } => Self::Revert { key: key.into_vec(), revision },
            DataCommand::Ls { prefix } => Self::Ls { prefix: prefix.into_vec() },
            DataCommand::Tree { prefix } => Self::Tree { prefix: prefix.into_vec() },
            DataCommand::Hset(arguments) => typed("hset", arguments)?,
            DataCommand::Hget(arguments) => typed("hget", arguments)?,
            DataCommand::Hdel(arguments) => typed("hdel", arguments)?,
            DataCommand::Hgetall(arguments) => typed("hgetall", arguments)?,
            DataCommand::Hlen(arguments) => typed("hlen", arguments)?,
            DataCommand::Hexists(arguments) => typed("hexists", arguments)?,
            DataCommand::Sset(arguments) => typed("sset", arguments)?,
            DataCommand::Sdel(arguments) => typed("sdel", arguments)?,
            DataCommand::Shas(arguments) => typed("shas", arguments)?,
            DataCommand::Smembers(arguments) => typed("smembers", arguments)?,
            DataCommand::Scard(arguments) => typed("scard", arguments)?,
            DataCommand::Incr(arguments) => typed("incr", arguments)?,
            DataCommand::Expire(arguments) => typed("expire", arguments)?,
            DataCommand::Persist(arguments) => typed("persist", arguments)?,
            DataCommand::Ttl(arguments) => typed("ttl", arguments)?,
            DataCommand::Lease(arguments) => match lease_to_keep(&arguments)? {
                Some(lease) => Self::KeepAlive { lease },
                None => typed("lease", arguments)?,
            },
            DataCommand::Txn(arguments) => Self::Transaction(transaction::typed(arguments, input)?),
            DataCommand::Status => Self::Status,
            DataCommand::Health => Self::Health,
            DataCommand::Doctor => Self::Doctor,
            DataCommand::Mon(command) => Self::Monitor(command),
            DataCommand::Events(arguments) => Self::Events(arguments),
            DataCommand::Verify => Self::Verify,
            DataCommand::Member(command) => Self::Member(command),
            DataCommand::Dev(command) => Self::Dev(command),
            DataCommand::Watch(arguments) => Self::Watch(arguments),
            DataCommand::Publish(arguments) => Self::Publish(arguments),
            DataCommand::Subscribe(arguments) => Self::Subscribe(arguments),
        })
    }

    /// Whether the command is replicated, so that it can have a request id.
    pub(crate) fn is_write(&self) -> bool {
        match self {
            Self::Put { .. } | Self::Delete { .. } | Self::Compact { .. } => true,
            Self::Transaction(_) | Self::PutIfHeld { .. } => true,
            Self::Typed(typed) => typed.is_write,
            Self::Get { .. }
            | Self::Select { .. }
            | Self::History { .. }
            | Self::Ls { .. }
            | Self::Tree { .. }
            | Self::Status
            | Self::Health
            | Self::Doctor
            | Self::Monitor(_)
            | Self::Events(_)
            | Self::Verify
            | Self::Subscribe(_)
            | Self::Watch(_) => false,
            // It is many writes, or one after another read.
            Self::KeepAlive { .. } | Self::Revert { .. } => false,
            // It is in no log.
            Self::Publish(_) | Self::Dev(_) => false,
            Self::Member(command) => {
                // A replacement may be two changes.
                !matches!(
                    command,
                    MemberCommand::List
                        | MemberCommand::Transfer { .. }
                        | MemberCommand::Replace { .. }
                )
            }
        }
    }

    /// Whether Ctrl-C is the way to end it.
    pub(crate) fn is_endless(&self) -> bool {
        if let Self::Monitor(command) = self {
            return command.is_endless();
        }
        if let Self::Events(arguments) = self {
            return arguments.is_endless();
        }
        matches!(
            self,
            Self::Watch(WatchArguments { events: None, .. })
                | Self::Subscribe(SubscribeArguments { events: None, .. })
        )
    }

    /// Whether the command is about the cluster as a whole, and asks every node.
    pub(crate) fn is_of_all(&self) -> bool {
        matches!(
            self,
            Self::Status
                | Self::Health
                | Self::Doctor
                | Self::Monitor(_)
                | Self::Events(_)
                | Self::Verify
                | Self::Member(_)
                | Self::Dev(_)
        )
    }

    fn check_name(&self, target: &Target<'_>) -> Result<(), CommandError> {
        if target.request_id.is_some() && !self.is_write() {
            return Err(CommandError::name_of_no_write());
        }
        Ok(())
    }

    /// As `run`, until `stop` comes: if that is how the command ends it is its end, else it is an
    /// error.
    pub(crate) async fn run_until(
        self,
        stop: &mut Stop<'_>,
        (target, deadline): (&Target<'_>, Instant),
        format: Format,
        told: Told<'_>,
    ) -> Result<u8, CommandError> {
        let is_endless = self.is_endless();
        tokio::select! {
            result = self.run(target, deadline, format, told) => result,
            () = stop.comes() => {
                if is_endless { Ok(0) } else { Err(CommandError::Interrupted) }
            }
        }
    }

    /// Carries the command out and writes the answer, and what is to be said beside it. Returns
    /// the exit code.
    pub(crate) async fn run(
        self,
        target: &Target<'_>,
        deadline: Instant,
        format: Format,
        (output, errors): Told<'_>,
    ) -> Result<u8, CommandError> {
        self.check_name(target)?;
        match self {
            Self::KeepAlive { lease } => keep_alive(target, deadline, lease).await,
            Self::Typed(typed) => {
                carry_out(&typed, target, deadline, format, (output, errors)).await
            }
            Self::Transaction(typed) => {
                transaction::run(typed, target, deadline, format, (output, errors)).await
            }
            Self::Verify => verify::run(target.endpoints, deadline, format, (output, errors)).await,
            Self::Status => status::run(target.endpoints, deadline, format, output).await,
            Self::Health => health::run(target.endpoints, deadline, format, output).await,
            Self::Doctor => doctor::run(target.endpoints, deadline, format, output).await,
            Self::Monitor(command) => {
                monitor::run(command, target.endpoints, deadline, format, (output, errors)).await
            }
            Self::Events(arguments) => {
                events::run(arguments, target.endpoints, deadline, format, (output, errors)).await
            }
            Self::Member(command) => member::run(command, target, deadline, (format, output)).await,
            Self::Dev(command) => {
                dev::run(&command, target.endpoints, deadline, (format, output)).await
            }
            Self::Watch(arguments) => watch::run(arguments, target, deadline, format, output).await,
            Self::Subscribe(arguments) => {
                subscribe::run(arguments, target, deadline, format, (output, errors)).await
            }
            job => {
                let client = target.client(deadline).await?;
                job.ask(&client, format, (output, errors)).await
            }
        }
    }

    /// Carries out a command that needs a client and nothing else.
    async fn ask(
        self,
        client: &Client,
        format: Format,
        (output, errors): Told<'_>,
    ) -> Result<u8, CommandError> {
        match self {
            Self::Put { key, value, options } => {
                let options = Some(options).filter(|options| *options != PutOptions::default());
                put(client, (&key, &value), options, (output, format)).await
            }
            Self::PutIfHeld { key, value, options, held } => {
                let done = client.put_if_held(&key, &value, options, &held).await?;
                let revision = done.ok_or_else(|| CommandError::NotHeld(held.to_string()))?;
                output::put(output, format, revision)?;
                Ok(0)
            }
            Self::Revert { key, revision } => {
                listing::revert(client, (&key, revision), format, output).await
            }
            Self::Ls { prefix } => listing::ls(client, &prefix, format, output).await,
            Self::Tree { prefix } => listing::tree(client, &prefix, output).await,
            Self::Select { key, end, detail } => {
                select(client, (&key, end, &detail), format, (output, errors)).await
            }
            Self::History { key, since } => {
                let page = client.history(&key, since).await?;
                output::history(output, format, &page)?;
                tell_of_more(page.more, errors);
                Ok(if page.kvs.is_empty() { DECIDED_NO } else { 0 })
            }
            Self::Compact { revision } => {
                output::put(output, format, client.compact(revision).await?)?;
                Ok(0)
            }
            Self::Get { key, end, is_local } => {
                let range = KeyRange { from: &key, end };
                let pages =
                    if is_local { client.range_locally(range) } else { client.range(range) };
                get(pages, end == RangeEnd::Single, format, (output, errors)).await
            }
            Self::Delete { keys, end, shows_previous } => {
                let ranges: Vec<KeyRange<'_>> =
                    keys.iter().map(|key| KeyRange { from: key, end }).collect();
                if shows_previous {
                    output::taken(output, format, client.take(&ranges).await?)?;
                } else {
                    output::deleted(output, format, client.delete(&ranges).await?)?;
                }
                Ok(0)
            }
            Self::Publish(arguments) => {
                subscribe::publish(arguments, client, (output, format)).await
            }
            Self::KeepAlive { .. }
            | Self::Typed(_)
            | Self::Transaction(_)
            | Self::Verify
            | Self::Status
            | Self::Health
            | Self::Doctor
            | Self::Monitor(_)
            | Self::Events(_)
            | Self::Member(_)
            | Self::Dev(_)
            | Self::Subscribe(_)
            | Self::Watch(_) => unreachable!("`run` carries them out"),
        }
    }
}

impl Target<'_> {
    /// A client whose operations end at the deadline, and whose write has the command's name.
    pub(crate) async fn client(&self, deadline: Instant) -> Result<Client, CommandError> {
        let client = match self.shell {
            Some(client) => client.until(deadline),
            None => {
                let timeout = deadline.saturating_duration_since(Instant::now());
                let endpoints = self.endpoints.to_vec();
                Client::connect(endpoints, Options { timeout }).await?.until(deadline)
            }
        };
        Ok(match self.request_id {
            Some(name) => {
                let id = name.id(&client, self.endpoints, deadline).await?;
                client.with_request_id(id)
            }
            None => client,
        })
    }
}

fn typed(name: &str, arguments: TypedArguments) -> Result<Job, CommandError> {
    let words = arguments.words.into_iter().map(OsStringExt::into_vec);
    let words: Vec<Vec<u8>> = [name.as_bytes().to_vec()].into_iter().chain(words).collect();
    let typed = Typed::parse(&words).expect("the command line knows no other names");
    typed.map(Job::Typed).map_err(CommandError::Usage)
}

async fn carry_out(
    typed: &Typed,
    target: &Target<'_>,
    deadline: Instant,
    format: Format,
    (output, errors): Told<'_>,
) -> Result<u8, CommandError> {
    let (said, answer) = target.client(deadline).await?.carry_out_encoded(typed).await?;
    if format != Format::Json || !transaction::document_of(output, &answer)? {
        output.write_all(&said.lines)?;
    }
    tell_of_more(said.more, errors);
    Ok(if said.is_no { DECIDED_NO } else { 0 })
}

async fn keep_alive(
    target: &Target<'_>,
    deadline: Instant,
    lease: u64,
) -> Result<u8, CommandError> {
    // The deadline is that of each renewal.
    let timeout = deadline.saturating_duration_since(Instant::now());
    let client = target.client(deadline).await?.each(timeout);
    client.keep_alive(lease).await?;
    Err(ClientError::DecidedNo(No::LeaseUnknown { id: lease }).into())
}

async fn put(
    client: &Client,
    (key, value): (&[u8], &[u8]),
    options: Option<PutOptions>,
    (output, format): (&mut dyn Write, Format),
) -> Result<u8, CommandError> {
    match options {
        Some(options) => {
            let put = client.put_with(key, value, options).await?;
            if options.returns_previous {
                output::replaced(output, format, put)?;
            } else {
                output::put(output, format, put.0)?;
            }
        }
        None => output::put(output, format, client.put(key, value).await?)?,
    }
    Ok(0)
}

fn put_options(returns_previous: bool, end: EndArguments) -> PutOptions {
    let EndArguments { lease, ttl, keep_ttl } = end;
    let ttl_ms = ttl.map_or(0, |ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
    PutOptions {
        returns_previous,
        lease: lease.unwrap_or(0),
        ttl_ms,
        keeps_end: keep_ttl,
        ..PutOptions::default()
    }
}

fn held_lock(text: &OsString) -> Result<Held, CommandError> {
    let usage =
        || CommandError::Usage("a lock is KEY@REVISION, as kvctl lock prints it".to_owned());
    Held::parse(text.as_bytes()).ok_or_else(usage)
}

/// The lease of `lease keep-alive ID`.
fn lease_to_keep(arguments: &TypedArguments) -> Result<Option<u64>, CommandError> {
    let [action, rest @ ..] = &*arguments.words else { return Ok(None) };
    if action.as_bytes() != b"keep-alive" {
        return Ok(None);
    }
    let id = match rest {
        [id] => id.to_str().and_then(|id| id.parse().ok()).filter(|&id| id != 0),
        _ => None,
    };
    let usage = "usage: lease keep-alive ID".to_owned();
    id.map(Some).ok_or(CommandError::Usage(usage))
}

async fn get(
    mut pages: Pages<'_>,
    is_single: bool,
    format: Format,
    (output, errors): Told<'_>,
) -> Result<u8, CommandError> {
    let mut writer = PairWriter::new(format, is_single);
    while let Some(page) = pages.next().await? {
        let other = page.kvs.iter().find(|kv| is_single && kv.kind != Kind::String);
        if let Some(KeyValue { kind, .. }) = other {
            return Err(ClientError::DecidedNo(No::WrongType { found: *kind }).into());
        }
        writer.page(output, &page)?;
    }
    let staleness = pages.staleness();
    let count = writer.finish(output, staleness)?;
    if let Some(staleness) = staleness.filter(|_| format != Format::Json) {
        output.flush()?;
        // Nobody is left to be told that standard error is closed.
        let _ = writeln!(errors, "{}", output::in_words(staleness));
    }
    Ok(if is_single && count == 0 { DECIDED_NO } else { 0 })
}

async fn select(
    client: &Client,
    (key, end, detail): (&[u8], RangeEnd<'static>, &GetDetail),
    format: Format,
    (output, errors): Told<'_>,
) -> Result<u8, CommandError> {
    let end = match &detail.to {
        Some(to) => RangeEnd::HalfOpen(to.as_bytes()),
        None if detail.from_key => RangeEnd::From,
        None => end,
    };
    let show = match (detail.keys_only, detail.count_only) {
        (false, false) => Show::Pairs,
        (true, _) => Show::Keys,
        (false, true) => Show::Count,
    };
    let direction = if detail.descending { Direction::Descending } else { Direction::Ascending };
    let selection = Selection {
        range: KeyRange { from: key, end },
        revision: detail.rev.unwrap_or(0),
        limit: detail.limit.unwrap_or(0),
        order: Order { by: order_by(detail.order), direction },
        filter: Filter {
            mod_revision_min: detail.min_mod_rev,
            mod_revision_max: detail.max_mod_rev,
            create_revision_min: detail.min_create_rev,
            create_revision_max: detail.max_create_rev,
        },
        show,
    };
    let page = client.select(selection).await?;
    if show == Show::Count {
        output::count(output, format, &page)?;
        return Ok(0);
    }
    let is_single = end == RangeEnd::Single && show == Show::Pairs;
    let mut writer = PairWriter::new(format, is_single).without_values(show == Show::Keys);
    writer.page(output, &page)?;
    let count = writer.finish(output, None)?;
    tell_of_more(page.more && detail.limit.is_none(), errors);
    Ok(if end == RangeEnd::Single && count == 0 { DECIDED_NO } else { 0 })
}

fn order_by(by: Option<By>) -> OrderBy {
    match by {
        Some(By::Key) | None => OrderBy::Key,
        Some(By::Version) => OrderBy::Version,
        Some(By::Create) => OrderBy::CreateRevision,
        Some(By::Mod) => OrderBy::ModRevision,
        Some(By::Value) => OrderBy::Value,
    }
}

pub(crate) fn tell_of_more(more: bool, errors: &mut dyn Write) {
    if more {
        // Nobody is left to be told that standard error is closed.
        let _ = writeln!(errors, "there is more than one answer can hold");
    }
}

fn range_end(is_prefix: bool) -> RangeEnd<'static> {
    if is_prefix { RangeEnd::Prefix } else { RangeEnd::Single }
}
