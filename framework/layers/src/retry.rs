//! Sending again, after a pause that grows.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use mycelia::Message;
use mycelia::error::AskError;

use crate::layer::{Layer, Next, Outcome};

/// Sends a message again that was certainly not handled: one that comes home with an error which
/// [`is_retryable`](AskError::is_retryable), as there was no room, or a layer further in refused it. So no message is
/// handled twice. For more, see [`when`](Self::when).
///
/// Between two tries it pauses: for as long as the error [says](AskError::retry_after), if it does, and then for a time
/// that grows by a factor, with jitter, so that many senders do not come back at once. `backon` makes these times. It
/// does not begin a pause that would end after the [deadline](Next::remaining) of the send, or if the error says longer
/// than the longest pause: the last error is the outcome then, at once.
///
/// While a message pauses, others of the same sender pass it, if that does not wait for it.
///
/// The pause is a timer of tokio: the sender must be polled by a runtime of it, as handlers are.
#[derive(Debug)]
pub struct Retry {
    backoff: ExponentialBuilder,
    seed: Option<u64>,
    /// The longest that it waits because an error says so.
    longest: Duration,
    /// Messages that came to it: with a seed each has another jitter.
    calls: AtomicU64,
}

impl Default for Retry {
    fn default() -> Self {
        Self::new()
    }
}

impl Retry {
    /// At most 3 retries, after 10, 20 and 40 ms, and up to as much again by jitter.
    pub fn new() -> Self {
        let backoff = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(10))
            .with_factor(2.0)
            .with_max_times(3)
            .with_jitter();
        Retry::with_backoff(backoff).longest_pause(Duration::from_secs(10))
    }

    /// With pauses of your own. What an error says is waited for up to a minute, unless
    /// [`longest_pause`](Self::longest_pause) says otherwise.
    ///
    /// # Examples
    /// ```
    /// use backon::ExponentialBuilder;
    /// use mycelia_layers::Retry;
    /// use std::time::Duration;
    ///
    /// let steady = ExponentialBuilder::new().with_factor(1.0).with_min_delay(Duration::from_secs(1));
    /// let retry = Retry::with_backoff(steady);
    /// ```
    pub fn with_backoff(backoff: ExponentialBuilder) -> Self {
        Retry {
            backoff,
            seed: None,
            longest: Duration::from_secs(60),
            calls: AtomicU64::new(0),
        }
    }

    /// How often it sends a message again at most. Default: 3 times.
    #[must_use]
    pub fn times(mut self, retries: usize) -> Self {
        self.backoff = self.backoff.with_max_times(retries);
        self
    }

    /// The first pause, without jitter. Default: 10 ms.
    #[must_use]
    pub fn first_pause(mut self, pause: Duration) -> Self {
        self.backoff = self.backoff.with_min_delay(pause);
        self
    }

    /// The longest pause, without jitter. Default: 10 s.
    #[must_use]
    pub fn longest_pause(mut self, pause: Duration) -> Self {
        self.backoff = self.backoff.with_max_delay(pause);
        self.longest = pause;
        self
    }

    /// Draws the jitter from this seed, so that a test has the same pauses each time. Default: at random.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sends a message again after more errors: those for which `wanted` is true, and those of before. It clones the
    /// message for each try, since most errors do not hand it back. A message may be handled twice then.
    ///
    /// # Examples
    /// ```
    /// # use mycelia::prelude::*;
    /// # async fn example(system: &System) -> anyhow::Result<()> {
    /// use mycelia_layers::{Retry, RouteExt};
    ///
    /// #[derive(Message, Clone)]
    /// #[message(reply = u64)]
    /// struct Get(u64);
    ///
    /// // To read twice does no harm.
    /// let panicked = |error: &AskError<Get>| matches!(error, AskError::Panicked { .. });
    /// let get = system.route::<Get>("store://get")?.layer(Retry::new().when(panicked));
    /// # Ok(()) }
    /// ```
    pub fn when<M, F>(self, wanted: F) -> RetryIf<F>
    where
        M: Message + Clone + Sync,
        F: Fn(&AskError<M>) -> bool + Send + Sync + 'static,
    {
        RetryIf {
            retry: self,
            wanted,
        }
    }

    /// The pauses of one message.
    fn pauses(&self) -> Pauses {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let backoff = match self.seed {
            None => self.backoff,
            Some(seed) => self.backoff.with_jitter_seed(seed.wrapping_add(call)),
        };
        Pauses {
            times: backoff.build(),
            longest: self.longest,
        }
    }
}

/// The pauses of one message.
struct Pauses {
    times: ExponentialBackoff,
    longest: Duration,
}

impl Pauses {
    /// The pause before the message is sent again; `None` if it is not.
    fn after<M: Message>(&mut self, error: &AskError<M>, next: &Next<'_, M>) -> Option<Duration> {
        let said = error.retry_after().unwrap_or_default();
        let pause = self.times.next()?.saturating_add(said);
        let is_in_time = next.remaining().is_none_or(|remaining| pause < remaining);
        (is_in_time && said <= self.longest).then_some(pause)
    }
}

impl<M: Message> Layer<M> for Retry {
    async fn call(&self, mut message: M, next: Next<'_, M>) -> Outcome<M> {
        let mut pauses = self.pauses();
        loop {
            let error = match next.run(message).await {
                Err(error) if error.is_retryable() => error,
                outcome => return outcome,
            };
            let Some(pause) = pauses.after(&error, &next) else {
                return Err(error);
            };
            match error {
                AskError::Undelivered(undelivered) => message = undelivered.into_message(),
                // It was not handled, and has not come back.
                error => return Err(error),
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// A [`Retry`] after more errors; made by [`Retry::when`].
pub struct RetryIf<F> {
    retry: Retry,
    wanted: F,
}

impl<F> fmt::Debug for RetryIf<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryIf")
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

impl<M, F> Layer<M> for RetryIf<F>
where
    M: Message + Clone + Sync,
    F: Fn(&AskError<M>) -> bool + Send + Sync + 'static,
{
    async fn call(&self, message: M, next: Next<'_, M>) -> Outcome<M> {
        let mut pauses = self.retry.pauses();
        loop {
            let error = match next.run(message.clone()).await {
                Err(error) if error.is_retryable() || (self.wanted)(&error) => error,
                outcome => return outcome,
            };
            let Some(pause) = pauses.after(&error, &next) else {
                return Err(error);
            };
            drop(error);
            tokio::time::sleep(pause).await;
        }
    }
}
