//! Admissions of routes, as the options of a mount have them.

use std::sync::Arc;

use super::System;
use super::mount_options::MountOptions;
use crate::base::sync::Ordering;
use crate::route::RouteMap;
use crate::words::admission::Admission;
use crate::words::error::MountError;

impl MountOptions {
    /// Lets a route take only messages that are admitted: a rate limit, for instance. It holds for all senders, by
    /// path and by handle, and for all replicas together; only the subsystem's own timers and streams are always
    /// admitted. A restart leaves it as it is.
    /// A message that it refuses comes back at once as [`Refused`](crate::error::SendError::Refused), from a `tell`
    /// too. Clones of these options share it. Default: every message is admitted, at no cost.
    ///
    /// With several for one route, all must admit the message: the last that was given is asked first.
    ///
    /// [`System::mount_all`](crate::System::mount_all) takes no options with an admission.
    ///
    /// # Examples
    /// ```
    /// # use mycelia::prelude::*;
    /// # use mycelia::schedule::Admission;
    /// # use std::sync::atomic::{AtomicU32, Ordering};
    /// # use std::time::Duration;
    /// # #[derive(Message)] struct Ping;
    /// # #[derive(Subsystem, Default)] struct Api;
    /// # #[routes] impl Api { #[route("ping")] fn ping(&mut self, _: Ping) {} }
    /// /// Admits so many messages, ever.
    /// struct Tickets(AtomicU32);
    ///
    /// impl Admission for Tickets {
    ///     fn admit(&self, _: &mycelia::time::Clock) -> Result<(), Duration> {
    ///         let take = |left: u32| left.checked_sub(1);
    ///         let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
    ///         taken.map(drop).map_err(|_| Duration::MAX)
    ///     }
    /// }
    ///
    /// # #[mycelia::main]
    /// # async fn main() -> anyhow::Result<()> {
    /// # let system = System::builder().start().await?;
    /// let options = MountOptions::new().admission("ping", Tickets(AtomicU32::new(1)));
    /// system.mount_with(options, Api::default).await?;
    /// system.tell("api://ping", Ping).await?;
    /// let refused = system.tell("api://ping", Ping).await.unwrap_err();
    /// assert_eq!(refused.reason().retry_after(), Some(Duration::MAX));
    /// # system.stop().await?;
    /// # Ok(()) }
    /// ```
    pub fn admission(mut self, pattern: impl Into<Arc<str>>, admission: impl Admission) -> Self {
        self.admissions.add(pattern.into(), admission);
        self
    }

    /// Looks for options that can't be given where many are mounted at once.
    pub(super) fn check_among(&self, name: &str) -> Result<(), MountError> {
        match self.admissions.is_empty() {
            true => Ok(()),
            false => Err(MountError::BadSetting {
                subsystem: name.into(),
                setting: "admission",
                must_be: "given to a mount of its own",
            }),
        }
    }
}

impl System {
    /// The routes of a kind as a mount with these options has them; `name` is the subsystem's, for an error.
    pub(super) fn map_for(
        &self,
        options: &MountOptions,
        map: &Arc<RouteMap>,
        name: &str,
    ) -> Result<Arc<RouteMap>, MountError> {
        if options.admissions.is_empty() {
            return Ok(map.clone());
        }
        // A number of its own: a handle from another mount does not pass this one's admissions, and is resolved again.
        let id = self.0.next_table.fetch_add(1, Ordering::Relaxed);
        let map = map.admitting(id, &options.admissions);
        Ok(Arc::new(map.map_err(|error| error.of(name))?))
    }
}
