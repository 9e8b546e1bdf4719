//! Promise 4: memory is bounded. Overload makes `tell` wait, `try_tell` says what is full, and waiting
//! that could never end is an error, not a hang.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{figures, on_no_executor, quiet, until, watchdog};
use mycelia::error::Room;
use mycelia::prelude::*;
use tokio::sync::{Barrier, Semaphore};

struct Gate(Semaphore);

#[derive(Message)]
struct Pass;

/// Handles nothing before the gate opens.
#[derive(Subsystem, Default)]
struct Gated;

#[routes]
impl Gated {
    #[route("pass")]
    async fn pass(&mut self, _: Pass, State(gate): State<Gate>) {
        gate.0.acquire().await.unwrap().forget();
    }
}

async fn gated(pool: usize, options: MountOptions) -> (System, Arc<Gate>) {
    let gate = Arc::new(Gate(Semaphore::new(0)));
    let system = System::builder()
        .threads(2)
        .pool(pool)
        .shared_state(gate.clone())
        .start()
        .await
        .unwrap();
    system.mount_with(options, Gated::default).await.unwrap();
    (system, gate)
}

/// Four threads send until each has been refused a hundred times; returns how many were accepted.
fn accepted_by_force(system: &System, room: Room) -> u64 {
    let force = || {
        let handle = system.route::<Pass>("gated://pass").unwrap();
        let (mut accepted, mut refused) = (0, 0);
        while refused < 100 {
            let told = match (accepted + refused) % 2 {
                0 => system.try_tell("gated://pass", Pass),
                _ => handle.try_tell(Pass),
            };
            match told {
                Ok(()) => accepted += 1,
                Err(undelivered) => {
                    let subsystem = "gated".into();
                    assert_eq!(*undelivered.reason(), SendError::Full { subsystem, room });
                    refused += 1;
                }
            }
        }
        accepted
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(force)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    })
}

#[mycelia::test]
async fn a_mailbox_accepts_its_capacity_and_not_one_message_more() {
    let _watch = watchdog();
    for capacity in [1, 5, 100] {
        let options = MountOptions::new().capacity(capacity);
        let (system, gate) = gated(1000, options).await;
        assert_eq!(
            accepted_by_force(&system, Room::Mailbox),
            u64::from(capacity)
        );
        // As many again as have left.
        gate.0.add_permits(1);
        until("one has left", || {
            system.snapshot().total.waiting == u64::from(capacity) - 1
        })
        .await;
        assert_eq!(accepted_by_force(&system, Room::Mailbox), 1);
        gate.0.add_permits(1000);
        let all = u64::from(capacity) + 1;
        assert_eq!(figures(&quiet(&system).await), [all, all, 0, 0, 0, 0]);
        system.stop().await.unwrap();
    }
}

#[mycelia::test]
async fn a_pool_accepts_its_capacity_and_not_one_message_more() {
    let _watch = watchdog();
    // The last ones are for others than the one that is flooded; a small pool keeps none.
    let sizes = [
        (1, 0),
        (7, 0),
        (8, 1),
        (200, 25),
        (1024, 128),
        (2000, 128),
        (4096, 256),
    ];
    for (capacity, kept) in sizes {
        let (system, gate) = gated(capacity, MountOptions::new()).await;
        let most = capacity as u64 - kept;
        assert_eq!(accepted_by_force(&system, Room::Pool), most);
        let stats = system.snapshot().pool;
        assert_eq!((stats.in_flight, stats.idle), (most, kept));
        assert_eq!(stats.high_water, most);
        gate.0.add_permits(capacity);
        quiet(&system).await;
        system.stop().await.unwrap();
    }
}

#[mycelia::test]
async fn tell_waits_for_room_and_goes_on_when_there_is_some() {
    let _watch = watchdog();
    let small_mailbox = MountOptions::new().capacity(2);
    for (pool, options) in [(100, small_mailbox), (2, MountOptions::new())] {
        let (system, gate) = gated(pool, options).await;
        let telling = tokio::spawn({
            let system = system.clone();
            async move {
                for _ in 0..10 {
                    system.tell("gated://pass", Pass).await.unwrap();
                }
            }
        });
        for passed in 0..8 {
            until("all room is taken", || {
                system.snapshot().total.sent == passed + 2
            })
            .await;
            assert!(!telling.is_finished());
            gate.0.add_permits(1);
        }
        telling.await.unwrap();
        gate.0.add_permits(2);
        assert_eq!(figures(&quiet(&system).await), [10, 10, 0, 0, 0, 0]);
        system.stop().await.unwrap();
    }
}

