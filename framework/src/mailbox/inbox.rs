//! The list of messages for a subsystem: many senders, one receiver, one word.
//!
//! The word holds the number of the newest envelope and a *ticket*: how many messages were ever accepted. So one
//! compare-and-swap links the envelope, fixes its place in the order, counts it as sent, checks the room, and
//! tells whether the receiver sleeps and must be woken. The receiver takes the whole list at once and reverses
//! it: what was sent first is handled first. Since it takes all or nothing, a successor can't be outdated, and no
//! tag is needed.
//!
//! When the list is empty, one of three marks takes the place of the number: the receiver is awake (it will look
//! again by itself), it is asleep (the next sender must wake it), or the list is closed.
#![allow(unsafe_code)]

use crate::base::sync::{AtomicU64, Ordering};
use crate::envelope::token::{Chain, INDEX_BITS, INDEX_MASK, Links, NIL, Token};

const AWAKE: u32 = NIL;
const ASLEEP: u32 = NIL - 1;
const CLOSED: u32 = NIL - 2;

/// Tickets wrap round after 2^40 messages, so only differences of them are used.
const TICKET_MASK: u64 = (1 << (64 - INDEX_BITS)) - 1;

#[derive(Debug)]
pub(crate) struct Inbox(AtomicU64);

/// Why the inbox did not take a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    Closed,
}

/// Messages that were taken out of the inbox, in the order in which they went in.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) chain: Chain,
    /// The ticket of the last token in it.
    pub(crate) ticket: u64,
}

fn word(ticket: u64, newest: u32) -> u64 {
    (ticket << INDEX_BITS) | u64::from(newest)
}

fn newest_of(word: u64) -> u32 {
    (word & INDEX_MASK) as u32
}

impl Inbox {
    /// Makes a closed inbox.
    pub(crate) fn new() -> Self {
        Inbox(AtomicU64::new(word(0, CLOSED)))
    }

