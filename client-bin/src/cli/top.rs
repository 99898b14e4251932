//! `kvctl top`: a table of all nodes that is drawn again and again.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write};

use super::arguments::{Format, Shared, TopArguments};
use super::paint::{self, Tone};
use super::stop::Stop;
use super::{CommandError, output};
use crate::monitor::{MonitorAnswer, MonitorPart, MonitorRequest, MonitorValue, MonitorWatch};

const HEADS: &[&str] = &[
    "NODE",
    "ROLE",
    "TERM",
    "APPLIED",
    "WRITES/S",
    "READS/S",
    "WRITE P50/P99",
    "READ P50/P99",
    "SYNC P50/P99",
    "CPU",
    "MEMORY",
    "LIVE",
    "CLIENTS",
    "WATCHES",
    "BEHIND",
    "RTT",
];

/// Moves to the upper left corner and clears what is below.
const HOME: &str = "\x1b[H\x1b[J";

/// Begins with an empty screen.
const CLEAR: &str = "\x1b[2J";

/// Draws until `stop` comes, or as often as it was told. Returns the exit code.
pub(super) async fn run(
    output: &mut dyn Write,
    shared: &Shared,
    arguments: &TopArguments,
    stop: &mut Stop<'_>,
) -> Result<u8, CommandError> {
    let interval_ms = arguments.interval().as_millis();
    let request = MonitorRequest {
        path: "/cluster".to_owned(),
        interval_ms: u64::try_from(interval_ms).unwrap_or(u64::MAX).max(1),
        ..MonitorRequest::default()
    };
    let mut watch = MonitorWatch::new(&shared.endpoints, request, shared.timeout())?;
    let is_terminal = io::stdout().is_terminal() && shared.write_out != Format::Json;
    let mut before = BTreeMap::new();
    let mut left = arguments.count.unwrap_or(u64::MAX);
    if is_terminal {
        write!(output, "{CLEAR}")?;
    }
    while 0 < left {
        let answer = tokio::select! {
            answer = watch.next() => answer?,
            () = stop.comes() => return Ok(0),
        };
        let rows = rows(&answer, &mut before);
        match shared.write_out {
            Format::Json => output::json(output, &document(&rows))?,
            Format::Simple | Format::Table if is_terminal => {
                draw(output, &rows, paint::is_wanted())?;
            }
            Format::Simple | Format::Table => {
                let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.cells).collect();
                output::table(output, HEADS, &rows)?;
                writeln!(output)?;
            }
        }
        output.flush()?;
        left -= 1;
    }
    Ok(0)
}

/// One node.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    cells: Vec<String>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Leader,
    Other,
    Silent,
}

/// What counts up, when it was looked at last.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    up_ms: u64,
    writes: u64,
    reads: u64,
    cpu_ms: u64,
}

fn rows(answer: &MonitorAnswer, before: &mut BTreeMap<u64, Counts>) -> Vec<Row> {
    let number = |part: &MonitorPart, path: &str| match value(part, path) {
        Some(MonitorValue::Number(number)) => Some(*number),
        Some(MonitorValue::Flag(_) | MonitorValue::Text(_)) | None => None,
    };
    let leads = |part: &&MonitorPart| {
        let role = value(part, "raft/role");
        role.is_some_and(|role| matches!(role, MonitorValue::Text(role) if role == "leader"))
    };
    let leader = answer.parts.iter().find(leads);
    // What a leader knows of the others stands in their rows.
    let known = |id: u64| {
        let leader = leader?;
        let of = |name: &str| number(leader, &format!("raft/peers/{id}/{name}"));
        let behind = number(leader, "raft/last")?.saturating_sub(of("match")?);
        Some((behind.to_string(), of("rtt_us").map_or("-".to_owned(), |us| in_ms(us) + " ms")))
    };
    let all = answer.parts.iter().map(|part| {
        let mut row = row(part, before);
        if row.kind != Kind::Silent {
            let (behind, round_trip) =
                known(part.node_id).unwrap_or_else(|| ("-".to_owned(), "-".to_owned()));
            row.cells.extend([behind, round_trip]);
        }
        row
    });
    all.collect()
}

