//! Sending: from a message in hand to an envelope in a mailbox. `**`send`** → route → envelope`
//!
//! An attempt at a [`Target`] packs the message, stamps it and pushes it, or leaves it with the sender. The verbs
//! differ in two ways. Some want a reply: [`answer`] waits for it. Some wait while there is no room: [`room`] does.
#![allow(unsafe_code)]

pub(crate) mod path_cache;
pub(crate) mod resolve;
mod overflow;
pub(crate) mod tapped;
mod timer;
mod room;
pub(crate) mod chosen;
pub(crate) mod path;
pub(crate) mod handle;
mod answer;
mod forward;
pub(crate) mod group;
mod verbs;

use std::sync::Arc;

pub(crate) use room::{Attempt, until_room};
pub(crate) use verbs::{
    To, ask, ask_blocking, ask_within, ask_without_deadline, tell, tell_blocking, tell_within,
    try_ask, try_tell,
};

use crate::envelope::reply::Claim;
use crate::mailbox::{Mailbox, MailboxId};
use crate::route::extract::{Address, Rejection};
use crate::route::{Pack, Patience, Post, Posted, Refused, RouteMap};
use crate::runtime::deadlock::{For, Wait};
use crate::runtime::shared::Shared;
use crate::thread::Local;
use crate::thread::stamps::Stamps;
use crate::words::error::{Room, SendError, Undelivered};
use crate::words::message::{Message, may_nest};
use crate::words::priority::Priority;
use crate::words::tap::Mark;

/// Where a message goes: a mailbox, and how a route there takes the message.
pub(crate) struct Target<'t, M> {
    pub(crate) mailbox: &'t Arc<Mailbox>,
    pub(crate) table: u32,
    pub(crate) map: &'t RouteMap,
    pub(crate) pack: &'t dyn Pack<M>,
    pub(crate) priority: Priority,
    /// The sender waits where the mailbox's policy would hand the message back.
    pub(crate) always_waits: bool,
}

/// An ask as its sender keeps it. An attempt writes into it what the wait for the reply needs: to return that from
/// call to call would cost more than the calls.
pub(crate) struct Question {
    /// How long the asker waits.
    patience: Patience,
    /// The right to the reply. The asker has it from when the message is accepted until the reply is there.
    claim: Option<Claim>,
    /// The subsystem that accepted the message.
    mailbox: MailboxId,
    /// If a handler asks: its wait for the reply, as the search for wait cycles knows it.
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

/// A wait that ends when this value is dropped, unless it is kept. The sender's own code runs before its message is
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
    /// There is no room now. Which room, and the mailbox that the message was for.
    Full(Room, Arc<Mailbox>),
    Refused(Box<SendError>),
}

impl Failed {
    #[cold]
    pub(crate) fn refused(reason: SendError) -> Self {
        Failed::Refused(Box::new(reason))
    }

    /// The error of a sender that does not wait, or waits no longer. The refusal is counted.
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
    /// Packs a message and pushes it into the mailbox, or leaves it where it is. A sender that wants a reply
    /// gives a question. `route` gives the route's text, for an error.
    #[inline(always)]
    pub(crate) fn send(
        &self,
        shared: &Shared,
        address: &mut Address<'_>,
        message: &mut Option<M>,
        question: Option<&mut Question>,
        route: impl FnOnce() -> Box<str>,
    ) -> Result<(), Failed> {
        let local = Local::of(&shared.pool);
        let wait = match question {
            None => None,
            Some(_) => self.begin_reply_wait(shared, &local)?,
        };
        let ask = question.as_ref().map(|question| &question.patience);
        let posted = match self.first_post(shared, &local, address, ask, message) {
            Ok(posted) => posted,
            Err(refused) => {
                match self.refused(shared, address, ask, message, refused, route)? {
                    Some(posted) => posted,
                    // It was dropped, and counted. An ask never is.
                    None => return Ok(()),
                }
            }
        };
        let Some(question) = question else {
            if posted.is_asleep() {
                self.mailbox.ring(&local);
            }
            return Ok(());
        };
        question.wait = wait.and_then(PendingWait::keep);
        question.mailbox = self.mailbox.id;
        // SAFETY: the message was posted as an ask just now.
        question.claim = Some(unsafe { Claim::new(posted.index()) });
        if posted.is_asleep() {
            // A lent turn runs on the stack of the asker, perhaps within another lent turn.
            match const { may_nest::<M>() } {
                true => self.mailbox.lend(&local),
                false => self.mailbox.ring(&local),
            }
        }
        Ok(())
    }

