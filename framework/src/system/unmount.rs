//! Unmounting: accepted messages first, and no longer than wanted. The caller waits here; the registry ends the
//! subsystem, and waits for its host in `keepers/registry/ending.rs`.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::System;
use crate::base::clock;
use crate::base::user_code::shielded;
use crate::keepers::registry::unmounting::Unmount;
use crate::words::error::UnmountError;
use crate::words::ledger::Ledger;

impl System {
    /// Unmounts a subsystem, its children before it. It refuses new messages at once, ends the accepted ones, and drops
    /// the subsystem. Returns the subsystem's account. Handles to it fail with `Closed` until a subsystem is mounted
    /// under the name again.
    ///
    /// It waits for as long as the subsystem's handlers take, without a bound:
    /// [`unmount_within`](Self::unmount_within) has one.
    ///
    /// A handler may unmount its own subsystem, and so may a future that the subsystem has
    /// [spawned](crate::Context::spawn). Since it is waited for itself, the call returns as soon as the unmount has begun, with the account so far; the rest is as after
    /// [`Context::stop`](crate::Context::stop), but for [`Permanent`](crate::supervise::Restart::Permanent) subsystems,
    /// which end too.
    ///
    /// # Errors
    /// No subsystem of that name is mounted; or it was unmounted, and its last hook failed, or that of one
    /// below it. In a handler also `WaitCycle`, if the subsystem, or one below
    /// it, waits for that handler, or if the handler is of a subsystem below it: nothing is unmounted then.
    ///
    /// # Cancel safety
    /// Dropped before its end, the unmount goes on.
    pub async fn unmount(&self, name: &str) -> Result<Ledger, UnmountError> {
        self.send_unmount(name, None).await
    }

    /// Unmounts a subsystem as [`unmount`](Self::unmount) does, and lets it and those below it end their
    /// accepted messages until `deadline` has passed. What waits then is undeliverable; a handler that
    /// awaits something is dropped, its message failed.
    ///
    /// # Errors
    /// As [`unmount`](Self::unmount); or `Stuck`, if a handler blocks its thread and has not returned a
    /// second after the deadline.
    ///
    /// # Cancel safety
    /// Dropped before its end, the unmount goes on, and ends at the deadline.
    ///
    /// # Examples
    /// ```
    /// # use mycelia::prelude::*;
    /// # use std::time::Duration;
    /// # async fn example(system: &System) -> anyhow::Result<()> {
    /// let ledger = system.unmount_within("api", Duration::from_secs(5)).await?;
    /// println!("{} handled, {} undeliverable", ledger.handled, ledger.undeliverable);
    /// # Ok(()) }
    /// ```
    pub async fn unmount_within(
        &self,
        name: &str,
        deadline: Duration,
    ) -> Result<Ledger, UnmountError> {
        // What no clock can show is never.
        self.send_unmount(name, clock::after(Instant::now(), deadline))
            .await
    }

    async fn send_unmount(
        &self,
        name: &str,
        deadline: Option<Instant>,
    ) -> Result<Ledger, UnmountError> {
        if self.0.shared.must_not_wait() {
            return Err(UnmountError::WouldBlock);
        }
        let waiting = self.waiting();
        let (told, how) = oneshot::channel();
        let unmount = Unmount {
            told,
            name: name.into(),
            deadline,
            caller: waiting.caller(),
            held_open: self.0.shared.held_open(),
        };
        self.0.registry.do_send(unmount);
        match select(pin!(shielded(how)), pin!(waiting.hopeless())).await {
            // Dropped without a word if the registry has gone.
            Either::Left((how, _)) => how.unwrap_or(Err(UnmountError::Stopped)),
            Either::Right((cycle, _)) => Err(UnmountError::WaitCycle { cycle }),
        }
    }
}
