//! The report: a file with everything that happened, as one page for a browser or as a JSON
//! document on each line.
//!
//! It is written as events come, and what was written stands whatever happens to the program: a
//! page without its end is shown all the same.

use std::io::{self, Write};
use std::path::Path;

use super::Event;

/// The largest report; what comes then is left out. Units: bytes.
pub const REPORT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// From here on what comes again and again is left out, so that there is room for the rest.
/// Units: bytes.
const FREQUENT_BYTES_MAX: u64 = REPORT_BYTES_MAX / 4 * 3;

const STYLE: &str = include_str!("page/style.css");
const SCRIPTS: [&str; 4] = [
    include_str!("page/story.js"),
    include_str!("page/picture.js"),
    include_str!("page/rows.js"),
    include_str!("page/main.js"),
];
const BODY: &str = include_str!("page/body.html");

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// One page that a browser shows, without anything else.
    Html,
    /// A JSON document on each line.
    JsonLines,
}

impl FileFormat {
    /// What the end of a file's name says: `.html` or `.jsonl`.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "html" | "htm" => Some(Self::Html),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            _ => None,
        }
    }
}

/// A report that is being written.
#[derive(Debug)]
pub struct Report<W> {
    to: W,
    format: FileFormat,
    bytes: u64,
    bytes_max: u64,
    leaves_out_frequent: bool,
    is_full: bool,
}

impl<W: Write> Report<W> {
    /// Begins a report.
    ///
    /// Errors: those of writing.
    pub fn begin(to: W, format: FileFormat) -> io::Result<Self> {
        let mut report = Self {
            to,
            format,
            bytes: 0,
            bytes_max: REPORT_BYTES_MAX,
            leaves_out_frequent: false,
            is_full: false,
        };
        if format == FileFormat::Html {
            report.write(&head())?;
        }
        Ok(report)
    }

    /// The same report that becomes no larger than this. Units: bytes.
    #[must_use]
    pub fn within(self, bytes_max: u64) -> Self {
        Self { bytes_max, ..self }
    }

    /// Adds what happened next. A report that is full says so once and takes nothing more.
    ///
    /// Errors: those of writing.
    pub fn push(&mut self, event: &Event) -> io::Result<()> {
        let line = self.line(event);
        let bytes = self.bytes + line.len() as u64;
        let frequent_max = FREQUENT_BYTES_MAX.min(self.bytes_max / 4 * 3);
        if self.is_full || (self.leaves_out_frequent && event.is_frequent()) {
            return Ok(());
        }
        if event.is_frequent() && frequent_max < bytes {
            self.leaves_out_frequent = true;
            return self.leave_out(event, "messages and moves of the log; the report is long");
        }
        // Room for the line that says so, and for the end.
        if self.bytes_max < bytes + 1_024 {
            self.is_full = true;
            return self.leave_out(event, "everything; the report is as long as it may be");
        }
        self.write(line.as_bytes())
    }

    fn leave_out(&mut self, event: &Event, what: &str) -> io::Result<()> {
        let (node, at_us) = (event.node, event.at_us);
        let fields = serde_json::json!({
            "node": node, "at_us": at_us, "event": "left_out", "what": what,
        });
        let Some(event) = Event::read(&fields.to_string()) else { return Ok(()) };
        let line = self.line(&event);
        self.write(line.as_bytes())
    }

