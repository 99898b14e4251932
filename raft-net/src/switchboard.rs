//! Switchboard: a network in memory, for clusters that live in one process.
//!
//! Commands: `Listen`, `Dial`.  Facts: `Incoming`, to whoever listens.
//! Limits: each direction of a stream holds `STREAM_BYTES_MAX`; a writer waits when it is full.

use std::collections::BTreeMap;
use std::io;

use actix::prelude::*;
use tokio::io::DuplexStream;
use tokio::sync::oneshot;

use crate::listener::Incoming;
use crate::opens::Opens;

/// How much one direction of a stream in memory holds. Units: bytes.
pub const STREAM_BYTES_MAX: usize = 256 * 1024;

/// Gives an address to a listener; one that had it before loses it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Listen {
    /// Any name, as others will dial it.
    pub address: String,
    /// Who takes the streams.
    pub to: Recipient<Incoming>,
}

/// Opens a stream to whoever listens at an address.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Dial {
    /// The name that was given to `Listen`.
    pub address: String,
    /// Takes the dialling end, or why there is none.
    pub reply: DialReply,
}

/// Where the answer to one `Dial` goes. Dropped unanswered, it refuses.
#[derive(Debug)]
pub struct DialReply(oneshot::Sender<io::Result<DuplexStream>>);

impl DialReply {
    /// A reply and the answer that it will become.
    pub(crate) fn new() -> (Self, oneshot::Receiver<io::Result<DuplexStream>>) {
        let (reply, answer) = oneshot::channel();
        (Self(reply), answer)
    }
}

/// The actor. Holds no streams: both ends are given away.
#[derive(Debug, Default)]
pub struct Switchboard {
    listeners: BTreeMap<String, Recipient<Incoming>>,
}

impl Actor for Switchboard {
    type Context = Context<Self>;
}

impl Handler<Listen> for Switchboard {
    type Result = ();

    fn handle(&mut self, command: Listen, _: &mut Self::Context) {
        self.listeners.insert(command.address, command.to);
    }
}

impl Handler<Dial> for Switchboard {
    type Result = ();

    fn handle(&mut self, command: Dial, _: &mut Self::Context) {
        let Dial { address, reply } = command;
        let listener = self.listeners.get(&address).filter(|listener| listener.connected());
        let answer = match listener {
            Some(listener) => {
                let (ours, theirs) = tokio::io::duplex(STREAM_BYTES_MAX);
                let from = format!("a dialler of {address}");
                let opens = Opens::ALL;
                listener.do_send(Incoming { stream: Box::new(theirs), from, opens });
                Ok(ours)
            }
            None => Err(io::ErrorKind::ConnectionRefused.into()),
        };
        // The dialler may have given up already; then nobody misses the stream.
        let _ = reply.0.send(answer);
    }
}
