//! How the end of an actor becomes the end of its node.
//!
//! A panicking actor would otherwise die silently: the runtime catches the panic and the
//! thread goes on (pinned by a test). Every actor owns a guard; in node mode the panic hook
//! has already aborted the process before the guard is reached.

use tokio::sync::mpsc::UnboundedSender;

use crate::node::Control;

/// Reports a Fault to the node if it is dropped by a panic.
#[derive(Debug)]
pub(crate) struct FaultGuard {
    actor: &'static str,
    node: UnboundedSender<Control>,
}

impl FaultGuard {
    /// A guard for the actor of this name.
    pub(crate) fn new(actor: &'static str, node: &UnboundedSender<Control>) -> Self {
        Self { actor, node: node.clone() }
    }
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A node that has ended already needs no second reason.
            let _ = self.node.send(Control::Fault { actor: self.actor });
        }
    }
}
