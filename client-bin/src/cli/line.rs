//! The commands of `kvctl` as a prompt takes them, a line each, over one client.

use std::io::Write;

use clap::CommandFactory as _;
use tokio::time::Instant;

use super::arguments::{Format, Line, LineAction, Shared, one_line};
use super::commands::{Job, Target};
use super::stop::Stop;
use super::{CommandError, elect, lock, session, snapshot};
use crate::client::{Client, Options};
use crate::client_name::{ClientName, RequestName};
use crate::prompt::Word;

/// The commands for completion and hints.
pub const WORDS: &[Word] = &[
    Word { name: "put", usage: "KEY VALUE [--ttl SECONDS] [--lease ID]" },
    Word { name: "set", usage: "KEY VALUE" },
    Word { name: "get", usage: "KEY [--prefix]" },
    Word { name: "del", usage: "KEY... [--prefix]" },
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
    Word { name: "expire", usage: "KEY [FIELD] SECONDS" },
    Word { name: "persist", usage: "KEY [FIELD]" },
    Word { name: "ttl", usage: "KEY [FIELD]" },
    Word { name: "txn", usage: "[if COMPARE [and ...]] [then OPERATION [; ...]] [else ...]" },
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
    Word { name: "dev", usage: "kill|revive|pause|resume|cut|heal|delay|add|remove|transfer|..." },
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
    Word { name: "help", usage: "[COMMAND]" },
    Word { name: "exit", usage: "" },
];

/// One line that was read and not carried out yet.
#[derive(Debug)]
pub struct Order {
    what: What,
    write_out: Option<Format>,
    request_id: Option<RequestName>,
}

#[derive(Debug)]
enum What {
    /// Help, which was asked for.
    Told(String),
    Action(Box<LineAction>),
}

/// What the commands of a prompt share.
#[derive(Debug)]
pub struct Lines {
    client: Client,
    /// The nodes that commands on the cluster as a whole ask.
    members: Vec<String>,
    shared: Shared,
    /// The client under which writes are numbered, and the newest number.
    numbering: Option<(ClientName, u64)>,
}

impl Order {
    /// Whether there is a command of this name, in small letters.
    #[must_use]
    pub fn is_known(name: &str) -> bool {
        // The parser makes up help by itself, and only when it is asked for.
        name == "help" || Line::command().find_subcommand(name).is_some()
    }

    /// Reads a line's words, of which the first may be in any case.
    ///
    /// Errors: `CommandError::Usage`.
    pub fn read(words: &[String]) -> Result<Self, CommandError> {
        let mut words = words.to_vec();
        if let Some(first) = words.first_mut() {
            *first = first.to_lowercase();
        }
        match Line::read(&words) {
            Ok(Line { write_out, request_id, action }) => {
                Ok(Self { what: What::Action(Box::new(action)), write_out, request_id })
            }
            Err(error) => {
                let text = error.render().to_string();
                if error.use_stderr() {
                    return Err(CommandError::Usage(one_line(&text)));
                }
                Ok(Self { what: What::Told(text), write_out: None, request_id: None })
            }
        }
    }

    /// Whether the user leaves.
    #[must_use]
    pub fn is_exit(&self) -> bool {
        matches!(&self.what, What::Action(action) if matches!(**action, LineAction::Exit))
    }

    /// Whether the command goes on until somebody ends it.
    #[must_use]
    pub fn is_endless(&self) -> bool {
        match &self.what {
            What::Told(_) => false,
            What::Action(action) => action.is_endless(),
        }
    }

    /// Whether the command shows or holds something for a while, so that its user may have had
    /// enough of it.
    #[must_use]
    pub fn takes_a_while(&self) -> bool {
        match &self.what {
            What::Told(_) => false,
            What::Action(action) => action.takes_a_while(),
        }
    }
}

impl Lines {
    /// Connects to the first of `endpoints` that answers, through which commands go; those about
    /// the cluster as a whole ask `members`. Each command may take so long.
    ///
    /// Errors: as [`Client::connect`].
    pub async fn connect(
        endpoints: Vec<String>,
        members: Vec<String>,
        timeout: std::time::Duration,
    ) -> Result<Self, CommandError> {
        let client = Client::connect(endpoints.clone(), Options { timeout }).await?;
        let shared = Shared {
            endpoints,
            timeout: timeout.as_secs_f64(),
            write_out: Format::Simple,
            request_id: None,
            trace: false,
        };
        Ok(Self { client, members, shared, numbering: None })
    }

    /// The same for `kvctl shell`, with its flags.
    pub(crate) fn of_shell(client: Client, shared: Shared, numbers: Option<ClientName>) -> Self {
        let members = shared.endpoints.clone();
        Self { client, members, shared, numbering: numbers.map(|client| (client, 0)) }
    }

    /// Carries a line out and writes the answer, and what is to be said beside it. Returns the exit
    /// code that the command would have had by itself.
    ///
    /// Errors: `CommandError`; `Interrupted` if `stop` came before the end, unless that is how the
    /// command ends.
    pub async fn carry_out(
        &mut self,
        order: Order,
        (output, errors): (&mut dyn Write, &mut dyn Write),
        stop: &mut Stop<'_>,
    ) -> Result<u8, CommandError> {
        let Order { what, write_out, request_id } = order;
        let action = match what {
            What::Told(text) => {
                write!(output, "{text}")?;
                return Ok(0);
            }
            What::Action(action) => *action,
        };
        let format = write_out.unwrap_or(self.shared.write_out);
        let shared = Shared { write_out: format, ..self.shared.clone() };
        let command = match action {
            LineAction::Exit => return Ok(0),
            LineAction::Data(command) => command,
            LineAction::Lock(_)
            | LineAction::Elect(_)
            | LineAction::Session(_)
            | LineAction::Snapshot(_)
                if request_id.is_some() =>
            {
                return Err(CommandError::name_of_no_write());
            }
            LineAction::Lock(arguments) => {
                return lock::run((output, errors), &shared, arguments, stop).await;
            }
            LineAction::Elect(arguments) => {
                return elect::run((output, errors), &shared, arguments, stop).await;
            }
            LineAction::Session(command) => {
                return session::run(output, &shared, command, stop).await;
            }
            LineAction::Snapshot(command) => {
                return snapshot::run((output, errors), &shared, command, stop).await;
            }
        };
        let (job, deadline) = (Job::new(command, None)?, Instant::now() + self.shared.timeout());
        let request_id = match request_id {
            None if job.is_write() => self.next_name(deadline).await?,
            named => named,
        };
        let endpoints = if job.is_of_all() { &self.members } else { &self.shared.endpoints };
        let target = Target { endpoints, shell: Some(&self.client), request_id };
        job.run_until(stop, (&target, deadline), format, (output, errors)).await
    }

    /// The name of the next write, if writes are numbered. A number is looked up once.
    async fn next_name(&mut self, deadline: Instant) -> Result<Option<RequestName>, CommandError> {
        let Some((name, newest)) = &mut self.numbering else { return Ok(None) };
        let client = self.client.until(deadline);
        let session = name.session(&client, &self.shared.endpoints, deadline).await?;
        *name = ClientName::Session(session);
        *newest += 1;
        Ok(name.request(*newest))
    }
}
