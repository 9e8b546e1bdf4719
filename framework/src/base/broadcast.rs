//! A broadcast channel that can be closed. It does nothing while it has no receiver.

use tokio::sync::broadcast::{Receiver, Sender};

use crate::base::sync::{Mutex, lock};

/// Sends values to any number of receivers, until it is closed.
#[derive(Debug)]
pub(crate) struct Broadcast<T>(Mutex<Option<Sender<T>>>);

impl<T: Clone> Broadcast<T> {
    /// A receiver buffers at most `capacity` values; the oldest are dropped beyond that.
    pub(crate) fn new(capacity: usize) -> Self {
        Broadcast(Mutex::new(Some(Sender::new(capacity))))
    }

    /// True if there is a receiver.
    pub(crate) fn are_heard(&self) -> bool {
        let sender = lock(&self.0);
        sender
            .as_ref()
            .is_some_and(|sender| sender.receiver_count() > 0)
    }

    /// Sends a value to every receiver.
    pub(crate) fn tell(&self, value: T) {
        // Not under the lock: sending wakes the receivers.
        let sender = lock(&self.0).clone();
        if let Some(sender) = sender {
            // The last receiver may have gone: that is no error.
            let _ = sender.send(value);
        }
    }

    /// Returns a receiver of the values sent from now on.
    pub(crate) fn listen(&self) -> Receiver<T> {
        match &*lock(&self.0) {
            Some(sender) => sender.subscribe(),
            // Closed: this receiver is closed too.
            None => Sender::new(1).subscribe(),
        }
    }

    /// Closes the channel. Receivers still get the values that they have buffered.
    pub(crate) fn close(&self) {
        let sender = lock(&self.0).take();
        drop(sender);
    }
}
