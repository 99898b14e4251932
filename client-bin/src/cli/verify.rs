//! `kvctl verify`.

use serde::Serialize;
use tokio::time::Instant;

use super::arguments::Format;
use super::commands::Told;
use super::{CommandError, DECIDED_NO, output};
use crate::verify::{Verdict, Verification, verify};

/// Exit code if not every node could be compared.
const INCOMPLETE: u8 = 3;

#[derive(Serialize)]
struct Document {
    equal: Option<bool>,
    compared: Vec<u64>,
    missing: Vec<String>,
    /// Where the comparison begins, or the first index that differs.
    from_index: Option<u64>,
    to_index: Option<u64>,
    /// In hexadecimal: a number would not survive every reader of JSON.
    hashes: Vec<String>,
}

/// Compares the nodes and says what came of it. Returns the exit code.
pub(super) async fn run(
    endpoints: &[String],
    deadline: Instant,
    format: Format,
    (output, errors): Told<'_>,
) -> Result<u8, CommandError> {
    let within = deadline.saturating_duration_since(Instant::now());
    let found = verify(endpoints, within).await?;
    for (address, why) in &found.missing {
        // Nobody is left to be told that standard error is closed.
        let _ = writeln!(errors, "{address} was not compared: {why}");
    }
    if format == Format::Json {
        output::json(output, &document(&found))?;
    } else {
        writeln!(output, "{}", in_words(&found))?;
    }
    Ok(match found.verdict {
        Verdict::Differ { .. } => DECIDED_NO,
        Verdict::Apart => INCOMPLETE,
        Verdict::Equal { .. } if found.missing.is_empty() => 0,
        Verdict::Equal { .. } => INCOMPLETE,
    })
}

fn in_words(Verification { verdict, compared, .. }: &Verification) -> String {
    let nodes: Vec<String> = compared.iter().map(u64::to_string).collect();
    let nodes = nodes.join(", ");
    match verdict {
        Verdict::Equal { from, to, hash } => {
            format!("nodes {nodes} are equal, index {from} to {to}, hash {hash:016x}")
        }
        Verdict::Differ { index, or_before, hashes } => {
            let told: Vec<String> =
                hashes.iter().map(|(id, hash)| format!("node {id} has {hash:016x}")).collect();
            let since = if *or_before { "at or before index" } else { "first at index" };
            format!("nodes {nodes} differ, {since} {index}: {}", told.join(", "))
        }
        Verdict::Apart => {
            format!("nodes {nodes} are too far apart to be compared; try again when they are idle")
        }
    }
}

fn document(found: &Verification) -> Document {
    let (equal, from_index, to_index, hashes) = match &found.verdict {
        Verdict::Equal { from, to, hash } => (Some(true), Some(*from), Some(*to), vec![*hash]),
        Verdict::Differ { index, hashes, .. } => {
            (Some(false), Some(*index), None, hashes.values().copied().collect())
        }
        Verdict::Apart => (None, None, None, Vec::new()),
    };
    Document {
        equal,
        compared: found.compared.clone(),
        missing: found.missing.iter().map(|(address, _)| address.clone()).collect(),
        from_index,
        to_index,
        hashes: hashes.iter().map(|hash| format!("{hash:016x}")).collect(),
    }
}
