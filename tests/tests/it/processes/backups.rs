//! Backups of real processes: taken from any node, looked at, put back into running clusters.

use bytes::Bytes;
use kv_store::command::{Answer, Command, RestorePlan, RestoreStep};
use kvorum_client::backup::BackupFile;
use raft_core::entry::SessionStamp;
use raft_net::client_protocol::{Op, PieceWanted, SnapshotName};
use rustix::process::Signal;
use serde_json::Value;

use super::super::harness::client::{Connection, Said, encoded};
use super::super::harness::cluster::Cluster;
use super::super::harness::process::Ended;
use super::super::harness::wait;

/// What a run of `kvctl` that went well has printed.
fn said(ended: Ended) -> String {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stdout
}

fn json(ended: Ended) -> Value {
    serde_json::from_str(&said(ended)).unwrap()
}

async fn save(cluster: &Cluster, id: u64, file: &str) -> Value {
    let words = ["snapshot", "save", file, "-w", "json"];
    json(cluster.begin_kvctl_at(cluster.address(id), &words).end().await)
}

/// Every key with its value, create and mod revision.
async fn all(cluster: &Cluster) -> Vec<(String, String, u64, u64)> {
    let client = cluster.client().await;
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let mut all = Vec::new();
    // Pages have a thousand.
    for prefix in ["a", "h", "k00", "k01", "k02", "l", "n", "s"] {
        let (_, kvs) = client.prefix(prefix).await;
        all.extend(
            kvs.iter()
                .map(|kv| (text(&kv.key), text(&kv.value), kv.create_revision, kv.mod_revision)),
        );
    }
    all
}

/// Puts so many keys.
async fn fill(cluster: &Cluster, prefix: &str, count: u64) {
    let client = cluster.client().await;
    let puts = (0..count).map(|number| {
        let client = client.clone();
        let key = format!("{prefix}{number:05}");
        tokio::spawn(async move { client.put(&key, &format!("value {number}")).await })
    });
    for put in puts.collect::<Vec<_>>() {
        put.await.unwrap();
    }
}

#[tokio::test]
async fn a_backup_of_any_node_is_put_back_and_ends_every_watch() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    fill(&cluster, "k", 500).await;
    said(cluster.kvctl(&["hset", "h", "a:1", "b:2"]).await);
    said(cluster.kvctl(&["sset", "s", "x", "y"]).await);
    said(cluster.kvctl(&["lease", "grant", "3000", "7"]).await);
    said(cluster.kvctl(&["put", "leased", "v", "--lease", "7"]).await);
    let then = all(&cluster).await;
    for id in cluster.ids() {
        // Whatever was answered is in the backup of each node.
        let client = cluster.client().await;
        client.put("k00000", &format!("before backup {id}")).await;
        let revision = client.put("k00000", "value 0").await;
        let saved = save(&cluster, id, &format!("backup-{id}")).await;
        assert_eq!(saved["node_id"], id);
        assert_eq!(saved["current"], true);
        assert_eq!(saved["keys"], 503);
        assert!(revision <= saved["revision"].as_u64().unwrap());
    }
    let shown = json(cluster.kvctl(&["snapshot", "inspect", "backup-2", "-w", "json"]).await);
    let status = cluster.status(2).await;
    assert_eq!(shown["cluster_id"], format!("{:016x}", status.cluster_id));
    assert_eq!(
        (&shown["keys"], &shown["items"], &shown["leases"]),
        (&503.into(), &4.into(), &1.into())
    );
    assert_eq!(shown["members"].as_array().unwrap().len(), 3);
    assert!(
        said(cluster.kvctl(&["snapshot", "inspect", "backup-2"]).await).contains("keys        503")
    );

    let client = cluster.client().await;
    client.put("new", "and to be gone").await;
    client.put("k00001", "and to be as before").await;
    client.delete("k00002").await;
    said(cluster.kvctl(&["lease", "revoke", "7"]).await);
    let watch = cluster.begin_kvctl(&["watch", "--prefix", "k"]);
    let newest = wait::until("an event", async || {
        let newest = client.put("k00003", "seen").await;
        (!watch.stdout().is_empty()).then_some(newest)
    })
    .await;
    let restored = json(cluster.kvctl(&["snapshot", "restore", "backup-3", "-w", "json"]).await);
    let revision = restored["revision"].as_u64().unwrap();
    assert_eq!((&restored["keys"], &restored["new_revisions"]), (&503.into(), &false.into()));
    assert!(newest + 1 < revision);
    let ended = watch.end().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("the oldest one is {revision}")), "{}", ended.stderr);

    let now = all(&cluster).await;
    let without = |all: &[(String, String, u64, u64)]| -> Vec<_> {
        // Put again before each backup.
        all.iter().filter(|it| it.0 != "k00000").cloned().collect()
    };
    assert_eq!(without(&now), without(&then), "as it was, with the revisions that it had");
    let fields = said(cluster.kvctl(&["hgetall", "h"]).await);
    assert_eq!(fields, "a:1\nb:2\n");
    assert_eq!(said(cluster.kvctl(&["lease", "list"]).await), "7\n");
    assert_eq!(said(cluster.kvctl(&["lease", "revoke", "7"]).await), "1\n");
    assert_eq!(client.put("after", "v").await, revision + 2);
    cluster.check_equal().await;
}

