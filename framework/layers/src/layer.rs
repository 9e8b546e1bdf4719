//! What a layer is, and what comes after it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mycelia::Message;
use mycelia::error::{AskError, SendError, Undelivered};
use mycelia::time::{Clock, Stamp};

/// How a message's way through the layers ends: with the reply if it was asked, with `None` if it was told and
/// accepted, or with an error.
pub type Outcome<M> = Result<Option<<M as Message>::Reply>, AskError<M>>;

/// What stands between a sender and a route.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
/// use mycelia_layers::{Layer, Next, Outcome, RouteExt};
/// use std::time::Duration;
///
/// /// Lets only even numbers pass.
/// struct Even;
///
/// #[derive(Message)]
/// #[message(reply = u64)]
/// struct Halve(u64);
///
/// impl Layer<Halve> for Even {
///     async fn call(&self, message: Halve, next: Next<'_, Halve>) -> Outcome<Halve> {
///         match message.0 % 2 {
///             0 => next.run(message).await,
///             _ => next.refuse(message, Duration::MAX),
///         }
///     }
/// }
///
/// # #[derive(Subsystem, Default)] struct Math;
/// # #[routes] impl Math { #[route("halve")] fn halve(&mut self, Halve(n): Halve) -> u64 { n / 2 } }
/// # #[mycelia::main]
/// # async fn main() -> anyhow::Result<()> {
/// # let system = System::builder().start().await?;
/// # system.mount(Math::default).await?;
/// let halve = system.route::<Halve>("math://halve")?.layer(Even);
/// assert_eq!(halve.ask(Halve(8)).await?, 4);
/// let refused = halve.ask(Halve(9)).await.unwrap_err();
/// assert!(refused.to_string().contains("`Even` refused it"));
/// # system.stop().await?;
/// # Ok(()) }
/// ```
pub trait Layer<M: Message>: Send + Sync + 'static {
    /// Does what is to be done with a message: passes it on with [`Next::run`], once, several times or not at all, or
    /// refuses it with [`Next::refuse`].
    ///
    /// If the sender gives up, the future is dropped at its next `await`.
    fn call(&self, message: M, next: Next<'_, M>) -> impl Future<Output = Outcome<M>> + Send;
}

/// Several handles share one layer, and so its limit or its state.
impl<M: Message, L: Layer<M>> Layer<M> for Arc<L> {
    fn call(&self, message: M, next: Next<'_, M>) -> impl Future<Output = Outcome<M>> + Send {
        (**self).call(message, next)
    }
}

/// A future whose type is not named.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A layer whose type is not named.
pub(crate) trait AnyLayer<M: Message>: Send + Sync {
    fn call_boxed<'a>(&'a self, message: M, next: Next<'a, M>) -> Boxed<'a, Outcome<M>>;
}

impl<M: Message, L: Layer<M>> AnyLayer<M> for L {
    fn call_boxed<'a>(&'a self, message: M, next: Next<'a, M>) -> Boxed<'a, Outcome<M>> {
        Box::pin(self.call(message, next))
    }
}

/// A layer of a handle, with its counts.
pub(crate) struct Entry<M> {
    pub(crate) name: &'static str,
    pub(crate) layer: Box<dyn AnyLayer<M>>,
    pub(crate) calls: AtomicU64,
    pub(crate) passed: AtomicU64,
    pub(crate) refused: AtomicU64,
}

/// What comes after the last layer: a handle.
pub(crate) trait Target<M: Message>: Sync {
    fn send(&self, message: M, verb: Verb, deadline: Option<Duration>) -> Boxed<'_, Outcome<M>>;
    fn subsystem(&self) -> Arc<str>;
    fn clock(&self) -> &Clock;
}

/// How a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verb {
    /// It waits while there is no room.
    Tell,
    /// It does not wait for room.
    TryTell,
    /// It waits for the reply.
    Ask,
}

/// When the whole send must have ended.
#[derive(Clone, Copy)]
struct End {
    begun: Stamp,
    after: Duration,
}

/// What comes after a layer: the layers further in, and then the route.
pub struct Next<'a, M> {
    target: &'a dyn Target<M>,
    /// The layer that has it, then those further in. None is left where the route comes next.
    layers: &'a [Arc<Entry<M>>],
    verb: Verb,
    end: Option<End>,
}

impl<M> Clone for Next<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Next<'_, M> {}

impl<'a, M: Message> Next<'a, M> {
    /// Sends a message through layers to a target.
    pub(crate) fn begin(
        target: &'a dyn Target<M>,
        layers: &'a [Arc<Entry<M>>],
        verb: Verb,
        deadline: Option<Duration>,
        message: M,
    ) -> Boxed<'a, Outcome<M>> {
        let next = Next {
            target,
            layers,
            verb,
            end: None,
        };
        let next = match deadline {
            None => next,
            Some(deadline) => next.within(deadline),
        };
        next.enter(message)
    }

    fn enter(self, message: M) -> Boxed<'a, Outcome<M>> {
        match self.layers.first() {
            None => self.target.send(message, self.verb, self.remaining()),
            Some(entry) => {
                entry.calls.fetch_add(1, Ordering::Relaxed);
                entry.layer.call_boxed(message, self)
            }
        }
    }

    /// Passes the message on. A layer may do so again, with the same message or another.
    ///
    /// # Errors
    /// What the route says, or a layer before it.
    pub async fn run(&self, message: M) -> Outcome<M> {
        if let Some(entry) = self.layers.first() {
            entry.passed.fetch_add(1, Ordering::Relaxed);
        }
        let inner = Next {
            layers: self.layers.get(1..).unwrap_or_default(),
            ..*self
        };
        inner.enter(message).await
    }

    /// Refuses the message: the outcome for a layer that does not pass it on. Its sender may try again after
    /// that long; never, if that is `Duration::MAX`.
    pub fn refuse(&self, message: M, retry_after: Duration) -> Outcome<M> {
        let mut by = "layer";
        if let Some(entry) = self.layers.first() {
            entry.refused.fetch_add(1, Ordering::Relaxed);
            by = entry.name;
        }
        let reason = SendError::Refused {
            subsystem: self.target.subsystem(),
            by,
            retry_after,
        };
        Err(Undelivered::new(reason, message).into())
    }

    /// The same with a deadline, counted from now, for all that comes after it: layers, room, and the reply. The
    /// sooner of two holds.
    #[must_use]
    pub fn within(self, deadline: Duration) -> Self {
        match self.remaining() {
            Some(remaining) if remaining <= deadline => self,
            _ => {
                let (begun, after) = (self.clock().now(), deadline);
                let end = Some(End { begun, after });
                Next { end, ..self }
            }
        }
    }

    /// How long until the deadline; `None` if this send has none of its own. An ask has the system's default then.
    pub fn remaining(&self) -> Option<Duration> {
        let End { begun, after } = self.end?;
        let clock = self.clock();
        let gone = Duration::from_nanos(clock.between_ns(begun, clock.now()));
        Some(after.saturating_sub(gone))
    }

    /// How the message is sent.
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// The name of the subsystem that it is for.
    pub fn subsystem(&self) -> Arc<str> {
        self.target.subsystem()
    }

    /// The clock of the system.
    pub fn clock(&self) -> &'a Clock {
        self.target.clock()
    }
}
