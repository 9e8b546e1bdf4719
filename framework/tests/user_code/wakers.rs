//! Wakers with code of the user's.
#![allow(
    unsafe_code,
    reason = "a waker whose clone is the user's can't be made without it"
)]

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::table::Site;
use crate::world::{Token, World};

/// The task that a waker wakes; each call of the waker's is a site.
pub(crate) struct OwnTask {
    world: Arc<World>,
    pub(crate) woken: AtomicU32,
    _token: Token,
}

impl OwnTask {
    pub(crate) fn new(world: &Arc<World>) -> (Arc<Self>, Waker) {
        let task = Arc::new(OwnTask {
            world: world.clone(),
            woken: AtomicU32::new(0),
            _token: world.token(Site::Nowhere),
        });
        let raw = RawWaker::new(Arc::into_raw(task.clone()).cast(), &TABLE);
        // SAFETY: the functions of the table keep the contract: each owns, or borrows, one count of the Arc.
        (task, unsafe { Waker::from_raw(raw) })
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.woken.load(Ordering::SeqCst) > 0
    }

    fn wake_sites(&self) {
        self.woken.fetch_add(1, Ordering::SeqCst);
        for site in [
            Site::WakeAnAsker,
            Site::WakeASender,
            Site::WakeAMounter,
            Site::WakeAnUnmounter,
            Site::WakeAStopper,
            Site::WakeAWatcher,
            Site::WakeAReaderOfDeadLetters,
        ] {
            self.world.reach(site);
        }
    }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

fn borrowed(task: *const ()) -> ManuallyDrop<Arc<OwnTask>> {
    // SAFETY: every waker's pointer came from `Arc::into_raw`, and its count is not given up here.
    ManuallyDrop::new(unsafe { Arc::from_raw(task.cast()) })
}

unsafe fn clone(task: *const ()) -> RawWaker {
    let task = borrowed(task);
    for site in [Site::CloneOfAnAsker, Site::CloneOfASender] {
        task.world.reach(site);
    }
    let another = Arc::clone(&task);
    RawWaker::new(Arc::into_raw(another).cast(), &TABLE)
}

unsafe fn wake(task: *const ()) {
    // A waker that is woken by value is no more, whatever its task does.
    let task = ManuallyDrop::into_inner(borrowed(task));
    task.wake_sites();
}

unsafe fn wake_by_ref(task: *const ()) {
    borrowed(task).wake_sites();
}

unsafe fn drop_waker(task: *const ()) {
    let task = ManuallyDrop::into_inner(borrowed(task));
    let world = task.world.clone();
    drop(task);
    for site in [
        Site::DropOfAnAsker,
        Site::DropOfASender,
        Site::DropOfAMounter,
        Site::DropOfAnUnmounter,
        Site::DropOfAWatcher,
    ] {
        world.reach(site);
    }
}
