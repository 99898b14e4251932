//! `kvorum recover`: a new cluster from what is left of one that has lost its majority for ever.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use raft_core::hard_state::Standing;
use raft_core::types::NodeId;

use super::restore::start;
use crate::directory::{Founder, Survey, beside, check_is_free, found, lock, owner, rename};
use crate::error::StartError;

/// What is recovered.
#[derive(Debug, Args)]
pub(super) struct RecoverArguments {
    /// The data folder of a node that is left; give every one that can be reached here
    #[arg(long, value_name = "FOLDER", required = true)]
    data_dir: Vec<PathBuf>,
    /// Where the new cluster's node will be reached [default: where it was reached before]
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    /// Do it; without this only what is there is shown
    #[arg(long)]
    yes: bool,
}

/// Shows what is left and, if it is asked to, makes a new cluster of the newest.
pub(super) fn run(arguments: &RecoverArguments) -> Result<ExitCode, StartError> {
    if let Some(address) = &arguments.address {
        super::settings::check_address("--address", address)?;
    }
    // Held to the end: no node may start meanwhile.
    let mut locks = Vec::new();
    let mut surveys = Vec::new();
    for directory in &arguments.data_dir {
        let identity = owner(directory)?.ok_or_else(|| {
            let text = format!("{} is not the data folder of a node", directory.display());
            StartError::Setting(text)
        })?;
        locks.push(lock(directory)?);
        surveys.push(Survey::of(directory, identity)?);
    }
    check_is_one_cluster(&surveys)?;
    surveys.iter().for_each(show);
    let newest = surveys.iter().max_by_key(|survey| survey.last);
    let newest = newest.expect("a folder is required");
    show_loss(newest, &surveys);
    if !arguments.yes {
        println!(
            "nothing was changed; --yes makes a new cluster of one node of {}, which never meets \
             the old one again",
            newest.directory.display()
        );
        return Ok(ExitCode::SUCCESS);
    }
    recover(newest, arguments.address.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

fn check_is_one_cluster(surveys: &[Survey]) -> Result<(), StartError> {
    let (first, rest) = surveys.split_first().expect("a folder is required");
    let other = rest.iter().find(|it| it.identity.cluster_id != first.identity.cluster_id);
    let twice = rest.iter().find(|it| it.identity.node_id == first.identity.node_id);
    let text = match (other, twice) {
        (None, None) => return Ok(()),
        (Some(other), _) => format!(
            "{} is of cluster {:016x} and {} of cluster {:016x}; give those of one cluster",
            first.directory.display(),
            first.identity.cluster_id,
            other.directory.display(),
            other.identity.cluster_id
        ),
        (None, Some(twice)) => format!(
            "{} and {} are of the same node; give each node once",
            first.directory.display(),
            twice.directory.display()
        ),
    };
    Err(StartError::Setting(text))
}

fn show(survey: &Survey) {
    let Survey { directory, identity, last, hard_state, damage, .. } = survey;
    println!(
        "{}: node {} of cluster {:016x}, last entry {} of term {}, known to be committed up to {}",
        directory.display(),
        identity.node_id,
        identity.cluster_id,
        last.index,
        last.term,
        hard_state.commit_index.min(last.index)
    );
    if let Some(damage) = damage {
        println!("  {damage}; what was behind that is not counted");
    } else if hard_state.standing != Standing::Full {
        println!("  it had no vote yet, so it may be behind what it had acknowledged before");
    }
}

fn show_loss(newest: &Survey, surveys: &[Survey]) {
    let voters = &newest.configuration.voters;
    let ids: Vec<String> = voters.iter().map(ToString::to_string).collect();
    // Damage that an earlier start has cut off is known by the vote that it took.
    let is_whole = |it: &Survey| it.damage.is_none() && it.hard_state.standing == Standing::Full;
    let is_here = |id: &NodeId| surveys.iter().any(|it| it.identity.node_id == *id && is_whole(it));
    let here = voters.iter().filter(|id| is_here(id)).count();
    let quorum = newest.configuration.quorum();
    println!("the newest log is that of {}", newest.directory.display());
    if voters.len() < here + quorum {
        println!(
            "voters are {}, {here} of them here: nothing that was acknowledged is missing, for it \
             lies on {quorum} of them",
            ids.join(", ")
        );
    } else {
        println!(
            "voters are {}, {here} of them here: what was acknowledged lies on {quorum} of them, \
             so what was acknowledged last may be missing, and nobody can say how much",
            ids.join(", ")
        );
    }
    let committed = newest.hard_state.commit_index.min(newest.last.index);
    if committed < newest.last.index {
        println!(
            "entries {} to {} are not known to be committed; they are kept, for what was \
             acknowledged last is among them, and with it perhaps what nobody was told of",
            committed.next(),
            newest.last.index
        );
    }
}

fn recover(newest: &Survey, address: Option<&str>) -> Result<(), StartError> {
    let Survey { directory, identity, configuration, last, .. } = newest;
    let node_id = identity.node_id;
    let known = configuration.members.get(&node_id).or_else(|| identity.members.get(&node_id));
    let address = match (address, known) {
        (Some(address), _) => address.to_owned(),
        (None, Some(known)) if !known.is_empty() => known.clone(),
        (None, _) => {
            let text = "nothing says where the node is reached; give --address".to_owned();
            return Err(StartError::Setting(text));
        }
    };
    let kept = beside(directory, &format!("of-cluster-{:016x}", identity.cluster_id));
    check_is_free(&kept)?;
    let made = beside(directory, "recovered");
    check_is_free(&made)?;
    let next_id = configuration.next_id;
    let founder = Founder { node_id, address: address.clone(), next_id };
    let founded = found(&made, &founder, (newest.state()?, *last))?;
    swap(directory, &kept, &made)?;
    println!(
        "made cluster {:016x} of node {node_id} in {}, at revision {}; what was there is kept in \
         {}",
        founded.cluster_id,
        directory.display(),
        founded.revision,
        kept.display()
    );
    println!("start it with: {}", start(directory, &address));
    println!(
        "others join it with an empty data folder and: kvorum --join {address}; on their old ones \
         they are refused, being of cluster {:016x}",
        identity.cluster_id
    );
    Ok(())
}

/// Puts the new directory in the place of the old one, which is kept.
fn swap(directory: &Path, kept: &Path, made: &Path) -> Result<(), StartError> {
    let swapped = rename(directory, kept).and_then(|()| rename(made, directory));
    swapped.map_err(|source| StartError::Directory { directory: directory.to_owned(), source })
}
