//! Streams: what is published on a topic, for code outside of subsystems.

use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::mpsc;

use super::Topics;
use crate::base::sync::{AtomicU64, Ordering};
use crate::base::user_code::shielded;
use crate::send::Failed;
use crate::words::error::{Room, SendError};
use crate::words::message::Message;

/// Where copies for a stream go in.
pub(super) struct Inlet<M> {
    /// Weak: what threads remember of the table does not keep a stream from its end.
    sender: mpsc::WeakSender<M>,
    missed: Arc<AtomicU64>,
    /// The pattern.
    topic: Arc<str>,
}

impl<M: Message> Inlet<M> {
    /// Puts a copy in, if there is room.
    pub(super) fn put(&self, copy: &mut Option<M>) -> Result<(), Failed> {
        let Some(message) = copy.take() else {
            panic!("a future of a publish was polled after it had ended");
        };
        let sent = match self.sender.upgrade() {
            Some(sender) => sender.try_send(message),
            None => Err(mpsc::error::TrySendError::Closed(message)),
        };
        let Err(refused) = sent else {
            return Ok(());
        };
        let subsystem = self.topic.clone();
        let reason = match &refused {
            mpsc::error::TrySendError::Closed(_) => SendError::Closed { subsystem },
            mpsc::error::TrySendError::Full(_) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                let room = Room::Mailbox;
                SendError::Full { subsystem, room }
            }
        };
        *copy = Some(refused.into_inner());
        Err(Failed::refused(reason))
    }
}

/// What is published on a topic from some moment on, for code outside of subsystems; made by
/// [`System::subscribe`](crate::System::subscribe). Dropped, it has unsubscribed.
///
/// It never makes a publisher wait: what comes while it is full is missed, and counted.
pub struct TopicStream<M> {
    receiver: mpsc::Receiver<M>,
    missed: Arc<AtomicU64>,
    topics: Weak<Topics>,
    owner: u64,
}

impl<M> std::fmt::Debug for TopicStream<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicStream")
            .field("waiting", &self.receiver.len())
            .field("missed", &self.missed())
            .finish_non_exhaustive()
    }
}

impl<M> TopicStream<M> {
    /// The next message; `None` when the system is gone.
    ///
    /// # Cancel safety
    /// Dropped before its end, it has taken nothing.
    pub async fn next(&mut self) -> Option<M> {
        shielded(self.receiver.recv()).await
    }

    /// The next message, if there is one now.
    pub fn try_next(&mut self) -> Option<M> {
        self.receiver.try_recv().ok()
    }

    /// How many came while it was full, and are lost to it.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl<M> Stream for TopicStream<M> {
    type Item = M;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<M>> {
        // Publishers wake it: its waker is the user's.
        pin!(shielded(self.get_mut().receiver.recv())).poll(cx)
    }
}

impl<M> Drop for TopicStream<M> {
    fn drop(&mut self) {
        if let Some(topics) = self.topics.upgrade() {
            topics.ended(self.owner);
        }
    }
}

/// A stream, where it is filled, and what keeps it from its end.
pub(super) fn stream<M>(
    topics: &Arc<Topics>,
    owner: u64,
    topic: &str,
    capacity: usize,
) -> (Inlet<M>, mpsc::Sender<M>, TopicStream<M>) {
    let (sender, receiver) = mpsc::channel(capacity);
    let missed = Arc::new(AtomicU64::new(0));
    let inlet = Inlet {
        sender: sender.downgrade(),
        missed: missed.clone(),
        topic: topic.into(),
    };
    let stream = TopicStream {
        receiver,
        missed,
        topics: Arc::downgrade(topics),
        owner,
    };
    (inlet, sender, stream)
}
