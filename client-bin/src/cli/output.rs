//! How answers are written: bare, as JSON, in columns.
//!
//! `crate::document` has what is written as JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::arguments::Format;
use crate::Staleness;
use crate::client::{Deleted, KeyValue, Page};
use crate::document::Pair;

const PAIR_HEADS: &[&str] = &["KEY", "VALUE", "VERSION", "MOD_REVISION"];

/// Writes the answer to a put.
pub(crate) fn put(output: &mut dyn Write, format: Format, revision: u64) -> io::Result<()> {
    #[derive(Serialize)]
    struct Put {
        revision: u64,
    }
    match format {
        Format::Simple => writeln!(output, "OK"),
        Format::Json => json(output, &Put { revision }),
        Format::Table => table(output, &["REVISION"], &[vec![revision.to_string()]]),
    }
}

/// Writes the answer to a put that shows what it replaced.
pub(crate) fn replaced(
    output: &mut dyn Write,
    format: Format,
    (revision, previous): (u64, Option<KeyValue>),
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Replaced<'a> {
        revision: u64,
        previous: Option<Pair<'a>>,
    }
    match format {
        Format::Simple | Format::Table => {
            put(output, format, revision)?;
            previous.map_or(Ok(()), |kv| line(output, &kv.value))
        }
        Format::Json => {
            json(output, &Replaced { revision, previous: previous.as_ref().map(Pair::from) })
        }
    }
}

/// Writes the answer to a delete that shows what it removed.
pub(crate) fn taken(
    output: &mut dyn Write,
    format: Format,
    (deleted, kvs): (Deleted, Vec<KeyValue>),
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Taken<'a> {
        count: u64,
        revision: u64,
        kvs: Vec<Pair<'a>>,
    }
    let Deleted { count, revision } = deleted;
    match format {
        Format::Simple => {
            writeln!(output, "{count}")?;
            kvs.iter().try_for_each(|kv| line(output, &kv.key).and(line(output, &kv.value)))
        }
        Format::Json => {
            json(output, &Taken { count, revision, kvs: kvs.iter().map(Pair::from).collect() })
        }
        Format::Table => table(output, PAIR_HEADS, &kvs.iter().map(row).collect::<Vec<_>>()),
    }
}

/// Writes the versions of a key: revision, `put` and value or `del`, a line each.
pub(crate) fn history(output: &mut dyn Write, format: Format, page: &Page) -> io::Result<()> {
    #[derive(Serialize)]
    struct History<'a> {
        versions: Vec<Pair<'a>>,
        revision: u64,
    }
    let Page { revision, kvs, .. } = page;
    let what = |kv: &KeyValue| if kv.version == 0 { "del" } else { "put" };
    match format {
        Format::Simple => kvs.iter().try_for_each(|kv| {
            write!(output, "{} {}", kv.mod_revision, what(kv))?;
            if kv.version != 0 {
                output.write_all(b" ")?;
            }
            line(output, &kv.value)
        }),
        Format::Json => {
            let versions = kvs.iter().map(Pair::from).collect();
            json(output, &History { versions, revision: *revision })
        }
        Format::Table => {
            let row = |kv: &KeyValue| {
                let (version, value) = (kv.version.to_string(), printable(&kv.value));
                vec![kv.mod_revision.to_string(), what(kv).to_owned(), version, value]
            };
            let rows: Vec<_> = kvs.iter().map(row).collect();
            table(output, &["REVISION", "WHAT", "VERSION", "VALUE"], &rows)
        }
    }
}

/// Writes who has won an election.
pub(crate) fn winner(output: &mut dyn Write, format: Format, kv: &KeyValue) -> io::Result<()> {
    match format {
        Format::Simple => line(output, &kv.value),
        Format::Json => json(output, &Pair::from(kv)),
        Format::Table => table(output, &["KEY", "VALUE", "VERSION", "REVISION"], &[row(kv)]),
    }
}

/// Writes names, a line each.
pub(crate) fn names(output: &mut dyn Write, format: Format, names: &[Vec<u8>]) -> io::Result<()> {
    #[derive(Serialize)]
    struct Names<'a> {
        names: Vec<std::borrow::Cow<'a, str>>,
    }
    match format {
        Format::Simple => names.iter().try_for_each(|name| line(output, name)),
        Format::Json => {
            let names = names.iter().map(|name| String::from_utf8_lossy(name)).collect();
            json(output, &Names { names })
        }
        Format::Table => {
            let rows: Vec<_> = names.iter().map(|name| vec![printable(name)]).collect();
            table(output, &["NAME"], &rows)
        }
    }
}

