//! A subsystem while it is mounted, as far as the directory goes.

use std::sync::Arc;

use crate::base::sync::{AtomicU8, Ordering};
use crate::mailbox::Mailbox;
use crate::words::ledger::Ledger;

pub(crate) const GONE: u8 = 1;
pub(crate) const RETIRED: u8 = 2;

pub(crate) struct Mounted {
    pub(crate) number: u64,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) table: u32,
    pub(crate) gone: AtomicU8,
    baseline: Ledger,
}

impl Mounted {
    pub(crate) fn new(mailbox: &Arc<Mailbox>, table: u32) -> Arc<Self> {
        Arc::new(Mounted {
            number: table.into(),
            mailbox: mailbox.clone(),
            table,
            gone: AtomicU8::new(0),
            baseline: mailbox.ledger(),
        })
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire) != 0
    }

    pub(crate) fn group(&self) -> Option<&()> {
        None
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.mailbox.ledger().minus(&self.baseline)
    }
}
