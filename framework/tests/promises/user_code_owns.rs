//! What user code may own, drop and forget of the framework's: nothing hangs, nothing aborts, all ends.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::time::Duration;

use crate::common::{ON_PURPOSE, poll_once, until, watchdog};
use crate::store::{Get, Own, Run, Store, store};
use mycelia::error::{MountError, StopError, UnmountError};
use mycelia::observe::EndReason;
use mycelia::prelude::*;
use mycelia::schedule::MissedTick;

const MS: Duration = Duration::from_millis(1);

/// Does something when it is dropped.
struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

fn on_drop<F: FnOnce() + Send + 'static>(f: F) -> Box<dyn Send> {
    Box::new(OnDrop(Some(f)))
}

#[mycelia::test]
async fn what_a_message_owns_of_the_framework_s_may_be_used_when_it_is_dropped() {
    let _watch = watchdog();
    let (system, _gate) = store().await;
    let dropped = Arc::new(AtomicU32::new(0));
    let owned = || {
        let (system, route) = (system.clone(), system.route::<Get>("store://get").unwrap());
        let (watch, letters) = (system.watch_all(), system.dead_letters());
        let dropped = dropped.clone();
        Own(on_drop(move || {
            drop((watch, letters));
            let _ = route.try_tell(Get);
            drop(route);
            let _ = system.try_tell("store://get", Get);
            let _ = system.snapshot();
            dropped.fetch_add(1, Ordering::SeqCst);
        }))
    };
    // Held up, it expires; told, its reply is no one's; at a stop without time it is undeliverable.
    system.tell("store://hold", owned()).await.unwrap();
    let expired = system.ask_within("store://own", owned(), MS).await;
    assert!(expired.is_err());
    until("it is dropped", || dropped.load(Ordering::SeqCst) == 1).await;
    system.tell("store://own", owned()).await.unwrap();
    let stopped = system.stop_within(MS).await;
    assert!(matches!(stopped, Err(StopError::DeadlineExceeded(_))));
    assert_eq!(dropped.load(Ordering::SeqCst), 3);
    assert!(system.snapshot().total.closes() && system.snapshot().total.is_quiet());
}

#[mycelia::test]
async fn the_last_hold_on_a_system_may_be_dropped_in_its_own_handler_or_reply() {
    let _watch = watchdog();
    for way in 0..3 {
        let (system, _gate) = store().await;
        let weak = system.downgrade();
        let route = system.route::<Own>("store://own").unwrap();
        match way {
            // In a message that is handled.
            0 => route.try_tell(Own(Box::new(system))).unwrap(),
            // In a reply that no one waits for.
            1 => {
                let ask = route.ask(Own(Box::new(system)));
                // Or in one that has come already.
                drop(poll_once(ask).await);
            }
            // In a reply that the asker drops.
            _ => drop(route.ask(Own(Box::new(system))).await.unwrap()),
        }
        until("it is gone", || weak.upgrade().is_none()).await;
        assert!(route.ask(Own(Box::new(()))).await.is_err());
    }
}

#[mycelia::test]
async fn forgotten_mounts_unmounts_and_stops_hold_up_nobody() {
    let _watch = watchdog();
    let (system, _gate) = store().await;
    let other = system.clone();
    let mut mount = Box::pin(async move { other.mount_as("other", Store::default).await });
    let _ = poll_once(mount.as_mut()).await;
    std::mem::forget(mount);
    until("it is mounted", || {
        system.snapshot().subsystem("other").is_some()
    })
    .await;
    let other = system.clone();
    let mut unmount = Box::pin(async move { other.unmount("other").await });
    let _ = poll_once(unmount.as_mut()).await;
    std::mem::forget(unmount);
    until("it is gone", || {
        system.snapshot().subsystem("other").is_none()
    })
    .await;
    system.mount_as("other", Store::default).await.unwrap();
    let other = system.clone();
    let mut stop = Box::pin(async move { other.stop().await });
    let _ = poll_once(stop.as_mut()).await;
    std::mem::forget(stop);
    system.stopped().await;
    assert_eq!(system.stop().await, Err(StopError::AlreadyStopped));
}

