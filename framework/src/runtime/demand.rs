//! What a sender asks of its system when it finds no one under a name. `send → `**`demand`**` → registry`

use std::sync::Arc;

use super::shared::{Phase, Shared};
use crate::mailbox::Mailbox;
use crate::words::error::SendError;

impl Shared {
    /// Has a subsystem mounted that is mounted on demand. Where its senders wait; `None` if no one is to be mounted
    /// under that name.
    #[cold]
    pub(crate) fn want(&self, name: &str) -> Option<Arc<Mailbox>> {
        let directory = &self.directory;
        if self.phase() != Phase::Open || directory.demand.routes_of(name).is_none() {
            return None;
        }
        // One that was mounted otherwise, and has ended, is closed.
        if directory.get(name).is_some_and(|one| !one.is_on_demand()) {
            return None;
        }
        let id = || directory.new_mailbox_id();
        Some(directory.demand.want(name, id, &self.pool.deferred))
    }

    /// Why the subsystem was not mounted that was to have this mailbox, if that is so.
    pub(crate) fn failed_start(&self, mailbox: &Arc<Mailbox>) -> Option<SendError> {
        self.directory.demand.failure_at(mailbox)
    }
}
