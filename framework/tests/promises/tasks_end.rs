//! Tasks at their end: one that panics is its subsystem's failure, and holds up no one else's timers.

use std::panic::panic_any;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use crate::common::{named, quiet, quiet_threads, until, watchdog};
use futures_util::{Stream, StreamExt, stream};
use mycelia::error::SendError;
use mycelia::observe::{Change, EndReason, Event, Watch};
use mycelia::prelude::*;
use mycelia::schedule::{MissedTick, Task};
use mycelia::supervise::{Backoff, Failure, Restart};

const MS: Duration = Duration::from_millis(1);

#[derive(Message)]
struct Tick {
    _bomb: Option<Bomb>,
}

const TICK: Tick = Tick { _bomb: None };

#[derive(Message)]
#[message(reply = u32)]
struct Count;

/// Has the subsystem do something with its context.
#[derive(Message)]
#[message(reply = ())]
struct Do(Deed);

type Deed = Box<dyn FnOnce(&Context) -> anyhow::Result<()> + Send>;

fn do_(f: impl FnOnce(&Context) -> anyhow::Result<()> + Send + 'static) -> Do {
    Do(Box::new(f))
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic_any(Bomb2);
    }
}

/// What that panic leaves panics as well.
struct Bomb2;

impl Drop for Bomb2 {
    fn drop(&mut self) {
        panic!("in the payload");
    }
}

#[derive(Subsystem, Default)]
struct Clockwork {
    ticks: u32,
}

#[routes]
impl Clockwork {
    #[route("do")]
    fn act(&mut self, Do(f): Do, ctx: Context) -> anyhow::Result<()> {
        f(&ctx)
    }

    #[route("tick")]
    fn tick(&mut self, _: Tick) {
        self.ticks += 1;
    }

    #[route("count")]
    fn count(&mut self, _: Count) -> u32 {
        self.ticks
    }
}

async fn system() -> System {
    quiet_threads();
    let system = System::builder().threads(1).start().await.unwrap();
    system.mount(Clockwork::default).await.unwrap();
    system.mount_as("other", Clockwork::default).await.unwrap();
    system
}

async fn next(watch: &mut Watch) -> Change {
    let Some(Event { change, .. }) = watch.next().await else {
        panic!("the system is gone");
    };
    change
}

/// A stream that panics when it is dropped.
struct Undroppable(Bomb);

impl Stream for Undroppable {
    type Item = Tick;

