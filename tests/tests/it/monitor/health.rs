//! Readiness: `/readyz`, `/livez`, `kvctl health`.

use crate::harness::cluster::Cluster;
use crate::harness::http;
use crate::harness::wait;

#[tokio::test]
async fn a_node_is_ready_while_it_can_serve_a_linearizable_read() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let get = async |address: &str, path: &str| {
        let reply = http::ask(address, &format!("GET {path}"), &[], b"").await;
        (reply.status, reply.text())
    };
    for id in cluster.ids() {
        let address = cluster.address(id);
        wait::until("readiness", async || {
            (get(address, "/readyz").await == (200, "ok\n".to_owned())).then_some(())
        })
        .await;
        let (_, text) = get(address, "/readyz?verbose").await;
        for check in ["linearizable_read", "connected", "caught_up", "data_corruption"] {
            assert!(text.contains(&format!("[+]{check} ok\n")), "{text}");
        }
    }
    cluster.kill(2);
    cluster.kill(3);
    let address = cluster.address(1);
    wait::until("a node that is not ready", async || {
        let (status, text) = get(address, "/readyz").await;
        let is_told = text.contains("[-]linearizable_read failed: ");
        (status == 503 && is_told && text.contains("[-]connected failed: ")).then_some(())
    })
    .await;
    assert_eq!(get(address, "/livez").await, (200, "ok\n".to_owned()), "it lives without others");
    assert_eq!(get(address, "/readyz/caught_up").await, (200, "ok\n".to_owned()));
}

#[tokio::test]
async fn kvctl_health_says_who_is_not_well_and_why() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    wait::until("health", async || {
        let ended = cluster.kvctl(&["health"]).await;
        let is_well = ended.code == Some(0);
        is_well.then(|| {
            assert_eq!(ended.stdout.lines().count(), 3, "{ended:?}");
            assert!(ended.stdout.lines().all(|line| line.ends_with(": ready")), "{ended:?}");
        })
    })
    .await;
    cluster.kill(3);
    let one_gone = cluster.kvctl(&["health"]).await;
    assert_eq!(one_gone.code, Some(1), "{one_gone:?}");
    assert!(one_gone.stdout.contains("node 3 at "), "{one_gone:?}");
    assert!(one_gone.stdout.contains("not reached: no answer"), "{one_gone:?}");
    cluster.kill(2);
    wait::until("a node that is not ready", async || {
        let ended = cluster.kvctl(&["health"]).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let line = ended.stdout.lines().find(|line| line.starts_with("node 1 "))?;
        line.contains("not ready: linearizable_read: ").then_some(())
    })
    .await;
    let endpoints = cluster.address(1).to_owned();
    cluster.kill(1);
    let nobody = cluster.begin_kvctl_at(&endpoints, &["health"]).end().await;
    assert_eq!(nobody.code, Some(3), "{nobody:?}");
}
