//! The other ends of a message than being handled. `turn → `**`ends`**` → batch, dead letters`

use super::batch::TurnBatch;
use super::hooks::NO_TIME;
use super::life::Closing;
use super::marked::without_delay;
use super::turn::Service;
use super::{HostEnv, HostState};
use crate::base::clock::Stamp;
use crate::base::sim::{self, Point};
use crate::base::user_code::contain;
use crate::books::dead_letters::DeadReason;
use crate::envelope::Envelope;
use crate::envelope::Unanswered;
use crate::mailbox::orders::Order;
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

/// Ends a message that was not handled for its sender: an asker finds why, and a message that was told is a dead
/// letter.
pub(super) fn tell_or_bury<S>(
    env: &HostEnv<S>,
    envelope: &mut Envelope<'_>,
    failure: Unanswered,
    reason: DeadReason,
) {
    if envelope.head().is_ask {
        put_failure(envelope, failure);
    } else {
        bury(env, envelope, reason);
    }
}

pub(super) fn bury<S>(env: &HostEnv<S>, envelope: &Envelope<'_>, reason: DeadReason) {
    let mounted = &env.mounted;
    let letter = Letter::of(envelope);
    env.shared
        .bury(&mounted.mailbox, &mounted.map, letter, reason);
}

/// Ends a message whose deadline has passed, or whose asker has gone, before its handler began.
#[cold]
pub(super) fn expire<S>(env: &HostEnv<S>, mut envelope: Envelope<'_>, batch: &mut TurnBatch<'_>) {
    // Its asker is told, or has gone by its own will.
    tell_or_bury(env, &mut envelope, Unanswered::Expired, DeadReason::Expired);
    batch.close(env, envelope, Ending::Expired);
}

/// Ends a message that no handler takes.
#[cold]
pub(super) fn reject<S>(env: &HostEnv<S>, mut envelope: Envelope<'_>, batch: &mut TurnBatch<'_>) {
    tell_or_bury(
        env,
        &mut envelope,
        Unanswered::Unhandled,
        DeadReason::Undeliverable,
    );
    batch.close(env, envelope, Ending::Undeliverable);
}

/// Ends a message whose handler returned an error.
#[cold]
pub(super) fn failed<S>(
    env: &HostEnv<S>,
    envelope: Envelope<'_>,
    started: Stamp,
    text: String,
    batch: &mut TurnBatch<'_>,
) {
    if !envelope.head().is_ask {
        bury(env, &envelope, DeadReason::Failed(text.as_str().into()));
    }
    env.mounted.note_failure(text.into());
    batch.sample(env, &envelope, started);
    batch.close(env, envelope, Ending::Failed);
}

/// Ends a message whose handler had begun, and for whose end no one waits any more.
#[cold]
pub(super) fn cut_short<S>(
    env: &HostEnv<S>,
    mut envelope: Envelope<'_>,
    started: Stamp,
    batch: &mut TurnBatch<'_>,
) {
    batch.sample(env, &envelope, started);
    tell_or_bury(
        env,
        &mut envelope,
        Unanswered::Unhandled,
        DeadReason::Undeliverable,
    );
    batch.close(env, envelope, Ending::Failed);
}

impl<S: 'static> HostState<S> {
    /// Ends what is under way, since there is no more time for it.
    #[cold]
    pub(super) fn cut_off(
        &mut self,
        env: &HostEnv<S>,
        service: Service,
        batch: &mut TurnBatch<'_>,
    ) {
        let _ = contain(|| self.slot.runner.clear());
        // It is no longer under way, before anyone hears of that.
        env.mounted.work.next();
        self.end_waits_of_ended(env);
        self.end_cut_off(env, service, batch);
    }

    /// Ends the message that was under way; its handler has been dropped, or no one waits for it.
    pub(super) fn end_cut_off(
        &mut self,
        env: &HostEnv<S>,
        service: Service,
        batch: &mut TurnBatch<'_>,
    ) {
        let service = without_delay(env, service);
        let (token, started) = match service {
            Service::Message(token, started) => (token, started),
            Service::Hook(Hook::Stopped) => return self.last_hook_failed(env, NO_TIME),
            _ => return,
        };
        let envelope = Envelope::new(&env.shared.pool.slab, token);
        cut_short(env, envelope, started, batch);
    }

    /// Ends everything that is still here, and tells the registry.
    pub(super) fn end(&mut self, env: &HostEnv<S>) {
        if std::mem::replace(&mut self.closing, Closing::Ended) == Closing::Ended {
            return;
        }
        let shared = &env.shared;
        let mut batch = TurnBatch::new(&env.local);
        if let Some(service) = self.in_service.take() {
            self.cut_off(env, service, &mut batch);
        }
        // Closed first: who is told of its message's end finds the mailbox closed.
        let links = &shared.pool.links;
        let mut rest = env.mounted.mailbox.close(links);
        self.end_all_deferred(env, &mut batch);
        sim::preempt(Point::Closed);
        let mut reject = |token| reject(env, Envelope::new(&shared.pool.slab, token), &mut batch);
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
                Some(taken) => self.account(env, taken),
                None => break,
            }
        }
        if let Some(lanes) = env.mounted.mailbox.lanes() {
            while let Some(token) = self.next_of(lanes, env, links) {
                reject(token);
            }
        }
        batch.begin_turn(&mut self.went_on);
        batch.end_turn(env, false);
        sim::preempt(Point::Closed);
        env.mounted.mailbox.move_out();
        env.mounted.mailbox.leave_waker(None);
        self.waker = None;
        // Senders that wait for room in this mailbox must learn that there will be none.
        env.mounted.mailbox.recall();
        drop(batch);
        self.finish_life(env);
    }
}
