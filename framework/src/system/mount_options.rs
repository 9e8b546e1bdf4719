//! How a subsystem is mounted.

use std::sync::Arc;
use std::time::Duration;

use crate::directory::spawning::Spawning;
use crate::keepers::registry::mounting::One;
use crate::mailbox::Limits;
use crate::route::Admissions;
use crate::route::subsystem::Subsystem;
use crate::words::error::MountError;
use crate::words::overflow::Overflow;
use crate::words::stuck::WhenStuck;
use crate::words::supervision::{Backoff, Intensity, Policy, Restart, RestartScope};

/// How a subsystem is mounted; the defaults are those of [`System::mount`](crate::System::mount).
///
/// # Examples
/// ```
/// # use mycelia::prelude::*;
/// # #[derive(Message)] struct Ping;
/// # #[derive(Subsystem, Default)] struct Api;
/// # #[routes] impl Api { #[route("ping")] fn ping(&mut self, _: Ping) {} }
/// # async fn example(system: &System) -> anyhow::Result<()> {
/// system
///     .mount_with(MountOptions::new().name("api-2").thread(1).capacity(1000), Api::default)
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "give it to `System::mount_with`"]
pub struct MountOptions {
    name: Option<Arc<str>>,
    thread: Option<usize>,
    capacity: Option<u32>,
    overflow: Overflow,
    weight: Option<u32>,
    wait_goal: Option<Duration>,
    own_histograms: bool,
    max_spawned: Option<u32>,
    pub(super) parent: Option<Box<str>>,
    policy: Policy,
    restart_scope: RestartScope,
    pub(super) admissions: Admissions,
}

impl MountOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// A subsystem's own name, after its parent's.
    pub(crate) fn full_name(&self, own_name: &str) -> Box<str> {
        match &self.parent {
            Some(parent) => format!("{parent}/{own_name}").into(),
            None => own_name.into(),
        }
    }

    /// The scheme of its paths. Default: the type's `NAME`.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The system's thread, counted from 0. Default: the one with the fewest subsystems.
    pub fn thread(mut self, thread: usize) -> Self {
        self.thread = Some(thread);
        self
    }

    /// The most messages accepted and not ended at once; `tell` waits for room, `try_tell` says
    /// `Full`. At least 1, or the mount is refused. Default: as many as the pool has.
    pub fn capacity(mut self, messages: u32) -> Self {
        self.capacity = Some(messages);
        self
    }

    /// What happens to a message for which there is no room. Default: its sender waits.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Its weight for the strategy [`Weighted`](crate::schedule::Weighted). At least 1, or the mount is refused.
    /// Default: 1.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = Some(weight);
        self
    }

    /// How long its messages should wait at most, 99 in 100 of them: a goal that the strategy
    /// [`Adaptive`](crate::schedule::Adaptive) works for, and that any strategy is shown. Default: none. With a goal
    /// it has [histograms of its own](Self::own_histograms).
    pub fn wait_goal(mut self, p99: Duration) -> Self {
        self.wait_goal = Some(p99);
        self
    }

    /// Gives it latency histograms of its own, by route, beside those of its kind: its routes in a snapshot
    /// show them, in nanoseconds. They take 5 to 16 KB each, three for every route in use, and its messages
    /// are recorded twice. Default: only with a [`wait_goal`](Self::wait_goal). Count, sum and maximum every
    /// subsystem has: [`wait`](crate::observe::SubsystemSnapshot::wait) and
    /// [`service`](crate::observe::SubsystemSnapshot::service).
    ///
    /// # Examples
    /// ```
    /// # use mycelia::prelude::*;
    /// # #[derive(Message)] struct Ping;
    /// # #[derive(Subsystem, Default)] struct Api;
    /// # #[routes] impl Api { #[route("ping")] fn ping(&mut self, _: Ping) {} }
    /// # #[mycelia::main]
    /// # async fn main() -> anyhow::Result<()> {
    /// # let system = System::builder().start().await?;
    /// let options = MountOptions::new().name("vip").own_histograms(true);
    /// system.mount_with(options, Api::default).await?;
    /// system.ask("vip://ping", Ping).await?;
    /// let now = system.snapshot();
    /// let latency = now.route("vip://ping").and_then(|route| route.latency);
    /// assert_eq!(latency.expect("it has had a message").count, 1);
    /// # system.stop().await?;
    /// # Ok(()) }
    /// ```
    pub fn own_histograms(mut self, has_own: bool) -> Self {
        self.own_histograms = has_own;
        self
    }

    /// The most futures that it may have running at once beside its mailbox, of those that it has
    /// [spawned](crate::Context::spawn); more wait for their turn. At least 1, or the mount is refused. Default:
    /// 1,024.
    pub fn max_spawned(mut self, futures: u32) -> Self {
        self.max_spawned = Some(futures);
        self
    }
}

