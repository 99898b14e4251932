//! `no-op`: a server that speaks a protocol and has no store.

use std::process::ExitCode;

use benches::error::BenchError;
use benches::no_op::{etcd, resp};
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

/// Answers puts and gets at once, on one thread: what the protocol alone costs.
#[derive(Debug, Parser)]
#[command(name = "no-op", version)]
struct Arguments {
    /// What it speaks
    #[arg(long, value_enum)]
    protocol: Speaks,
    /// Where it listens
    #[arg(long, value_name = "HOST:PORT")]
    listen: String,
    /// The length of the value that every get finds
    #[arg(long, value_name = "BYTES", default_value = "256")]
    value_size: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Speaks {
    Etcd,
    Resp,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| LocalSet::new().block_on(&runtime, serve(&arguments)));
    match result.map_err(BenchError::io(&arguments.listen)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: &Arguments) -> std::io::Result<()> {
    let listener = TcpListener::bind(&arguments.listen).await?;
    let value = Bytes::from(vec![b'v'; arguments.value_size]);
    match arguments.protocol {
        Speaks::Etcd => etcd::serve(listener, value).await,
        Speaks::Resp => resp::serve(listener, value).await,
    }
}
