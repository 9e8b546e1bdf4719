//! Envelopes: the recycled carriers of messages. `send → `**`envelope`**` → mailbox`
//!
//! An envelope is a slot of the pool's slab plus the [`Token`] that gives the sole right to it. The
//! message and its captures lie inline up to [`INLINE_BYTES`]; a larger message is boxed, and counted.
//! The handler's reply is written into the same place. Promise: what is put in comes out once, as the
//! type that it went in as, or is dropped once.
//!
//! The rules of ownership, on which the `unsafe` code here and in the files beside it rests:
//! 1. A slot's `head` and `payload` are touched only through an [`Envelope`], that is with its token
//!    in hand; the token can't be copied, so no two threads touch a slot at once, and the lists that
//!    hand tokens over order one owner's accesses before the next one's (release and acquire).
//! 2. `head.payload` is `Some(t)` if and only if `payload` holds a live value of the type that `t`
//!    describes (inline), or a live `Box` of it. Only `put`, `take` and `clear` change either.
#![allow(unsafe_code)]

pub(crate) mod token;
pub(crate) mod reply;
pub(crate) mod deferral;
mod slab;
pub(crate) mod pool;

use std::any::TypeId;
use std::cell::UnsafeCell;
use std::mem::{ManuallyDrop, MaybeUninit};

use crate::base::clock::Due;
use crate::base::user_code::{contain, discard};
use crate::envelope::token::Token;
use crate::words::tap::Mark;
use crate::words::trace::TraceId;
use deferral::DeferredEnd;
use reply::ReplySlot;
pub(crate) use slab::Slab;

/// Messages, with their captures, up to this many bytes lie inside the envelope; replies too.
pub const INLINE_BYTES: usize = 160;
/// Nor may their alignment be larger than this to lie inside.
pub const INLINE_ALIGN: usize = 16;

/// What an envelope says about its message.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// When it was sent, as the clock's raw value.
    pub(crate) sent: u64,
    pub(crate) due: Due,
    /// The trace that it belongs to; 0 if it begins one.
    pub(crate) trace: u64,
    payload: Option<&'static PayloadType>,
    /// The table that `handler` is an index into.
    pub(crate) table: u32,
    /// The subsystem that sent it; 0 for none.
    pub(crate) sender: u32,
    pub(crate) handler: u16,
    /// The route's place in the table, for its latency.
    pub(crate) route: u16,
    /// True if someone waits for a reply.
    pub(crate) is_ask: bool,
    /// What a tap has to say to it. In what would be padding.
    pub(crate) mark: Mark,
    /// How it ended, if its reply came later.
    pub(crate) deferred: DeferredEnd,
}

#[repr(C, align(16))]
struct Inline([MaybeUninit<u8>; INLINE_BYTES]);

/// What travels in an envelope: the message, and what its handler's extractors packed at the sender.
pub(crate) struct Parcel<M, P> {
    message: Apart<M>,
    packed: P,
}

impl<M, P> Parcel<M, P> {
    #[inline(always)]
    pub(crate) fn new(message: M, packed: P) -> Self {
        Parcel {
            message: Apart::new(message),
            packed,
        }
    }

    #[inline(always)]
    pub(crate) fn into_parts(self) -> (M, P) {
        (self.message.into_inner(), self.packed)
    }
}

/// A value of the user's beside others in one place of the framework's. A panic of its drop ends there: where
/// two of them panic, the second would abort the process. It takes no more room than the value.
#[doc(hidden)]
pub struct Apart<T>(ManuallyDrop<T>);

impl<T> Apart<T> {
    #[inline(always)]
    pub(crate) fn new(value: T) -> Self {
        Apart(ManuallyDrop::new(value))
    }

    #[inline(always)]
    pub(crate) fn into_inner(self) -> T {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: it is taken once: `this` is never dropped, nor used again.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }
}

impl<T: Clone> Clone for Apart<T> {
    fn clone(&self) -> Self {
        Apart(self.0.clone())
    }
}

impl<T> Drop for Apart<T> {
    #[inline]
    fn drop(&mut self) {
        if std::mem::needs_drop::<T>() {
            // SAFETY: the value is dropped with what holds it, once.
            discard(unsafe { ManuallyDrop::take(&mut self.0) });
        }
    }
}

