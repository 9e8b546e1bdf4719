//! Overflow: what a sender does when the mailbox is full and its policy is not to wait.

use super::Target;
use crate::base::sim::{self, Point};
use crate::base::user_code::{contain, discard};
use crate::books::dead_letters::DeadReason;
use crate::envelope::Envelope;
use crate::envelope::Unanswered;
use crate::envelope::token::Token;
use crate::mailbox::lanes::Evicted;
use crate::route::extract::Address;
use crate::route::{Patience, Posted, Refused};
use crate::runtime::shared::{Letter, Shared};
use crate::thread::Local;
use crate::words::error::Room;
use crate::words::message::Message;
use crate::words::overflow::Overflow;
use crate::words::trace::TraceId;

/// The refusal that a policy decides about.
const FULL: Refused = Refused::Full(Room::Mailbox);

impl<M: Message> Target<'_, M> {
    /// Does what the mailbox's policy says with a message that was refused: posts it after making room, drops it
    /// (`None`), or leaves it with its sender.
    pub(super) fn overflow(
        &self,
        shared: &Shared,
        address: &mut Address<'_>,
        ask: Option<&Patience>,
        message: &mut Option<M>,
        refused: Refused,
    ) -> Result<Option<Posted>, Refused> {
        let mailbox = self.mailbox;
        if refused != FULL || mailbox.inbox.is_closed() {
            return Err(refused);
        }
        let local = &Local::of(&shared.pool);
        match mailbox.overflow() {
            Overflow::Wait => Err(FULL),
            Overflow::DropOldest => self.drop_oldest(shared, local, address, ask, message),
            Overflow::DropNewest if ask.is_none() => {
                self.drop_newest(shared, local, address, message)
            }
            Overflow::Reject | Overflow::DropNewest => Err(self.rejected()),
        }
    }

    fn rejected(&self) -> Refused {
        match self.always_waits {
            true => FULL,
            false => Refused::Rejected,
        }
    }

    /// Drops a message and counts it, if there is still no room for it.
    fn drop_newest(
        &self,
        shared: &Shared,
        local: &Local,
        address: &Address<'_>,
        message: &mut Option<M>,
    ) -> Result<Option<Posted>, Refused> {
        if !self.mailbox.turn_away() {
            return Err(FULL);
        }
        self.tap_dropped(shared, local, message, address);
        let (route, handler) = self.pack.numbers();
        let sent = shared.clock.now();
        let letter = Letter {
            route,
            handler,
            sender: local.serving(),
            sent,
            trace: match local.trace() {
                0 => TraceId::of_first(sent.0, 0),
                trace => TraceId(trace),
            },
        };
        let reason = DeadReason::Dropped(self.mailbox.overflow());
        shared.bury(self.mailbox, self.map, letter, reason);
        discard(message.take());
        Ok(None)
    }

    fn drop_oldest(
        &self,
        shared: &Shared,
        local: &Local,
        address: &mut Address<'_>,
        ask: Option<&Patience>,
        message: &mut Option<M>,
    ) -> Result<Option<Posted>, Refused> {
        let mailbox = self.mailbox;
        loop {
            sim::preempt(Point::Evict);
            let Some(lanes) = mailbox.lanes() else {
                return Err(FULL);
            };
            match lanes.evict(&mailbox.inbox, &shared.pool.links) {
                Evicted::Message(token) => self.end_evicted(shared, local, token),
                // The policy is new, and the host has not applied it yet.
                Evicted::NotYet => return Err(FULL),
                // Nothing waits, and since the refusal some messages have ended.
                Evicted::Nothing if !mailbox.is_full(mailbox.capacity()) => {}
                // All messages are in handlers.
                Evicted::Nothing if ask.is_none() => {
                    return self.drop_newest(shared, local, address, message);
                }
                Evicted::Nothing => return Err(self.rejected()),
            }
            address.rewind();
            match self.post(shared, local, address, ask, message) {
                Ok(posted) => return Ok(Some(posted)),
                // Another sender was faster.
                Err(FULL) if !mailbox.inbox.is_closed() => {}
                Err(refused) => return Err(refused),
            }
        }
    }

    /// Ends a message that had to make room.
    fn end_evicted(&self, shared: &Shared, local: &Local, token: Token) {
        let pool = &shared.pool;
        let mut envelope = Envelope::new(&pool.slab, token);
        let letter = Letter::of(&envelope);
        // The drop of the message may panic. That must not reach the sender that needed the room.
        let _ = contain(|| envelope.clear());
        sim::preempt(Point::Evict);
        if !envelope.head().is_ask {
            let reason = DeadReason::Dropped(Overflow::DropOldest);
            shared.bury(self.mailbox, self.map, letter, reason);
            return pool.release_one(&local.lane, envelope);
        }
        envelope.put(Unanswered::Dropped);
        let slot = envelope.reply_slot();
        if let Err(token) = slot.reply_and_wake(envelope.into_token(), &pool.deferred) {
            // The asker has gone.
            pool.release_one(&local.lane, Envelope::new(&pool.slab, token));
        }
    }
}
