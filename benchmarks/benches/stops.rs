//! Run with `cargo bench -p mycelia-benchmarks`
//!
//! Stop by stop: what each part of a message's way costs alone, as far as the public interface lets one
//! take it apart. A receiver whose handler blocks takes nothing out, so that only the sender's half is
//! timed; a mailbox that was filled meanwhile is then emptied, which is the receiver's half.

use std::sync::mpsc;
use std::time::Instant;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use hdrhistogram::Histogram;
use mycelia::Route;
use mycelia::prelude::*;
use mycelia::time::Clock;
use mycelia_benchmarks::tally::{Add, Ask, Take, Tally};
use mycelia_core::{PathRef, Pattern, Router};
use tokio::runtime::Runtime;

fn main() {
    divan::main();
}

/// Messages of one sample.
const BATCH: usize = 2000;

/// Blocks the receiver until the other end is dropped.
#[derive(Message)]
struct Gate(mpsc::Receiver<()>);

#[derive(Subsystem, Default)]
#[subsystem(name = "api")]
struct Api(Tally);

#[routes]
impl Api {
    #[route("add")]
    fn add(&mut self, Add(n): Add) {
        self.0.add(n);
    }

    #[route("users/{id}")]
    fn add_user(&mut self, Add(n): Add, Path(id): Path<u64>) {
        black_box(id);
        self.0.add(n);
    }

    #[route("ask")]
    fn ask(&mut self, Ask(n): Ask) -> u64 {
        n + 1
    }

    #[route("gate")]
    fn gate(&mut self, Gate(gate): Gate) {
        let _ = gate.recv();
    }

    #[route("take")]
    fn take(&mut self, _: Take) -> Tally {
        self.0.take()
    }
}

/// A system of one thread with an `api`.
struct Rig {
    runtime: Runtime,
    system: System,
    add: Route<Add>,
}

impl Rig {
    fn new() -> Self {
        let runtime = mycelia_benchmarks::contender::tokio_stage::runtime().expect("an executor");
        let system = runtime.block_on(async {
            let builder = System::builder().threads(1).pool(2 * BATCH);
            let system = builder.start().await.expect("a system");
            system.mount(Api::default).await.expect("mounted");
            let small = MountOptions::new().name("small").capacity(1);
            system
                .mount_with(small, Api::default)
                .await
                .expect("mounted");
            system
        });
        let add = system.route("api://add").expect("a route");
        Rig {
            runtime,
            system,
            add,
        }
    }

    /// Blocks the thread of the subsystems; it goes on when the answer is dropped.
    fn block(&self) -> mpsc::Sender<()> {
        let (gate, gated) = mpsc::channel();
        self.system
            .try_tell("api://gate", Gate(gated))
            .expect("room");
        gate
    }

    /// Waits until everything sent has been handled; how much that was.
    fn settle(&self) -> u64 {
        let taken = self.runtime.block_on(self.system.ask("api://take", Take));
        taken.expect("answered").count
    }
}

/// Reading the text of a path.
#[divan::bench]
fn resolve_parse(bencher: Bencher) {
    let path = "api://users/42";
    bencher.bench(|| PathRef::parse(black_box(path)).is_ok());
}

/// Finding the route among so many.
#[divan::bench(args = [1, 100, 10_000])]
fn resolve_find(bencher: Bencher, routes: usize) {
    let mut router = Router::new();
    for i in 0..routes {
        let pattern = Pattern::parse(&format!("route-{i}/{{id}}")).expect("a pattern");
        router.insert(pattern, i).expect("another pattern");
    }
    let text = format!("api://route-{}/42", routes / 2);
    let path = PathRef::parse(&text).expect("a path");
    bencher.bench(|| router.find(black_box(&path)).map(|found| *found.value));
}

/// Making a handle.
#[divan::bench]
fn resolve_handle(bencher: Bencher) {
    let rig = Rig::new();
    let resolve = || rig.system.route::<Add>(black_box("api://users/{id}"));
    bencher.bench_local(|| resolve().is_ok());
}

