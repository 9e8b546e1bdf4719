//! Tasks that are over leave nothing behind: live bytes are counted.
#![allow(unsafe_code, reason = "a global allocator can't be written without it")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System as Heap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use common::{quiet, watchdog};
use futures_util::stream;
use mycelia::prelude::*;
use mycelia::schedule::{MissedTick, Task};

/// Counts the bytes that live.
struct Counting;

static LIVE: AtomicI64 = AtomicI64::new(0);

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { Heap.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { Heap.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Message)]
struct Tick;

#[derive(Message)]
#[message(reply = u32)]
struct Count;

type Begin = fn(&Context) -> anyhow::Result<Task>;

/// Begins as many tasks.
#[derive(Message)]
#[message(reply = ())]
struct Do(Begin, usize);

#[derive(Subsystem, Default)]
struct Clockwork {
    ticks: u32,
}

#[routes]
impl Clockwork {
    #[route("do")]
    fn act(&mut self, Do(begin, tasks): Do, ctx: Context) -> anyhow::Result<()> {
        (0..tasks).try_for_each(|_| begin(&ctx).map(drop))
    }

    #[route("tick")]
    fn tick(&mut self, _: Tick) {
        self.ticks += 1;
    }

    #[route("count")]
    fn count(&mut self, _: Count) -> u32 {
        self.ticks
    }
}

#[mycelia::test]
async fn tasks_that_are_over_leave_nothing_behind() {
    const TASKS: usize = 1_000;
    let _watch = watchdog();
    let system = System::builder().threads(1).start().await.unwrap();
    system.mount(Clockwork::default).await.unwrap();
    let kinds: [Begin; 4] = [
        |ctx| Ok(ctx.after(Duration::ZERO, "tick", Tick)?),
        |ctx| {
            let task = ctx.after(Duration::from_secs(3600), "tick", Tick)?;
            task.cancel();
            Ok(task)
        },
        |ctx| {
            let task = ctx.every(Duration::from_secs(60), MissedTick::Skip, "tick", || Tick)?;
            task.cancel();
            Ok(task)
        },
        |ctx| Ok(ctx.stream("tick", stream::iter([Tick]))?),
    ];
    for (kind, begin) in kinds.into_iter().enumerate() {
        let mut live = Vec::new();
        for _ in 0..4 {
            for _ in 0..TASKS / 20 {
                let begin = Do(begin, 20);
                system.ask("clockwork://do", begin).await.unwrap();
            }
            // Those that are over have been freed when the thread has come round a few times.
            let mut least = i64::MAX;
            for _ in 0..20 {
                quiet(&system).await;
                tokio::task::yield_now().await;
                system.ask("clockwork://count", Count).await.unwrap();
                least = least.min(LIVE.load(Ordering::Relaxed));
            }
            live.push(least);
        }
        // The first round warms up. Histograms grow a little longer; a task takes hundreds of bytes.
        let grown = live[3] - live[1];
        assert!(grown < 8 * 2 * TASKS as i64, "kind {kind}: {live:?}");
    }
    system.stop().await.unwrap();
}
