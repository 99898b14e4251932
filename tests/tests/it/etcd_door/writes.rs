//! Writes and reads through any node, and a write that is named.

use bytes::Bytes;
use raft_net::etcd::etcdserverpb::{
    AlarmRequest, AlarmResponse, AlarmType, DeleteRangeRequest, DeleteRangeResponse, PutRequest,
    PutResponse, RangeRequest, RangeResponse, RangeStreamResponse, StatusRequest, StatusResponse,
};
use tonic::{Code, Request, Streaming};

use crate::harness::cluster::Cluster;
use crate::harness::etcd::Etcd;
use crate::harness::wait;

const PUT: &str = "/etcdserverpb.KV/Put";
const RANGE: &str = "/etcdserverpb.KV/Range";

pub(super) fn put(key: &str, value: &str) -> PutRequest {
    let (key, value) = (Bytes::from(key.to_owned()), Bytes::from(value.to_owned()));
    PutRequest { key, value, ..PutRequest::default() }
}

fn all() -> RangeRequest {
    let zero = Bytes::from_static(b"\0");
    RangeRequest { key: zero.clone(), range_end: zero, ..RangeRequest::default() }
}

#[tokio::test]
async fn what_is_put_through_one_node_is_read_through_another() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    for id in cluster.ids() {
        let mut etcd = Etcd::connect(cluster.address(id)).await;
        let put: PutResponse = etcd.call(PUT, put(&format!("k{id}"), "v")).await.unwrap();
        let header = put.header.unwrap();
        assert_eq!((header.member_id, header.revision), (id, 1 + i64::try_from(id).unwrap()));
        assert!(header.cluster_id != 0 && header.raft_term != 0);
        for other in cluster.ids() {
            let mut etcd = Etcd::connect(cluster.address(other)).await;
            let found: RangeResponse = etcd.call(RANGE, all()).await.unwrap();
            assert_eq!(found.count, i64::try_from(id).unwrap());
        }
    }
}

/// More keys than the store answers at once: the door asks again, at the same revision.
#[tokio::test]
async fn a_long_answer_is_whole() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let client = cluster.client().await;
    let value = "v".repeat(100_000);
    for number in 0..60 {
        client.put(&format!("k{number:03}"), &value).await;
    }
    let mut etcd = Etcd::connect(cluster.address(1)).await;
    let found: RangeResponse = etcd.call(RANGE, all()).await.unwrap();
    let names: Vec<&[u8]> = found.kvs.iter().map(|kv| &kv.key[..]).collect();
    assert!(names.is_sorted() && names.len() == 60 && !found.more && found.count == 60);
    let limited: RangeResponse =
        etcd.call(RANGE, RangeRequest { limit: 55, ..all() }).await.unwrap();
    assert_eq!((limited.kvs.len(), limited.more, limited.count), (55, true, 60));
    let descending = RangeRequest { sort_order: 2, limit: 55, ..all() };
    let descending: RangeResponse = etcd.call(RANGE, descending).await.unwrap();
    assert!(descending.kvs.iter().map(|kv| &kv.key).rev().is_sorted());
    assert_eq!((&descending.kvs[0].key[..], descending.kvs.len()), (&b"k059"[..], 55));
    assert!(descending.more);

    let ask = RangeRequest { limit: 55, ..all() };
    let mut parts: Streaming<RangeStreamResponse> =
        etcd.several("/etcdserverpb.KV/RangeStream", ask).await.unwrap();
    let (mut streamed, mut count) = (Vec::new(), 0);
    while let Some(part) = wait::in_time("part", parts.message()).await.unwrap() {
        streamed.extend(part.range_response.unwrap().kvs);
        count += 1;
    }
    assert!(1 < count && streamed == limited.kvs, "{count} parts, {} keys", streamed.len());
}

