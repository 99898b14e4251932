//! What clients are told while nobody leads, if they want to know.

use raft_net::etcd::etcdserverpb::watch_request::RequestUnion;
use raft_net::etcd::etcdserverpb::{
    PutResponse, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use raft_net::etcd::health::health_check_response::ServingStatus;
use raft_net::etcd::health::{HealthCheckRequest, HealthCheckResponse};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Status, Streaming};

use super::writes::put;
use crate::harness::cluster::Cluster;
use crate::harness::etcd::Etcd;
use crate::harness::wait;

fn led() -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert("hasleader", MetadataValue::from_static("true"));
    metadata
}

fn watch(union: RequestUnion) -> WatchRequest {
    WatchRequest { request_union: Some(union) }
}

fn is_no_leader(status: &Status) -> bool {
    status.code() == Code::Unavailable && status.message() == "etcdserver: no leader"
}

async fn next(health: &mut Streaming<HealthCheckResponse>) -> ServingStatus {
    wait::in_time("health", health.message()).await.unwrap().unwrap().status()
}

#[tokio::test]
async fn whoever_wants_a_leader_hears_that_there_is_none() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let mut etcd = Etcd::connect(cluster.address(1)).await;
    let method = "/etcdserverpb.Watch/Watch";
    let create = || {
        let create = WatchCreateRequest { key: "k".into(), ..WatchCreateRequest::default() };
        watch(RequestUnion::CreateRequest(create))
    };
    let (_asks, mut told) =
        etcd.stream_with::<_, WatchResponse>(method, create(), led()).await.unwrap();
    let (patient, mut patiently) = etcd.stream::<_, WatchResponse>(method, create()).await.unwrap();
    for told in [&mut told, &mut patiently] {
        assert!(wait::in_time("a watch", told.message()).await.unwrap().unwrap().created);
    }
    let ask = |service: &str| HealthCheckRequest { service: service.to_owned() };
    let health = "/grpc.health.v1.Health/Watch";
    let mut server: Streaming<HealthCheckResponse> = etcd.several(health, ask("")).await.unwrap();
    let mut other: Streaming<HealthCheckResponse> = etcd.several(health, ask("x")).await.unwrap();
    assert_eq!(next(&mut server).await, ServingStatus::Serving);
    assert_eq!(next(&mut other).await, ServingStatus::ServiceUnknown);

    cluster.kill(2);
    cluster.kill(3);
    let ended = wait::in_time("an end", told.message()).await.unwrap_err();
    assert!(is_no_leader(&ended), "{ended:?}");
    assert_eq!(next(&mut server).await, ServingStatus::NotServing);
    let mut asked = Request::new(put("k", "v"));
    *asked.metadata_mut() = led();
    let refused: Result<PutResponse, _> = etcd.ask("/etcdserverpb.KV/Put", asked).await;
    assert!(is_no_leader(&refused.unwrap_err()));
    // Who did not ask to be told is still served what there is.
    patient.send(watch(RequestUnion::ProgressRequest(WatchProgressRequest {}))).await.unwrap();
    let progress = wait::in_time("progress", patiently.message()).await.unwrap().unwrap();
    assert_eq!(progress.watch_id, -1);

    cluster.revive(2);
    assert_eq!(next(&mut server).await, ServingStatus::Serving);
}
