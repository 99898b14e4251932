//! Members that are replaced, by the cluster itself or by somebody who looks first what would
//! become of the quorum, and one that leaves.

use super::members::{check_kvctl, until_caught_up, until_voters, with_role};
use crate::harness::cluster::Cluster;
use crate::harness::wait;

#[tokio::test]
async fn a_learner_takes_the_place_of_a_voter_that_is_gone_and_the_other_way_round() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start_with(3, &["--voter-gone-after", "1"]).await;
    let client = cluster.client().await;
    client.put("a", "1").await;
    assert_eq!(cluster.join().await, 4);
    let leader = cluster.leader().await;
    until_caught_up(&cluster, 4, leader).await;
    let gone = cluster.follower().await;
    cluster.kill(gone);
    let rest: Vec<u64> = (1..=4).filter(|id| *id != gone).collect();
    until_voters(&cluster, &rest, &rest).await;
    cluster.revive_alone(gone);
    wait::until("a spare, not one that somebody demoted", async || {
        (with_role(&cluster.status(gone).await, "learner") == [gone]).then_some(())
    })
    .await;

    // The next one is gone, and the first one is needed again.
    let next = rest.iter().copied().find(|id| ![leader, 4].contains(id)).expect("three voters");
    cluster.kill(next);
    let rest: Vec<u64> = (1..=4).filter(|id| *id != next).collect();
    until_voters(&cluster, &rest, &rest).await;
    client.put("a", "2").await;
}

#[tokio::test]
async fn a_member_is_replaced_in_one_change_after_a_look_at_the_quorum() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let (leader, gone) = (cluster.leader().await, cluster.follower().await);
    assert_eq!(cluster.join().await, 4);
    until_caught_up(&cluster, 4, leader).await;
    cluster.kill(gone);
    let (old, other) = (gone.to_string(), (6 - leader - gone).to_string());

    let look = ["member", "replace", &old, "4", "--dry-run"];
    let wanted = "3 voters, 2 needed, 3 answer, 1 more may fail";
    let said = cluster.kvctl(&look).await;
    let afterwards = said.stdout.lines().find(|line| line.starts_with("afterwards:"));
    let words: Vec<&str> = afterwards.expect("a line").split(['(', ')']).collect();
    assert_eq!(format!("{}{}", words[0].trim_end(), words[2]), format!("afterwards: {wanted}"));
    check_kvctl(&cluster, &["member", "list"], 0, "node 4").await;
    let json = cluster.kvctl(&["member", "replace", &old, "4", "--dry-run", "-w", "json"]).await;
    assert!(json.stdout.contains("\"is_joint\":true"), "{json:?}");

    let refused = cluster.kvctl(&["member", "remove", &other, "--dry-run"]).await;
    assert!(refused.code == Some(1) && refused.stdout.contains("would stand still"), "{refused:?}");
    check_kvctl(&cluster, &["member", "remove", &other], 1, "would stand still").await;
    check_kvctl(&cluster, &["member", "replace", "9", "4"], 2, "node 9 is not a member").await;
    check_kvctl(&cluster, &["member", "replace", "1", "9"], 2, "node 9 is not a member").await;

    check_kvctl(&cluster, &["member", "replace", &old, "4", "--wait"], 0, "OK").await;
    let rest: Vec<u64> = (1..=4).filter(|id| *id != gone).collect();
    until_voters(&cluster, &rest, &rest).await;
}

#[tokio::test]
async fn a_node_that_leaves_hands_over_and_knows_that_it_is_gone() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let at = cluster.address(leader).to_owned();
    let both = format!("{at},{}", cluster.address(leader % 3 + 1));
    let two = cluster.begin_kvctl_at(&both, &["leave"]).end().await;
    assert!(two.code == Some(2) && two.stderr.contains("give that one alone"), "{two:?}");
    let look = cluster.begin_kvctl_at(&at, &["leave", "--dry-run"]).end().await;
    assert!(look.code == Some(0) && look.stdout.contains("2 needed, 2 answer"), "{look:?}");
    let left = cluster.begin_kvctl_at(&at, &["leave"]).end().await;
    assert!(left.code == Some(0) && left.stdout.contains("has left"), "{left:?}");
    assert_eq!(cluster.status(leader).await.role, "removed");
    let rest: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    until_voters(&cluster, &rest, &rest).await;
    let again = cluster.begin_kvctl_at(&at, &["leave"]).end().await;
    assert_eq!(again.stdout, left.stdout, "it has left already");
}
