//! What one does to a subsystem while it is mounted: restart, pause, resume, clear.

use tokio::sync::oneshot;

use super::System;
use crate::base::user_code::shielded;
use crate::keepers::registry::managing::{Manage, ManageVerb};
use crate::thread::Local;
use crate::words::error::ManageError;

/// To a subsystem that is mounted. A name of [replicas](crate::Replicas) means all of them, and each has its own.
///
/// All of these are obeyed between two messages, or while a handler awaits; a handler that blocks its subsystem's
/// thread returns first. If that is [stuck](crate::observe::Stuck) they end with an error that says so, and are
/// obeyed when it returns. If the system has no [`stuck_after`](crate::Builder::stuck_after) they wait for as long as
/// the handler takes.
impl System {
    /// Restarts a subsystem as after a failure, whatever its policy: its value is dropped and its factory makes a
    /// new one. Returns when that handles messages. What waits in the mailbox stays. A subsystem that waits for
    /// its [`backoff`](crate::MountOptions::backoff) is restarted at once, and one that is paused stays paused.
    /// It counts for no [`intensity`](crate::MountOptions::intensity). Its children end, and its siblings are
    /// restarted with it if the [`restart_scope`](crate::MountOptions::restart_scope) says so. Replicas are
    /// restarted one after the other.
    ///
    /// A handler that awaits is dropped, and its message fails; so is a value that it has borrowed, without its
    /// `#[stopped]` hook. Else that hook is called, and may not wait. A blocking handler's message fails at once; the
    /// restart comes when it has returned.
    ///
    /// A handler that restarts its own subsystem ends with it; a blocking one is told at once that it is begun.
    ///
    /// # Errors
    /// No subsystem of that name is mounted, it is stopping, a handler is stuck, or it has failed again at its start.
    ///
    /// # Cancel safety
    /// Dropped before its end, the restart goes on.
    ///
    /// # Examples
    /// ```
    /// # use mycelia::prelude::*;
    /// # #[derive(Message)] #[message(reply = u64)] struct Count;
    /// # #[derive(Subsystem, Default)] struct Counter { count: u64 }
    /// # #[routes] impl Counter {
    /// #     #[route("count")] fn count(&mut self, _: Count) -> u64 { self.count += 1; self.count }
    /// # }
    /// # #[mycelia::main]
    /// # async fn main() -> anyhow::Result<()> {
    /// # let system = System::builder().start().await?;
    /// # system.mount(Counter::default).await?;
    /// assert_eq!(system.ask("counter://count", Count).await?, 1);
    /// system.restart("counter").await?;
    /// assert_eq!(system.ask("counter://count", Count).await?, 1);
    /// # system.stop().await?;
    /// # Ok(()) }
    /// ```
    pub async fn restart(&self, name: &str) -> Result<(), ManageError> {
        self.manage(name, ManageVerb::Restart).await.map(|_| ())
    }

    /// Lets a subsystem handle no further message until it is [resumed](Self::resume). One whose handler awaits
    /// goes on with that one. Messages are accepted up to the capacity, and their deadlines go on: one whose
    /// asker gives up expires. Timers go on, and what they send waits too. To pause one that is paused does nothing.
    ///
    /// It stays paused over a restart. An unmount and a stop do not wait for it to be resumed: it handles what
    /// waits, then ends.
    ///
    /// # Errors
    /// As [`restart`](Self::restart).
    ///
    /// # Cancel safety
    /// Dropped before its end, it is paused all the same.
    pub async fn pause(&self, name: &str) -> Result<(), ManageError> {
        self.manage(name, ManageVerb::Pause).await.map(|_| ())
    }

    /// Lets a subsystem that is [paused](Self::pause) go on. To resume one that is not paused does nothing.
    ///
    /// # Errors
    /// As [`restart`](Self::restart).
    ///
    /// # Cancel safety
    /// Dropped before its end, it is resumed all the same.
    pub async fn resume(&self, name: &str) -> Result<(), ManageError> {
        self.manage(name, ManageVerb::Resume).await.map(|_| ())
    }

    /// Ends all messages that wait for a subsystem, and those that it keeps for later; returns how many. Each is
    /// counted as dropped: one that was told is a dead letter, [`Cleared`](crate::observe::DeadReason::Cleared), and an
    /// asker gets [`AskError::Cleared`](crate::error::AskError::Cleared). What a handler has begun goes on.
    ///
    /// # Errors
    /// As [`restart`](Self::restart).
    ///
    /// # Cancel safety
    /// Dropped before its end, the mailbox is cleared all the same.
    pub async fn clear(&self, name: &str) -> Result<u64, ManageError> {
        self.manage(name, ManageVerb::Clear).await
    }

    async fn manage(&self, name: &str, verb: ManageVerb) -> Result<u64, ManageError> {
        let shared = &self.0.shared;
        if shared.must_not_wait() {
            return Err(ManageError::WouldBlock);
        }
        // The handler of a blocking call can't be cut off while it waits; any other can.
        let caller = match Local::of(&shared.pool).may_block() {
            true => shared.current(),
            false => 0,
        };
        let (told, how) = oneshot::channel();
        self.0.registry.do_send(Manage {
            name: name.into(),
            verb,
            caller,
            told,
        });
        // Dropped without a word if the registry has gone.
        shielded(how).await.unwrap_or(Err(ManageError::Stopped))
    }
}
