//! Envelopes: the recycled carriers of messages. `send → `**`envelope`**` → mailbox`
//!
//! An envelope is a slot of the pool's slab plus the [`Token`] that gives exclusive access to it. The message and
//! its captures lie inline up to [`INLINE_BYTES`]; a larger message is boxed, and counted. The handler's reply is
//! written into the same slot. Promise: a value that is put in is taken out once, with its original type, or
//! dropped once.
//!
//! The rules of ownership, on which the `unsafe` code here and in the files beside it rests:
//! 1. A slot's `head` and `payload` are touched only through an [`Envelope`], which has the slot's token.
//!    The token can't be copied, so no two threads touch a slot at once. The lists that hand tokens over
//!    order one owner's accesses before the next one's (release and acquire).
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
use std::time::Duration;

use crate::base::clock::Due;
use crate::base::user_code::{contain, discard};
use crate::envelope::token::Token;
use crate::words::tap::Mark;
use crate::words::trace::TraceId;
use deferral::DeferredEnd;
use reply::ReplySlot;
pub(crate) use slab::Slab;

/// Messages with their captures, and replies, lie inside the envelope up to this many bytes.
pub const INLINE_BYTES: usize = 160;
/// The largest alignment of a value that lies inside the envelope.
pub const INLINE_ALIGN: usize = 16;

/// What an envelope says about its message.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// When the message was sent, as the clock's raw value.
    pub(crate) sent: u64,
    pub(crate) due: Due,
    /// The trace that the message belongs to; 0 if it begins one.
    pub(crate) trace: u64,
    payload: Option<&'static PayloadType>,
    /// The table that `handler` is an index into.
    pub(crate) table: u32,
    /// The subsystem that sent the message; 0 if it came from outside.
    pub(crate) sender: u32,
    pub(crate) handler: u16,
    /// The route's index in the table, under which its latency is recorded.
    pub(crate) route: u16,
    /// True if the message is an ask.
    pub(crate) is_ask: bool,
    /// A tap's mark on the message. It takes no room: it lies where padding would be.
    pub(crate) mark: Mark,
    /// How the message ended, if its reply came after its handler had returned. Written by the thread that
    /// answers, read by the host.
    pub(crate) deferred: DeferredEnd,
}

#[repr(C, align(16))]
struct Inline([MaybeUninit<u8>; INLINE_BYTES]);

/// The content of an envelope: the message, and what its handler's extractors packed at the sender.
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

/// A value of a user's type, stored together with other user values. A panic of its drop is contained: if the
/// drop of a second value panicked while the first panic unwinds, the process would abort. It is as large as the
/// value.
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
        // SAFETY: the value is taken once: `this` is never dropped, nor used again.
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
            // SAFETY: the value is dropped once, together with its holder.
            discard(unsafe { ManuallyDrop::take(&mut self.0) });
        }
    }
}

/// A slot of the slab: 256 bytes, four cache lines. The first line holds all that a small message needs.
#[repr(C, align(64))]
pub(crate) struct Slot {
    head: UnsafeCell<Head>,
    payload: UnsafeCell<Inline>,
    pub(crate) reply: ReplySlot,
}

const _: () = assert!(size_of::<Slot>() == 256);

// SAFETY: only the holder of the slot's token touches `head` and `payload` (rule 1). The values in it are `Send`,
// so another thread may take or drop them. `reply` is `Sync` itself.
unsafe impl Sync for Slot {}
// SAFETY: as above; a slab is dropped by one thread after all others have dropped their references to it.
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
            // Contained: a panic would leak the other slots' values, or abort if another panic unwinds.
            // SAFETY: rule 2: the value is live; `&mut self` is the sole access.
            let _ = contain(|| unsafe { (payload.drop)(self.payload.get().cast()) });
        }
    }
}

/// What must be known about a type to store a value of it without naming it.
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

/// Tells whether values of a type lie inside the envelope.
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
/// `place` holds a live, aligned `T`. It must not be used afterwards.
unsafe fn drop_inline<T>(place: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { place.cast::<T>().drop_in_place() }
}

/// An envelope with its token: exclusive access to the slot.
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
        // SAFETY: rule 1: the token gives exclusive access; `&self` keeps writers out.
        unsafe { &*self.slot.head.get() }
    }

    #[inline]
    pub(crate) fn head_mut(&mut self) -> &mut Head {
        // SAFETY: rule 1, and `&mut self` keeps all other accesses out.
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

    /// Puts a value in and drops the one before.
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

    /// Takes the value out, if it has type `T`.
    #[inline]
    pub(crate) fn take<T: Send + 'static>(&mut self) -> Option<T> {
        let payload = self.head().payload?;
        // Nearly always the same address. One type may have several descriptions, so the ids are compared too.
        if !std::ptr::eq(payload, Stored::<T>::TYPE) && payload.id != TypeId::of::<T>() {
            return None;
        }
        self.head_mut().payload = None;
        let place = self.place();
        Some(if Stored::<T>::INLINE {
            // SAFETY: rule 2: a live `T` lies here. `head.payload` is `None` from now on.
            unsafe { place.cast::<T>().read() }
        } else {
            // SAFETY: as above, boxed.
            unsafe { *place.cast::<Box<T>>().read() }
        })
    }

    /// True if the envelope holds a value.
    #[inline]
    pub(crate) fn is_loaded(&self) -> bool {
        self.head().payload.is_some()
    }

    /// Drops the value, if there is one.
    #[inline]
    pub(crate) fn clear(&mut self) {
        if let Some(payload) = self.head_mut().payload.take() {
            let place = self.place();
            // SAFETY: rule 2: a live value of that type lies here. `head.payload` is `None` from now on.
            unsafe { (payload.drop)(place) }
        }
    }
}

/// Why there is no reply. The host puts it into the envelope, and the asker takes it out.
#[derive(Debug)]
pub(crate) enum Unanswered {
    Failed(anyhow::Error),
    Panicked(Box<str>),
    /// The handler was cut off after this time.
    CutOff(Duration),
    Expired,
    Dropped,
    /// It waited in a mailbox that was cleared.
    Cleared,
    Unhandled,
    /// The handler took the `Reply` and dropped it.
    NoReply,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn envelope(slab: &Slab) -> Envelope<'_> {
        slab.create(0);
        // SAFETY: each test has one envelope and makes its token once.
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
