//! The part of a thread that a mailbox and a host use. In the models of the mailbox no host lives on it, and
//! hosts are woken through their tasks.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;

use crate::base::clock::Stamp;
use crate::books::latency::Sample;
use crate::envelope::pool::lane::Lane;

pub(crate) struct Local {
    pub(crate) agenda: Agenda,
    pub(crate) lane: Own,
    pub(crate) owed: Cell<usize>,
    pub(crate) busy_ns: Cell<u64>,
    pub(crate) going_on: Cell<u32>,
    pub(crate) samples: Cell<Vec<Sample>>,
    pub(crate) latest: Cell<Stamp>,
}

/// The thread's lane, if a host lives there.
pub(crate) struct Own(Option<Arc<Lane>>);

impl Deref for Own {
    type Target = Lane;

    fn deref(&self) -> &Lane {
        self.0.as_deref().expect("the thread of a host has one")
    }
}

/// The agenda of a thread without hosts.
pub(crate) struct Agenda;

impl Local {
    pub(crate) const fn new() -> Self {
        Local {
            agenda: Agenda,
            lane: Own(None),
            owed: Cell::new(0),
            busy_ns: Cell::new(0),
            going_on: Cell::new(0),
            samples: Cell::new(Vec::new()),
            latest: Cell::new(Stamp(0)),
        }
    }

    /// Makes the thread of a host.
    pub(crate) fn with(lane: Arc<Lane>) -> Self {
        Local {
            lane: Own(Some(lane)),
            ..Local::new()
        }
    }

    /// A thread that answers later is never a host here.
    pub(crate) fn is_in_turn_of(&self, _mailbox: u32) -> bool {
        false
    }

    pub(crate) fn id(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }
}

impl Agenda {
    pub(crate) fn note(&self, _number: u32) -> bool {
        false
    }

    pub(crate) fn lend(&self, _number: u32) -> bool {
        false
    }

    /// No turn is lent.
    pub(crate) fn depth(&self) -> u32 {
        0
    }
}
