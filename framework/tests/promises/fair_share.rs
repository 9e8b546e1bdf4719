//! Promise 4, of the pool that all share: one flood does not shut out the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::common::{named, on_no_executor, poll_once, quiet, until, watchdog};
use mycelia::error::Room;
use mycelia::prelude::*;
use mycelia::schedule::Overflow;
use tokio::sync::Semaphore;

/// What each of the gated subsystems may handle.
struct Gates(Vec<Semaphore>);

#[derive(Message)]
#[message(reply = usize)]
struct Pass;

/// Handles what its gate lets through.
#[derive(Subsystem)]
struct Gated(usize);

#[routes]
impl Gated {
    #[route("pass")]
    async fn pass(&mut self, _: Pass, State(gates): State<Gates>) -> usize {
        gates.0[self.0].acquire().await.unwrap().forget();
        self.0
    }
}

#[derive(Subsystem, Default)]
struct Idle;

#[routes]
impl Idle {
    #[route("pass")]
    fn pass(&mut self, _: Pass) -> usize {
        usize::MAX
    }
}

/// A system with gated subsystems `0`, `1`…, and one that is idle.
async fn system(pool: usize, gated: usize, overflow: Overflow) -> (System, Arc<Gates>) {
    let gates = (0..gated).map(|_| Semaphore::new(0)).collect();
    let gates = Arc::new(Gates(gates));
    let builder = System::builder().threads(2).pool(pool);
    let system = builder.shared_state(gates.clone()).start().await.unwrap();
    for number in 0..gated {
        let options = named(&number.to_string()).overflow(overflow).thread(0);
        let gated = move || Gated(number);
        system.mount_with(options, gated).await.unwrap();
    }
    let options = named("idle").overflow(overflow).thread(1);
    system.mount_with(options, Idle::default).await.unwrap();
    (system, gates)
}

fn path(number: usize) -> String {
    format!("{number}://pass")
}

/// Tells until there is no envelope left for it; how many were accepted.
fn flood(system: &System, number: usize) -> u64 {
    let mut accepted = 0;
    loop {
        match system.try_tell(path(number), Pass) {
            Ok(()) => accepted += 1,
            Err(undelivered) => {
                let (subsystem, room) = (number.to_string().into(), Room::Pool);
                assert_eq!(*undelivered.reason(), SendError::Full { subsystem, room });
                return accepted;
            }
        }
    }
}

async fn open(system: &System, gates: &Gates) {
    for gate in &gates.0 {
        gate.add_permits(1_000_000);
    }
    let total = quiet(system).await;
    assert_eq!(total.sent, total.handled);
    let stats = system.snapshot().pool;
    assert_eq!((stats.idle, stats.in_flight), (stats.capacity, 0));
}

