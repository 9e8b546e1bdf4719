//! Tasks whose wakers misbehave: they panic or call back when they are cloned, woken or dropped.
//!
//! loom takes no part in such a panic: it comes from the waker, unwinds only through the shipped code, and is
//! caught before loom's next step. It is raised without the panic hook, which would print it in every run.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{RawWaker, RawWakerVTable, Waker};

use loom::sync::Notify;

/// A call of a waker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Copy,
    Wake,
    Drop,
}

/// The payload of such a panic.
struct Thrown;

pub(super) fn throw() {
    resume_unwind(Box::new(Thrown));
}

/// Runs shipped code. Returns `None` if a waker's panic came out of it.
pub(super) fn catch<T>(shipped: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(shipped))
        .map_err(|payload| {
            if !payload.is::<Thrown>() {
                // A panic of the model, or of loom.
                resume_unwind(payload);
            }
        })
        .ok()
}

/// A task that sleeps until it is woken; it may wake spuriously once.
pub(super) struct Rogue(Arc<Task>);

struct Task {
    bell: Notify,
    woken: AtomicU32,
    misbehave: Box<dyn Fn(Call) + Send + Sync>,
}

impl Rogue {
    /// Makes a task. `misbehave` is called before the waker does what it is called for.
    pub(super) fn new(misbehave: impl Fn(Call) + Send + Sync + 'static) -> Self {
        Rogue(Arc::new(Task {
            bell: Notify::new(),
            woken: AtomicU32::new(0),
            misbehave: Box::new(misbehave),
        }))
    }

    /// Makes a task whose waker panics at the first such call.
    pub(super) fn throws_once(at: Call) -> Self {
        let asked = AtomicU32::new(0);
        Rogue::new(move |call| {
            if call == at && asked.fetch_add(1, Relaxed) == 0 {
                throw();
            }
        })
    }

    /// Makes a task whose waker panics at every such call.
    pub(super) fn throws(at: Call) -> Self {
        Rogue::new(move |call| {
            if call == at {
                throw();
            }
        })
    }

    /// Polls with a waker of this task. Returns `None` if its panic came out.
    pub(super) fn poll<T>(&self, poll: impl FnOnce(&Waker) -> T) -> Option<T> {
        // It is never dropped: the models examine the clones that the shipped code makes.
        let waker = std::mem::ManuallyDrop::new(self.waker());
        let polled = catch(|| poll(&waker));
        // SAFETY: it was made from the task's reference right here, and is not used any more.
        drop(unsafe { Arc::from_raw(waker.data().cast::<Task>()) });
        polled
    }

    /// Polls until there is a result, and sleeps in between, unless its waker panicked.
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
        // SAFETY: the table's functions treat the pointer as a reference to the task, which it is.
        unsafe { Waker::from_raw(raw(self.0.clone())) }
    }

    /// How many wakes have completed.
    pub(super) fn woken(&self) -> u32 {
        self.0.woken.load(Relaxed)
    }

    /// True if a waker of this task still exists.
    pub(super) fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

const TABLE: RawWakerVTable = RawWakerVTable::new(copy, wake, wake_by_ref, release);

fn raw(task: Arc<Task>) -> RawWaker {
    RawWaker::new(Arc::into_raw(task).cast(), &TABLE)
}

/// Returns the task of a waker. The waker keeps its reference.
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
    // SAFETY: as above; this waker's reference ends here in any case.
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
        // If the model has failed already, report only that: a second panic would abort.
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
