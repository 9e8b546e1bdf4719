//! Timers, streams and blocking handlers: they come in time, lose nothing, and end with their subsystem.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::common::{ON_PURPOSE, figures, quiet, quiet_panics, until, watchdog};
use futures_util::{StreamExt, stream};
use mycelia::error::{AskError, SendError, StopError};
use mycelia::observe::DeadReason;
use mycelia::prelude::*;
use mycelia::schedule::{MissedTick, Task};
use tokio::sync::Semaphore;

const MS: Duration = Duration::from_millis(1);

#[derive(Message, Clone)]
struct Tick(u32);

#[derive(Message)]
struct Flood;

#[derive(Message)]
struct Panic;

#[derive(Message)]
#[message(reply = u32)]
struct Count;

#[derive(Default)]
struct Seen {
    ticks: Mutex<Vec<(u32, Instant)>>,
    floods: AtomicU64,
}

impl Seen {
    fn count(&self) -> usize {
        self.ticks.lock().unwrap().len()
    }
}

type Begin = Arc<dyn Fn(&Context) -> anyhow::Result<Task> + Send + Sync>;

#[derive(Subsystem)]
struct Clockwork {
    begin: Begin,
}

#[routes]
impl Clockwork {
    #[started]
    fn begin(&mut self, ctx: Context) -> anyhow::Result<()> {
        (self.begin)(&ctx)?;
        Ok(())
    }

    #[route("tick")]
    fn tick(&mut self, Tick(n): Tick, State(seen): State<Seen>) {
        seen.ticks.lock().unwrap().push((n, Instant::now()));
    }

    #[route("slow")]
    async fn slow(&mut self, tick: Tick, seen: State<Seen>) {
        tokio::time::sleep(25 * MS).await;
        self.tick(tick, seen);
    }

    #[route("fail")]
    fn fail(&mut self, _: Tick) -> anyhow::Result<()> {
        anyhow::bail!("no tick")
    }

    #[route("flood")]
    fn flood(&mut self, _: Flood, State(seen): State<Seen>, system: System) {
        seen.floods.fetch_add(1, Ordering::Relaxed);
        let _ = system.try_tell("clockwork://flood", Flood);
    }

    #[route("panic")]
    fn panic(&mut self, _: Panic) {
        panic!("{ON_PURPOSE}")
    }
}

async fn clockwork(
    begin: impl Fn(&Context) -> anyhow::Result<Task> + Send + Sync + 'static,
) -> (System, Arc<Seen>) {
    quiet_panics();
    let seen = Arc::new(Seen::default());
    let system = System::builder()
        .threads(1)
        .pool(1024)
        .shared_state(seen.clone())
        .start()
        .await
        .unwrap();
    let begin: Begin = Arc::new(begin);
    let factory = move || Clockwork {
        begin: begin.clone(),
    };
    system.mount(factory).await.unwrap();
    (system, seen)
}

