//! Events: what happens to subsystems, for anyone who watches them.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::broadcast;

use crate::base::broadcast::Broadcast;
use crate::base::feed::Feed;
use crate::base::user_code::shielded;
use crate::words::message::Message;
use crate::words::stuck::Stuck;
use crate::words::supervision::Failure;

/// The most events that wait for a slow watcher.
const STREAM: usize = 1024;

/// Something that happened to a subsystem.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The subsystem.
    pub subsystem: Arc<str>,
    /// What happened.
    pub change: Change,
}

/// Published on `mycelia://lifecycle/{*subsystem}`.
#[diagnostic::do_not_recommend]
impl Message for Event {
    type Reply = ();
}

/// What happened to a subsystem.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It was mounted, and handles messages from now on.
    Started,
    /// It failed; what follows is its restart or its end.
    Failed(Failure),
    /// It was restarted by its factory, and handles messages again.
    Restarted,
    /// Its handler has not returned for long: see [`stuck_after`](crate::Builder::stuck_after). It is told once for
    /// each such handler.
    Stuck(Stuck),
    /// The handler that was told to be stuck is no longer under way: it has returned, or was cut off or given up.
    Returned,
    /// It has ended for good.
    Ended(EndReason),
}

/// Why a subsystem has ended for good.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// It was unmounted, or its parent ended.
    Unmounted,
    /// It stopped itself.
    Stopped,
    /// It failed, and its policy does not restart it.
    Failed(Failure),
    /// It failed too often; its parent, or the system, failed in its place.
    Escalated(Failure),
    /// The system stopped.
    SystemStopped,
}

/// Where events are told.
#[derive(Debug)]
pub(crate) struct Events {
    stream: Broadcast<Event>,
    /// To those who subscribe to them.
    feed: Feed<Event>,
}

impl Events {
    pub(crate) fn new() -> Self {
        Events {
            stream: Broadcast::new(STREAM),
            feed: Feed::new(),
        }
    }

    /// True if something may be watching.
    pub(crate) fn are_watched(&self) -> bool {
        self.stream.are_heard() || self.feed.is_wanted()
    }

    pub(crate) fn tell(&self, subsystem: &Arc<str>, change: Change) {
        if self.are_watched() {
            let event = Event {
                subsystem: subsystem.clone(),
                change,
            };
            self.feed.tell(&event);
            self.stream.tell(event);
        }
    }

    /// Has events passed on while that is wanted.
    pub(crate) fn lead_to(
        &self,
        wanted: Arc<AtomicBool>,
        outlet: Box<dyn Fn(&Event) + Send + Sync>,
    ) {
        self.feed.lead_to(wanted, outlet);
    }

    pub(crate) fn watch(&self, name: Option<Box<str>>) -> Watch {
        Watch {
            events: self.stream.listen(),
            name,
            missed: 0,
        }
    }

    /// The system is gone.
    pub(crate) fn close(&self) {
        self.stream.close();
    }
}

/// The events of a subsystem, or of all, from some moment on; made by
/// [`System::watch`](crate::System::watch).
#[derive(Debug)]
pub struct Watch {
    events: broadcast::Receiver<Event>,
    /// Only this subsystem's.
    name: Option<Box<str>>,
    missed: u64,
}

impl Watch {
    /// The next event; `None` when the system is gone.
    ///
    /// # Cancel safety
    /// Dropped before its end, it has taken nothing that was to be returned.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match shielded(self.events.recv()).await {
                Ok(event) if self.is_watched(&event) => return Some(event),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    self.missed = self.missed.saturating_add(missed)
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// The next event, if there is one now.
    pub fn try_next(&mut self) -> Option<Event> {
        loop {
            match self.events.try_recv() {
                Ok(event) if self.is_watched(&event) => return Some(event),
                Ok(_) => {}
                Err(broadcast::error::TryRecvError::Lagged(missed)) => {
                    self.missed = self.missed.saturating_add(missed)
                }
                Err(_) => return None,
            }
        }
    }

    fn is_watched(&self, event: &Event) -> bool {
        self.name
            .as_ref()
            .is_none_or(|name| *event.subsystem == **name)
    }

    /// How many events, of whatever subsystem, came faster than they were taken, and are lost to this
    /// watcher: 1,024 wait for it at most.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}
