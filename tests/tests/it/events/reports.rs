//! `kvorum dev --report`: a file that is whole however the program ends.

use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use super::told::check_numbers;
use crate::harness::scratch::Scratch;
use crate::harness::typist::Typist;
use crate::harness::wait;

/// Plays a little and waits until the report tells of it.
async fn played(name: &str) -> Typist {
    let scratch = Scratch::new();
    let path = scratch.join(name);
    let mut typist = Typist::with(scratch, &["--transport", "memory", "--report", name]);
    typist.check("SET a 1", &["OK"]).await;
    typist.check("kill 3", &["node 3 killed"]).await;
    typist.check("revive 3", &["node 3 revived"]).await;
    typist.check("cut 1 > 2", &["link 1 > 2 cut"]).await;
    typist.check("heal", &["every link healed"]).await;
    typist.check("pause 2 10", &["node 2 paused for 10 ms"]).await;
    wait::until("the end of the story so far", async || {
        let text = std::fs::read_to_string(&path).unwrap();
        text.contains("\"resumed\"").then_some(())
    })
    .await;
    typist
}

fn read(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "no line is cut off");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn check_acts(events: &[Value]) {
    for (kind, node) in [("killed", 3), ("cut", 1), ("healed", 1), ("paused", 2), ("resumed", 2)] {
        let told = |event: &&Value| event["event"] == kind && event["node"] == node;
        assert_eq!(events.iter().filter(told).count(), 1, "{kind} of node {node}");
    }
    let cut = events.iter().find(|event| event["event"] == "cut").unwrap();
    assert_eq!(cut["peer"], 2);
}

#[tokio::test]
async fn a_report_is_whole_when_the_program_is_told_to_end() {
    for (name, signal, code) in
        [("a.jsonl", Signal::TERM, 0), ("b.jsonl", Signal::INT, 130), ("c.html", Signal::TERM, 0)]
    {
        let _turn = wait::turn().await;
        let typist = played(name).await;
        let Typist { scratch, process, .. } = typist;
        process.signal(signal);
        let ended = process.end().await;
        assert_eq!(ended.code, Some(code), "{ended:?}");
        let path = scratch.join(name);
        if name.ends_with("html") {
            let page = std::fs::read_to_string(path).unwrap();
            assert!(page.ends_with("</script>\n</body>\n</html>\n"), "the page has its end");
            continue;
        }
        let events = read(&path);
        check_numbers(events.iter());
        check_acts(&events);
        let stopped = events.iter().filter(|event| event["event"] == "stopped").count();
        assert_eq!(stopped, 3, "each node tells of its end");
    }
}

#[tokio::test]
async fn what_was_told_stands_in_the_report_when_the_program_is_killed() {
    let _turn = wait::turn().await;
    let Typist { scratch, process, .. } = played("story.jsonl").await;
    process.kill();
    let text = std::fs::read_to_string(scratch.join("story.jsonl")).unwrap();
    let (whole, _) = text.rsplit_once('\n').unwrap();
    let events: Vec<Value> =
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    check_acts(&events);
}

#[tokio::test]
async fn a_report_that_is_neither_or_nowhere_is_refused() {
    let _turn = wait::turn().await;
    for (name, words) in [("story.txt", ".html or .jsonl"), ("nowhere/story.html", "cannot write")]
    {
        let Typist { scratch: _scratch, process, .. } =
            Typist::with(Scratch::new(), &["--report", name]);
        let ended = process.end().await;
        assert!(ended.code == Some(2) && ended.stderr.contains(words), "{ended:?}");
    }
}
