//! Systems beside the one under attack, that are started and, while they work, dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mycelia::prelude::*;

use crate::faults::{Fuse, RudelyWoken, begin_and_forget};

/// Far longer than a system takes to end.
const PATIENCE: Duration = Duration::from_secs(20);
const LOAD: u64 = 200;

/// What came of them.
#[derive(Default)]
pub(crate) struct Abandoned {
    pub(crate) systems: u64,
    /// What was wrong with one of them.
    pub(crate) broken: Option<String>,
}

/// Counts itself while it lives.
struct Counted(Arc<AtomicU64>);

impl Counted {
    fn new(live: &Arc<AtomicU64>) -> Self {
        live.fetch_add(1, Ordering::Relaxed);
        Counted(live.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Message)]
#[message(reply = Fuse)]
struct Load {
    _counted: Counted,
    _fuse: Fuse,
    number: u64,
}

#[derive(Subsystem)]
struct Busy {
    _counted: Counted,
}

#[routes]
impl Busy {
    #[route("async")]
    async fn wait(&mut self, load: Load) -> Fuse {
        if load.number.is_multiple_of(7) {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        Fuse(load.number.is_multiple_of(11))
    }

    #[route("blocking", blocking)]
    fn block(&mut self, load: Load) -> Fuse {
        std::thread::sleep(Duration::from_micros(50));
        Fuse(load.number.is_multiple_of(5))
    }
}

/// Starts and drops one after the other until it is told to end.
pub(crate) async fn come_and_go(ends: Arc<AtomicBool>) -> Abandoned {
    let mut abandoned = Abandoned::default();
    while !ends.load(Ordering::Relaxed) && abandoned.broken.is_none() {
        abandoned.broken = one(abandoned.systems)
            .await
            .err()
            .map(|error| error.to_string());
        abandoned.systems += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    abandoned
}

async fn one(number: u64) -> anyhow::Result<()> {
    let live: Arc<AtomicU64> = Arc::default();
    let system = System::builder()
        .name("abandoned")
        .threads(2)
        .pool(64)
        .start()
        .await?;
    for at in 0..2 {
        let makes = live.clone();
        let busy = move || Busy {
            _counted: Counted::new(&makes),
        };
        system.mount_as(format!("busy-{at}"), busy).await?;
    }
    let mut forgotten = 0;
    for sent in 0..LOAD {
        let way = if sent % 16 == 0 { "blocking" } else { "async" };
        let path = format!("busy-{}://{way}", sent % 2);
        let load = Load {
            _counted: Counted::new(&live),
            // The drop of what comes back to the sender is the sender's: the last ones, which go by asks, have none.
            _fuse: Fuse(sent % 13 == 0 && sent < LOAD - 2),
            // Neither is the last one's reply lit, which comes to this sender.
            number: sent + 1,
        };
        if sent < LOAD - 2 {
            system.tell(path, load).await?;
        } else if sent == LOAD - 2 {
            let waits = RudelyWoken(Box::pin(system.ask(path, load)));
            let _ = tokio::time::timeout(Duration::from_micros(number % 5 * 100), waits).await;
        } else if begin_and_forget(system.try_ask(path, load)).is_none() {
            forgotten += 1;
        }
    }
    drop(system);
    let begun = Instant::now();
    // A forgotten ask may keep its message or its reply.
    while live.load(Ordering::Relaxed) > forgotten {
        anyhow::ensure!(
            begun.elapsed() < PATIENCE,
            "{} values of a system that was dropped live on",
            live.load(Ordering::Relaxed)
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