/// One place of the slab: 256 bytes, four cache lines, the first of which holds all that a small
/// message needs.
#[repr(C, align(64))]
pub(crate) struct Slot {
    head: UnsafeCell<Head>,
    payload: UnsafeCell<Inline>,
    pub(crate) reply: ReplySlot,
}

const _: () = assert!(size_of::<Slot>() == 256);

// SAFETY: `head` and `payload` are touched only by the holder of the slot's token (rule 1); what is
// put in is `Send`, so it may be taken out or dropped on another thread. `reply` is `Sync` itself.
unsafe impl Sync for Slot {}
// SAFETY: as above; a slab is dropped by one thread after all others have let go of it.
unsafe impl Send for Slot {}

impl Slot {
    fn new() -> Self {
        Slot {
            head: UnsafeCell::new(Head::default()),
            payload: UnsafeCell::new(Inline([MaybeUninit::uninit(); INLINE_BYTES])),
            reply: ReplySlot::new(),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let head = self.head.get_mut();
        if let Some(payload) = head.payload.take() {
            // A panic would skip the slots beside it, or abort where one unwinds already.
            // SAFETY: rule 2: the value is live; `&mut self` is the sole access.
            let _ = contain(|| unsafe { (payload.drop)(self.payload.get().cast()) });
        }
    }
}

/// Everything that must be known of a type to store it without naming it.
struct PayloadType {
    id: TypeId,
    name: fn() -> &'static str,
    /// Drops the value, or the box, at the given place.
    drop: unsafe fn(*mut u8),
}

impl std::fmt::Debug for PayloadType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str((self.name)())
    }
}

/// Says of a type whether it lies inside.
pub(crate) struct Stored<T>(std::marker::PhantomData<T>);

impl<T: Send + 'static> Stored<T> {
    pub(crate) const INLINE: bool =
        size_of::<T>() <= INLINE_BYTES && align_of::<T>() <= INLINE_ALIGN;

    const TYPE: &'static PayloadType = &PayloadType {
        id: TypeId::of::<T>(),
        name: std::any::type_name::<T>,
        drop: if Self::INLINE {
            drop_inline::<T>
        } else {
            drop_inline::<Box<T>>
        },
    };
}

/// # Safety
/// `place` holds a live, aligned `T`, which is dead afterwards.
unsafe fn drop_inline<T>(place: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { place.cast::<T>().drop_in_place() }
}

/// An envelope in hand: the token with its slot.
#[must_use = "an envelope must be sent on or returned to the pool"]
pub(crate) struct Envelope<'s> {
    slot: &'s Slot,
    token: Token,
}

impl<'s> Envelope<'s> {
    #[inline]
    pub(crate) fn new(slab: &'s Slab, token: Token) -> Self {
        Envelope {
            slot: slab.slot(token.index()),
            token,
        }
    }

    pub(crate) fn index(&self) -> u32 {
        self.token.index()
    }

    pub(crate) fn into_token(self) -> Token {
        self.token
    }

