//! How long things may be, how they are named, and how they begin.

use super::source::{code, indent, without_tests};
use super::{File, Finding, Rule, lines};

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_CHARS_MAX: usize = 100;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "files, functions and lines are short",
        check: lengths,
        broken_by: &[
            ("a/src/long_line.rs", LONG_LINE),
            ("a/src/long_function.rs", LONG_FUNCTION),
            ("a/src/long_file.rs", LONG_FILE),
        ],
        kept_by: &[
            ("docs/a.md", LONG_LINE),
            ("raft-net/src/etcd/generated/a.rs", LONG_LINE),
            ("a/src/a.rs", "fn f() {\n    1\n}\n\nfn g() { 2 }\n"),
        ],
    },
    Rule {
        name: "every file says what it is",
        check: first_lines,
        broken_by: &[
            ("a/src/a.rs", "use std::fmt;\n"),
            ("a/src/a.rs", ""),
            ("tests/scripts/a.txt", "cluster nodes=3\n----\n"),
        ],
        kept_by: &[
            ("a/src/a.rs", "//! A thing.\n"),
            ("tests/scripts/a.txt", "# A claim.\ncluster nodes=3\n"),
        ],
    },
    Rule {
        name: "modules are named after what they hold",
        check: module_names,
        broken_by: &[
            ("a/src/util~s.rs", "//! x"),
            ("a/src/comm~on/mod.rs", "//! x"),
            ("a/src/helper~s.rs", "//! x"),
            ("a/src/link_mana~ger.rs", "//! x"),
            ("a/src/a.rs", "mod help~ers {\n}"),
        ],
        kept_by: &[("a/src/commonwealth.rs", "//! x\nmod tests {\n}")],
    },
    Rule {
        name: "Raft names every variant that it matches",
        check: catch_alls,
        broken_by: &[(
            "raft-core/src/consensus/a.rs",
            "match message {\n    Message::Vote { .. } => 1,\n    _ => 2,\n}\n",
        )],
        kept_by: &[
            ("raft-core/src/consensus/a.rs", "match n {\n    Some(1) => 1,\n    _ => 2,\n}\n"),
            ("raft-core/src/wal/a.rs", "match x {\n    X::Y => 1,\n    _ => 2,\n}\n"),
            (
                "raft-core/src/consensus/a.rs",
                "#[cfg(test)]\nmod tests {\n    match x {\n        X::Y => 1,\n        _ => 2,\n\
                 \x20   }\n}\n",
            ),
        ],
    },
];

const LONG_LINE: &str = "//! 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 \
                         0123456789 0123456789 0123456789 0123456789\n";
const LONG_FUNCTION: &str = "//! x\nimpl X {\n    pub(crate) async fn f() {\n        a();\n\
    \n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\
    \n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n    }\n}\n";
const LONG_FILE: &str = {
    const LINES: [u8; 801] = [b'\n'; 801];
    match std::str::from_utf8(&LINES) {
        Ok(lines) => lines,
        Err(_) => panic!("line feeds are text"),
    }
};

fn is_rust(file: &File<'_>) -> bool {
    file.path.ends_with(".rs")
}

fn lengths(file: &File<'_>) -> Vec<Finding> {
    // Nobody reads what a program has written from something shorter.
    if !is_rust(file) || file.path.contains("/src/etcd/generated/") {
        return Vec::new();
    }
    let mut found = lines(file.text, |line| {
        let chars = line.chars().count();
        (LINE_CHARS_MAX < chars).then(|| format!("a line of {chars} characters"))
    });
    let count = file.text.lines().count();
    if FILE_LINES_MAX < count {
        found.push(Finding { line: count, what: format!("a file of {count} lines") });
    }
    let code = code(file.text);
    let all: Vec<&str> = code.lines().collect();
    for (at, line) in all.iter().enumerate().filter(|(_, line)| begins_function(line)) {
        let end = format!("{}}}", indent(line));
        let is_short = line.ends_with('}') || line.ends_with(';');
        let rest = all[at..].iter();
        let length = if is_short { 1 } else { rest.take_while(|line| **line != end).count() + 1 };
        if FUNCTION_LINES_MAX < length {
            found.push(Finding { line: at + 1, what: format!("a function of {length} lines") });
        }
    }
    found
}

fn begins_function(line: &str) -> bool {
    let mut words = line.trim_start().split(' ').skip_while(|word| {
        word.starts_with("pub") || ["const", "async", "unsafe", "extern"].contains(word)
    });
    words.next() == Some("fn")
}

fn first_lines(file: &File<'_>) -> Vec<Finding> {
    let begins = if is_rust(file) {
        "//! "
    } else if file.path.starts_with("tests/scripts/") {
        "#"
    } else {
        return Vec::new();
    };
    let wrong = || Finding { line: 1, what: format!("does not begin with {begins:?}") };
    if file.text.starts_with(begins) { Vec::new() } else { vec![wrong()] }
}

/// Names under which anything could hide.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "manager", "managers", "misc", "shared"];

fn module_names(file: &File<'_>) -> Vec<Finding> {
    if !is_rust(file) {
        return Vec::new();
    }
    let is_empty = |name: &str| name.split('_').any(|word| EMPTY_NAMES.contains(&word));
    let by_path = file.path.trim_end_matches(".rs").split('/').any(is_empty);
    let mut found = lines(file.text, |line| {
        let line = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        let name = line.strip_prefix("mod ")?.trim_end_matches([';', '{', ' ']);
        is_empty(name).then(|| format!("a module {name}"))
    });
    if by_path {
        found.push(Finding { line: 1, what: "a name that says nothing".to_owned() });
    }
    found
}

/// Enums that are not ours; a catch-all on them hides nothing that we will add.
const FOREIGN_ENUMS: &[&str] = &["Ordering::", "Bound::", "ErrorKind::"];

fn catch_alls(file: &File<'_>) -> Vec<Finding> {
    if !file.path.starts_with("raft-core/src/consensus/") || !is_rust(file) {
        return Vec::new();
    }
    let code = without_tests(&code(file.text));
    let all: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (at, line) in all.iter().enumerate() {
        if !line.trim_start().starts_with("_ =>") {
            continue;
        }
        // The other arms stand above, at the same depth.
        let depth = indent(line).len();
        let above = all[..at].iter().rev();
        let arms = above.take_while(|line| line.is_empty() || depth <= indent(line).len());
        let is_own = |line: &str| {
            let pattern = line.split("=>").next().unwrap_or_default();
            let is_foreign = FOREIGN_ENUMS.iter().any(|name| pattern.contains(name));
            indent(line).len() == depth && pattern.contains("::") && !is_foreign
        };
        if arms.clone().any(|line| line.contains("=>") && is_own(line)) {
            found.push(Finding { line: at + 1, what: "`_` on an enum of ours".to_owned() });
        }
    }
    found
}
