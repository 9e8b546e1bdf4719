//! Counts allocations: the system's allocator, with a counter in front.
//!
//! Nothing is done unless something allocates, so a path that allocates nothing costs nothing here.
//! The counters are spread over a few cache lines, by thread, so that threads which do allocate do not
//! wait for each other.
//!
//! This is the only file of the example with `unsafe` in it: `GlobalAlloc` is an unsafe trait. Every
//! method hands its arguments on to [`System`] unchanged, and its answer back unchanged.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The system's allocator, counting.
pub(crate) struct Counting;

#[repr(align(128))]
struct Shard(AtomicU64);

static SHARDS: [Shard; 16] = [const { Shard(AtomicU64::new(0)) }; 16];
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Not a shard yet.
const NONE: usize = usize::MAX;
/// This thread's allocations are not counted.
const UNCOUNTED: usize = usize::MAX - 1;

thread_local! {
    // Without an initialiser to run or a destructor: safe to touch from within an allocation.
    static SHARD: Cell<usize> = const { Cell::new(NONE) };
}

fn count() {
    let _ = SHARD.try_with(|shard| {
        let mut at = shard.get();
        if at == UNCOUNTED {
            return;
        }
        if at == NONE {
            at = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS.len();
            shard.set(at);
        }
        SHARDS[at].0.fetch_add(1, Ordering::Relaxed);
    });
}

/// Allocations of the whole process so far; growing one in place counts too.
pub(crate) fn so_far() -> u64 {
    let counts = SHARDS.iter().map(|shard| shard.0.load(Ordering::Relaxed));
    counts.sum()
}

/// Leaves the calling thread out of the count: what draws the progress bar is not the framework.
pub(crate) fn leave_this_thread_out() {
    SHARD.with(|shard| shard.set(UNCOUNTED));
}

// SAFETY: every block comes from and returns to `System`, with the layout that the caller gave;
// counting touches neither the block nor the layout, does not allocate and does not unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises about `layout` are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: `block` came from `System` through this allocator with this `layout`; the caller
        // promises the rest.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from `System` through this allocator with this `layout`.
        unsafe { System.dealloc(block, layout) }
    }
}
