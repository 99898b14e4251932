//! Tables in colours, where a person looks at them.

use std::io::{self, IsTerminal as _, Write};

use super::output;

const BOLD: &str = "\x1b[1m";
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

/// Asks for no colours if it is set to anything, as <https://no-color.org> has it.
const NO_COLOR: &str = "NO_COLOR";

/// What a row has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing in particular.
    Plain,
    /// It is the one that others depend on.
    Good,
    /// Something is wrong.
    Bad,
}

/// Whether standard output is a terminal that is to show colours.
pub(crate) fn is_wanted() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    io::stdout().is_terminal() && !is_set(NO_COLOR) && !is_dumb
}

/// Writes rows in columns, with colours if they are wanted.
pub(crate) fn table(
    output: &mut dyn Write,
    heads: &[&str],
    rows: Vec<(Tone, Vec<String>)>,
) -> io::Result<()> {
    let lines = lines(heads, rows, is_wanted())?;
    lines.iter().try_for_each(|line| writeln!(output, "{line}"))
}

/// The lines of a table, the heads first.
pub(crate) fn lines(
    heads: &[&str],
    rows: Vec<(Tone, Vec<String>)>,
    is_coloured: bool,
) -> io::Result<Vec<String>> {
    let (tones, cells): (Vec<Tone>, Vec<Vec<String>>) = rows.into_iter().unzip();
    let mut bytes = Vec::new();
    // Columns are made without colours, which have a width of their own.
    output::table(&mut bytes, heads, &cells)?;
    let text = String::from_utf8_lossy(&bytes);
    let colours = std::iter::once(BOLD).chain(tones.into_iter().map(colour));
    let paint = |(colour, line): (&str, &str)| match is_coloured && !colour.is_empty() {
        true => format!("{colour}{line}{PLAIN}"),
        false => line.to_owned(),
    };
    Ok(colours.zip(text.lines()).map(paint).collect())
}

fn colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Good => GREEN,
        Tone::Bad => RED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_change_no_column_and_are_left_out_where_nobody_wants_them() {
        let row = |tone, name: &str| (tone, vec![name.to_owned(), "x".to_owned()]);
        let rows = vec![row(Tone::Good, "one"), row(Tone::Plain, "second"), row(Tone::Bad, "3")];
        let plain = ["NAME    X", "one     x", "second  x", "3       x"];
        assert_eq!(lines(&["NAME", "X"], rows.clone(), false).unwrap(), plain);
        let painted = lines(&["NAME", "X"], rows, true).unwrap();
        let expected = [
            "\x1b[1mNAME    X\x1b[0m",
            "\x1b[32mone     x\x1b[0m",
            "second  x",
            "\x1b[31m3       x\x1b[0m",
        ];
        assert_eq!(painted, expected);
    }
}
