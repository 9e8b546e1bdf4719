//! Mounting and unmounting, under traffic too: nothing is lost, and handles know what became of their
//! subsystem.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::common::{ON_PURPOSE, figures, on_no_executor, quiet, quiet_panics, watchdog};
use mycelia::error::{MountError, UnmountError};
use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = &'static str)]
struct Who;

#[derive(Message)]
struct Numbered {
    sender: usize,
    number: u64,
}

/// What the subsystems of the storm have seen, over all their lives.
#[derive(Default)]
struct Seen {
    handled: AtomicU64,
    out_of_order: AtomicU64,
    /// The last number of each sender.
    last: [AtomicU64; 4],
}

#[derive(Subsystem, Default)]
#[subsystem(name = "service")]
struct First;

#[routes]
impl First {
    #[route("who/{n}")]
    fn who(&mut self, _: Who, Path(_): Path<u64>) -> &'static str {
        "first"
    }

    #[route("note")]
    async fn note(&mut self, message: Numbered, State(seen): State<Seen>) {
        let Numbered { sender, number } = message;
        if number % 5 == 0 {
            tokio::task::yield_now().await;
        }
        let last = seen.last[sender].swap(number, Ordering::Relaxed);
        seen.out_of_order
            .fetch_add(u64::from(last >= number), Ordering::Relaxed);
        seen.handled.fetch_add(1, Ordering::Relaxed);
    }
}

/// Another type with the same pattern, message and name.
#[derive(Subsystem, Default)]
#[subsystem(name = "service")]
struct Second;

#[routes]
impl Second {
    #[route("other")]
    fn other(&mut self, _: Who) -> &'static str {
        "other"
    }

    #[route("who/{n}")]
    async fn who(&mut self, _: Who, Path(_): Path<String>) -> &'static str {
        "second"
    }
}

/// Another type with the same pattern for another message.
#[derive(Subsystem, Default)]
#[subsystem(name = "service")]
struct Third;

#[routes]
impl Third {
    #[route("who/{_n}")]
    fn who(&mut self, _: Numbered) {}
}

async fn system(threads: usize) -> (System, Arc<Seen>) {
    quiet_panics();
    let seen = Arc::new(Seen::default());
    let builder = System::builder().threads(threads).pool(64);
    let system = builder.shared_state(seen.clone()).start().await.unwrap();
    (system, seen)
}

#[test]
fn a_storm_of_mounts_and_unmounts_loses_nothing_and_reorders_nothing() {
    const ROUNDS: u64 = 150;
    let _watch = watchdog();
    let (system, seen) = on_no_executor(system(2));
    on_no_executor(system.mount(First::default)).unwrap();
    let handle = system.route::<Numbered>("service://note").unwrap();
    let is_over = AtomicBool::new(false);
    let (accepted, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for sender in 0..4 {
            let (system, handle, is_over) = (&system, &handle, &is_over);
            let (accepted, refused) = (&accepted, &refused);
            scope.spawn(move || {
                let mut number = 1;
                while !is_over.load(Ordering::Relaxed) {
                    let message = Numbered { sender, number };
                    let sent = match number % 3 {
                        0 => system.tell_blocking("service://note", message),
                        1 => on_no_executor(handle.tell(message)),
                        _ => system.try_tell("service://note", message),
                    };
                    match sent {
                        Ok(()) => {
                            accepted.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(undelivered) => {
                            refused.fetch_add(1, Ordering::Relaxed);
                            match undelivered.reason() {
                                SendError::Closed { .. } | SendError::NoSubsystem { .. } => {
                                    std::thread::yield_now();
                                }
                                SendError::Full { .. } if number % 3 == 2 => {}
                                other => panic!("{other:?}"),
                            }
                            let back = undelivered.into_message();
                            assert_eq!((back.sender, back.number), (sender, number));
                        }
                    }
                    number += 1;
                }
            });
        }
        let mut unmounted = mycelia::observe::Ledger::default();
        on_no_executor(async {
            for round in 0..ROUNDS {
                let before = seen.handled.load(Ordering::Relaxed);
                while seen.handled.load(Ordering::Relaxed) < before + 20 {
                    std::thread::yield_now();
                }
                let ledger = system.unmount("service").await.unwrap();
                assert_eq!(ledger.sent, ledger.handled, "{ledger:?}");
                unmounted += ledger;
                let options = MountOptions::new().thread((round % 2) as usize);
                system.mount_with(options, First::default).await.unwrap();
            }
        });
        is_over.store(true, Ordering::Relaxed);
        assert!(unmounted.sent > 0);
    });
    let report = on_no_executor(system.stop()).unwrap();
    let accepted = accepted.load(Ordering::Relaxed);
    assert_eq!(figures(&report.ledger), [accepted, accepted, 0, 0, 0, 0]);
    assert_eq!(seen.handled.load(Ordering::Relaxed), accepted);
    assert_eq!(seen.out_of_order.load(Ordering::Relaxed), 0);
    assert!(refused.load(Ordering::Relaxed) > 0);
}

