//! The pause before a restart, and how it grows. Slept in `host/life.rs`, and for several at once in
//! `keepers/registry/restarts.rs`.

use std::time::Duration;

/// The pause before a restart: it grows with each restart that follows soon on the last.
///
/// An unmount and a stop do not wait for it: the subsystem is restarted at once for what waits there.
///
/// # Examples
/// ```
/// use mycelia::supervise::Backoff;
/// use std::time::Duration;
///
/// // 100 ms, 200 ms, 400 ms … up to 10 s, each up to a fifth shorter, by chance.
/// let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10)).jitter(0.2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    jitter: f64,
}

impl Backoff {
    /// No pause.
    pub const NONE: Backoff = Backoff {
        first: Duration::ZERO,
        cap: Duration::ZERO,
        jitter: 0.0,
    };

    /// A first pause, which doubles with every further restart up to `cap`. It is the first again when
    /// no restart was needed for twice as long as the last pause, at least for twice `first`.
    pub const fn new(first: Duration, cap: Duration) -> Self {
        Backoff {
            first,
            cap,
            jitter: 0.0,
        }
    }

    /// Shortens every pause by chance by up to this part of it, 0 to 1, so that many do not come back at
    /// the same moment.
    #[must_use]
    pub const fn jitter(self, part: f64) -> Self {
        Backoff {
            jitter: part.clamp(0.0, 1.0),
            ..self
        }
    }

    /// The pause before the restart that follows `before` others; `chance` is 0 to 1.
    pub(super) fn pause(&self, before: u32, chance: f64) -> Duration {
        let doubled = self.first.checked_mul(1 << before.min(30));
        let full = doubled
            .unwrap_or(Duration::MAX)
            .min(self.cap.max(self.first));
        let part = 1.0 - self.jitter * chance.clamp(0.0, 1.0);
        // It fails for pauses that no `Duration` can show.
        Duration::try_from_secs_f64(full.as_secs_f64() * part).unwrap_or(full)
    }

    /// For how long no restart must have been needed until the pause is the first again.
    pub(super) fn calm(&self, before: u32) -> Duration {
        self.pause(before, 0.0).saturating_mul(2)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff::NONE
    }
}
