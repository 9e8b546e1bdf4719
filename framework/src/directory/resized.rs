//! What is known of replicas that were resized: who still has messages of keys that are another's now.
//!
//! A message of such a key waits with its sender until the replica that had the key before has ended what it had
//! accepted when the group was resized, so that a sender's messages keep their order. A sender that chose a replica
//! before that, and whose message came there after it, notes it here: it alone can send a next message that must
//! not overtake that one.

use std::sync::Arc;

use crate::base::sync::{AtomicU8, AtomicU64, Mutex, Ordering, lock};
use crate::directory::Mounted;
use crate::mailbox::Mailbox;
use crate::words::ledger::Ledger;

/// What a group was before it was resized.
pub(crate) struct Before {
    members: Arc<[Arc<Mounted>]>,
    /// By member, how many messages must have ended; `u64::MAX` until that is known.
    targets: Box<[AtomicU64]>,
    /// How many are members still.
    staying: usize,
    /// 1 when all have ended what they had.
    is_over: AtomicU8,
}

/// What is known of a group whatever its size.
#[derive(Default)]
pub(crate) struct GroupBooks {
    /// The account of its members that have gone.
    pub(super) retired: Mutex<Ledger>,
    pub(super) late: Late,
}

/// Messages that came to a member after a resize, by a choice from before.
#[derive(Default)]
pub(super) struct Late {
    /// 1 if there are any.
    any: AtomicU8,
    /// Where they are, and how many must have ended there.
    all: Mutex<Vec<(Arc<Mailbox>, u64)>>,
}

/// How many messages will have ended when all have that are accepted; too many rather than too few.
fn target(mailbox: &Mailbox) -> u64 {
    // In this order: what ends in between counts twice.
    let waiting = mailbox.waiting();
    waiting.saturating_add(mailbox.endings.finished())
}

/// True if so many have ended, and the ones that were accepted first among them.
fn has_reached(mailbox: &Mailbox, target: u64) -> bool {
    // Of different priorities, or where some are dropped, others may have ended.
    let is_in_order = mailbox.lanes().is_none();
    is_in_order && mailbox.endings.finished() >= target || mailbox.waiting() == 0
}

impl Before {
    pub(super) fn new(members: Arc<[Arc<Mounted>]>, count: usize) -> Self {
        let targets = members.iter().map(|_| AtomicU64::new(u64::MAX)).collect();
        Before {
            staying: count.min(members.len()),
            targets,
            members,
            is_over: AtomicU8::new(0),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire) != 0
    }

    pub(super) fn count(&self) -> usize {
        self.members.len()
    }

    pub(super) fn mailbox(&self, at: usize) -> Arc<Mailbox> {
        self.members[at].mailbox.clone()
    }

    /// True if a member has ended what it had accepted before.
    pub(super) fn has_ended(&self, at: usize) -> bool {
        let target = self.targets[at].load(Ordering::Acquire);
        target != u64::MAX && has_reached(&self.members[at].mailbox, target)
    }

    /// No message is sent any more by a choice from before, but by those who note that.
    pub(crate) fn begin(&self) {
        for (member, known) in self.members.iter().zip(&self.targets) {
            known.store(target(&member.mailbox), Ordering::Release);
        }
    }

    /// Lets senders look whose keys have moved. True when all from whom keys have moved have ended what they had.
    pub(crate) fn look(&self) -> bool {
        // With more than before keys move from all, with fewer from those who go.
        let from = match self.staying < self.members.len() {
            true => self.staying,
            false => 0,
        };
        let all_have = (from..self.members.len()).all(|at| self.has_ended(at));
        for member in self.members.iter() {
            member.mailbox.recall();
        }
        all_have
    }

    /// No key waits any more.
    pub(crate) fn end(&self) {
        self.is_over.store(1, Ordering::Release);
    }
}

impl Late {
    pub(super) fn note(&self, mailbox: &Arc<Mailbox>) {
        let mut all = lock(&self.all);
        all.push((mailbox.clone(), target(mailbox)));
        self.any.store(1, Ordering::Release);
    }

    /// Where one of them is.
    pub(super) fn first(&self) -> Option<Arc<Mailbox>> {
        if self.any.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut all = lock(&self.all);
        all.retain(|(mailbox, target)| !has_reached(mailbox, *target));
        if all.is_empty() {
            self.any.store(0, Ordering::Release);
        }
        all.first().map(|(mailbox, _)| mailbox.clone())
    }
}