    pub(crate) fn reply_slot(&self) -> &'s ReplySlot {
        &self.slot.reply
    }

    #[inline]
    pub(crate) fn head(&self) -> &Head {
        // SAFETY: rule 1: the token in hand gives sole access; `&self` keeps writers out.
        unsafe { &*self.slot.head.get() }
    }

    #[inline]
    pub(crate) fn head_mut(&mut self) -> &mut Head {
        // SAFETY: rule 1, and `&mut self` keeps everyone else out.
        unsafe { &mut *self.slot.head.get() }
    }

    /// The trace that the message belongs to.
    #[inline]
    pub(crate) fn trace(&self) -> TraceId {
        let head = self.head();
        match head.trace {
            0 => TraceId::of_first(head.sent, self.index()),
            trace => TraceId(trace),
        }
    }

    fn place(&mut self) -> *mut u8 {
        self.slot.payload.get().cast()
    }

    /// Puts a value in; what was in before is dropped.
    #[inline]
    pub(crate) fn put<T: Send + 'static>(&mut self, value: T) {
        self.clear();
        self.fill(value);
    }

    /// Puts a value into an empty envelope.
    #[inline]
    pub(crate) fn fill<T: Send + 'static>(&mut self, value: T) {
        // An old value here would leak, nothing worse.
        debug_assert!(!self.is_loaded());
        let place = self.place();
        if Stored::<T>::INLINE {
            // SAFETY: rule 1; the place is large and aligned enough for `T`, and empty.
            unsafe { place.cast::<T>().write(value) }
        } else {
            // SAFETY: as above; a thin `Box` fits.
            unsafe { place.cast::<Box<T>>().write(Box::new(value)) }
        }
        self.head_mut().payload = Some(Stored::<T>::TYPE);
    }

    /// Takes the value out, if one of type `T` is in.
    #[inline]
    pub(crate) fn take<T: Send + 'static>(&mut self) -> Option<T> {
        let payload = self.head().payload?;
        // The same description, nearly always; a type may have several.
        if !std::ptr::eq(payload, Stored::<T>::TYPE) && payload.id != TypeId::of::<T>() {
            return None;
        }
        self.head_mut().payload = None;
        let place = self.place();
        Some(if Stored::<T>::INLINE {
            // SAFETY: rule 2: a live `T` lies here, and it counts as gone from now on.
            unsafe { place.cast::<T>().read() }
        } else {
            // SAFETY: as above, boxed.
            unsafe { *place.cast::<Box<T>>().read() }
        })
    }

    /// True if something is in.
    #[inline]
    pub(crate) fn is_loaded(&self) -> bool {
        self.head().payload.is_some()
    }

    /// Drops what is in.
    #[inline]
    pub(crate) fn clear(&mut self) {
        if let Some(payload) = self.head_mut().payload.take() {
            let place = self.place();
            // SAFETY: rule 2: a live value of that type lies here, and it counts as gone from now on.
            unsafe { (payload.drop)(place) }
        }
    }
}

/// What an asker finds in its envelope in place of a reply.
#[derive(Debug)]
pub(crate) enum Unanswered {
    Failed(anyhow::Error),
    Panicked(Box<str>),
    Expired,
    Dropped,
    Unhandled,
    /// The handler took the reply, and dropped it.
    NoReply,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn envelope(slab: &Slab) -> Envelope<'_> {
        slab.create(0);
        // SAFETY: each test has one envelope, and makes it once.
        Envelope::new(slab, unsafe { Token::mint(0) })
    }

    #[test]
    fn what_goes_in_comes_out_once_as_what_it_was() {
        let slab = Slab::new(1);
        let mut envelope = envelope(&slab);
        envelope.put(String::from("hello"));
        assert_eq!(envelope.take::<u64>(), None);
        assert_eq!(envelope.take::<String>().as_deref(), Some("hello"));
        assert_eq!(envelope.take::<String>(), None);
    }

    #[test]
    fn a_message_too_large_or_too_aligned_for_the_inside_is_boxed() {
        #[repr(align(64))]
        #[derive(PartialEq, Debug)]
        struct Aligned(u8);
        const { assert!(Stored::<[u8; INLINE_BYTES]>::INLINE) };
        const { assert!(!Stored::<[u8; INLINE_BYTES + 1]>::INLINE) };
        const { assert!(!Stored::<Aligned>::INLINE) };
        let slab = Slab::new(1);
        let mut envelope = envelope(&slab);
        envelope.put([7_u8; 1000]);
        assert_eq!(envelope.take::<[u8; 1000]>(), Some([7; 1000]));
        envelope.put(Aligned(3));
        assert_eq!(envelope.take::<Aligned>(), Some(Aligned(3)));
    }

    #[test]
    fn a_value_left_inside_is_dropped_once() {
        let witness = Arc::new(());
        let slab = Slab::new(1);
        let mut first = envelope(&slab);
        first.put(witness.clone());
        first.put((witness.clone(), [0_u64; 100]));
        assert_eq!(Arc::strong_count(&witness), 2);
        first.clear();
        assert_eq!(Arc::strong_count(&witness), 1);
        first.put(witness.clone());
        drop(slab);
        assert_eq!(Arc::strong_count(&witness), 1);
    }
}
