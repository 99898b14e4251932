//! The commands of `kvctl` at the prompt of `kvorum dev`.

use rustix::process::Signal;

use crate::harness::process::{KVCTL, Process};
use crate::harness::typist::Typist;
use crate::harness::wait;

async fn check_commands(transport: &str) {
    let _turn = wait::turn().await;
    let mut it = Typist::start(transport);
    it.check("SET a/b 1", &["OK"]).await;
    it.check("put a/c 2", &["OK"]).await;
    it.check("SET a/b 3", &["OK"]).await;
    it.check("get a/ --prefix", &["a/b", "3", "a/c", "2"]).await;
    it.check("get a/b --rev 2", &["1"]).await;
    it.check("history a/b", &["2 put 1", "4 put 3"]).await;
    it.check("watch a/ --prefix --since 2 --events 2", &["2 put a/b 1", "3 put a/c 2"]).await;
    it.check("revert a/b 2", &["OK"]).await;
    it.check("GET a/b", &["1"]).await;
    it.check("ls a/", &["b", "c"]).await;
    it.check("tree", &["a/", "  b = 1", "  c = 2"]).await;
    it.check("compact 4", &["OK"]).await;
    it.check("history a/c", &["3 put 2"]).await;
    it.check("lease grant 60 7", &["7"]).await;
    it.check("put d 1 --lease 7", &["OK"]).await;
    it.check("lease revoke 7", &["1"]).await;
    it.check("GET d", &["null"]).await;
    it.check("txn if exists a/b then put a/b 5 else get a/b", &["SUCCESS", "", "OK"]).await;
    let session = it.answered("session open", 1).await.remove(0);
    it.check(&format!("put n 1 --request-id {session}:1"), &["OK"]).await;
    it.check("put n 2 --request-id 7:1 -w json", &["{\"revision\":11}"]).await;
    it.check("put n 2 --request-id 7:1 -w json", &["{\"revision\":11}"]).await;
    let members = it.answered("member list", 3).await;
    assert!(members.iter().all(|line| line.contains("voter")), "{members:?}");
    let verified = it.answered("verify", 1).await;
    assert!(verified[0].starts_with("nodes 1, 2, 3 are equal, index "), "{verified:?}");
    it.check_words("snapshot save backup.kvb", &["backup.kvb"]).await;
    it.check("SET n 9", &["OK"]).await;
    it.check_words("snapshot restore backup.kvb", &["restored "]).await;
    it.check("GET n", &["2"]).await;
    it.check("use 2", &["through node 2"]).await;
    it.check("get n --prefix", &["n", "2"]).await;
    it.check("kill 2", &["node 2 killed"]).await;
    it.check("get n --prefix", &["error: node 2 is dead; revive it, or choose another with use"])
        .await;
    it.check("use any", &["through any node"]).await;
    it.check("get n --prefix", &["n", "2"]).await;
    it.process.type_in("exit\n");
    let ended = it.process.end().await;
    assert_eq!(ended.code, Some(1), "one line has failed: {}", ended.stderr);
}

#[tokio::test]
async fn every_command_is_there_over_tcp() {
    check_commands("tcp").await;
}

#[tokio::test]
async fn every_command_is_there_in_memory() {
    check_commands("memory").await;
}

/// Events are shown as they come, from clients outside too, through the death of a leader, until
/// Enter; a line with words ends a watch and is carried out.
#[tokio::test]
async fn a_watch_shows_what_happens_until_somebody_has_had_enough() {
    let _turn = wait::turn().await;
    let mut it = Typist::start("memory");
    it.check("SET a 1", &["OK"]).await;
    it.check("watch a", &[]).await;
    it.kvctl("kvctl-1", &["put", "a", "2"]).await;
    // It begins at some moment, which the first event that it shows tells.
    wait::until("the watch has begun", async || {
        it.kvctl("kvctl-2", &["put", "a", "2"]).await;
        it.process.stdout().contains("put a 2").then_some(())
    })
    .await;
    it.kvctl("kvctl-3", &["put", "a", "3"]).await;
    wait::until("the last event", async || it.process.stdout().contains("put a 3").then_some(()))
        .await;
    it.process.type_in("\n");
    it.read = it.process.stdout().lines().count();
    it.check("GET a", &["3"]).await;
    it.process.type_in("watch a\nSET b 1\n");
    assert_eq!(it.next(1).await, ["OK"]);
    it.check("lock name", &[]).await;
    let held = it.next(1).await;
    assert!(held[0].starts_with("name/"), "{held:?}");
    it.check("GET b", &["1"]).await;
    it.check("ls name/", &[]).await;
    it.check("watch c", &[]).await;
    it.process.signal(Signal::INT);
    let ended = it.process.end().await;
    assert_eq!(ended.code, Some(130), "a script ends as a whole: {}", ended.stderr);
}

/// Channels at the prompt of `kvorum dev`: what is published there or elsewhere is told, through
/// whichever node, until somebody has had enough.
async fn check_channels(transport: &str) {
    let _turn = wait::turn().await;
    let mut it = Typist::start(transport);
    it.check("SET a 1", &["OK"]).await;
    it.check("publish news nobody", &["0"]).await;
    it.check("subscribe news --pattern 'log.*'", &[]).await;
    wait::until("the subscription has begun", async || {
        it.kvctl("publish-1", &["publish", "news", "hello"]).await;
        it.process.stdout().contains("hello").then_some(())
    })
    .await;
    it.kvctl("publish-2", &["publish", "log.disk", "full"]).await;
    wait::until("the last message", async || it.process.stdout().contains("full").then_some(()))
        .await;
    it.process.type_in("\n");
    it.read = it.process.stdout().lines().count();
    wait::until("the end of the subscription", async || {
        (it.answered("publish news again", 1).await == ["0"]).then_some(())
    })
    .await;
    it.check_words("publish news", &["error: ", "<MESSAGE>"]).await;
}

#[tokio::test]
async fn channels_are_typed_at_the_prompt_over_tcp() {
    check_channels("tcp").await;
}

#[tokio::test]
async fn channels_are_typed_at_the_prompt_in_memory() {
    check_channels("memory").await;
}

/// The same at the prompt of `kvctl shell`: in a script every line is the next command, so the
/// subscription says how many messages it wants.
#[tokio::test]
async fn channels_are_typed_in_the_shell() {
    let _turn = wait::turn().await;
    let mut it = Typist::start("memory");
    it.check("SET a 1", &["OK"]).await;
    let door = it.door(1);
    let arguments = ["--endpoints", &door, "shell"];
    let mut shell = Process::start(&it.scratch, "shell", KVCTL, &arguments);
    shell.type_in("publish news nobody\nsubscribe news --events 1\nget a\n");
    assert_eq!(shell.lines(1).await, ["0"]);
    wait::until("the message", async || {
        it.kvctl("publish", &["publish", "news", "hello"]).await;
        (3 <= shell.stdout().lines().count()).then_some(())
    })
    .await;
    shell.end_input();
    let ended = shell.end().await;
    let said: Vec<&str> = ended.stdout.lines().collect();
    assert!(said[1].contains("news") && said[1].contains("hello"), "{said:?}");
    assert_eq!((ended.code, said[2]), (Some(0), "1"), "{}", ended.stderr);
}
