//! The runner: the place where a subsystem's one async handler runs.
//!
//! Every async call makes a future of its own type and size. Boxing each would cost an allocation per message. So the
//! thread keeps pieces of memory, grown to the largest future so far, and each future is built in one of them. Nearly
//! all futures end at their first poll. Then all subsystems of a thread use the same piece in turn, which is in the
//! processor's cache.
//!
//! The future owns the subsystem and awaits the method that has borrowed it: [`run`].
//!
//! The rules of its `unsafe` code: a [`RunningFuture`] has in its place a live value
//! of the type that its functions were made for, which never moves until it is dropped (it is pinned); in
//! all other places nothing lives, and only those are given back, grown or freed.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::ptr::NonNull;
use std::task::{Context, Poll};

use crate::base::user_code::{Contained, contain, discard};
use crate::envelope::Envelope;

/// The text of a panic.
pub(crate) type Panic = Box<str>;

/// How a handler ended.
pub(crate) enum HandlerOutcome {
    Handled,
    /// It gave its message back.
    Later,
    /// It was cut off because its time was up.
    CutOff,
    /// It returned an error with this text.
    Failed(String),
    /// It panicked; the subsystem is there, but broken.
    Panicked(Panic),
}

/// The subsystem of a handler that has ended, and how it ended. None if the subsystem was lost with the thread that
/// had it.
pub(crate) type RunEnd<S> = (Option<Box<S>>, HandlerOutcome);

/// A handler under way.
pub(crate) trait Run<S> {
    /// It runs on another thread, and goes on there after it is dropped.
    const BLOCKS: bool = false;

    /// Goes on. At its end it gives the subsystem back, and the reply lies in `envelope`. There is no envelope for a
    /// hook, nor for a blocking handler whose message has ended already.
    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        envelope: Option<&mut Envelope<'_>>,
    ) -> Poll<RunEnd<S>>;
}

/// Runs a method, and gives the subsystem back with the result. The future owns the subsystem while it runs. If the
/// future is dropped, the method's future is dropped first, then the subsystem.
pub(crate) async fn run<S, M, A, R, F>(
    state: Box<S>,
    method: F,
    message: M,
    arguments: A,
) -> (Box<S>, Result<R, Panic>)
where
    F: AsyncFn(&mut S, M, A) -> R,
{
    let mut state = Contained::new(state);
    let borrowed: &mut S = state.get_mut();
    // A panic is caught here: it must not unwind through the subsystem, whose own drop may panic too, and two panics
    // at once abort the process.
    let reply = match contain(|| method(borrowed, message, arguments)) {
        Ok(future) => {
            let future = pin!(Some(future));
            Caught { future }.await
        }
        Err(panic) => Err(panic),
    };
    (state.take(), reply)
}

/// A future whose panics are caught: those of its polls, and that of its drop at its end.
pub(super) struct Caught<'f, F> {
    pub(super) future: Pin<&'f mut Option<F>>,
}

impl<F: Future> Future for Caught<'_, F> {
    type Output = Result<F::Output, Panic>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = contain(|| match self.future.as_mut().as_pin_mut() {
            Some(future) => future.poll(cx),
            None => Poll::Pending,
        });
        let reply = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(reply)) => Ok(reply),
            Err(panic) => Err(panic),
        };
        // The method's future borrows the subsystem, so it is dropped before the subsystem is given back.
        Poll::Ready(match (contain(|| self.future.set(None)), reply) {
            (Ok(()), reply) => reply,
            (Err(panic), Err(_)) => Err(panic),
            (Err(panic), Ok(reply)) => {
                discard(reply);
                Err(panic)
            }
        })
    }
}

type PollFn<S> =
    unsafe fn(NonNull<u8>, &mut Context<'_>, Option<&mut Envelope<'_>>) -> Poll<RunEnd<S>>;

/// How a type of handlers under way is polled and dropped.
struct RunType<S> {
    poll: PollFn<S>,
    drop: unsafe fn(NonNull<u8>),
    /// [`Run::BLOCKS`].
    blocks: bool,
}

/// Where a subsystem's async handler runs. None while no handler is under way.
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
    /// Keeps it on this thread: a future in it may be bound to the thread.
    local: PhantomData<*mut ()>,
}

/// The most empty places that a thread keeps, besides the one in `SPARE`.
const SPARES: usize = 64;

/// Boxes, because a runner holds a box, which is used again.
type Places = Vec<Box<FutureMemory>>;

thread_local! {
    /// The empty place that is used next. Nothing lives in it, nor in those of `MORE`.
    static SPARE: Cell<Option<Box<FutureMemory>>> = const { Cell::new(None) };
    static MORE: RefCell<Places> = const { RefCell::new(Vec::new()) };
}

/// # Safety
/// A live `R` lies at `place` and is pinned there.
#[inline]
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
#[inline]
unsafe fn drop_run<R>(place: NonNull<u8>) {
    // SAFETY: the caller's promise.
    unsafe { place.cast::<R>().drop_in_place() }
}

impl<S> Runner<S> {
    pub(crate) fn new() -> Self {
        Runner(None)
    }

    /// Makes a handler in the runner and polls it for the first time. One that was under way is dropped. It is made in
    /// its place, since moving it there would take 6 ns. Most handlers end here, where the compiler knows their type,
    /// and nothing is called by a pointer.
    #[inline(always)]
    pub(crate) fn start<R: Run<S> + 'static>(
        &mut self,
        make: impl FnOnce() -> R,
        cx: &mut Context<'_>,
        envelope: Option<&mut Envelope<'_>>,
    ) -> Poll<RunEnd<S>> {
        self.clear();
        let mut place = FutureMemory::take();
        place.reserve(Layout::new::<R>());
        let memory = place.memory;
        // SAFETY: nothing lives in a place that was taken, and it is large and aligned enough.
        unsafe { memory.cast::<R>().write(make()) };
        let of = RunType {
            poll: poll::<S, R>,
            drop: drop_run::<R>,
            blocks: R::BLOCKS,
        };
        // Before it is polled: if that unwinds, it is dropped by `clear`.
        self.0 = Some(RunningFuture { of, place });
        // SAFETY: it was written there, and is never moved.
        let polled = unsafe { poll::<S, R>(memory, cx, envelope) };
        if polled.is_ready()
            && let Some(RunningFuture { place, .. }) = self.0.take()
        {
            // SAFETY: as in `clear`, and of this type it is.
            unsafe { drop_run::<R>(place.memory) };
            place.give_back();
        }
        polled
    }

    /// True if a handler is under way that goes on after it is dropped.
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
    /// An empty place of the thread's, or a new one.
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

    /// Gives the place to the thread's next handler. Nothing must live there.
    #[inline]
    fn give_back(self: Box<Self>) {
        // If the thread is ending, the memory is freed.
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
        // Computed before the old layout is forgotten. Size and alignment never shrink, so that futures that take
        // turns do not allocate again and again.
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

/// A layout that is enough for both, rounded up.
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