fn value<'p>(part: &'p MonitorPart, path: &str) -> Option<&'p MonitorValue> {
    part.entries.iter().find(|entry| entry.path == path).map(|entry| &entry.value)
}

fn row(part: &MonitorPart, before: &mut BTreeMap<u64, Counts>) -> Row {
    let id = part.node_id;
    if let Some(error) = &part.error {
        before.remove(&id);
        let text = output::printable(error.text.as_bytes());
        return Row { cells: vec![id.to_string(), text], kind: Kind::Silent };
    }
    let value = |path: &str| value(part, path);
    let text = |path: &str| value(path).map_or("-".to_owned(), ToString::to_string);
    let number = |path: &str| match value(path) {
        Some(MonitorValue::Number(number)) => *number,
        Some(MonitorValue::Flag(_) | MonitorValue::Text(_)) | None => 0,
    };
    let counts = Counts {
        up_ms: number("clock/up_ms"),
        writes: number("requests/writes"),
        reads: number("requests/reads"),
        cpu_ms: number("cpu/used_ms"),
    };
    let last = before.insert(id, counts);
    let rate = |count: fn(&Counts) -> u64, per: u64| rate(last.as_ref(), &counts, count, per);
    let times = |path: &str| {
        let of = |part: &str| in_ms(number(&format!("{path}/{part}")));
        format!("{}/{} ms", of("p50_us"), of("p99_us"))
    };
    let clients = number("clients/native") + number("clients/redis") + number("clients/streams");
    let role = text("raft/role");
    let kind = if role == "leader" { Kind::Leader } else { Kind::Other };
    let percent = rate(|counts| counts.cpu_ms, 100);
    let cells = vec![
        id.to_string(),
        role,
        text("raft/term"),
        text("raft/applied"),
        rate(|counts| counts.writes, 1_000),
        rate(|counts| counts.reads, 1_000),
        times("requests/write_time"),
        times("requests/read_time"),
        times("disk/sync"),
        if percent == "-" { percent } else { format!("{percent}%") },
        in_mib(number("memory/resident_bytes")),
        in_mib(number("store/live_bytes")),
        clients.to_string(),
        text("watches/count"),
    ];
    Row { cells, kind }
}

/// How much something has grown in `per` milliseconds, on average; nothing at the first look.
fn rate(last: Option<&Counts>, counts: &Counts, count: fn(&Counts) -> u64, per: u64) -> String {
    let Some(last) = last else { return "-".to_owned() };
    let took_ms = counts.up_ms.saturating_sub(last.up_ms);
    if took_ms == 0 {
        return "-".to_owned();
    }
    let grown = count(counts).saturating_sub(count(last));
    (grown * per / took_ms).to_string()
}

fn in_ms(us: u64) -> String {
    format!("{}.{:02}", us / 1_000, us % 1_000 / 10)
}

fn in_mib(bytes: u64) -> String {
    format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20)
}

fn document(rows: &[Row]) -> Vec<BTreeMap<&'static str, &str>> {
    rows.iter()
        .map(|row| {
            let names: &[&'static str] =
                if row.kind == Kind::Silent { &["NODE", "ERROR"] } else { HEADS };
            names.iter().copied().zip(row.cells.iter().map(String::as_str)).collect()
        })
        .collect()
}

