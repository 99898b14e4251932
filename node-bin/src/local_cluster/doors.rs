//! Doors for clients of a cluster whose nodes reach each other through memory: a port on loopback
//! for each node, behind which bytes are carried to it and back.

use std::collections::BTreeMap;
use std::net::TcpListener as BoundListener;
use std::thread::JoinHandle;
use std::time::Duration;

use raft_core::types::NodeId;
use raft_net::stream::{Transport, prepare};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::error::StartError;

/// How long a door rests when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The doors, on a thread of their own that ends when this is dropped.
#[derive(Debug)]
pub(super) struct Doors {
    addresses: BTreeMap<NodeId, String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Doors {
    /// Opens a door on each of these sockets to the node of that name.
    ///
    /// Errors: `StartError` if a socket or a thread is not to be had.
    pub(super) fn open(
        bound: BTreeMap<NodeId, BoundListener>,
        nodes: &BTreeMap<NodeId, String>,
        transport: &Transport,
    ) -> Result<Self, StartError> {
        let (mut addresses, mut doors) = (BTreeMap::new(), Vec::new());
        for (id, listener) in bound {
            let failed = |source| super::listen_error("loopback", source);
            addresses.insert(id, listener.local_addr().map_err(failed)?.to_string());
            listener.set_nonblocking(true).map_err(failed)?;
            doors.push((listener, transport.clone(), nodes[&id].clone()));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("doors".into())
            .spawn(move || {
                runtime.block_on(async {
                    for (listener, transport, name) in doors {
                        tokio::spawn(serve(listener, transport, name));
                    }
                    // Also an owner that is gone wants the doors closed.
                    let _ = stopped.await;
                });
            })
            .map_err(StartError::Thread)?;
        Ok(Self { addresses, stop: Some(stop), thread: Some(thread) })
    }

    /// Where each node is reached.
    pub(super) fn addresses(&self) -> &BTreeMap<NodeId, String> {
        &self.addresses
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

async fn serve(listener: BoundListener, transport: Transport, name: String) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                tokio::spawn(carry(client, transport.clone(), name.clone()));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Carries bytes between a client and a node until either is gone. One whose node is dead is
/// closed, as the system would do it.
async fn carry(mut client: TcpStream, transport: Transport, name: String) {
    if prepare(&client).is_ok()
        && let Ok(mut node) = transport.connect(&name).await
    {
        // Both ends notice by themselves how it ended.
        let _ = copy_bidirectional(&mut client, &mut *node).await;
    }
}