/// Writes how many keys there are.
pub(crate) fn count(output: &mut dyn Write, format: Format, page: &Page) -> io::Result<()> {
    #[derive(Serialize)]
    struct Count {
        count: u64,
        revision: u64,
    }
    match format {
        Format::Simple => writeln!(output, "{}", page.count),
        Format::Json => json(output, &Count { count: page.count, revision: page.revision }),
        Format::Table => table(output, &["COUNT"], &[vec![page.count.to_string()]]),
    }
}

fn line(output: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    output.write_all(bytes)?;
    output.write_all(b"\n")
}

/// Writes the answer to a delete.
pub(crate) fn deleted(output: &mut dyn Write, format: Format, deleted: Deleted) -> io::Result<()> {
    #[derive(Serialize)]
    struct Fields {
        count: u64,
        revision: u64,
    }
    let Deleted { count, revision } = deleted;
    match format {
        Format::Simple => writeln!(output, "{count}"),
        Format::Json => json(output, &Fields { count, revision }),
        Format::Table => {
            let row = vec![count.to_string(), revision.to_string()];
            table(output, &["DELETED", "REVISION"], &[row])
        }
    }
}

/// Writes keys and values page by page, so that a long range needs little memory.
#[derive(Debug)]
pub(crate) struct PairWriter {
    format: Format,
    /// Whether one key was asked for, which need not be repeated.
    is_single: bool,
    has_values: bool,
    count: u64,
    revision: u64,
    pages: u64,
}

impl PairWriter {
    pub(crate) fn new(format: Format, is_single: bool) -> Self {
        Self { format, is_single, has_values: true, count: 0, revision: 0, pages: 0 }
    }

    /// The same; if `is_bare`, bare keys are written without an empty line for each value.
    pub(crate) fn without_values(self, is_bare: bool) -> Self {
        Self { has_values: !is_bare, ..self }
    }

    pub(crate) fn page(&mut self, output: &mut dyn Write, page: &Page) -> io::Result<()> {
        self.pages += 1;
        self.revision = page.revision;
        match self.format {
            Format::Simple => {
                for kv in &page.kvs {
                    if !self.is_single {
                        line(output, &kv.key)?;
                    }
                    if self.has_values {
                        line(output, &kv.value)?;
                    }
                }
            }
            Format::Json => {
                if self.pages == 1 {
                    output.write_all(b"{\"kvs\":[")?;
                }
                for (place, kv) in (self.count..).zip(&page.kvs) {
                    if 0 < place {
                        output.write_all(b",")?;
                    }
                    serde_json::to_writer(&mut *output, &Pair::from(kv))?;
                }
            }
            Format::Table => {
                let rows: Vec<Vec<String>> = page.kvs.iter().map(row).collect();
                let heads: &[&str] = if self.pages == 1 { PAIR_HEADS } else { &[] };
                table(output, heads, &rows)?;
            }
        }
        self.count += u64::try_from(page.kvs.len()).expect("a count fits in 64 bits");
        Ok(())
    }

    /// Ends the answer, in JSON with how old it may be; returns how many pairs it has.
    pub(crate) fn finish(
        self,
        output: &mut dyn Write,
        staleness: Option<Staleness>,
    ) -> io::Result<u64> {
        if self.is_single && self.count == 0 && self.format == Format::Simple {
            line(output, b"null")?;
        }
        if self.format == Format::Json {
            write!(output, "],\"count\":{},\"revision\":{}", self.count, self.revision)?;
            if let Some(Staleness { applied_index, contact_age }) = staleness {
                let age_ms = contact_age.map_or("null".into(), |age| age.as_millis().to_string());
                write!(output, ",\"applied_index\":{applied_index}")?;
                write!(output, ",\"contact_age_ms\":{age_ms}")?;
            }
            output.write_all(b"}\n")?;
        }
        Ok(self.count)
    }
}

/// How old a local read may be, for people.
pub(crate) fn in_words(Staleness { applied_index, contact_age }: Staleness) -> String {
    let contact = match contact_age {
        Some(age) => format!("in touch with the leader {} ms ago", age.as_millis()),
        None => "never in touch with a leader since it started".to_owned(),
    };
    format!("local read: applied up to index {applied_index}, {contact}")
}

fn row(kv: &KeyValue) -> Vec<String> {
    let KeyValue { key, value, version, mod_revision, create_revision: _, kind: _, lease: _ } = kv;
    vec![printable(key), printable(value), version.to_string(), mod_revision.to_string()]
}