#[tokio::test]
async fn another_clusters_backup_takes_new_revisions_while_leaders_are_killed() {
    let _turn = wait::turn().await;
    let source = Cluster::start(1).await;
    fill(&source, "k", 20_000).await;
    let file = source.path("backup");
    let file = file.to_str().unwrap();
    save(&source, 1, file).await;
    let mut cluster = Cluster::start_with(3, &["--snapshot-log-bytes", "200000"]).await;
    let client = cluster.client().await;
    let before = client.put("old", "v").await;
    let dry = said(cluster.kvctl(&["snapshot", "restore", file, "--dry-run"]).await);
    assert!(dry.contains("would put 20000 keys and 0 leases, with new revisions"), "{dry}");
    let restore =
        cluster.begin_kvctl(&["snapshot", "restore", file, "-w", "json", "--timeout", "30"]);
    let leader = cluster.leader().await;
    cluster.kill(leader);
    cluster.leader().await;
    cluster.revive(leader);
    let restored = json(restore.end().await);
    let revision = restored["revision"].as_u64().unwrap();
    assert!(before < revision && restored["new_revisions"] == true);
    cluster.check_equal().await;
    for id in cluster.ids() {
        cluster.kill(id);
    }
    for id in cluster.ids() {
        cluster.revive(id);
    }
    cluster.leader().await;
    cluster.check_equal().await;
    let counted = said(cluster.kvctl(&["get", "--prefix", "", "--count-only"]).await);
    assert_eq!(counted, "20000\n");
    let client = cluster.client().await;
    let (_, kvs) = client.prefix("k1999").await;
    assert_eq!(kvs.len(), 10);
    assert!(kvs.iter().all(|kv| kv.mod_revision == revision - 1 && kv.version == 1));
    assert_eq!(client.put("k", "v").await, revision + 1);
}

/// Takes a step of a restore through a node.
async fn step(connection: &mut Connection, step: RestoreStep<'_>) -> bool {
    let body = encoded(|bytes| Command::Restore { step }.encode(bytes));
    let session = SessionStamp::default();
    match connection.ask(Op::Write { session, timeout_ms: 5_000, body: &body }).await.unwrap() {
        Said::Answer(answer) => matches!(Answer::decode(&answer), Ok(Answer::Done { .. })),
        other => panic!("a step is answered by {other:?}"),
    }
}