    fn line(&self, event: &Event) -> String {
        match self.format {
            FileFormat::JsonLines => format!("{}\n", event.json),
            FileFormat::Html => {
                let words = serde_json::Value::String(event.in_words());
                let fields = event.json.strip_suffix('}').unwrap_or_default();
                // Nothing in it can end the element that it stands in, or begin another.
                format!("{fields},\"words\":{words}}}\n").replace('<', "\\u003c")
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.to.write_all(bytes)
    }

    /// Hands on what was written so far.
    ///
    /// Errors: those of writing.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    /// Ends the report.
    ///
    /// Errors: those of writing.
    pub fn finish(mut self) -> io::Result<W> {
        if self.format == FileFormat::Html {
            self.write(b"</script>\n</body>\n</html>\n")?;
        }
        self.to.flush()?;
        Ok(self.to)
    }
}

/// Everything before the first event. The scripts wait until the page is there, and read the
/// events from the last element, which is no script and whose end may be missing.
fn head() -> Vec<u8> {
    let mut page = Vec::new();
    page.extend_from_slice(
        b"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
    );
    page.extend_from_slice(
        b"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
          <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
          style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
          <title>Kvorum: what happened</title>\n",
    );
    page.extend_from_slice(format!("<style>\n{STYLE}</style>\n<script>\n").as_bytes());
    page.extend_from_slice(b"\"use strict\";\n");
    SCRIPTS.iter().for_each(|script| page.extend_from_slice(script.as_bytes()));
    page.extend_from_slice(format!("</script>\n</head>\n<body>\n{BODY}").as_bytes());
    page.extend_from_slice(b"<script type=\"application/x-ndjson\" id=\"events\">\n");
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, kind: &str) -> Event {
        let hostile = "</script><script>alert(1)</script><!--";
        let fields = serde_json::json!({
            "node": 1, "seq": seq, "at_us": seq, "term": 1, "event": kind, "reason": hostile,
            "addresses": { "1": hostile },
        });
        Event::read(&fields.to_string()).expect("an event")
    }

    fn written(format: FileFormat, bytes_max: u64, events: &[Event]) -> String {
        let report = Report::begin(Vec::new(), format).expect("memory takes everything");
        let mut report = report.within(bytes_max);
        events.iter().for_each(|event| report.push(event).expect("memory takes everything"));
        let written = report.finish().expect("memory takes everything");
        String::from_utf8(written).expect("it is text")
    }

    #[test]
    fn nothing_that_is_told_is_a_part_of_the_page() {
        let page = written(FileFormat::Html, u64::MAX, &[event(1, "role"), event(2, "<b>")]);
        let (_, data) = page.split_once("id=\"events\">\n").expect("the events");
        let data = data.strip_suffix("</script>\n</body>\n</html>\n").expect("the end");
        assert!(!data.contains('<'), "{data}");
        let lines: Vec<serde_json::Value> =
            data.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines[0]["addresses"]["1"], "</script><script>alert(1)</script><!--");
        assert_eq!((lines.len(), &lines[1]["event"]), (2, &serde_json::json!("<b>")));
        assert!(lines[0]["words"].as_str().expect("words").contains("<script>"));
    }

    #[test]
    fn a_page_asks_nobody_for_anything() {
        let page = written(FileFormat::Html, u64::MAX, &[]);
        let allowed = page.replace("http://www.w3.org/2000/svg", "");
        for words in ["http:", "https:", "src=", "@import", "url(\"", "fetch("] {
            assert!(!allowed.contains(words), "{words} stands in the page");
        }
    }

    #[test]
    fn a_report_that_is_full_keeps_what_is_rare_and_says_what_is_missing() {
        let events: Vec<Event> = (1..=4_000)
            .map(|seq| event(seq, if seq % 100 == 0 { "role" } else { "message" }))
            .collect();
        let text = written(FileFormat::JsonLines, 100_000, &events);
        assert!(text.len() <= 100_000, "{}", text.len());
        let kinds: Vec<String> =
            text.lines().map(|line| Event::read(line).expect("an event").kind).collect();
        assert_eq!(kinds.iter().filter(|kind| *kind == "left_out").count(), 1);
        let place = kinds.iter().position(|kind| kind == "left_out").expect("it says so");
        assert!(kinds[..place].contains(&"message".to_owned()));
        assert!(!kinds[place..].contains(&"message".to_owned()));
        assert_eq!(kinds.iter().filter(|kind| *kind == "role").count(), 40, "all of them");
        let text = written(FileFormat::JsonLines, 20_000, &[&events[..]; 3].concat());
        assert!(text.len() <= 20_000);
        assert!(text.lines().last().expect("lines").contains("left_out"));
    }
}
