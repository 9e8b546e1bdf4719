//! A mounted route that takes only what is admitted: for all senders alike, and at no cost in messages or envelopes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::common::{ON_PURPOSE, figures, quiet, quiet_panics, watchdog};
use futures_util::FutureExt;
use mycelia::Replicas;
use mycelia::error::{MountError, SendError};
use mycelia::prelude::*;
use mycelia::schedule::{Admission, MissedTick};
use mycelia::time::Clock;
use std::panic::AssertUnwindSafe;

const HOUR: Duration = Duration::from_secs(3600);

/// Admits so many messages, and counts how often it was asked.
#[derive(Clone, Default)]
struct Tickets(Arc<(AtomicU32, AtomicU32)>);

impl Tickets {
    fn new(left: u32) -> Self {
        let tickets = Tickets::default();
        tickets.give(left);
        tickets
    }

    fn give(&self, more: u32) {
        self.0.0.fetch_add(more, Ordering::Relaxed);
    }

    fn asked(&self) -> u32 {
        self.0.1.load(Ordering::Relaxed)
    }
}

impl Admission for Tickets {
    fn admit(&self, _: &Clock) -> Result<(), Duration> {
        self.0.1.fetch_add(1, Ordering::Relaxed);
        let take = |left: u32| left.checked_sub(1);
        let taken = (self.0.0).fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map(drop).map_err(|_| HOUR)
    }
}

#[derive(Message, Debug)]
#[message(reply = u64)]
struct Add(u64);

#[derive(Message)]
#[message(reply = u64)]
struct Free;

#[derive(Message)]
struct Fail;

#[derive(Message)]
struct Hang;

#[derive(Subsystem, Default)]
struct Sums {
    sum: u64,
    kept: Vec<Reply<Hang>>,
}

#[routes]
impl Sums {
    #[route("add/{id}")]
    fn add(&mut self, Add(n): Add, Path(_): Path<u64>) -> u64 {
        self.sum += n;
        self.sum
    }

    #[route("free")]
    fn free(&mut self, _: Free) -> u64 {
        self.sum
    }

    #[route("fail")]
    fn fail(&mut self, _: Fail) {
        panic!("{ON_PURPOSE}");
    }

    #[route("hang")]
    fn hang(&mut self, _: Hang, reply: Reply<Hang>) {
        self.kept.push(reply);
    }

    #[route("begin")]
    fn begin(&mut self, _: Free, ctx: Context) -> u64 {
        let second = Duration::from_secs(1);
        ctx.every(second / 1000, MissedTick::Skip, "add/9", || Add(1))
            .map_or(0, |_| 1)
    }
}

fn admitting(tickets: &Tickets) -> MountOptions {
    MountOptions::new().admission("add/{number}", tickets.clone())
}

async fn system() -> System {
    System::builder().threads(2).start().await.unwrap()
}

fn is_refused(undelivered: Undelivered<Add>, n: u64) {
    match undelivered.reason() {
        SendError::Refused {
            subsystem,
            by,
            retry_after,
        } => assert_eq!(
            (&**subsystem, *by, *retry_after),
            ("sums", "admission", HOUR)
        ),
        other => panic!("{other:?}"),
    }
    assert!(undelivered.reason().is_retryable());
    assert_eq!(undelivered.into_message().0, n);
}

