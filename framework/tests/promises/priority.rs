//! Promise 1, of priorities: the more urgent first, in the order sent within each, and no one forever last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{figures, quiet, until, watchdog};
use mycelia::prelude::*;
use mycelia::schedule::Priority;
use tokio::sync::Semaphore;

#[derive(Message)]
struct Job(u32);

#[derive(Message)]
#[message(priority = control, reply = usize)]
struct Report;

#[derive(Message)]
#[message(reply = Vec<(Priority, u32)>)]
struct Handled;

struct Gate {
    begun: AtomicBool,
    permits: Semaphore,
}

#[derive(Subsystem, Default)]
struct Work {
    handled: Vec<(Priority, u32)>,
}

#[routes]
impl Work {
    #[route("hold")]
    async fn hold(&mut self, _: Job, State(gate): State<Gate>) {
        gate.begun.store(true, Ordering::Relaxed);
        gate.permits.acquire().await.unwrap().forget();
    }

    #[route("job/{priority}")]
    fn job(&mut self, Job(n): Job, Path(priority): Path<usize>) {
        self.handled.push((Priority::ALL[priority], n));
    }

    #[route("report")]
    fn report(&mut self, _: Report) -> usize {
        self.handled.len()
    }

    #[route("handled")]
    fn handled(&mut self, _: Handled) -> Vec<(Priority, u32)> {
        std::mem::take(&mut self.handled)
    }
}

async fn held() -> (System, Arc<Gate>) {
    let gate = Arc::new(Gate {
        begun: AtomicBool::new(false),
        permits: Semaphore::new(0),
    });
    let system = System::builder()
        .threads(1)
        .shared_state(gate.clone())
        .start()
        .await
        .unwrap();
    system.mount(Work::default).await.unwrap();
    system.tell("work://hold", Job(0)).await.unwrap();
    until("it is held", || gate.begun.load(Ordering::Relaxed)).await;
    (system, gate)
}

async fn send(system: &System, priority: Priority, n: u32) {
    let job = system.route::<Job>("work://job/{priority}").unwrap();
    let job = job.with_priority(priority);
    job.at(priority as usize).tell(Job(n)).await.unwrap();
}

async fn handled(system: &System, gate: &Gate) -> Vec<(Priority, u32)> {
    gate.permits.add_permits(1);
    quiet(system).await;
    system.ask("work://handled", Handled).await.unwrap()
}

#[mycelia::test]
async fn the_more_urgent_are_handled_first_each_in_the_order_sent() {
    let _watch = watchdog();
    let (system, gate) = held().await;
    for n in 0..10 {
        for priority in Priority::ALL.into_iter().rev() {
            send(&system, priority, n).await;
        }
    }
    let order = handled(&system, &gate).await;
    let mut expected = order.clone();
    expected.sort();
    assert_eq!(order, expected);
    assert_eq!(order.len(), 40);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn control_overtakes_whatever_waits() {
    let _watch = watchdog();
    let (system, gate) = held().await;
    for n in 0..1000 {
        send(&system, Priority::High, n).await;
        send(&system, Priority::Normal, n).await;
    }
    let mut report = Box::pin(system.ask("work://report", Report));
    assert!(crate::common::poll_once(&mut report).await.is_none());
    gate.permits.add_permits(1);
    assert_eq!(report.await.unwrap(), 0);
    assert_eq!(handled(&system, &gate).await.len(), 2000);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn under_a_flood_of_more_urgent_ones_every_sixty_fourth_is_a_low_one() {
    let _watch = watchdog();
    let (system, gate) = held().await;
    for n in 0..10 {
        send(&system, Priority::Low, n).await;
        send(&system, Priority::Normal, n).await;
    }
    for n in 0..1000 {
        send(&system, Priority::High, n).await;
        send(&system, Priority::Control, n).await;
    }
    let order = handled(&system, &gate).await;
    let places = |priority| {
        order
            .iter()
            .enumerate()
            .filter(move |(_, (p, _))| *p == priority)
            .map(|(at, _)| at)
    };
    for (priority, patience) in [(Priority::Low, 64), (Priority::Normal, 32)] {
        let mut before = 0;
        for at in places(priority) {
            assert!(at - before <= patience + 2, "{priority:?} at {at}");
            before = at;
        }
        assert_eq!(places(priority).count(), 10);
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_first_urgent_message_to_a_sleeping_or_a_busy_subsystem_is_never_overlooked() {
    let _watch = watchdog();
    for round in 0..200 {
        let system = System::builder().threads(1).pool(64).start().await.unwrap();
        #[derive(Subsystem, Default)]
        struct Plain;
        #[routes]
        impl Plain {
            #[route("job/{priority}")]
            fn job(&mut self, _: Job, _: Path<usize>) {}
        }
        system.mount_as("work", Plain::default).await.unwrap();
        let flood = std::thread::spawn({
            let system = system.clone();
            move || {
                for n in 0..round {
                    system.tell_blocking("work://job/2", Job(n)).unwrap();
                }
            }
        });
        send(&system, Priority::ALL[round as usize % 4], round).await;
        flood.join().unwrap();
        let all = u64::from(round) + 1;
        assert_eq!(figures(&quiet(&system).await), [all, all, 0, 0, 0, 0]);
        system.stop().await.unwrap();
    }
}

#[mycelia::test]
async fn an_unmount_and_a_stop_handle_every_priority() {
    let _watch = watchdog();
    let (system, gate) = held().await;
    for priority in Priority::ALL {
        send(&system, priority, 1).await;
    }
    gate.permits.add_permits(1);
    assert_eq!(system.unmount("work").await.unwrap().handled, 5);
    system.mount(Work::default).await.unwrap();
    for priority in Priority::ALL {
        send(&system, priority, 2).await;
    }
    let report = system.stop().await.unwrap();
    assert_eq!(figures(&report.ledger), [9, 9, 0, 0, 0, 0]);
}
