//! User code that goes round in circles: wakers that poll, hooks that end their own subsystem, streams that never
//! yield, systems that ask each other. Nothing hangs, no one is starved, all ends.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::time::Duration;

use crate::common::{named, poll_once, quiet, until, watchdog};
use crate::store::{Gate, Get, Own, Run, Store, store};
use futures_util::Stream;
use mycelia::error::{MountError, UnmountError};
use mycelia::observe::EndReason;
use mycelia::prelude::*;
use mycelia::schedule::Task;

const MS: Duration = Duration::from_millis(1);

type Waits = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task whose waker sends, and polls it on the spot.
struct Eager {
    system: System,
    waits: Mutex<Option<Waits>>,
    woken: AtomicU32,
}

impl Eager {
    /// Polls it as often as it was woken, on one thread at a time.
    fn go_on(self: &Arc<Self>) {
        if self.woken.fetch_add(1, Ordering::SeqCst) > 0 {
            return;
        }
        let waker = Waker::from(self.clone());
        loop {
            let seen = self.woken.load(Ordering::SeqCst);
            let waits = self.waits.lock().unwrap().take();
            if let Some(mut waits) = waits
                && (waits.as_mut().poll(&mut TaskContext::from_waker(&waker))).is_pending()
            {
                *self.waits.lock().unwrap() = Some(waits);
            }
            if self.woken.fetch_sub(seen, Ordering::SeqCst) == seen {
                return;
            }
        }
    }
}

impl Wake for Eager {
    fn wake(self: Arc<Self>) {
        let _ = self.system.try_tell("store://get", Get);
        self.go_on();
    }
}

#[mycelia::test]
async fn ten_thousand_who_wait_for_room_with_wakers_that_send_and_poll_all_come_through() {
    const ALL: u32 = 10_000;
    let _watch = watchdog();
    let (system, gate) = store().await;
    let options = named("small").capacity(1);
    system.mount_with(options, Store::default).await.unwrap();
    let hold = system.tell("small://hold", Own(Box::new(())));
    hold.await.unwrap();
    let sent = Arc::new(AtomicU32::new(0));
    for _ in 0..ALL {
        let (to, sent) = (system.clone(), sent.clone());
        let waits = async move {
            to.tell("small://get", Get).await.unwrap();
            sent.fetch_add(1, Ordering::SeqCst);
        };
        let eager = Arc::new(Eager {
            system: system.clone(),
            waits: Mutex::new(Some(Box::pin(waits))),
            woken: AtomicU32::new(0),
        });
        eager.go_on();
    }
    assert_eq!(sent.load(Ordering::SeqCst), 0);
    gate.0.add_permits(1);
    until("all are sent", || sent.load(Ordering::SeqCst) == ALL).await;
    let ledger = quiet(&system).await;
    assert_eq!(ledger.sent, ledger.handled);
    system.stop().await.unwrap();
}

/// Never yields anything, in one of two ways.
struct Barren {
    is_busy: bool,
    dropped: Arc<AtomicU32>,
}

impl Stream for Barren {
    type Item = Get;

