//! The report as a browser shows it: all nodes, all words, and nothing that it was given runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use kvorum_client::events::{Event, FileFormat, Report};
use serde_json::{Value, json};

use crate::harness::scratch::Scratch;
use crate::harness::tools;

/// What must not run wherever it stands.
const HOSTILE: &str = "<script>document.title='ran'</script><img src=x onerror=\"document.title=\
                       'ran'\">";

fn events() -> Vec<Event> {
    let log = json!({"term": 0, "index": 0});
    let started = |node: u64, addresses: Value| {
        json!({"node": node, "seq": 1, "at_us": 1_000_000 + node, "term": 0, "event": "started",
               "last": log, "commit": 0, "voters": [1, 2], "addresses": addresses})
    };
    let message = |node: u64, at_us: u64, (way, peer): (&str, u64), about: Value| {
        let mut event = json!({"node": node, "seq": at_us, "at_us": at_us, "term": 1,
                               "event": "message", way: peer});
        for (name, value) in about.as_object().unwrap() {
            event[name] = value.clone();
        }
        event
    };
    let beat = json!({"type": "Heartbeat", "id": 7, "is_heartbeat": true});
    let entries = json!({"type": "AppendEntries", "id": 9, "first": 2, "last": 4});
    let events = [
        started(1, json!({"1": HOSTILE, "2": "two:1"})),
        started(2, json!({})),
        json!({"node": 1, "seq": 2, "at_us": 1_300_000, "term": 1, "event": "role",
               "role": "leader", "leader": 1, "reason": HOSTILE}),
        message(1, 1_350_000, ("to", 2), beat.clone()),
        message(2, 1_350_400, ("from", 1), beat),
        json!({"node": 2, "seq": 3, "at_us": 1_400_000, "term": 1, "event": HOSTILE, "x": 1}),
        message(1, 1_500_000, ("to", 2), entries.clone()),
        message(2, 1_500_321, ("from", 1), entries),
    ];
    events.iter().map(|event| Event::read(&event.to_string()).unwrap()).collect()
}

/// Set to a path, the picture of README is written there.
const README_PICTURE: &str = "KVORUM_REPORT_PICTURE";

/// What README's picture may weigh. Units: bytes.
const PICTURE_LEN_MAX: u64 = 300_000;

fn write_report(story: impl IntoIterator<Item = Event>, path: &Path) {
    let file = std::fs::File::create(path).unwrap();
    let mut report = Report::begin(file, FileFormat::Html).unwrap();
    story.into_iter().for_each(|event| report.push(&event).unwrap());
    report.finish().unwrap();
}

fn browser(chromium: &Path, scratch: &Scratch) -> Command {
    let mut browser = Command::new(chromium);
    browser
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000"])
        .arg(format!("--user-data-dir={}", scratch.join("chromium").display()));
    browser
}

/// Shows a story as its report in a browser, and takes a picture of that for people.
pub(super) fn picture(story: &[Value]) {
    let Some(chromium) = tools::find("a picture of the report", "chromium") else { return };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("report");
    std::fs::create_dir_all(&folder).unwrap();
    let page = folder.join("five-events.html");
    write_report(story.iter().map(|event| Event::read(&event.to_string()).unwrap()), &page);
    let picture = std::env::var_os(README_PICTURE)
        .map_or_else(|| folder.join("five-events.png"), PathBuf::from);
    let _ = std::fs::remove_file(&picture);
    let scratch = Scratch::new();
    let taken = browser(&chromium, &scratch)
        .args(["--window-size=1280,800", "--hide-scrollbars"])
        .arg(format!("--screenshot={}", picture.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let length = std::fs::metadata(&picture).map_or(0, |file| file.len());
    assert!((1..PICTURE_LEN_MAX).contains(&length), "{length} bytes: {taken:?}");
    println!("the report and its picture: {} and {}", page.display(), picture.display());
}

#[test]
fn a_browser_shows_the_report_and_runs_nothing_of_it() {
    let Some(chromium) = tools::find("the report in a browser", "chromium") else { return };
    let scratch = Scratch::new();
    let path = scratch.join("story.html");
    write_report(events(), &path);
    let shown = browser(&chromium, &scratch)
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
