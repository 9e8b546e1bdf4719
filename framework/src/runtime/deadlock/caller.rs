//! The wait of a handler for the registry: for a mount or an unmount.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::hopeless::Verdict;
use super::{For, Guard, WaitGraph, WaitId};
use crate::base::sync::{Mutex, lock};
use crate::mailbox::MailboxId;

/// A handler that waits for the registry. The registry enters the edges of the wait graph for it. They end when
/// the registry is done, or when the handler stops waiting, whichever comes first.
#[derive(Debug)]
pub(crate) struct Caller {
    waits: Arc<WaitGraph>,
    who: MailboxId,
    /// The verdict on all of its waits.
    verdict: Arc<Verdict>,
    /// Its waits. Added to by the registry; `None` once the handler has stopped waiting.
    begun: Mutex<Option<Vec<WaitId>>>,
}

impl Caller {
    /// Enters an edge, unless the handler has stopped waiting: then it returns `None`.
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

/// Kept by the handler's future. Its drop ends the handler's waits.
#[derive(Debug)]
pub(crate) struct Waiting(Option<Arc<Caller>>);

impl Waiting {
    /// The wait of the handler of `who`. If `who` is 0, no handler waits, and nothing is entered.
    pub(crate) fn new(waits: &Arc<WaitGraph>, who: MailboxId) -> Self {
        let caller = (who != 0).then(|| Caller {
            waits: waits.clone(),
            who,
            verdict: waits.new_verdict(),
            begun: Mutex::new(Some(Vec::new())),
        });
        Waiting(caller.map(Arc::new))
    }

    /// Waits until the supervisor finds that the wait can't end, and returns who waits for whom. If no handler
    /// waits, it never returns.
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

    /// The caller, to hand to the registry.
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
