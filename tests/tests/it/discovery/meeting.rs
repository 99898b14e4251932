//! Clusters that were founded apart and then hear each other.

use super::{Node, Place, Said, another_group, until_voters};
use crate::harness::wait;

/// Two founders that have not heard each other, the older one first.
async fn founded_apart(place: &Place) -> [(Node, Said); 2] {
    let old = place.start("old");
    let old_said = old.said().await;
    let young = place.start_with("young", &another_group(), &[]);
    let young_said = young.said().await;
    // The numbers of clusters begin with the second of their founding.
    assert!(old_said.cluster < young_said.cluster, "{old_said:?} {young_said:?}");
    [(old, old_said), (young, young_said)]
}

#[tokio::test]
async fn a_founder_without_data_gives_way_to_an_older_cluster() {
    let _turn = wait::turn().await;
    let place = Place::new();
    let [(old, old_said), (young, _)] = founded_apart(&place).await;
    young.0.kill();
    let young = place.start("young");
    let joined = young.said_at(2).await;
    assert_eq!((&joined.cluster, joined.node.as_str()), (&old_said.cluster, "2"));
    young.0.complains(&["gave up a cluster in which nothing was written"]).await;
    assert_eq!(old.0.lines(2).await.len(), 2, "the older one stays");
    place.check_kvctl(&joined.address, &["put", "a", "1"], "OK").await;
    place.check_kvctl(&old_said.address, &["get", "a"], "1").await;
    // And a restart finds it where it is.
    young.0.kill();
    let again = place.start("young").said().await;
    assert_eq!((again.cluster, again.node.as_str()), (joined.cluster, "2"));
}

#[tokio::test]
async fn an_older_founder_without_data_gives_way_to_a_cluster_with_data() {
    let _turn = wait::turn().await;
    let place = Place::new();
    let [(old, _), (young, young_said)] = founded_apart(&place).await;
    place.check_kvctl(&young_said.address, &["put", "a", "1"], "OK").await;
    old.0.kill();
    young.0.kill();
    let young = place.start("young");
    assert_eq!(young.said().await.cluster, young_said.cluster);
    let old = place.start("old");
    let joined = old.said_at(2).await;
    assert_eq!(joined.cluster, young_said.cluster);
    place.check_kvctl(&joined.address, &["get", "a"], "1").await;
}

/// Whatever they hear of each other, each keeps its own.
#[tokio::test]
async fn ref_s28_two_clusters_with_data_never_merge_and_say_how_to_resolve_it() {
    let _turn = wait::turn().await;
    let place = Place::new();
    let [(old, old_said), (young, young_said)] = founded_apart(&place).await;
    place.check_kvctl(&old_said.address, &["put", "who", "old"], "OK").await;
    place.check_kvctl(&young_said.address, &["put", "who", "young"], "OK").await;
    young.0.kill();
    let young = place.start("young");
    let young_said = Said { address: young.said().await.address, ..young_said };
    let another = |said: &Said| format!("another cluster, {} at", said.cluster);
    let words = ["give each its own --multicast", "empty the directories"];
    old.0.complains(&[&another(&young_said), words[0], words[1]]).await;
    young.0.complains(&[&another(&old_said), words[0], words[1]]).await;
    place.check_kvctl(&old_said.address, &["get", "who"], "old").await;
    place.check_kvctl(&young_said.address, &["get", "who"], "young").await;
    for (node, said) in [(&old, &old_said), (&young, &young_said)] {
        until_voters(&said.address, 1).await;
        assert_eq!(node.0.lines(2).await.len(), 2, "it runs on as it was");
    }
    // Who is new cannot tell which is meant, and joins neither before it is told.
    let new = place.start("new");
    new.0.complains(&["clusters with data are near", "--join"]).await;
    assert_eq!(new.0.stdout(), "");
    new.0.kill();
    let door = ["--join", &old_said.address];
    let joined = place.start_with("new", &place.group, &door).said().await;
    assert_eq!(joined.cluster, old_said.cluster);
}
