//! Sending: from a message in hand to an envelope in a mailbox. `**`send`** → route → envelope`
//!
//! An attempt at a [`Target`] has the message packed, stamped and pushed, or leaves it with the sender.
//! The verbs differ in whether they want a reply, for which [`answer`] waits, and in what they do when
//! there is no room: [`room`] waits.
#![allow(unsafe_code)]

pub(crate) mod path_cache;
mod overflow;
pub(crate) mod tapped;
mod timer;
mod room;
pub(crate) mod path;
pub(crate) mod handle;
mod answer;
mod forward;
mod verbs;

use std::sync::Arc;

use overflow::Overflowed;
pub(crate) use verbs::{
    To, ask, ask_blocking, ask_for_ever, ask_within, tell, tell_blocking, tell_within, try_ask,
    try_tell,
};

use crate::envelope::reply::Claim;
use crate::mailbox::{Mailbox, MailboxId};
use crate::route::extract::Address;
use crate::route::{Pack, Patience, Post, Posted, Refused, RouteMap};
use crate::runtime::deadlock::{For, Wait};
use crate::runtime::shared::Shared;
use crate::thread::Local;
use crate::thread::stamps::Stamps;
use crate::words::error::{Room, SendError, Undelivered};
use crate::words::message::{Message, may_nest};
use crate::words::priority::Priority;
use crate::words::tap::Mark;

/// Where a message is to go: a mailbox, and how a route there takes it.
pub(crate) struct Target<'t, M> {
    pub(crate) mailbox: &'t Arc<Mailbox>,
    pub(crate) table: u32,
    pub(crate) map: &'t RouteMap,
    pub(crate) pack: &'t dyn Pack<M>,
    pub(crate) priority: Priority,
}

/// What an asker brings along, and where the send leaves what it needs while it waits: a result that is
/// moved from call to call costs more than the call.
pub(crate) struct Question {
    patience: Patience,
    /// The right to the reply, from when the message was accepted until it is answered.
    claim: Option<Claim>,
    /// The subsystem that accepted it.
    mailbox: MailboxId,
    /// The wait that a handler entered.
    wait: Option<Wait>,
}

impl Question {
    fn new(patience: Patience) -> Self {
        Question {
            patience,
            claim: None,
            mailbox: 0,
            wait: None,
        }
    }

    fn end_wait(&mut self, shared: &Shared) {
        if let Some(wait) = self.wait.take() {
            shared.waits.end(wait.id);
        }
    }
}

/// A wait that ends with this value, unless it is kept: the sender's own code runs before its message is
/// accepted, and may panic.
struct PendingWait<'s> {
    shared: &'s Shared,
    wait: Option<Wait>,
}

impl PendingWait<'_> {
    fn keep(mut self) -> Option<Wait> {
        self.wait.take()
    }
}

impl Drop for PendingWait<'_> {
    fn drop(&mut self) {
        if let Some(wait) = &self.wait {
            self.shared.waits.end(wait.id);
        }
    }
}

/// Why an attempt did not succeed.
pub(crate) enum Failed {
    /// No room now; whose, and who waits for it.
    Full(Room, Arc<Mailbox>),
    Refused(Box<SendError>),
}

impl Failed {
    #[cold]
    pub(crate) fn refused(reason: SendError) -> Self {
        Failed::Refused(Box::new(reason))
    }

    /// What a verb that does not wait says.
    #[cold]
    pub(crate) fn give_up<M>(self, shared: &Shared, message: Option<M>) -> Undelivered<M> {
        Local::of(&shared.pool).lane.refused.add(1);
        let reason = match self {
            Failed::Full(room, mailbox) => SendError::Full {
                subsystem: mailbox.name.clone(),
                room,
            },
            Failed::Refused(reason) => *reason,
        };
        Undelivered::new(
            reason,
            message.expect("what is refused stays with the sender"),
        )
    }
}