#[tokio::test]
async fn a_named_write_is_executed_once_whoever_is_asked() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let opened = cluster.kvctl(&["session", "open"]).await;
    let name = format!("{}:1", opened.stdout.trim());
    let ask =
        async |id: u64, cluster: &Cluster, name: &str| -> Result<PutResponse, tonic::Status> {
            let mut etcd = Etcd::connect(cluster.address(id)).await;
            let mut named = Request::new(put("k", "v"));
            named.metadata_mut().insert("kvorum-request-id", name.parse().unwrap());
            etcd.ask(PUT, named).await
        };
    let first = ask(1, &cluster, &name).await.unwrap().header.unwrap().revision;
    assert_eq!(ask(2, &cluster, &name).await.unwrap().header.unwrap().revision, first);
    let leader = cluster.leader().await;
    cluster.kill(leader);
    cluster.leader().await;
    for id in cluster.alive() {
        assert_eq!(ask(id, &cluster, &name).await.unwrap().header.unwrap().revision, first);
    }
    let id = cluster.alive()[0];
    let wrong = ask(id, &cluster, "nonsense").await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    let unknown = ask(id, &cluster, "5-0000000000000001:1").await.map(|put| put.header);
    assert!(unknown.is_ok() || unknown.unwrap_err().code() == Code::FailedPrecondition);
}

#[tokio::test]
async fn a_full_node_has_etcds_alarm_until_there_is_room() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start_with(1, &["--memory-max", "1048576"]).await;
    let mut etcd = Etcd::connect(cluster.address(1)).await;
    let value = "v".repeat(100_000);
    let mut refused = None;
    for number in 0..20 {
        let answer = etcd.call::<_, PutResponse>(PUT, put(&format!("k{number:02}"), &value)).await;
        refused = refused.or(answer.err());
    }
    let refused = refused.expect("two megabytes do not fit into one");
    let told = (refused.code(), refused.message());
    assert_eq!(told, (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"));
    let shown = alarms(&mut etcd).await;
    let words = "memberID:1 alarm:NOSPACE ".to_owned();
    assert_eq!(shown, (vec![AlarmType::Nospace], vec![words]));
    let all = DeleteRangeRequest {
        key: Bytes::from_static(b"k"),
        range_end: Bytes::from_static(b"l"),
        ..DeleteRangeRequest::default()
    };
    let _: DeleteRangeResponse =
        etcd.call("/etcdserverpb.KV/DeleteRange", all).await.expect("removals go on");
    assert_eq!(alarms(&mut etcd).await, (Vec::new(), Vec::new()));
    let _: PutResponse = etcd.call(PUT, put("k", "v")).await.expect("there is room again");
}

/// The alarms of the only node, and what its status says of errors.
async fn alarms(etcd: &mut Etcd) -> (Vec<AlarmType>, Vec<String>) {
    let asked = AlarmRequest::default();
    let told: AlarmResponse = etcd.call("/etcdserverpb.Maintenance/Alarm", asked).await.unwrap();
    assert!(told.alarms.iter().all(|alarm| alarm.member_id == 1));
    let status: StatusResponse =
        etcd.call("/etcdserverpb.Maintenance/Status", StatusRequest {}).await.unwrap();
    assert_eq!(status.db_size_quota, 1_048_576);
    assert_eq!(status.db_size_in_use < status.db_size_quota, told.alarms.is_empty());
    (told.alarms.iter().map(|alarm| alarm.alarm()).collect(), status.errors)
}

#[tokio::test]
async fn ref_s32_any_bytes_come_back_by_the_etcd_door_and_natively() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let mut etcd = Etcd::connect(cluster.address(1)).await;
    let every: Vec<u8> = (0..=u8::MAX).collect();
    let names: [&[u8]; 7] = [b"/a?b#c%d:e", b"%2F", b"\0", b"\xff\xfe", b" ", b"a:b", &every];
    for name in names {
        for value in [&b""[..], name] {
            let (key, value) = (Bytes::copy_from_slice(name), Bytes::copy_from_slice(value));
            let put = PutRequest { key: key.clone(), value: value.clone(), ..put("", "") };
            let _: PutResponse = etcd.call(PUT, put).await.unwrap();
            let one = RangeRequest { key: key.clone(), ..RangeRequest::default() };
            let found: RangeResponse = etcd.call(RANGE, one).await.unwrap();
            assert_eq!((&found.kvs[0].key, &found.kvs[0].value), (&key, &value));
            let native = cluster.client().await.get_bytes(name).await;
            assert_eq!(native.as_deref(), Some(&value[..]));
        }
    }
    let found: RangeResponse = etcd.call(RANGE, all()).await.unwrap();
    assert_eq!(found.count, 7);
}
