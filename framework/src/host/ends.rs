//! The other ends of a message than being handled. `turn → `**`ends`**` → gathered, dead letters`

use super::gathered::Gathered;
use super::hooks::NO_TIME;
#[cfg(feature = "test")]
use super::injected::without_delay;
use super::turn::Service;
use super::{Resident, Works};
use crate::base::clock::Stamp;
use crate::base::sim::{self, Point};
use crate::base::user_code::contain;
use crate::books::dead_letters::DeadReason;
use crate::envelope::Envelope;
use crate::mailbox::orders::Order;
use crate::route::handler::Unanswered;
use crate::route::handler::hooks::Hook;
use crate::runtime::shared::Letter;
use crate::words::ledger::Ending;

/// Drops what lies in an envelope, which is the user's: a message that no handler took, or a reply that is not
/// to be given.
pub(super) fn empty(envelope: &mut Envelope<'_>) {
    // It counts as gone before its drop, which may panic, is called.
    let _ = contain(|| envelope.clear());
}

/// Puts in, instead of a message that no handler took, what its asker is to find.
#[cold]
pub(super) fn put_failure(envelope: &mut Envelope<'_>, failure: Unanswered) {
    empty(envelope);
    envelope.fill(failure);
}

pub(super) fn bury<S>(works: &Works<S>, envelope: &Envelope<'_>, reason: DeadReason) {
    let mounted = &works.mounted;
    let letter = Letter::of(envelope);
    works
        .shared
        .bury(&mounted.seat, &mounted.map, letter, reason);
}

/// Ends a message whose deadline has passed, or whose asker has gone, before its handler began.
#[cold]
pub(super) fn expire<S>(works: &Works<S>, mut envelope: Envelope<'_>, gathered: &mut Gathered<'_>) {
    // Its asker is told, or has gone by its own will.
    if envelope.head().is_ask {
        put_failure(&mut envelope, Unanswered::Expired);
    } else {
        bury(works, &envelope, DeadReason::Expired);
    }
    gathered.close(works, envelope, Ending::Expired);
}

/// Ends a message that no handler takes.
#[cold]
pub(super) fn reject<S>(works: &Works<S>, mut envelope: Envelope<'_>, gathered: &mut Gathered<'_>) {
    if envelope.head().is_ask {
        put_failure(&mut envelope, Unanswered::Unhandled);
    } else {
        bury(works, &envelope, DeadReason::Undeliverable);
    }
    gathered.close(works, envelope, Ending::Undeliverable);
}

/// Ends a message whose handler returned an error.
#[cold]
pub(super) fn failed<S>(
    works: &Works<S>,
    envelope: Envelope<'_>,
    started: Stamp,
    text: String,
    gathered: &mut Gathered<'_>,
) {
    if !envelope.head().is_ask {
        bury(works, &envelope, DeadReason::Failed(text.as_str().into()));
    }
    works.mounted.note_failure(text.into());
    gathered.sample(works, &envelope, started);
    gathered.close(works, envelope, Ending::Failed);
}

impl<S: 'static> Resident<S> {
    /// Ends what is under way, since there is no more time for it.
    #[cold]
    pub(super) fn cut_off(
        &mut self,
        works: &Works<S>,
        service: Service,
        gathered: &mut Gathered<'_>,
    ) {
        let _ = contain(|| self.desk.runner.clear());
        self.end_waits_of_ended(works);
        self.end_cut_off(works, service, gathered);
    }

    /// Ends the message that was under way; its handler has been dropped, or nobody waits for it.
    pub(super) fn end_cut_off(
        &mut self,
        works: &Works<S>,
        service: Service,
        gathered: &mut Gathered<'_>,
    ) {
        #[cfg(feature = "test")]
        let service = without_delay(works, service);
        let (token, started) = match service {
            Service::Message(token, started) => (token, started),
            Service::Hook(Hook::Stopped) => return self.last_hook_failed(works, NO_TIME),
            _ => return,
        };
        let mut envelope = Envelope::new(&works.shared.pool.slab, token);
        gathered.sample(works, &envelope, started);
        if envelope.head().is_ask {
            put_failure(&mut envelope, Unanswered::Unhandled);
        } else {
            bury(works, &envelope, DeadReason::Undeliverable);
        }
        gathered.close(works, envelope, Ending::Failed);
    }

    /// Ends everything that is still here, and tells the registry.
    pub(super) fn end(&mut self, works: &Works<S>) {
        self.is_ending = true;
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let shared = &works.shared;
        let mut gathered = Gathered::new(&works.local);
        if let Some(service) = self.in_service.take() {
            self.cut_off(works, service, &mut gathered);
        }
        // Closed first: who is told of its message's end finds the mailbox closed.
        let links = &shared.pool.links;
        let mut rest = works.mounted.seat.close(links);
        sim::preempt(Point::Closed);
        let mut reject = |token| {
            reject(
                works,
                Envelope::new(&shared.pool.slab, token),
                &mut gathered,
            )
        };
        let mut kept = self.all_kept(links);
        while let Some(token) = kept.pop_front(links) {
            reject(token);
        }
        self.order = Order::Abort;
        loop {
            while let Some(token) = self.backlog.pop_front(links) {
                reject(token);
            }
            match rest.take() {
                Some(taken) => self.account(works, taken),
                None => break,
            }
        }
        if let Some(lanes) = works.mounted.seat.lanes() {
            while let Some(token) = self.next_of(lanes, works, links) {
                reject(token);
            }
        }
        gathered.begin_turn(&mut self.went_on);
        gathered.end_turn(works, false);
        sim::preempt(Point::Closed);
        works.mounted.seat.move_out();
        works.mounted.seat.leave_waker(None);
        self.waker = None;
        // Senders that wait for room in this mailbox must learn that there will be none.
        works.mounted.seat.recall();
        drop(gathered);
        self.finish_life(works);
    }
}
