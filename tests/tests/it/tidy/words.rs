//! Words that may not stand where they would do harm.

use super::source::{code, has_word, is_for_tests, without_tests};
use super::{File, Finding, Rule, lines};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "no error is unwrapped",
        check: unwraps,
        broken_by: &[("a/src/a.rs", "let x = y.unwrap();"), ("a/src/a.rs", "y\n    .unwrap()")],
        kept_by: &[
            ("a/src/a.rs", "y.unwrap_or(0); // never .unwrap()"),
            ("a/src/a.rs", "#[cfg(test)]\nmod tests {\n    y.unwrap();\n}\n"),
            ("a/tests/it/a.rs", "y.unwrap();"),
        ],
    },
    Rule {
        name: "nothing is left for later",
        check: leftovers,
        broken_by: &[
            ("a/src/a.rs", "// TO~DO: later"),
            ("docs/a.md", "FIX~ME"),
            ("a/src/a.rs", "to~do!()"),
            ("a/tests/it/a.rs", "unimple~mented!()"),
            ("a/src/a.rs", "db~g!(x)"),
        ],
        kept_by: &[("a/src/a.rs", "fn todos() {}")],
    },
    Rule {
        name: "only programs print",
        check: prints,
        broken_by: &[
            ("raft-net/src/a.rs", "println!(\"x\")"),
            ("node-bin/src/node.rs", "eprintln!(\"x\")"),
        ],
        kept_by: &[
            ("node-bin/src/cli/dev.rs", "println!(\"x\")"),
            ("client-bin/src/main.rs", "println!(\"x\")"),
            ("raft-net/src/a.rs", "//! println!(\"x\")"),
        ],
    },
    Rule {
        name: "actors answer by messages",
        check: actors,
        broken_by: &[
            ("node-bin/src/a.rs", "impl Handler<Tick> for X {\n    type Result = u64;\n}"),
            (
                "node-bin/src/a.rs",
                "impl Handler<Tick> for X {\n    type Result = ResponseFuture<()>;\n}",
            ),
            ("raft-net/src/a.rs", "#[rtype(result = \"u64\")]\nstruct Tick;"),
            ("node-bin/src/a.rs", "context.wait(future)"),
            ("node-bin/src/a.rs", "AtomicResponse::new(x)"),
            ("node-bin/src/a.rs", "SyncArbiter::start(2, f)"),
            ("raft-net/src/a.rs", "impl Supervised for X {}"),
            ("node-bin/src/a.rs", "Supervisor::start(f)"),
        ],
        kept_by: &[
            ("node-bin/src/a.rs", "impl Handler<Tick> for X {\n    type Result = ();\n}"),
            ("raft-net/src/a.rs", "#[rtype(result = \"()\")]\nstruct Tick;"),
            ("kv-store/src/a.rs", "impl FromStr for X {\n    type Result = u64;\n}"),
        ],
    },
    Rule {
        name: "nothing is shared behind a lock",
        check: locks,
        broken_by: &[
            ("node-bin/src/a.rs", "use std::sync::Mutex;"),
            ("raft-net/src/a.rs", "x: RwLock<u64>"),
            ("client-bin/src/a.rs", "RefCell::new(1)"),
            ("raft-core/src/a.rs", "static mut X: u64 = 1;"),
            ("kv-store/src/a.rs", "thread_local! {}"),
        ],
        kept_by: &[("node-bin/src/a.rs", "// no Mutex"), ("tests/tests/it/a.rs", "Mutex::new(1)")],
    },
    Rule {
        name: "no path leads out of the repository",
        check: ways_out,
        broken_by: &[
            ("docs/a.md", "see ~../../elsewhere"),
            ("Cargo.toml", "path = \"~../elsewhere\""),
            ("a/src/a.rs", "\"/wo~rk/here\""),
            ("a/src/a.rs", "// in /ro~ot"),
            ("docs/a.md", "/ho~me/somebody"),
        ],
        kept_by: &[
            ("tests/sim/Cargo.toml", "path = \"../../raft-core\""),
            ("docs/a.md", "the road/work and /rooted/ things"),
        ],
    },
    Rule {
        name: "the text speaks of the program, not of how it is administered",
        check: administration,
        broken_by: &[
            ("docs/a.md", "see iss~ue #12"),
            ("a/src/a.rs", "// Fix~es #3"),
            ("docs/a.md", "https://example.org/x/iss~ues/12"),
            ("docs/a.md", "opened a pull req~uest"),
            ("docs/a.md", "the Git~Hub Actions runner"),
        ],
        kept_by: &[("a/src/a.rs", "let issued = 1; // the number of issues is 0")],
    },
    Rule {
        name: "documents that are named exist",
        check: documents,
        broken_by: &[("README.md", "see docs/absent.md"), ("ARCHITECTURE.md", "`docs/absent.md`")],
        kept_by: &[("README.md", "see [there](docs/there.md)."), ("other.md", "docs/absent.md")],
    },
];