#[tokio::test]
async fn what_is_staged_survives_everything_and_an_interrupted_restore_changes_nothing() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start_with(3, &["--snapshot-log-bytes", "100000"]).await;
    fill(&cluster, "k", 3_000).await;
    save(&cluster, 1, "backup").await;
    let backup = BackupFile::open(&cluster.path("backup")).unwrap();
    let contents = backup.contents().unwrap();
    fill(&cluster, "l", 10).await;
    let untouched = all(&cluster).await;
    let (mut reading, mut pieces) = (backup.read().unwrap(), Vec::new());
    while let Some(piece) = reading.next_piece().unwrap() {
        pieces.push(piece);
    }
    assert!(pieces.len() < 5, "one is staged before everybody restarts, the others behind");
    let id = 99;
    let plan = RestorePlan {
        id,
        revision: contents.summary.revision,
        is_foreign: false,
        log_time: contents.state.log_time,
        grace_ms: 0,
    };
    let mut connection = Connection::open(cluster.address(1)).await.unwrap();
    assert!(step(&mut connection, RestoreStep::Begin(plan)).await);
    assert!(step(&mut connection, RestoreStep::Piece { id, number: 0, records: &pieces[0] }).await);
    // A snapshot in the middle, from which everybody starts.
    fill(&cluster, "l", 10).await;
    save(&cluster, 2, "in-between").await;
    assert_eq!(
        said(cluster.kvctl(&["snapshot", "inspect", "in-between"]).await)
            .matches("keys        3010")
            .count(),
        1
    );
    for id in cluster.ids() {
        cluster.kill(id);
    }
    for id in cluster.ids() {
        cluster.revive(id);
    }
    let leader = cluster.leader().await;
    let values = |all: Vec<(String, String, u64, u64)>| -> Vec<(String, String)> {
        all.into_iter().map(|(key, value, ..)| (key, value)).collect()
    };
    assert_eq!(values(all(&cluster).await), values(untouched));
    let mut connection = Connection::open(cluster.address(leader)).await.unwrap();
    for (number, records) in (0..).zip(&pieces).skip(1) {
        assert!(step(&mut connection, RestoreStep::Piece { id, number, records }).await);
    }
    let pieces = pieces.len() as u64;
    assert!(!step(&mut connection, RestoreStep::Finish { id, pieces: pieces + 1 }).await);
    assert!(!step(&mut connection, RestoreStep::Finish { id: 98, pieces }).await);
    assert!(step(&mut connection, RestoreStep::Finish { id, pieces }).await);
    assert_eq!(all(&cluster).await.len(), 3_000);
    cluster.check_equal().await;

    // A kvctl that is ended in the middle leaves everything as it is.
    fill(&cluster, "l", 10).await;
    for signal in [Signal::INT, Signal::KILL] {
        let restore = cluster.begin_kvctl(&["snapshot", "restore", "backup"]);
        restore.signal(signal);
        let ended = restore.end().await;
        let count = all(&cluster).await.len();
        assert!(count == 3_010 || (ended.code == Some(0) && count == 3_000), "{count} keys");
    }
    cluster.check_equal().await;
}

#[tokio::test]
async fn a_file_that_is_cut_short_or_altered_is_refused_in_one_line() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    fill(&cluster, "k", 40).await;
    save(&cluster, 1, "backup").await;
    let (whole, path) = (std::fs::read(cluster.path("backup")).unwrap(), cluster.path("changed"));
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let error = BackupFile::open(&path).and_then(|it| it.contents()).expect_err("it is wrong");
        let text = error.to_string();
        assert!(!text.contains('\n') && text.contains("changed") && text.len() < 300, "{text}");
        text
    };
    for at in 0..whole.len() {
        let text = refused(&whole[..at]);
        assert!(at < 72 || text.contains(&format!("has {at} of {} bytes", whole.len())), "{text}");
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        let text = refused(&changed);
        assert!(text.contains("damaged"), "byte {at}: {text}");
    }
    refused(&[&whole[..], b"x"].concat());
    refused(b"");
    // The same of the file of a snapshot, as a node has it.
    let bare = &whole[72..];
    std::fs::write(&path, bare).unwrap();
    assert_eq!(BackupFile::open(&path).unwrap().contents().unwrap().summary.keys, 40);
    // Or as etcd's clients save it: filled up with zeros, and with a checksum behind.
    let mut padded = bare.to_vec();
    padded.resize(bare.len().next_multiple_of(512), 0);
    padded.extend([9; 32]);
    std::fs::write(&path, padded).unwrap();
    assert_eq!(BackupFile::open(&path).unwrap().contents().unwrap().summary.keys, 40);
    for at in 0..bare.len() {
        let mut changed = bare.to_vec();
        changed[at] ^= 0x20;
        refused(&changed);
        refused(&bare[..at]);
    }
    // And through the program, which does nothing then.
    let mut changed = whole.clone();
    changed[200] ^= 1;
    std::fs::write(&path, changed).unwrap();
    for command in ["inspect", "restore"] {
        let ended = cluster.kvctl(&["snapshot", command, "changed"]).await;
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""));
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!(ended.stderr.contains("changed is damaged at byte"), "{}", ended.stderr);
    }
    assert_eq!(all(&cluster).await.len(), 40);
    let ended = cluster.kvctl(&["snapshot", "inspect", "none"]).await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("cannot read none: "), "{}", ended.stderr);
    // A backup that cannot be written leaves nothing behind.
    let ended = cluster.kvctl(&["snapshot", "save", "no-such-folder/backup"]).await;
    assert_eq!(ended.code, Some(2));
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

