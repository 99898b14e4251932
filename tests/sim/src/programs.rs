//! Test programs that are built a second time, in another way and into a folder of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Built programs by name: that of the tests, or of the crate for the tests inside.
pub type Programs = BTreeMap<String, PathBuf>;

/// Builds the tests of `packages` with these flags of the compiler, and returns them with the
/// folder where they were built: one called `name`, beside that of the running program, so that
/// nothing else is built anew because of it.
///
/// Errors: in words, with what the compiler said.
pub fn build(name: &str, packages: &[&str], flags: &str) -> Result<(PathBuf, Programs), String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = own.parent().and_then(Path::parent).ok_or("this program is in no folder")?;
    let folder = folder.join(name);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["test", "--no-run", "--target-dir"])
        .arg(&folder)
        .args(packages.iter().flat_map(|package| ["-p", package]))
        .env("RUSTFLAGS", flags)
        // What runs during the build is built in the same way; nobody looks at its counters.
        .env("LLVM_PROFILE_FILE", folder.join("build.profraw"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .map_err(|error| format!("cargo does not start: {error}"))?;
    let told = String::from_utf8_lossy(&built.stderr);
    if !built.status.success() {
        return Err(format!("the tests cannot be built\n{told}"));
    }
    Ok((folder, told.lines().filter_map(executable).collect()))
}

/// Reads `Executable tests/a.rs (path/to/a-0123)`.
fn executable(line: &str) -> Option<(String, PathBuf)> {
    let (_, path) = line.trim().strip_prefix("Executable ")?.split_once(" (")?;
    let path = PathBuf::from(path.strip_suffix(')')?);
    let (name, _) = path.file_name()?.to_str()?.rsplit_once('-')?;
    Some((name.to_owned(), path))
}
