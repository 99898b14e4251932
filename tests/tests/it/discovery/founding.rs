//! Nodes with empty folders and one command make one cluster.

use std::collections::BTreeSet;

use super::{Place, another_group, starts, until_voters};
use crate::harness::wait;

/// Starts that many nodes at once, and checks that they are one cluster.
async fn check_one_cluster(count: usize) {
    let place = Place::new();
    let nodes: Vec<_> = (0..count).map(|number| place.start(&format!("node-{number}"))).collect();
    let mut said = Vec::new();
    for node in &nodes {
        said.push(node.said().await);
    }
    let clusters: BTreeSet<&String> = said.iter().map(|it| &it.cluster).collect();
    let ids: BTreeSet<&String> = said.iter().map(|it| &it.node).collect();
    assert_eq!((clusters.len(), ids.len()), (1, count), "{said:?}");
    for node in &said {
        until_voters(&node.address, count).await;
    }
    place.check_kvctl(&said[0].address, &["put", "city", "Oslo"], "OK").await;
    place.check_kvctl(&said[count - 1].address, &["get", "city"], "Oslo").await;
}

#[tokio::test]
async fn acc_a05_three_nodes_with_one_command_and_no_list_are_one_cluster_each_time() {
    let _turn = wait::turn().await;
    for _ in 0..starts(4).div_ceil(2) {
        tokio::join!(check_one_cluster(3), check_one_cluster(3));
    }
}

#[tokio::test]
async fn a_node_alone_founds_and_later_ones_join_it() {
    let _turn = wait::turn().await;
    let place = Place::new();
    let first = place.start("first");
    let said = first.said().await;
    place.check_kvctl(&said.address, &["put", "a", "1"], "OK").await;
    let second = place.start("second");
    let joined = second.said().await;
    assert_eq!((joined.cluster, joined.node.as_str()), (said.cluster, "2"));
    place.check_kvctl(&joined.address, &["get", "a"], "1").await;
}

#[tokio::test]
async fn with_a_number_given_nobody_founds_before_all_are_there() {
    let _turn = wait::turn().await;
    let place = Place::new();
    let start = |folder: &str| place.start_with(folder, &place.group, &["--bootstrap-expect", "3"]);
    let (first, second) = (start("first"), start("second"));
    first.0.complains(&["waiting for 3 empty nodes: 2 are here"]).await;
    assert_eq!((first.0.stdout(), second.0.stdout()), (String::new(), String::new()));
    // Who has said its rank keeps it, and founds nothing else meanwhile.
    second.0.kill();
    let forgetful = place.start("second");
    let ended = forgetful.0.end().await;
    let words = "second waits for others to found a cluster with it: give --bootstrap-expect";
    assert!(ended.code == Some(2) && ended.stderr.contains(words), "{ended:?}");
    let (second, third) = (start("second"), start("third"));
    let said = first.said().await;
    for node in [second, third] {
        let other = node.said().await;
        assert_eq!(other.cluster, said.cluster);
        until_voters(&other.address, 3).await;
    }
}

#[tokio::test]
async fn a_node_that_cannot_be_heard_founds_alone_and_says_why() {
    let _turn = wait::turn().await;
    let place = Place::new();
    let secret = |text| ["--cluster-secret", text];
    let first = place.start_with("first", &place.group, &secret("one"));
    let second = place.start_with("second", &place.group, &secret("two"));
    let third = place.start("third");
    let mut clusters = BTreeSet::new();
    for node in [&first, &second, &third] {
        clusters.insert(node.said().await.cluster);
    }
    assert_eq!(clusters.len(), 3, "{clusters:?}");
    first.0.complains(&["ignored a beacon from", "its cluster secret differs"]).await;
    first.0.complains(&["ignored a beacon from", "it has no cluster secret"]).await;
    third.0.complains(&["ignored a beacon from", "it has a cluster secret"]).await;
    for node in [&first, &second] {
        let lines = node.0.stderr().lines().filter(|line| line.contains("secret differs")).count();
        // Once while it seeks, and perhaps once as a member.
        assert!((1..=2).contains(&lines), "{}", node.0.stderr());
    }
}

#[tokio::test]
async fn garbage_in_the_group_is_ignored_and_said_once() {
    let _turn = wait::turn().await;
    let place = Place::new();
    let node = place.start("node");
    let garbage = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let said = {
        let shout = async {
            for number in 0_u32.. {
                let magic: &[u8] = if number % 2 == 0 { b"kvorum\0b\x01\0" } else { b"" };
                let bytes = [magic, &number.to_le_bytes().repeat(350)].concat();
                let length = usize::try_from(number % 1_400).unwrap();
                // The group may be full of it already.
                let _ = garbage.send_to(&bytes[..length], &place.group).await;
                wait::pause().await;
            }
        };
        tokio::select! {
            () = shout => unreachable!("it goes on"),
            said = node.said() => said,
        }
    };
    place.check_kvctl(&said.address, &["put", "a", "1"], "OK").await;
    let lines = node.0.stderr().lines().filter(|line| line.contains("ignored a beacon")).count();
    assert!((1..=4).contains(&lines), "{}", node.0.stderr());
}

#[tokio::test]
async fn nodes_of_other_groups_are_not_met() {
    let _turn = wait::turn().await;
    let place = Place::new();
    let (first, second) = (place.start("first"), place.start_with("second", &another_group(), &[]));
    assert_ne!(first.said().await.cluster, second.said().await.cluster);
}