/// The bytes on one line, with what cannot be printed as escapes.
pub(crate) fn printable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            let escape =
                |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
            text.chars().map(escape).collect()
        }
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

/// Writes one JSON document on a line of its own.
pub(crate) fn json<T: Serialize>(output: &mut dyn Write, value: &T) -> io::Result<()> {
    serde_json::to_writer(&mut *output, value)?;
    output.write_all(b"\n")
}

/// Writes rows in columns as wide as their widest cell. Without heads, the rows go on below
/// those of an earlier call.
pub(crate) fn table(
    output: &mut dyn Write,
    heads: &[&str],
    rows: &[Vec<String>],
) -> io::Result<()> {
    let head: Vec<String> = heads.iter().map(|&head| head.to_owned()).collect();
    let lines: Vec<&Vec<String>> =
        std::iter::once(&head).filter(|head| !head.is_empty()).chain(rows).collect();
    let columns = lines.iter().map(|line| line.len()).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for line in lines {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(output, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::Kind;

    fn kv(key: &'static [u8], value: &'static [u8]) -> KeyValue {
        let (key, value) = (Bytes::from_static(key), Bytes::from_static(value));
        let (kind, lease) = (Kind::String, 0);
        KeyValue { key, value, create_revision: 1, mod_revision: 3, version: 2, kind, lease }
    }

    fn written(format: Format, is_single: bool, pages: &[Vec<KeyValue>]) -> String {
        let (mut output, mut writer) = (Vec::new(), PairWriter::new(format, is_single));
        for kvs in pages {
            let page = Page { revision: 9, kvs: kvs.clone(), more: false, count: 0 };
            writer.page(&mut output, &page).unwrap();
        }
        writer.finish(&mut output, None).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn simple_prints_bare_bytes_and_the_keys_of_a_range() {
        let pages = [vec![kv(b"a", b"1")], vec![kv(b"b", b"")]];
        assert_eq!(written(Format::Simple, false, &pages), "a\n1\nb\n\n");
        assert_eq!(written(Format::Simple, true, &pages[..1]), "1\n");
        assert_eq!(written(Format::Simple, true, &[vec![]]), "null\n");
        assert_eq!(written(Format::Simple, false, &[vec![]]), "");
    }

    #[test]
    fn json_is_one_document_over_all_pages() {
        let pages = [vec![kv(b"a", b"\"1\"")], vec![kv(b"\xff", b"\xfe\x00")]];
        assert_eq!(
            written(Format::Json, false, &pages),
            "{\"kvs\":[{\"key\":\"a\",\"value\":\"\\\"1\\\"\",\"create_revision\":1,\
             \"mod_revision\":3,\"version\":2},{\"key_base64\":\"/w==\",\"value_base64\":\"/gA=\",\
             \"create_revision\":1,\"mod_revision\":3,\"version\":2}],\"count\":2,\
             \"revision\":9}\n"
        );
        assert_eq!(
            written(Format::Json, true, &[vec![]]),
            "{\"kvs\":[],\"count\":0,\"revision\":9}\n"
        );
    }

    #[test]
    fn a_local_read_says_how_old_it_may_be() {
        let heard = Staleness { applied_index: 7, contact_age: Some(Duration::from_millis(40)) };
        let never = Staleness { contact_age: None, ..heard };
        for (staleness, end, words) in [
            (
                heard,
                "\"contact_age_ms\":40}\n",
                "up to index 7, in touch with the leader 40 ms ago",
            ),
            (never, "\"contact_age_ms\":null}\n", "up to index 7, never in touch with a leader"),
        ] {
            let (mut output, mut writer) = (Vec::new(), PairWriter::new(Format::Json, true));
            writer
                .page(&mut output, &Page { revision: 9, kvs: vec![], more: false, count: 0 })
                .unwrap();
            writer.finish(&mut output, Some(staleness)).unwrap();
            let text = String::from_utf8(output).unwrap();
            assert!(
                text.starts_with("{\"kvs\":[],\"count\":0,\"revision\":9,\"applied_index\":7,")
            );
            assert!(text.ends_with(end) && in_words(staleness).contains(words), "{text}");
        }
    }

    #[test]
    fn a_table_keeps_everything_on_one_line() {
        let pages =
            [vec![kv(b"key\n", b"v"), kv(b"k", "grün\u{7f}".as_bytes()), kv(b"b", b"\xff")]];
        assert_eq!(
            written(Format::Table, false, &pages),
            "KEY    VALUE       VERSION  MOD_REVISION\n\
             key\\n  v           2        3\n\
             k      grün\\u{7f}  2        3\n\
             b      \\xff        2        3\n"
        );
    }
}
