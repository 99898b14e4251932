//! Doing something to a cluster that may be played with, to see what happens.

use std::time::Duration;

use raft_net::client_protocol::{Op, Reply};
use tokio::time::{Instant, timeout};

use crate::client::first_link;
use crate::dial::Endpoints;
use crate::error::{ClientError, one_line};
use crate::exchange::exchange;

pub use raft_net::client_protocol::playground::{NodeName, Play, TimeScale};

/// Has something done by the first of `endpoints` that answers. Returns what was done, on one line.
///
/// Errors: `NotPlayed` says why nothing was done, `Rejected` that nobody may play there; `Unknown`
/// if no answer came within `within`; otherwise `ClientError`.
pub async fn play(
    endpoints: &[String],
    play: Play,
    within: Duration,
) -> Result<String, ClientError> {
    let deadline = Instant::now() + within;
    let mut endpoints = Endpoints::new(endpoints.to_vec())?;
    let link = first_link(&mut endpoints, deadline).await?;
    let left = deadline.saturating_duration_since(Instant::now());
    let endpoint = link.address.clone();
    let read = |reply: &Reply<'_>| {
        Some(match reply {
            Reply::Played(played) if played.is_done => Ok(one_line(&played.text)),
            Reply::Played(played) => Err(ClientError::NotPlayed(one_line(&played.text))),
            Reply::Malformed(text) => Err(ClientError::rejected(text)),
            Reply::Refused(refusal) => {
                Err(ClientError::NoQuorum { endpoint: endpoint.clone(), last: Some(*refusal) })
            }
            _ => Err(ClientError::NotKvorum { endpoint: endpoint.clone() }),
        })
    };
    let answered = exchange(link, Op::Play(Box::new(play.into())), read);
    timeout(left, answered).await.ok().flatten().unwrap_or(Err(ClientError::Unknown))
}
