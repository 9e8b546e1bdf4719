//! A handle with layers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mycelia::error::AskError;
use mycelia::extract::Captures;
use mycelia::time::Clock;
use mycelia::{Message, Route};

use crate::layer::{Boxed, Entry, Layer, Next, Outcome, Target, Verb};

/// Puts layers before a handle.
pub trait RouteExt<M: Message> {
    /// The handle with a layer before it.
    fn layer(self, layer: impl Layer<M>) -> Layered<M>;
}

impl<M: Message> RouteExt<M> for Route<M> {
    fn layer(self, layer: impl Layer<M>) -> Layered<M> {
        Layered::from(self).layer(layer)
    }
}

/// A handle with layers before it. Its clones share them, with their limits, states and counts.
///
/// A send allocates for each layer once, and once for the handle.
///
/// # Errors
/// All verbs return an [`AskError`], a `tell` too: a layer of your own may end a message in any way. The layers of this
/// crate end a message that is told only as `Undelivered`, and hand it back.
pub struct Layered<M: Message> {
    route: Route<M>,
    layers: Arc<[Arc<Entry<M>>]>,
}

impl<M: Message> Clone for Layered<M> {
    fn clone(&self) -> Self {
        Layered {
            route: self.route.clone(),
            layers: self.layers.clone(),
        }
    }
}

impl<M: Message> fmt::Debug for Layered<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers: Vec<_> = self.layers.iter().map(|entry| entry.name).collect();
        f.debug_struct("Layered")
            .field("route", &self.route)
            .field("layers", &layers)
            .finish()
    }
}

impl<M: Message> From<Route<M>> for Layered<M> {
    fn from(route: Route<M>) -> Self {
        Layered {
            route,
            layers: Arc::new([]),
        }
    }
}

impl<M: Message> Layered<M> {
    /// The same with one more layer, nearest to the route. The layers before it are shared with this handle's clones.
    #[must_use]
    pub fn layer<L: Layer<M>>(self, layer: L) -> Self {
        let entry = Entry {
            name: short_name(std::any::type_name::<L>()),
            layer: Box::new(layer),
            calls: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        };
        let layers = self.layers.iter().cloned().chain([Arc::new(entry)]);
        Layered {
            layers: layers.collect(),
            ..self
        }
    }

    /// The handle without layers.
    pub fn route(&self) -> &Route<M> {
        &self.route
    }

    /// The same route with captures: a number, a text, or a tuple or array of them. They are cloned for each time
    /// that a layer sends the message.
    pub fn at<C: Captures + Clone + Send + Sync>(&self, captures: C) -> LayeredAt<'_, M, C> {
        LayeredAt {
            layered: self,
            captures,
        }
    }

    /// What each layer has done so far, in their order.
    pub fn counts(&self) -> Vec<LayerCounts> {
        let read = |entry: &Arc<Entry<M>>| LayerCounts {
            name: entry.name,
            calls: entry.calls.load(Ordering::Relaxed),
            passed: entry.passed.load(Ordering::Relaxed),
            refused: entry.refused.load(Ordering::Relaxed),
        };
        self.layers.iter().map(read).collect()
    }
}

/// What a layer of a handle has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerCounts {
    /// The name of the layer's type.
    pub name: &'static str,
    /// Messages that came to it.
    pub calls: u64,
    /// How often it passed a message on. For a [`Retry`](crate::Retry) each try counts.
    pub passed: u64,
    /// Messages that it refused itself.
    pub refused: u64,
}

/// A handle with layers, and captures; made by [`Layered::at`].
#[must_use = "it sends nothing before `tell`, `try_tell` or `ask`"]
pub struct LayeredAt<'r, M: Message, C> {
    layered: &'r Layered<M>,
    captures: C,
}