#[mycelia::test]
async fn after_sends_once_and_not_too_early() {
    let _watch = watchdog();
    let begun = Instant::now();
    let (system, seen) = clockwork(|ctx| Ok(ctx.after(30 * MS, "tick", Tick(7))?)).await;
    until("it has ticked", || seen.count() == 1).await;
    let (n, at) = seen.ticks.lock().unwrap()[0];
    assert_eq!(n, 7);
    assert!(at - begun >= 30 * MS);
    tokio::time::sleep(60 * MS).await;
    assert_eq!(seen.count(), 1);
    assert_eq!(figures(&quiet(&system).await), [1, 1, 0, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn every_sends_again_and_again_until_it_is_cancelled() {
    let _watch = watchdog();
    let task = Arc::new(Mutex::new(None));
    let kept = task.clone();
    let (system, seen) = clockwork(move |ctx| {
        let count = AtomicU32::new(0);
        let make = move || Tick(count.fetch_add(1, Ordering::Relaxed));
        let task = ctx.every(5 * MS, MissedTick::Skip, "tick", make)?;
        *kept.lock().unwrap() = Some(task.clone());
        Ok(task)
    })
    .await;
    until("it has ticked often", || seen.count() >= 10).await;
    let task: Task = task.lock().unwrap().take().unwrap();
    assert!(!task.is_cancelled());
    task.cancel();
    quiet(&system).await;
    let count = seen.count();
    tokio::time::sleep(50 * MS).await;
    assert!(seen.count() <= count + 1);
    let ticks = seen.ticks.lock().unwrap().clone();
    assert!(
        ticks
            .iter()
            .zip(0..)
            .all(|((n, _), expected)| *n == expected)
    );
    let first = ticks[0].1;
    let last = ticks[ticks.len() - 1].1;
    assert!(last - first >= 4 * MS * (ticks.len() as u32 - 1));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_timer_that_missed_some_skips_them_or_makes_up_for_them() {
    let _watch = watchdog();
    for (missed, least, most) in [(MissedTick::Skip, 3, 12), (MissedTick::Burst, 25, 1000)] {
        let (system, _) =
            clockwork(move |ctx| Ok(ctx.every(10 * MS, missed, "slow", || Tick(0))?)).await;
        tokio::time::sleep(300 * MS).await;
        // Each takes 25 ms: either there is one at a time, or they pile up.
        let sent = system.snapshot().total.sent;
        assert!((least..=most).contains(&sent), "{missed:?}: {sent}");
        let waiting = system.snapshot().total.waiting;
        match missed {
            MissedTick::Skip => assert!(waiting <= 1, "{waiting}"),
            _ => assert!(waiting > 5, "{waiting}"),
        }
        let stopped = system.stop_within(Duration::ZERO).await;
        assert!(matches!(
            stopped,
            Ok(_) | Err(StopError::DeadlineExceeded(_))
        ));
    }
}

#[mycelia::test]
async fn timers_keep_firing_while_their_own_subsystem_is_flooded() {
    let _watch = watchdog();
    let (system, seen) =
        clockwork(|ctx| Ok(ctx.every(5 * MS, MissedTick::Skip, "tick", || Tick(0))?)).await;
    for _ in 0..500 {
        system.tell("clockwork://flood", Flood).await.unwrap();
    }
    let begun = Instant::now();
    until("it has ticked often", || seen.count() >= 50).await;
    let took = begun.elapsed();
    // 50 ticks of 5 ms; on a busy machine some are skipped.
    assert!(took < 3 * 50 * 5 * MS, "{took:?}");
    assert!(seen.floods.load(Ordering::Relaxed) > 10_000);
    let _ = system.stop_within(Duration::ZERO).await;
}

#[mycelia::test]
async fn an_error_of_a_tick_is_a_dead_letter_though_it_is_asked_for() {
    let _watch = watchdog();
    for missed in [MissedTick::Skip, MissedTick::Burst] {
        let (system, _) =
            clockwork(move |ctx| Ok(ctx.every(5 * MS, missed, "fail", || Tick(0))?)).await;
        let letter = system.dead_letters().next().await.unwrap();
        assert_eq!(letter.reason, DeadReason::Failed("no tick".into()));
        assert_eq!(letter.path(), "clockwork://fail");
        system.stop().await.unwrap();
    }
}

#[mycelia::test]
async fn timers_end_when_their_subsystem_ends_or_is_made_anew() {
    let _watch = watchdog();
    let starts = Arc::new(AtomicU32::new(0));
    let counted = starts.clone();
    let (system, seen) = clockwork(move |ctx| {
        let start = counted.fetch_add(1, Ordering::Relaxed);
        Ok(ctx.every(5 * MS, MissedTick::Skip, "tick", move || Tick(start))?)
    })
    .await;
    until("it has ticked", || seen.count() >= 2).await;
    system.tell("clockwork://panic", Panic).await.unwrap();
    until("the next has ticked", || {
        seen.ticks.lock().unwrap().iter().any(|(n, _)| *n == 1)
    })
    .await;
    seen.ticks.lock().unwrap().clear();
    until("it goes on ticking", || seen.count() >= 5).await;
    assert!(seen.ticks.lock().unwrap().iter().all(|(n, _)| *n == 1));
    system.unmount("clockwork").await.unwrap();
    let count = seen.count();
    tokio::time::sleep(30 * MS).await;
    assert_eq!(seen.count(), count);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_timer_to_a_route_that_is_not_there_is_refused_at_once() {
    let _watch = watchdog();
    let refusal = Arc::new(Mutex::new(Vec::new()));
    let kept = refusal.clone();
    let (system, _) = clockwork(move |ctx| {
        let mut kept = kept.lock().unwrap();
        kept.push(ctx.after(MS, "nowhere", Tick(0)).unwrap_err());
        kept.push(ctx.after(MS, "tick", Flood).unwrap_err());
        Ok(ctx.after(MS, "tick", Tick(0))?)
    })
    .await;
    let refusals = refusal.lock().unwrap().clone();
    assert!(matches!(refusals[0], SendError::NoRoute { .. }));
    assert!(matches!(refusals[1], SendError::WrongMessage { .. }));
    quiet(&system).await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn every_message_of_a_stream_comes_in_order_and_waits_for_room() {
    let _watch = watchdog();
    let (system, seen) = clockwork(|ctx| {
        let ticks = stream::iter(0..5_000).then(|n| async move {
            if n % 1000 == 0 {
                tokio::time::sleep(MS).await;
            }
            Tick(n)
        });
        Ok(ctx.stream("tick", ticks)?)
    })
    .await;
    until("all have come", || seen.count() == 5_000).await;
    let ticks = seen.ticks.lock().unwrap().clone();
    assert!(
        ticks
            .iter()
            .zip(0..)
            .all(|((n, _), expected)| *n == expected)
    );
    assert_eq!(figures(&quiet(&system).await), [5_000, 5_000, 0, 0, 0, 0]);
    assert!(system.snapshot().pool.high_water <= 1024);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn an_endless_stream_ends_with_its_subsystem() {
    let _watch = watchdog();
    let (system, seen) = clockwork(|ctx| {
        let ticks = stream::repeat(Tick(1)).then(|tick| async move {
            tokio::task::yield_now().await;
            tick
        });
        Ok(ctx.stream("tick", ticks)?)
    })
    .await;
    until("many have come", || seen.count() > 100).await;
    let ledger = system.unmount("clockwork").await.unwrap();
    assert_eq!(ledger.sent, ledger.handled);
    system.stop().await.unwrap();
}

#[derive(Subsystem, Default)]
struct Digger {
    count: u32,
}

struct Gate(Semaphore);

#[routes]
impl Digger {
    #[route("dig", blocking)]
    fn dig(&mut self, _: Count, State(gate): State<Gate>) -> u32 {
        self.count += 1;
        // As long as no one lets it through it blocks its thread.
        while gate.0.try_acquire().map(|permit| permit.forget()).is_err() {
            std::thread::yield_now();
        }
        self.count
    }

    #[route("panic", blocking)]
    fn panic(&mut self, _: Panic) {
        panic!("{ON_PURPOSE}")
    }

    #[route("relay", blocking)]
    fn relay(&mut self, _: Tick, system: System) -> anyhow::Result<()> {
        // It may wait: it blocks no one else.
        for n in 0..200 {
            system.tell_blocking("reader://read/x", Tick(n))?;
        }
        Ok(())
    }

    #[route("count")]
    fn count(&mut self, _: Count) -> u32 {
        self.count
    }
}

#[derive(Subsystem, Default)]
struct Reader {
    by: Vec<String>,
}

#[routes]
impl Reader {
    #[route("read/{file}", blocking)]
    fn read(&mut self, _: Tick, Path(file): Path<String>, Sender(by): Sender) {
        assert_eq!(file, "x");
        self.by.push(by.unwrap().to_string());
    }

    #[route("by")]
    fn by(&mut self, _: Count) -> u32 {
        assert!(self.by.iter().all(|by| by == "digger"));
        self.by.len() as u32
    }
}

async fn diggers(threads: usize) -> (System, Arc<Gate>) {
    quiet_panics();
    let gate = Arc::new(Gate(Semaphore::new(0)));
    let system = System::builder()
        .threads(1)
        .pool(64)
        .blocking_threads(threads)
        .shared_state(gate.clone())
        .start()
        .await
        .unwrap();
    system.mount(Digger::default).await.unwrap();
    (system, gate)
}

#[mycelia::test]
async fn a_blocking_handler_holds_up_nobody_but_its_own_subsystem() {
    let _watch = watchdog();
    let (system, gate) = diggers(2).await;
    system.mount_as("other", Digger::default).await.unwrap();
    let mut dig = Box::pin(system.ask("digger://dig", Count));
    assert!(crate::common::poll_once(&mut dig).await.is_none());
    for _ in 0..100 {
        assert_eq!(system.ask("other://count", Count).await.unwrap(), 0);
    }
    let own = system.ask_within("digger://count", Count, 20 * MS).await;
    assert!(matches!(own, Err(AskError::DeadlineExceeded { .. })));
    gate.0.add_permits(1);
    assert_eq!(dig.await.unwrap(), 1);
    assert_eq!(system.ask("digger://count", Count).await.unwrap(), 1);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn the_threads_for_blocking_handlers_are_bounded_and_survive_panics() {
    let _watch = watchdog();
    let (system, gate) = diggers(2).await;
    for n in 0..4 {
        system
            .mount_as(format!("d{n}"), Digger::default)
            .await
            .unwrap();
    }
    // Far more panics than there are threads.
    for _ in 0..20 {
        assert!(matches!(
            system.ask("digger://panic", Panic).await,
            Err(AskError::Panicked { .. })
        ));
    }
    let mut digs: Vec<_> = (0..4)
        .map(|n| Box::pin(system.ask(format!("d{n}://dig"), Count)))
        .collect();
    for dig in &mut digs {
        assert!(crate::common::poll_once(dig).await.is_none());
    }
    // Two dig, two wait for a thread.
    gate.0.add_permits(4);
    for dig in digs {
        assert_eq!(dig.await.unwrap(), 1);
    }
    assert_eq!(figures(&quiet(&system).await), [24, 4, 20, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_blocking_handler_sends_as_its_subsystem_and_may_wait_for_room() {
    let _watch = watchdog();
    let (system, _gate) = diggers(2).await;
    let options = MountOptions::new().capacity(3);
    system.mount_with(options, Reader::default).await.unwrap();
    system.ask("digger://relay", Tick(0)).await.unwrap();
    assert_eq!(system.ask("reader://by", Count).await.unwrap(), 200);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_stop_reports_a_blocking_handler_that_does_not_return_and_hangs_not() {
    let _watch = watchdog();
    let (system, gate) = diggers(1).await;
    system.tell("digger://dig", Count).await.unwrap();
    until("it digs", || system.snapshot().total.waiting == 1).await;
    tokio::time::sleep(20 * MS).await;
    match system.stop_within(20 * MS).await {
        Err(StopError::Stuck { subsystems, .. }) => assert_eq!(*subsystems, ["digger".into()]),
        other => panic!("{other:?}"),
    }
    gate.0.add_permits(1);
}
