//! What operators see of a cluster that runs: `kvctl mon`, `kvctl health`, `/readyz`, the log.

mod doctor;
mod health;
mod logs;
mod trace;
mod values;

use crate::harness::cluster::Cluster;
use crate::harness::wait;

/// A cluster in which every node reaches every other one.
pub(crate) async fn linked(count: u16) -> Cluster {
    let cluster = Cluster::start(count).await;
    for id in cluster.ids() {
        wait::until("answers of all", async || {
            let words = ["mon", "get", "/cluster/version"];
            let ended = cluster.begin_kvctl_at(cluster.address(id), &words).end().await;
            (ended.code == Some(0) && !ended.stdout.contains("error")).then_some(())
        })
        .await;
    }
    cluster
}
