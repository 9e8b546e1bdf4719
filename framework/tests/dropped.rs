//! A system that is dropped, at any moment, on any thread, with or without load, ends quietly: nothing panics,
//! anyone who waits for it is told, and neither threads nor states are left.

mod common;

use std::cell::RefCell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use common::{named, on_no_executor, poll_once, until, watchdog};
use mycelia::prelude::*;
use tokio::sync::Semaphore;

static PANICS: AtomicU64 = AtomicU64::new(0);
static ALIVE: AtomicI64 = AtomicI64::new(0);

/// One test at a time: they count what the process has. Counts panics on all threads.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            before(panic);
        }));
    });
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    PANICS.store(0, Ordering::Relaxed);
    alone
}

/// How many threads of systems there are: the keepers', the arbiters, those for blocking handlers.
fn threads() -> usize {
    let all = std::fs::read_dir("/proc/self/task").unwrap();
    let names = all.filter_map(|one| std::fs::read_to_string(one.ok()?.path().join("comm")).ok());
    names
        .filter(|name| name.starts_with("mycelia") || name.starts_with("actix-rt"))
        .count()
}

/// Waits until all that was started has gone, and nothing has panicked.
fn nothing_is_left() {
    on_no_executor_until("all values were dropped", || {
        ALIVE.load(Ordering::SeqCst) == 0
    });
    on_no_executor_until("all threads have ended", || threads() == 0);
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
}

fn on_no_executor_until(what: &str, holds: impl FnMut() -> bool) {
    let executor = tokio::runtime::Builder::new_current_thread();
    let executor = { executor }.enable_all().build().unwrap();
    executor.block_on(until(what, holds));
}

/// Counts the values that live.
struct Counted;

impl Counted {
    fn new() -> Self {
        ALIVE.fetch_add(1, Ordering::SeqCst);
        Counted
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Message)]
#[message(reply = u64)]
struct Put(Counted);

#[derive(Message)]
#[message(reply = u64)]
struct Wait;

#[derive(Message)]
#[message(reply = u64)]
struct Block;

#[derive(Subsystem)]
struct Api {
    _alive: Counted,
}

impl Default for Api {
    fn default() -> Self {
        Api {
            _alive: Counted::new(),
        }
    }
}

#[routes]
impl Api {
    #[route("put")]
    fn put(&mut self, _: Put, system: System, ctx: Context) -> u64 {
        system.name().len() as u64 + ctx.name().len() as u64
    }

    #[route("wait")]
    async fn wait(&mut self, _: Wait, _ctx: Context) -> u64 {
        std::future::pending().await
    }

    #[route("block", blocking)]
    fn block(&mut self, _: Block, State(gate): State<Semaphore>) -> u64 {
        on_no_executor(async { gate.acquire().await.unwrap().forget() });
        1
    }
}

async fn started(threads: usize) -> System {
    let builder = System::builder().threads(threads).pool(256);
    // The states go with the last of what the system's threads share.
    let builder = builder.state(Semaphore::new(0)).state(Counted::new());
    builder.start().await.unwrap()
}

fn run<F: Future<Output = ()>>(work: F) {
    let executor = tokio::runtime::Builder::new_current_thread();
    let executor = { executor }.enable_all().build().unwrap();
    executor.block_on(work);
}

#[test]
fn right_after_its_start() {
    let _alone = alone();
    let _watchdog = watchdog();
    run(async {
        for n in 0..300 {
            let system = started(1 + n % 3).await;
            assert!(
                threads() >= 2,
                "the keepers' thread, and an arbiter's at least"
            );
            drop(system);
        }
    });
    nothing_is_left();
}

#[test]
fn in_the_midst_of_its_start() {
    let _alone = alone();
    let _watchdog = watchdog();
    run(async {
        for _ in 0..300 {
            // It may have started by then.
            drop(poll_once(started(2)).await);
        }
    });
    nothing_is_left();
}

#[test]
fn in_the_midst_of_a_mount() {
    let _alone = alone();
    let _watchdog = watchdog();
    run(async {
        for n in 0..300 {
            let system = started(2).await;
            if n % 2 == 0 {
                drop(poll_once(system.mount(Api::default)).await);
            } else {
                let other = system.clone();
                let mounts = tokio::spawn(async move { other.mount(Api::default).await });
                drop(system);
                // Its own clone kept the system until it was mounted.
                mounts.await.unwrap().unwrap();
            }
        }
    });
    nothing_is_left();
}

#[test]
fn under_load_all_messages_end_and_all_who_wait_are_told() {
    let _alone = alone();
    let _watchdog = watchdog();
    run(async {
        for n in 0..2000 {
            let system = started(1).await;
            system.mount(Api::default).await.unwrap();
            system.mount_as("b", Api::default).await.unwrap();
            let route = system.route::<Put>("api://put").unwrap();
            let asked = tokio::spawn(async move { route.ask(Put(Counted::new())).await });
            if n % 4 == 0 {
                tokio::task::yield_now().await;
            }
            for name in ["api", "b"] {
                for _ in 0..100 {
                    let _ = system.try_tell(format!("{name}://put"), Put(Counted::new()));
                }
            }
            drop(system);
            // A reply or an error, but not nothing.
            let _ = asked.await.unwrap();
        }
    });
    nothing_is_left();
}

