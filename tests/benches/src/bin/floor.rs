//! `floor`: a group-commit echo of three processes without a store, and the load on it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use benches::error::BenchError;
use benches::floor::{follower, leader, load};
use clap::{Args, Parser};

/// What the machine can do at most: replicate and sync bytes in three processes, nothing else.
#[derive(Debug, Parser)]
#[command(name = "floor", version)]
enum Mode {
    /// Runs one of the three nodes; node 1 leads
    Node(NodeArguments),
    /// Puts load on the leader and prints one JSON object
    Load(LoadArguments),
}

#[derive(Debug, Args)]
struct NodeArguments {
    /// Which of the nodes this is, from 1
    #[arg(long, value_name = "N")]
    id: usize,
    /// Where the three nodes listen, the same on all of them
    #[arg(long, value_name = "HOST:PORT,HOST:PORT,HOST:PORT", value_delimiter = ',')]
    nodes: Vec<String>,
    /// Where the node keeps its log of 64 MiB
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
}

#[derive(Debug, Args)]
struct LoadArguments {
    /// Where node 1 listens
    #[arg(long, value_name = "HOST:PORT")]
    leader: String,
    /// Connections
    #[arg(long, value_name = "N", default_value = "100")]
    connections: u64,
    /// Requests without an answer, per connection
    #[arg(long, value_name = "N", default_value = "10")]
    in_flight: usize,
    /// How long is measured
    #[arg(long, value_name = "SECONDS", default_value = "5")]
    seconds: f64,
    /// How long the load runs before it is measured
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    warm_up_seconds: f64,
    /// The nodes' processes, for their CPU time
    #[arg(long, value_name = "PID,...", value_delimiter = ',')]
    pids: Vec<u32>,
}

fn main() -> ExitCode {
    let mode = Mode::parse();
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BenchError::io("the program's thread"))
        .and_then(|runtime| match mode {
            Mode::Node(arguments) => runtime.block_on(node(&arguments)),
            Mode::Load(arguments) => runtime.block_on(run_load(arguments)),
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn node(arguments: &NodeArguments) -> Result<(), BenchError> {
    let [first, second, third] = arguments.nodes.as_slice() else {
        return Err(BenchError::Setting("--nodes must name three addresses".to_owned()));
    };
    let folder = &arguments.dir;
    let result = match arguments.id {
        1 => leader::run(first, &[second.clone(), third.clone()], folder).await,
        2 => follower::run(second, folder).await,
        3 => follower::run(third, folder).await,
        _ => return Err(BenchError::Setting("--id must be 1, 2 or 3".to_owned())),
    };
    result.map_err(BenchError::io(format!("node {}", arguments.id)))
}

async fn run_load(arguments: LoadArguments) -> Result<(), BenchError> {
    let seconds = |text: &str, seconds: f64| {
        Duration::try_from_secs_f64(seconds)
            .map_err(|error| BenchError::Setting(format!("{text} {seconds}: {error}")))
    };
    let load = load::Load {
        warm_up: seconds("--warm-up-seconds", arguments.warm_up_seconds)?,
        measured: seconds("--seconds", arguments.seconds)?,
        leader: arguments.leader,
        connections: arguments.connections,
        in_flight: arguments.in_flight,
        pids: arguments.pids,
    };
    let measurement = load::run(&load).await?;
    println!("{}", serde_json::to_string(&measurement).expect("plain data has a JSON form"));
    Ok(())
}
