//! The kit's tap on a system's messages: faults and a recording.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use mycelia::__test::{Outgoing, Passing, Planned, Tap, tap};
use mycelia::System;

use crate::faults::Faults;
use crate::path::write_path;
use crate::sync::{Mutex, lock};
use crate::tape::Tape;

/// The kit's tap on the messages of one system.
pub(crate) struct KitTap {
    pub(crate) faults: Faults,
    /// The tape, if a recording is under way. Locked while a recorded message is put into its mailbox, so that
    /// the order on the tape is the order in the mailboxes.
    tape: Mutex<Option<Arc<Tape>>>,
    /// 1 while there is a tape.
    records: AtomicU8,
}

fn path(message: &Outgoing<'_>) -> String {
    let Outgoing {
        subsystem,
        pattern,
        captures,
        query,
        ..
    } = message;
    write_path(subsystem, pattern, captures, *query)
}

impl KitTap {
    pub(crate) fn new(faults: Faults) -> Self {
        KitTap {
            faults,
            tape: Mutex::new(None),
            records: AtomicU8::new(0),
        }
    }

    /// Returns the tap of a system.
    pub(crate) fn of(system: &System) -> Arc<Self> {
        let tap: Arc<dyn Any + Send + Sync> = tap(system, |seed| {
            Arc::new(KitTap::new(Faults::with_seed(seed)))
        });
        tap.downcast().expect("no one else makes a tap")
    }

    /// Returns the tape, if a recording is under way.
    pub(crate) fn tape(&self) -> Option<Arc<Tape>> {
        if self.records.load(Ordering::Relaxed) == 0 {
            return None;
        }
        lock(&self.tape).clone()
    }

    /// Starts a recording on this tape. Returns false if another is under way.
    pub(crate) fn insert(&self, tape: &Arc<Tape>) -> bool {
        let mut held = lock(&self.tape);
        if held.is_some() {
            return false;
        }
        *held = Some(tape.clone());
        self.records.store(1, Ordering::Relaxed);
        true
    }

    /// Ends the recording on that tape.
    pub(crate) fn eject(&self, tape: &Arc<Tape>) {
        let mut held = lock(&self.tape);
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, tape)) {
            *held = None;
            self.records.store(0, Ordering::Relaxed);
        }
    }
}

impl Tap for KitTap {
    fn is_active(&self) -> bool {
        self.faults.are_set() || self.records.load(Ordering::Relaxed) != 0
    }

    fn finds_full(&self, message: &Outgoing<'_>) -> bool {
        self.faults.are_set() && self.faults.finds_full(&path(message))
    }

    fn sending<'t>(&'t self, message: &Outgoing<'_>) -> Passing<'t> {
        let mark = match self.faults.are_set() {
            true => self.faults.mark(&path(message)),
            false => 0,
        };
        let Some(tape) = self.tape() else {
            let accepted = None;
            return Passing { mark, accepted };
        };
        // Not under the lock: it calls the message's own `Serialize`.
        let line = tape.line(message, || path(message));
        let (name, one_at_a_time) = (message.type_name, lock(&self.tape));
        let accepted = move || {
            tape.keep(name, line);
            drop(one_at_a_time);
        };
        Passing {
            mark,
            accepted: Some(Box::new(accepted)),
        }
    }

    fn dropped(&self, message: &Outgoing<'_>) {
        if let Some(tape) = self.tape() {
            let line = tape.line(message, || path(message));
            let _one_at_a_time = lock(&self.tape);
            tape.keep(message.type_name, line);
        }
    }

    fn beginning(&self, mark: u16) -> Planned {
        self.faults.plan(mark)
    }
}