/// Supervision: what happens when the subsystem, or a child of it, fails.
impl MountOptions {
    /// Mounts it below the subsystem of that name, which is its parent from then on: it ends before its
    /// parent does, and its parent fails if it fails too often. Its name follows the parent's:
    /// `parent/child://…`. In a handler of the parent see [`Context::mount`](crate::Context::mount).
    pub fn parent(mut self, name: impl Into<Box<str>>) -> Self {
        self.parent = Some(name.into());
        self
    }

    /// Whether it is started again when it has ended. Default: when it failed.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.policy.restart = restart;
        self
    }

    /// How often it may be restarted: if more than `restarts` are needed within any interval of length
    /// `within`, it ends, and its parent fails in its place, or the system stops if it has none. Default:
    /// as often as needed; but a factory that fails at a restart then ends the subsystem.
    pub fn intensity(mut self, restarts: u32, within: Duration) -> Self {
        self.policy.intensity = Some(Intensity { restarts, within });
        self
    }

    /// The pause before a restart; messages wait meanwhile. Default: none.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.policy.backoff = backoff;
        self
    }

    /// Makes an error that a handler returns a failure of the subsystem, as a panic is. Default: the error
    /// is the message's alone.
    pub fn restart_on_error(mut self, restarts: bool) -> Self {
        self.policy.on_error = restarts;
        self
    }

    /// Keeps the subsystem in snapshots, closed, after it has failed for good, with its account and its last
    /// failure: its name stays taken until it is [unmounted](crate::System::unmount). Default: it is unmounted
    /// when it has failed for good, as one that stopped itself is; its last event tells how it failed.
    pub fn keep_failed(mut self, keeps: bool) -> Self {
        self.policy.keep_failed = keeps;
        self
    }

    /// What is done if its handler is [stuck](crate::observe::Stuck), beside that it is told. Default: nothing.
    pub fn when_stuck(mut self, what: WhenStuck) -> Self {
        self.policy.when_stuck = what;
        self
    }

    /// How long its handlers may take before it counts as stuck; [`Duration::MAX`] for any time. Default: as the
    /// [system](crate::Builder::stuck_after) has it.
    pub fn stuck_after(mut self, time: Duration) -> Self {
        self.policy.stuck_after = Some(time);
        self
    }

    /// Which of its children are restarted when one of them is. Default: that one.
    pub fn restart_scope(mut self, restart_scope: RestartScope) -> Self {
        self.restart_scope = restart_scope;
        self
    }

    /// Its name before.
    #[doc(hidden)]
    #[deprecated(note = "it is `restart_scope` now")]
    pub fn together(self, restart_scope: RestartScope) -> Self {
        self.restart_scope(restart_scope)
    }
}

impl MountOptions {
    /// A subsystem of that name, to be mounted so.
    pub(super) fn one(&self, name: Arc<str>) -> One {
        One {
            name,
            thread: self.thread,
            weight: self.weight.unwrap_or(1),
            wait_goal: self.wait_goal,
            own_histograms: self.own_histograms,
            max_spawned: self.max_spawned.unwrap_or(Spawning::MOST),
            policy: self.policy,
            restart_scope: self.restart_scope,
            limits: Limits {
                capacity: self.capacity.unwrap_or(u32::MAX),
                overflow: self.overflow,
            },
            key_at: 0,
        }
    }

    /// One of many that are mounted on demand, each under a name of its own below the prefix.
    pub(super) fn one_of_many(&self, prefix: &Arc<str>) -> One {
        let mut one = self.one(prefix.clone());
        one.key_at = u16::try_from(prefix.len().saturating_add(1)).unwrap_or(u16::MAX);
        one.policy.keep_failed = false;
        one
    }

    /// True if it says under which name, or below whom.
    pub(super) fn has_place(&self) -> bool {
        self.name.is_some() || self.parent.is_some()
    }

    /// The name in a system of an `S` that is mounted so.
    pub(super) fn name_of<S: Subsystem>(&self) -> Arc<str> {
        let own_name = self.own_name::<S>();
        match self.parent {
            Some(_) => self.full_name(&own_name).into(),
            None => own_name,
        }
    }

    pub(super) fn own_name<S: Subsystem>(&self) -> Arc<str> {
        self.name.clone().unwrap_or_else(|| S::NAME.into())
    }

    /// Looks for values that can't be; `name` is the subsystem's.
    pub(super) fn check(&self, name: &str) -> Result<(), MountError> {
        let refused = [
            ("capacity", self.capacity),
            ("weight", self.weight),
            ("max_spawned", self.max_spawned),
        ];
        match refused.iter().find(|(_, value)| *value == Some(0)) {
            None => Ok(()),
            Some((setting, _)) => Err(MountError::BadSetting {
                subsystem: name.into(),
                setting,
                must_be: "at least 1",
            }),
        }
    }
}
