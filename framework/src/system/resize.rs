//! Resizing replicas.

use std::pin::pin;

use futures_util::future::{Either, select};
use tokio::sync::oneshot;

use super::System;
use crate::base::user_code::shielded;
use crate::directory::replicas::Replicas;
use crate::keepers::registry::resizing::Resize;
use crate::words::error::MountError;

impl System {
    /// Changes how many [replicas](Replicas) share a name, while messages flow: as `users/0` to `users/7` for 8 of
    /// `users`. Returns when messages are spread over so many.
    ///
    /// Nothing is lost: those that are too many end what they have accepted, and are unmounted then. With a choice
    /// by capture each key stays with its replica or goes to one other. What is sent to such a key waits, as for
    /// room, until the replica that had it has handled what it had accepted before: a sender's messages keep their
    /// order. State does not move along: `#[stopped]` and `#[started]` can save and load it.
    ///
    /// # Errors
    /// `NoReplicas`; `BadSetting`, for none or more than [`Replicas::MAX`]; `Resizing`, while messages from before the
    /// last resize are waited for; or as for [`mount_replicas`](Self::mount_replicas), and then all is as it was.
    ///
    /// # Cancel safety
    /// Dropped before its end, it goes on.
    ///
    /// # Examples
    /// ```
    /// # use mycelia::prelude::*;
    /// # use mycelia::Replicas;
    /// # #[derive(Message)] #[message(reply = String)] struct Who;
    /// # #[derive(Subsystem, Default)] struct Users;
    /// # #[routes] impl Users {
    /// #     #[route("{id}/who")] fn who(&mut self, _: Who, ctx: Context, Path(_): Path<u64>) -> String { ctx.name().into() }
    /// # }
    /// # #[mycelia::main]
    /// # async fn main() -> anyhow::Result<()> {
    /// # let system = System::builder().start().await?;
    /// system.mount_replicas(Replicas::by_capture(2, "id"), Users::default).await?;
    /// let before = system.ask("users://7/who", Who).await?;
    /// system.resize("users", 8).await?;
    /// let after = system.ask("users://7/who", Who).await?;
    /// assert!(after == before || !["users/0", "users/1"].contains(&&*after));
    /// # system.stop().await?;
    /// # Ok(()) }
    /// ```
    pub async fn resize(&self, name: &str, replicas: usize) -> Result<(), MountError> {
        if !(1..=Replicas::MAX).contains(&replicas) {
            return Err(MountError::BadSetting {
                subsystem: name.into(),
                setting: "replicas",
                must_be: "1 to 65,536",
            });
        }
        if self.0.shared.must_not_wait() {
            let subsystem = name.into();
            return Err(MountError::WouldBlock { subsystem });
        }
        let waiting = self.waiting();
        let (told, how) = oneshot::channel();
        self.0.registry.do_send(Resize {
            name: name.into(),
            count: replicas,
            caller: waiting.caller(),
            told,
        });
        match select(pin!(shielded(how)), pin!(waiting.hopeless())).await {
            Either::Left((how, _)) => how.unwrap_or(Err(MountError::Stopped)),
            Either::Right((cycle, _)) => Err(MountError::WaitCycle {
                subsystem: name.into(),
                cycle,
            }),
        }
    }
}
