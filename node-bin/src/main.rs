//! The program `kvorum`: a node, or a whole cluster to play with.

fn main() -> std::process::ExitCode {
    kvorum_node::cli::main()
}