    fn poll_next(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Get>> {
        if self.is_busy {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Barren {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

#[mycelia::test]
async fn streams_that_never_yield_are_dropped_when_they_are_cancelled_and_starve_nobody() {
    let _watch = watchdog();
    let (system, _gate) = store().await;
    let dropped = Arc::new(AtomicU32::new(0));
    let tasks: Arc<Mutex<Vec<Task>>> = Arc::default();
    for n in 0..100_u32 {
        let (tasks, dropped) = (tasks.clone(), dropped.clone());
        let run = Run(Box::new(move |ctx, _| {
            let stream = Barren {
                is_busy: n.is_multiple_of(2),
                dropped,
            };
            tasks
                .lock()
                .unwrap()
                .push(ctx.stream("get", stream).unwrap());
        }));
        system.ask("store://run", run).await.unwrap();
    }
    for _ in 0..10 {
        system.ask("store://get", Get).await.unwrap();
    }
    for task in tasks.lock().unwrap().drain(..) {
        task.cancel();
    }
    until("all are dropped", || dropped.load(Ordering::SeqCst) == 100).await;
    system.stop().await.unwrap();
}

#[derive(Subsystem)]
struct Rearms {
    left: u32,
}

#[routes]
impl Rearms {
    #[route("tick")]
    fn tick(&mut self, _: Get, ctx: Context) -> anyhow::Result<u32> {
        if self.left > 0 {
            self.left -= 1;
            ctx.after(Duration::ZERO, "tick", Get)?;
        }
        Ok(self.left)
    }

    #[route("left")]
    fn left(&mut self, _: Get) -> u32 {
        self.left
    }
}

#[mycelia::test]
async fn a_timer_that_its_own_message_sets_again_goes_on_as_long_as_it_is_to() {
    let _watch = watchdog();
    let system = System::builder().threads(1).pool(8).start().await.unwrap();
    system.mount(|| Rearms { left: 3000 }).await.unwrap();
    system.tell("rearms://tick", Get).await.unwrap();
    while system.ask("rearms://left", Get).await.unwrap() > 0 {
        tokio::time::sleep(MS).await;
    }
    let ledger = system.unmount("rearms").await.unwrap();
    assert!(ledger.handled >= 3001);
    system.stop().await.unwrap();
}

/// Tries to end itself, and what is around it, in its hooks.
#[derive(Subsystem)]
struct Suicidal {
    said: Arc<Mutex<Vec<String>>>,
}

#[routes]
impl Suicidal {
    #[started]
    async fn begin(&mut self, system: System) {
        let unmounted = system.unmount("suicidal").await;
        self.said.lock().unwrap().push(format!("{unmounted:?}"));
        let mounted = system.mount_as("suicidal", Store::default).await;
        self.said.lock().unwrap().push(format!("{mounted:?}"));
        let asked = system.ask("suicidal://get", Get).await.map_err(drop);
        self.said.lock().unwrap().push(format!("{asked:?}"));
    }

    #[stopped]
    async fn end(&mut self, _: EndReason, system: System) {
        let unmounted = system.unmount("suicidal").await;
        self.said.lock().unwrap().push(format!("{unmounted:?}"));
        let mounted = system.mount_as("suicidal", Store::default).await;
        self.said.lock().unwrap().push(format!("{mounted:?}"));
        let asked = system.ask("suicidal://get", Get).await.map_err(drop);
        self.said.lock().unwrap().push(format!("{asked:?}"));
    }

    #[route("get")]
    fn get(&mut self, _: Get) -> u32 {
        7
    }
}

#[mycelia::test]
async fn hooks_that_unmount_mount_and_ask_their_own_subsystem_never_hang() {
    let _watch = watchdog();
    let (system, _gate) = store().await;
    let said = Arc::new(Mutex::new(Vec::new()));
    let kept = said.clone();
    let mount = system.mount(move || Suicidal { said: kept.clone() });
    let mounted = tokio::time::timeout(5000 * MS, mount).await;
    let mounted = mounted.expect("the mount ends");
    mounted.unwrap();
    let unmounted = tokio::time::timeout(5000 * MS, system.unmount("suicidal")).await;
    unmounted.expect("the unmount ends").unwrap();
    // It is not there yet, and no more; its name is taken; it can't wait for itself.
    let said = said.lock().unwrap().clone();
    assert_eq!(said.len(), 6);
    for (said, wanted) in said.iter().zip([
        "Err(NoSubsystem",
        "Err(NameTaken",
        "Err(())",
        "Err(NoSubsystem",
        "Err(WaitCycle",
        "Err(())",
    ]) {
        assert!(said.starts_with(wanted), "{said} in place of {wanted}");
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_name_whose_subsystem_is_still_starting_is_taken_and_not_there() {
    #[derive(Subsystem)]
    struct Slow;
    #[routes]
    impl Slow {
        #[started]
        async fn begin(&mut self, State(gate): State<Gate>) {
            gate.0.acquire().await.expect("it stays open").forget();
        }
        #[route("get")]
        fn get(&mut self, _: Get) -> u32 {
            1
        }
    }
    let _watch = watchdog();
    let (system, gate) = store().await;
    let mut mount = Box::pin(system.mount(|| Slow));
    assert!(poll_once(mount.as_mut()).await.is_none());
    let early = tokio::time::timeout(5000 * MS, system.unmount("slow")).await;
    let early = early.expect("an unmount of what is not there yet ends");
    assert!(matches!(early, Err(UnmountError::NoSubsystem { .. })));
    let again = tokio::time::timeout(5000 * MS, system.mount(|| Slow)).await;
    let again = again.expect("a mount under a name that is being taken ends");
    assert!(matches!(again, Err(MountError::NameTaken { .. })));
    gate.0.add_permits(1);
    mount.await.unwrap();
    assert_eq!(system.ask("slow://get", Get).await.unwrap(), 1);
    system.unmount("slow").await.unwrap();
    system.stop().await.unwrap();
}

#[derive(Subsystem)]
struct Bridge {
    other: Arc<Mutex<Option<System>>>,
}

#[routes]
impl Bridge {
    #[route("get")]
    async fn get(&mut self, _: Get) -> anyhow::Result<u32> {
        let other = self.other.lock().unwrap().clone();
        match other {
            Some(other) => Ok(1 + other.ask_within("bridge://get", Get, 50 * MS).await?),
            None => Ok(0),
        }
    }
}

#[mycelia::test]
async fn two_systems_that_ask_each_other_end_at_the_deadline_and_stop() {
    let _watch = watchdog();
    let others: [Arc<Mutex<Option<System>>>; 2] = Default::default();
    let mut systems = Vec::new();
    for other in &others {
        let system = System::builder().threads(1).pool(8).start().await.unwrap();
        let other = other.clone();
        let factory = move || Bridge {
            other: other.clone(),
        };
        system.mount(factory).await.unwrap();
        systems.push(system);
    }
    *others[0].lock().unwrap() = Some(systems[1].clone());
    *others[1].lock().unwrap() = Some(systems[0].clone());
    assert!(systems[0].ask("bridge://get", Get).await.is_err());
    *others[1].lock().unwrap() = None;
    assert_eq!(systems[0].ask("bridge://get", Get).await.unwrap(), 1);
    for system in systems {
        system.stop().await.unwrap();
    }
}

#[mycelia::test]
async fn asks_that_are_dropped_at_any_moment_of_their_answer_leave_nothing() {
    let _watch = watchdog();
    let (system, _gate) = store().await;
    let get = system.route::<Get>("store://get").unwrap();
    let threads: Vec<_> = (0..2)
        .map(|n| {
            let get = get.clone();
            std::thread::spawn(move || {
                for round in 0..5000_u32 {
                    let mut ask = Box::pin(get.ask(Get));
                    let mut cx = TaskContext::from_waker(Waker::noop());
                    for _ in 0..(round + n) % 7 {
                        if ask.as_mut().poll(&mut cx).is_ready() {
                            break;
                        }
                        std::hint::spin_loop();
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        tokio::task::spawn_blocking(move || thread.join())
            .await
            .unwrap()
            .unwrap();
    }
    let ledger = quiet(&system).await;
    assert_eq!(ledger.sent, ledger.handled + ledger.expired);
    system.stop().await.unwrap();
}
