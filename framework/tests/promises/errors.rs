//! Errors are values that say what happened, to whom, and what to do about it, in one line each.

use std::error::Error;
use std::time::Duration;

use crate::common::{ON_PURPOSE, poll_once, quiet_panics, until, watchdog};
use mycelia::Replicas;
use mycelia::error::{StartError, UnmountError};
use mycelia::prelude::*;
use mycelia_test::{BuilderExt, Faults};

#[derive(Message)]
#[message(reply = u64)]
struct Job;

#[derive(Message)]
struct Stranger;

#[derive(Subsystem, Default)]
struct Work;

#[routes]
impl Work {
    #[route("item/{id}")]
    fn item(&mut self, _: Job, Path(id): Path<u64>) -> u64 {
        id
    }

    #[route("fail")]
    fn fail(&mut self, _: Job) -> anyhow::Result<u64> {
        anyhow::bail!("no paper")
    }

    #[route("panic")]
    fn panic(&mut self, _: Job) -> u64 {
        panic!("{ON_PURPOSE}")
    }

    #[route("hang")]
    async fn hang(&mut self, _: Job) -> u64 {
        std::future::pending().await
    }
}

const SOON: Duration = Duration::from_millis(20);

/// A system with so many envelopes, and `work`.
async fn system(faults: &Faults, pool: usize) -> System {
    quiet_panics();
    let builder = System::builder().threads(1).pool(pool).faults(faults);
    let system = builder.start().await.unwrap();
    system.mount(Work::default).await.unwrap();
    system
}

/// What an error says, if it says it as all do: one line, in lower case, without a full stop.
fn said(error: impl Error) -> String {
    let text = error.to_string();
    let is_a_line = !text.contains('\n') && !text.ends_with('.');
    assert!(is_a_line && !text.starts_with(char::is_uppercase), "{text}");
    text
}

#[mycelia::test]
async fn a_send_that_is_refused_says_why() {
    let _watch = watchdog();
    let system = system(&Faults::with_seed(1), 4).await;
    let refused = |path: &str| said(system.try_tell(path, Job).unwrap_err().into_reason());
    assert!(refused("work:/item").starts_with("bad path: "));
    assert_eq!(
        refused("nobody://item/1"),
        "no subsystem `nobody` is mounted; mount it, or correct the part before `://`"
    );
    assert_eq!(
        refused("work://nowhere"),
        "no route matches `work://nowhere`; its subsystem is mounted"
    );
    assert_eq!(
        refused("work://item/x"),
        "`work://item/{id}`: capture 0, `x`, is not a `u64`: invalid digit found in string"
    );
    let wrong = system.try_tell("work://hang", Stranger).unwrap_err();
    assert_eq!(
        said(wrong),
        "`promises::errors::Stranger` was not sent: `work://hang` does not take a `promises::errors::Stranger`; it takes `promises::errors::Job`"
    );
    let item = system.route::<Job>("work://item/{id}").unwrap();
    assert_eq!(
        said(item.try_tell(Job).unwrap_err().into_reason()),
        "`work://item/{id}`: capture 0 is missing; give it with `at`"
    );
    assert_eq!(
        said(item.at((1, 2)).try_tell(Job).unwrap_err().into_reason()),
        "`work://item/{id}`: 2 captures were given where the pattern has 1"
    );

    system.set_capacity("work", 2).unwrap();
    for _ in 0..2 {
        system.try_tell("work://hang", Job).unwrap();
    }
    assert_eq!(
        refused("work://hang"),
        "the mailbox of `work` is full; try later, or use `tell`, which waits"
    );
    system.set_capacity("work", None).unwrap();
    for _ in 0..2 {
        system.try_tell("work://hang", Job).unwrap();
    }
    assert_eq!(
        refused("work://hang"),
        "no envelope is free for `work`, all that it may have are in flight; try later, use `tell`, which waits, or enlarge the pool"
    );

    let _ = system.stop_within(SOON).await;
    assert_eq!(
        refused("work://hang"),
        "the system has stopped or is stopping"
    );
}

