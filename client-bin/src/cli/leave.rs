//! `kvctl leave`: the node that is asked goes, for ever.

use std::io::Write;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::CommandError;
use super::arguments::{Format, How, Shared};
use super::member::plan;
use super::output;
use super::stop::Stop;
use crate::client::{Client, Options};
use crate::members::{MemberChange, change_when_possible};
use crate::status::status;

/// The pause between two looks at whether the node knows that it has left.
const PAUSE: Duration = Duration::from_millis(50);

/// The role of a node that has left, as it says itself.
const REMOVED: &str = "removed";

/// Has the node removed and waits until it knows. Returns the exit code.
pub(super) async fn run(
    output: &mut dyn Write,
    shared: &Shared,
    how: How,
    stop: &mut Stop<'_>,
) -> Result<u8, CommandError> {
    let [endpoint] = shared.endpoints.as_slice() else {
        let text = "leave takes one node out: give that one alone to --endpoints";
        return Err(CommandError::Usage(text.to_owned()));
    };
    tokio::select! {
        result = leave(output, shared, how, endpoint) => result,
        () = stop.comes() => Err(CommandError::Interrupted),
    }
}

async fn leave(
    output: &mut dyn Write,
    shared: &Shared,
    how: How,
    endpoint: &str,
) -> Result<u8, CommandError> {
    let deadline = Instant::now() + shared.timeout();
    let node = status(endpoint, shared.timeout()).await?;
    let id = node.node_id;
    if node.role == REMOVED {
        return say(output, shared.write_out, id);
    }
    let change = MemberChange { remove: vec![id], ..MemberChange::default() };
    if how.dry_run {
        let told = (shared.write_out, output);
        return plan::run(&change, &shared.endpoints, deadline, told).await;
    }
    // The others carry it out: the node itself is deaf from the moment that it has left.
    let others = node.members.iter().filter(|(member, _)| *member != id);
    let mut endpoints: Vec<String> = others.map(|(_, address)| address.clone()).collect();
    endpoints.push(endpoint.to_owned());
    let timeout = deadline.saturating_duration_since(Instant::now());
    let client = Client::connect(endpoints, Options { timeout }).await?;
    change_when_possible(&client, &change, how.wait, deadline).await?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match status(endpoint, left).await {
            Ok(node) if node.role != REMOVED && Instant::now() < deadline => sleep(PAUSE).await,
            // Whether it knows or not, the cluster has decided.
            Ok(_) | Err(_) => return say(output, shared.write_out, id),
        }
    }
}

fn say(output: &mut dyn Write, format: Format, id: u64) -> Result<u8, CommandError> {
    match format {
        Format::Simple | Format::Table => {
            writeln!(output, "node {id} has left; its process can be stopped and its data deleted")?
        }
        Format::Json => output::json(output, &serde_json::json!({ "left": id }))?,
    }
    Ok(0)
}