#[mycelia::test]
async fn a_tell_dropped_while_it_waits_has_sent_nothing_and_holds_nobody_up() {
    let _watch = watchdog();
    let small_mailbox = MountOptions::new().capacity(1);
    for (pool, options) in [(100, small_mailbox), (1, MountOptions::new())] {
        let (system, gate) = gated(pool, options).await;
        system.tell("gated://pass", Pass).await.unwrap();
        for _ in 0..100 {
            let mut tells: Vec<_> = (0..4)
                .map(|_| Box::pin(system.tell("gated://pass", Pass)))
                .collect();
            for tell in &mut tells {
                assert!(crate::common::poll_once(tell).await.is_none());
            }
            // Whichever is woken, those that are dropped pass it on.
            gate.0.add_permits(1);
            let last = tells.pop().unwrap();
            drop(tells);
            last.await.unwrap();
        }
        gate.0.add_permits(1);
        assert_eq!(figures(&quiet(&system).await), [101, 101, 0, 0, 0, 0]);
        system.stop().await.unwrap();
    }
}

#[test]
fn memory_stays_bounded_however_much_is_sent() {
    let _watch = watchdog();
    let (system, gate) = on_no_executor(gated(8, MountOptions::new()));
    gate.0.add_permits(Semaphore::MAX_PERMITS / 2);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) {
                let stats = system.snapshot().pool;
                assert!(stats.created <= 8 && stats.high_water <= 8, "{stats:?}");
                looks += 1;
                std::thread::yield_now();
            }
            looks
        });
        let sender = || {
            for _ in 0..5_000 {
                system.tell_blocking("gated://pass", Pass).unwrap();
            }
        };
        let senders: Vec<_> = (0..4).map(|_| scope.spawn(sender)).collect();
        for sender in senders {
            sender.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        assert!(watching.join().unwrap() > 0);
    });
    let report = on_no_executor(system.stop()).unwrap();
    assert_eq!(figures(&report.ledger), [20_000, 20_000, 0, 0, 0, 0]);
}

