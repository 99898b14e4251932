//! Programs of others that some tests use.

use std::path::PathBuf;

/// Set, a test that lacks a program fails.
const REQUIRE_TOOLS: &str = "KVORUM_REQUIRE_TOOLS";

/// Where `program` is, for `test`; without it the test says so and is to go on without.
///
/// Panics: if programs are required.
pub(crate) fn find(test: &str, program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&paths).map(|path| path.join(program)).find(|it| it.is_file());
    if found.is_none() {
        assert!(std::env::var_os(REQUIRE_TOOLS).is_none(), "{test} needs {program}");
        println!("skipped: {test}: {program} absent");
    }
    found
}
