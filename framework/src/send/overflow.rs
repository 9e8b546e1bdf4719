//! Overflow: what a sender does when the mailbox is full and its policy is not to wait.

use super::{Failed, Target};
use crate::base::sim::{self, Point};
use crate::base::user_code::{contain, discard};
use crate::books::dead_letters::DeadReason;
use crate::envelope::Envelope;
use crate::envelope::token::Token;
use crate::mailbox::lanes::Evicted;
use crate::route::extract::Address;
use crate::route::handler::Unanswered;
use crate::route::{Patience, Posted, Refused};
use crate::runtime::shared::{Letter, Shared};
use crate::thread::Local;
use crate::words::error::{Room, SendError};
use crate::words::message::Message;
use crate::words::overflow::Overflow;
use crate::words::trace::TraceId;

/// What came of a message for which there was no room.
pub(super) enum Overflowed {
    /// Room was made for it.
    Posted(Posted),
    /// It was dropped, and counted.
    Dropped,
    /// It stays with its sender, as it would without a policy.
    Refused(Refused),
    Failed(Failed),
}

impl<M: Message> Target<'_, M> {
    /// Does what the mailbox's policy says with a message that was refused.
    #[cold]
    pub(super) fn overflow(
        &self,
        shared: &Shared,
        local: &Local,
        address: &mut Address<'_>,
        ask: Option<Patience>,
        message: &mut Option<M>,
        refused: Refused,
    ) -> Overflowed {
        let mailbox = self.mailbox;
        if refused != Refused::Mailbox || mailbox.inbox.is_closed() {
            return Overflowed::Refused(refused);
        }
        match mailbox.overflow() {
            Overflow::Wait => Overflowed::Refused(refused),
            Overflow::DropNewest if ask.is_none() => {
                if !mailbox.turn_away() {
                    return Overflowed::Refused(refused);
                }
                self.tap_dropped(shared, local, message, address);
                self.drop_newest(shared, local, message)
            }
            Overflow::Reject | Overflow::DropNewest => Overflowed::Failed(self.rejected()),
            Overflow::DropOldest => self.drop_oldest(shared, local, address, ask, message),
        }
    }

    fn rejected(&self) -> Failed {
        Failed::refused(SendError::Full {
            subsystem: self.mailbox.name.clone(),
            room: Room::Mailbox,
        })
    }

    /// Ends a message that was turned away.
    fn drop_newest(&self, shared: &Shared, local: &Local, message: &mut Option<M>) -> Overflowed {
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
        Overflowed::Dropped
    }

    fn drop_oldest(
        &self,
        shared: &Shared,
        local: &Local,
        address: &mut Address<'_>,
        ask: Option<Patience>,
        message: &mut Option<M>,
    ) -> Overflowed {
        let mailbox = self.mailbox;
        loop {
            sim::preempt(Point::Evict);
            let Some(lanes) = mailbox.lanes() else {
                return Overflowed::Refused(Refused::Mailbox);
            };
            match lanes.evict(&mailbox.inbox, &shared.pool.links) {
                Evicted::Message(token) => self.end_evicted(shared, local, token),
                // The policy is new, and the host has not come by yet.
                Evicted::NotYet => return Overflowed::Refused(Refused::Mailbox),
                // All that waited have begun, and some have ended, since there was no room.
                Evicted::Nothing if !mailbox.is_full(mailbox.capacity()) => {}
                // All are in their handlers.
                Evicted::Nothing if ask.is_none() => {
                    if !mailbox.turn_away() {
                        return Overflowed::Refused(Refused::Mailbox);
                    }
                    self.tap_dropped(shared, local, message, address);
                    return self.drop_newest(shared, local, message);
                }
                Evicted::Nothing => return Overflowed::Failed(self.rejected()),
            }
            address.rewind();
            match self.post(shared, local, address, ask, message) {
                Ok(posted) => return Overflowed::Posted(posted),
                // Another sender was faster.
                Err(Refused::Mailbox) if !mailbox.inbox.is_closed() => {}
                Err(refused) => return Overflowed::Refused(refused),
            }
        }
    }

    /// Ends a message that had to make room.
    fn end_evicted(&self, shared: &Shared, local: &Local, token: Token) {
        let pool = &shared.pool;
        let mut envelope = Envelope::new(&pool.slab, token);
        let letter = Letter::of(&envelope);
        // Its own drop may panic, which is no business of the sender that needed the room.
        let _ = contain(|| envelope.clear());
        sim::preempt(Point::Evict);
        if !envelope.head().is_ask {
            let reason = DeadReason::Dropped(Overflow::DropOldest);
            shared.bury(self.mailbox, self.map, letter, reason);
            return pool.release_one(&local.lane, envelope);
        }
        envelope.put(Unanswered::Dropped);
        let slot = envelope.reply_slot();
        match slot.reply(envelope.into_token()) {
            Ok(None) => {}
            Ok(Some(asker)) => pool.deferred.wake(asker),
            // The asker has gone.
            Err(token) => pool.release_one(&local.lane, Envelope::new(&pool.slab, token)),
        }
    }
}