/// Asks for something to be sent on; the reply is what was said about a wait without end.
#[derive(Message)]
#[message(reply = Option<String>)]
struct Go(&'static str);

#[derive(Message)]
struct Leaf;

struct Meeting {
    both: Barrier,
    is_over: AtomicBool,
}

fn cycle_of(reason: SendError) -> String {
    match reason {
        SendError::WaitCycle { cycle } => cycle.into(),
        other => panic!("{other:?}"),
    }
}

#[derive(Subsystem, Default)]
struct Node;

#[routes]
impl Node {
    #[route("leaf")]
    fn leaf(&mut self, _: Leaf) {}

    /// Tells until it, or another, has found that waiting would never end.
    #[route("fill")]
    async fn fill(
        &mut self,
        Go(to): Go,
        system: System,
        State(meeting): State<Meeting>,
    ) -> Option<String> {
        while !meeting.is_over.load(Ordering::Relaxed) {
            if let Err(undelivered) = system.tell(to, Leaf).await {
                meeting.is_over.store(true, Ordering::Relaxed);
                assert!(!undelivered.reason().is_retryable());
                return Some(cycle_of(undelivered.into_reason()));
            }
        }
        None
    }

    #[route("tell")]
    async fn tell(
        &mut self,
        Go(to): Go,
        system: System,
        State(meeting): State<Meeting>,
    ) -> Option<String> {
        meeting.both.wait().await;
        let told = system.tell(to, Leaf).await;
        told.err()
            .map(|undelivered| cycle_of(undelivered.into_reason()))
    }

    /// Asks along the words of a way: `b c a` asks b to ask c to ask a.
    #[route("ask")]
    async fn ask(&mut self, Go(way): Go, system: System) -> Option<String> {
        let (next, rest) = way.split_once(' ').unwrap_or((way, ""));
        if next.is_empty() {
            return None;
        }
        match system.ask(format!("{next}://ask"), Go(rest)).await {
            Ok(found) => found,
            Err(AskError::Undelivered(undelivered)) => Some(cycle_of(undelivered.into_reason())),
            Err(other) => panic!("{other:?}"),
        }
    }
}

async fn nodes(names: &[&'static str], threads: usize, pool: usize, capacity: u32) -> System {
    let system = System::builder()
        .threads(threads)
        .pool(pool)
        .state(Meeting {
            both: Barrier::new(2),
            is_over: AtomicBool::new(false),
        })
        .start()
        .await
        .unwrap();
    for (i, name) in names.iter().enumerate() {
        let options = MountOptions::new().name(*name).thread(i % threads);
        let options = options.capacity(capacity);
        system.mount_with(options, Node::default).await.unwrap();
    }
    system
}

async fn everything_works(system: &System, names: &[&str]) {
    for name in names {
        system.tell(format!("{name}://leaf"), Leaf).await.unwrap();
        let asked = system.ask(format!("{name}://ask"), Go("")).await;
        assert_eq!(asked.unwrap(), None);
    }
    let total = quiet(system).await;
    assert_eq!(total.sent, total.handled);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_handler_that_tells_while_every_envelope_is_its_own_ends_with_an_error() {
    let _watch = watchdog();
    for pool in [1, 2, 9, 64] {
        let system = nodes(&["a"], 1, pool, u32::MAX).await;
        let cycle = system
            .ask("a://fill", Go("a://leaf"))
            .await
            .unwrap()
            .unwrap();
        assert!(cycle.contains("`a`"), "{cycle}");
        everything_works(&system, &["a"]).await;
    }
}

#[mycelia::test]
async fn handlers_that_wait_for_each_other_s_envelopes_end_with_an_error() {
    let _watch = watchdog();
    // The larger pool has envelopes in reserve, which are of no use to those that hold all the others.
    for (threads, pool) in [(1, 6), (2, 6), (1, 80), (2, 80)] {
        let system = nodes(&["a", "b"], threads, pool, u32::MAX).await;
        let (a, b) = tokio::join!(
            system.ask("a://fill", Go("b://leaf")),
            system.ask("b://fill", Go("a://leaf")),
        );
        let found = a.unwrap().or(b.unwrap()).unwrap();
        assert!(found.contains("`a`") || found.contains("`b`"), "{found}");
        everything_works(&system, &["a", "b"]).await;
    }
}

#[mycelia::test]
async fn an_unmount_ends_though_its_handler_waits_for_an_envelope_that_it_holds() {
    let _watch = watchdog();
    let system = nodes(&["a"], 1, 3, u32::MAX).await;
    let fill = system.ask("a://fill", Go("a://leaf"));
    let unmount = async {
        until("the pool is empty", || {
            system.snapshot().pool.in_flight == 3
        })
        .await;
        system.unmount("a").await.unwrap()
    };
    let (filled, ledger) = tokio::join!(fill, unmount);
    assert!(filled.unwrap().is_some());
    assert_eq!(ledger.sent, ledger.handled);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn full_mailboxes_in_a_circle_end_with_an_error_that_names_it() {
    let _watch = watchdog();
    for threads in [1, 2] {
        let system = nodes(&["a", "b"], threads, 100, 1).await;
        let (a, b) = tokio::join!(
            system.ask("a://tell", Go("b://leaf")),
            system.ask("b://tell", Go("a://leaf")),
        );
        // The second to wait closes the circle; the first then finds room.
        match (a.unwrap().as_deref(), b.unwrap().as_deref()) {
            (Some("a -> b -> a"), None) | (None, Some("b -> a -> b")) => {}
            other => panic!("{other:?}"),
        }
        everything_works(&system, &["a", "b"]).await;
    }
}

#[mycelia::test]
async fn a_handler_that_tells_its_own_full_mailbox_ends_with_an_error() {
    let _watch = watchdog();
    let system = nodes(&["a"], 1, 100, 3).await;
    let cycle = system.ask("a://fill", Go("a://leaf")).await.unwrap();
    assert_eq!(cycle.as_deref(), Some("a -> a"));
    everything_works(&system, &["a"]).await;
}

#[mycelia::test]
async fn asks_in_a_circle_end_with_an_error_that_names_it() {
    let _watch = watchdog();
    for threads in [1, 2] {
        let names = ["a", "b", "c"];
        let system = nodes(&names, threads, 100, u32::MAX).await;
        for (way, circle) in [
            ("a", "a -> a"),
            ("b a", "a -> b -> a"),
            ("b c a", "a -> b -> c -> a"),
            ("b c b", "b -> c -> b"),
        ] {
            let found = system.ask("a://ask", Go(way)).await.unwrap();
            let mut known: Vec<&str> = circle.split(" -> ").collect();
            let found = found.unwrap_or_else(|| panic!("{way}"));
            // The circle is told from where it was closed.
            known.pop();
            let mut names: Vec<&str> = found.split(" -> ").collect();
            assert_eq!(names.pop(), names.first().copied(), "{found}");
            known.sort_unstable();
            names.sort_unstable();
            assert_eq!(names, known, "{way}: {found}");
        }
        everything_works(&system, &names).await;
    }
}

#[mycelia::test]
async fn nested_asks_that_close_no_circle_are_answered_on_one_thread() {
    let _watch = watchdog();
    let names = ["a", "b", "c"];
    let system = nodes(&names, 1, 100, u32::MAX).await;
    for _ in 0..100 {
        assert_eq!(system.ask("a://ask", Go("b c")).await.unwrap(), None);
        let (one, two) = tokio::join!(
            system.ask("a://ask", Go("b c")),
            system.ask("b://ask", Go("c")),
        );
        assert_eq!((one.unwrap(), two.unwrap()), (None, None));
    }
    everything_works(&system, &names).await;
}
