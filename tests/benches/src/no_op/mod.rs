//! Servers that answer at once what a store would have had to think about: what a protocol
//! costs, with the libraries and on the one thread that a node has for its sockets.

pub mod etcd;
pub mod resp;

use std::future::Future;
use std::io;

use tokio::net::{TcpListener, TcpStream};

/// Accepts connections for ever, each served by a task on this thread.
///
/// Errors: if nothing can be accepted any more.
async fn accept<F: Future<Output = ()> + 'static>(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> F,
) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::task::spawn_local(serve(stream));
    }
}
