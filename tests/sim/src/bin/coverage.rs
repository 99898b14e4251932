//! Which lines of `raft-core` or `kv-store` the tests run (`docs/coverage.md`).
//!
//! `coverage` builds the tests of `raft-core`, `sim` and `model` with counters, runs them, with
//! 200 seeds of the simulator unless `KVORUM_SEEDS` says otherwise, and prints for each file how
//! many lines were run, and every line that was not. `coverage kv-store` does the same with that
//! package and its own tests. The exit code is 1 below the bound.
//! The compiler's tools that read counters have to be there: `rustup component add llvm-tools`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use sim::programs::{self, Programs};

/// Of a thousand lines at least so many are run.
const PER_MILLE_MIN: usize = 980;

/// So many that what is rare happens, and that it takes seconds.
const SEEDS: &str = "200";

/// How often each line of a file was run that is more than space and comments.
type Lines = BTreeMap<usize, u64>;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// The package whose lines are counted, and those whose tests are run.
fn subject() -> Result<(String, &'static [&'static str]), String> {
    let package = std::env::args().nth(1).unwrap_or_else(|| "raft-core".to_owned());
    match package.as_str() {
        "raft-core" => Ok((package, &["raft-core", "sim", "model"])),
        "kv-store" => Ok((package, &["kv-store"])),
        other => Err(format!("lines of raft-core and kv-store are counted, not of {other}")),
    }
}

/// Returns whether enough lines were run.
fn run() -> Result<bool, String> {
    let (package, tested) = subject()?;
    let tools = tools()?;
    let (folder, programs) = programs::build("coverage", tested, "-C instrument-coverage")?;
    let counters = folder.join("counters");
    let _ = fs::remove_dir_all(&counters);
    run_all(&programs, &counters)?;
    let merged = folder.join("counters.profdata");
    merge(&tools, &counters, &merged)?;
    let mut files = BTreeMap::new();
    for (path, lines) in export(&tools, &merged, (&programs, &package))? {
        let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let own = Path::new(&path)
            .strip_prefix(root())
            .map_or(path.as_str(), |own| own.to_str().expect("it was text before"));
        if !own.split('/').any(|part| part == "tests" || part == "tests.rs") {
            files.insert(own.to_owned(), (without_tests(lines, &text), text));
        }
    }
    Ok(report(&files))
}

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or(root)
}

/// The folder of the compiler that holds its tools.
fn tools() -> Result<PathBuf, String> {
    let output = output(Command::new("rustc").args(["--print", "target-libdir"]))?;
    let folder = Path::new(output.trim()).with_file_name("bin");
    if folder.join("llvm-cov").is_file() {
        return Ok(folder);
    }
    let folder = folder.display();
    Err(format!("there is no llvm-cov in {folder}: rustup component add llvm-tools"))
}

/// Runs all programs, each of which leaves its counters in the folder.
fn run_all(programs: &Programs, counters: &Path) -> Result<(), String> {
    let seeds = std::env::var("KVORUM_SEEDS").unwrap_or_else(|_| SEEDS.to_owned());
    for (name, path) in programs {
        eprintln!("{name}");
        let mut command = Command::new(path);
        command.arg("--quiet").current_dir(env!("CARGO_MANIFEST_DIR"));
        command.env("KVORUM_SEEDS", &seeds);
        command.env("LLVM_PROFILE_FILE", counters.join(format!("{name}-%p.profraw")));
        output(&mut command)?;
    }
    Ok(())
}

fn merge(tools: &Path, counters: &Path, merged: &Path) -> Result<(), String> {
    let files = fs::read_dir(counters).map_err(|error| error.to_string())?;
    let files = files.flatten().map(|file| file.path());
    let mut command = Command::new(tools.join("llvm-profdata"));
    output(command.args(["merge", "-sparse", "-o"]).arg(merged).args(files)).map(drop)
}

/// The lines of a package with their counts, by file.
fn export(
    tools: &Path,
    merged: &Path,
    (programs, package): (&Programs, &str),
) -> Result<BTreeMap<String, Lines>, String> {
    let mut command = Command::new(tools.join("llvm-cov"));
    command.args(["export", "-format=lcov", "-instr-profile"]).arg(merged);
    programs.values().for_each(|path| {
        command.arg("-object").arg(path);
    });
    let told = output(command.arg("-sources").arg(root().join(package).join("src")))?;
    Ok(read_lcov(&told))
}

/// What a program printed.
///
/// Errors: in words, with all that it said, if it failed.
fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().display().to_string();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(told);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name} ended with {}\n{told}{complaint}", output.status))
}

/// Of lcov's records `SF` names a file, `DA` a line of it and how often it was run.
fn read_lcov(text: &str) -> BTreeMap<String, Lines> {
    let mut files: BTreeMap<String, Lines> = BTreeMap::new();
    let mut file = String::new();
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            path.clone_into(&mut file);
        }
        let mut numbers = line.strip_prefix("DA:").into_iter().flat_map(|rest| rest.split(','));
        let (line, count) = (numbers.next(), numbers.next());
        let line = line.and_then(|line| line.parse().ok());
        let count = count.and_then(|count| count.parse::<u64>().ok());
        if let (Some(line), Some(count)) = (line, count) {
            *files.entry(file.clone()).or_default().entry(line).or_default() += count;
        }
    }
    files
}

/// The tests inside a file stand at its end.
fn without_tests(mut lines: Lines, text: &str) -> Lines {
    let end = text.lines().position(|line| line == "#[cfg(test)]");
    if let Some(end) = end {
        lines.retain(|line, _| *line <= end);
    }
    lines
}

/// Prints what was run and what was not; returns whether it is enough.
fn report(files: &BTreeMap<String, (Lines, String)>) -> bool {
    let run = |lines: &Lines| lines.values().filter(|count| 0 < **count).count();
    for (path, (lines, text)) in files {
        println!("{} {path}", share(run(lines), lines.len()));
        for (line, _) in lines.iter().filter(|(_, count)| **count == 0) {
            println!("        {line}: {}", text.lines().nth(line - 1).unwrap_or_default().trim());
        }
    }
    let all: usize = files.values().map(|(lines, _)| lines.len()).sum();
    let run: usize = files.values().map(|(lines, _)| run(lines)).sum();
    println!("{} in all: {run} of {all} lines", share(run, all));
    PER_MILLE_MIN * all <= 1_000 * run
}

fn share(part: usize, all: usize) -> String {
    let per_mille = 1_000 * part / all.max(1);
    format!("{:>3}.{} %", per_mille / 10, per_mille % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_without_tests() {
        let told = "SF:a.rs\nFN:1,f\nFNDA:3,f\nDA:1,3\nDA:2,0\nDA:9,1\nLF:3\nend_of_record\n\
                    SF:b.rs\nDA:1,0\nend_of_record\n";
        let files = read_lcov(told);
        assert_eq!(files.len(), 2);
        assert_eq!(files["b.rs"], Lines::from([(1, 0)]));
        let text = "fn f() {\n    g()\n}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n\
                    \x20   fn f_works() {\n        f()\n    }\n}\n";
        let lines = without_tests(files["a.rs"].clone(), text);
        assert_eq!(lines, Lines::from([(1, 3), (2, 0)]));
        assert_eq!(share(999, 1_000), " 99.9 %");
        let uncovered = BTreeMap::from([("a.rs".to_owned(), (lines, text.to_owned()))]);
        assert!(!report(&uncovered), "half of the lines is not enough");
    }
}