#[test]
fn while_handlers_wait_and_block() {
    let _alone = alone();
    let _watchdog = watchdog();
    run(async {
        for _ in 0..50 {
            let gate = Arc::new(Semaphore::new(0));
            let builder = System::builder().threads(2).shared_state(gate.clone());
            let system = builder.start().await.unwrap();
            for name in ["a", "b", "c"] {
                system.mount_as(name, Api::default).await.unwrap();
            }
            let waits = system.route::<Wait>("a://wait").unwrap();
            let blocks = system.route::<Block>("b://block").unwrap();
            let asked = tokio::spawn(async move { waits.ask(Wait).await });
            let blocked = tokio::spawn(async move { blocks.ask(Block).await });
            until("both are under way", || {
                let now = system.snapshot();
                now.total.sent == 2
            })
            .await;
            drop(system);
            asked.await.unwrap().unwrap_err();
            gate.add_permits(1);
            let _ = blocked.await.unwrap();
        }
    });
    nothing_is_left();
}

/// Drops its system in its handler.
#[derive(Subsystem, Default)]
struct Drops(Option<System>);

#[derive(Message)]
struct Keep(System);

#[derive(Message)]
struct Drop_;

#[routes]
impl Drops {
    #[route("keep")]
    fn keep(&mut self, Keep(system): Keep) {
        self.0 = Some(system);
    }

    #[route("drop")]
    fn drop_it(&mut self, _: Drop_) {
        self.0 = None;
    }
}

#[test]
fn by_a_handler_of_its_own() {
    let _alone = alone();
    let _watchdog = watchdog();
    run(async {
        for n in 0..300 {
            let system = started(1 + n % 2).await;
            system.mount(Drops::default).await.unwrap();
            system.mount(Api::default).await.unwrap();
            system
                .tell("drops://keep", Keep(system.clone()))
                .await
                .unwrap();
            system.tell("drops://drop", Drop_).await.unwrap();
            for _ in 0..50 {
                let _ = system.try_tell("api://put", Put(Counted::new()));
            }
        }
    });
    nothing_is_left();
}

thread_local! {
    static KEPT: RefCell<Option<System>> = const { RefCell::new(None) };
}

#[test]
fn on_plain_threads_and_in_their_destructors() {
    let _alone = alone();
    let _watchdog = watchdog();
    for _ in 0..200 {
        let thread = std::thread::spawn(|| {
            on_no_executor(async {
                let system = started(2).await;
                system.mount(Api::default).await.unwrap();
                for _ in 0..50 {
                    let _ = system.try_tell("api://put", Put(Counted::new()));
                }
                KEPT.set(Some(system));
            });
        });
        thread.join().unwrap();
    }
    nothing_is_left();
}

#[test]
fn while_others_watch_and_wait_for_its_stop() {
    let _alone = alone();
    let _watchdog = watchdog();
    run(async {
        for _ in 0..200 {
            let system = started(1).await;
            let mut watch = system.watch_all();
            let mut letters = system.dead_letters();
            let watched = tokio::spawn(async move { while watch.next().await.is_some() {} });
            let read = tokio::spawn(async move { while letters.next().await.is_some() {} });
            system.mount(Api::default).await.unwrap();
            drop(system);
            tokio::time::timeout(Duration::from_secs(10), async {
                watched.await.unwrap();
                read.await.unwrap();
            })
            .await
            .unwrap();
        }
    });
    nothing_is_left();
}

#[test]
fn while_children_restart_and_names_leave() {
    let _alone = alone();
    let _watchdog = watchdog();
    run(async {
        for _ in 0..200 {
            let system = started(2).await;
            system.mount(Api::default).await.unwrap();
            for n in 0..4 {
                let child = named(&format!("c{n}")).parent("api");
                system.mount_with(child, Api::default).await.unwrap();
            }
            for _ in 0..50 {
                let _ = system.try_tell("api/c1://put", Put(Counted::new()));
            }
            drop(poll_once(system.unmount("api")).await);
        }
    });
    nothing_is_left();
}

#[test]
fn in_the_midst_of_its_stop() {
    let _alone = alone();
    let _watchdog = watchdog();
    run(async {
        for n in 0..200 {
            let system = started(2).await;
            system.mount(Api::default).await.unwrap();
            let waits = system.route::<Wait>("api://wait").unwrap();
            let asked = tokio::spawn(async move { waits.ask(Wait).await });
            tokio::task::yield_now().await;
            for _ in 0..50 {
                let _ = system.try_tell("api://put", Put(Counted::new()));
            }
            if n % 2 == 0 {
                drop(poll_once(system.stop()).await);
            } else {
                let within = Duration::from_micros(200);
                let _ = tokio::time::timeout(within, system.stop()).await;
            }
            drop(system);
            asked.await.unwrap().unwrap_err();
        }
    });
    nothing_is_left();
}

#[test]
fn while_several_are_restarted_together() {
    let _alone = alone();
    let _watchdog = watchdog();
    run(async {
        for _ in 0..200 {
            let builder = System::builder().threads(2).state(Counted::new());
            let builder = builder.state(Semaphore::new(0));
            let builder = builder.restart_scope(mycelia::supervise::RestartScope::AllForOne);
            let system = builder.start().await.unwrap();
            for n in 0..4 {
                let always =
                    named(&format!("s{n}")).restart(mycelia::supervise::Restart::Permanent);
                system.mount_with(always, Stops::default).await.unwrap();
                let child = named("c").parent(format!("s{n}"));
                system.mount_with(child, Api::default).await.unwrap();
            }
            for n in 0..4 {
                system.tell(format!("s{n}://stop"), Drop_).await.unwrap();
                let _ = system.try_tell(format!("s{n}/c://put"), Put(Counted::new()));
            }
        }
    });
    nothing_is_left();
}

#[derive(Subsystem, Default)]
struct Stops;

#[routes]
impl Stops {
    #[route("stop")]
    fn stop(&mut self, _: Drop_, ctx: Context) {
        ctx.stop();
    }
}