impl<M: Message> Target<'_, M> {
    /// Packs a message and pushes it into the mailbox, or leaves it where it is. `route` gives the
    /// route's text, for an error.
    #[inline(always)]
    pub(crate) fn tell(
        &self,
        shared: &Shared,
        address: &mut Address<'_>,
        message: &mut Option<M>,
        route: impl FnOnce() -> Box<str>,
    ) -> Result<(), Failed> {
        let local = Local::of(&shared.pool);
        match self.first_post(shared, &local, address, None, message) {
            Ok(posted) => {
                if posted.is_asleep() {
                    self.mailbox.ring(&local);
                }
                Ok(())
            }
            Err(refused) => self.tell_refused(shared, &local, address, refused, message, route),
        }
    }

    #[cold]
    fn tell_refused(
        &self,
        shared: &Shared,
        local: &Local,
        address: &mut Address<'_>,
        refused: Refused,
        message: &mut Option<M>,
        route: impl FnOnce() -> Box<str>,
    ) -> Result<(), Failed> {
        match self.overflow(shared, local, address, None, message, refused) {
            Overflowed::Posted(posted) => {
                if posted.is_asleep() {
                    self.mailbox.ring(local);
                }
                Ok(())
            }
            Overflowed::Dropped => Ok(()),
            Overflowed::Refused(refused) => Err(self.explain(address, refused, route)),
            Overflowed::Failed(failed) => Err(failed),
        }
    }

    /// The same for a message whose sender wants a reply.
    #[inline(always)]
    pub(crate) fn ask(
        &self,
        shared: &Shared,
        address: &mut Address<'_>,
        message: &mut Option<M>,
        question: &mut Question,
        route: impl FnOnce() -> Box<str>,
    ) -> Result<(), Failed> {
        let local = Local::of(&shared.pool);
        let wait = match local.held_up() {
            0 => None,
            _ if local.is_in_sync_handler() => return Err(self.would_block()),
            me => {
                local.has_waited.set(true);
                let what = match local.may_block() {
                    false => For::Reply(self.mailbox.id),
                    true => For::BlockingReply(self.mailbox.id),
                };
                Some(begin_wait(shared, me, what)?)
            }
        };
        let wait = PendingWait { shared, wait };
        let ask = Some(question.patience);
        let posted = match self.first_post(shared, &local, address, ask, message) {
            Ok(posted) => Ok(posted),
            Err(refused) => match self.overflow(shared, &local, address, ask, message, refused) {
                Overflowed::Posted(posted) => Ok(posted),
                Overflowed::Failed(failed) => Err(failed),
                Overflowed::Refused(refused) => Err(self.explain(address, refused, route)),
                Overflowed::Dropped => unreachable!("an ask is handed back"),
            },
        };
        let posted = posted?;
        question.wait = wait.keep();
        question.mailbox = self.mailbox.id;
        // SAFETY: it was posted as an ask, just now.
        question.claim = Some(unsafe { Claim::new(posted.index()) });
        if posted.is_asleep() {
            // Turns that are lent one within the other share the stack.
            match const { may_nest::<M>() } {
                true => self.mailbox.lend(&local),
                false => self.mailbox.ring(&local),
            }
        }
        Ok(())
    }

    #[cold]
    fn would_block(&self) -> Failed {
        Failed::refused(SendError::WouldBlock {
            subsystem: self.mailbox.name.clone(),
        })
    }

    #[inline(always)]
    fn first_post(
        &self,
        shared: &Shared,
        local: &Local,
        address: &mut Address<'_>,
        ask: Option<Patience>,
        message: &mut Option<M>,
    ) -> Result<Posted, Refused> {
        if self.finds_full(shared, local, address, message) {
            return Err(Refused::Mailbox);
        }
        self.post(shared, local, address, ask, message)
    }

    #[inline(always)]
    fn post(
        &self,
        shared: &Shared,
        local: &Local,
        address: &mut Address<'_>,
        ask: Option<Patience>,
        message: &mut Option<M>,
    ) -> Result<Posted, Refused> {
        if shared.is_closed_to(local.serving()) {
            return Err(Refused::Stopped);
        }
        let post = Post {
            pool: &shared.pool,
            local,
            clock: &shared.clock,
            shares_stamps: shared.stamps == Stamps::Shared,
            tick: shared.tick(),
            mailbox: self.mailbox,
            table: self.table,
            priority: self.priority,
            ask,
            mark: Mark::NONE,
        };
        match shared.tap.active() {
            None => self.pack.post(message, address, &post),
            Some(tap) => self.post_tapped(tap, shared, message, address, post),
        }
    }

    #[cold]
    fn explain(
        &self,
        address: &mut Address<'_>,
        refused: Refused,
        route: impl FnOnce() -> Box<str>,
    ) -> Failed {
        let mailbox = self.mailbox;
        let room = match (refused, address.error.take()) {
            (Refused::Stopped, _) => return Failed::refused(SendError::Stopped),
            (_, Some(error)) => {
                let error = Box::new(error);
                let route = route();
                return Failed::refused(SendError::BadCapture { route, error });
            }
            (Refused::NoEnvelope, _) => Room::Pool,
            (Refused::Mailbox | Refused::Capture, _) => Room::Mailbox,
        };
        if mailbox.inbox.is_closed() {
            let subsystem = mailbox.name.clone();
            Failed::refused(SendError::Closed { subsystem })
        } else {
            Failed::Full(room, mailbox.clone())
        }
    }
}

/// Enters that the handler of `me` waits.
fn begin_wait(shared: &Shared, me: MailboxId, what: For) -> Result<Wait, Failed> {
    shared.waits.begin(me, what).map_err(|cycle| {
        let cycle = shared.directory.names_of(&cycle);
        Failed::refused(SendError::WaitCycle { cycle })
    })
}