/// The sender's half by handle: pack, acquire, stamp, enqueue. No one is woken.
#[divan::bench]
fn send_by_handle(bencher: Bencher) {
    let rig = Rig::new();
    let blocked = || {
        rig.settle();
        rig.block()
    };
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(blocked)
        .bench_local_values(|gate| {
            for n in 0..BATCH as u64 {
                rig.add.try_tell(Add(n)).expect("room");
            }
            gate
        });
}

/// The same by `tell`, which could wait but need not.
#[divan::bench]
fn send_by_tell(bencher: Bencher) {
    let rig = Rig::new();
    let blocked = || {
        rig.settle();
        rig.block()
    };
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(blocked)
        .bench_local_values(|gate| {
            rig.runtime.block_on(async {
                for n in 0..BATCH as u64 {
                    rig.add.tell(Add(n)).await.expect("accepted");
                }
            });
            gate
        });
}

/// The sender's half by the text of a path with a capture.
#[divan::bench]
fn send_by_path(bencher: Bencher) {
    let rig = Rig::new();
    let blocked = || {
        rig.settle();
        rig.block()
    };
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(blocked)
        .bench_local_values(|gate| {
            for n in 0..BATCH as u64 {
                rig.system.try_tell("api://users/42", Add(n)).expect("room");
            }
            gate
        });
}

/// A send that finds no room: pack, acquire, refusal, unpack, release.
#[divan::bench]
fn send_refused(bencher: Bencher) {
    let rig = Rig::new();
    let route = rig.system.route::<Add>("small://add").expect("a route");
    let _gate = rig.block();
    route.try_tell(Add(0)).expect("room for one");
    bencher.bench_local(|| route.try_tell(Add(1)).is_err());
}

/// Waking a receiver that sleeps on another thread, as the sender feels it.
#[divan::bench]
fn send_and_wake(bencher: Bencher) {
    let rig = Rig::new();
    let asleep = || {
        rig.settle();
        std::thread::sleep(std::time::Duration::from_micros(100));
    };
    bencher
        .with_inputs(asleep)
        .bench_local_values(|()| rig.add.try_tell(Add(1)).is_ok());
}

/// The receiver's half, with one wake-up and one reply for all: dequeue, dispatch, record, release.
#[divan::bench]
fn receive(bencher: Bencher) {
    let rig = Rig::new();
    let filled = || {
        rig.settle();
        let gate = rig.block();
        for n in 0..BATCH as u64 {
            rig.add.try_tell(Add(n)).expect("room");
        }
        gate
    };
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(filled)
        .bench_local_values(|gate| {
            drop(gate);
            assert_eq!(rig.settle(), BATCH as u64);
        });
}

/// A whole ask to another thread and back.
#[divan::bench]
fn ask(bencher: Bencher) {
    let rig = Rig::new();
    let route = rig.system.route::<Ask>("api://ask").expect("a route");
    bencher.bench_local(|| {
        let reply = rig.runtime.block_on(route.ask(Ask(1)));
        assert_eq!(reply.expect("answered"), 2);
    });
}

/// A stamp.
#[divan::bench]
fn stamp(bencher: Bencher) {
    let clock = Clock::default();
    bencher.bench(|| clock.now());
}

/// A stamp by the standard library.
#[divan::bench]
fn stamp_std() -> Instant {
    Instant::now()
}

/// A difference of two stamps in nanoseconds.
#[divan::bench]
fn between(bencher: Bencher) {
    let clock = Clock::default();
    let (earlier, later) = (clock.now(), clock.now());
    bencher.bench(|| clock.between_ns(black_box(earlier), black_box(later)));
}

/// One value into one histogram; a message has three.
#[divan::bench]
fn record(bencher: Bencher) {
    let mut histogram = Histogram::<u64>::new(2).expect("two digits");
    let mut value = 1_u64;
    bencher.bench_local(|| {
        value = value
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        histogram.record(black_box(value >> 44)).expect("it grows");
    });
}

/// Reading what the system is doing.
#[divan::bench]
fn snapshot(bencher: Bencher) {
    let rig = Rig::new();
    rig.settle();
    bencher.bench_local(|| rig.system.snapshot());
}
