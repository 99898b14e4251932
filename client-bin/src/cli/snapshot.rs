//! `kvctl snapshot`.

use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::arguments::{Format, Shared, SnapshotCommand};
use super::commands::Told;
use super::stop::Stop;
use super::{CommandError, output};
use crate::backup::{BackupFile, Contents, Saved, plan, restore, save};
use crate::utc;

/// What is said of a backup.
#[derive(Serialize)]
struct Document {
    file: String,
    bytes: u64,
    /// In hexadecimal: a number would not survive every reader of JSON. Missing in the file of a
    /// snapshot alone, as etcd's clients save it.
    cluster_id: Option<String>,
    node_id: Option<u64>,
    made_at_unix_ms: Option<u64>,
    index: u64,
    term: u64,
    log_time_ms: u64,
    revision: u64,
    compacted_revision: u64,
    keys: u64,
    items: u64,
    versions: u64,
    leases: u64,
    users: u64,
    roles: u64,
    live_bytes: u64,
    state_hash: String,
    members: Vec<Member>,
}

#[derive(Serialize)]
struct Member {
    id: u64,
    address: String,
}

/// Carries the command out and writes the answer. Returns the exit code.
pub(super) async fn run(
    (output, errors): Told<'_>,
    shared: &Shared,
    command: SnapshotCommand,
    stop: &mut Stop<'_>,
) -> Result<u8, CommandError> {
    let (endpoints, within, format) = (&shared.endpoints, shared.timeout(), shared.write_out);
    match command {
        SnapshotCommand::Save { file } => {
            let saved = tokio::select! {
                saved = save(endpoints, &file, (within, wall_time_us())) => saved?,
                () = stop.comes() => return Err(CommandError::Interrupted),
            };
            if !saved.is_current {
                // Nobody is left to be told that standard error is closed.
                let _ = writeln!(
                    errors,
                    "nobody leads: the backup has what node {} has applied",
                    saved.head.node_id
                );
            }
            told_saved(output, format, &file, &saved)?;
        }
        SnapshotCommand::Inspect { file } => {
            let backup = BackupFile::open(&file)?;
            let contents = backup.contents()?;
            inspected(output, format, &document(&file, &backup, &contents))?;
        }
        SnapshotCommand::Restore { file, dry_run } => {
            let planned = plan(endpoints, &file, within).await?;
            let (keys, leases) = (planned.contents.summary.keys, planned.contents.summary.leases);
            let revisions =
                if planned.is_foreign { "new revisions" } else { "the revisions they had" };
            if dry_run {
                writeln!(
                    output,
                    "would put {keys} keys and {leases} leases, with {revisions}, in the place \
                     of all in cluster {:016x}",
                    planned.cluster_id
                )?;
                return Ok(0);
            }
            let restored = tokio::select! {
                restored = restore(endpoints, &planned, within) => restored?,
                () = stop.comes() => return Err(CommandError::Interrupted),
            };
            let document = Restored {
                keys,
                leases,
                revision: restored.revision,
                new_revisions: planned.is_foreign,
            };
            match format {
                Format::Json => output::json(output, &document)?,
                Format::Simple | Format::Table => writeln!(
                    output,
                    "restored {keys} keys and {leases} leases, with {revisions}, at revision {}",
                    restored.revision
                )?,
            }
        }
    }
    Ok(0)
}

/// The calendar clock. Units: microseconds since 1970.
#[allow(clippy::disallowed_methods, reason = "a backup says when it was made, by the calendar")]
fn wall_time_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[derive(Serialize)]
struct Restored {
    keys: u64,
    leases: u64,
    revision: u64,
    new_revisions: bool,
}

fn told_saved(
    output: &mut dyn Write,
    format: Format,
    file: &Path,
    saved: &Saved,
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document {
        file: String,
        bytes: u64,
        node_id: u64,
        index: u64,
        revision: u64,
        keys: u64,
        current: bool,
    }
    let Saved { head, contents, bytes, is_current } = saved;
    let document = Document {
        file: file.display().to_string(),
        bytes: *bytes,
        node_id: head.node_id,
        index: head.snapshot.last.index.0,
        revision: contents.summary.revision,
        keys: contents.summary.keys,
        current: *is_current,
    };
    if format == Format::Json {
        return output::json(output, &document);
    }
    let Document { file, bytes, node_id, index, revision, keys, .. } = document;
    writeln!(
        output,
        "saved {file}: {keys} keys at revision {revision}, index {index}, of node {node_id}, \
         {bytes} bytes, verified"
    )
}

fn document(path: &Path, file: &BackupFile, contents: &Contents) -> Document {
    let Contents { state, summary } = contents;
    let members = &state.configuration.members;
    Document {
        file: path.display().to_string(),
        bytes: file.bytes(),
        cluster_id: file.head.map(|head| format!("{:016x}", head.cluster_id)),
        node_id: file.head.map(|head| head.node_id),
        made_at_unix_ms: file.head.map(|head| head.wall_time_us / 1_000),
        index: file.snapshot.last.index.0,
        term: file.snapshot.last.term.0,
        log_time_ms: state.log_time / 1_000,
        revision: summary.revision,
        compacted_revision: summary.compacted,
        keys: summary.keys,
        items: summary.items,
        versions: summary.versions,
        leases: summary.leases,
        users: summary.users,
        roles: summary.roles,
        live_bytes: summary.live_bytes,
        state_hash: format!("{:016x}", summary.state_hash),
        members: members
            .iter()
            .map(|(id, address)| Member { id: id.number(), address: address.clone() })
            .collect(),
    }
}

fn inspected(output: &mut dyn Write, format: Format, document: &Document) -> io::Result<()> {
    if format == Format::Json {
        return output::json(output, document);
    }
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
    let number = |number: Option<u64>| or_unknown(number.map(|number| number.to_string()));
    let rows = [
        ("file", document.file.clone()),
        ("bytes", document.bytes.to_string()),
        ("cluster", or_unknown(document.cluster_id.clone())),
        ("node", number(document.node_id)),
        ("made at", document.made_at_unix_ms.map_or_else(|| or_unknown(None), utc::date)),
        ("index", document.index.to_string()),
        ("term", document.term.to_string()),
        ("log time", format!("{} s", document.log_time_ms / 1_000)),
        ("revision", document.revision.to_string()),
        ("compacted", document.compacted_revision.to_string()),
        ("keys", document.keys.to_string()),
        ("items", document.items.to_string()),
        ("versions", document.versions.to_string()),
        ("leases", document.leases.to_string()),
        ("users", document.users.to_string()),
        ("roles", document.roles.to_string()),
        ("live bytes", document.live_bytes.to_string()),
        ("state hash", document.state_hash.clone()),
    ];
    rows.iter().try_for_each(|(name, value)| writeln!(output, "{name:<11} {value}"))?;
    document
        .members
        .iter()
        .try_for_each(|it| writeln!(output, "{:<11} {} at {}", "member", it.id, it.address))
}