#[mycelia::test]
async fn an_ask_without_a_reply_says_why_and_whether_to_ask_again() {
    let _watch = watchdog();
    let faults = Faults::with_seed(1);
    let system = system(&faults, 64).await;
    faults.drop("work://item/7", 1.0).unwrap();
    let mut hanging = Box::pin(system.ask("work://hang", Job));
    let ends = [
        (
            system.ask("work://nowhere", Job).await,
            "`promises::errors::Job` was not sent: no route matches `work://nowhere`; its subsystem is mounted",
            "Undelivered { message: \"promises::errors::Job\", reason: NoRoute { path: \"work://nowhere\" } }",
            false,
        ),
        (
            system.ask("work://fail", Job).await,
            "the handler of `promises::errors::Job` failed",
            "Failed(no paper)",
            false,
        ),
        (
            system.ask("work://panic", Job).await,
            "the handler of `promises::errors::Job` in `work` panicked: on purpose",
            "Panicked { subsystem: \"work\", message: \"on purpose\" }",
            false,
        ),
        (
            system.ask("work://item/7", Job).await,
            "`work` dropped `promises::errors::Job` to make room for newer messages; ask again later",
            "Dropped { subsystem: \"work\" }",
            true,
        ),
        (
            system.ask_within("work://hang", Job, SOON).await,
            "`work` did not answer `promises::errors::Job` within 20ms; if its handler had begun, it may still go on",
            "DeadlineExceeded { subsystem: \"work\", deadline: 20ms }",
            false,
        ),
        {
            assert!(poll_once(&mut hanging).await.is_none());
            let _ = system.stop_within(SOON).await;
            (
                hanging.await,
                "`work` stopped, or came to take other messages, before it answered `promises::errors::Job`",
                "Unhandled { subsystem: \"work\" }",
                false,
            )
        },
    ];
    for (asked, text, shown, is_retryable) in ends {
        let error = asked.unwrap_err();
        assert_eq!(error.is_retryable(), is_retryable, "{text}");
        // anyhow shows where it was made, too, if it is told to.
        assert!(
            format!("{error:?}").starts_with(shown.trim_end_matches(')')),
            "{error:?}"
        );
        assert_eq!(said(error), text);
    }
}

/// An error of a handler's own.
#[derive(Debug)]
struct NoPaper {
    tray: u8,
}

impl std::fmt::Display for NoPaper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tray {} is empty", self.tray)
    }
}

impl Error for NoPaper {}

/// Asks so many others first.
#[derive(Message)]
#[message(reply = u64)]
struct Hop(usize);

#[derive(Message)]
#[message(reply = Result<u64, NoPaper>)]
struct Print;

#[derive(Subsystem)]
struct Office(usize);

#[routes]
impl Office {
    #[route("typed")]
    fn typed(&mut self, _: Job) -> Result<u64, NoPaper> {
        Err(NoPaper { tray: 3 })
    }

    #[route("reply")]
    fn reply(&mut self, _: Print) -> Result<u64, NoPaper> {
        Err(NoPaper { tray: 4 })
    }

    #[route("hop")]
    async fn hop(&mut self, Hop(more): Hop, system: System) -> anyhow::Result<u64> {
        let next = self.0 + 1;
        Ok(match more {
            0 => system.ask(format!("office-{next}://typed"), Job).await?,
            _ => {
                let path = format!("office-{next}://hop");
                system.ask(path, Hop(more - 1)).await?
            }
        })
    }
}

