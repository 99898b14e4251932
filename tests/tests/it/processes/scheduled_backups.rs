//! Backups that nodes take of themselves, the log that they archive, and what is made of both.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use kvorum_client::backup::BackupFile;

use super::super::harness::client::Client;
use super::super::harness::cluster::Cluster;
use super::super::harness::ports;
use super::super::harness::process::{Ended, KVCTL, KVORUM, Process};
use super::super::harness::scratch::Scratch;
use super::super::harness::wait;

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn backups(folder: &Path) -> Vec<PathBuf> {
    let names = names(folder).into_iter().filter(|name| name.ends_with(".kvb"));
    names.map(|name| folder.join(name)).collect()
}

/// The folder of archived segments.
fn archive(folder: &Path) -> Option<PathBuf> {
    names(folder).into_iter().find(|name| name.ends_with("-log")).map(|name| folder.join(name))
}

/// Makes the log so much longer.
async fn lengthen(client: &Client, mebibytes: u64) {
    for number in 0..mebibytes * 8 {
        client.put(&format!("filler {}", number % 8), &"v".repeat(128 * 1024)).await;
    }
}

#[allow(clippy::disallowed_methods, reason = "users name times by the calendar")]
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn run(scratch: &Scratch, name: &str, program: &str, words: &[&str]) -> Ended {
    let mut process = Process::start(scratch, name, program, words);
    process.end_input();
    process.end().await
}

#[tokio::test]
async fn nodes_take_backups_keep_the_newest_and_the_log_behind_them() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let folder = scratch.join("backups");
    let flags = ["--backup-dir", folder.to_str().unwrap(), "--backup-interval", "1"];
    let flags = [&flags[..], &["--backup-keep", "2", "--snapshot-log-bytes", "500000"]].concat();
    let mut cluster = Cluster::start_with(1, &flags).await;
    let client = cluster.client().await;
    client.put("city", "Oslo").await;
    let first = wait::until("a backup", async || backups(&folder).into_iter().next()).await;
    let old = wait::until("an archived segment", async || {
        lengthen(&client, 1).await;
        let archived = names(&archive(&folder)?);
        archived.into_iter().find(|name| name.starts_with("wal-"))
    })
    .await;
    wait::until("the first one to go", async || (!first.exists()).then_some(())).await;
    wait::until("its log to go, too", async || {
        lengthen(&client, 1).await;
        (!archive(&folder)?.join(&old).exists()).then_some(())
    })
    .await;
    let kept = backups(&folder);
    // A third one is there only until it is seen that it is one too many.
    assert!((1..=3).contains(&kept.len()), "{kept:?}");
    let contents = BackupFile::open(&kept[0]).unwrap().contents().unwrap();
    assert!(contents.summary.keys > 1);

    // What cannot be written is a line, and the node goes on; service returns by itself.
    std::fs::rename(&folder, scratch.join("elsewhere")).unwrap();
    std::fs::write(&folder, "a file where a folder should be").unwrap();
    let line = cluster.node(1).complains(&["no backup was taken: cannot write"]).await;
    assert!(line.contains("WARN"), "{line}");
    client.put("city", "Bergen").await;
    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    wait::until("a backup again", async || (!backups(&folder).is_empty()).then_some(())).await;
    cluster.kill(1);
    let left = names(&scratch.join("elsewhere"));
    assert!(left.iter().all(|name| !name.contains("unfinished")), "{left:?}");
}

#[tokio::test]
async fn a_state_between_two_backups_is_made_of_the_one_before_and_the_log() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let folder = scratch.join("backups");
    let flags = ["--backup-dir", folder.to_str().unwrap(), "--snapshot-log-bytes", "500000"];
    let mut cluster = Cluster::start_with(1, &flags).await;
    let backup = wait::until("a backup", async || backups(&folder).into_iter().next()).await;
    let client = cluster.client().await;
    client.put("city", "Oslo").await;
    let wanted = client.put("city", "Bergen").await;
    let early = unix_seconds();
    // Seconds are what a user gives; the mistake comes in a later one.
    wait::until("the next second", async || (early + 1 < unix_seconds()).then_some(())).await;
    client.put("city", "a mistake").await;
    client.put("more", "mistakes").await;
    // The log is archived when a segment is closed.
    lengthen(&client, 4).await;
    let log = wait::until("three archived segments", async || {
        let log = archive(&folder)?;
        (4 <= names(&log).len()).then_some(log)
    })
    .await;
    let data = cluster.path("node-1");
    cluster.kill(1);

    let (backup, log) = (backup.to_str().unwrap(), log.to_str().unwrap());
    let revision = wanted.to_string();
    let time = (early + 1).to_string();
    let all = [
        ("by-revision", log, ["--to-revision", &revision], "Bergen"),
        ("by-time", log, ["--to-time", &time], "Bergen"),
        ("from-data", data.to_str().unwrap(), ["--to-revision", &revision], "Bergen"),
    ];
    for (name, log, until, expected) in all {
        let address = ports::addresses(1).remove(0);
        let target = scratch.join(name);
        let words =
            ["restore", backup, "--data-dir", target.to_str().unwrap(), "--address", &address];
        let words = [&words[..], &["--log", log], &until].concat();
        let ended = run(&scratch, name, KVORUM, &words).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stdout.contains(&format!("restored revision {wanted},")), "{}", ended.stdout);
        let served = format!("{name}-node");
        let flags = ["--data-dir", target.to_str().unwrap(), "--listen", &address];
        let node = Process::start(&scratch, &served, KVORUM, &flags);
        node.lines(1).await;
        let client = Client::connect(&[address]).await;
        assert_eq!(client.get("city").await.as_deref(), Some(expected), "{name}");
        assert_eq!(client.get("more").await, None);
        node.kill();
    }
    // What is not there is said, and nothing is made.
    let target = scratch.join("nothing");
    let words = ["restore", backup, "--data-dir", target.to_str().unwrap(), "--log", log];
    let further = [&words[..], &["--to-revision", "999999"]].concat();
    let far = run(&scratch, "far", KVORUM, &further).await;
    assert_eq!((far.code, far.stderr.lines().count()), (Some(2), 1), "{}", far.stderr);
    assert!(far.stderr.contains("there is no revision 999999"), "{}", far.stderr);
    let mut segments = names(Path::new(log)).into_iter().filter(|name| name.starts_with("wal-"));
    std::fs::remove_file(Path::new(log).join(segments.next().unwrap())).unwrap();
    let gap = run(&scratch, "gap", KVORUM, &words).await;
    assert_eq!((gap.code, gap.stderr.lines().count()), (Some(2), 1), "{}", gap.stderr);
    assert!(gap.stderr.contains("does not go on behind entry"), "{}", gap.stderr);
    assert!(!target.exists());
}

#[tokio::test]
async fn a_backup_without_room_for_it_is_one_line_and_leaves_nothing_behind() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let client = cluster.client().await;
    for number in 0..30 {
        client.put(&format!("k{number}"), &"v".repeat(10_000)).await;
    }
    let scratch = Scratch::new();
    // Files of more than 32 KiB cannot be written here, as on a disk that is full then.
    let script = format!(
        "trap '' XFSZ; ulimit -f 64; exec {KVCTL} --endpoints {} snapshot save backup",
        cluster.address(1)
    );
    let ended = run(&scratch, "save", "sh", &["-c", &script]).await;
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1), "{}", ended.stderr);
    assert!(ended.stderr.contains("cannot write"), "{}", ended.stderr);
    assert_eq!(names(scratch.path()), ["save.err", "save.out"]);
    client.put("on", "it goes").await;
}
