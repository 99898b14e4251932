//! `kvctl member replace`: another node in the place of a member, in one change.

use std::io::Write;

use tokio::time::Instant;

use super::super::CommandError;
use super::super::arguments::{Format, How};
use super::super::commands::Target;
use super::{added, done, make, plan};
use crate::members::{Member, MemberChange, VOTER, members};

/// Puts `new`, an id or an address, in the place of `old`. Returns the exit code.
pub(super) async fn run(
    (old, new): (u64, &str),
    how: How,
    target: &Target<'_>,
    deadline: Instant,
    (format, output): (Format, &mut dyn Write),
) -> Result<u8, CommandError> {
    let within = deadline.saturating_duration_since(Instant::now());
    let known = members(target.endpoints, within).await?;
    let place = |id: u64| known.iter().find(|member| member.id == id);
    let Some(leaving) = place(old) else {
        return Err(CommandError::Usage(format!(
            "node {old} is not a member; see: kvctl member list"
        )));
    };
    let none = MemberChange::default();
    let heir = match new.parse::<u64>() {
        Ok(id) => place(id).ok_or_else(|| {
            CommandError::Usage(format!("node {id} is not a member; give its address to add it"))
        })?,
        Err(_) if how.dry_run => {
            let change = MemberChange { add: vec![new.to_owned()], ..none };
            return plan::run(&change, target.endpoints, deadline, (format, output)).await;
        }
        Err(_) => match known.iter().find(|member| member.address == new) {
            Some(member) => member,
            None => &take_in(new, target, deadline, (format, output)).await?,
        },
    };
    let change = in_place_of(leaving, heir);
    if how.dry_run {
        return plan::run(&change, target.endpoints, deadline, (format, output)).await;
    }
    // Who was just added has to start and to catch up first.
    let waits = how.wait || new.parse::<u64>().is_err();
    make(&change, waits, target, deadline).await?;
    done(output, format)
}

/// The change that puts a member in the place of another one.
fn in_place_of(leaving: &Member, heir: &Member) -> MemberChange {
    let votes = leaving.role == VOTER && heir.role != VOTER;
    let promote = if votes { vec![heir.id] } else { Vec::new() };
    MemberChange { promote, remove: vec![leaving.id], ..MemberChange::default() }
}

/// Adds the node that is to start at `address`, and says how to start it.
async fn take_in(
    address: &str,
    target: &Target<'_>,
    deadline: Instant,
    (format, output): (Format, &mut dyn Write),
) -> Result<Member, CommandError> {
    let change = MemberChange { add: vec![address.to_owned()], ..MemberChange::default() };
    let ids = make(&change, false, target, deadline).await?;
    let places: Vec<(u64, &String)> = ids.iter().copied().zip(&change.add).collect();
    added(output, format, &places, target.endpoints)?;
    output.flush()?;
    let id = ids.first().copied().unwrap_or_default();
    Ok(Member { id, role: String::new(), address: address.to_owned(), leads: false })
}