#[tokio::test]
async fn a_backup_that_is_larger_than_the_nodes_may_be_is_refused_before_anything_is_staged() {
    let _turn = wait::turn().await;
    let source = Cluster::start(1).await;
    fill(&source, "k", 9_000).await;
    let file = source.path("backup");
    save(&source, 1, file.to_str().unwrap()).await;
    let cluster = Cluster::start_with(1, &["--memory-max", "1048576"]).await;
    let revision = cluster.client().await.put("k", "v").await;
    let ended = cluster.kvctl(&["snapshot", "restore", file.to_str().unwrap()]).await;
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(1), 1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("the nodes may take 1048576, nothing was done"),
        "{}",
        ended.stderr
    );
    assert_eq!(cluster.status(1).await.revision, revision);
    assert_eq!(cluster.status(1).await.applied_index, cluster.status(1).await.last_index);
}

#[tokio::test]
async fn pieces_of_what_is_not_there_are_none_and_come_one_at_a_time() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    fill(&cluster, "k", 10).await;
    let mut connection = Connection::open(cluster.address(1)).await.unwrap();
    // An index that is not there yet is no reason to make snapshots for ever.
    let covers = cluster.status(1).await.applied_index;
    let of = wait::until("a snapshot", async || {
        match connection.ask(Op::Snapshot { covers: u64::MAX }).await.unwrap() {
            Said::Snapshot(Some(name)) if covers <= name.index => Some(name),
            Said::Snapshot(_) => None,
            other => panic!("a question about snapshots is answered by {other:?}"),
        }
    })
    .await;
    let piece = |of: SnapshotName, offset, bytes_max| {
        Op::SnapshotPiece(Box::new(PieceWanted { of, offset, bytes_max }))
    };
    let none = Said::SnapshotPiece(None);
    assert_eq!(connection.ask(piece(of, of.bytes, 10)).await.unwrap(), none);
    assert_eq!(connection.ask(piece(of, u64::MAX, u64::MAX)).await.unwrap(), none);
    assert_eq!(connection.ask(piece(of, 0, 0)).await.unwrap(), none);
    let other = SnapshotName { checksum: of.checksum ^ 1, ..of };
    assert_eq!(connection.ask(piece(other, 0, 10)).await.unwrap(), none);
    let Said::SnapshotPiece(Some(all)) = connection.ask(piece(of, 0, u64::MAX)).await.unwrap()
    else {
        panic!("the whole snapshot is one piece")
    };
    assert_eq!(all.len() as u64, of.bytes);
    let ids = [
        connection.send(piece(of, 0, 9)).await.unwrap(),
        connection.send(piece(of, 0, 9)).await.unwrap(),
    ];
    let answers = [connection.receive().await.unwrap(), connection.receive().await.unwrap()];
    assert!(answers.iter().all(|(id, _)| ids.contains(id)));
    assert!(answers.iter().any(|(_, it)| *it == Said::SnapshotPiece(Some(all.slice(..9)))));
}
