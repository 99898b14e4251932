//! Which crate may know of what.

use super::source::{code, has_word, without_items};
use super::{File, Finding, Rule, lines};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "dependencies point one way",
        check: dependencies,
        broken_by: &[
            ("raft-core/Cargo.toml", "[dependencies]\ntokio.workspace = true\n"),
            ("raft-core/Cargo.toml", "[dependencies.log]\nversion = \"1\"\n"),
            ("kv-store/Cargo.toml", "[dependencies]\nraft-net = { path = \"x\" }\n"),
            ("raft-net/Cargo.toml", "[dependencies]\nkv-store.workspace = true\n"),
            ("raft-net/Cargo.toml", "[target.'cfg(unix)'.dependencies]\nkv-store = \"1\"\n"),
            ("client-bin/Cargo.toml", "[dev-dependencies]\nnode-bin.workspace = true\n"),
            ("tests/sim/Cargo.toml", "[dependencies]\nraft-net.workspace = true\n"),
            ("node-bin/Cargo.toml", "[dependencies]\ntests = { path = \"x\" }\n"),
        ],
        kept_by: &[
            ("raft-core/Cargo.toml", "[dependencies]\nbytes.workspace = true\n"),
            ("tests/Cargo.toml", "[dev-dependencies]\nkv-store.workspace = true\n"),
            ("Cargo.toml", "[workspace.dependencies]\ntokio = \"1\"\n"),
        ],
    },
    Rule {
        name: "no crate names one that it does not build on",
        check: names,
        broken_by: &[
            ("raft-net/src/a.rs", "use kv_store::store::Store;"),
            ("raft-net/tests/it/a.rs", "kv_store::command::Answer::decode(x)"),
            ("kv-store/src/a.rs", "raft_net::frame::read(x)"),
            ("client-bin/src/a.rs", "use kvorum_node::Node;"),
            ("tests/sim/src/a.rs", "use raft_net::frame;"),
            ("raft-core/src/wal/a.rs", "use crate::consensus::Raft;"),
            ("raft-core/src/consensus/a.rs", "crate::wal::Wal::open(x)"),
        ],
        kept_by: &[
            ("raft-net/src/a.rs", "// kv_store decides what this means\nlet s = \"kv_store\";"),
            ("raft-core/src/replica/a.rs", "use crate::consensus::Raft;"),
        ],
    },
    Rule {
        name: "pure crates know no world",
        check: purity,
        broken_by: &[
            ("raft-core/src/a.rs", "use std::fs;"),
            ("raft-core/src/a.rs", "use std::{fmt, net};"),
            ("raft-core/src/a.rs", "std::thread::spawn(f)"),
            ("raft-core/src/a.rs", "let now = Instant::now();"),
            ("kv-store/src/a.rs", "use std::time::SystemTime;"),
            ("kv-store/src/a.rs", "impl actix::Actor for Store {}"),
            ("kv-store/src/a.rs", "tokio::spawn(f)"),
            ("kv-store/src/a.rs", "rand::random()"),
            ("raft-core/src/a.rs", "#[cfg(kvorum_teeth)]\nfn f() {\n    std::env::var(x);\n}\n"),
            (
                "raft-core/src/teeth.rs",
                "#[cfg(not(kvorum_teeth))]\nfn f() {\n    std::env::var(x);\n}\n",
            ),
        ],
        kept_by: &[
            (
                "raft-core/src/teeth.rs",
                "#[cfg(kvorum_teeth)]\nfn f() {\n    std::env::var(x);\n}\n",
            ),
            ("raft-core/src/a.rs", "//! No thread::spawn, no tokio.\nuse std::{fmt, mem};"),
            ("raft-net/src/a.rs", "use std::net::TcpListener;"),
            ("kv-store/examples/a.rs", "use std::time::Instant;"),
        ],
    },
    Rule {
        name: "guards are taken away in one place",
        check: teeth,
        broken_by: &[
            ("raft-core/src/a.rs", "#[cfg(kvorum_teeth)]\nfn f() {}"),
            ("node-bin/src/a.rs", "if cfg!(kvorum_teeth) {}"),
            ("raft-core/build.rs", "// cargo:rustc-cfg=kvorum_teeth\nkvorum_teeth"),
            ("raft-core/Cargo.toml", "[features]\nkvorum_teeth = []\n"),
        ],
        kept_by: &[
            ("raft-core/src/teeth.rs", "#[cfg(kvorum_teeth)]\nfn f() {}"),
            ("raft-core/src/a.rs", "//! As `kvorum_teeth` does."),
            ("Cargo.toml", "check-cfg = [\"cfg(kvorum_teeth)\"]\n"),
        ],
    },
    Rule {
        name: "cargo run starts kvorum",
        check: default_programs,
        broken_by: &[("client-bin/Cargo.toml", "default-run = \"kvctl\"\n")],
        kept_by: &[("node-bin/Cargo.toml", "default-run = \"kvorum\"\n")],
    },
    Rule {
        name: "a panic ends one node, not the process",
        check: aborting_profiles,
        broken_by: &[("Cargo.toml", "[profile.release]\npanic = \"abort\"\n")],
        kept_by: &[("Cargo.toml", "[profile.release]\nlto = \"thin\"\n")],
    },
];

const OWN: &[&str] =
    &["raft-core", "kv-store", "raft-net", "node-bin", "client-bin", "sim", "model", "tests"];

/// What a package may depend on: a complete list, or the packages of ours alone.
enum May<'a> {
    Only(&'a [&'a str]),
    OwnOnly(&'a [&'a str]),
}

