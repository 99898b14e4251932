//! The report as a browser shows it: all nodes, all words, and nothing that it was given runs.

use std::process::Command;

use kvorum_client::events::{Event, FileFormat, Report};

use crate::harness::scratch::Scratch;
use crate::harness::tools;

/// What must not run wherever it stands.
const HOSTILE: &str = "<script>document.title='ran'</script><img src=x onerror=\"document.title=\
                       'ran'\">";

fn events() -> Vec<Event> {
    let hostile = serde_json::Value::from(HOSTILE);
    let lines = [
        format!(
            r#"{{"node":1,"seq":1,"at_us":1000000,"term":0,"event":"started","last":{{"term":0,"index":0}},"commit":0,"voters":[1,2],"addresses":{{"1":{hostile},"2":"two:1"}}}}"#
        ),
        r#"{"node":2,"seq":1,"at_us":1000100,"term":0,"event":"started","last":{"term":0,"index":0},"commit":0,"voters":[1,2],"addresses":{}}"#.to_owned(),
        format!(
            r#"{{"node":1,"seq":2,"at_us":1300000,"term":1,"event":"role","role":"leader","leader":1,"reason":{hostile}}}"#
        ),
        r#"{"node":1,"seq":3,"at_us":1350000,"term":1,"event":"message","to":2,"type":"Heartbeat","id":7,"is_heartbeat":true}"#.to_owned(),
        r#"{"node":2,"seq":2,"at_us":1350400,"term":1,"event":"message","from":1,"type":"Heartbeat","id":7,"is_heartbeat":true}"#.to_owned(),
        format!(r#"{{"node":2,"seq":3,"at_us":1400000,"term":1,"event":{hostile},"x":1}}"#),
        r#"{"node":1,"seq":4,"at_us":1500000,"term":1,"event":"message","to":2,"type":"AppendEntries","id":9,"first":2,"last":4}"#.to_owned(),
        r#"{"node":2,"seq":4,"at_us":1500321,"term":1,"event":"message","from":1,"type":"AppendEntries","id":9,"first":2,"last":4}"#.to_owned(),
    ];
    lines.iter().map(|line| Event::read(line).unwrap()).collect()
}

#[test]
fn a_browser_shows_the_report_and_runs_nothing_of_it() {
    let Some(chromium) = tools::find("the report in a browser", "chromium") else { return };
    let scratch = Scratch::new();
    let path = scratch.join("story.html");
    let file = std::fs::File::create(&path).unwrap();
    let mut report = Report::begin(file, FileFormat::Html).unwrap();
    events().iter().for_each(|event| report.push(event).unwrap());
    report.finish().unwrap();
    let shown = Command::new(chromium)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000"])
        .arg(format!("--user-data-dir={}", scratch.join("chromium").display()))
        .arg("--dump-dom")
        .arg(format!("file://{}", path.display()))
        .output()
        .unwrap();
    let page = String::from_utf8(shown.stdout).unwrap();
    for words in [
        "<title>Kvorum: what happened</title>",
        "2 nodes · 8 events",
        ">node 1<small>&lt;script&gt;document.title='ran'",
        ">node 2<small>two:1</small>",
        "leads term 1: &lt;script&gt;",
        "2 heartbeats",
        "→ 2 AppendEntries 2 to 4",
        "class=\"arrow entries\"",
        "00:00:01.500321",
    ] {
        assert!(page.contains(words), "no {words:?} in {page}");
    }
}
