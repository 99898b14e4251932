//! `kvctl --trace`: a command, and the way of its request through the nodes.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::CommandError;
use super::arguments::Format;
use super::commands::{Job, Target, Told};
use super::output;
use super::stop::Stop;
use crate::client::{Client, Options};
use crate::error::ClientError;
use crate::monitor::{MonitorAnswer, MonitorPart, MonitorRequest, monitor};
use crate::trace::{Step, in_order};

/// For how long nodes are asked that have not applied it yet.
const PATIENCE: Duration = Duration::from_millis(500);

/// The pause before they are asked once more.
const PAUSE: Duration = Duration::from_millis(60);

/// Carries the command out and writes its answer, then the way of its request on standard error.
/// Returns the exit code of the command.
pub(super) async fn run(
    job: Job,
    (target, deadline): (&Target<'_>, Instant),
    format: Format,
    (output, errors): Told<'_>,
    stop: &mut Stop<'_>,
) -> Result<u8, CommandError> {
    if job.is_of_all() || job.is_endless() {
        return Err(not_traced());
    }
    let left = || deadline.saturating_duration_since(Instant::now());
    let options = Options { timeout: left() };
    let client = Client::connect(target.endpoints.to_vec(), options).await?;
    // The first write of the client, and its queries; or the write that has a name.
    let names = match target.request_id {
        Some(name) => vec![name.id(&client, target.endpoints, deadline).await?.to_string()],
        None => [1, 0].map(|serial| format!("{}:{serial}", client.session())).to_vec(),
    };
    let trace = Trace::begin(target.endpoints, names, left()).await?;
    let known = Target { shell: Some(&client), ..*target };
    let told: Told<'_> = (&mut *output, &mut *errors);
    let result = job.run_until(stop, (&known, deadline), format, told).await;
    output.flush()?;
    trace.tell(format, errors, left()).await?;
    result
}

/// Requests that every member looks out for.
pub(super) struct Trace<'t> {
    endpoints: &'t [String],
    names: Vec<String>,
    answers: Vec<MonitorAnswer>,
    began: Instant,
}

impl<'t> Trace<'t> {
    /// Has the members look out for requests with these names.
    ///
    /// Errors: if nobody can be asked to.
    pub(super) async fn begin(
        endpoints: &'t [String],
        names: Vec<String>,
        within: Duration,
    ) -> Result<Self, ClientError> {
        let answers = ask(endpoints, &names, Some("on"), within).await?;
        Ok(Self { endpoints, names, answers, began: Instant::now() })
    }

    /// Writes what they have seen, when all has been done or after a while.
    ///
    /// Errors: if nobody can be asked any more.
    pub(super) async fn tell(
        self,
        format: Format,
        errors: &mut dyn Write,
        within: Duration,
    ) -> Result<(), ClientError> {
        let Self { endpoints, names, mut answers, began } = self;
        let took = began.elapsed();
        let (deadline, until) = (Instant::now() + within, Instant::now() + PATIENCE);
        let left = || deadline.saturating_duration_since(Instant::now()).max(PAUSE);
        loop {
            let seen = ask(endpoints, &names, None, left()).await?;
            if is_whole(&seen) || until <= Instant::now() {
                answers.extend(seen);
                break;
            }
            sleep(PAUSE).await;
        }
        // Nobody is left to be told that standard error is closed.
        let _ = tell(&in_order(&answers), took, format, errors);
        Ok(())
    }
}

/// Commands that are many requests, or none.
pub(super) fn not_traced() -> CommandError {
    let text = "--trace shows the way of a command that reads or writes keys, such as get and put, \
                or takes a lock";
    CommandError::Usage(text.to_owned())
}

async fn ask(
    endpoints: &[String],
    names: &[String],
    value: Option<&str>,
    within: Duration,
) -> Result<Vec<MonitorAnswer>, ClientError> {
    let mut answers = Vec::new();
    for name in names {
        let path = format!("/cluster/trace/{name}");
        let value = value.map(str::to_owned);
        let request = MonitorRequest { path, value, ..MonitorRequest::default() };
        answers.push(monitor(endpoints, request, within).await?);
    }
    Ok(answers)
}

/// Whether nothing more is to come: a write is on every disk and applied everywhere, or a query was
/// answered.
fn is_whole(answers: &[MonitorAnswer]) -> bool {
    let has = |part: &MonitorPart, word: &str| {
        part.entries.iter().any(|entry| entry.value.to_string().starts_with(word))
    };
    answers.iter().any(|answer| {
        let heard = || answer.parts.iter().filter(|part| part.error.is_none());
        let is_replied = heard().any(|part| has(part, "reply "));
        let is_write = heard().any(|part| has(part, "round "));
        let is_done =
            |part: &MonitorPart| has(part, "applied ") && has(part, "log ") == has(part, "synced ");
        is_replied && (!is_write || heard().all(is_done))
    })
}

#[derive(Serialize)]
struct Document<'a> {
    took_us: u64,
    trace: Vec<One<'a>>,
}

#[derive(Serialize)]
struct One<'a> {
    at_us: i64,
    node_id: u64,
    step: &'a str,
    about: u64,
}

impl<'a> One<'a> {
    fn of(Step { node_id, at_us, word, about }: &'a Step) -> Self {
        Self { at_us: *at_us, node_id: *node_id, step: word, about: *about }
    }
}

fn tell(steps: &[Step], took: Duration, format: Format, errors: &mut dyn Write) -> io::Result<()> {
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    if format == Format::Json {
        let trace = steps.iter().map(One::of).collect();
        return output::json(errors, &Document { took_us, trace });
    }
    writeln!(errors, "trace: {took_us} us at kvctl, {} steps", steps.len())?;
    for step in steps {
        writeln!(errors, "{:>8} us  node {}  {}", step.at_us, step.node_id, step.in_words())?;
    }
    Ok(())
}
