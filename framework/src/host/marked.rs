//! What a message meets that a tap has marked. `turn → `**`marked`**` → ends`

use std::task::Context;

use super::batch::TurnBatch;
use super::ends::{empty, tell_or_bury};
use super::turn::Service;
use super::{HostEnv, HostState};
use crate::base::clock::Stamp;
use crate::books::dead_letters::DeadReason;
use crate::envelope::Envelope;
use crate::envelope::Unanswered;
use crate::envelope::token::{Chain, Links, Token};
use crate::route::handler::AtHand;
use crate::words::ledger::Ending;
use crate::words::tap::{Hold, Mark, Planned};

/// A message that is held back, and since when.
pub(super) type Delayed = Hold<(Token, Stamp)>;

/// What a marked message met.
pub(super) enum Met<'w> {
    Nothing(Envelope<'w>),
    /// It has ended.
    Dropped,
    /// It is in service, and waits.
    Delayed,
}

impl<S: 'static> HostState<S> {
    /// What a message is to meet before its handler begins.
    ///
    /// # Panics
    /// As its handler would, if its handler is to; it is at hand then.
    #[inline(always)]
    pub(super) fn meet<'w>(
        &mut self,
        env: &HostEnv<S>,
        envelope: Envelope<'w>,
        started: Stamp,
        batch: &mut TurnBatch<'_>,
        at_hand: &mut AtHand<'w>,
    ) -> Met<'w> {
        match envelope.head().mark.is_none() {
            true => Met::Nothing(envelope),
            false => self.meet_marked(env, envelope, started, batch, at_hand),
        }
    }

    #[cold]
    fn meet_marked<'w>(
        &mut self,
        env: &HostEnv<S>,
        mut envelope: Envelope<'w>,
        started: Stamp,
        batch: &mut TurnBatch<'_>,
        at_hand: &mut AtHand<'w>,
    ) -> Met<'w> {
        let mark = envelope.head().mark;
        // Once: one that is kept for later does not meet it again.
        envelope.head_mut().mark = Mark::NONE;
        let Some(tap) = env.shared.tap.active() else {
            return Met::Nothing(envelope);
        };
        match tap.beginning(mark.number()) {
            Planned::Nothing => Met::Nothing(envelope),
            Planned::Panic(text) => {
                let (envelope, _) = at_hand.insert((envelope, started));
                // Its handler would have taken it.
                empty(envelope);
                std::panic::panic_any(text)
            }
            Planned::Drop => {
                end_dropped(env, envelope, batch);
                Met::Dropped
            }
            Planned::Delay(by, then) => {
                envelope.head_mut().mark = Mark::new(then);
                let held = (envelope.into_token(), started);
                self.in_service = Some(Service::Delayed(Hold::new(held, by)));
                Met::Delayed
            }
        }
    }

    /// Goes on holding a message back; when its time is over it is the next one.
    pub(super) fn go_on_delaying(
        &mut self,
        env: &HostEnv<S>,
        cx: &mut Context<'_>,
        mut delayed: Delayed,
    ) -> Option<Service> {
        if !delayed.is_over(cx) {
            return Some(Service::Delayed(delayed));
        }
        let (token, _) = delayed.into_inner();
        self.put_first(&env.shared.pool.links, token);
        None
    }

    /// Has a message be the next one.
    fn put_first(&mut self, links: &Links, token: Token) {
        let mut first = Chain::new();
        first.push_back(links, token);
        first.append(links, std::mem::replace(&mut self.again, Chain::new()));
        self.again = first;
        self.tries_kept = true;
    }
}

/// Ends a message that was accepted and is dropped on purpose.
fn end_dropped<S>(env: &HostEnv<S>, mut envelope: Envelope<'_>, batch: &mut TurnBatch<'_>) {
    tell_or_bury(
        env,
        &mut envelope,
        Unanswered::Dropped,
        DeadReason::Injected,
    );
    batch.close(env, envelope, Ending::Dropped);
}

/// The same service as if the handler of a message that is held back had begun.
#[inline]
pub(super) fn without_delay<S>(env: &HostEnv<S>, service: Service) -> Service {
    match service {
        Service::Delayed(delayed) => {
            let (token, since) = delayed.into_inner();
            let mut envelope = Envelope::new(&env.shared.pool.slab, token);
            empty(&mut envelope);
            Service::Message(envelope.into_token(), since)
        }
        other => other,
    }
}