/// Draws over what was drawn before.
fn draw(output: &mut dyn Write, rows: &[Row], is_coloured: bool) -> io::Result<()> {
    let (silent, all): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| row.kind == Kind::Silent);
    let tone = |row: &Row| if row.kind == Kind::Leader { Tone::Good } else { Tone::Plain };
    let told = all.into_iter().map(|row| (tone(row), row.cells.clone())).collect();
    let missed = silent.into_iter().map(|row| (Tone::Bad, vec![row.cells.join("  ")])).collect();
    let lines = paint::lines(HEADS, told, is_coloured)?;
    // They have no columns, and so no heads.
    let missed = paint::lines(&[""], missed, is_coloured)?.into_iter().skip(1);
    write!(output, "{HOME}")?;
    lines.into_iter().chain(missed).try_for_each(|line| write!(output, "{line}\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::{MonitorEntry, MonitorError};

    fn part(values: &[(&str, MonitorValue)]) -> MonitorPart {
        let entry = |(path, value): &(&str, MonitorValue)| MonitorEntry {
            path: (*path).to_owned(),
            value: value.clone(),
            settable: false,
        };
        let entries = values.iter().map(entry).collect();
        MonitorPart { node_id: 1, entries, ..MonitorPart::default() }
    }

    fn look(up_ms: u64, writes: u64, cpu_ms: u64) -> MonitorPart {
        part(&[
            ("raft/role", "leader".into()),
            ("clock/up_ms", up_ms.into()),
            ("requests/writes", writes.into()),
            ("cpu/used_ms", cpu_ms.into()),
            ("disk/sync/p50_us", 1_234_u64.into()),
            ("memory/resident_bytes", (3_u64 << 19).into()),
        ])
    }

    #[test]
    fn rates_are_per_second_from_one_look_to_the_next() {
        let mut before = BTreeMap::new();
        let first = row(&look(1_000, 50, 10), &mut before);
        assert_eq!((first.cells[4].as_str(), first.cells[9].as_str()), ("-", "-"));
        let second = row(&look(3_000, 450, 510), &mut before);
        assert_eq!((second.cells[4].as_str(), second.cells[9].as_str()), ("200", "25%"));
        assert_eq!((second.kind, second.cells.len()), (Kind::Leader, HEADS.len() - 2));
        assert_eq!(
            (second.cells[8].as_str(), second.cells[10].as_str()),
            ("1.23/0.00 ms", "1.5 MiB")
        );
        let restarted = row(&look(10, 1, 1), &mut before);
        assert_eq!(restarted.cells[4], "-", "its clock went back");
    }

    #[test]
    fn how_far_others_are_is_what_the_leader_knows() {
        let mut leader = look(1, 1, 1);
        let of_peer = part(&[
            ("raft/last", 70_u64.into()),
            ("raft/peers/2/match", 67_u64.into()),
            ("raft/peers/2/rtt_us", 1_250_u64.into()),
            ("raft/peers/3/match", 70_u64.into()),
        ]);
        leader.entries.extend(of_peer.entries);
        let other = |id| MonitorPart { node_id: id, ..part(&[("raft/role", "follower".into())]) };
        let answer = MonitorAnswer { parts: vec![leader, other(2), other(3)] };
        let rows = rows(&answer, &mut BTreeMap::new());
        let last = |row: &Row| row.cells[HEADS.len() - 2..].join(" ");
        assert_eq!(rows.iter().map(last).collect::<Vec<_>>(), ["- -", "3 1.25 ms", "0 -"]);
    }

    #[test]
    fn colours_are_on_terminals_and_change_no_column() {
        let mut before = BTreeMap::new();
        let error = MonitorError { code: MonitorError::SILENT, text: "no answer".to_owned() };
        let silent = MonitorPart { node_id: 2, error: Some(error), ..MonitorPart::default() };
        let answer = MonitorAnswer { parts: vec![look(1, 1, 1), silent] };
        let rows = rows(&answer, &mut before);
        let mut drawn = Vec::new();
        draw(&mut drawn, &rows, true).unwrap();
        let drawn = String::from_utf8(drawn).unwrap();
        assert!(drawn.contains("\x1b[32m1     leader"), "{drawn:?}");
        assert!(drawn.contains("\x1b[31m2  no answer\x1b[0m"), "{drawn:?}");
        let mut plain = Vec::new();
        draw(&mut plain, &rows, false).unwrap();
        let plain = String::from_utf8(plain).unwrap();
        assert_eq!(plain.matches('\x1b').count(), 2, "only the way to the corner: {plain:?}");
        assert_eq!(document(&rows)[1]["ERROR"], "no answer");
    }
}
