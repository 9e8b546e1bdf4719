//! The runner: the place where a subsystem's one async handler runs.
//!
//! Every async call makes a future of its own type and size. Boxing each would cost an allocation per
//! message; so the thread keeps pieces of memory, grown to the largest future so far, and each future is
//! built in one of them. Nearly all come to their end at once: then all subsystems of a thread use the same
//! piece in turn, which is in the processor's cache, and none has one of its own.
//!
//! What is built there is a [`Method`]: a subsystem and the future of the method that has borrowed it. An
//! `async` block that owns the one and awaits the other does the same; but the message would be moved
//! through it and through the one that catches panics, 4 ns each.
//!
//! The second of the crate's two files with `unsafe`. The rules: a [`RunningFuture`] has in its place a live value
//! of the type that its functions were made for, which never moves until it is dropped (it is pinned); in
//! all other places nothing lives, and only those are given back, grown or freed. A subsystem that was
//! borrowed is touched by no one but its borrower, whose future is dropped first.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use crate::base::user_code::{contain, discard};
use crate::envelope::Envelope;

/// The text of a panic.
pub(crate) type Panic = Box<str>;

/// How a handler ended.
pub(crate) enum HandlerOutcome {
    Handled,
    /// It gave its message back.
    Later,
    /// It returned an error with this text.
    Failed(String),
    /// It panicked; the subsystem is there, but broken.
    Panicked(Panic),
}

/// What is left of a handler that has ended: the subsystem, and how it ended. None if the subsystem was lost
/// with the thread that had it.
pub(crate) type RunEnd<S> = (Option<Box<S>>, HandlerOutcome);

/// A handler under way.
pub(crate) trait Run<S> {
    /// It runs on another thread, and goes on there when it is dropped.
    const BLOCKS: bool = false;

    /// Goes on; at the end gives the subsystem back, the reply lying in `envelope`. A hook has none, nor has
    /// a handler that blocks once its message has ended.
    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        envelope: Option<&mut Envelope<'_>>,
    ) -> Poll<RunEnd<S>>;
}

/// A subsystem's value while a method has borrowed it; a `Box` would claim to be the only way there.
struct Lender<S>(Option<NonNull<S>>);

impl<S> Lender<S> {
    /// Takes it back, which its borrower must not outlive.
    fn take(&mut self) -> Option<Box<S>> {
        // SAFETY: it comes from a `Box`, and is taken out once.
        self.0
            .take()
            .map(|state| unsafe { Box::from_raw(state.as_ptr()) })
    }
}

impl<S> Drop for Lender<S> {
    fn drop(&mut self) {
        let state = self.take();
        if std::thread::panicking() {
            // Its borrower did; a second panic would abort.
            discard(state);
        }
    }
}

pin_project_lite::pin_project! {
    /// A method under way, and the subsystem that it has borrowed.
    pub(crate) struct Method<S, F> {
        // Dropped before the subsystem: fields are dropped in order.
        #[pin]
        future: Option<F>,
        lender: Lender<S>,
    }
}

/// A method for as long as any future of it lives: each borrows it too.
#[inline(always)]
pub(crate) fn lasting<F: Clone + 'static>(method: &F) -> &'static F {
    const {
        // Without size, one that lives forever costs nothing.
        assert!(size_of::<F>() == 0, "a method captures nothing");
    }
    Box::leak(Box::new(method.clone()))
}

/// Calls a method, and keeps the subsystem for as long as the future lives.
#[inline(always)]
pub(crate) fn begin<S, M, A, R, F>(
    state: Box<S>,
    method: &'static F,
    message: M,
    arguments: A,
) -> Method<S, impl Future<Output = R> + use<S, M, A, R, F>>
where
    S: 'static,
    M: 'static,
    A: 'static,
    F: AsyncFn(&mut S, M, A) -> R + 'static,
{
    let mut state = NonNull::from(Box::leak(state));
    // Before the method is called, which may panic before there is a future.
    let lender = Lender(Some(state));
    // SAFETY: the value stays where it is until `Method` takes it back, and the future is gone by then. That
    // the borrow is said to be `'static` gives nothing away: the method must take any lifetime.
    let borrowed: &'static mut S = unsafe { state.as_mut() };
    Method {
        future: Some(method(borrowed, message, arguments)),
        lender,
    }
}

impl<S, F: Future> Future for Method<S, F> {
    type Output = (Box<S>, Result<F::Output, Panic>);

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let polled = contain(|| match this.future.as_mut().as_pin_mut() {
            Some(future) => future.poll(cx),
            None => Poll::Pending,
        });
        // A panic is caught here: it must not unwind through the subsystem, whose own drop may panic too,
        // and two panics at once abort the process.
        let reply = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(reply)) => Ok(reply),
            Err(panic) => Err(panic),
        };
        // First the borrower goes, whatever its own drop does.
        let reply = match (contain(|| this.future.set(None)), reply) {
            (Ok(()), reply) => reply,
            (Err(panic), Err(_)) => Err(panic),
            (Err(panic), Ok(reply)) => {
                discard(reply);
                Err(panic)
            }
        };
        match this.lender.take() {
            Some(state) => Poll::Ready((state, reply)),
            None => Poll::Pending,
        }
    }
}

type PollFn<S> =
    unsafe fn(NonNull<u8>, &mut Context<'_>, Option<&mut Envelope<'_>>) -> Poll<RunEnd<S>>;

/// What is to be known of a type of handlers under way.
struct RunType<S> {
    poll: PollFn<S>,
    drop: unsafe fn(NonNull<u8>),
    blocks: bool,
}

