//! The heap: the system's allocator, with counters in front. A program that wants them declares
//! `#[global_allocator] static ALLOCATOR: Counting = Counting;`.
//!
//! Nothing is done unless something allocates, so a path that allocates nothing costs nothing here.
//! The counters are spread over a few cache lines, by thread, so that threads which do allocate do not
//! wait for each other.
//!
//! This is the only file of the examples with `unsafe` in it: `GlobalAlloc` is an unsafe trait. Every
//! method hands its arguments on to [`System`] unchanged, and its answer back unchanged.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

/// The system's allocator, counting.
pub struct Counting;

#[repr(align(128))]
struct Shard {
    allocations: AtomicU64,
    /// Allocated less given back; below zero where a thread frees what others have allocated.
    bytes: AtomicI64,
}

static SHARDS: [Shard; 16] = [const {
    Shard {
        allocations: AtomicU64::new(0),
        bytes: AtomicI64::new(0),
    }
}; 16];
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Not a shard yet.
const NONE: usize = usize::MAX;

thread_local! {
    // Without an initialiser to run or a destructor: safe to touch from within an allocation.
    static SHARD: Cell<usize> = const { Cell::new(NONE) };
    static IS_LEFT_OUT: Cell<bool> = const { Cell::new(false) };
}

fn shard() -> &'static Shard {
    let at = SHARD.with(|shard| {
        if shard.get() == NONE {
            shard.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS.len());
        }
        shard.get()
    });
    &SHARDS[at]
}

fn count(allocations: u64, bytes: i64) {
    let shard = shard();
    shard.bytes.fetch_add(bytes, Ordering::Relaxed);
    if !IS_LEFT_OUT.get() {
        shard.allocations.fetch_add(allocations, Ordering::Relaxed);
    }
}

/// Allocations of the whole process so far; growing one in place counts too.
pub fn allocations() -> u64 {
    let shards = SHARDS.iter();
    shards
        .map(|shard| shard.allocations.load(Ordering::Relaxed))
        .sum()
}

/// Bytes that the process has allocated and not given back.
pub fn live_bytes() -> i64 {
    let shards = SHARDS.iter();
    shards
        .map(|shard| shard.bytes.load(Ordering::Relaxed))
        .sum()
}

/// Leaves the calling thread's allocations out: what draws the progress bar is not the framework. Its bytes count.
pub fn leave_this_thread_out() {
    IS_LEFT_OUT.set(true);
}

// SAFETY: every block comes from and returns to `System`, with the layout that the caller gave;
// counting touches neither the block nor the layout, does not allocate and does not unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: the caller's promises about `layout` are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(1, new_size as i64 - layout.size() as i64);
        // SAFETY: `block` came from `System` through this allocator with this `layout`; the caller
        // promises the rest.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        // SAFETY: `block` came from `System` through this allocator with this `layout`.
        unsafe { System.dealloc(block, layout) }
    }
}
