//! A handler that waits for what the registry does: a mount, an unmount.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::hopeless::Verdict;
use super::{For, Guard, WaitGraph, WaitId};
use crate::base::sync::{Mutex, lock};
use crate::mailbox::MailboxId;

/// A handler that waits for the registry. The registry enters what it waits for; those waits end when the
/// registry is done, or when the handler goes away, whichever comes first.
#[derive(Debug)]
pub(crate) struct Caller {
    waits: Arc<WaitGraph>,
    who: MailboxId,
    /// Of all that it waits for.
    verdict: Arc<Verdict>,
    /// None when it has gone away.
    begun: Mutex<Option<Vec<WaitId>>>,
}

impl Caller {
    /// The subsystem.
    pub(crate) fn who(&self) -> MailboxId {
        self.who
    }

    /// Enters what it waits for, unless it has gone away.
    ///
    /// # Errors
    /// As [`WaitGraph::begin`].
    pub(crate) fn enter(&self, what: For) -> Result<Option<Guard>, Vec<MailboxId>> {
        if lock(&self.begun).is_none() {
            return Ok(None);
        }
        let verdict = Some(self.verdict.clone());
        let wait = self.waits.begin_with(self.who, what, verdict)?;
        let waits = self.waits.clone();
        let guard = Guard { waits, id: wait.id };
        match &mut *lock(&self.begun) {
            Some(begun) => begun.push(guard.id),
            None => return Ok(None),
        }
        Ok(Some(guard))
    }
}

/// Kept by the handler's future: when it is dropped, the handler waits no more.
#[derive(Debug)]
pub(crate) struct Waiting(Option<Arc<Caller>>);

impl Waiting {
    /// The wait of the handler of `who`; of no one's if that is 0.
    pub(crate) fn new(waits: &Arc<WaitGraph>, who: MailboxId) -> Self {
        let caller = (who != 0).then(|| Caller {
            waits: waits.clone(),
            who,
            verdict: waits.new_verdict(),
            begun: Mutex::new(Some(Vec::new())),
        });
        Waiting(caller.map(Arc::new))
    }

    /// Waits until it is found that what the handler waits for never comes; who waits for whom. For no one's
    /// handler that is never found.
    pub(crate) async fn hopeless(&self) -> Box<str> {
        let Some(caller) = &self.0 else {
            return std::future::pending().await;
        };
        poll_fn(|cx| match caller.verdict.is_hopeless(cx.waker()) {
            true => Poll::Ready(caller.verdict.cycle().unwrap_or_default()),
            false => Poll::Pending,
        })
        .await
    }

    /// What the registry is given.
    pub(crate) fn caller(&self) -> Option<Arc<Caller>> {
        self.0.clone()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(caller) = &self.0 {
            let begun = lock(&caller.begun).take();
            for id in begun.into_iter().flatten() {
                caller.waits.end(id);
            }
        }
    }
}
