//! SIGTERM and Ctrl-C, for all the life of the program.
//!
//! Who has asked for a signal once gets none of the system's own treatment again, so one thread
//! waits for all of them: while a node runs it says so, and ends the program otherwise.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// What ends a node.
#[derive(Debug)]
pub(super) struct StopSignal {
    signals: Receiver<()>,
    has_come: bool,
    /// Whether there is a node that has to be stopped first.
    has_node: Arc<AtomicBool>,
}

impl StopSignal {
    /// Waits for signals from now on.
    ///
    /// Errors: those of the system.
    pub(super) fn watch() -> io::Result<Self> {
        let (came, signals) = mpsc::channel();
        let has_node = Arc::new(AtomicBool::new(false));
        let stops_at_once = has_node.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        drop(inside);
        let wait = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            });
            if !stops_at_once.load(Ordering::SeqCst) {
                std::process::exit(0);
            }
            // Whoever does not listen any more is ending.
            let _ = came.send(());
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
        Ok(Self { signals, has_come: false, has_node })
    }

    /// Says whether there is a node that has to be stopped before the program ends.
    pub(super) fn waits_for_a_node(&self, is_there: bool) {
        self.has_node.store(is_there, Ordering::SeqCst);
    }

    /// Waits for a signal so long; whether there was one.
    pub(super) fn comes_within(&mut self, time: Duration) -> bool {
        let arrived = self.signals.recv_timeout(time);
        self.has_come |= arrived != Err(RecvTimeoutError::Timeout);
        self.has_come
    }

    /// Whether there was one.
    pub(super) fn has_come(&mut self) -> bool {
        self.has_come || self.comes_within(Duration::ZERO)
    }
}
