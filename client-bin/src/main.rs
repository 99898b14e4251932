//! The program `kvctl`.

fn main() -> std::process::ExitCode {
    kvorum_client::cli::main()
}