    fn poll_next(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Option<Tick>> {
        let _ = &self.0;
        Poll::Pending
    }
}

type Begin = fn(&Context) -> anyhow::Result<Task>;

const FAILING: [(&str, Begin); 5] = [
    ("a stream", |ctx| {
        let items = stream::iter(0..9).map(|n| {
            assert!(n < 3, "bad item");
            TICK
        });
        Ok(ctx.stream("tick", items)?)
    }),
    ("a closure that skips", |ctx| {
        Ok(ctx.every(MS, MissedTick::Skip, "tick", || -> Tick {
            panic!("bad tick")
        })?)
    }),
    ("a closure that makes up", |ctx| {
        Ok(ctx.every(MS, MissedTick::Burst, "tick", || -> Tick {
            panic_any(Bomb2)
        })?)
    }),
    ("a stream's drop", |ctx| {
        Ok(ctx.stream("tick", Undroppable(Bomb).take(0))?)
    }),
    ("the drop of a stream that is cancelled", |ctx| {
        let task = ctx.stream("tick", Undroppable(Bomb))?;
        task.cancel();
        Ok(task)
    }),
];

#[mycelia::test]
async fn a_task_that_panics_is_its_subsystem_s_failure_and_nobody_else_s() {
    let _watch = watchdog();
    let system = system().await;
    let mut watch = system.watch("clockwork");
    let mut others = system.watch("other");
    for (what, begin) in FAILING {
        let begin = do_(move |ctx| begin(ctx).map(drop));
        system.ask("clockwork://do", begin).await.unwrap();
        let change = next(&mut watch).await;
        assert!(
            matches!(change, Change::Failed(Failure::Task(_))),
            "{what}: {change:?}"
        );
        assert_eq!(next(&mut watch).await, Change::Restarted, "{what}");
        system.ask("clockwork://count", Count).await.unwrap();
        let last = system.snapshot().subsystem("clockwork").unwrap().clone();
        let text = last.last_failure.unwrap();
        assert!(text.contains("a timer or a stream panicked"), "{text}");
    }
    // The keepers live: timers of others fire, others are mounted, and the stop returns.
    let begin = do_(|ctx| Ok(ctx.after(MS, "tick", TICK).map(drop)?));
    system.ask("other://do", begin).await.unwrap();
    system.mount_as("new", Clockwork::default).await.unwrap();
    until("the neighbour ticks", || {
        system.snapshot().subsystem("other").unwrap().ledger.handled == 2
    })
    .await;
    assert_eq!(others.try_next(), None);
    quiet(&system).await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_subsystem_that_is_never_restarted_ends_by_its_task_s_panic() {
    let _watch = watchdog();
    let system = system().await;
    let options = named("once").restart(Restart::Never);
    system
        .mount_with(options, Clockwork::default)
        .await
        .unwrap();
    let mut watch = system.watch("once");
    let begin = do_(|ctx| {
        Ok(ctx
            .every(MS, MissedTick::Skip, "tick", || -> Tick { panic!("bad") })
            .map(drop)?)
    });
    system.ask("once://do", begin).await.unwrap();
    let failure = Failure::Task("bad".into());
    assert_eq!(next(&mut watch).await, Change::Failed(failure.clone()));
    let ended = Change::Ended(EndReason::Failed(failure));
    assert_eq!(next(&mut watch).await, ended);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_task_of_an_earlier_value_fails_no_later_one() {
    let _watch = watchdog();
    let system = system().await;
    let mut watch = system.watch("clockwork");
    // Both are there when the first panics; the second does when it is dropped with the old value.
    let begin = do_(|ctx| {
        ctx.stream("tick", Undroppable(Bomb))?;
        ctx.after(
            Duration::from_secs(3600),
            "tick",
            Tick { _bomb: Some(Bomb) },
        )?;
        panic!("the value fails");
    });
    system.ask("clockwork://do", begin).await.unwrap_err();
    assert!(matches!(
        next(&mut watch).await,
        Change::Failed(Failure::Panic(_))
    ));
    assert_eq!(next(&mut watch).await, Change::Restarted);
    until("it is noted", || {
        let now = system.snapshot();
        let last = now.subsystem("clockwork").unwrap().last_failure.clone();
        last.is_some_and(|text| text.contains("of an earlier value panicked"))
    })
    .await;
    assert_eq!(watch.try_next(), None);
    // A subsystem that is unmounted with such a task ends as any other.
    let begin = do_(|ctx| Ok(ctx.stream("tick", Undroppable(Bomb)).map(drop)?));
    system.ask("clockwork://do", begin).await.unwrap();
    system.unmount("clockwork").await.unwrap();
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_task_that_panics_during_a_pause_or_a_stop_hurts_nobody() {
    let _watch = watchdog();
    let system = system().await;
    let pause = Duration::from_secs(3600);
    let options = named("pauses").backoff(Backoff::new(pause, pause));
    system
        .mount_with(options, Clockwork::default)
        .await
        .unwrap();
    let begin = do_(|ctx| {
        ctx.stream("tick", Undroppable(Bomb))?;
        panic!("the value fails");
    });
    system.ask("pauses://do", begin).await.unwrap_err();
    let begin = do_(|ctx| Ok(ctx.stream("tick", Undroppable(Bomb)).map(drop)?));
    system.ask("clockwork://do", begin).await.unwrap();
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn the_longest_durations_are_never_and_a_period_of_zero_is_an_error() {
    let _watch = watchdog();
    let system = system().await;
    let begin = do_(|ctx| {
        for long in [Duration::MAX, Duration::from_secs(u64::MAX / 2)] {
            ctx.after(long, "tick", TICK)?;
            for missed in [MissedTick::Skip, MissedTick::Burst] {
                ctx.every(long, missed, "tick", || TICK)?;
            }
        }
        let none = ctx.every(Duration::ZERO, MissedTick::Skip, "tick", || TICK);
        assert!(matches!(none, Err(SendError::BadSetting { .. })));
        ctx.after(Duration::ZERO, "tick", TICK)?;
        Ok(())
    });
    system.ask("clockwork://do", begin).await.unwrap();
    until("what is due at once has come", || {
        system.snapshot().total.handled == 2
    })
    .await;
    // Timers of the keepers still fire.
    let begin = do_(|ctx| Ok(ctx.after(MS, "tick", TICK).map(drop)?));
    system.ask("other://do", begin).await.unwrap();
    until("the other has come", || {
        system.snapshot().total.handled == 4
    })
    .await;
    system.stop().await.unwrap();
}
