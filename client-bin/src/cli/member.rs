//! `kvctl member`.

pub(super) mod plan;
mod replace;

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::CommandError;
use super::arguments::{Format, MemberCommand};
use super::commands::Target;
use super::output;
use super::paint::{self, Tone};
use crate::members::{Member, MemberChange, change_when_possible, members, transfer};

/// How long a change that is under way is waited for without being asked to. The nodes make
/// changes too, and whoever leads now may not yet know that the last one is done.
const SETTLING: Duration = Duration::from_secs(1);

/// Carries the command out and writes the answer. Returns the exit code.
pub(crate) async fn run(
    command: MemberCommand,
    target: &Target<'_>,
    deadline: Instant,
    (format, output): (Format, &mut dyn Write),
) -> Result<u8, CommandError> {
    let none = MemberChange::default();
    let (change, how) = match command {
        MemberCommand::List => {
            let within = deadline.saturating_duration_since(Instant::now());
            list(output, format, &members(target.endpoints, within).await?)?;
            return Ok(0);
        }
        MemberCommand::Transfer { id } => {
            let within = deadline.saturating_duration_since(Instant::now());
            transfer(target.endpoints, id, within).await?;
            return done(output, format);
        }
        MemberCommand::Replace { old, new, how } => {
            return replace::run((old, &new), how, target, deadline, (format, output)).await;
        }
        MemberCommand::Add { addresses, how } => (MemberChange { add: addresses, ..none }, how),
        MemberCommand::Remove { ids, how } => (MemberChange { remove: ids, ..none }, how),
        MemberCommand::Promote { ids, how } => (MemberChange { promote: ids, ..none }, how),
        MemberCommand::Demote { ids, how } => (MemberChange { demote: ids, ..none }, how),
        MemberCommand::Update { id, address, how } => {
            (MemberChange { readdress: vec![(id, address)], ..none }, how)
        }
    };
    if how.dry_run {
        return plan::run(&change, target.endpoints, deadline, (format, output)).await;
    }
    let ids = make(&change, how.wait, target, deadline).await?;
    if change.add.is_empty() {
        return done(output, format);
    }
    let places = ids.into_iter().zip(&change.add);
    added(output, format, &places.collect::<Vec<_>>(), target.endpoints)?;
    Ok(0)
}

/// Makes the change; what makes no sense is said without asking anybody.
async fn make(
    change: &MemberChange,
    waits: bool,
    target: &Target<'_>,
    deadline: Instant,
) -> Result<Vec<u64>, CommandError> {
    change.to_change().map_err(CommandError::Usage)?;
    let client = target.client(deadline).await?;
    // Under a name the same answer would come again and again.
    let patience = if target.request_id.is_some() { Duration::ZERO } else { SETTLING };
    let until = if waits { deadline } else { deadline.min(Instant::now() + patience) };
    Ok(change_when_possible(&client, change, waits, until).await?)
}

fn done(output: &mut dyn Write, format: Format) -> Result<u8, CommandError> {
    #[derive(Serialize)]
    struct Done {
        done: bool,
    }
    match format {
        Format::Simple | Format::Table => writeln!(output, "OK")?,
        Format::Json => output::json(output, &Done { done: true })?,
    }
    Ok(0)
}

fn list(output: &mut dyn Write, format: Format, members: &[Member]) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        members: Vec<Row<'a>>,
    }
    #[derive(Serialize)]
    struct Row<'a> {
        id: u64,
        role: &'a str,
        address: &'a str,
        leader: bool,
    }
    match format {
        Format::Simple => members.iter().try_for_each(|member| {
            let Member { id, role, address, leads } = member;
            let leads = if *leads { ", leader" } else { "" };
            writeln!(output, "node {id} at {address}: {role}{leads}")
        }),
        Format::Json => {
            let rows = members.iter().map(|Member { id, role, address, leads }| Row {
                id: *id,
                role,
                address,
                leader: *leads,
            });
            output::json(output, &Document { members: rows.collect() })
        }
        Format::Table => {
            let row = |member: &Member| {
                let leads = if member.leads { "leader" } else { "" };
                let Member { id, role, address, .. } = member;
                let cells = vec![id.to_string(), role.clone(), address.clone(), leads.to_owned()];
                (if member.leads { Tone::Good } else { Tone::Plain }, cells)
            };
            let rows = members.iter().map(row).collect();
            paint::table(output, &["NODE", "ROLE", "ADDRESS", "LEADS"], rows)
        }
    }
}

fn added(
    output: &mut dyn Write,
    format: Format,
    places: &[(u64, &String)],
    endpoints: &[String],
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document {
        added: Vec<Row>,
    }
    #[derive(Serialize)]
    struct Row {
        id: u64,
        address: String,
        start: String,
    }
    let row = |(id, address): &(u64, &String)| {
        let doors = endpoints.join(",");
        let start = format!("kvorum --node-id {id} --listen {address} --join {doors}");
        Row { id: *id, address: (*address).clone(), start }
    };
    let rows: Vec<Row> = places.iter().map(row).collect();
    match format {
        Format::Simple => rows.iter().try_for_each(|row| {
            writeln!(output, "node {} is a learner now; start it with: {}", row.id, row.start)
        }),
        Format::Json => output::json(output, &Document { added: rows }),
        Format::Table => {
            let cells: Vec<Vec<String>> = rows
                .into_iter()
                .map(|row| vec![row.id.to_string(), row.address, row.start])
                .collect();
            output::table(output, &["NODE", "ADDRESS", "START"], &cells)
        }
    }
}