/// The sources of our crates, without what only tests see; nothing for any other file.
fn source(file: &File<'_>) -> String {
    let crates = ["raft-core", "kv-store", "raft-net", "node-bin", "client-bin", "a"];
    let is_source = crates.iter().any(|it| file.path.starts_with(&format!("{it}/src/")));
    if !is_source || !file.path.ends_with(".rs") || is_for_tests(file.path) {
        return String::new();
    }
    without_tests(&code(file.text))
}

/// Lines of `text` with one of the words.
fn words(text: &str, words: &[&str]) -> Vec<Finding> {
    lines(text, |line| {
        words.iter().find(|word| has_word(line, word)).map(|word| format!("`{word}`"))
    })
}

fn unwraps(file: &File<'_>) -> Vec<Finding> {
    lines(&source(file), |line| line.contains(".unwrap()").then(|| "`unwrap()`".to_owned()))
}

fn leftovers(file: &File<'_>) -> Vec<Finding> {
    let notes = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let mut found = words(file.text, &notes);
    if file.path.ends_with(".rs") {
        let macros = [concat!("to", "do!"), concat!("unimple", "mented!"), concat!("db", "g!")];
        found.extend(words(&code(file.text), &macros));
    }
    found
}

fn prints(file: &File<'_>) -> Vec<Finding> {
    let is_program =
        ["/src/cli", "/src/main.rs", "/src/bin/"].iter().any(|it| file.path.contains(it));
    if is_program {
        return Vec::new();
    }
    words(&source(file), &["println!", "print!", "eprintln!", "eprint!"])
}

fn actors(file: &File<'_>) -> Vec<Finding> {
    let source = source(file);
    let mut found = words(
        &source,
        &[
            "AtomicResponse",
            "ResponseFuture",
            "ResponseActFuture",
            "SyncArbiter",
            "SyncContext",
            "Supervisor",
            "Supervised",
            "ctx.wait",
            "context.wait",
            "mailbox_assert",
        ],
    );
    if has_word(&source, "Handler") {
        found.extend(lines(&source, |line| {
            let answer = line.trim().strip_prefix("type Result = ")?;
            (answer != "();").then(|| format!("a handler returns {answer}"))
        }));
    }
    if !source.is_empty() {
        found.extend(lines(file.text, |line| {
            let is_wrong = line.trim().starts_with("#[rtype(") && !line.contains("result = \"()\"");
            is_wrong.then(|| "a message with a result".to_owned())
        }));
    }
    found
}

fn locks(file: &File<'_>) -> Vec<Finding> {
    words(&source(file), &["Mutex", "RwLock", "RefCell", "static mut", "thread_local!"])
}

fn ways_out(file: &File<'_>) -> Vec<Finding> {
    let depth = file.path.matches('/').count();
    let out = "../".repeat(depth + 1);
    let roots =
        ["wo~rk", "ro~ot", "ho~me", "Us~ers"].map(|root| format!("/{root}").replace('~', ""));
    lines(file.text, |line| {
        if line.contains(&out) {
            return Some(format!("{out:?} leads out of the repository"));
        }
        let is_path = |root: &&String| {
            line.match_indices(root.as_str()).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                let after = line[at + root.len()..].chars().next();
                let is_part = |c: char| c.is_alphanumeric() || "-_./:)}".contains(c);
                !before.is_some_and(is_part) && !after.is_some_and(|c| c.is_alphanumeric())
            })
        };
        roots.iter().find(is_path).map(|root| format!("a path of one machine, {root}"))
    })
}

/// In lower case; a `~` is left out.
const ADMINISTRATION: &[&str] = &[
    "iss~ue #",
    "/iss~ues/",
    "fix~es #",
    "clo~ses #",
    "resol~ves #",
    "pull req~uest",
    "merge req~uest",
    "/pu~ll/",
    "git~hub actions",
    "git~lab ci",
    "jen~kins",
    "ji~ra",
    "tra~vis",
    "build~kite",
    "ci pipe~line",
    "ci j~ob",
    "ci run~ner",
    "work~flow run",
];

fn administration(file: &File<'_>) -> Vec<Finding> {
    if file.path == "Cargo.lock" {
        return Vec::new();
    }
    lines(file.text, |line| {
        let line = line.to_lowercase();
        let words = ADMINISTRATION.iter().map(|word| word.replace('~', ""));
        words.into_iter().find(|word| line.contains(word)).map(|word| format!("{word:?}"))
    })
}

fn documents(file: &File<'_>) -> Vec<Finding> {
    if !["README.md", "ARCHITECTURE.md"].contains(&file.path) {
        return Vec::new();
    }
    lines(file.text, |line| {
        let named = line.match_indices("docs/").filter_map(|(at, _)| {
            let end = line[at..].find(".md")? + 3;
            Some(&line[at..at + end])
        });
        let mut absent = named.filter(|path| !file.paths.contains(*path));
        absent.next().map(|path| format!("{path} does not exist"))
    })
}