#[mycelia::test]
async fn a_handle_is_closed_by_an_unmount_and_works_again_after_a_mount() {
    let _watch = watchdog();
    let (system, _) = system(1).await;
    system.mount(First::default).await.unwrap();
    let who = system.route::<Who>("service://who/{n}").unwrap();
    let fixed = system.route::<Who>("service://who/7").unwrap();
    let closed = || SendError::Closed {
        subsystem: "service".into(),
    };
    for _ in 0..3 {
        assert_eq!(who.at(1).ask(Who).await.unwrap(), "first");
        assert_eq!(fixed.ask(Who).await.unwrap(), "first");
        system.unmount("service").await.unwrap();
        assert_eq!(who.at(1).try_tell(Who).unwrap_err().into_reason(), closed());
        assert_eq!(fixed.tell(Who).await.unwrap_err().into_reason(), closed());
        system.mount(First::default).await.unwrap();
    }
    assert_eq!(fixed.ask(Who).await.unwrap(), "first");
    system.unmount("service").await.unwrap();

    // Another type whose pattern and message are the same.
    system.mount(Second::default).await.unwrap();
    assert_eq!(who.at(1).ask(Who).await.unwrap(), "second");
    assert_eq!(fixed.ask(Who).await.unwrap(), "second");
    system.unmount("service").await.unwrap();

    // Another type that takes another message there.
    system.mount(Third::default).await.unwrap();
    let refused = who.at(1).try_tell(Who).unwrap_err().into_reason();
    assert!(
        matches!(refused, SendError::WrongMessage { .. }),
        "{refused}"
    );
    system.unmount("service").await.unwrap();

    // Another type that has no such pattern.
    let options = MountOptions::new().name("service");
    system.mount_with(options, || Local::new(1)).await.unwrap();
    let refused = who.at(1).try_tell(Who).unwrap_err().into_reason();
    assert!(matches!(refused, SendError::NoRoute { .. }), "{refused}");
    let total = quiet(&system).await;
    assert_eq!(total.sent, total.handled);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_name_is_taken_until_it_is_unmounted() {
    let _watch = watchdog();
    let (system, _) = system(1).await;
    system.mount(First::default).await.unwrap();
    let taken = Err(MountError::NameTaken {
        name: "service".into(),
    });
    assert_eq!(system.mount(First::default).await, taken);
    assert_eq!(system.mount(Second::default).await, taken);
    // Of two at the same time one wins.
    let (one, two) = tokio::join!(
        system.mount_as("twin", First::default),
        system.mount_as("twin", Second::default),
    );
    assert_eq!(u8::from(one.is_ok()) + u8::from(two.is_ok()), 1);
    // A mount right after an unmount waits for its end.
    let (left, mounted) = tokio::join!(system.unmount("service"), system.mount(Second::default));
    left.unwrap();
    mounted.unwrap();
    assert_eq!(system.ask("service://who/1", Who).await.unwrap(), "second");
    let nobody = UnmountError::NoSubsystem {
        name: "nobody".into(),
    };
    assert_eq!(system.unmount("nobody").await, Err(nobody));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_name_that_can_t_be_in_a_path_is_refused() {
    let _watch = watchdog();
    let (system, _) = system(1).await;
    let long = "x".repeat(65);
    for name in ["", "a b", "a/b", "ä", "a:", "a?", "{a}", &long] {
        let refused = system.mount_as(name, First::default).await;
        assert_eq!(refused, Err(MountError::BadName { name: name.into() }));
    }
    for name in ["a", "A-1_b.c", &long[1..]] {
        system.mount_as(name, First::default).await.unwrap();
        assert_eq!(
            system.ask(format!("{name}://who/1"), Who).await.unwrap(),
            "first"
        );
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn each_part_of_a_child_s_name_may_have_64_bytes_and_the_text_says_which_limit_is_broken() {
    let _watch = watchdog();
    let (system, _) = system(1).await;
    let part = |letter: &str| letter.repeat(64);
    let mut parent = part("a");
    system.mount_as(&*parent, First::default).await.unwrap();
    for letter in ["b", "c", "d", "e", "f", "g"] {
        let below = MountOptions::new().parent(&*parent).name(part(letter));
        system.mount_with(below, First::default).await.unwrap();
        parent = format!("{parent}/{}", part(letter));
    }
    let path = format!("{parent}://who/1");
    assert_eq!(system.ask(path, Who).await.unwrap(), "first");
    let texts = [
        (
            MountOptions::new().name("x".repeat(65)),
            format!("`{0}` can't be the name of a subsystem; `{0}` has 65 bytes, at most 64 are allowed", "x".repeat(65)),
        ),
        (
            MountOptions::new().parent(part("a")).name("x".repeat(65)),
            format!("`{1}/{0}` can't be the name of a subsystem; `{0}` has 65 bytes, at most 64 are allowed", "x".repeat(65), part("a")),
        ),
        (
            MountOptions::new().parent(&*parent).name(part("h")),
            format!("`{parent}/{}` can't be the name of a subsystem; with its parents' names it has 519 bytes, at most 512 are allowed", part("h")),
        ),
        (
            MountOptions::new().name("a/b"),
            "`a/b` can't be the name of a subsystem; leave out the `/`, and mount it below its parent with `MountOptions::parent`".to_owned(),
        ),
        (
            MountOptions::new().name("a b"),
            "`a b` can't be the name of a subsystem; use 1 to 64 of the characters A-Z a-z 0-9 _ . -".to_owned(),
        ),
    ];
    for (options, text) in texts {
        let refused = system.mount_with(options, First::default).await;
        assert_eq!(refused.unwrap_err().to_string(), text);
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn what_was_not_mounted_is_named_in_the_error() {
    let _watch = watchdog();
    let (system, _) = system(1).await;
    system.mount_as("top", First::default).await.unwrap();
    let below = |name: &str| MountOptions::new().parent("top").name(name);
    let refused = |result: Result<(), MountError>| {
        let error = result.unwrap_err();
        assert!(error.to_string().contains("`top/it`"), "{error}");
        error
    };
    let stateful = system.mount_with(below("it"), Stateful::default).await;
    refused(stateful);
    let all = [below("one"), below("it")];
    let made = Arc::new(AtomicU64::new(0));
    let second_panics = move || match made.fetch_add(1, Ordering::Relaxed) {
        0 => First,
        _ => panic!("{ON_PURPOSE}"),
    };
    let panics = system.mount_all(all, second_panics).await;
    assert!(matches!(refused(panics), MountError::StartFailed { .. }));
    let far = system
        .mount_with(below("it").thread(9), First::default)
        .await;
    refused(far);
    let replicas = mycelia::Replicas::by_capture(2, "nothing");
    let lost = system
        .mount_replicas_with(replicas, below("it"), First::default)
        .await;
    refused(lost);
    let own = MountOptions::new().parent("nobody").name("it");
    let orphan = system.mount_with(own, First::default).await.unwrap_err();
    assert!(orphan.to_string().contains("`it`"), "{orphan}");
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn options_that_can_t_be_are_refused_and_not_changed_in_silence() {
    let _watch = watchdog();
    let (system, _) = system(1).await;
    let bad = |setting| {
        Err(MountError::BadSetting {
            subsystem: "it".into(),
            setting,
            must_be: "at least 1",
        })
    };
    let it = || MountOptions::new().name("it");
    for (options, setting) in [(it().capacity(0), "capacity"), (it().weight(0), "weight")] {
        let mounted = system.mount_with(options.clone(), First::default).await;
        assert_eq!(mounted, bad(setting));
        let all = system.mount_all([options.clone()], First::default).await;
        assert_eq!(all, bad(setting));
        let replicas = mycelia::Replicas::round_robin(2);
        let several = system
            .mount_replicas_with(replicas, options, First::default)
            .await;
        assert_eq!(several, bad(setting));
    }
    let none = mycelia::Replicas::least_loaded(0);
    let several = system.mount_replicas_with(none, it(), First::default).await;
    let one_to_many = MountError::BadSetting {
        subsystem: "it".into(),
        setting: "replicas",
        must_be: "1 to 65,536",
    };
    assert_eq!(several, Err(one_to_many));
    assert!(system.snapshot().subsystems.is_empty());
    system
        .mount_with(it().capacity(1), First::default)
        .await
        .unwrap();
    let refused = system.set_capacity("it", 0).unwrap_err();
    assert_eq!(refused.to_string(), "`capacity` must be at least 1");
    assert!(!refused.is_retryable());
    assert_eq!(system.ask("it://who/1", Who).await.unwrap(), "first");
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_factory_that_panics_mounts_nothing() {
    let _watch = watchdog();
    let (system, _) = system(1).await;
    for _ in 0..2 {
        let refused = system
            .mount(|| -> First { panic!("not made {ON_PURPOSE}") })
            .await;
        let message = format!("not made {ON_PURPOSE}").into();
        let subsystem = "service".into();
        assert_eq!(refused, Err(MountError::StartFailed { subsystem, message }));
        assert!(system.snapshot().subsystems.is_empty());
    }
    // The name is free, the thread alive.
    system.mount(First::default).await.unwrap();
    assert_eq!(system.ask("service://who/1", Who).await.unwrap(), "first");
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_thread_that_the_system_does_not_have_is_refused() {
    let _watch = watchdog();
    let (system, _) = system(2).await;
    let refused = system.mount_on(2, First::default).await;
    assert_eq!(
        refused,
        Err(MountError::NoThread {
            subsystem: "service".into(),
            thread: 2,
            threads: 2
        })
    );
    system.mount_on(1, First::default).await.unwrap();
    assert_eq!(system.snapshot().subsystem("service").unwrap().thread, 1);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn subsystems_are_spread_over_the_threads_and_make_room_when_they_go() {
    let _watch = watchdog();
    let (system, _) = system(3).await;
    for n in 0..9 {
        system
            .mount_as(format!("s{n}"), First::default)
            .await
            .unwrap();
    }
    let threads = || {
        let mut count = [0; 3];
        for one in system.snapshot().subsystems {
            count[one.thread] += 1;
        }
        count
    };
    assert_eq!(threads(), [3, 3, 3]);
    for n in [0, 3, 4] {
        system.unmount(&format!("s{n}")).await.unwrap();
        system
            .mount_as(format!("t{n}"), First::default)
            .await
            .unwrap();
        assert_eq!(threads(), [3, 3, 3]);
    }
    system.stop().await.unwrap();
}

#[derive(Subsystem, Default)]
struct Stateful;

struct Missing;

#[routes]
impl Stateful {
    #[route("")]
    fn state(&mut self, _: Who, State(_): State<Missing>) -> &'static str {
        "there"
    }
}

#[mycelia::test]
async fn a_subsystem_whose_state_is_missing_is_refused_when_it_is_mounted() {
    let _watch = watchdog();
    let (system, _) = system(1).await;
    match system.mount(Stateful::default).await {
        Err(MountError::NoState { subsystem, state }) => {
            assert_eq!(&*subsystem, "stateful");
            assert!(state.ends_with("Missing"));
        }
        other => panic!("{other:?}"),
    }
    system.stop().await.unwrap();
    let system = System::builder().state(Missing).start().await.unwrap();
    system.mount(Stateful::default).await.unwrap();
    assert_eq!(system.ask("stateful://", Who).await.unwrap(), "there");
    system.stop().await.unwrap();
}

#[derive(Message)]
#[message(reply = u64)]
struct Add(u64);

/// Neither `Send` nor `Sync`; it never leaves its thread.
#[derive(Subsystem)]
struct Local {
    sum: Rc<std::cell::Cell<u64>>,
}

impl Local {
    fn new(start: u64) -> Self {
        let sum = Rc::new(std::cell::Cell::new(start));
        Local { sum }
    }
}

#[routes]
impl Local {
    #[route("add")]
    async fn add(&mut self, Add(n): Add) -> u64 {
        let sum = self.sum.clone();
        tokio::task::yield_now().await;
        sum.set(sum.get() + n);
        sum.get()
    }
}

#[mycelia::test]
async fn a_state_that_is_not_send_lives_on_its_thread() {
    let _watch = watchdog();
    let (system, _) = system(2).await;
    let start = 100;
    system.mount(move || Local::new(start)).await.unwrap();
    assert_eq!(system.ask("local://add", Add(1)).await.unwrap(), 101);
    assert_eq!(system.ask("local://add", Add(2)).await.unwrap(), 103);
    system.stop().await.unwrap();
}

/// Mounts and unmounts others from within a handler.
#[derive(Subsystem, Default)]
struct Landlord;

#[routes]
impl Landlord {
    #[route("let")]
    async fn rent(&mut self, _: Who, system: System) -> anyhow::Result<&'static str> {
        system.mount(First::default).await?;
        let who = system.ask("service://who/1", Who).await?;
        system.unmount("service").await?;
        Ok(who)
    }
}

#[mycelia::test]
async fn a_handler_may_mount_and_unmount_others_on_its_own_thread() {
    let _watch = watchdog();
    let (system, _) = system(1).await;
    system.mount(Landlord::default).await.unwrap();
    for _ in 0..5 {
        assert_eq!(system.ask("landlord://let", Who).await.unwrap(), "first");
    }
    assert_eq!(figures(&quiet(&system).await), [10, 10, 0, 0, 0, 0]);
    system.stop().await.unwrap();
}
