//! Takes one guard after the other away and looks whether the tests notice (`docs/teeth.md`).
//!
//! `teeth` runs everything, `teeth --quick` the named tests without the simulator, and
//! `teeth NAME...` only these guards. The tests are built once, into a folder of their own.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use sim::programs::{self, Programs};
use sim::teeth::{Guard, NamedTest, guards, says};

const USAGE: &str = "usage: teeth [--quick] [NAME...]";

/// So many that every kind of event is among them; a run ends at the first that fails.
const SEEDS: &str = "0..1000";

/// A test that runs longer has failed: without some guards a cluster never comes to rest.
const TEST_TIME_MAX: Duration = Duration::from_secs(60);
const SIMULATOR_TIME_MAX: Duration = Duration::from_secs(900);

/// How often it is looked at whether a program has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The program of the seeds, among the others.
const SIMULATOR: &str = "sim";

/// How a program ended.
struct Ended {
    is_good: bool,
    output: String,
}

fn main() -> ExitCode {
    let mut names: BTreeSet<String> = std::env::args().skip(1).collect();
    let is_quick = names.remove("--quick");
    let mut chosen = guards();
    if !names.is_empty() {
        chosen.retain(|guard| names.remove(guard.name));
    }
    if is_quick {
        chosen.retain(|guard| !guard.tests.is_empty());
        chosen.iter_mut().for_each(|guard| guard.is_simulated = false);
    }
    if let Some(unknown) = names.first() {
        eprintln!("no guard is called {unknown}\n{USAGE}");
        return ExitCode::from(2);
    }
    match run(&chosen, is_quick) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether every guard is missed when it is gone.
fn run(chosen: &[Guard], is_quick: bool) -> Result<bool, String> {
    let programs = build()?;
    check_with_all_guards(chosen, &programs)?;
    println!("with all guards everything passes\n");
    let mut missing = Vec::new();
    for guard in chosen {
        match remove(guard, &programs, is_quick)? {
            Ok(by) => println!("caught      {}: {by}", guard.name),
            Err(why) => {
                println!("NOT CAUGHT  {}: {why}", guard.name);
                missing.push(guard.name);
            }
        }
    }
    println!("\n{}", summary(chosen));
    println!("{} caught, {} not", chosen.len() - missing.len(), missing.len());
    missing.iter().for_each(|name| println!("NOT CAUGHT  {name}"));
    Ok(missing.is_empty())
}

fn summary(chosen: &[Guard]) -> String {
    let scenarios: BTreeSet<&str> =
        chosen.iter().flat_map(|guard| &guard.scenarios).copied().collect();
    let bugs = chosen.iter().filter(|guard| !guard.seen_in.is_empty()).count();
    let invariants: BTreeSet<&str> =
        chosen.iter().flat_map(|guard| &guard.shows).map(|shown| shown.invariant).collect();
    format!(
        "{} guards of {} scenarios, {bugs} of them known from other implementations, {} invariants",
        chosen.len(),
        scenarios.len(),
        invariants.len()
    )
}

/// Builds the tests with guards that can be taken away.
fn build() -> Result<Programs, String> {
    let (folder, mut programs) =
        programs::build("teeth", &["sim", "raft-core"], "--cfg kvorum_teeth")?;
    programs.insert(SIMULATOR.to_owned(), folder.join("debug").join(SIMULATOR));
    Ok(programs)
}

fn program<'a>(programs: &'a Programs, name: &str) -> Result<&'a Path, String> {
    programs.get(name).map(PathBuf::as_path).ok_or_else(|| format!("there are no tests {name}"))
}