/// Writes the verbs into an `impl` block whose messages are `M`s. `$target` is what comes after the layers of `$layered`.
macro_rules! layered_verbs {
    ($this:ident, $layered:expr, $target:expr) => {
        /// Sends a message; waits while there is no room.
        ///
        /// # Errors
        /// As [`Route::tell`], or a layer refused it.
        pub async fn tell(&$this, message: M) -> Result<(), AskError<M>> {
            let sent = Next::begin($target, &$layered.layers, Verb::Tell, None, message);
            sent.await.map(drop)
        }

        /// Sends a message if there is room. It never waits for room, but a layer may take its time: a
        /// [`Retry`](crate::Retry) pauses, and tries again.
        ///
        /// # Errors
        /// As [`Route::try_tell`], or a layer refused it.
        pub async fn try_tell(&$this, message: M) -> Result<(), AskError<M>> {
            let sent = Next::begin($target, &$layered.layers, Verb::TryTell, None, message);
            sent.await.map(drop)
        }

        /// Sends a message; waits while there is no room, until `deadline` has passed since the first poll. The
        /// layers have the same deadline.
        ///
        /// # Errors
        /// As [`Route::tell_within`], or a layer refused it.
        pub async fn tell_within(&$this, message: M, deadline: Duration) -> Result<(), AskError<M>> {
            let layers = &$layered.layers;
            let sent = Next::begin($target, layers, Verb::Tell, Some(deadline), message);
            sent.await.map(drop)
        }

        /// Sends a message and waits for the reply. Each try of a layer that sends it several times has the deadline
        /// that every ask has.
        ///
        /// # Errors
        /// As [`Route::ask`], or a layer refused it.
        pub async fn ask(&$this, message: M) -> Result<M::Reply, AskError<M>> {
            let asked = Next::begin($target, &$layered.layers, Verb::Ask, None, message);
            replied($target, asked.await)
        }

        /// Sends a message and waits for the reply until `deadline` has passed since the first poll. The layers have
        /// the same deadline.
        ///
        /// # Errors
        /// As [`Route::ask_within`], or a layer refused it.
        pub async fn ask_within(&$this, message: M, deadline: Duration) -> Result<M::Reply, AskError<M>> {
            let layers = &$layered.layers;
            let asked = Next::begin($target, layers, Verb::Ask, Some(deadline), message);
            replied($target, asked.await)
        }
    };
}

impl<M: Message> Layered<M> {
    layered_verbs!(self, self, &self.route);
}

impl<M: Message, C: Captures + Clone + Send + Sync> LayeredAt<'_, M, C> {
    layered_verbs!(self, self.layered, self);
}

/// The reply of an ask. A layer that ended it without one is told of as a subsystem that did not answer.
fn replied<M: Message>(
    target: &dyn Target<M>,
    outcome: Outcome<M>,
) -> Result<M::Reply, AskError<M>> {
    let no_reply = || AskError::NoReply {
        subsystem: target.subsystem(),
    };
    outcome?.ok_or_else(no_reply)
}

impl<M: Message> Target<M> for Route<M> {
    fn send(&self, message: M, verb: Verb, deadline: Option<Duration>) -> Boxed<'_, Outcome<M>> {
        match (verb, deadline) {
            (Verb::TryTell, _) => Box::pin(async { Ok(self.try_tell(message).map(|()| None)?) }),
            (Verb::Tell, None) => Box::pin(async { Ok(self.tell(message).await.map(|()| None)?) }),
            (Verb::Tell, Some(deadline)) => {
                Box::pin(
                    async move { Ok(self.tell_within(message, deadline).await.map(|()| None)?) },
                )
            }
            (Verb::Ask, None) => Box::pin(async { self.ask(message).await.map(Some) }),
            (Verb::Ask, Some(deadline)) => {
                Box::pin(async move { self.ask_within(message, deadline).await.map(Some) })
            }
        }
    }

    fn subsystem(&self) -> Arc<str> {
        self.subsystem()
    }

    fn clock(&self) -> &Clock {
        self.clock()
    }
}

impl<M: Message, C: Captures + Clone + Send + Sync> Target<M> for LayeredAt<'_, M, C> {
    fn send(&self, message: M, verb: Verb, deadline: Option<Duration>) -> Boxed<'_, Outcome<M>> {
        let to = self.layered.route.at(self.captures.clone());
        match (verb, deadline) {
            (Verb::TryTell, _) => Box::pin(async { Ok(to.try_tell(message).map(|()| None)?) }),
            (Verb::Tell, None) => Box::pin(async { Ok(to.tell(message).await.map(|()| None)?) }),
            (Verb::Tell, Some(deadline)) => {
                Box::pin(async move { Ok(to.tell_within(message, deadline).await.map(|()| None)?) })
            }
            (Verb::Ask, None) => Box::pin(async { to.ask(message).await.map(Some) }),
            (Verb::Ask, Some(deadline)) => {
                Box::pin(async move { to.ask_within(message, deadline).await.map(Some) })
            }
        }
    }

    fn subsystem(&self) -> Arc<str> {
        self.layered.route.subsystem()
    }

    fn clock(&self) -> &Clock {
        self.layered.route.clock()
    }
}

/// `RateLimit` for `mycelia_layers::rate::RateLimit`, and for an `Arc` of that.
fn short_name(full: &'static str) -> &'static str {
    let (outer, inner) = full.split_once('<').unwrap_or((full, ""));
    let name = outer.rsplit("::").next().unwrap_or(outer);
    match name {
        "Arc" => short_name(inner.trim_end_matches('>')),
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::short_name;

    #[test]
    fn a_layer_is_named_by_its_type_without_the_path() {
        for (full, short) in [
            ("mycelia_layers::rate::RateLimit", "RateLimit"),
            ("alloc::sync::Arc<a::b::RateLimit>", "RateLimit"),
            ("a::RetryIf<b::Message>", "RetryIf"),
            ("Even", "Even"),
        ] {
            assert_eq!(short_name(full), short);
        }
    }
}