#[mycelia::test]
async fn a_handler_s_error_keeps_its_type_through_any_number_of_hops() {
    let _watch = watchdog();
    let system = system(&Faults::with_seed(1), 64).await;
    for number in 0..5 {
        let name = format!("office-{number}");
        system.mount_as(name, move || Office(number)).await.unwrap();
    }
    let direct = system.ask("office-0://typed", Job).await.unwrap_err();
    assert_eq!(direct.failure::<NoPaper>().unwrap().tray, 3);
    assert!(direct.failure::<std::fmt::Error>().is_none());
    let source = direct.source().unwrap();
    assert_eq!(source.downcast_ref::<NoPaper>().unwrap().tray, 3);
    assert_eq!(
        format!("{direct:#}"),
        "the handler of `promises::errors::Job` failed: tray 3 is empty"
    );
    for hops in 1..=3 {
        let error = system.ask("office-0://hop", Hop(hops - 1)).await;
        let error = error.unwrap_err();
        assert_eq!(error.failure::<NoPaper>().unwrap().tray, 3);
        let whole = format!(
            "{}the handler of `promises::errors::Job` failed: tray 3 is empty",
            "the handler of `promises::errors::Hop` failed: ".repeat(hops)
        );
        assert_eq!(format!("{error:#}"), whole);

        let error = anyhow::Error::from(error);
        let found = error.chain().find_map(|cause| cause.downcast_ref());
        let NoPaper { tray: 3 } = found.unwrap() else {
            panic!("{error:?}");
        };
        // Each part is told once, from the outside in.
        assert_eq!(format!("{error:#}"), whole);
        assert_eq!(error.chain().count(), hops + 2);
        let causes: Vec<String> = error.chain().map(|cause| cause.to_string()).collect();
        assert_eq!(causes.join(": "), whole);
    }
    // What no one asked for is told once too.
    system.tell("office-0://hop", Hop(0)).await.unwrap();
    until("it is a dead letter", || {
        system.snapshot().dead_letters == 1
    })
    .await;
    let letter = system.snapshot().last_dead_letters[0].to_string();
    assert!(
        letter.contains(
            " failed: the handler of `promises::errors::Job` failed: tray 3 is empty (trace"
        ),
        "{letter}"
    );
    // An error that is the reply is an answer.
    let replied = system.ask("office-0://reply", Print).await.unwrap();
    assert_eq!(replied.unwrap_err().tray, 4);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_mount_or_an_unmount_that_is_refused_says_why() {
    let _watch = watchdog();
    let system = system(&Faults::with_seed(1), 64).await;
    let named = |name: &str| MountOptions::new().name(name);
    let below = |parent: &str| MountOptions::new().parent(parent);
    let replicas = Replicas::by_capture(2, "name");
    let ends = [
        (
            system.mount(Work::default).await,
            "a subsystem `work` is mounted already; unmount it, or use `mount_as` with another name",
        ),
        (
            system.mount_as("a b", Work::default).await,
            "`a b` can't be the name of a subsystem; use 1 to 64 of the characters A-Z a-z 0-9 _ . -",
        ),
        (
            system
                .mount_with(named("far").thread(7), Work::default)
                .await,
            "`far`: there is no thread 7; the system has 1",
        ),
        (
            system
                .mount_as("broken", || -> Work { panic!("{ON_PURPOSE}") })
                .await,
            "`broken` could not be started: on purpose",
        ),
        (
            system.mount_with(below("nobody"), Work::default).await,
            "`work`: no subsystem `nobody` is mounted to be the parent; mount it first (replicas have children one by one)",
        ),
        (
            system
                .mount_replicas_with(replicas, named("several"), Work::default)
                .await,
            "`several`: replicas are to be chosen by `{name}`, and no route has that capture",
        ),
        (
            system
                .mount_all([named("one"), below("work")], Work::default)
                .await,
            "subsystems mounted at once must have the same parent, or none",
        ),
        {
            until("nothing of those is there", || {
                system.snapshot().subsystems.len() == 1
            })
            .await;
            let missing = system.unmount("nobody").await.unwrap_err();
            assert_eq!(said(missing), "no subsystem `nobody` is mounted");
            system.stop().await.unwrap();
            (
                system.mount_as("late", Work::default).await,
                "the system, or the parent, has stopped or is stopping",
            )
        },
    ];
    for (mounted, text) in ends {
        assert_eq!(said(mounted.unwrap_err()), text);
    }
    let late = system.unmount("work").await.unwrap_err();
    assert!(
        matches!(
            late,
            UnmountError::Stopped | UnmountError::NoSubsystem { .. }
        ),
        "{late}"
    );
}

#[mycelia::test]
async fn a_system_that_can_t_be_started_says_which_setting_is_wrong() {
    let _watch = watchdog();
    let bad = [
        (System::builder().threads(0), "`threads` must be 1 to 1024"),
        (
            System::builder().blocking_threads(2000),
            "`blocking_threads` must be 1 to 1024",
        ),
        (
            System::builder().pool(0),
            "`pool` must be 1 to 16,777,207 envelopes",
        ),
    ];
    for (builder, text) in bad {
        let refused = builder.start().await.err().unwrap();
        assert!(refused.source().is_none());
        assert!(matches!(refused, StartError::BadSetting { .. }));
        assert_eq!(said(refused), text);
    }
}
