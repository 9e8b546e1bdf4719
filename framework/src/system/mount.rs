//! Mounting: from a factory to a subsystem that answers.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};

use super::System;
use super::kind::SubsystemKind;
use super::mount_options::MountOptions;
use super::mounting::Mounting;
use crate::base::user_code::{Contained, shielded};
use crate::directory::{Below, Mounted};
use crate::keepers::registry::mounting::Mount;
use crate::mailbox::Mailbox;
use crate::route::subsystem::{Routes, Subsystem};
use crate::runtime::deadlock::caller::Waiting;
use crate::runtime::shared::Phase;
use crate::words::error::{MountError, SendError};
use crate::words::overflow::Overflow;

impl System {
    /// Mounts a subsystem under its type's name, on the thread with the fewest subsystems. The
    /// factory makes it, on that thread, now and after each panic of a handler.
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
    /// As [`mount`](Self::mount). Below a parent also `NoParent`; `Restarting`, from the parent's failure until its
    /// restart, since the children of its old value end with that value; and `Stopped`, while the parent ends for good.
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
            let kind = self.kind(|| options.name_of::<S>())?;
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
        let name = options.name_of::<S>();
        options.check(&name)?;
        let map = self.map_for(&options, kind.map(), &name)?;
        self.send_mount(Mount {
            caller: None,
            parent: parent.map(Below::new),
            front: None,
            each: vec![options.one(name)],
            map,
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
        self.for_mailboxes(name, |mailbox| mailbox.set_capacity(capacity))
    }

    /// Changes what happens to messages for which a subsystem has no room: at once, also for senders that wait
    /// already, and while a handler waits.
    ///
    /// # Errors
    /// No subsystem of that name is mounted.
    pub fn set_overflow(&self, name: &str, overflow: Overflow) -> Result<(), SendError> {
        self.for_mailboxes(name, |mailbox| mailbox.set_overflow(overflow))
    }

    /// Calls `f` with the mailbox of that name, or with those of its replicas.
    fn for_mailboxes(&self, name: &str, f: impl Fn(&Mailbox)) -> Result<(), SendError> {
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
