//! A handler that waits for what the registry does: a mount, an unmount.

use std::sync::Arc;

use super::{For, Guard, WaitId, Waits};
use crate::mailbox::SeatId;
use crate::sync::{Mutex, lock};

/// A handler that waits for the registry. The registry enters what it waits for; those waits end when the
/// registry is done, or when the handler goes away, whichever comes first.
#[derive(Debug)]
pub(crate) struct Caller {
    waits: Arc<Waits>,
    who: SeatId,
    /// None when it has gone away.
    begun: Mutex<Option<Vec<WaitId>>>,
}

impl Caller {
    /// The subsystem.
    pub(crate) fn who(&self) -> SeatId {
        self.who
    }

    /// Enters what it waits for, unless it has gone away.
    ///
    /// # Errors
    /// As [`Waits::begin`].
    pub(crate) fn enter(&self, what: For) -> Result<Option<Guard>, Vec<SeatId>> {
        if lock(&self.begun).is_none() {
            return Ok(None);
        }
        let guard = self.waits.guard(self.who, what)?;
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
    /// The wait of the handler of `who`; of nobody's if that is 0.
    pub(crate) fn new(waits: &Arc<Waits>, who: SeatId) -> Self {
        let caller = (who != 0).then(|| Caller {
            waits: waits.clone(),
            who,
            begun: Mutex::new(Some(Vec::new())),
        });
        Waiting(caller.map(Arc::new))
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
