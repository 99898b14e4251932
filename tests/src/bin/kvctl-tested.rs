//! The program `kvctl`, as `client-bin` builds it.

fn main() -> std::process::ExitCode {
    kvorum_client::cli::main()
}
