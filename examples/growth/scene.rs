//! A scene: a system in which one feature is used over and over.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::FutureExt;
use mycelia::observe::EndReason;
use mycelia::prelude::*;
use mycelia::schedule::{Overflow, Priority};
use mycelia::supervise::Restart;
use mycelia::{Builder, Replicas};

use crate::feature::Feature;
use crate::subsystems::{Begin, End, Get, Owe, Put, Rest, Worker};
use examples_lib::heap::live_bytes;

/// Longest that a system may take to come to rest.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Scene {
    system: System,
    worker: Worked,
    /// Counts names, paths and captures.
    next: u64,
}

struct Worked {
    get: Route<Get>,
    put: Route<Put>,
    rest: Route<Rest>,
    owe: Route<Owe>,
    end: Route<End>,
    begin: Option<Route<Begin>>,
}

fn builder() -> Builder {
    System::builder().threads(2).pool(1024)
}

impl Scene {
    pub(crate) async fn set(feature: Feature) -> anyhow::Result<Self> {
        let system = builder().start().await?;
        // Some of what it spawns waits for its turn.
        let options = MountOptions::new().max_spawned(8);
        system.mount_with(options, Worker::default).await?;
        if feature == Feature::Overflow {
            system.set_capacity("worker", 4)?;
        }
        let begin = match feature {
            Feature::Timers => Some("worker://timers"),
            Feature::Cancelled => Some("worker://cancelled"),
            Feature::Streams => Some("worker://streams"),
            Feature::Spawned => Some("worker://spawned"),
            _ => None,
        };
        let worker = Worked {
            get: system.route("worker://get")?,
            put: system.route("worker://put")?,
            rest: system.route("worker://rest")?,
            owe: system.route("worker://owe")?,
            end: system.route("worker://end")?,
            begin: begin.map(|path| system.route(path)).transpose()?,
        };
        Ok(Scene {
            system,
            worker,
            next: 0,
        })
    }