#[mycelia::test]
async fn what_is_kept_of_a_system_that_is_gone_says_so() {
    let _watch = watchdog();
    let (system, gate) = store().await;
    let kept = Arc::new(Mutex::new(None));
    let keep = kept.clone();
    let run = Run(Box::new(move |ctx, _| {
        *keep.lock().unwrap() = Some(ctx.clone())
    }));
    system.ask("store://run", run).await.unwrap();
    let ctx: Context = kept.lock().unwrap().take().unwrap();
    let route = system.route::<Get>("store://get").unwrap();
    let hold = system.route::<Own>("store://hold").unwrap();
    let mut ask = Box::pin(async move { hold.ask(Own(Box::new(()))).await });
    assert!(poll_once(ask.as_mut()).await.is_none());
    let (mut watch, mut letters) = (system.watch("store"), system.dead_letters());
    let weak = system.downgrade();
    drop(system);
    until("it is gone", || weak.upgrade().is_none()).await;
    gate.0.add_permits(1);
    // It ends: well, if its handler is faster than its thread's end.
    let _ = ask.await;
    until("it is closed", || route.try_tell(Get).is_err()).await;
    assert!(route.try_tell(Get).is_err() && route.tell(Get).await.is_err());
    assert!(route.ask(Get).await.is_err() && route.tell_blocking(Get).is_err());
    assert_eq!(ctx.name(), "store");
    assert!(ctx.children().is_empty());
    assert!(ctx.after(MS, "get", Get).is_err());
    assert!(ctx.every(MS, MissedTick::Skip, "get", || Get).is_err());
    assert_eq!(ctx.mount(Store::default).await, Err(MountError::Stopped));
    assert_eq!(ctx.unmount("child").await, Err(UnmountError::Stopped));
    ctx.stop();
    // The last that know of it.
    drop((ctx, route));
    while watch.next().await.is_some() {}
    while letters.next().await.is_some() {}
}

