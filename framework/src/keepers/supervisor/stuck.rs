//! Finds subsystems whose handler does not return, tells of them, and does what their options say.
//!
//! Every tick it looks at what each host is at. What it saw before and sees again is a handler, or a turn, that has
//! not ended. Nothing is kept of those that are idle.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::base::clock::Stamp;
use crate::base::sync::lock;
use crate::directory::Mounted;
use crate::directory::work::WorkMark;
use crate::mailbox::MailboxId;
use crate::mailbox::orders::Control;
use crate::runtime::shared::Shared;
use crate::words::events::Change;
use crate::words::stuck::{Stuck, StuckIn, WhenStuck};
use crate::words::supervision::Failure;

/// See the module.
pub(super) struct StuckWatch {
    /// By the number of the mount.
    seen: FxHashMap<u64, Seen>,
    looks: u64,
    /// Those to be told in this look. Empty in between.
    found: Vec<(MailboxId, u64, Stuck)>,
}

/// A handler under way.
struct Seen {
    /// What its host was at in the last look.
    work: WorkMark,
    since: Stamp,
    looked: u64,
    /// The name, once it is told.
    told: Option<Arc<str>>,
    /// The thread that it holds, if it was told to.
    held: Option<usize>,
}

/// How many that are at work at once it has room for from the start, so that to watch few allocates nothing.
const FEW: usize = 48;

impl Default for StuckWatch {
    fn default() -> Self {
        StuckWatch {
            seen: FxHashMap::with_capacity_and_hasher(FEW, Default::default()),
            looks: 0,
            found: Vec::new(),
        }
    }
}

impl StuckWatch {
    /// Looks at all that are mounted; true if any has something under way.
    pub(super) fn look(&mut self, shared: &Shared) -> bool {
        self.looks = self.looks.wrapping_add(1);
        let (looks, now) = (self.looks, shared.clock.now());
        let (seen, found) = (&mut self.seen, &mut self.found);
        let mut returned = Vec::new();
        shared.directory.for_each(|mounted| {
            let work = mounted.work.look();
            if !work.is_under_way() {
                return;
            }
            let fresh = || Seen {
                work,
                since: now,
                looked: looks,
                told: None,
                held: None,
            };
            let one = seen.entry(mounted.number).or_insert_with(fresh);
            if !one.work.is_same(work) {
                returned.extend(one.told.take());
                *one = fresh();
            }
            let before = std::mem::replace(&mut one.work, work);
            one.looked = looks;
            let age = Duration::from_nanos(shared.clock.between_ns(one.since, now));
            let limit = mounted.policy().stuck_after.or(shared.stuck_after);
            if one.told.is_some() || limit.is_none_or(|limit| age < limit) {
                return;
            }
            let place = if work.is_in_turn() && work == before {
                StuckIn::Thread
            } else if shared.blocking.holds(mounted.mailbox.id) {
                StuckIn::BlockingThread
            } else {
                StuckIn::Await
            };
            one.held = (place == StuckIn::Thread).then_some(mounted.thread);
            one.told = Some(mounted.mailbox.name.clone());
            mounted.note_stuck(work, one.since, place);
            found.push((mounted.mailbox.id, mounted.number, Stuck { age, place }));
        });
        seen.retain(|_, one| {
            let stays = one.looked == looks;
            if !stays {
                returned.extend(one.told.take());
            }
            stays
        });
        let works = !seen.is_empty();
        // Of those that are idle nothing is kept, so this allocates only if some are held.
        let held = seen.values().filter_map(|one| one.held).collect();
        *lock(&shared.held_threads) = held;
        // Watchers are woken here, whose wakers are the user's: no lock is held.
        for name in returned {
            shared.events.tell(&name, Change::Returned);
        }
        for (mailbox, number, stuck) in found.drain(..) {
            let mounted = shared.directory.by_mailbox(mailbox);
            if let Some(mounted) = mounted.filter(|one| one.number == number) {
                tell(shared, &mounted, stuck);
            }
        }
        works
    }
}

fn tell(shared: &Shared, mounted: &Mounted, stuck: Stuck) {
    let name = &mounted.mailbox.name;
    shared.events.tell(name, Change::Stuck(stuck));
    let failure = Failure::Stuck(stuck.age);
    match mounted.policy().when_stuck {
        WhenStuck::Tell => {}
        WhenStuck::Restart => mounted.order(Control::Fail(failure)),
        WhenStuck::GiveUp => mounted.order(Control::GiveUp(failure)),
    }
}
