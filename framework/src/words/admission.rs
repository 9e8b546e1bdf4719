//! Admission: whether a route takes a message now.

use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::Clock;

/// Decides at the sender whether a mounted route takes a message now: a rate limit, for instance. Given with
/// [`MountOptions::admission`](crate::MountOptions::admission), it holds for all senders.
///
/// `mycelia-layers` has a rate limit that is one.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
/// use mycelia::schedule::Admission;
/// use mycelia::time::Clock;
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::time::Duration;
///
/// /// Refuses everything while it is shut.
/// struct Gate(AtomicBool);
///
/// impl Admission for Gate {
///     fn admit(&self, _: &Clock) -> Result<(), Duration> {
///         match self.0.load(Ordering::Relaxed) {
///             true => Err(Duration::from_secs(1)),
///             false => Ok(()),
///         }
///     }
/// }
/// ```
pub trait Admission: Send + Sync + 'static {
    /// Admits one message. It is called on the sender's thread, with no lock held, and must not block.
    ///
    /// A message that was admitted may still find no envelope, or have a capture that does not parse.
    ///
    /// # Errors
    /// The message is refused, and may be sent again after that long; never, if that is `Duration::MAX`.
    fn admit(&self, clock: &Clock) -> Result<(), Duration>;
}

impl<A: Admission + ?Sized> Admission for Arc<A> {
    fn admit(&self, clock: &Clock) -> Result<(), Duration> {
        (**self).admit(clock)
    }
}
