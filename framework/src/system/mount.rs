//! Mounting: from a factory to a subsystem that answers.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::System;
use super::kind::SubsystemKind;
use super::mounting::Mounting;
use crate::base::user_code::{Contained, shielded};
use crate::directory::{Below, Mounted};
use crate::keepers::registry::mounting::{Mount, One};
use crate::mailbox::{Limits, Mailbox};
use crate::route::subsystem::{Routes, Subsystem};
use crate::runtime::deadlock::caller::Waiting;
use crate::runtime::shared::Phase;
use crate::words::error::{MountError, SendError};
use crate::words::overflow::Overflow;
use crate::words::supervision::{Backoff, Intensity, Policy, Restart, RestartScope};

/// How a subsystem is mounted; the defaults are those of [`System::mount`].
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
    parent: Option<Box<str>>,
    policy: Policy,
    restart_scope: RestartScope,
}

impl MountOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name in a system of what is mounted so, under its own name `name`.
    pub(crate) fn full_name(&self, name: &str) -> Box<str> {
        match &self.parent {
            Some(parent) => format!("{parent}/{name}").into(),
            None => name.into(),
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
    /// failure: its name stays taken until it is [unmounted](System::unmount). Default: it is unmounted
    /// when it has failed for good, as one that stopped itself is; its last event tells how it failed.
    pub fn keep_failed(mut self, keeps: bool) -> Self {
        self.policy.keep_failed = keeps;
        self
    }

    /// Which of its children are restarted when one of them is. Default: that one.
    pub fn restart_scope(mut self, restart_scope: RestartScope) -> Self {
        self.restart_scope = restart_scope;
        self
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
            policy: self.policy,
            restart_scope: self.restart_scope,
            limits: Limits {
                capacity: self.capacity.unwrap_or(u32::MAX),
                overflow: self.overflow,
            },
        }
    }

    pub(super) fn parent_name(&self) -> Option<&str> {
        self.parent.as_deref()
    }

    /// The name, with its parent's before it.
    pub(crate) fn name_below<S: Subsystem>(&self, parent: Option<&Mounted>) -> Arc<str> {
        let own_name = self.own_name::<S>();
        match parent {
            Some(parent) => format!("{}/{own_name}", parent.mailbox.name).into(),
            None => own_name,
        }
    }

    pub(super) fn own_name<S: Subsystem>(&self) -> Arc<str> {
        self.name.clone().unwrap_or_else(|| S::NAME.into())
    }

    /// Looks for values that can't be; `name` is the subsystem's.
    pub(super) fn check(&self, name: &str) -> Result<(), MountError> {
        let refused = [("capacity", self.capacity), ("weight", self.weight)];
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

impl System {
    /// Mounts a subsystem under its type's name, on the thread with the fewest subsystems. The
    /// factory makes it, on that thread, now and again after each panic of a handler.
    ///
    /// # Errors
    /// The name is taken, a route has a mistake, a handler wants state that the system does not have, or
    /// the subsystem could not be started: its factory panicked, or a hook of its start failed. In a
    /// handler also `WaitCycle`, if the name's last subsystem is still ending and waits for that handler.
    pub fn mount<S: Routes>(&self, factory: impl Fn() -> S + Send + 'static) -> Mounting<'_> {
        self.mount_with(MountOptions::new(), factory)
    }

    /// Mounts a subsystem under another name.
    ///
    /// # Errors
    /// As [`mount`](Self::mount).
    pub fn mount_as<S: Routes>(
        &self,
        name: impl Into<Arc<str>>,
        factory: impl Fn() -> S + Send + 'static,
    ) -> Mounting<'_> {
        self.mount_with(MountOptions::new().name(name), factory)
    }

    /// Mounts a subsystem on a thread of the system, counted from 0.
    ///
    /// # Errors
    /// As [`mount`](Self::mount), or the system has no such thread.
    pub fn mount_on<S: Routes>(
        &self,
        thread: usize,
        factory: impl Fn() -> S + Send + 'static,
    ) -> Mounting<'_> {
        self.mount_with(MountOptions::new().thread(thread), factory)
    }

    /// Mounts a subsystem with options.
    ///
    /// A handler that mounts waits until the subsystem stands. A hook of its start that asks the handler's
    /// subsystem gets `WaitCycle`: it can't be answered before.
    ///
    /// # Errors
    /// As [`mount`](Self::mount). Below a parent also `NoParent`; `Restarting`, while that is being made
    /// anew, from its failure on and through its pause, for the children of its old value end with that;
    /// and `Stopped`, while it ends for good.
    ///
    /// # Cancel safety
    /// Dropped before its end, the subsystem may or may not be mounted.
    pub fn mount_with<S: Routes>(
        &self,
        options: MountOptions,
        factory: impl Fn() -> S + Send + 'static,
    ) -> Mounting<'_> {
        // It may be refused here, or never awaited.
        let factory = Contained::new(factory);
        Mounting::new(async move {
            let kind = self.kind::<S>();
            let kind =
                kind.map_err(|error| error.of(&options.full_name(&options.own_name::<S>())))?;
            self.mount_kind(options, &kind, factory).await
        })
    }

    pub(crate) async fn mount_kind<S: Subsystem>(
        &self,
        options: MountOptions,
        kind: &SubsystemKind<S>,
        factory: Contained<impl Fn() -> S + Send + 'static>,
    ) -> Result<(), MountError> {
        let parent = self.parent::<S>(&options)?;
        self.mount_below(parent, options, kind, factory).await
    }

    pub(crate) async fn mount_below<S: Subsystem>(
        &self,
        parent: Option<Arc<Mounted>>,
        options: MountOptions,
        kind: &SubsystemKind<S>,
        factory: Contained<impl Fn() -> S + Send + 'static>,
    ) -> Result<(), MountError> {
        let name = options.name_below::<S>(parent.as_deref());
        options.check(&name)?;
        self.send_mount(Mount {
            caller: None,
            parent: parent.map(Below::new),
            front: None,
            each: vec![options.one(name)],
            map: kind.map().clone(),
            launches: vec![kind.launch(factory)],
        })
        .await
    }

    /// The subsystem below which the options want it.
    pub(super) fn parent<S: Subsystem>(
        &self,
        options: &MountOptions,
    ) -> Result<Option<Arc<Mounted>>, MountError> {
        let Some(name) = &options.parent else {
            return Ok(None);
        };
        match self.0.shared.directory.get(name) {
            Some(parent) if parent.group().is_none() => Ok(Some(parent)),
            // Nothing is mounted any more, and nothing will be.
            _ if self.0.shared.phase() != Phase::Open => Err(MountError::Stopped),
            _ => Err(MountError::NoParent {
                name: name.clone(),
                subsystem: (*options.own_name::<S>()).into(),
            }),
        }
    }

    pub(super) async fn send_mount(&self, mut mount: Mount) -> Result<(), MountError> {
        if self.0.shared.must_not_wait() {
            let subsystem = mount.subsystem();
            return Err(MountError::WouldBlock { subsystem });
        }
        let waiting = self.waiting();
        mount.caller = waiting.caller();
        let subsystem = mount.subsystem();
        let mounted = pin!(shielded(self.0.registry.send(mount)));
        match select(mounted, pin!(waiting.hopeless())).await {
            Either::Left((Ok(mounted), _)) => mounted,
            Either::Left((Err(_), _)) => Err(MountError::Stopped),
            Either::Right((cycle, _)) => Err(MountError::WaitCycle { subsystem, cycle }),
        }
    }

    /// Lets at most `messages` be accepted and not ended at once from now on; `None` for as many as the
    /// pool has. What was accepted before stays.
    ///
    /// # Errors
    /// No subsystem of that name is mounted; or `messages` is 0: [`SendError::BadSetting`].
    pub fn set_capacity(
        &self,
        name: &str,
        messages: impl Into<Option<u32>>,
    ) -> Result<(), SendError> {
        let capacity = messages.into().unwrap_or(u32::MAX);
        if capacity == 0 {
            return Err(SendError::BadSetting {
                setting: "capacity",
                must_be: "at least 1",
            });
        }
        self.for_seats(name, |mailbox| mailbox.set_capacity(capacity))
    }

    /// Changes what happens to messages for which a subsystem has no room: at once, also for senders that wait
    /// already, and while a handler waits.
    ///
    /// # Errors
    /// No subsystem of that name is mounted.
    pub fn set_overflow(&self, name: &str, overflow: Overflow) -> Result<(), SendError> {
        self.for_seats(name, |mailbox| mailbox.set_overflow(overflow))
    }

    /// Calls `f` with the mailbox of that name, or with those of its replicas.
    fn for_seats(&self, name: &str, f: impl Fn(&Mailbox)) -> Result<(), SendError> {
        let Some(mounted) = self.0.shared.directory.get(name) else {
            return Err(SendError::NoSubsystem { name: name.into() });
        };
        match mounted.group() {
            None => f(&mounted.mailbox),
            Some(group) => group.members().iter().for_each(|one| f(&one.mailbox)),
        }
        Ok(())
    }

    /// The handler that waits, if one does, until this is dropped.
    pub(super) fn waiting(&self) -> Waiting {
        let shared = &self.0.shared;
        shared.note_wait();
        Waiting::new(&shared.waits, shared.current())
    }
}
