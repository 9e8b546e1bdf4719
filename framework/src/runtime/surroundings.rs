//! What the system answers extractors and handlers, which know it by a trait only.

use std::sync::Arc;

use crate::base::clock::Clock;
use crate::route::extract::{Away, Deferrals, Delivery, SenderId, States, Surroundings, Work};
use crate::runtime::blocking::{BlockingCall, BlockingHolder};
use crate::runtime::deadlock::{For, Guard};
use crate::runtime::shared::Shared;
use crate::thread::Local;

impl Surroundings for Shared {
    fn name_of(&self, sender: SenderId) -> Option<Arc<str>> {
        self.directory.name_of(sender)
    }

    fn states(&self) -> &States {
        &self.states
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn deferrals(&self, of: SenderId) -> Option<Arc<Deferrals>> {
        let mounted = self.directory.by_mailbox(of)?;
        Some(Arc::new(Deferrals::new(
            self.pool.clone(),
            mounted.mailbox.clone(),
            self.clock.clone(),
            mounted.number,
        )))
    }

    fn block(&self, of: &Delivery<'_>, work: Work) -> Away {
        let (pool, waits) = (self.pool.clone(), self.waits.clone());
        let (mailbox, due, trace) = (of.receiver, of.due, of.trace);
        let name = self.name_of(mailbox).unwrap_or_else(|| "?".into());
        let who = BlockingHolder { mailbox, name };
        // This wait ends when a thread is free. It is never refused.
        let wait = self.waits.guard(mailbox, For::Thread).ok();
        let given_up = wait.as_ref().map(Guard::again);
        let away = self.blocking.run(who, wait, move || {
            let local = Local::of(&pool);
            // The subsystem is the sender of what the handler sends. The handler may wait for room, since this is
            // not a thread of subsystems.
            let _serving = local.serve_blocking(mailbox);
            local.take_up(due, trace);
            let back = work();
            if local.has_waited.get() {
                waits.end_all(mailbox);
            }
            back
        });
        let away = away.map(BlockingCall);
        Box::pin(async move {
            let _wait = given_up;
            away.ok()?.await.ok()
        })
    }
}
