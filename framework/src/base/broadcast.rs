//! Broadcast: what is told to all who listen, and nothing when no one does.

use tokio::sync::broadcast::{Receiver, Sender};

use crate::base::sync::{Mutex, lock};

/// Tells values to any number of listeners, until it is closed.
#[derive(Debug)]
pub(crate) struct Broadcast<T>(Mutex<Option<Sender<T>>>);

impl<T: Clone> Broadcast<T> {
    /// For each listener at most `capacity` values wait.
    pub(crate) fn new(capacity: usize) -> Self {
        Broadcast(Mutex::new(Some(Sender::new(capacity))))
    }

    /// True if somebody listens.
    pub(crate) fn are_heard(&self) -> bool {
        let sender = lock(&self.0);
        sender
            .as_ref()
            .is_some_and(|sender| sender.receiver_count() > 0)
    }

    /// Tells a value.
    pub(crate) fn tell(&self, value: T) {
        // Not under the lock: it wakes those who listen.
        let sender = lock(&self.0).clone();
        if let Some(sender) = sender {
            // No one may be left to hear it: no matter.
            let _ = sender.send(value);
        }
    }

    /// Listens from now on.
    pub(crate) fn listen(&self) -> Receiver<T> {
        match &*lock(&self.0) {
            Some(sender) => sender.subscribe(),
            // It is closed, and so is this.
            None => Sender::new(1).subscribe(),
        }
    }

    /// Nothing more is told: those who listen learn that, after what waits for them.
    pub(crate) fn close(&self) {
        let sender = lock(&self.0).take();
        drop(sender);
    }
}
