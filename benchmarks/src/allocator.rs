//! Counts allocations: the chosen allocator, with a counter in front that is off while time is taken.
//!
//! Off, it costs one load of a flag that no one writes, so that peers which allocate per message are
//! not slowed down by being counted. Allocations are therefore those of a round of their own.
//!
//! This is the only file of the package with `unsafe` in it: `GlobalAlloc` is an unsafe trait. Every
//! method hands its arguments on to the chosen allocator unchanged, and its answer back unchanged.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

#[cfg(feature = "mimalloc")]
static CHOSEN: mimalloc::MiMalloc = mimalloc::MiMalloc;
#[cfg(not(feature = "mimalloc"))]
static CHOSEN: std::alloc::System = std::alloc::System;

/// The name of the allocator that this build uses.
pub const NAME: &str = if cfg!(feature = "mimalloc") {
    "mimalloc"
} else {
    "system"
};

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static LIVE_BYTES: AtomicI64 = AtomicI64::new(0);

/// The allocator of this package's programs.
#[derive(Debug)]
pub struct Counting;

/// What has been counted so far; only differences mean something.
#[derive(Debug, Clone, Copy, Default)]
pub struct Count {
    /// Allocations; growing one in place counts too.
    pub allocations: u64,
    /// Bytes allocated and not freed.
    pub live_bytes: i64,
}

/// Starts or stops counting.
pub fn count(is_on: bool) {
    IS_COUNTING.store(is_on, Ordering::SeqCst);
}

/// Whether allocations are being counted.
pub fn is_counting() -> bool {
    IS_COUNTING.load(Ordering::SeqCst)
}

/// Reads the counters.
pub fn so_far() -> Count {
    Count {
        allocations: ALLOCATIONS.load(Ordering::SeqCst),
        live_bytes: LIVE_BYTES.load(Ordering::SeqCst),
    }
}

#[inline]
fn note(allocations: u64, bytes: i64) {
    if IS_COUNTING.load(Ordering::Relaxed) {
        ALLOCATIONS.fetch_add(allocations, Ordering::Relaxed);
        LIVE_BYTES.fetch_add(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every block comes from and returns to `CHOSEN`, with the layout that the caller gave;
// counting touches neither the block nor the layout, does not allocate and does not unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as i64);
        // SAFETY: the caller's promises about `layout` are those that `CHOSEN` asks for.
        unsafe { CHOSEN.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as i64);
        // SAFETY: as in `alloc`.
        unsafe { CHOSEN.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note(1, new_size as i64 - layout.size() as i64);
        // SAFETY: `block` came from `CHOSEN` through this allocator with this `layout`; the caller
        // promises the rest.
        unsafe { CHOSEN.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note(0, -(layout.size() as i64));
        // SAFETY: `block` came from `CHOSEN` through this allocator with this `layout`.
        unsafe { CHOSEN.dealloc(block, layout) }
    }
}
