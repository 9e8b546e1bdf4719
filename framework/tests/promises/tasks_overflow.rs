//! Timers and streams of a subsystem whose mailbox is full: they go on, whatever the policy.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{quiet, until, watchdog};
use futures_util::{StreamExt, stream};
use mycelia::prelude::*;
use mycelia::schedule::{MissedTick, Overflow, Task};
use tokio::sync::Semaphore;

const MS: Duration = Duration::from_millis(1);

#[derive(Message, Clone)]
struct Tick(u32);

/// The numbers of the ticks that were handled.
#[derive(Default)]
struct Seen {
    ticks: Mutex<Vec<u32>>,
}

impl Seen {
    fn count(&self) -> usize {
        self.ticks.lock().unwrap().len()
    }

    fn count_of(&self, wanted: u32) -> usize {
        let ticks = self.ticks.lock().unwrap();
        ticks.iter().filter(|n| **n == wanted).count()
    }
}

struct Gate(Semaphore);

type Begin = Arc<dyn Fn(&Context) -> anyhow::Result<Task> + Send + Sync>;

/// Handles its first tick for as long as the gate is closed.
#[derive(Subsystem)]
struct Narrow {
    begin: Begin,
}

#[routes]
impl Narrow {
    #[started]
    fn begin(&mut self, ctx: Context) -> anyhow::Result<()> {
        (self.begin)(&ctx)?;
        Ok(())
    }

    #[route("tick")]
    async fn tick(
        &mut self,
        Tick(n): Tick,
        State(seen): State<Seen>,
        State(gate): State<Gate>,
    ) -> anyhow::Result<()> {
        let _open = gate.0.acquire().await?;
        seen.ticks.lock().unwrap().push(n);
        Ok(())
    }
}

/// Mounts one whose mailbox is full, if it has one place, when its tasks come; lets it go on after they
/// have met that.
async fn narrow(
    capacity: u32,
    overflow: Overflow,
    begin: impl Fn(&Context) -> anyhow::Result<Task> + Send + Sync + 'static,
) -> (System, Arc<Seen>) {
    let (seen, gate) = (Arc::new(Seen::default()), Arc::new(Gate(Semaphore::new(0))));
    let system = System::builder()
        .threads(1)
        .shared_state(seen.clone())
        .shared_state(gate.clone())
        .start()
        .await
        .unwrap();
    let begin: Begin = Arc::new(begin);
    let factory = move || Narrow {
        begin: begin.clone(),
    };
    let options = MountOptions::new().capacity(capacity).overflow(overflow);
    system.mount_with(options, factory).await.unwrap();
    let ledger = || system.snapshot().subsystem("narrow").unwrap().ledger;
    until("a tick is in its handler", || ledger().sent > 0).await;
    // Another of its tasks' messages finds no room: it waits, is refused, or is dropped.
    tokio::time::sleep(20 * MS).await;
    gate.0.add_permits(1);
    (system, seen)
}

const POLICIES: [Overflow; 4] = [
    Overflow::Wait,
    Overflow::Reject,
    Overflow::DropNewest,
    Overflow::DropOldest,
];

#[mycelia::test]
async fn a_timer_goes_on_after_its_mailbox_was_full_whatever_the_policy() {
    let _watch = watchdog();
    for (overflow, missed) in POLICIES
        .into_iter()
        .flat_map(|one| [(one, MissedTick::Skip), (one, MissedTick::Burst)])
    {
        let (system, seen) = narrow(1, overflow, move |ctx| {
            ctx.every(2 * MS, missed, "tick", || Tick(1))?;
            Ok(ctx.every(2 * MS, missed, "tick", || Tick(2))?)
        })
        .await;
        let is_on = |tick| seen.count_of(tick) > 2;
        until("both tick on", || is_on(1) && is_on(2)).await;
        system.stop().await.unwrap();
    }
}

#[mycelia::test]
async fn a_mailbox_that_rejects_loses_nothing_of_a_stream_and_no_alarm() {
    let _watch = watchdog();
    let (system, seen) = narrow(1, Overflow::Reject, |ctx| {
        ctx.stream("tick", stream::iter(0..20).map(Tick))?;
        Ok(ctx.after(5 * MS, "tick", Tick(100))?)
    })
    .await;
    until("all have come", || seen.count() == 21).await;
    let mut items = seen.ticks.lock().unwrap().clone();
    items.retain(|n| *n < 100);
    assert_eq!(items, Vec::from_iter(0..20));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_stream_that_is_always_ready_leaves_its_thread_to_others_and_can_be_cancelled() {
    let _watch = watchdog();
    let task = Arc::new(Mutex::new(None));
    let kept = task.clone();
    // What is dropped makes no sender wait: nothing but the stream itself could let others go on.
    let (system, seen) = narrow(1, Overflow::DropOldest, move |ctx| {
        let task = ctx.stream("tick", stream::repeat(Tick(1)))?;
        *kept.lock().unwrap() = Some(task.clone());
        Ok(task)
    })
    .await;
    until("some have come", || seen.count() > 10).await;
    task.lock().unwrap().take().unwrap().cancel();
    quiet(&system).await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_stream_that_cancels_itself_sends_nothing_more() {
    let _watch = watchdog();
    let task = Arc::new(Mutex::new(None::<Task>));
    let (system, seen) = narrow(1000, Overflow::Wait, move |ctx| {
        let own = task.clone();
        let ticks = stream::iter(0..100).inspect(move |n| {
            if *n == 4
                && let Some(task) = &*own.lock().unwrap()
            {
                task.cancel();
            }
        });
        let begun = ctx.stream("tick", ticks.map(Tick))?;
        *task.lock().unwrap() = Some(begun.clone());
        Ok(begun)
    })
    .await;
    until("it has sent", || seen.count() >= 4).await;
    quiet(&system).await;
    // The one at which it was cancelled was on its way.
    assert!(seen.count() <= 5, "{:?}", seen.ticks);
    system.stop().await.unwrap();
}
