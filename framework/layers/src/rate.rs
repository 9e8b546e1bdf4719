//! A rate that is not exceeded.

use std::num::NonZeroU32;
use std::sync::OnceLock;
use std::time::Duration;

use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use mycelia::Message;
use mycelia::schedule::Admission;
use mycelia::time::{Clock, Stamp};

use crate::layer::{Layer, Next, Outcome};

/// Lets messages pass at a rate, and refuses the rest at once.
///
/// It is the leaky bucket of the crate `governor`: a bucket for `burst` messages that empties at the rate. So within
/// any interval pass at most `burst` messages and one more for each `period / count` of the interval.
///
/// As a layer of a handle it holds for the handle's clones, or for all handles that share it in an `Arc`; as the
/// [`Admission`] of a mounted route, for all senders.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
/// use mycelia_layers::RateLimit;
///
/// # #[derive(Message)] struct Ping;
/// # #[derive(Subsystem, Default)] struct Api;
/// # #[routes] impl Api { #[route("ping")] fn ping(&mut self, _: Ping) {} }
/// # #[mycelia::main]
/// # async fn main() -> anyhow::Result<()> {
/// # let system = System::builder().start().await?;
/// let limit = RateLimit::per_second(10).burst(2);
/// system.mount_with(MountOptions::new().admission("ping", limit), Api::default).await?;
/// system.tell("api://ping", Ping).await?;
/// system.tell("api://ping", Ping).await?;
/// let refused = system.tell("api://ping", Ping).await.unwrap_err();
/// assert!(refused.reason().is_retryable());
/// assert!(refused.reason().retry_after().is_some());
/// # system.stop().await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RateLimit {
    quota: Quota,
    /// Made with the clock of the first message's system.
    limiter: OnceLock<Limiter>,
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, Since, NoOpMiddleware<Nanos>>;

impl RateLimit {
    /// `count` messages a second, of which all may come at once.
    ///
    /// # Panics
    /// If `count` is 0.
    pub fn per_second(count: u32) -> Self {
        Self::new(count, Duration::from_secs(1))
    }

    /// `count` messages in each `period`, of which all may come at once.
    ///
    /// # Panics
    /// If `count` is 0, or `period` has less than one nanosecond for each message.
    pub fn new(count: u32, period: Duration) -> Self {
        let burst = NonZeroU32::new(count).expect("a rate of 0 lets nothing pass");
        let quota = Quota::with_period(period / count);
        let quota = quota.expect("a period has at least one nanosecond for each message");
        RateLimit {
            quota: quota.allow_burst(burst),
            limiter: OnceLock::new(),
        }
    }

    /// How many messages may come at once. Default: as many as in a period.
    ///
    /// # Panics
    /// If `messages` is 0.
    #[must_use]
    pub fn burst(self, messages: u32) -> Self {
        let burst = NonZeroU32::new(messages).expect("a burst of 0 lets nothing pass");
        RateLimit {
            quota: self.quota.allow_burst(burst),
            limiter: OnceLock::new(),
        }
    }

    /// Lets one message pass, or says how long it would have to wait.
    fn take(&self, clock: &Clock) -> Result<(), Duration> {
        let new = || RateLimiter::direct_with_clock(self.quota, Since::now(clock));
        let limiter = self.limiter.get_or_init(new);
        let refused = |not: governor::NotUntil<Nanos>| not.wait_time_from(limiter.clock().now());
        limiter.check().map_err(refused)
    }
}

/// A system's clock, as `governor` reads it: nanoseconds since the first message.
#[derive(Debug, Clone)]
struct Since {
    clock: Clock,
    start: Stamp,
}

impl Since {
    fn now(clock: &Clock) -> Self {
        let (clock, start) = (clock.clone(), clock.now());
        Since { clock, start }
    }
}

impl GovernorClock for Since {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.clock.between_ns(self.start, self.clock.now()))
    }
}

impl<M: Message> Layer<M> for RateLimit {
    async fn call(&self, message: M, next: Next<'_, M>) -> Outcome<M> {
        match self.take(next.clock()) {
            Ok(()) => next.run(message).await,
            Err(retry_after) => next.refuse(message, retry_after),
        }
    }
}

impl Admission for RateLimit {
    fn admit(&self, clock: &Clock) -> Result<(), Duration> {
        self.take(clock)
    }
}