    /// Adds a token, if fewer than `capacity` messages are unfinished; `finished` returns how many messages have
    /// left the subsystem. Returns true if the receiver sleeps and the caller must wake it.
    #[inline(always)]
    pub(crate) fn push(
        &self,
        links: &Links,
        token: Token,
        capacity: u32,
        finished: impl Fn() -> u64,
    ) -> Result<bool, (Token, Refusal)> {
        // Acquire, here and below: a sender that sees a ticket also sees which messages had ended before it was
        // given.
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            let newest = newest_of(seen);
            let ticket = seen >> INDEX_BITS;
            if newest == CLOSED {
                return Err((token, Refusal::Closed));
            }
            if capacity != u32::MAX {
                let unfinished = ticket.wrapping_sub(finished()) & TICKET_MASK;
                if unfinished >= u64::from(capacity) {
                    // Full, unless messages came and went between the two looks.
                    let now = self.0.load(Ordering::Acquire);
                    if now >> INDEX_BITS == ticket {
                        return Err((token, Refusal::Full));
                    }
                    seen = now;
                    continue;
                }
            }
            let older = if newest >= CLOSED { NIL } else { newest };
            links.set_next(token.index(), older);
            let new = word((ticket + 1) & TICKET_MASK, token.index());
            // Release: the receiver sees the envelope's content. Acquire: a sender that must wake the receiver
            // sees the waker that it left before it went to sleep.
            match self
                .0
                .compare_exchange_weak(seen, new, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => {
                    let _ = token.surrender();
                    return Ok(newest == ASLEEP);
                }
                Err(now) => seen = now,
            }
        }
    }

    /// Takes all messages, and marks the receiver awake, or asleep if `asleep`: then the next push wakes it, even
    /// if it is still working.
    pub(crate) fn take(&self, links: &Links, asleep: bool) -> Option<Taken> {
        let mark = if asleep { ASLEEP } else { AWAKE };
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            match newest_of(seen) {
                AWAKE | CLOSED => return None,
                // Empty, and marked already.
                ASLEEP if asleep => return None,
                _ => {}
            }
            match self.0.compare_exchange_weak(
                seen,
                word(seen >> INDEX_BITS, mark),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                // SAFETY: this swap took the list off.
                Ok(_) => return unsafe { in_order(links, seen) },
                Err(now) => seen = now,
            }
        }
    }

    /// Takes all messages in the receiver's place, without its knowledge. An empty list keeps its mark. The
    /// caller must [`push`](Self::push) afterwards: that wakes a receiver that went to sleep meanwhile.
    pub(crate) fn take_for_receiver(&self, links: &Links) -> Option<Taken> {
        let mut seen = self.0.load(Ordering::Relaxed);
        // A list that is not empty belongs to a receiver that is awake, or was woken.
        while newest_of(seen) < CLOSED {
            match self.0.compare_exchange_weak(
                seen,
                word(seen >> INDEX_BITS, AWAKE),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                // SAFETY: this swap took the list off.
                Ok(_) => return unsafe { in_order(links, seen) },
                Err(now) => seen = now,
            }
        }
        None
    }

    /// True if the receiver sleeps now.
    pub(crate) fn is_asleep(&self) -> bool {
        newest_of(self.0.load(Ordering::Relaxed)) == ASLEEP
    }

    /// Marks the receiver asleep if the list is empty. The caller must have left its waker before. Returns false
    /// if a message came: the caller must take it first.
    pub(crate) fn sleep(&self) -> bool {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            match newest_of(seen) {
                ASLEEP | CLOSED => return true,
                AWAKE => {}
                _ => return false,
            }
            match self.0.compare_exchange_weak(
                seen,
                word(seen >> INDEX_BITS, ASLEEP),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    /// Refuses every token from now on. Returns the messages that were still inside.
    pub(crate) fn close(&self, links: &Links) -> Option<Taken> {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            if newest_of(seen) == CLOSED {
                return None;
            }
            match self.0.compare_exchange_weak(
                seen,
                word(seen >> INDEX_BITS, CLOSED),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                // SAFETY: this swap took the list off.
                Ok(_) => return unsafe { in_order(links, seen) },
                Err(now) => seen = now,
            }
        }
    }

    /// Opens a closed inbox, with the receiver awake. Tickets go on counting.
    pub(crate) fn open(&self) {
        let seen = self.0.load(Ordering::Relaxed);
        if newest_of(seen) == CLOSED {
            // No other thread changes the word of a closed inbox.
            self.0
                .store(word(seen >> INDEX_BITS, AWAKE), Ordering::Release);
        }
    }

    /// True if the inbox refuses tokens now.
    pub(crate) fn is_closed(&self) -> bool {
        newest_of(self.0.load(Ordering::Acquire)) == CLOSED
    }

    /// How many tokens were ever accepted, modulo 2^40.
    pub(crate) fn ticket(&self) -> u64 {
        self.0.load(Ordering::Acquire) >> INDEX_BITS
    }

    /// How many messages lie between two tickets.
    pub(crate) fn between(earlier: u64, later: u64) -> u64 {
        later.wrapping_sub(earlier) & TICKET_MASK
    }
}

/// Reverses the list: newest first becomes oldest first.
///
/// # Safety
/// The caller has just taken the list that `word` names off an inbox.
unsafe fn in_order(links: &Links, word: u64) -> Option<Taken> {
    let newest = newest_of(word);
    if newest >= CLOSED {
        return None;
    }
    let (mut oldest, mut len, mut next) = (NIL, 0, newest);
    while next != NIL {
        let current = next;
        next = links.next(current);
        links.set_next(current, oldest);
        oldest = current;
        len += 1;
    }
    Some(Taken {
        // SAFETY: the tokens were surrendered to the list, and the caller's swap took all of them off.
        chain: unsafe { Chain::from_parts(oldest, newest, len) },
        ticket: word >> INDEX_BITS,
    })
}