/// Threads send to all gated subsystems without end, half of them waiting for room; meanwhile the idle
/// one is told and asked.
fn a_flood_of(gated: usize, pool: usize, overflow: Overflow) {
    let (system, gates) = on_no_executor(system(pool, gated, overflow));
    let over = AtomicBool::new(false);
    let refused = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (system, over, refused) = (&system, &over, &refused);
            scope.spawn(move || {
                let mut next = thread;
                while !over.load(Ordering::Relaxed) {
                    next += 1;
                    if system.try_tell(path(next % gated), Pass).is_err() {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            scope.spawn(move || {
                let mut next = thread;
                while !over.load(Ordering::Relaxed) {
                    next += 1;
                    system.tell_blocking(path(next % gated), Pass).unwrap();
                }
            });
        }
        let first = gates.0.len();
        while refused.load(Ordering::Relaxed) < 100 {
            std::thread::yield_now();
        }
        for round in 0..2_000 {
            let told = system.try_tell("idle://pass", Pass);
            assert!(told.is_ok(), "{round}: {told:?}");
            let asked = on_no_executor(system.ask("idle://pass", Pass));
            assert_eq!(asked.unwrap(), usize::MAX);
            // The flood goes on: what is handled is replaced.
            gates.0[round % first].add_permits(1);
        }
        over.store(true, Ordering::Relaxed);
        // Those that still wait for room.
        for gate in &gates.0 {
            gate.add_permits(1_000_000);
        }
    });
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().unwrap();
    runtime.block_on(open(&system, &gates));
    runtime.block_on(system.stop()).unwrap();
}

#[test]
fn an_idle_subsystem_is_reached_while_another_is_flooded() {
    let _watch = watchdog();
    for overflow in [Overflow::Wait, Overflow::Reject] {
        a_flood_of(1, 256, overflow);
    }
}

#[test]
fn an_idle_subsystem_is_reached_while_ten_others_are_flooded() {
    let _watch = watchdog();
    for overflow in [Overflow::Wait, Overflow::Reject] {
        a_flood_of(10, 256, overflow);
    }
}

#[test]
fn an_idle_subsystem_is_reached_while_a_hundred_others_are_flooded() {
    let _watch = watchdog();
    for overflow in [Overflow::Wait, Overflow::Reject] {
        a_flood_of(100, 2048, overflow);
    }
}

#[mycelia::test]
async fn one_flood_takes_most_of_the_pool_and_the_next_ones_share_the_rest() {
    let _watch = watchdog();
    // Of 8,192 envelopes 512 are kept.
    let (system, gates) = system(8192, 4, Overflow::Wait).await;
    assert_eq!(flood(&system, 0), 7680);
    // Each may hold a sixteenth of what is there above the lower half.
    assert_eq!(flood(&system, 1), 15);
    assert_eq!(flood(&system, 2), 14);
    assert_eq!(flood(&system, 3), 13);
    assert_eq!(system.snapshot().pool.idle, 512 - 42);
    assert_eq!(system.snapshot().pool.high_water, 7680 + 42);
    // What comes back is kept before anyone has it again.
    gates.0[0].add_permits(42);
    until("they are back", || system.snapshot().pool.idle == 512).await;
    assert_eq!(flood(&system, 0), 0);
    gates.0[0].add_permits(2);
    until("two more are back", || system.snapshot().pool.idle == 514).await;
    assert_eq!(flood(&system, 0), 2);
    open(&system, &gates).await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_hundred_floods_one_after_the_other_leave_an_envelope_for_one_that_is_idle() {
    let _watch = watchdog();
    for (pool, gated) in [(64, 8), (256, 30), (1024, 100), (4096, 130)] {
        // The last stays idle.
        let (system, gates) = system(pool, gated, Overflow::Reject).await;
        assert!(flood(&system, 0) >= pool as u64 * 7 / 8);
        for number in 1..gated - 1 {
            assert!(flood(&system, number) >= 1);
        }
        // No flooded one handles anything, and all of them want more.
        for round in 0..100 {
            system.try_tell("idle://pass", Pass).unwrap();
            quiet_at(&system, "idle").await;
            assert_eq!(system.ask("idle://pass", Pass).await.unwrap(), usize::MAX);
            assert_eq!(flood(&system, round % (gated - 1)), 0);
        }
        assert_eq!(flood(&system, gated - 1), 1);
        open(&system, &gates).await;
        system.stop().await.unwrap();
    }
}

/// Waits until that subsystem has handled all that it was sent, and its envelopes are back.
async fn quiet_at(system: &System, name: &str) {
    let idle = |system: &System| system.snapshot().subsystem(name).unwrap().ledger.waiting == 0;
    until("it is idle", || idle(system)).await;
}

#[mycelia::test]
async fn a_sender_to_a_subsystem_that_holds_nothing_is_woken_before_those_that_flood_another() {
    let _watch = watchdog();
    // Two of these are kept.
    let (system, gates) = system(16, 4, Overflow::Wait).await;
    assert_eq!(flood(&system, 0), 14);
    let floods: Vec<_> = (0..4)
        .map(|_| {
            let system = system.clone();
            tokio::spawn(async move { system.tell(path(0), Pass).await })
        })
        .collect();
    assert_eq!([flood(&system, 1), flood(&system, 2)], [1, 1]);
    let mut third = Box::pin(system.tell(path(3), Pass));
    assert!(poll_once(&mut third).await.is_none());
    until("those that flood wait too", || {
        system.snapshot().pool.refused >= 3
    })
    .await;
    // One envelope comes back; the floods may not have it.
    gates.0[1].add_permits(1);
    third.await.unwrap();
    assert!(floods.iter().all(|flood| !flood.is_finished()));
    let snapshot = system.snapshot();
    assert_eq!(snapshot.pool.in_flight, 16);
    open(&system, &gates).await;
    for flood in floods {
        flood.await.unwrap().unwrap();
    }
    quiet(&system).await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_sender_goes_on_when_its_subsystem_holds_less_though_no_envelope_came_back() {
    let _watch = watchdog();
    let (system, gates) = system(16, 2, Overflow::Wait).await;
    assert_eq!(flood(&system, 0), 14);
    let mut ask = Box::pin(system.ask(path(1), Pass));
    assert!(poll_once(&mut ask).await.is_none());
    // One is left, and it is for a subsystem that holds none.
    let mut tell = Box::pin(system.tell(path(1), Pass));
    assert!(poll_once(&mut tell).await.is_none());
    // The asker does not take its reply, so that its envelope stays out.
    gates.0[1].add_permits(1);
    tell.await.unwrap();
    assert_eq!(system.snapshot().pool.in_flight, 16);
    assert_eq!(ask.await.unwrap(), 1);
    open(&system, &gates).await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn many_senders_to_idle_subsystems_share_what_is_left_and_all_get_through() {
    let _watch = watchdog();
    let (system, gates) = system(16, 41, Overflow::Wait).await;
    assert_eq!(flood(&system, 0), 14);
    for gate in &gates.0[1..] {
        gate.add_permits(1_000_000);
    }
    let asks: Vec<_> = (0..400)
        .map(|number| {
            let (system, number) = (system.clone(), 1 + number % 40);
            tokio::spawn(async move {
                for _ in 0..5 {
                    assert_eq!(system.ask(path(number), Pass).await.unwrap(), number);
                }
            })
        })
        .collect();
    for ask in asks {
        ask.await.unwrap();
    }
    assert_eq!(system.snapshot().pool.in_flight, 14);
    open(&system, &gates).await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn senders_that_leave_pass_the_kept_envelopes_on() {
    let _watch = watchdog();
    // Two of these are kept.
    let (system, gates) = system(16, 4, Overflow::Wait).await;
    assert_eq!(flood(&system, 0), 14);
    assert_eq!([flood(&system, 1), flood(&system, 2)], [1, 1]);
    for _ in 0..50 {
        let mut tells: Vec<_> = (0..4)
            .map(|_| Box::pin(system.tell(path(3), Pass)))
            .collect();
        for tell in &mut tells {
            assert!(poll_once(tell).await.is_none());
        }
        gates.0[1].add_permits(1);
        let last = tells.pop().unwrap();
        drop(tells);
        last.await.unwrap();
        // Back to where it was.
        gates.0[3].add_permits(1);
        until("it has been handled", || system.snapshot().pool.idle == 1).await;
        assert_eq!(flood(&system, 1), 1);
    }
    open(&system, &gates).await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_reserve_that_nobody_waits_for_any_more_is_for_the_next_one() {
    let _watch = watchdog();
    // Two of these are kept.
    let (system, gates) = system(16, 4, Overflow::Wait).await;
    assert_eq!(flood(&system, 0), 14);
    assert_eq!([flood(&system, 1), flood(&system, 2)], [1, 1]);
    let wait = system.tell(path(3), Pass);
    let late = tokio::time::timeout(Duration::from_millis(30), wait).await;
    assert!(late.is_err());
    gates.0[1].add_permits(1);
    until("one is back", || system.snapshot().pool.idle == 1).await;
    system.try_tell(path(3), Pass).unwrap();
    open(&system, &gates).await;
    system.stop().await.unwrap();
}
