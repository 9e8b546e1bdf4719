//! Supervision: what happens to a subsystem that failed. Policy is plain data, the decision a pure function.
//!
//! Every subsystem has a parent: the subsystem that mounted it, or the system. After a failure the factory makes a new
//! value, perhaps after a pause, perhaps for its siblings too. If restarts are needed too often, the parent fails in
//! its place, and at last the system stops. The words are those of Erlang's supervisors.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod decide;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

pub(crate) use decide::{History, Policy, RestartDecision};

/// Whether a subsystem that has ended is started again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Restart {
    /// Always, also when it stopped itself.
    Permanent,
    /// When it failed.
    #[default]
    Transient,
    /// Never.
    Never,
}

/// Who else is restarted when one of a parent's children is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestartScope {
    /// No one.
    #[default]
    OneForOne,
    /// All its siblings.
    AllForOne,
    /// Those of its siblings that were started after it.
    RestForOne,
}

/// How many restarts are allowed within what time. With one more the parent fails in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intensity {
    /// How many.
    pub restarts: u32,
    /// Within any interval of this length.
    pub within: Duration,
}

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
    fn pause(&self, before: u32, chance: f64) -> Duration {
        let doubled = self.first.checked_mul(1 << before.min(30));
        let full = doubled
            .unwrap_or(Duration::MAX)
            .min(self.cap.max(self.first));
        let part = 1.0 - self.jitter * chance.clamp(0.0, 1.0);
        // Not for pauses of more years than the sun has.
        Duration::try_from_secs_f64(full.as_secs_f64() * part).unwrap_or(full)
    }

    /// For how long no restart must have been needed until the pause is the first again.
    fn calm(&self, before: u32) -> Duration {
        self.pause(before, 0.0).saturating_mul(2)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff::NONE
    }
}

/// Why a subsystem failed or ended.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// A handler panicked, with this text.
    #[error("a handler panicked: {0}")]
    Panic(Arc<str>),
    /// A handler returned an error, with this text, and the subsystem is mounted with
    /// [`restart_on_error`](crate::MountOptions::restart_on_error).
    #[error("a handler failed: {0}")]
    Error(Arc<str>),
    /// One of its timers or streams panicked, with this text.
    #[error("a timer or a stream panicked: {0}")]
    Task(Arc<str>),
    /// Its factory panicked, or a hook of its start failed, with this text.
    #[error("it could not be started: {0}")]
    Start(Arc<str>),
    /// A child failed too often.
    #[error("its child `{name}` failed too often, last: {failure}")]
    Child {
        /// The child.
        name: Arc<str>,
        /// How it failed last.
        failure: Arc<Failure>,
    },
    /// It stopped itself, and is mounted to be there always.
    #[error("it stopped itself")]
    Stopped,
    /// Its value panicked when it was dropped, with this text. It ends, or is restarted, as it would have been.
    #[error("it panicked when it was dropped: {0}")]
    Drop(Arc<str>),
    /// Its last hook, [`#[stopped]`](crate::routes), failed or panicked with this text, or did not come to its
    /// end. It ends, or is restarted, as it would have been.
    #[error("it failed when it was stopped: {0}")]
    LastHook(Arc<str>),
}
