//! Streams of bytes, whatever carries them, and how a node reaches another.

use std::io;
use std::time::Duration;

use actix::prelude::*;
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;

use crate::switchboard::{Dial, DialReply};

/// A buffer is read into until less than this part of it is left.
const ROOM_PARTS: usize = 8;

/// How long written bytes may stay unacknowledged before the system ends a TCP connection.
///
/// After a silent cut TCP repeats what was lost ever more rarely, so a link that outlives a
/// cut would be as late in coming back as the cut was long; a new connection is not.
pub const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(5);

/// The reading half of a stream.
pub type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;

/// The writing half of a stream.
pub type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;

/// A stream of bytes in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Parts the stream, so that a task can read while an actor writes.
    fn split(self: Box<Self>) -> (ReadHalf, WriteHalf);
}

impl ByteStream for TcpStream {
    fn split(self: Box<Self>) -> (ReadHalf, WriteHalf) {
        let (read, write) = self.into_split();
        (Box::new(read), Box::new(write))
    }
}

impl ByteStream for DuplexStream {
    fn split(self: Box<Self>) -> (ReadHalf, WriteHalf) {
        let (read, write) = tokio::io::split(*self);
        (Box::new(read), Box::new(write))
    }
}

/// How a node reaches the addresses that it is given.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Addresses are `host:port`; a name is resolved again at each attempt.
    Tcp,
    /// Addresses are whatever somebody listens at on this switchboard.
    Memory(Recipient<Dial>),
}

impl Transport {
    /// Opens a stream to `address`. Has no deadline of its own.
    ///
    /// Errors: in the words of the system; the caller may try again later.
    pub async fn connect(&self, address: &str) -> io::Result<Box<dyn ByteStream>> {
        match self {
            Self::Tcp => {
                let stream = TcpStream::connect(address).await?;
                prepare(&stream)?;
                Ok(Box::new(stream))
            }
            Self::Memory(switchboard) => {
                let (reply, answer) = DialReply::new();
                switchboard.do_send(Dial { address: address.to_owned(), reply });
                let stream = answer.await.map_err(|_| io::ErrorKind::ConnectionRefused)??;
                Ok(Box::new(stream))
            }
        }
    }
}

/// Sets on a TCP stream what both of its ends want.
///
/// Errors: in the words of the system, when the connection is gone already.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    // What is written here is a whole turn's output already: waiting for more costs a round
    // trip and saves nothing.
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    {
        use rustix::net::sockopt;

        let millis = u32::try_from(UNACKNOWLEDGED_MAX.as_millis()).expect("seconds fit 32 bits");
        sockopt::set_tcp_user_timeout(stream, millis)?;
        // The end that only reads would never notice that the other machine is gone.
        sockopt::set_socket_keepalive(stream, true)?;
        sockopt::set_tcp_keepidle(stream, UNACKNOWLEDGED_MAX)?;
        sockopt::set_tcp_keepintvl(stream, Duration::from_secs(1))?;
    }
    Ok(())
}

/// Closes our half and lets the other end say the rest: closing with bytes unread would make
/// TCP take back what was written last. Has no deadline of its own.
pub async fn end_gently<S: AsyncRead + AsyncWrite + Unpin + ?Sized>(stream: &mut S) {
    let mut ignored = [0; 1024];
    if stream.shutdown().await.is_ok() {
        while matches!(stream.read(&mut ignored).await, Ok(1..)) {}
    }
}

/// Makes room to read `bytes` if there is hardly any.
///
/// What was read before is still in use when the next read begins, so a buffer that is to be as
/// large each time is a new one each time: rather, each is used to its end.
pub fn make_room(input: &mut BytesMut, bytes: usize) {
    if input.capacity() - input.len() < bytes / ROOM_PARTS {
        input.reserve(bytes);
    }
}
