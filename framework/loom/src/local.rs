//! What a mailbox asks of the thread that a sender runs on, for threads on which no subsystem lives: they
//! wake the host's task.

pub(crate) struct Local {
    pub(crate) agenda: Agenda,
}

/// Of nobody.
pub(crate) struct Agenda;

impl Local {
    pub(crate) const fn new() -> Self {
        Local { agenda: Agenda }
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
}