/// Nothing says anything if it fails with the guards too, or does not exist.
fn check_with_all_guards(chosen: &[Guard], programs: &Programs) -> Result<(), String> {
    let tests: BTreeSet<NamedTest> =
        chosen.iter().flat_map(|guard| &guard.tests).copied().collect();
    let names: BTreeSet<&str> = tests.iter().map(NamedTest::program).collect();
    for name in names {
        let output = start(program(programs, name)?, &[], "", SIMULATOR_TIME_MAX)?.output;
        let passes = |test: &&NamedTest| output.contains(&format!("test {} ... ok", test.path()));
        let mut wrong = tests.iter().filter(|test| test.program() == name && !passes(test));
        if let Some(test) = wrong.next() {
            return Err(format!("{} does not pass with all guards\n{output}", test.name));
        }
    }
    if chosen.iter().any(|guard| guard.is_simulated) {
        let Ended { is_good, output } = simulate(programs, "")?;
        if !is_good {
            return Err(format!("the simulator fails with all guards\n{output}"));
        }
    }
    Ok(())
}

fn simulate(programs: &Programs, guard: &str) -> Result<Ended, String> {
    let arguments = ["--seeds", SEEDS, "--first"];
    start(program(programs, SIMULATOR)?, &arguments, guard, SIMULATOR_TIME_MAX)
}

/// Runs everything that has to miss the guard: what was seen first, or what was not.
fn remove(
    guard: &Guard,
    programs: &Programs,
    is_quick: bool,
) -> Result<Result<String, String>, String> {
    let mut seen = Vec::new();
    let mut outputs = String::new();
    for test in &guard.tests {
        let arguments = ["--exact", &test.path(), "--nocapture"];
        let program = program(programs, test.program())?;
        let ended = start(program, &arguments, guard.name, TEST_TIME_MAX)?;
        if ended.is_good {
            return Ok(Err(format!("{} passes", test.name)));
        }
        seen.push(format!("{}: {}", test.name, reason(&ended.output)));
        outputs.push_str(&ended.output);
    }
    if guard.is_simulated {
        let ended = simulate(programs, guard.name)?;
        if ended.is_good {
            return Ok(Err(format!("the simulator passes the seeds {SEEDS}")));
        }
        seen.push(format!("simulator: {}", reason(&ended.output)));
        outputs.push_str(&ended.output);
    }
    let unsaid = guard.shows.iter().find(|shown| !says(&outputs, shown.words));
    Ok(match unsaid {
        // Perhaps only the simulator would have said it.
        Some(shown) if !is_quick => Err(format!("nothing says {:?}", shown.words)),
        Some(_) | None => Ok(seen.join("\n            ")),
    })
}

/// The first line of what a panic said.
fn reason(output: &str) -> &str {
    let mut lines = output.lines().skip_while(|line| !line.contains("panicked at"));
    lines.nth(1).or_else(|| output.lines().last()).unwrap_or("it said nothing")
}

fn start(
    program: &Path,
    arguments: &[&str],
    guard: &str,
    time_max: Duration,
) -> Result<Ended, String> {
    let failed = |error| format!("{} cannot be run: {error}", program.display());
    let mut child = Command::new(program)
        .args(arguments)
        .env("KVORUM_TEETH", guard)
        .env("RUST_BACKTRACE", "0")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let collect = |from: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            // What was read before an error is what there is.
            let _ = from.map(|mut from| from.read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stderr = collect(child.stderr.take().map(|from| Box::new(from) as Box<dyn Read + Send>));
    let stdout = collect(child.stdout.take().map(|from| Box::new(from) as Box<dyn Read + Send>));
    let mut polls_left = time_max.as_millis() / POLL_INTERVAL.as_millis();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break Some(status);
        }
        if polls_left == 0 {
            child.kill().map_err(failed)?;
            child.wait().map_err(failed)?;
            break None;
        }
        polls_left -= 1;
        thread::sleep(POLL_INTERVAL);
    };
    let mut output = stderr.join().unwrap_or_default() + &stdout.join().unwrap_or_default();
    if status.is_none() {
        output.push_str("it does not come to an end");
    }
    Ok(Ended { is_good: status.is_some_and(|status| status.success()), output })
}
