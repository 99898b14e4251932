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
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::error::StartError;

/// How long a door rests when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The doors, on a thread of their own that ends when this is dropped.
#[derive(Debug)]
pub(super) struct Doors {
    addresses: BTreeMap<NodeId, String>,
    orders: Option<mpsc::UnboundedSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

/// A door to one node.
#[derive(Debug)]
pub(super) struct Door {
    /// Where clients knock.
    pub(super) listener: BoundListener,
    /// How the node is reached, and under which name.
    pub(super) transport: Transport,
    pub(super) name: String,
}

#[derive(Debug)]
enum Order {
    Open(NodeId, Door),
    Close(NodeId),
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
        let (orders, to_do) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let thread = std::thread::Builder::new()
            .name("doors".into())
            .spawn(move || runtime.block_on(obey(to_do)))
            .map_err(StartError::Thread)?;
        let (orders, thread) = (Some(orders), Some(thread));
        let mut doors = Self { addresses: BTreeMap::new(), orders, thread };
        for (id, listener) in bound {
            let (transport, name) = (transport.clone(), nodes[&id].clone());
            doors.add(id, Door { listener, transport, name })?;
        }
        Ok(doors)
    }

    /// Opens one more door.
    ///
    /// Errors: `StartError` if the system does not say where the socket is.
    pub(super) fn add(&mut self, id: NodeId, door: Door) -> Result<(), StartError> {
        let failed = |source| super::listen_error("loopback", source);
        door.listener.set_nonblocking(true).map_err(failed)?;
        let address = door.listener.local_addr().map_err(failed)?.to_string();
        self.addresses.insert(id, address);
        self.order(Order::Open(id, door));
        Ok(())
    }

    /// Closes the door to a node that is gone for ever.
    pub(super) fn close(&mut self, id: NodeId) {
        self.addresses.remove(&id);
        self.order(Order::Close(id));
    }

    fn order(&self, order: Order) {
        let orders = self.orders.as_ref().expect("taken away when this is dropped");
        // The thread ends after this is gone only.
        let _ = orders.send(order);
    }

    /// Where each node is reached.
    pub(super) fn addresses(&self) -> &BTreeMap<NodeId, String> {
        &self.addresses
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

/// Keeps the doors that it is told to open, until nobody gives orders any more.
async fn obey(mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut open = BTreeMap::new();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Open(id, door) => {
                let mut tasks = JoinSet::new();
                tasks.spawn(serve(door));
                open.insert(id, tasks);
            }
            Order::Close(id) => drop(open.remove(&id)),
        }
    }
}

async fn serve(Door { listener, transport, name }: Door) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let mut clients = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                clients.spawn(carry(client, transport.clone(), name.clone()));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
        // Those that are done.
        while clients.try_join_next().is_some() {}
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
