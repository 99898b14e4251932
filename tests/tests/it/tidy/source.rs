//! Rust as text: what is code, what is a comment or a string, and what is only for tests.

/// The text with comments and the content of strings blanked, each character in its place.
pub(super) fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, is_code) = token(rest, first, code.chars().next_back());
        let (token, after) = rest.split_at(length);
        if is_code {
            code.push_str(token);
        } else {
            code.extend(token.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = after;
    }
    code
}

/// The length of the next token, and whether it is code.
fn token(rest: &str, first: char, before: Option<char>) -> (usize, bool) {
    let until = |end: &str| rest.find(end).map_or(rest.len(), |at| at + end.len());
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), false);
    }
    if rest.starts_with("/*") {
        return (until("*/"), false);
    }
    if first == '"' {
        return (string_length(rest), false);
    }
    let is_in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if first == 'r' && !is_in_word {
        let hashes = rest[1..].len() - rest[1..].trim_start_matches('#').len();
        if rest[1 + hashes..].starts_with('"') {
            let (begin, end) = (2 + hashes, format!("\"{}", "#".repeat(hashes)));
            let length = rest[begin..].find(&end).map(|at| begin + at + end.len());
            return (length.unwrap_or(rest.len()), false);
        }
    }
    if first == '\'' {
        // A character, or else a lifetime.
        let escaped = rest[1..].starts_with('\\');
        let end = rest.char_indices().skip(if escaped { 3 } else { 2 }).find(|(_, c)| *c == '\'');
        let is_near = |at: usize| rest[..at].chars().count() <= if escaped { 12 } else { 2 };
        if let Some((at, _)) = end.filter(|(at, _)| is_near(*at)) {
            return (at + 1, false);
        }
    }
    (first.len_utf8(), true)
}

fn string_length(rest: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The code with everything behind `#[cfg(test)]` blanked.
pub(super) fn without_tests(code: &str) -> String {
    without_items(code, "#[cfg(test)]")
}

/// The code with every item behind this attribute blanked.
pub(super) fn without_items(code: &str, attribute: &str) -> String {
    let mut kept = Vec::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if line.trim() != attribute {
            kept.push(line);
            continue;
        }
        kept.push("");
        let (depth, end) = (indent(line), format!("{}}}", indent(line)));
        for line in lines.by_ref() {
            kept.push("");
            if line == end || (line.ends_with(';') && indent(line) == depth) {
                break;
            }
        }
    }
    kept.join("\n")
}

/// Whether a file is there for tests only, or shows how the code is used.
pub(super) fn is_for_tests(path: &str) -> bool {
    let in_folder = |name: &str| path.split('/').any(|part| part == name);
    in_folder("tests")
        || in_folder("benches")
        || in_folder("examples")
        || path.ends_with("/tests.rs")
}

/// The space before a line.
pub(super) fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

/// Whether `word` stands in the line, not as a part of a longer one.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[test]
fn comments_and_strings_are_not_code() {
    for (text, expected) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b\n */ c", "a     \n    c"),
        (r#"f("b\"c") d"#, "f(      ) d"),
        (r##"f(r#"b"c"#) d"##, "f(        ) d"),
        ("'\"' + '\\'' + 'x'", "    +      +    "),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
        ("for_r\"x\"", "for_r   "),
    ] {
        assert_eq!(code(text), expected, "{text}");
    }
}

#[test]
fn tests_are_left_out() {
    let text = "a\n#[cfg(test)]\nmod tests {\n    x;\n    {\n    }\n}\nb\n#[cfg(test)]\nmod t;\nc";
    assert_eq!(without_tests(text).split_whitespace().collect::<String>(), "abc");
}
