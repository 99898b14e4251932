//! `--dry-run`: what a change of the members would lead to.

use std::io::Write;

use tokio::time::Instant;

use super::super::arguments::Format;
use super::super::{CommandError, DECIDED_NO, output};
use crate::member_plan::{MemberPlan, PlanError};
use crate::members::MemberChange;
use crate::status::cluster_status;

/// Says what would be, and why it would not. Returns the exit code.
pub(in crate::cli) async fn run(
    change: &MemberChange,
    endpoints: &[String],
    deadline: Instant,
    (format, output): (Format, &mut dyn Write),
) -> Result<u8, CommandError> {
    let within = deadline.saturating_duration_since(Instant::now());
    let cluster = cluster_status(endpoints, within).await?;
    let plan = match MemberPlan::of(&cluster, change) {
        Ok(plan) => plan,
        Err(PlanError::Senseless(text)) => return Err(CommandError::Usage(text)),
        Err(error) => {
            match format {
                Format::Simple | Format::Table => writeln!(output, "would be refused: {error}")?,
                Format::Json => {
                    output::json(output, &serde_json::json!({ "refused": error.to_string() }))?
                }
            }
            return Ok(DECIDED_NO);
        }
    };
    match format {
        Format::Json => output::json(output, &plan)?,
        Format::Simple | Format::Table => {
            writeln!(output, "now:        {}", plan.now)?;
            writeln!(output, "afterwards: {}", plan.afterwards)?;
            let learners: Vec<String> = plan.learners.iter().map(u64::to_string).collect();
            let learners: Vec<String> = learners.into_iter().chain(plan.added).collect();
            if !learners.is_empty() {
                writeln!(output, "learners:   {}", learners.join(" "))?;
            }
            if plan.is_joint {
                writeln!(output, "in one joint change: majorities of both decide meanwhile")?;
            }
        }
    }
    Ok(0)
}