#[mycelia::test]
async fn a_system_that_is_its_own_state_and_its_subsystem_s_stops() {
    struct Holds(Mutex<Option<System>>);
    #[derive(Subsystem)]
    struct Keeps(#[allow(dead_code, reason = "it is dropped")] System);
    #[routes]
    impl Keeps {
        #[route("get")]
        fn get(&mut self, _: Get) -> u32 {
            1
        }
    }
    let _watch = watchdog();
    let holds = Arc::new(Holds(Mutex::new(None)));
    let builder = System::builder().threads(1).shared_state(holds.clone());
    let system = builder.start().await.unwrap();
    *holds.0.lock().unwrap() = Some(system.clone());
    let keeps = system.clone();
    system.mount(move || Keeps(keeps.clone())).await.unwrap();
    assert_eq!(system.ask("keeps://get", Get).await.unwrap(), 1);
    system.stop().await.unwrap();
    let weak = system.downgrade();
    drop((system, holds.0.lock().unwrap().take()));
    until("it is gone", || weak.upgrade().is_none()).await;
}

#[mycelia::test]
async fn a_waker_that_drops_the_last_hold_on_its_system_ends_it_quietly() {
    struct Last(Mutex<Option<System>>, AtomicU32);
    impl Wake for Last {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
    let _watch = watchdog();
    let (system, gate) = store().await;
    let weak = system.downgrade();
    let hold = system.route::<Own>("store://hold").unwrap();
    let mut ask = Box::pin(async move { hold.ask(Own(Box::new(()))).await });
    let last = Arc::new(Last(Mutex::new(Some(system)), AtomicU32::new(0)));
    let waker = Waker::from(last.clone());
    let polled = ask.as_mut().poll(&mut TaskContext::from_waker(&waker));
    assert!(polled.is_pending());
    gate.0.add_permits(1);
    until("it is woken", || last.1.load(Ordering::SeqCst) > 0).await;
    until("it is gone", || weak.upgrade().is_none()).await;
    let _ = ask.await;
}

#[mycelia::test]
async fn a_value_that_stops_the_system_and_asks_when_it_is_dropped_holds_up_no_unmount() {
    #[derive(Subsystem)]
    struct Bitter(#[allow(dead_code, reason = "it is dropped")] Box<dyn Send>);
    #[routes]
    impl Bitter {
        #[route("get")]
        fn get(&mut self, _: Get) -> u32 {
            panic!("{ON_PURPOSE}")
        }
    }
    let _watch = watchdog();
    let (system, _gate) = store().await;
    let owner = system.clone();
    let factory = move || {
        let system = owner.clone();
        Bitter(on_drop(move || {
            // It is not asked for in a handler, but on the subsystem's thread all the same.
            let refused = system.ask_blocking("store://get", Get);
            drop(refused);
            let mut stop = Box::pin(async move { system.stop().await });
            let mut cx = TaskContext::from_waker(Waker::noop());
            let _ = stop.as_mut().poll(&mut cx);
        }))
    };
    system.mount(factory).await.unwrap();
    let unmounted = tokio::time::timeout(10_000 * MS, system.unmount("bitter")).await;
    assert!(unmounted.is_ok(), "the unmount hangs");
    tokio::time::timeout(10_000 * MS, system.stopped())
        .await
        .expect("the stop hangs");
}

/// A future written by hand that panics when it is polled, and when it is dropped.
struct Burns<T>(std::marker::PhantomData<T>, bool);

impl<T> Future for Burns<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<T> {
        self.get_mut().1 = true;
        panic!("polled {ON_PURPOSE}");
    }
}

impl<T> Unpin for Burns<T> {}

impl<T> Drop for Burns<T> {
    fn drop(&mut self) {
        assert!(!self.1, "dropped {ON_PURPOSE}");
    }
}

/// Its handlers and hooks give such futures.
struct Bonfire<const HOOK: usize>;

impl<const HOOK: usize> Subsystem for Bonfire<HOOK> {
    const NAME: &'static str = "bonfire";
}

impl<const HOOK: usize> Routes for Bonfire<HOOK> {
    fn routes(table: &mut RouteTable<Self>) {
        table.on_async("get", |_: &mut Self, _: Get, (): ()| {
            Burns::<u32>(std::marker::PhantomData, false)
        });
        let burns = |_: &mut Self, (): (), (): ()| Burns::<()>(std::marker::PhantomData, false);
        if HOOK == 1 {
            table.started(burns);
        }
        if HOOK == 2 {
            table.stopped(|_: &mut Self, _: EndReason, (): ()| {
                Burns::<()>(std::marker::PhantomData, false)
            });
        }
    }
}

#[mycelia::test]
async fn a_future_of_a_handler_or_a_hook_that_panics_twice_aborts_nothing() {
    let _watch = watchdog();
    let (system, _gate) = store().await;
    system.mount(|| Bonfire::<0>).await.unwrap();
    for _ in 0..3 {
        let asked = system.ask("bonfire://get", Get).await;
        assert!(matches!(asked, Err(AskError::Panicked { .. })), "{asked:?}");
    }
    system.unmount("bonfire").await.unwrap();
    let mounted = system.mount(|| Bonfire::<1>).await;
    assert!(matches!(mounted, Err(MountError::StartFailed { .. })));
    system.mount(|| Bonfire::<2>).await.unwrap();
    let unmounted = system.unmount("bonfire").await;
    assert!(matches!(unmounted, Err(UnmountError::HooksFailed { .. })));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_factory_whose_drop_panics_harms_no_mounter_that_is_refused_or_never_waits() {
    let _watch = watchdog();
    let (system, _gate) = store().await;
    let factory = || {
        let owned = Arc::new(Mutex::new(on_drop(|| panic!("{ON_PURPOSE}"))));
        move || {
            let _ = &owned;
            Store::default()
        }
    };
    let below = || crate::common::named("child").parent("nobody");
    let refused = system.mount_with(below(), factory()).await;
    assert!(matches!(refused, Err(MountError::NoParent { .. })));
    let several = mycelia::Replicas::round_robin(2);
    let refused = system
        .mount_replicas_with(several, below(), factory())
        .await;
    assert!(matches!(refused, Err(MountError::NoParent { .. })));
    let refused = system.mount_all([below()], factory()).await;
    assert!(matches!(refused, Err(MountError::NoParent { .. })));
    drop(system.mount_as("never", factory()));
    system.stop().await.unwrap();
}