#[mycelia::test]
async fn what_is_not_admitted_comes_home_and_is_not_sent() {
    let _watch = watchdog();
    let (system, tickets) = (system().await, Tickets::new(3));
    let mounted = system.mount_with(admitting(&tickets), Sums::default).await;
    mounted.unwrap();
    let pattern = system.route::<Add>("sums://add/{id}").unwrap();
    let path = system.route::<Add>("sums://add/7").unwrap();
    system.tell("sums://add/1", Add(1)).await.unwrap();
    pattern.at(2).tell(Add(1)).await.unwrap();
    assert_eq!(path.ask(Add(1)).await.unwrap(), 3);
    is_refused(system.tell("sums://add/1", Add(4)).await.unwrap_err(), 4);
    is_refused(system.try_tell("sums://add/1", Add(5)).unwrap_err(), 5);
    is_refused(pattern.at(2).tell(Add(6)).await.unwrap_err(), 6);
    match path.ask(Add(7)).await.unwrap_err() {
        AskError::Undelivered(undelivered) => is_refused(undelivered, 7),
        other => panic!("{other:?}"),
    }
    assert_eq!(system.ask("sums://free", Free).await.unwrap(), 3);
    assert_eq!(figures(&quiet(&system).await), [4, 4, 0, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn an_admission_outlives_a_restart_and_a_new_mount_has_its_own() {
    let _watch = watchdog();
    quiet_panics();
    let (system, tickets) = (system().await, Tickets::new(1));
    let mounted = system.mount_with(admitting(&tickets), Sums::default).await;
    mounted.unwrap();
    let add = system.route::<Add>("sums://add/7").unwrap();
    add.tell(Add(1)).await.unwrap();
    system.tell("sums://fail", Fail).await.unwrap();
    is_refused(add.tell(Add(2)).await.unwrap_err(), 2);
    assert_eq!(system.ask("sums://free", Free).await.unwrap(), 0);

    // A handle from before passes the admission of the new mount, or none.
    system.unmount("sums").await.unwrap();
    let others = Tickets::new(1);
    let mounted = system.mount_with(admitting(&others), Sums::default).await;
    mounted.unwrap();
    assert_eq!(add.ask(Add(3)).await.unwrap(), 3);
    is_refused(add.tell(Add(4)).await.unwrap_err(), 4);
    system.unmount("sums").await.unwrap();
    system.mount(Sums::default).await.unwrap();
    for n in 1..=5 {
        assert_eq!(add.ask(Add(1)).await.unwrap(), n);
    }
    assert_eq!((tickets.asked(), others.asked()), (2, 2));
    quiet(&system).await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn replicas_have_one_admission_together() {
    let _watch = watchdog();
    let (system, tickets) = (system().await, Tickets::new(10));
    let replicas = Replicas::round_robin(3);
    let mounted = system.mount_replicas_with(replicas, admitting(&tickets), Sums::default);
    mounted.await.unwrap();
    let add = system.route::<Add>("sums://add/7").unwrap();
    let mut admitted = 0;
    for n in 0..15 {
        admitted += match n % 2 {
            0 => u32::from(add.ask(Add(1)).await.is_ok()),
            _ => u32::from(system.ask("sums://add/8", Add(1)).await.is_ok()),
        };
    }
    assert_eq!(admitted, 10);
    assert_eq!(figures(&quiet(&system).await), [10, 10, 0, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_sender_that_waits_for_room_is_admitted_once() {
    let _watch = watchdog();
    let (system, tickets) = (system().await, Tickets::new(1));
    let options = admitting(&tickets).capacity(1);
    system.mount_with(options, Sums::default).await.unwrap();
    system.tell("sums://hang", Hang).await.unwrap();
    let mut waiting = std::pin::pin!(system.tell("sums://add/1", Add(1)));
    for _ in 0..10 {
        assert!(waiting.as_mut().now_or_never().is_none());
    }
    assert_eq!(tickets.asked(), 0);
    system.set_capacity("sums", 2).unwrap();
    waiting.await.unwrap();
    assert_eq!(tickets.asked(), 1);
    system.unmount("sums").await.unwrap();
    quiet(&system).await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn the_own_timers_of_a_subsystem_are_always_admitted() {
    let _watch = watchdog();
    let (system, tickets) = (system().await, Tickets::new(0));
    let mounted = system.mount_with(admitting(&tickets), Sums::default).await;
    mounted.unwrap();
    assert_eq!(system.ask("sums://begin", Free).await.unwrap(), 1);
    while system.ask("sums://free", Free).await.unwrap() < 3 {}
    assert_eq!(tickets.asked(), 0);
    is_refused(system.tell("sums://add/1", Add(1)).await.unwrap_err(), 1);
    system.stop().await.unwrap();
}

/// Panics when it is asked, and when it is dropped.
struct Bomb;

impl Admission for Bomb {
    fn admit(&self, _: &Clock) -> Result<(), Duration> {
        panic!("{ON_PURPOSE}");
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{ON_PURPOSE}");
    }
}

#[mycelia::test]
async fn an_admission_that_panics_unwinds_to_the_sender_and_loses_no_envelope() {
    let _watch = watchdog();
    quiet_panics();
    let system = System::builder().threads(1).pool(4).start().await;
    let system = system.unwrap();
    let options = MountOptions::new().admission("add/{id}", Bomb);
    system.mount_with(options, Sums::default).await.unwrap();
    let add = system.route::<Add>("sums://add/7").unwrap();
    for _ in 0..10 {
        assert!(
            AssertUnwindSafe(add.ask(Add(1)))
                .catch_unwind()
                .await
                .is_err()
        );
        let told = AssertUnwindSafe(async { add.try_tell(Add(1)).is_ok() });
        assert!(told.catch_unwind().await.is_err());
    }
    assert_eq!(system.ask("sums://free", Free).await.unwrap(), 0);
    assert_eq!(figures(&quiet(&system).await), [1, 1, 0, 0, 0, 0]);
    drop(add);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn an_admission_needs_a_route_and_a_mount_of_its_own() {
    let _watch = watchdog();
    let (system, tickets) = (system().await, Tickets::new(1));
    let options = MountOptions::new().admission("nothing/{id}", tickets.clone());
    let refused = system.mount_with(options, Sums::default).await.unwrap_err();
    let expected = MountError::NoRoute {
        subsystem: "sums".into(),
        pattern: "nothing/{id}".into(),
    };
    assert_eq!(refused, expected);
    let many = [
        MountOptions::new().name("one"),
        admitting(&tickets).name("two"),
    ];
    let refused = system.mount_all(many, Sums::default).await.unwrap_err();
    assert!(matches!(
        refused,
        MountError::BadSetting {
            setting: "admission",
            ..
        }
    ));
    // With two for one route, both must admit.
    let options = admitting(&tickets).admission("add/{id}", Tickets::new(5));
    system.mount_with(options, Sums::default).await.unwrap();
    assert!(system.tell("sums://add/1", Add(1)).await.is_ok());
    assert!(system.tell("sums://add/1", Add(1)).await.is_err());
    system.stop().await.unwrap();
}