/// Where a subsystem's async handler runs; nothing at all while none is under way.
pub(crate) struct Runner<S>(Option<RunningFuture<S>>);

/// A handler under way: a live value of the type that `of` describes lies in its place.
struct RunningFuture<S> {
    of: RunType<S>,
    place: Box<FutureMemory>,
}

/// Memory for a future.
struct FutureMemory {
    memory: NonNull<u8>,
    /// Of `memory`; size 0 while nothing is allocated.
    layout: Layout,
    /// Futures may be bound to this thread.
    local: PhantomData<*mut ()>,
}

/// Places that a thread keeps for the handlers that begin next, besides the one that it uses all the time.
const SPARES: usize = 64;

/// As boxes, for a box is what a runner holds: to unpack it here would be to make it again.
type Places = Vec<Box<FutureMemory>>;

thread_local! {
    /// Nothing lives in them.
    static SPARE: Cell<Option<Box<FutureMemory>>> = const { Cell::new(None) };
    static MORE: RefCell<Places> = const { RefCell::new(Vec::new()) };
}

/// # Safety
/// A live `R` lies at `place` and is pinned there.
unsafe fn poll<S, R: Run<S>>(
    place: NonNull<u8>,
    cx: &mut Context<'_>,
    envelope: Option<&mut Envelope<'_>>,
) -> Poll<RunEnd<S>> {
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
        self.clear();
        let mut place = FutureMemory::take();
        place.reserve(Layout::new::<R>());
        // SAFETY: nothing lives in a place that was taken, and it is large and aligned enough.
        unsafe { place.memory.cast::<R>().write(make()) };
        let of = RunType {
            poll: poll::<S, R>,
            drop: drop_run::<R>,
            blocks: R::BLOCKS,
        };
        self.0 = Some(RunningFuture { of, place });
    }

    /// True if a handler is under way that goes on elsewhere if it is dropped.
    pub(crate) fn blocks(&self) -> bool {
        self.0.as_ref().is_some_and(|running| running.of.blocks)
    }

    /// Polls the handler under way.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        envelope: Option<&mut Envelope<'_>>,
    ) -> Poll<RunEnd<S>> {
        let Some(running) = &self.0 else {
            return Poll::Pending;
        };
        // SAFETY: a live value of its type lies in the place, and is never moved.
        let polled = unsafe { (running.of.poll)(running.place.memory, cx, envelope) };
        if polled.is_ready() {
            self.clear();
        }
        polled
    }

    /// Drops the handler under way, if there is one.
    #[inline]
    pub(crate) fn clear(&mut self) {
        if let Some(RunningFuture { of, place }) = self.0.take() {
            // SAFETY: as in `poll`; no one else knows of the value any more, even if its drop panics.
            unsafe { (of.drop)(place.memory) };
            place.give_back();
        }
    }
}

impl<S> Drop for Runner<S> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl FutureMemory {
    /// One of the thread's, or a new one.
    #[inline]
    fn take() -> Box<Self> {
        match SPARE.try_with(Cell::take) {
            Ok(Some(place)) => place,
            _ => FutureMemory::take_more(),
        }
    }

    #[cold]
    fn take_more() -> Box<Self> {
        let spare = MORE.try_with(|more| more.borrow_mut().pop());
        spare.ok().flatten().unwrap_or_else(|| {
            Box::new(FutureMemory {
                memory: NonNull::dangling(),
                layout: Layout::new::<()>(),
                local: PhantomData,
            })
        })
    }

    /// Lets the next handler of the thread have it. Nothing must live there.
    #[inline]
    fn give_back(self: Box<Self>) {
        // If the thread is ending it is freed.
        if let Ok(Some(other)) = SPARE.try_with(|spare| spare.replace(Some(self))) {
            other.keep();
        }
    }

    #[cold]
    fn keep(self: Box<Self>) {
        let _ = MORE.try_with(|more| {
            let mut more = more.borrow_mut();
            if more.len() < SPARES {
                more.push(self);
            }
        });
    }

    fn reserve(&mut self, wanted: Layout) {
        if wanted.size() <= self.layout.size() && wanted.align() <= self.layout.align() {
            return;
        }
        self.grow(wanted);
    }

    #[cold]
    fn grow(&mut self, wanted: Layout) {
        // Before what is there is forgotten: it grows in size and in alignment and shrinks in neither, so
        // that futures which take turns do not make it again and again.
        let layout = enlarged(self.layout, wanted);
        self.free();
        // SAFETY: the size is not zero.
        let memory = unsafe { alloc(layout) };
        self.memory = NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout));
        self.layout = layout;
    }

    fn free(&mut self) {
        if self.layout.size() > 0 {
            // SAFETY: `memory` was allocated with `layout`, and by the rules nothing lives there.
            unsafe { dealloc(self.memory.as_ptr(), self.layout) };
            self.layout = Layout::new::<()>();
        }
    }
}

/// A layout for what either of two is for, rounded up.
fn enlarged(known: Layout, wanted: Layout) -> Layout {
    let align = wanted.align().max(known.align()).max(16);
    let size = wanted.size().max(known.size()).max(64);
    let rounded = size.checked_next_power_of_two();
    rounded
        .and_then(|size| Layout::from_size_align(size, align).ok())
        // Larger than half of all memory.
        .unwrap_or(wanted)
}

impl Drop for FutureMemory {
    fn drop(&mut self) {
        self.free();
    }
}
