//! Tasks whose wakers do what no waker should: they panic, or call back, when they are copied, woken or
//! dropped.
//!
//! loom stays out of it: such a panic comes from the waker, unwinds through the shipped code alone, and is
//! caught before loom's next step. It is raised past the panic hook, which would print it in every run.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{RawWaker, RawWakerVTable, Waker};

use loom::sync::Notify;

/// What is asked of a waker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Copy,
    Wake,
    Drop,
}

/// What such a panic leaves.
struct Thrown;

pub(super) fn throw() {
    resume_unwind(Box::new(Thrown));
}

/// Runs shipped code; `None` if a waker's panic came out of it.
pub(super) fn catch<T>(shipped: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(shipped))
        .map_err(|payload| {
            if !payload.is::<Thrown>() {
                // The model's own, or loom's.
                resume_unwind(payload);
            }
        })
        .ok()
}

/// A task that sleeps until it is woken, and may wake for no reason once.
pub(super) struct Rogue(Arc<Task>);

struct Task {
    bell: Notify,
    woken: AtomicU32,
    misbehave: Box<dyn Fn(Call) + Send + Sync>,
}

impl Rogue {
    /// `misbehave` is called before the waker does what it is asked for.
    pub(super) fn new(misbehave: impl Fn(Call) + Send + Sync + 'static) -> Self {
        Rogue(Arc::new(Task {
            bell: Notify::new(),
            woken: AtomicU32::new(0),
            misbehave: Box::new(misbehave),
        }))
    }

    /// One whose waker panics when that is asked of it for the first time.
    pub(super) fn throws_once(at: Call) -> Self {
        let asked = AtomicU32::new(0);
        Rogue::new(move |call| {
            if call == at && asked.fetch_add(1, Relaxed) == 0 {
                throw();
            }
        })
    }

    /// One whose waker panics whenever that is asked of it.
    pub(super) fn throws(at: Call) -> Self {
        Rogue::new(move |call| {
            if call == at {
                throw();
            }
        })
    }

    /// Polls with a waker of this task; `None` if its panic came out.
    pub(super) fn poll<T>(&self, poll: impl FnOnce(&Waker) -> T) -> Option<T> {
        // It is never dropped: what is examined are the copies that the shipped code makes.
        let waker = std::mem::ManuallyDrop::new(self.waker());
        let polled = catch(|| poll(&waker));
        // SAFETY: made from the task's reference right here, and not used any more.
        drop(unsafe { Arc::from_raw(waker.data().cast::<Task>()) });
        polled
    }

    /// Polls until there is a result; sleeps in between, unless its waker panicked.
    pub(super) fn block_on<T>(&self, mut poll: impl FnMut(&Waker) -> Option<T>) -> T {
        loop {
            match self.poll(&mut poll) {
                Some(Some(result)) => return result,
                Some(None) => self.0.bell.wait(),
                None => {}
            }
        }
    }

    pub(super) fn waker(&self) -> Waker {
        // SAFETY: the table's functions take the pointer for what it is, a reference to the task.
        unsafe { Waker::from_raw(raw(self.0.clone())) }
    }

    /// How many times it was woken in full.
    pub(super) fn woken(&self) -> u32 {
        self.0.woken.load(Relaxed)
    }

    /// True if someone still holds a waker of this task.
    pub(super) fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

const TABLE: RawWakerVTable = RawWakerVTable::new(copy, wake, wake_by_ref, release);

fn raw(task: Arc<Task>) -> RawWaker {
    RawWaker::new(Arc::into_raw(task).cast(), &TABLE)
}

/// The task that a waker stands for; the waker keeps its reference.
unsafe fn task(data: *const ()) -> std::mem::ManuallyDrop<Arc<Task>> {
    // SAFETY: `data` comes from `raw`, and its reference is not given up here.
    std::mem::ManuallyDrop::new(unsafe { Arc::from_raw(data.cast::<Task>()) })
}

unsafe fn copy(data: *const ()) -> RawWaker {
    // SAFETY: called by a waker that `raw` made.
    let task = unsafe { task(data) };
    task.asked(Call::Copy);
    raw((*task).clone())
}

unsafe fn wake(data: *const ()) {
    // SAFETY: as above; this waker's reference ends here, however that goes.
    let task = unsafe { Arc::from_raw(data.cast::<Task>()) };
    task.wake();
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: as in `copy`.
    unsafe { task(data) }.wake();
}

unsafe fn release(data: *const ()) {
    // SAFETY: as in `wake`.
    let task = unsafe { Arc::from_raw(data.cast::<Task>()) };
    task.asked(Call::Drop);
}

impl Task {
    fn asked(&self, call: Call) {
        // A model that has failed already shall say so, not fail again and abort.
        if !std::thread::panicking() {
            (self.misbehave)(call);
        }
    }

    fn wake(&self) {
        self.asked(Call::Wake);
        self.woken.fetch_add(1, Relaxed);
        self.bell.notify();
    }
}
