//! Packing: from a message in hand to an envelope in a mailbox. `send → route → `**`pack`**` → envelope, mailbox`

use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::{Clock, Due, Stamp};
use crate::base::user_code::discard;
use crate::envelope::pool::Pool;
use crate::envelope::{Envelope, Parcel, Stored};
use crate::mailbox::Mailbox;
use crate::route::extract::{Address, Extract, Rejection};
use crate::thread::Local;
use crate::words::error::{CaptureError, Room};
use crate::words::message::Message;
use crate::words::priority::Priority;
use crate::words::tap::Mark;

/// How a route takes a message of type `M`.
pub(crate) trait Pack<M>: Send + Sync {
    /// Packs the message into an envelope and puts that into the mailbox. A refused message stays where it was.
    ///
    /// The captures are parsed first, so that no envelope is held while user code parses them.
    fn post(
        &self,
        message: &mut Option<M>,
        address: &mut Address<'_>,
        post: &Post<'_>,
    ) -> Result<Posted, Refused>;

    /// Parses the captures, and does nothing with them.
    fn check(&self, address: &mut Address<'_>) -> Result<(), CaptureError>;

    /// How many captures the pattern has.
    fn captures(&self) -> usize;

    /// The numbers of route and handler.
    fn numbers(&self) -> (u16, u16);

    /// How the route takes a message that need not be admitted, if that is another way.
    fn unconditional(&self) -> Option<Arc<dyn Pack<M>>> {
        None
    }
}

/// Where a message goes, and what is written on its envelope.
pub(crate) struct Post<'p> {
    pub(crate) pool: &'p Pool,
    pub(crate) local: &'p Local,
    pub(crate) clock: &'p Clock,
    /// The message may share its stamp with others sent in the supervisor's interval `tick`.
    pub(crate) shares_stamps: bool,
    pub(crate) tick: u32,
    pub(crate) mailbox: &'p Mailbox,
    /// The number of the route table that the handler is in.
    pub(crate) table: u32,
    pub(crate) priority: Priority,
    /// How long the asker waits; `None` for a tell.
    pub(crate) ask: Option<&'p Patience>,
    /// What a tap writes on the envelope.
    pub(crate) mark: Mark,
}

impl Post<'_> {
    /// The message's stamp.
    #[inline(always)]
    fn now(&self) -> Stamp {
        if self.shares_stamps {
            self.shared_now()
        } else {
            self.clock.now()
        }
    }

    #[inline(never)]
    fn shared_now(&self) -> Stamp {
        let stamp = &self.local.stamp;
        if self.ask.is_some() || self.mailbox.inbox.is_asleep() {
            // It is handled at once, so it needs a reading of its own.
            return stamp.renew(self.clock.now(), self.tick);
        }
        stamp.next(self.clock, self.tick)
    }
}

/// How long an asker waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// `None` for without end.
    pub(crate) deadline: Option<Duration>,
    /// The deadline in raw units of the clock.
    ticks: u64,
    /// There is no timer for it. It is the default of every ask, which need not be exact; or the clock is a manual
    /// one.
    pub(crate) is_rough: bool,
    /// When it is over, if that is fixed; else `NEVER`.
    over: Due,
}

impl Patience {
    pub(crate) fn new(clock: &Clock, deadline: Option<Duration>, is_default: bool) -> Self {
        Patience {
            deadline,
            ticks: deadline.map_or(0, |deadline| clock.ticks(deadline)),
            is_rough: is_default || clock.is_manual(),
            over: Due::NEVER,
        }
    }

    /// The same, counted from `now`, unless its end is fixed already.
    pub(crate) fn from(self, now: Stamp) -> Self {
        Patience {
            over: self.due(now),
            ..self
        }
    }

    /// When it is over, for an ask that began at `now` or earlier.
    #[inline]
    pub(crate) fn due(self, now: Stamp) -> Due {
        match self.deadline {
            None => Due::NEVER,
            Some(_) if self.over != Due::NEVER => self.over,
            Some(_) => Due::at(now.0.saturating_add(self.ticks), self.is_rough),
        }
    }
}