fn may(manifest: &str) -> May<'static> {
    match manifest {
        "raft-core/Cargo.toml" => May::Only(&["bytes", "crc32c", "serde"]),
        "kv-store/Cargo.toml" => {
            May::Only(&["bytes", "raft-core", "rmp-serde", "serde", "serde_bytes"])
        }
        "raft-net/Cargo.toml" => May::OwnOnly(&["raft-core"]),
        // For the prompt, which the shell of kvctl has too.
        "node-bin/Cargo.toml" => May::OwnOnly(&["raft-core", "kv-store", "raft-net", "client-bin"]),
        "client-bin/Cargo.toml" => May::OwnOnly(&["raft-core", "kv-store", "raft-net"]),
        "tests/sim/Cargo.toml" => May::OwnOnly(&["raft-core", "kv-store"]),
        "tests/model/Cargo.toml" => May::OwnOnly(&["raft-core"]),
        // Whatever else there is, nothing sees the tests.
        _ => May::OwnOnly(&["raft-core", "kv-store", "raft-net", "node-bin", "client-bin", "sim"]),
    }
}

fn dependencies(file: &File<'_>) -> Vec<Finding> {
    if !file.path.ends_with("Cargo.toml") {
        return Vec::new();
    }
    let may = may(file.path);
    let (mut found, mut is_inside) = (Vec::new(), false);
    for (line, text) in (1..).zip(file.text.lines()) {
        let mut name = text.split(['.', '=', ' ']).next().unwrap_or_default();
        if let Some(table) = text.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            is_inside = table.ends_with("dependencies") && !table.starts_with("workspace");
            let Some((_, single)) = table.split_once("dependencies.") else { continue };
            name = single;
        } else if !is_inside || name.is_empty() || name.starts_with('#') {
            continue;
        }
        let is_allowed = match may {
            May::Only(names) => names.contains(&name),
            May::OwnOnly(names) => names.contains(&name) || !OWN.contains(&name),
        };
        if !is_allowed {
            found.push(Finding { line, what: format!("may not depend on {name}") });
        }
    }
    found
}

fn names(file: &File<'_>) -> Vec<Finding> {
    let forbidden: &[&str] = match file.path {
        path if path.starts_with("raft-core/src/wal/") => &["consensus", "kv_store", "raft_net"],
        path if path.starts_with("raft-core/src/consensus/") => &["wal", "kv_store", "raft_net"],
        path if path.starts_with("raft-core/") => &["kv_store", "raft_net", "kvorum_node"],
        path if path.starts_with("kv-store/") => &["raft_net", "kvorum_node"],
        path if path.starts_with("raft-net/") => &["kv_store", "kvorum_node", "kvorum_client"],
        path if path.starts_with("client-bin/") => &["kvorum_node"],
        path if path.starts_with("tests/sim/") => &["raft_net", "kvorum_node", "kvorum_client"],
        _ => return Vec::new(),
    };
    if !file.path.ends_with(".rs") {
        return Vec::new();
    }
    lines(&code(file.text), |line| {
        let is_path = |name: &&&str| {
            let (before, after) = (format!("::{name}"), format!("{name}::"));
            has_word(line, name) && (line.contains(&before) || line.contains(&after))
        };
        forbidden.iter().find(is_path).map(|name| format!("names {name}"))
    })
}

/// What takes guards away at run time.
const TEETH: &str = "raft-core/src/teeth.rs";

/// No manifest switches it on, and no other source asks for it.
fn teeth(file: &File<'_>) -> Vec<Finding> {
    let is_manifest = file.path.ends_with("/Cargo.toml");
    if file.path == TEETH || !(is_manifest || file.path.ends_with(".rs")) {
        return Vec::new();
    }
    let text = if is_manifest { file.text.to_owned() } else { code(file.text) };
    lines(&text, |line| has_word(line, "kvorum_teeth").then(|| "names kvorum_teeth".to_owned()))
}

fn purity(file: &File<'_>) -> Vec<Finding> {
    let is_pure = ["raft-core/src/", "kv-store/src/"].iter().any(|at| file.path.starts_with(at));
    if !is_pure || !file.path.ends_with(".rs") {
        return Vec::new();
    }
    let modules = ["fs", "net", "thread", "time", "env", "process"];
    let names = ["Instant", "SystemTime", "actix", "actix_rt", "tokio", "rand", "getrandom"];
    let mut code = code(file.text);
    if file.path == TEETH {
        // Of these builds nothing is pure, and none of them is used.
        code = without_items(&code, "#[cfg(kvorum_teeth)]");
    }
    lines(&code, |line| {
        let is_grouped = |module: &&str| {
            line.split_once("std::{").is_some_and(|(_, group)| has_word(group, module))
        };
        let module =
            |module: &&str| has_word(line, &format!("std::{module}")) || is_grouped(module);
        let named = modules.iter().find(|it| module(it));
        let named = named.or_else(|| names.iter().find(|name| has_word(line, name)));
        named.map(|name| format!("uses {name}"))
    })
}

fn aborting_profiles(file: &File<'_>) -> Vec<Finding> {
    if !file.path.ends_with(".toml") {
        return Vec::new();
    }
    lines(file.text, |line| {
        let line: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        (line == "panic=\"abort\"").then(|| "a profile aborts on panic".to_owned())
    })
}

/// Two packages with a default leave cargo without one.
fn default_programs(file: &File<'_>) -> Vec<Finding> {
    if !file.path.ends_with("Cargo.toml") || file.path == "node-bin/Cargo.toml" {
        return Vec::new();
    }
    lines(file.text, |line| {
        line.starts_with("default-run").then(|| "a second default program".to_owned())
    })
}
