//! The runner: the place where a subsystem's one async handler runs.
//!
//! Every async call makes a future of its own type and size. Boxing each would cost an allocation per
//! message; the runner keeps one piece of memory per subsystem, grown to the largest future so far,
//! and builds each future there. It is allocated with the first async call.
//!
//! The second of the crate's two files with `unsafe`. The rules: `run` is `Some` if and only if a live
//! value, of the type that its functions were made for, lies at `place`; it never moves between
//! `start` and its end (it is pinned); `place` is only freed or replaced while `run` is `None`.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::any::Any;
use std::marker::PhantomData;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use crate::envelope::Envelope;

/// What a panic left.
pub(crate) type Panic = Box<dyn Any + Send>;

/// How a handler ended.
pub(crate) enum Outcome {
    Handled,
    /// It gave its message back.
    Later,
    /// It returned an error with this text.
    Failed(String),
    /// It panicked; the subsystem is there, but broken.
    Panicked(Panic),
}

/// A handler under way.
pub(crate) trait Run<S> {
    /// Goes on; at the end gives the subsystem back, the reply lying in `envelope`. A hook has none.
    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        envelope: Option<&mut Envelope<'_>>,
    ) -> Poll<(Box<S>, Outcome)>;
}

type PollFn<S> =
    unsafe fn(NonNull<u8>, &mut Context<'_>, Option<&mut Envelope<'_>>) -> Poll<(Box<S>, Outcome)>;

/// Memory for one handler under way; nothing at all before the first.
pub(crate) struct Runner<S>(Option<Box<Place<S>>>);

struct Place<S> {
    place: NonNull<u8>,
    /// Of `place`; size 0 while nothing is allocated.
    layout: Layout,
    run: Option<Live<S>>,
    /// Futures may be bound to this thread.
    local: PhantomData<*mut ()>,
}

struct Live<S> {
    poll: PollFn<S>,
    drop: unsafe fn(NonNull<u8>),
}

/// # Safety
/// A live `R` lies at `place` and is pinned there.
unsafe fn poll<S, R: Run<S>>(
    place: NonNull<u8>,
    cx: &mut Context<'_>,
    envelope: Option<&mut Envelope<'_>>,
) -> Poll<(Box<S>, Outcome)> {
    // SAFETY: the caller's promise.
    let run = unsafe { Pin::new_unchecked(place.cast::<R>().as_mut()) };
    run.poll(cx, envelope)
}

/// # Safety
/// A live `R` lies at `place`, which is dead afterwards.
unsafe fn drop_run<R>(place: NonNull<u8>) {
    // SAFETY: the caller's promise.
    unsafe { place.cast::<R>().drop_in_place() }
}

impl<S> Runner<S> {
    pub(crate) fn new() -> Self {
        Runner(None)
    }

    /// Places a handler to be polled; one that was under way is dropped. It is made there, not made
    /// somewhere and then moved, which takes 6 ns.
    #[inline(always)]
    pub(crate) fn start<R: Run<S> + 'static>(&mut self, make: impl FnOnce() -> R) {
        self.0
            .get_or_insert_with(|| Box::new(Place::new()))
            .start(make);
    }

    /// Polls the handler under way.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        envelope: Option<&mut Envelope<'_>>,
    ) -> Poll<(Box<S>, Outcome)> {
        match &mut self.0 {
            Some(place) => place.poll(cx, envelope),
            None => Poll::Pending,
        }
    }

    /// Drops the handler under way, if there is one.
    pub(crate) fn clear(&mut self) {
        if let Some(place) = &mut self.0 {
            place.clear();
        }
    }
}

impl<S> Place<S> {
    fn new() -> Self {
        Place {
            place: NonNull::dangling(),
            layout: Layout::new::<()>(),
            run: None,
            local: PhantomData,
        }
    }

    #[inline(always)]
    fn start<R: Run<S> + 'static>(&mut self, make: impl FnOnce() -> R) {
        self.clear();
        self.reserve(Layout::new::<R>());
        // SAFETY: `place` is empty, and large and aligned enough after `reserve`.
        unsafe { self.place.cast::<R>().write(make()) };
        self.run = Some(Live {
            poll: poll::<S, R>,
            drop: drop_run::<R>,
        });
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        envelope: Option<&mut Envelope<'_>>,
    ) -> Poll<(Box<S>, Outcome)> {
        let Some(live) = &self.run else {
            return Poll::Pending;
        };
        // SAFETY: `run` is `Some`, so a live value of its type lies at `place`.
        let polled = unsafe { (live.poll)(self.place, cx, envelope) };
        if polled.is_ready() {
            self.clear();
        }
        polled
    }

    fn clear(&mut self) {
        if let Some(live) = self.run.take() {
            // SAFETY: as in `poll`; `run` is `None` from here on, even if the drop panics.
            unsafe { (live.drop)(self.place) }
        }
    }

    fn reserve(&mut self, wanted: Layout) {
        if wanted.size() <= self.layout.size() && wanted.align() <= self.layout.align() {
            return;
        }
        self.free();
        let layout = Layout::from_size_align(
            wanted
                .size()
                .max(self.layout.size())
                .max(64)
                .next_power_of_two(),
            wanted.align().max(self.layout.align()).max(16),
        )
        .expect("the layout of a future, rounded up");
        // SAFETY: the size is not zero.
        let place = unsafe { alloc(layout) };
        self.place = NonNull::new(place).unwrap_or_else(|| handle_alloc_error(layout));
        self.layout = layout;
    }

    fn free(&mut self) {
        debug_assert!(self.run.is_none());
        if self.layout.size() > 0 {
            // SAFETY: `place` was allocated with `layout` and nothing lives there.
            unsafe { dealloc(self.place.as_ptr(), self.layout) };
            self.layout = Layout::new::<()>();
        }
    }
}

impl<S> Drop for Place<S> {
    fn drop(&mut self) {
        self.clear();
        self.free();
    }
}