    /// Enters the wait of a handler for the reply. `None` for a sender outside of handlers.
    #[inline(always)]
    fn begin_reply_wait<'s>(
        &self,
        shared: &'s Shared,
        local: &Local,
    ) -> Result<Option<PendingWait<'s>>, Failed> {
        let me = match local.held_up() {
            0 => return Ok(None),
            _ if local.is_in_sync_handler() => return Err(self.would_block()),
            me => me,
        };
        local.has_waited.set(true);
        let what = match local.may_block() {
            false => For::Reply(self.mailbox.id),
            true => For::BlockingReply(self.mailbox.id),
        };
        let wait = Some(begin_wait(shared, me, what)?);
        Ok(Some(PendingWait { shared, wait }))
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
        ask: Option<&Patience>,
        message: &mut Option<M>,
    ) -> Result<Posted, Refused> {
        if self.is_to_find_full(shared, local, address, message) {
            return Err(Refused::Full(Room::Mailbox));
        }
        self.post(shared, local, address, ask, message)
    }

    #[inline(always)]
    fn post(
        &self,
        shared: &Shared,
        local: &Local,
        address: &mut Address<'_>,
        ask: Option<&Patience>,
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

    /// Does what the mailbox's policy says with a message that was refused; see [`overflow`](Self::overflow). If
    /// the message stays with its sender, says why.
    #[cold]
    #[inline(never)]
    fn refused(
        &self,
        shared: &Shared,
        address: &mut Address<'_>,
        ask: Option<&Patience>,
        message: &mut Option<M>,
        refused: Refused,
        route: impl FnOnce() -> Box<str>,
    ) -> Result<Option<Posted>, Failed> {
        let overflow = self.overflow(shared, address, ask, message, refused);
        overflow.map_err(|refused| self.explain(shared, address, refused, route))
    }

    fn explain(
        &self,
        shared: &Shared,
        address: &mut Address<'_>,
        refused: Refused,
        route: impl FnOnce() -> Box<str>,
    ) -> Failed {
        let subsystem = || self.mailbox.name.clone();
        let error = match refused {
            Refused::Stopped => SendError::Stopped,
            Refused::Capture | Refused::NotAdmitted => match address.rejection.take() {
                Some(Rejection::NotAdmitted(retry_after)) => SendError::Refused {
                    subsystem: subsystem(),
                    by: "admission",
                    retry_after,
                },
                Some(Rejection::Capture(error)) => SendError::BadCapture {
                    route: route(),
                    error: Box::new(error),
                },
                None => unreachable!("the address keeps it"),
            },
            Refused::Full(_) if self.mailbox.inbox.is_closed() => {
                // It was mounted on demand, has just been put away, and comes again.
                if let Some(wanted) = shared.want(&self.mailbox.name) {
                    return Failed::Full(Room::Start, wanted);
                }
                SendError::Closed {
                    subsystem: subsystem(),
                }
            }
            Refused::Full(room) => return Failed::Full(room, self.mailbox.clone()),
            Refused::Rejected => SendError::Full {
                subsystem: subsystem(),
                room: Room::Mailbox,
            },
        };
        Failed::refused(error)
    }
}

/// Enters a wait of the handler that `me` runs. Refuses it if it would close a wait cycle.
fn begin_wait(shared: &Shared, me: MailboxId, what: For) -> Result<Wait, Failed> {
    shared.waits.begin(me, what).map_err(|cycle| {
        let cycle = shared.directory.names_of(&cycle);
        Failed::refused(SendError::WaitCycle { cycle })
    })
}
