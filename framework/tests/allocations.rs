//! A warm `tell` allocates nothing, and a warm `ask` at most once: counted on every thread that sends
//! or handles, for bursts and for messages one at a time.
#![allow(unsafe_code, reason = "a global allocator can't be written without it")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System as Heap};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::{on_no_executor, watchdog};
use mycelia::prelude::*;
use mycelia::time::Clock;

/// Counts what the threads that take part allocate.
struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static TAKES_PART: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    if TAKES_PART.try_with(Cell::get).unwrap_or(false) {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { Heap.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { Heap.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { Heap.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test at a time: they share the count.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Message)]
#[message(reply = u64)]
struct Add(u64);

/// Makes the handling thread take part.
#[derive(Message)]
struct TakePart;

#[derive(Default)]
struct Handled(AtomicU64);

#[derive(Subsystem, Default)]
struct Adder {
    sum: u64,
}

#[routes]
impl Adder {
    #[route("part")]
    fn part(&mut self, _: TakePart) {
        TAKES_PART.set(true);
    }

    #[route("now/{n}")]
    fn now(&mut self, Add(n): Add, Path(by): Path<u64>, State(handled): State<Handled>) -> u64 {
        self.sum += n * by;
        handled.0.fetch_add(1, Ordering::Relaxed);
        self.sum
    }

    #[route("deferred/{n}")]
    fn deferred(
        &mut self,
        Add(n): Add,
        Path(by): Path<u64>,
        reply: Reply<Add>,
        State(handled): State<Handled>,
    ) {
        self.sum += n * by;
        handled.0.fetch_add(1, Ordering::Relaxed);
        reply.send(self.sum);
    }

    #[route("later/{n}")]
    async fn later(
        &mut self,
        Add(n): Add,
        Path(by): Path<u64>,
        State(handled): State<Handled>,
    ) -> u64 {
        tokio::task::yield_now().await;
        self.sum += n * by;
        handled.0.fetch_add(1, Ordering::Relaxed);
        self.sum
    }
}

/// How often a scenario is run once it is warm.
const RUNS: u32 = 3;

struct Fixture {
    system: System,
    handled: Arc<Handled>,
    sent: Cell<u64>,
}

/// Where the messages of a scenario go: to sync and to async handlers on both threads.
const PATHS: [&str; 4] = [
    "adder-0://now/1",
    "adder-0://later/2",
    "adder-1://now/3",
    "adder-1://later/4",
];

async fn fixture(pool: usize) -> Fixture {
    let handled = Arc::new(Handled::default());
    // It stands still: no latency is larger than those before, so no histogram grows.
    let (clock, _hand) = Clock::manual();
    let system = System::builder()
        .threads(2)
        .pool(pool)
        .clock(clock)
        .shared_state(handled.clone())
        .start()
        .await
        .unwrap();
    for thread in 0..2 {
        let name = format!("adder-{thread}");
        let options = MountOptions::new().name(&*name).thread(thread);
        system.mount_with(options, Adder::default).await.unwrap();
        system
            .ask(format!("{name}://part"), TakePart)
            .await
            .unwrap();
    }
    let sent = Cell::new(0);
    Fixture {
        system,
        handled,
        sent,
    }
}

impl Fixture {
    fn has_sent(&self, messages: u64) {
        self.sent.set(self.sent.get() + messages);
    }

    /// Waits until all that was sent has been handled, without an allocation.
    fn until_handled(&self) {
        while self.handled.0.load(Ordering::Relaxed) < self.sent.get() {
            std::thread::yield_now();
        }
    }

    /// What `scenario` allocates when it is run again: the least of [`RUNS`] runs. For once in a process
    /// the lock of tokio's that first meets two threads allocates its table, in whichever run that is.
    fn allocations(&self, scenario: impl AsyncFn()) -> u64 {
        on_no_executor(async {
            scenario().await;
            self.until_handled();
            let mut least = u64::MAX;
            for _ in 0..RUNS {
                TAKES_PART.set(true);
                let before = COUNT.load(Ordering::Relaxed);
                scenario().await;
                self.until_handled();
                let after = COUNT.load(Ordering::Relaxed);
                TAKES_PART.set(false);
                least = least.min(after - before);
            }
            least
        })
    }
}

#[test]
fn a_warm_tell_by_path_allocates_nothing() {
    let (_alone, _watch) = (alone(), watchdog());
    let it = on_no_executor(fixture(4096));
    let bursts = it.allocations(async || {
        for n in 0..4_000 {
            it.system.tell(PATHS[n % 4], Add(1)).await.unwrap();
        }
        it.has_sent(4_000);
    });
    assert_eq!(bursts, 0);
    let singly = it.allocations(async || {
        for n in 0..4_000 {
            it.system.tell(PATHS[n % 4], Add(1)).await.unwrap();
            it.has_sent(1);
            it.until_handled();
        }
    });
    assert_eq!(singly, 0);
    on_no_executor(it.system.stop()).unwrap();
}

#[test]
fn a_warm_try_tell_and_a_warm_tell_blocking_allocate_nothing() {
    let (_alone, _watch) = (alone(), watchdog());
    // Room for 4,000 beside those that are kept.
    let it = on_no_executor(fixture(4400));
    let allocations = it.allocations(async || {
        for n in 0..2_000 {
            it.system.try_tell(PATHS[n % 4], Add(1)).unwrap();
            it.system.tell_blocking(PATHS[n % 4], Add(1)).unwrap();
        }
        it.has_sent(4_000);
    });
    assert_eq!(allocations, 0);
    on_no_executor(it.system.stop()).unwrap();
}

#[test]
fn a_warm_ask_whose_reply_comes_later_allocates_what_any_ask_does() {
    let (_alone, _watch) = (alone(), watchdog());
    let it = on_no_executor(fixture(4096));
    let allocations = |path: &'static str| {
        it.allocations(async || {
            for _ in 0..1_000 {
                it.system.ask(path, Add(1)).await.unwrap();
            }
            it.has_sent(1_000);
        })
    };
    assert_eq!(
        allocations("adder-0://deferred/1"),
        allocations("adder-0://now/1")
    );
    on_no_executor(it.system.stop()).unwrap();
}

#[test]
fn a_warm_tell_by_handle_allocates_nothing() {
    let (_alone, _watch) = (alone(), watchdog());
    let it = on_no_executor(fixture(4096));
    let patterns = [
        "adder-0://now/{n}",
        "adder-0://later/{n}",
        "adder-1://later/{n}",
    ];
    let handles = patterns.map(|pattern| it.system.route::<Add>(pattern).unwrap());
    let fixed = it.system.route::<Add>("adder-1://now/3").unwrap();
    let bursts = it.allocations(async || {
        for n in 0..1_000 {
            for handle in &handles {
                handle.at(n).tell(Add(1)).await.unwrap();
            }
            fixed.tell(Add(1)).await.unwrap();
        }
        it.has_sent(4_000);
    });
    assert_eq!(bursts, 0);
    let singly = it.allocations(async || {
        for n in 0..1_000 {
            for handle in &handles {
                handle.at(n).tell(Add(1)).await.unwrap();
                it.has_sent(1);
                it.until_handled();
            }
        }
    });
    assert_eq!(singly, 0);
    on_no_executor(it.system.stop()).unwrap();
}

#[test]
fn a_warm_tell_that_must_wait_for_room_allocates_nothing() {
    let (_alone, _watch) = (alone(), watchdog());
    let it = on_no_executor(fixture(8));
    let allocations = it.allocations(async || {
        for n in 0..20_000 {
            it.system.tell(PATHS[n % 4], Add(1)).await.unwrap();
        }
        it.has_sent(20_000);
    });
    assert_eq!(allocations, 0);
    on_no_executor(it.system.stop()).unwrap();
}

#[test]
fn a_warm_ask_allocates_at_most_once() {
    let (_alone, _watch) = (alone(), watchdog());
    let it = on_no_executor(fixture(64));
    let handle = it.system.route::<Add>("adder-1://now/{n}").unwrap();
    let by_path = it.allocations(async || {
        for n in 0..2_000 {
            it.system.ask(PATHS[n % 4], Add(1)).await.unwrap();
        }
        it.has_sent(2_000);
    });
    assert!(by_path <= 2_000, "{by_path} in 2,000 asks");
    let by_handle = it.allocations(async || {
        for n in 0..2_000_u64 {
            handle.at(n).ask(Add(1)).await.unwrap();
        }
        it.has_sent(2_000);
    });
    assert!(by_handle <= 2_000, "{by_handle} in 2,000 asks");
    on_no_executor(it.system.stop()).unwrap();
}

#[derive(Message, Clone)]
struct News(u64);

/// Adds up what is published.
#[derive(Subsystem, Default)]
struct Listener {
    sum: u64,
}

#[routes]
impl Listener {
    #[route("part")]
    fn part(&mut self, _: TakePart) {
        TAKES_PART.set(true);
    }

    #[subscribe("news://{by}")]
    fn news(&mut self, News(n): News, Path(by): Path<u64>, State(handled): State<Handled>) {
        self.sum += n * by;
        handled.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_warm_publish_allocates_nothing_however_many_subscribe() {
    let (_alone, _watch) = (alone(), watchdog());
    let it = on_no_executor(fixture(4096));
    on_no_executor(async {
        for n in 0..40 {
            let options = MountOptions::new().name(format!("listener-{n}"));
            let options = options.thread(n % 2);
            it.system
                .mount_with(options, Listener::default)
                .await
                .unwrap();
        }
    });
    let paths = ["news://1", "news://2?x=3"];
    let published = it.allocations(async || {
        for n in 0..100 {
            let published = it.system.publish(paths[n % 2], News(1)).await.unwrap();
            assert_eq!(published.accepted, 40);
            assert!(it.system.try_publish("news://unheard/of", News(1)).is_ok());
        }
        it.has_sent(4_000);
    });
    assert_eq!(published, 0);
    on_no_executor(it.system.stop()).unwrap();
}

#[repr(align(64))]
struct Line(u64);

#[repr(align(256))]
struct Lines([u64; 64]);

/// Handlers whose futures differ in size and in alignment.
#[derive(Subsystem, Default)]
struct Shapes;

#[routes]
impl Shapes {
    #[route("part")]
    fn part(&mut self, _: TakePart) {
        TAKES_PART.set(true);
    }

    #[route("small")]
    async fn small(&mut self, Add(n): Add) -> u64 {
        tokio::task::yield_now().await;
        n
    }

    #[route("large")]
    async fn large(&mut self, Add(n): Add) -> u64 {
        let large = std::hint::black_box([n; 5_000]);
        tokio::task::yield_now().await;
        large[7]
    }

    #[route("line")]
    async fn line(&mut self, Add(n): Add) -> u64 {
        let line = std::hint::black_box(Line(n));
        tokio::task::yield_now().await;
        std::hint::black_box(&line).0
    }

    #[route("lines")]
    async fn lines(&mut self, Add(n): Add) -> u64 {
        let lines = std::hint::black_box(Lines([n; 64]));
        tokio::task::yield_now().await;
        std::hint::black_box(&lines).0[1]
    }
}

#[test]
fn handlers_of_all_sizes_and_alignments_take_turns_and_allocate_nothing() {
    let (_alone, _watch) = (alone(), watchdog());
    let system = on_no_executor(async {
        let system = System::builder().threads(1).start().await.unwrap();
        system.mount(Shapes::default).await.unwrap();
        system.mount_as("other", Shapes::default).await.unwrap();
        system
    });
    system.tell_blocking("shapes://part", TakePart).unwrap();
    let paths = ["small", "line", "large", "lines", "large", "line"];
    let run = || {
        for n in 0..600 {
            let path = paths[n % paths.len()];
            // Two at once: each has its own memory.
            let (shapes, other) = (format!("shapes://{path}"), format!("other://{path}"));
            system.tell_blocking(&*shapes, Add(1)).unwrap();
            system.tell_blocking(&*other, Add(1)).unwrap();
        }
        while !system.snapshot().total.is_quiet() {
            std::thread::yield_now();
        }
    };
    run();
    // Histograms grow too, as long as latencies come that were not there before.
    let allocations = |_| {
        let before = COUNT.load(Ordering::Relaxed);
        run();
        COUNT.load(Ordering::Relaxed) - before
    };
    assert!((0..50).map(allocations).any(|allocated| allocated == 0));
    on_no_executor(system.stop()).unwrap();
}