/// A message in its mailbox: its envelope's number, and whether the receiver sleeps. It is one word, so that a
/// register returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Posted(u32);

impl Posted {
    const ASLEEP: u32 = 1 << 31;

    #[inline]
    fn new(index: u32, is_asleep: bool) -> Self {
        Posted(index | if is_asleep { Self::ASLEEP } else { 0 })
    }

    pub(crate) fn index(self) -> u32 {
        self.0 & !Self::ASLEEP
    }

    /// True if the receiver must be woken.
    #[inline]
    pub(crate) fn is_asleep(self) -> bool {
        self.0 & Self::ASLEEP != 0
    }
}

/// Why a message was not posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A capture did not parse; the address keeps the error.
    Capture,
    /// It was not admitted; the address keeps when it may be.
    NotAdmitted,
    /// There is no envelope, or the mailbox is full or closed.
    Full(Room),
    /// The mailbox is full, and its policy hands the message back.
    Rejected,
    /// The system takes nothing from this sender.
    Stopped,
}

/// Packs messages for one handler, whose extractors are `A`.
pub(super) struct Packer<A> {
    pub(super) number: u16,
    pub(super) route: u16,
    pub(super) captures: usize,
    pub(super) extractors: std::marker::PhantomData<fn() -> A>,
}

impl<M: Message, A: Extract> Pack<M> for Packer<A> {
    fn post(
        &self,
        message: &mut Option<M>,
        address: &mut Address<'_>,
        post: &Post<'_>,
    ) -> Result<Posted, Refused> {
        let packed = match A::pack(address) {
            Ok(packed) => packed,
            Err(error) => {
                address.rejection = Some(Rejection::Capture(error));
                return Err(Refused::Capture);
            }
        };
        let capacity = post.mailbox.capacity();
        if post.mailbox.is_full(capacity) {
            // Checked before an envelope is taken from others that could use it.
            return Err(Refused::Full(Room::Mailbox));
        }
        let pool = post.pool;
        let lane = &*post.local.lane;
        let Some(mut envelope) = pool.acquire(lane, post.mailbox) else {
            return Err(Refused::Full(Room::Pool));
        };
        if !Stored::<Parcel<M, A::Packed>>::INLINE {
            lane.boxed.add(1);
        }
        let Some(content) = message.take() else {
            pool.release_one(lane, envelope);
            panic!("a future of a send was polled after it had ended");
        };
        envelope.fill(Parcel::new(content, packed));
        let now = post.now();
        let reply = envelope.reply_slot();
        let head = envelope.head_mut();
        head.handler = self.number;
        head.route = self.route;
        head.table = post.table;
        head.sender = post.local.serving();
        head.sent = now.0;
        head.trace = post.local.trace();
        head.due = Due::NEVER;
        head.is_ask = false;
        head.mark = post.mark;
        if let Some(patience) = post.ask {
            // A handler's ask ends no later than the message that it handles.
            let due = patience.due(now).min(post.local.due());
            head.due = due;
            head.is_ask = true;
            reply.reset(now.0, due.raw());
        }
        let index = envelope.index();
        let token = envelope.into_token();
        match post
            .mailbox
            .push(&pool.links, token, post.priority, capacity)
        {
            Ok(is_asleep) => Ok(Posted::new(index, is_asleep)),
            Err((token, _)) => {
                let mut envelope = Envelope::new(&pool.slab, token);
                if let Some(parcel) = envelope.take::<Parcel<M, A::Packed>>() {
                    let (content, packed) = parcel.into_parts();
                    *message = Some(content);
                    // The next try packs it again. Its drop may panic, and the envelope must not be lost then.
                    discard(packed);
                }
                pool.release_one(lane, envelope);
                Err(Refused::Full(Room::Mailbox))
            }
        }
    }

    fn check(&self, address: &mut Address<'_>) -> Result<(), CaptureError> {
        A::pack(address).map(drop)
    }

    fn captures(&self) -> usize {
        self.captures
    }

    fn numbers(&self) -> (u16, u16) {
        (self.route, self.number)
    }
}
