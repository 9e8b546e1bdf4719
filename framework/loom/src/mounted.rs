//! A mounted subsystem, with the parts that the directory uses.

use std::sync::Arc;

use crate::base::sync::AtomicU32;
use crate::directory::life::LifeCell;
use crate::mailbox::Mailbox;
use crate::words::ledger::Ledger;

pub(crate) struct Mounted {
    pub(crate) number: u64,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) table: u32,
    pub(crate) life: LifeCell,
    pub(crate) roster_at: AtomicU32,
    baseline: Ledger,
}

impl Mounted {
    pub(crate) fn new(mailbox: &Arc<Mailbox>, table: u32) -> Arc<Self> {
        Arc::new(Mounted {
            number: table.into(),
            mailbox: mailbox.clone(),
            table,
            life: LifeCell::new(),
            roster_at: AtomicU32::new(0),
            baseline: mailbox.ledger(),
        })
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.life.is_gone()
    }

    pub(crate) fn family(&self) -> &Self {
        self
    }

    pub(crate) fn group(&self) -> Option<&()> {
        None
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.mailbox.ledger().minus(&self.baseline)
    }
}
