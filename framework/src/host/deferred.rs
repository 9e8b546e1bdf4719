//! Messages whose reply comes after their handler has returned. `turn → `**`deferred`**` → batch`
//!
//! Promise: each ends once. The one who answers gives the envelope back to the mailbox, and the host ends the
//! message in its next turn; what is still out when the host ends is claimed and ended then.

use super::batch::TurnBatch;
use super::ends::{bury, cut_short, failed, put_failure};
use super::life::{Closing, Life};
use super::turn::Service;
use super::{HostEnv, HostState};
use crate::base::clock::Due;
use crate::base::sync::{Ordering, thread};
use crate::base::user_code::{contain, discard};
use crate::books::dead_letters::DeadReason;
use crate::envelope::Envelope;
use crate::envelope::Unanswered;
use crate::envelope::deferral::DeferredEnd;
use crate::envelope::token::{Chain, Token};
use crate::mailbox::orders::{Control, Order};
use crate::route::handler::Called;
use crate::words::ledger::Ending;
use crate::words::supervision::Failure;

/// An async handler that has taken its envelope, and runs: which, and what its sends carry on.
pub(super) struct Deferring {
    pub(super) index: u32,
    pub(super) due: Due,
    pub(super) trace: u64,
}

impl<S: 'static> HostState<S> {
    /// A handler that took its envelope has been called.
    #[cold]
    pub(super) fn called_deferred(
        &mut self,
        env: &HostEnv<S>,
        called: Called,
        batch: &mut TurnBatch<'_>,
    ) {
        let Some(index) = self.slot.deferred.take() else {
            unreachable!("no other handler takes its envelope");
        };
        self.deferred += 1;
        batch.end_alike(env);
        if called == Called::Running {
            self.in_service = Some(Service::Deferring(Box::new(Deferring {
                index,
                due: env.local.due(),
                trace: env.local.trace(),
            })));
            return;
        }
        self.end_deferring(env, index, called, batch);
    }

    /// Such a handler has ended.
    pub(super) fn end_deferring(
        &mut self,
        env: &HostEnv<S>,
        index: u32,
        called: Called,
        batch: &mut TurnBatch<'_>,
    ) {
        self.end_waits_of_ended(env);
        if called == Called::Panicked {
            let panic = self.slot.panic.take();
            let message = panic.unwrap_or_else(|| "a panic".into());
            return self.panicked_deferred(env, index, message, batch);
        }
        if called == Called::CutOff {
            return self.out_of_time_deferred(env, index, batch);
        }
        self.change();
        self.end_returned(env, batch);
    }

    /// Such a handler has panicked. Its message fails, unless its reply is elsewhere by now.
    #[cold]
    pub(super) fn panicked_deferred(
        &mut self,
        env: &HostEnv<S>,
        index: u32,
        message: Box<str>,
        batch: &mut TurnBatch<'_>,
    ) {
        let slab = &env.shared.pool.slab;
        // The subsystem is there again before any asker hears of it.
        let (own, others) = self.unanswered(env, index);
        match own {
            Some(token) => {
                let started = slab.deferral(index).started();
                let envelope = Envelope::new(slab, token);
                self.panicked(env, envelope, started, message, batch);
            }
            None => {
                self.end_waits_of_ended(env);
                self.fail(env, Failure::Panic((*message).into()));
            }
        }
        self.end_all(env, others, batch);
    }

    /// Such a handler was cut off. Its message's time is up, unless its reply is elsewhere by now.
    #[cold]
    fn out_of_time_deferred(&mut self, env: &HostEnv<S>, index: u32, batch: &mut TurnBatch<'_>) {
        let slab = &env.shared.pool.slab;
        let (own, others) = self.unanswered(env, index);
        if let Some(token) = own {
            let started = slab.deferral(index).started();
            self.out_of_time(env, Envelope::new(slab, token), started, batch);
        }
        self.change();
        self.end_all(env, others, batch);
    }

    /// The message of such a handler, if its reply was dropped with the handler; and all others whose reply has
    /// come.
    fn unanswered(&mut self, env: &HostEnv<S>, index: u32) -> (Option<Token>, Chain) {
        let (pool, mailbox) = (&*env.shared.pool, &env.mounted.mailbox);
        let mut own = Chain::new();
        let mut others = mailbox.returned.take(&pool.links);
        others.split_off(&pool.links, &mut own, |token| {
            let envelope = Envelope::new(&pool.slab, token);
            let was_dropped = envelope.head().deferred == DeferredEnd::Dropped;
            let is_own = envelope.index() == index && was_dropped;
            (envelope.into_token(), is_own)
        });
        let own = own.pop_front(&pool.links);
        self.deferred -= u32::from(own.is_some());
        (own, others)
    }

    /// Ends all messages whose reply has come.
    pub(super) fn end_returned(&mut self, env: &HostEnv<S>, batch: &mut TurnBatch<'_>) {
        if env.mounted.mailbox.returned.is_empty() {
            return;
        }
        batch.end_alike(env);
        let links = &env.shared.pool.links;
        let returned = env.mounted.mailbox.returned.take(links);
        self.end_all(env, returned, batch);
    }

    /// The same at the end of a turn, whatever is under way. True if the subsystem is to go on: it may have waited
    /// for these, or has failed with one.
    #[cold]
    pub(super) fn end_returned_between(
        &mut self,
        env: &HostEnv<S>,
        batch: &mut TurnBatch<'_>,
    ) -> bool {
        let before = env.mounted.restarts.load(Ordering::Relaxed);
        self.end_returned(env, batch);
        self.order != Order::Serve
            || !matches!(self.life, Life::Running)
            || env.mounted.restarts.load(Ordering::Relaxed) != before
    }

    fn end_all(&mut self, env: &HostEnv<S>, mut all: Chain, batch: &mut TurnBatch<'_>) {
        while let Some(token) = all.pop_front(&env.shared.pool.links) {
            let envelope = Envelope::new(&env.shared.pool.slab, token);
            self.end_deferred(env, envelope, batch);
        }
    }

    fn end_deferred(
        &mut self,
        env: &HostEnv<S>,
        mut envelope: Envelope<'_>,
        batch: &mut TurnBatch<'_>,
    ) {
        self.deferred -= 1;
        let slab = &env.shared.pool.slab;
        let started = slab.deferral(envelope.index()).started();
        let is_ask = envelope.head().is_ask;
        match envelope.head().deferred {
            DeferredEnd::Dropped if is_ask && self.order == Order::Abort => {
                cut_short(env, envelope, started, batch);
            }
            DeferredEnd::Dropped if is_ask => {
                batch.sample(env, &envelope, started);
                put_failure(&mut envelope, Unanswered::NoReply);
                bury(env, &envelope, DeadReason::NoReply);
                batch.close(env, envelope, Ending::Failed);
            }
            DeferredEnd::Answered | DeferredEnd::Dropped => {
                batch.sample(env, &envelope, started);
                batch.close(env, envelope, Ending::Handled);
            }
            DeferredEnd::Failed => self.failed_deferred(env, envelope, batch),
        }
    }

    /// Ends a message that was answered with an error.
    #[cold]
    fn failed_deferred(
        &mut self,
        env: &HostEnv<S>,
        mut envelope: Envelope<'_>,
        batch: &mut TurnBatch<'_>,
    ) {
        let started = env.shared.pool.slab.deferral(envelope.index()).started();
        let mut text = String::new();
        if let Some(Unanswered::Failed(error)) = envelope.take() {
            // Its text is put in words by the user's code.
            match contain(|| format!("{error:#}")) {
                Ok(words) => text = words,
                Err(panic) => text = format!("its error could not be written: {panic}"),
            }
            match envelope.head().is_ask {
                true => envelope.put(Unanswered::Failed(error)),
                false => discard(error),
            }
        }
        let fails = env.mounted.policy().on_error.then(|| text.as_str().into());
        failed(env, envelope, started, text, batch);
        // Only the value that is there now can fail, and not after its last hook.
        let may_fail = matches!(self.life, Life::Running | Life::Starting(_))
            && self.closing == Closing::NotYet;
        if let Some(text) = fails
            && may_fail
        {
            // As an order: it ends what is under way, or waits for a blocking call that has the value.
            let life = env.mounted.restarts.load(Ordering::Relaxed);
            let failed = Control::ReplyFailed { life, text };
            self.lifecycle().controls.push_back(failed);
            self.obey(env, batch);
        }
    }

    /// Ends all whose reply has not come, at the host's own end: no reply does anything after this.
    pub(super) fn end_all_deferred(&mut self, env: &HostEnv<S>, batch: &mut TurnBatch<'_>) {
        let Some(deferrals) = &self.slot.deferrals else {
            return;
        };
        let (right, slab) = (deferrals.right, &env.shared.pool.slab);
        slab.claim_all(right, |envelope| {
            self.deferred -= 1;
            let started = slab.deferral(envelope.index()).started();
            cut_short(env, envelope, started, batch);
        });
        // One that is being given at this moment lies in no one's hands for the time of a few instructions.
        while self.deferred > 0 {
            self.end_returned(env, batch);
            if self.deferred > 0 {
                thread::yield_now();
            }
        }
    }
}