    /// Waits until all is quiet; the live bytes then.
    pub(crate) async fn quiet_bytes(&self) -> anyhow::Result<i64> {
        let quiet = async {
            loop {
                let now = self.system.snapshot();
                let spawned: u32 = now.subsystems.iter().map(|one| one.spawned).sum();
                if now.total.is_quiet() && now.pool.in_flight == 0 && spawned == 0 {
                    return now.total;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let total = tokio::time::timeout(LIMIT, quiet)
            .await
            .context("it does not come to rest")?;
        ensure!(total.closes(), "the ledger does not close: {total:?}");
        // What ends a moment after its last message: tasks, threads, children. The least of several looks.
        let mut least = live_bytes();
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            least = least.min(live_bytes());
        }
        Ok(least)
    }

    pub(crate) async fn end(self) -> anyhow::Result<()> {
        let report = self.system.stop().await?;
        ensure!(report.ledger.closes(), "the ledger does not close");
        Ok(())
    }

    /// Uses the feature so often.
    pub(crate) async fn play(&mut self, feature: Feature, operations: u64) -> anyhow::Result<()> {
        let Worked { get, put, rest, .. } = &self.worker;
        match feature {
            Feature::Timers | Feature::Cancelled | Feature::Streams | Feature::Spawned => {
                return self.begin(operations).await;
            }
            Feature::Threads => return self.threads(operations),
            _ => {}
        }
        for _ in 0..operations {
            self.next += 1;
            let n = self.next;
            match feature {
                Feature::Tells => {
                    let priority = Priority::ALL[n as usize % Priority::ALL.len()];
                    put.with_priority(priority).tell(Put(1)).await?;
                    self.system.tell("worker://put", Put(1)).await?;
                }
                Feature::Asks => {
                    get.ask(Get).await?;
                    get.ask_within(Get, LIMIT).await?;
                }
                Feature::Expired => {
                    let expired = rest.ask_within(Rest, Duration::ZERO).await;
                    ensure!(expired.is_err(), "it had no time");
                }
                Feature::GivenUp => drop(pin!(rest.ask(Rest)).now_or_never()),
                Feature::Paths => {
                    self.system
                        .tell(format!("worker://items/{n}"), Put(1))
                        .await?;
                    self.system
                        .tell(format!("worker://names/{n:x}"), Put(1))
                        .await?;
                }
                Feature::Later => {
                    self.system.tell("worker://later", Put(0)).await?;
                    self.system.tell("worker://later", Put(1)).await?;
                }
                Feature::Replies => self.owe(n).await?,
                Feature::Blocking => drop(self.system.ask("worker://blocking", Get).await?),
                Feature::Overflow => self.overflow(n).await?,
                Feature::Restarts => {
                    ensure!(self.worker.end.ask(End::Panic).await.is_err());
                }
                Feature::Children => self.child(n).await?,
                Feature::Mounts => self.mount(n).await?,
                Feature::Replicas => self.replicas(n).await?,
                Feature::Watches => self.watch().await?,
                Feature::Systems => start_and_drop().await?,
                Feature::Timers
                | Feature::Cancelled
                | Feature::Streams
                | Feature::Spawned
                | Feature::Threads => {}
            }
        }
        Ok(())
    }

    /// Has the worker begin timers or streams, and waits until their messages are handled.
    async fn begin(&self, operations: u64) -> anyhow::Result<()> {
        let begin = self
            .worker
            .begin
            .as_ref()
            .context("this feature begins nothing")?;
        let mut left = operations;
        while left > 0 {
            let some = left.min(500);
            begin.tell(Begin(some)).await?;
            left -= some;
            // Answered after what it has begun before is under way: the timers of a system stay few.
            self.worker.get.ask(Get).await?;
        }
        Ok(())
    }

    async fn owe(&self, n: u64) -> anyhow::Result<()> {
        let owe = &self.worker.owe;
        ensure!(owe.ask(Owe::Give).await? == 1 && owe.ask(Owe::GiveBeside).await? == 1);
        ensure!(owe.ask(Owe::Fail).await.is_err() && owe.ask(Owe::Drop).await.is_err());
        owe.tell(Owe::Drop).await?;
        drop(pin!(owe.ask(Owe::GiveBeside)).now_or_never());
        if n.is_multiple_of(16) {
            let (kept, failed) = (owe.ask(Owe::Keep), self.worker.end.ask(End::Panic));
            let (kept, failed) = futures_util::future::join(kept, failed).await;
            ensure!(
                kept.is_err() && failed.is_err(),
                "it failed, and dropped the reply"
            );
        }
        Ok(())
    }

    async fn overflow(&self, n: u64) -> anyhow::Result<()> {
        let policies = [Overflow::Reject, Overflow::DropNewest, Overflow::DropOldest];
        if n.is_multiple_of(1000) {
            let policy = policies[(n / 1000) as usize % policies.len()];
            self.system.set_overflow("worker", policy)?;
        }
        for _ in 0..2 {
            if let Err(undelivered) = self.worker.put.try_tell(Put(1)) {
                ensure!(undelivered.reason().is_full(), "{undelivered}");
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    async fn child(&self, n: u64) -> anyhow::Result<()> {
        let child = format!("worker://child/{n}");
        self.system.ask(child, Get).await?;
        Ok(())
    }

    async fn mount(&self, n: u64) -> anyhow::Result<()> {
        let name: Arc<str> = format!("worker-{n}").into();
        let options = MountOptions::new()
            .name(name.clone())
            .restart(Restart::Never);
        self.system.mount_with(options, Worker::default).await?;
        let handle = self.system.route::<Put>(format!("{name}://put"))?;
        handle.tell(Put(1)).await?;
        let mut watch = self.system.watch(&*name);
        match n % 3 {
            0 => drop(self.system.unmount(&name).await?),
            1 => self.system.tell(format!("{name}://end"), End::Stop).await?,
            _ => {
                self.system
                    .tell(format!("{name}://end"), End::Panic)
                    .await?
            }
        }
        while let Some(event) = watch.next().await {
            if let mycelia::observe::Change::Ended(reason) = event.change {
                ensure!(reason != EndReason::SystemStopped);
                break;
            }
        }
        ensure!(handle.try_tell(Put(1)).is_err(), "`{name}` has ended");
        Ok(())
    }

    async fn replicas(&self, n: u64) -> anyhow::Result<()> {
        let options = MountOptions::new().name(format!("several-{n}"));
        let replicas = Replicas::round_robin(3);
        self.system
            .mount_replicas_with(replicas, options, Worker::default)
            .await?;
        self.system
            .tell(format!("several-{n}://put"), Put(1))
            .await?;
        self.system.unmount(&format!("several-{n}")).await?;
        Ok(())
    }

    async fn watch(&self) -> anyhow::Result<()> {
        let (mut all, mut letters) = (self.system.watch_all(), self.system.dead_letters());
        drop(self.system.watch("worker"));
        ensure!(all.try_next().is_none() && letters.try_next().is_none());
        drop(pin!(all.next()).now_or_never());
        Ok(())
    }

    fn threads(&self, operations: u64) -> anyhow::Result<()> {
        for _ in 0..operations {
            let (get, put) = (self.worker.get.clone(), self.worker.put.clone());
            let thread = std::thread::spawn(move || {
                put.tell_blocking(Put(1)).is_ok() && get.ask_blocking(Get).is_ok()
            });
            ensure!(thread.join().unwrap_or(false), "a thread can't send");
        }
        Ok(())
    }
}

/// Starts a system and drops it while its subsystems work.
async fn start_and_drop() -> anyhow::Result<()> {
    let system = builder().start().await?;
    system.mount(Worker::default).await?;
    for _ in 0..20 {
        system.tell("worker://put", Put(1)).await?;
    }
    let rest = system.route::<Rest>("worker://rest")?;
    drop(pin!(rest.ask(Rest)).now_or_never());
    Ok(())
}
