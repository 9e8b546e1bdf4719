//! What subsystems cost that do nothing: the bytes that each keeps, what its start allocates, and that the
//! end of many takes no more steps for each than the end of few.
#![allow(unsafe_code, reason = "a global allocator can't be written without it")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System as Heap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use common::watchdog;
use mycelia::prelude::*;
use tokio::sync::Mutex;

/// Counts what all threads allocate, and the bytes that they have and did not give back.
struct Counting;

static COUNT: AtomicI64 = AtomicI64::new(0);
static BYTES: AtomicI64 = AtomicI64::new(0);

fn count(allocations: i64, bytes: i64) {
    COUNT.fetch_add(allocations, Ordering::Relaxed);
    BYTES.fetch_add(bytes, Ordering::Relaxed);
}

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: the caller's promise.
        unsafe { Heap.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        // SAFETY: the caller's promise.
        unsafe { Heap.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as i64 - layout.size() as i64);
        // SAFETY: the caller's promise.
        unsafe { Heap.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test at a time: they share the counts, and the processor.
static ALONE: Mutex<()> = Mutex::const_new(());

#[derive(Message)]
#[message(reply = u64)]
struct Ask(u64);

#[derive(Subsystem, Default)]
struct Idle {
    sum: u64,
}

#[routes]
impl Idle {
    #[route("ask")]
    fn ask(&mut self, Ask(n): Ask) -> u64 {
        self.sum += n;
        self.sum
    }
}

/// How they are mounted: all at once, or one after the other.
#[derive(Debug, Clone, Copy)]
enum Way {
    AtOnce,
    OneByOne,
}

const MANY: usize = 10_000;

fn named(n: usize) -> MountOptions {
    MountOptions::new().name(format!("idle-{n}"))
}

/// A system of one thread with one subsystem, which has paid for what all share.
async fn system() -> System {
    let system = System::builder().threads(1).start().await.unwrap();
    system.mount(Idle::default).await.unwrap();
    assert_eq!(system.ask("idle://ask", Ask(1)).await.unwrap(), 1);
    system
}

/// Mounts them, and waits until the last of them stands for everybody.
async fn mount(system: &System, way: Way, all: impl IntoIterator<Item = MountOptions>) {
    match way {
        Way::AtOnce => system.mount_all(all, Idle::default).await.unwrap(),
        Way::OneByOne => {
            for options in all {
                system.mount_with(options, Idle::default).await.unwrap();
            }
        }
    }
    let last = format!("idle-{}://ask", MANY - 1);
    assert_eq!(system.ask(&*last, Ask(2)).await.unwrap(), 2);
}

#[mycelia::test]
async fn an_idle_subsystem_keeps_no_more_than_1_280_bytes() {
    let _alone = ALONE.lock().await;
    let _watch = watchdog();
    for way in [Way::AtOnce, Way::OneByOne] {
        let system = system().await;
        let before = BYTES.load(Ordering::Relaxed);
        mount(&system, way, (0..MANY).map(named)).await;
        let bytes = (BYTES.load(Ordering::Relaxed) - before) / MANY as i64;
        assert!(bytes <= 1_280, "{bytes} bytes for each, mounted {way:?}");
        system.stop().await.unwrap();
    }
}

#[mycelia::test]
async fn a_start_allocates_as_often_as_it_must() {
    let _alone = ALONE.lock().await;
    let _watch = watchdog();
    // What it was when this was written, and two.
    for (way, limit) in [(Way::AtOnce, 5 + 2), (Way::OneByOne, 26 + 2)] {
        let system = system().await;
        let all: Vec<_> = (0..MANY).map(named).collect();
        let before = COUNT.load(Ordering::Relaxed);
        mount(&system, way, all).await;
        let allocations = COUNT.load(Ordering::Relaxed) - before;
        // What few of them cause together rounds off.
        let each = allocations / MANY as i64;
        assert!(each <= limit, "{each} for each, mounted {way:?}");
        system.stop().await.unwrap();
    }
}

/// Who ends: many that have no parent, at the system's stop; or many that have the same one, when that is
/// unmounted, or at the system's stop.
#[derive(Debug, Clone, Copy)]
enum End {
    Roots,
    Children,
    Everybody,
}

/// How long the end of `n` takes.
async fn end(n: usize, end: End) -> Duration {
    let system = system().await;
    let options = |n| match end {
        End::Roots => named(n),
        End::Children | End::Everybody => named(n).parent("idle"),
    };
    let all = (0..n).map(options);
    system.mount_all(all, Idle::default).await.unwrap();
    let begun = Instant::now();
    if let End::Children = end {
        system.unmount("idle").await.unwrap();
        let took = begun.elapsed();
        system.stop().await.unwrap();
        return took;
    }
    system.stop_within(Duration::from_secs(60)).await.unwrap();
    begun.elapsed()
}

/// How many times as long the end of four times as many takes: 4 where each takes as many steps, 16 where
/// each takes as many as there are. Of a few rounds the shortest counts: others use the processor too.
async fn ratio(few: usize, how: End) -> f64 {
    let (mut of_few, mut of_many) = (Duration::MAX, Duration::MAX);
    for _ in 0..3 {
        of_few = of_few.min(end(few, how).await);
        of_many = of_many.min(end(4 * few, how).await);
    }
    of_many.as_secs_f64() / of_few.as_secs_f64()
}

/// Measured anew if something else may have been in the way.
async fn takes_less_than_ten_times_as_long(how: End) {
    let _alone = ALONE.lock().await;
    let _watch = watchdog();
    let mut ratios = Vec::new();
    while ratios.last().is_none_or(|last| *last >= 10.0) {
        assert!(ratios.len() < 3, "{how:?}: {ratios:?} times as long");
        ratios.push(ratio(10_000, how).await);
    }
}

#[mycelia::test]
async fn the_stop_of_four_times_as_many_takes_less_than_ten_times_as_long() {
    takes_less_than_ten_times_as_long(End::Roots).await;
}

#[mycelia::test]
async fn the_unmount_of_four_times_as_many_children_takes_less_than_ten_times_as_long() {
    takes_less_than_ten_times_as_long(End::Children).await;
}

#[mycelia::test]
async fn the_stop_of_four_times_as_many_children_takes_less_than_ten_times_as_long() {
    takes_less_than_ten_times_as_long(End::Everybody).await;
}
