//! `watch-load`: puts watches on a node of Kvorum or etcd and prints one JSON object.

use std::process::ExitCode;

use benches::error::BenchError;
use benches::watch_load::{Server, WatchLoad, fan_out, idle};
use clap::Parser;

/// Watches one key many times over and writes it, or, with --idle, only watches many keys
#[derive(Debug, Parser)]
#[command(name = "watch-load", version)]
struct Arguments {
    /// Whose node it is
    #[arg(long, value_enum, default_value = "kvorum")]
    server: Server,
    /// The node
    #[arg(long, value_name = "HOST:PORT")]
    endpoint: String,
    /// Connections over which the watches are dealt out
    #[arg(long, value_name = "N", default_value = "100",
          value_parser = clap::value_parser!(u64).range(1..=10_000))]
    connections: u64,
    /// Watches
    #[arg(long, value_name = "N", default_value = "1000")]
    watches: u64,
    /// Puts of the key
    #[arg(long, value_name = "N", default_value = "2000")]
    puts: u64,
    /// Puts that are not answered yet
    #[arg(long, value_name = "N", default_value = "10")]
    in_flight: u64,
    /// The length of a value
    #[arg(long, value_name = "BYTES", default_value = "256")]
    value_size: usize,
    /// The node's process, for its CPU time and memory
    #[arg(long)]
    pid: Option<u32>,
    /// Watches of different keys, none of which is written: what does one cost?
    #[arg(long, conflicts_with = "server")]
    idle: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let load = WatchLoad {
        server: arguments.server,
        endpoint: arguments.endpoint,
        connections: arguments.connections,
        watches: arguments.watches,
        puts: arguments.puts,
        in_flight: arguments.in_flight,
        value_size: arguments.value_size,
        pid: arguments.pid,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime
        .map_err(BenchError::io("the program's threads"))
        .and_then(|runtime| runtime.block_on(run(&load, arguments.idle)));
    match result {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(load: &WatchLoad, is_idle: bool) -> Result<String, BenchError> {
    let text = if is_idle {
        let load = WatchLoad { connections: load.connections.max(2), ..load.clone() };
        serde_json::to_string(&idle(&load).await?)
    } else {
        serde_json::to_string(&fan_out(load).await?)
    };
    Ok(text.expect("plain data has a JSON form"))
}
