//! Dead letters: messages that were accepted but not handled.
//!
//! Every accepted message that ends unhandled becomes a dead letter, unless its asker receives the reason as an
//! error. The system counts them, keeps the last ones for snapshots, and sends all to a stream. A subscriber that
//! is too slow misses some and learns how many.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::broadcast;

use crate::base::broadcast::Broadcast;
use crate::base::feed::Feed;
use crate::base::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::base::user_code::shielded;
use crate::words::message::Message;
use crate::words::overflow::Overflow;
use crate::words::trace::TraceId;

/// How many dead letters the stream buffers for a slow subscriber.
const STREAM: usize = 1024;

/// A message that was accepted and not handled.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The receiver.
    pub subsystem: Arc<str>,
    /// The route's pattern.
    pub pattern: Arc<str>,
    /// The message's type.
    pub message: &'static str,
    /// How it ended.
    pub reason: DeadReason,
    /// The subsystem that sent it; `None` if it came from outside.
    pub sender: Option<Arc<str>>,
    /// The trace that the message belonged to.
    pub trace: TraceId,
    /// Time from its sending to its end.
    pub age: Duration,
}

/// Why a message was not handled.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadReason {
    /// Its handler returned an error, with this text.
    Failed(Arc<str>),
    /// Its handler panicked, with this text.
    Panicked(Arc<str>),
    /// It was dropped because the mailbox was full.
    Dropped(Overflow),
    /// It was dropped by a fault of the test kit, the crate `mycelia-test`.
    Injected,
    /// Its deadline passed before its handler began.
    Expired,
    /// Its handler was cut off after the time that its route [has](crate::RouteOptions::within).
    CutOff {
        /// That time.
        within: Duration,
    },
    /// It waited in a mailbox that was [cleared](crate::System::clear).
    Cleared,
    /// Its subsystem stopped, or was mounted again with other routes; or a stop cut its handler off.
    Undeliverable,
    /// It was a copy of a published message, and was not accepted; why. It is not in its receiver's account,
    /// but in that of its [topic](crate::observe::TopicLedger).
    Missed(Arc<str>),
    /// Its handler took the [`Reply`](crate::extract::Reply) and dropped it without an answer.
    NoReply,
}

impl DeadLetter {
    /// The path with the route's pattern, `api://users/{id}`; or the pattern of the topic that led there.
    pub fn path(&self) -> String {
        match self.pattern.contains("://") {
            true => (*self.pattern).into(),
            false => format!("{}://{}", self.subsystem, self.pattern),
        }
    }
}

/// Published on `mycelia://dead-letters`.
#[diagnostic::do_not_recommend]
impl Message for DeadLetter {
    type Reply = ();
}

impl fmt::Display for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` to `{}`", self.message, self.path())?;
        if self.pattern.contains("://") {
            write!(f, " for `{}`", self.subsystem)?;
        }
        if let Some(sender) = &self.sender {
            write!(f, " from `{sender}`")?;
        }
        match &self.reason {
            DeadReason::Failed(error) => write!(f, " failed: {error}")?,
            DeadReason::Panicked(text) => write!(f, " panicked: {text}")?,
            DeadReason::Dropped(policy) => {
                write!(f, " was dropped, the mailbox being full ({policy:?})")?;
            }
            DeadReason::Injected => write!(f, " was dropped by a fault set on purpose")?,
            DeadReason::Missed(why) => write!(f, " missed its receiver: {why}")?,
            DeadReason::Expired => write!(f, " was not handled before its deadline")?,
            DeadReason::CutOff { within } => write!(f, " was cut off after {within:?}")?,
            DeadReason::Cleared => write!(f, " was cleared out of the mailbox")?,
            DeadReason::NoReply => write!(f, " was to be answered later, and was not")?,
            DeadReason::Undeliverable => write!(f, " found no handler, its receiver stopped")?,
        }
        write!(f, " (trace {}, sent {:?} before)", self.trace, self.age)
    }
}

/// The dead letters of a system.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    count: AtomicU64,
    last: Mutex<VecDeque<DeadLetter>>,
    keep: usize,
    stream: Broadcast<DeadLetter>,
    /// To those who subscribe to them.
    feed: Feed<DeadLetter>,
}

impl DeadLetters {
    pub(crate) fn new(keep: usize) -> Self {
        DeadLetters {
            count: AtomicU64::new(0),
            last: Mutex::default(),
            keep,
            stream: Broadcast::new(STREAM),
            feed: Feed::new(),
        }
    }

    pub(crate) fn add(&self, letter: DeadLetter) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.keep > 0 {
            let mut last = lock(&self.last);
            if last.len() == self.keep {
                last.pop_front();
            }
            last.push_back(letter.clone());
        }
        self.feed.tell(&letter);
        if self.stream.are_heard() {
            self.stream.tell(letter);
        }
    }

    /// Has dead letters passed on while that is wanted.
    pub(crate) fn lead_to(
        &self,
        wanted: Arc<AtomicBool>,
        outlet: Box<dyn Fn(&DeadLetter) + Send + Sync>,
    ) {
        self.feed.lead_to(wanted, outlet);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The dead letters that were kept, oldest first.
    pub(crate) fn last(&self) -> Vec<DeadLetter> {
        lock(&self.last).iter().cloned().collect()
    }

    pub(crate) fn subscribe(&self) -> DeadLetterStream {
        DeadLetterStream {
            stream: self.stream.listen(),
            missed: 0,
        }
    }

    /// Closes the stream, because the system has ended.
    pub(crate) fn close(&self) {
        self.stream.close();
    }
}

/// A stream of a system's dead letters from its creation on; made by
/// [`System::dead_letters`](crate::System::dead_letters).
#[derive(Debug)]
pub struct DeadLetterStream {
    stream: broadcast::Receiver<DeadLetter>,
    missed: u64,
}

impl DeadLetterStream {
    /// Waits for the next dead letter; `None` when the system has ended.
    ///
    /// # Cancel safety
    /// If the future is dropped, no dead letter is lost.
    pub async fn next(&mut self) -> Option<DeadLetter> {
        loop {
            match shielded(self.stream.recv()).await {
                Ok(letter) => return Some(letter),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    self.missed = self.missed.saturating_add(missed)
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// Returns the next dead letter if there is one now.
    pub fn try_next(&mut self) -> Option<DeadLetter> {
        loop {
            match self.stream.try_recv() {
                Ok(letter) => return Some(letter),
                Err(broadcast::error::TryRecvError::Lagged(missed)) => {
                    self.missed = self.missed.saturating_add(missed)
                }
                Err(_) => return None,
            }
        }
    }

    /// How many dead letters this subscriber has missed because it was too slow. The stream buffers 1,024.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}
