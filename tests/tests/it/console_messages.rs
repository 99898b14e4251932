//! Messages between actors and nodes, shown as they go.

use crate::harness::scratch::Scratch;
use crate::harness::typist::Typist;
use crate::harness::wait;

/// The lines of standard error that show a message.
fn shown(it: &Typist) -> Vec<String> {
    let errors = it.process.stderr();
    errors.lines().filter(|line| line.starts_with('+')).map(str::to_owned).collect()
}

/// The way of a put through a follower, by the names of what was sent; nothing of heartbeats.
#[tokio::test]
async fn every_message_is_a_line_with_its_ends() {
    let _turn = wait::turn().await;
    let settings = ["--transport", "memory", "--console-messages"];
    let mut it = Typist::with(Scratch::new(), &settings);
    it.check("SET a a-long-value", &["OK"]).await;
    for way in [
        ["Api -> Consensus Submit", ""],
        ["Consensus -> LogStore Persist", ""],
        ["LogStore -> Consensus Persisted", ""],
        [" -> n", " AppendEntries"],
        ["Network -> Consensus Received", " AppendEntries of n"],
        ["Consensus -> Watch Applied", ""],
        ["Consensus -> Api Answered", ""],
    ] {
        wait::until(way[0], async || {
            let is_it = |line: &String| way.iter().all(|words| line.contains(words));
            shown(&it).iter().any(is_it).then_some(())
        })
        .await;
    }
    let lines = shown(&it);
    assert!(!lines.iter().any(|line| line.contains("Heartbeat")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains(" leader ")), "roles are told: {lines:?}");
    assert!(!lines.iter().any(|line| line.contains("commit_index")), "no payloads: {lines:?}");
    let words: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!((words[0], words[2]), ("+", "us"), "{lines:?}");
    assert!(words[1].parse::<u64>().is_ok() && words[3].starts_with('n'), "{lines:?}");
}

/// With `full` what is carried is shown too, and none of it is long.
#[tokio::test]
async fn payloads_are_shown_and_cut() {
    let _turn = wait::turn().await;
    let settings = ["--transport", "memory", "--nodes", "1", "--console-messages", "full"];
    let mut it = Typist::with(Scratch::new(), &settings);
    it.check(&format!("SET a {}", "v".repeat(5_000)), &["OK"]).await;
    let persisted = wait::until("a batch with its number", async || {
        shown(&it).into_iter().find(|line| line.contains("Persisted { number: "))
    })
    .await;
    assert!(persisted.contains("LogStore -> Consensus Persisted"), "{persisted}");
    let longest = shown(&it).iter().map(|line| line.chars().count()).max();
    assert!(longest < Some(400), "{longest:?}");
}

/// Without the flag there is not a line of it.
#[tokio::test]
async fn nothing_is_shown_unless_it_is_wanted() {
    let _turn = wait::turn().await;
    let mut it = Typist::with(Scratch::new(), &["--transport", "memory", "--nodes", "1"]);
    it.check("SET a 1", &["OK"]).await;
    assert_eq!(shown(&it), Vec::<String>::new());
}
