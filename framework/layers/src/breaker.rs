//! A circuit breaker: a receiver that keeps failing is left alone for a while.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mycelia::Message;
use mycelia::error::{AskError, SendError};
use mycelia::time::{Clock, Stamp};

use crate::layer::{Layer, Next, Outcome};

/// Refuses messages at once while the receiver keeps failing.
///
/// It is *closed* at first, and lets all pass. After so many failures in a row it *opens*, and refuses. When it has
/// been open for its time it is *half open*: one message passes as a trial. If that succeeds it closes, else it opens
/// again. A send that ends after its breaker has changed since it began changes nothing.
///
/// A failure is a panic, a missed deadline, a message that was accepted and ended without a reply, and a full or closed
/// mailbox. An error that a handler returns is the message's alone, and counts as a success, unless
/// [`on_error`](Self::on_error) says otherwise. Paths that lead nowhere, and what other layers refuse, count as
/// neither.
///
/// # Examples
/// ```
/// # use mycelia::prelude::*;
/// # use std::time::Duration;
/// # #[derive(Message)] struct Ping;
/// # async fn example(system: &System) -> anyhow::Result<()> {
/// use mycelia_layers::{CircuitBreaker, RouteExt};
/// use std::sync::Arc;
///
/// let breaker = Arc::new(CircuitBreaker::new().failures(3).open_for(Duration::from_secs(10)));
/// let api = system.route::<Ping>("api://ping")?.layer(breaker.clone());
/// api.tell(Ping).await?;
/// println!("{:?}", breaker.state());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct CircuitBreaker {
    failures: u32,
    open_for: Duration,
    on_error: bool,
    inner: Mutex<Inner>,
}

/// The condition of a [`CircuitBreaker`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CircuitState {
    /// Messages pass.
    Closed,
    /// Messages are refused, or, when it has been open long enough, the next one is a trial.
    Open,
    /// A trial is under way; all others are refused.
    HalfOpen,
}

#[derive(Debug)]
struct Inner {
    condition: Condition,
    /// How often the condition has changed: a permit of another condition is out of date.
    changes: u64,
}

#[derive(Debug, Clone, Copy)]
enum Condition {
    Closed { failures: u32 },
    Open { since: Option<Stamp> },
    HalfOpen,
}

/// How a message that passed has ended.
#[derive(Clone, Copy)]
enum Ended {
    Success,
    Failure(Stamp),
    /// It says nothing of the receiver.
    Unknown,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self::new()
    }
}

impl CircuitBreaker {
    /// A closed breaker that opens after 5 failures in a row, for 5 seconds.
    pub fn new() -> Self {
        CircuitBreaker {
            failures: 5,
            open_for: Duration::from_secs(5),
            on_error: false,
            inner: Mutex::new(Inner {
                condition: Condition::Closed { failures: 0 },
                changes: 0,
            }),
        }
    }

    /// After how many failures in a row it opens; 0 counts as 1. Default: 5.
    #[must_use]
    pub fn failures(mut self, in_a_row: u32) -> Self {
        self.failures = in_a_row.max(1);
        self
    }

    /// How long it refuses before it lets a trial pass. Default: 5 seconds.
    #[must_use]
    pub fn open_for(mut self, interval: Duration) -> Self {
        self.open_for = interval;
        self
    }

    /// Whether an error that a handler returns counts as a failure. Default: it does not.
    #[must_use]
    pub fn on_error(mut self, counts: bool) -> Self {
        self.on_error = counts;
        self
    }

    /// Its condition now.
    pub fn state(&self) -> CircuitState {
        match self.lock().condition {
            Condition::Closed { .. } => CircuitState::Closed,
            Condition::Open { .. } => CircuitState::Open,
            Condition::HalfOpen => CircuitState::HalfOpen,
        }
    }

    /// No code of others runs under the lock, and each change is one assignment: a poisoned lock is as good.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A permit for one message, or how long there is none.
    fn enter(&self, clock: &Clock) -> Result<Permit<'_>, Duration> {
        let now = clock.now();
        let mut inner = self.lock();
        match inner.condition {
            Condition::Closed { .. } => {}
            // How long a trial takes is not known.
            Condition::HalfOpen => return Err(self.open_for),
            Condition::Open { since } => {
                if let Some(since) = since {
                    let gone = Duration::from_nanos(clock.between_ns(since, now));
                    let left = self.open_for.saturating_sub(gone);
                    if !left.is_zero() {
                        return Err(left);
                    }
                }
                inner.turn(Condition::HalfOpen);
            }
        }
        Ok(Permit {
            breaker: self,
            changes: inner.changes,
            ended: Ended::Unknown,
        })
    }

    fn leave(&self, changes: u64, ended: Ended) {
        let mut inner = self.lock();
        if inner.changes != changes {
            return;
        }
        let next = match (inner.condition, ended) {
            (Condition::Closed { failures }, Ended::Failure(now)) => {
                let failures = failures.saturating_add(1);
                match failures >= self.failures {
                    true => Condition::Open { since: Some(now) },
                    false => {
                        inner.condition = Condition::Closed { failures };
                        return;
                    }
                }
            }
            (Condition::Closed { .. }, Ended::Success) => {
                inner.condition = Condition::Closed { failures: 0 };
                return;
            }
            (Condition::HalfOpen, Ended::Success) => Condition::Closed { failures: 0 },
            (Condition::HalfOpen, Ended::Failure(now)) => Condition::Open { since: Some(now) },
            // The trial was given up, or did not reach the receiver: the next message is one.
            (Condition::HalfOpen, Ended::Unknown) => Condition::Open { since: None },
            (Condition::Closed { .. }, Ended::Unknown) | (Condition::Open { .. }, _) => return,
        };
        inner.turn(next);
    }

    fn judge<M: Message>(&self, outcome: &Outcome<M>, clock: &Clock) -> Ended {
        let failed = match outcome {
            Ok(_) => false,
            Err(AskError::Failed(_)) => self.on_error,
            Err(AskError::Undelivered(undelivered)) => match undelivered.reason() {
                SendError::Full { .. } | SendError::Closed { .. } => true,
                _ => return Ended::Unknown,
            },
            // Where the wait itself was at fault.
            Err(AskError::WaitCycle { .. }) => return Ended::Unknown,
            Err(_) => true,
        };
        match failed {
            true => Ended::Failure(clock.now()),
            false => Ended::Success,
        }
    }
}

impl Inner {
    fn turn(&mut self, condition: Condition) {
        self.condition = condition;
        self.changes += 1;
    }
}

/// Lets one message pass. Dropped before that has ended, the message says nothing of the receiver.
struct Permit<'b> {
    breaker: &'b CircuitBreaker,
    changes: u64,
    ended: Ended,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.breaker.leave(self.changes, self.ended);
    }
}

impl<M: Message> Layer<M> for CircuitBreaker {
    async fn call(&self, message: M, next: Next<'_, M>) -> Outcome<M> {
        let mut permit = match self.enter(next.clock()) {
            Ok(permit) => permit,
            Err(retry_after) => return next.refuse(message, retry_after),
        };
        let outcome = next.run(message).await;
        permit.ended = self.judge(&outcome, next.clock());
        outcome
    }
}
