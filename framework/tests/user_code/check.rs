//! What must hold after every combination.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mycelia::StopReport;
use mycelia::error::StopError;
use mycelia::observe::{Change, DeadReason, Event};
use mycelia::supervise::Failure;
use tokio::time::timeout;

use crate::stage::Stage;
use crate::subjects::{Fresh, Ping};
use crate::table::{Act, Site};
use crate::world::{BOUND, until};

/// What must hold in the end.
#[derive(Default)]
pub(crate) struct Expect {
    /// How often the target was restarted.
    pub(crate) restarts: u32,
    pub(crate) gone: bool,
    /// Messages that were told, and whose handler panicked.
    pub(crate) panicked_letters: usize,
    /// The misbehaviour comes with the stop, or with the end of all.
    pub(crate) fires_at_the_end: bool,
    /// The play has stopped the system itself.
    pub(crate) is_stopped: bool,
    /// An event tells of this text.
    pub(crate) told_of: Option<&'static str>,
    pub(crate) failed_hooks: usize,
    /// What was to run before the stop failed.
    pub(crate) failed_before: usize,
}

impl Stage {
    pub(crate) async fn check(mut self, expect: Expect) {
        let act = self.world.act;
        self.world.open_the_gate();
        for task in self.world.spawned() {
            let ended = timeout(BOUND, task).await;
            ended
                .expect("what it has spawned ends")
                .expect("and does not panic");
        }
        if !expect.fires_at_the_end {
            self.until_fired().await;
        }
        let is_stopped = act.stops() && self.world.has_fired() || expect.is_stopped;
        if !is_stopped {
            self.until_quiet().await;
            self.look_at_all(&expect).await;
        }
        let stopped = timeout(BOUND, self.system.stop())
            .await
            .expect("a stop returns");
        let report = self.end(stopped, is_stopped, &expect);
        if is_stopped || report.is_none() {
            // It may be going on: `AlreadyStopped` says that it was begun.
            let reason = timeout(BOUND, self.system.stopped()).await;
            reason.expect("the system ends");
            self.until_quiet().await;
        }
        if let Some(report) = report {
            assert!(
                report.ledger.closes() && report.ledger.is_quiet(),
                "{:?}",
                report.ledger
            );
        }
        self.look_at_news(&expect);
        let Stage {
            world,
            system,
            letters,
            events,
            ..
        } = self;
        drop((letters, events, system));
        if expect.fires_at_the_end {
            until("the site is reached at the end", || world.has_fired()).await;
        }
        for task in world.spawned() {
            let ended = timeout(BOUND, task).await;
            ended
                .expect("what it has spawned at the end ends")
                .expect("and does not panic");
        }
    }

    fn end(
        &self,
        stopped: Result<StopReport, StopError>,
        was_stopped: bool,
        expect: &Expect,
    ) -> Option<StopReport> {
        match stopped {
            Ok(report) => {
                if !self.world.act.ends_something() {
                    let hooks = report.failed_hooks.len();
                    let before = report.before_stop.len();
                    assert_eq!(before, expect.failed_before, "{:?}", report.before_stop);
                    assert_eq!(hooks, expect.failed_hooks, "{:?}", report.failed_hooks);
                }
                Some(report)
            }
            Err(StopError::AlreadyStopped) if was_stopped => None,
            other => panic!("the stop: {other:?}"),
        }
    }

    async fn until_quiet(&self) {
        let begun = Instant::now();
        loop {
            let forgotten = self.world.forgotten();
            let now = self.system.snapshot();
            if now.total.is_quiet() && now.pool.in_flight == forgotten {
                assert!(now.total.closes(), "{:?}", now.total);
                return;
            }
            assert!(
                begun.elapsed() < BOUND,
                "never quiet: {:?} {:?} in flight, {forgotten} forgotten",
                now.total,
                now.pool.in_flight
            );
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }

    /// The right one has failed, and no one else; the keepers live.
    async fn look_at_all(&self, expect: &Expect) {
        let act = self.world.act;
        for path in ["near://ping", "far://ping", "driver"] {
            if path != "driver" {
                let pinged = timeout(BOUND, self.system.ask(path, Ping)).await;
                assert_eq!(pinged.expect("a neighbour answers").unwrap(), 1);
            }
        }
        let gone = expect.gone || (act == Act::UnmountsItsOwn && self.world.has_fired());
        if !gone {
            let pinged = timeout(BOUND, self.system.ask("target://ping", Ping)).await;
            assert_eq!(pinged.expect("the target answers").unwrap(), 3);
        }
        let now = self.system.snapshot();
        for one in &now.subsystems {
            if !matches!(&*one.name, "target" | "small" | "brief" | "extra") {
                assert_eq!(one.restarts, 0, "{}", one.name);
                assert_eq!(one.last_failure, None, "{}", one.name);
            }
        }
        match now.subsystem("target") {
            Some(target) if !gone => {
                assert_eq!(target.restarts, expect.restarts, "restarts of the target");
            }
            Some(_) => panic!("the target is still there"),
            None => assert!(gone, "the target is gone"),
        }
        let world = self.world.clone();
        let before = world.ticks.load(Ordering::SeqCst);
        let mount = self.system.mount_as("fresh", move || Fresh(world.clone()));
        timeout(BOUND, mount).await.expect("a mount ends").unwrap();
        let pinged = timeout(BOUND, self.system.ask("fresh://ping", Ping)).await;
        assert_eq!(pinged.expect("a new one answers").unwrap(), 2);
        until("a timer fires", || {
            self.world.ticks.load(Ordering::SeqCst) > before
        })
        .await;
        let unmount = self.system.unmount("fresh");
        timeout(BOUND, unmount)
            .await
            .expect("an unmount ends")
            .unwrap();
    }

    /// No event and no dead letter is missing.
    fn look_at_news(&mut self, expect: &Expect) {
        let act = self.world.act;
        let mut events: Vec<Event> = Vec::new();
        while let Some(event) = self.events.try_next() {
            events.push(event);
        }
        let mut restarted = 0;
        let mut failed = 0_u32;
        for event in &events {
            match (&*event.subsystem, &event.change) {
                ("target", Change::Restarted) => restarted += 1,
                ("target", Change::Failed(failure)) => {
                    failed += 1;
                    // One start that failed is followed by the next.
                    let is_start = matches!(failure, Failure::Start(_));
                    restarted += u32::from(is_start && self.world.site != Site::FactoryAtRestart);
                }
                ("small" | "brief" | "extra", _) => {}
                (name, Change::Failed(_) | Change::Restarted) => {
                    panic!("{name} failed: {events:?}")
                }
                _ => {}
            }
        }
        if !act.ends_something() {
            assert_eq!(restarted, expect.restarts, "{events:?}");
            assert!(failed >= expect.restarts, "{events:?}");
            let mut panicked = 0;
            while let Some(letter) = self.letters.try_next() {
                panicked += usize::from(matches!(letter.reason, DeadReason::Panicked(_)));
            }
            assert_eq!(panicked, expect.panicked_letters, "letters of panics");
        }
        if let Some(text) = expect.told_of {
            assert!(
                format!("{events:?}").contains(text),
                "not told of {text}: {events:?}"
            );
        }
    }
}
