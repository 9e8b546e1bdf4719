//! Nothing grows: what has ended is freed, however many have come and gone, whatever their names. Live heap
//! bytes are counted, so that what the allocator keeps does not hide, or feign, a leak.
#![allow(unsafe_code, reason = "a global allocator can't be written without it")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System as Heap};
use std::sync::atomic::{AtomicI64, Ordering};

use common::{ON_PURPOSE, poll_once, quiet, quiet_panics, until};
use mycelia::Replicas;
use mycelia::observe::Change;
use mycelia::prelude::*;
use mycelia::supervise::Restart;
use tokio::sync::Mutex;

/// Counts the bytes that all threads have and did not give back.
struct Counting;

static BYTES: AtomicI64 = AtomicI64::new(0);

fn count(bytes: i64) {
    BYTES.fetch_add(bytes, Ordering::Relaxed);
}

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promise.
        unsafe { Heap.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: the caller's promise.
        unsafe { Heap.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: the caller's promise.
        unsafe { Heap.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test at a time: they share the count.
static ALONE: Mutex<()> = Mutex::const_new(());

/// How many come and go between two looks.
const MANY: usize = 2_000;

/// How many looks at the heap are compared with as many later ones.
const LOOKS: usize = 3;

/// What is freed leaves nothing; a name that is not leaves at least its text and a place in a table.
const NAME: i64 = 24;

/// A system that is not freed leaves much more.
const SYSTEM: i64 = 2_048;

#[derive(Message)]
#[message(reply = u64)]
struct Ping;

#[derive(Message)]
struct Fail;

#[derive(Subsystem, Default)]
struct Sub;

#[routes]
impl Sub {
    #[route("ping")]
    fn ping(&mut self, _: Ping) -> u64 {
        1
    }

    #[route("halt")]
    fn halt(&mut self, _: Fail, ctx: Context) {
        ctx.stop();
    }

    #[route("fail")]
    fn fail(&mut self, _: Fail) {
        panic!("{ON_PURPOSE}");
    }
}

/// Has `many` come and go between one look at the heap and the next, with the numbers of their names. Each may
/// leave less than `bytes`.
///
/// Some tables grow up to a bound before they are cleared, and one grows once when many happen to be there at a
/// time: the most that the later looks saw is compared with the most that the earlier ones saw.
async fn does_not_grow(
    what: &str,
    many: usize,
    bytes: i64,
    come_and_go: impl AsyncFn(&System, std::ops::Range<usize>),
) {
    let _alone = ALONE.lock().await;
    quiet_panics();
    let system = System::builder().threads(1).keep_dead_letters(8);
    let system = system.start().await.unwrap();
    system.mount_as("stays", Sub::default).await.unwrap();
    let mut seen = Vec::with_capacity(2 * LOOKS);
    for look in 0..2 * LOOKS {
        come_and_go(&system, look * many..(look + 1) * many).await;
        quiet(&system).await;
        let only_one = || system.snapshot().subsystems.len() == 1;
        until("all but one are gone", only_one).await;
        seen.push(BYTES.load(Ordering::Relaxed));
    }
    let most = |looks: &[i64]| looks.iter().copied().max().unwrap();
    let grown = most(&seen[LOOKS..]) - most(&seen[..LOOKS]);
    let gone = (LOOKS * many) as i64;
    assert!(
        grown < bytes * gone,
        "{what}: {grown} bytes more after {gone} more; the looks: {seen:?}"
    );
    system.stop().await.unwrap();
}

#[tokio::test]
async fn names_that_were_mounted_and_unmounted_leave_nothing() {
    does_not_grow("unmounted", MANY, NAME, async |system, all| {
        for n in all {
            let name = format!("name-{n}");
            system.mount_as(&*name, Sub::default).await.unwrap();
            system.unmount(&name).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn names_that_were_used_by_path_and_by_handle_leave_nothing() {
    does_not_grow("used", MANY, NAME, async |system, all| {
        for n in all {
            let name = format!("name-{n}");
            let mut watch = system.watch(&*name);
            system.mount_as(&*name, Sub::default).await.unwrap();
            let route = system.route::<Ping>(format!("{name}://ping")).unwrap();
            assert_eq!(route.ask(Ping).await.unwrap(), 1);
            system.ask(format!("{name}://ping"), Ping).await.unwrap();
            assert_eq!(watch.next().await.unwrap().change, Change::Started);
            system.unmount(&name).await.unwrap();
            assert!(route.ask(Ping).await.is_err());
        }
    })
    .await;
}

#[tokio::test]
async fn those_that_ended_by_themselves_leave_nothing() {
    does_not_grow("ended", MANY, NAME, async |system, all| {
        for n in all {
            let name = format!("name-{n}");
            let options = MountOptions::new().name(&*name).restart(Restart::Never);
            let options = if n % 4 < 2 {
                options.parent("stays")
            } else {
                options
            };
            let name = if n % 4 < 2 {
                format!("stays/{name}")
            } else {
                name
            };
            system.mount_with(options, Sub::default).await.unwrap();
            let way = if n % 2 == 0 { "halt" } else { "fail" };
            system.tell(format!("{name}://{way}"), Fail).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn refused_cancelled_and_failed_mounts_leave_nothing() {
    does_not_grow("refused", MANY / 2, NAME, async |system, all| {
        for n in all {
            let name = format!("name-{n}");
            assert!(system.mount_as("stays", Sub::default).await.is_err());
            assert!(
                system
                    .mount_as(format!("{n} bad"), Sub::default)
                    .await
                    .is_err()
            );
            let fails = || -> Sub { panic!("{ON_PURPOSE}") };
            assert!(system.mount_as(&*name, fails).await.is_err());
            drop(poll_once(system.mount_as(&*name, Sub::default)).await);
        }
        // Some may have been mounted, and one may be about to be.
        system.mount_as("last", Sub::default).await.unwrap();
        for one in system.snapshot().subsystems {
            if &*one.name != "stays" {
                system.unmount(&one.name).await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn replicas_and_crowds_that_were_unmounted_leave_nothing() {
    does_not_grow("crowds", MANY / 4, NAME, async |system, all| {
        for n in all {
            let name = format!("name-{n}");
            let options = MountOptions::new().name(&*name);
            let replicas = Replicas::round_robin(3);
            let mount = system.mount_replicas_with(replicas, options, Sub::default);
            mount.await.unwrap();
            system.ask(format!("{name}://ping"), Ping).await.unwrap();
            system.unmount(&name).await.unwrap();
            let crowd = (0..4).map(|one| MountOptions::new().name(format!("{name}-{one}")));
            system.mount_all(crowd, Sub::default).await.unwrap();
            for one in 0..4 {
                system.unmount(&format!("{name}-{one}")).await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn restarts_leave_nothing() {
    does_not_grow("restarts", MANY, NAME, async |system, all| {
        let child = MountOptions::new().name("child").parent("stays");
        system.mount_with(child, Sub::default).await.unwrap();
        let mut watch = system.watch("stays/child");
        for _ in all {
            system.tell("stays/child://fail", Fail).await.unwrap();
            while watch.next().await.unwrap().change != Change::Restarted {}
        }
        system.unmount("stays/child").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn systems_that_were_stopped_or_dropped_leave_nothing() {
    does_not_grow("systems", 60, SYSTEM, async |_, all| {
        for n in all {
            let system = System::builder().threads(1).pool(16);
            let system = system.start().await.unwrap();
            system.mount(Sub::default).await.unwrap();
            assert_eq!(system.ask("sub://ping", Ping).await.unwrap(), 1);
            if n % 2 == 0 {
                system.stop().await.unwrap();
            } else {
                let mut watch = system.watch_all();
                drop(system);
                // The last of its threads' share goes with its last watcher's.
                while watch.next().await.is_some() {}
            }
        }
    })
    .await;
}
