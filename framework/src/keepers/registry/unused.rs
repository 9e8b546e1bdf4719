//! Those that are mounted on demand, and which of them are not used.
//!
//! That is found without a word from any message's way: the registry looks at how many messages each has
//! accepted, and at that again when it needs one to put away or when the time has come. It goes round those that
//! are there like the hand of a clock, and passes over those that had messages since it last came by: Corbató, "A
//! paging experiment with the Multics system", 1968.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::demanding::Offer;
use crate::base::clock::Stamp;
use crate::directory::Mounted;
use crate::directory::demand::prefix_of;
use crate::directory::life::LifeState;

/// So many that are there are looked at for one that is to be put away, before that is put off.
const LOOKS: usize = 64;

/// All that is mounted on demand, by the prefix of its name.
#[derive(Default)]
pub(super) struct OnDemandKinds(pub(super) FxHashMap<Arc<str>, OnDemandKind>);

pub(super) struct OnDemandKind {
    pub(super) offer: Offer,
    /// Those that have been placed and not been vacated.
    pub(super) count: usize,
    /// The numbers of those that are being put away.
    pub(super) leaving: FxHashSet<u64>,
    /// Those that stand, the one to be looked at next first; and some that do not any more.
    pub(super) ring: VecDeque<Unused>,
    /// There are too many, and that is looked at again.
    pub(super) is_put_off: bool,
}

/// One that was not used when it was last looked at, as far as that is known.
pub(super) struct Unused {
    pub(super) mounted: Arc<Mounted>,
    /// How many messages it had accepted.
    accepted: u64,
    pub(super) since: Stamp,
}

impl Unused {
    /// One that has just been mounted.
    pub(super) fn new(mounted: Arc<Mounted>, now: Stamp) -> Self {
        Unused {
            // With the message for which it was mounted, which is not used again by that.
            accepted: mounted.mailbox.accepted().wrapping_add(1),
            mounted,
            since: now,
        }
    }

    /// True if it has not been used since it was last looked at.
    pub(super) fn still(&mut self, now: Stamp) -> bool {
        let Mounted { mailbox, life, .. } = &*self.mounted;
        let accepted = mailbox.accepted();
        let is_at_work = mailbox.waiting() > 0 || self.mounted.spawned() > 0;
        if accepted == self.accepted && !is_at_work && life.state() == LifeState::Up {
            return true;
        }
        self.accepted = accepted;
        self.since = now;
        false
    }

    pub(super) fn has_gone(&self) -> bool {
        self.mounted.life.state() >= LifeState::Leaving
    }
}

impl OnDemandKinds {
    pub(super) fn of(&mut self, name: &str) -> Option<&mut OnDemandKind> {
        self.0.get_mut(prefix_of(name)?)
    }

    /// One has gone.
    pub(super) fn vacated(&mut self, mounted: &Mounted) {
        if let Some(kind) = self.of(&mounted.mailbox.name) {
            kind.count = kind.count.saturating_sub(1);
            kind.leaving.remove(&mounted.number);
            // Those that ended by themselves.
            if kind.ring.len() > kind.count.saturating_mul(2).saturating_add(LOOKS) {
                kind.ring.retain(|one| !one.has_gone());
            }
        }
    }
}

impl OnDemandKind {
    pub(super) fn new(offer: Offer) -> Self {
        OnDemandKind {
            offer,
            count: 0,
            leaving: FxHashSet::default(),
            ring: VecDeque::new(),
            is_put_off: false,
        }
    }

    /// How many there are too many.
    pub(super) fn excess(&self) -> usize {
        let staying = self.count.saturating_sub(self.leaving.len());
        staying.saturating_sub(self.offer.at_most)
    }

    /// One that was not used since the hand last came by, if there is one among the next.
    pub(super) fn next_unused(&mut self, now: Stamp) -> Option<Arc<Mounted>> {
        for _ in 0..LOOKS {
            let mut one = self.ring.pop_front()?;
            if one.has_gone() {
                continue;
            }
            if one.still(now) {
                return Some(one.mounted);
            }
            self.ring.push_back(one);
        }
        None
    }
}
