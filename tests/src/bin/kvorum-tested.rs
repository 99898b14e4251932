//! The program `kvorum`, as `node-bin` builds it.

fn main() -> std::process::ExitCode {
    kvorum_node::cli::main()
}
