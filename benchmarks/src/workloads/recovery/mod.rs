//! Recovery: a handler panics with messages waiting behind it. When is the next message handled, and
//! how many are gone?
//!
//! Each contender recovers in the way that keeps the most and takes the least. A message is *lost* if
//! its send succeeded and no handler ever saw it; *refused* if its send said no.

mod victims;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::{Load, Reading, Workload};
use crate::contender::{Contender, Threads};
use crate::contenders::{Actix, Kameo, MyceliaHandle, Ractor, Xtra};
use crate::tally::histogram;

const BEHIND: u64 = 10;
const PATIENCE: Duration = Duration::from_secs(10);

/// Messages handled in the running episode. A panic takes the actor's own state with it.
static HANDLED: AtomicU64 = AtomicU64::new(0);
/// The messages behind the deadly one have been sent. It waits for that before it panics: else it would
/// be the machine's load that decides what is lost.
static STRUCK: AtomicBool = AtomicBool::new(false);
/// When the running episode's panic was.
static PANIC: Mutex<Option<Instant>> = Mutex::new(None);

/// What a victim is told.
#[derive(Debug, Clone, Copy, actix::Message, mycelia::Message)]
#[rtype(result = "()")]
pub(crate) struct Blow {
    is_deadly: bool,
}

/// The answer is always 1.
#[derive(Debug, actix::Message, mycelia::Message)]
#[rtype(result = "u64")]
#[message(reply = u64)]
pub(crate) struct Ping;

fn panicked_at() -> MutexGuard<'static, Option<Instant>> {
    PANIC.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What every victim's handler does.
fn suffer(blow: Blow) {
    if blow.is_deadly {
        let begun = Instant::now();
        while !STRUCK.load(Ordering::Acquire) && begun.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
        *panicked_at() = Some(Instant::now());
        panic!("the benchmark's own");
    }
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// An actor that panics and comes back.
pub(crate) trait Victim: Contender {
    /// The actor, and whatever brings it back.
    type Hold: Send;

    fn rise(stage: &Self::Stage) -> impl Future<Output = anyhow::Result<Self::Hold>> + Send;

    /// Tells; false if that was refused.
    fn strike(hold: &Self::Hold, blow: Blow) -> impl Future<Output = bool> + Send;

    /// Asks once; if no one is there, does what brings the actor back.
    fn ping(
        stage: &Self::Stage,
        hold: &mut Self::Hold,
    ) -> impl Future<Output = anyhow::Result<Option<u64>>> + Send;
}

fn recovery<C: Victim>(load: Load) -> anyhow::Result<Reading> {
    let episodes = load.share(10_000, 50);
    // What the handlers of panics print is not to be measured, nor to be seen.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = C::play(Threads::Two, move |stage| async move {
        let mut hold = C::rise(&stage).await?;
        let (mut times, mut lost, mut refused) = (histogram(), 0, 0);
        for _ in 0..episodes {
            ensure!(
                C::ping(&stage, &mut hold).await? == Some(1),
                "it is not there"
            );
            HANDLED.store(0, Ordering::Relaxed);
            STRUCK.store(false, Ordering::Release);
            let begun = Instant::now();
            C::strike(&hold, Blow { is_deadly: true }).await;
            let mut accepted = 0;
            for _ in 0..BEHIND {
                accepted += u64::from(C::strike(&hold, Blow { is_deadly: false }).await);
            }
            STRUCK.store(true, Ordering::Release);
            while C::ping(&stage, &mut hold).await?.is_none() {
                ensure!(begun.elapsed() < PATIENCE, "it does not come back");
                // Anyone who brings it back may have been left on this very processor.
                std::thread::yield_now();
                tokio::task::yield_now().await;
            }
            let back = Instant::now();
            let panicked = panicked_at().take().context("it did not panic")?;
            let _ = times.record((back - panicked).as_nanos() as u64);
            let handled = HANDLED.load(Ordering::Relaxed);
            ensure!(handled <= accepted, "{handled} handled of {accepted}");
            lost += accepted - handled;
            refused += BEHIND - accepted;
        }
        let share = |n: u64| n as f64 / episodes as f64;
        Ok(Reading::of(times.value_at_quantile(0.5) as f64)
            .note("lost of 10 behind it", "messages", share(lost))
            .note("refused of 10 behind it", "messages", share(refused)))
    });
    std::panic::set_hook(before);
    result
}

/// The workloads of this file.
pub fn workloads() -> Vec<Workload> {
    let title = "a handler panics: median until a message after it is answered";
    vec![
        Workload::new("recovery", title, "ns")
            .with::<Actix>(recovery::<Actix>)
            .with::<Kameo>(recovery::<Kameo>)
            .with::<Ractor>(recovery::<Ractor>)
            .with::<Xtra>(recovery::<Xtra>)
            .with::<MyceliaHandle>(recovery::<MyceliaHandle>),
    ]
}
