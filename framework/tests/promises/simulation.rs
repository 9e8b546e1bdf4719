//! The simulation: one seed, one run; and with it the promises under a scheduler that does its worst.

use std::pin::pin;
use std::time::Duration;

use crate::common::{ON_PURPOSE, named, poll_once, quiet_panics, watchdog};

use mycelia::error::MountError;
use mycelia::observe::Change;
use mycelia::prelude::*;
use mycelia::supervise::{Backoff, Failure, RestartScope};
use mycelia_test::{Halt, Outcome, Plant, Simulation, SimulationError, check_seeds};

#[path = "../../../examples/simulation/model/mod.rs"]
mod model;

const MS: Duration = Duration::from_millis(1);

#[derive(Message)]
#[message(reply = u64)]
struct Add(u64);

#[derive(Subsystem, Default)]
struct Counter {
    sum: u64,
}

#[routes]
impl Counter {
    #[route("sum")]
    fn add(&mut self, Add(n): Add) -> u64 {
        self.sum += n;
        self.sum
    }

    /// Panics after so many milliseconds.
    #[route("panic")]
    async fn panic(&mut self, Add(ms): Add) -> u64 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        panic!("{ON_PURPOSE}")
    }

    #[route("slow")]
    async fn slow(&mut self, Add(ms): Add) -> u64 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        self.sum
    }

    /// Adds to another.
    #[route("relay/{name}")]
    async fn relay(&mut self, add: Add, Path(name): Path<String>, system: System) -> u64 {
        let _ = system.tell(format!("{name}://sum"), add).await;
        self.sum
    }
}

/// Four clients tell two counters on two threads 20 times each.
fn counters(seed: u64) -> Result<Outcome<u64>, SimulationError> {
    Simulation::new(seed).run(|sim| async move {
        let system = sim.system(System::builder().pool(8)).await.unwrap();
        for thread in 0..2 {
            let options = MountOptions::new()
                .name(format!("counter-{thread}"))
                .thread(thread)
                .capacity(3);
            system.mount_with(options, Counter::default).await.unwrap();
        }
        let mut clients = Vec::new();
        for client in 0..4 {
            let system = system.clone();
            clients.push(sim.spawn(async move {
                for n in 0..20 {
                    let path = format!("counter-{}://sum", (client + n) % 2);
                    system.tell(path, Add(1)).await.unwrap();
                }
            }));
        }
        for client in clients {
            client.await.unwrap();
        }
        let sum = system.ask("counter-0://sum", Add(0)).await.unwrap()
            + system.ask("counter-1://sum", Add(0)).await.unwrap();
        let ledger = system.stop().await.unwrap().ledger;
        assert!(ledger.closes() && ledger.is_quiet(), "{ledger:?}");
        assert_eq!(ledger.handled, 82);
        sum
    })
}

#[test]
fn a_system_runs_in_a_simulation_and_its_ledger_closes() {
    let _watch = watchdog();
    let outcomes = check_seeds(0..100, counters);
    assert!(outcomes.iter().all(|outcome| outcome.value == 80));
}

#[test]
fn every_message_is_accounted_for_once_whatever_the_scheduler_does() {
    let _watch = watchdog();
    check_seeds(0..400, |seed| model::simulate(seed, None, false));
}

#[test]
fn a_seed_decides_everything_and_another_seed_decides_otherwise() {
    let _watch = watchdog();
    let hashes = || -> Vec<(u64, u64)> {
        check_seeds(0..60, |seed| {
            let outcome = model::simulate(seed, None, seed % 2 == 0)?;
            Ok((outcome.hash, outcome.value.messages))
        })
    };
    // Each on a thread of its own; the trace that is kept of some decides nothing.
    let first = hashes();
    assert_eq!(first, hashes());
    let mut distinct: Vec<u64> = first.iter().map(|(hash, _)| *hash).collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), first.len());
}

/// The first seed with which an error in the framework is found.
fn caught(plant: Plant) -> SimulationError {
    let mut seeds = 0..1000;
    let failed = seeds.find_map(|seed| model::simulate(seed, Some(plant), false).err());
    let error = failed.unwrap_or_else(|| panic!("{plant:?} is not found"));
    let again = model::simulate(error.seed, Some(plant), false).unwrap_err();
    assert_eq!((again.hash, &again.halt), (error.hash, &error.halt));
    error
}

/// Runs on a stack on which threads can get in between each other.
fn on_a_large_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let large = std::thread::Builder::new().stack_size(64 << 20);
        large.spawn_scoped(scope, run).unwrap().join().unwrap()
    })
}

#[test]
fn a_lost_wake_up_is_found() {
    let _watch = watchdog();
    let error = on_a_large_stack(|| caught(Plant::LostWakeUp));
    assert!(!matches!(error.halt, Halt::Violated(_)), "{error}");
}

#[test]
fn an_envelope_returned_twice_is_found() {
    let _watch = watchdog();
    let error = on_a_large_stack(|| caught(Plant::DoubleRelease));
    assert!(matches!(error.halt, Halt::Violated(_)), "{error}");
}

#[test]
fn two_messages_that_change_places_are_found() {
    let _watch = watchdog();
    let error = on_a_large_stack(|| caught(Plant::Reorder));
    let Halt::Panicked(text) = &error.halt else {
        panic!("{error}");
    };
    assert!(text.contains(" after "), "{error}");
}

#[test]
fn a_scenario_that_waits_for_nothing_is_reported_and_does_not_hang() {
    let _watch = watchdog();
    let error = Simulation::new(1)
        .run(|sim| async move {
            let system = sim.system(System::builder()).await.unwrap();
            system.mount(Counter::default).await.unwrap();
            std::future::pending::<()>().await
        })
        .unwrap_err();
    let Halt::Stalled(report) = &error.halt else {
        panic!("{error}");
    };
    assert!(report.contains("counter"), "{report}");
}

#[test]
fn a_client_that_panics_fails_its_simulation() {
    let _watch = watchdog();
    quiet_panics();
    let error = Simulation::new(1)
        .run(|sim| async move {
            sim.spawn(async { panic!("{ON_PURPOSE}") });
            std::future::pending::<()>().await
        })
        .unwrap_err();
    assert_eq!(error.halt, Halt::Panicked(ON_PURPOSE.into()));
}

#[test]
fn time_spent_in_a_handler_passes_for_all() {
    let _watch = watchdog();
    let outcome = Simulation::new(1).run(|sim| async move {
        let before = (sim.now(), tokio::time::Instant::now());
        mycelia_test::spend(3 * MS);
        let clock = sim.now() - before.0;
        tokio::time::sleep(MS).await;
        (clock, before.1.elapsed())
    });
    let (clock, timers) = outcome.unwrap().value;
    assert_eq!(clock, 3 * MS);
    assert!(timers >= 4 * MS, "{timers:?}");
}

/// A system whose subsystems `a` and `b` are restarted together, and `b/c`.
async fn family(sim: &mycelia_test::SimulationHandle) -> System {
    let builder = System::builder()
        .restart_scope(RestartScope::AllForOne)
        .stop_deadline(1000 * MS);
    let system = sim.system(builder).await.unwrap();
    let a = named("a")
        .capacity(1)
        .backoff(Backoff::new(50 * MS, 50 * MS));
    system.mount_with(a, Counter::default).await.unwrap();
    system
        .mount_with(named("b"), Counter::default)
        .await
        .unwrap();
    let c = named("c").parent("b");
    system.mount_with(c, Counter::default).await.unwrap();
    system
}

#[test]
fn a_child_that_waits_for_one_who_fails_does_not_hold_up_their_restart_for_ever() {
    let _watch = watchdog();
    quiet_panics();
    check_seeds(0..50, |seed| {
        Simulation::new(seed).run(|sim| async move {
            let system = family(&sim).await;
            system.tell("a://panic", Add(50)).await.unwrap();
            // The one who waits first gets the room of the message that panicked; `b/c` waits on.
            let first = system.clone();
            let first = sim.spawn(async move { first.ask("a://sum", Add(1)).await });
            tokio::time::sleep(10 * MS).await;
            system.tell("b/c://relay/a", Add(2)).await.unwrap();
            assert_eq!(first.await.unwrap().unwrap(), 1);
            assert!(sim.now() < 2000 * MS, "{:?}", sim.now());
            assert_eq!(system.ask("b://sum", Add(1)).await.unwrap(), 1);
            system.stop().await.unwrap();
        })
    });
}

#[test]
fn one_who_fails_while_it_is_unmounted_is_made_anew_and_ends() {
    let _watch = watchdog();
    quiet_panics();
    check_seeds(0..100, |seed| {
        Simulation::new(seed).run(|sim| async move {
            let system = family(&sim).await;
            system.tell("b://panic", Add(2)).await.unwrap();
            system.tell("b://sum", Add(1)).await.unwrap();
            tokio::time::sleep(sim.rng().below(3) * MS).await;
            let ledger = system.unmount("b").await.unwrap();
            assert_eq!((ledger.failed, ledger.handled), (1, 1));
            system.stop().await.unwrap();
        })
    });
}

#[test]
fn a_child_mounted_while_its_parent_is_made_anew_is_refused_and_afterwards_lives_on() {
    let _watch = watchdog();
    quiet_panics();
    check_seeds(0..50, |seed| {
        Simulation::new(seed).run(|sim| async move {
            let system = family(&sim).await;
            system.tell("a://panic", Add(1)).await.unwrap();
            // Its old child has ended, and it pauses.
            tokio::time::sleep(20 * MS).await;
            for name in ["c", "late"] {
                let below = || named(name).parent("b");
                while let Err(refused) = system.mount_with(below(), Counter::default).await {
                    assert!(
                        matches!(refused, MountError::Restarting { .. }),
                        "{refused}"
                    );
                    tokio::time::sleep(10 * MS).await;
                }
                let sum = format!("b/{name}://sum");
                assert_eq!(system.ask(&sum, Add(1)).await.unwrap(), 1);
            }
            let report = system.stop().await.unwrap();
            assert_eq!(report.ledger.failed, 1);
        })
    });
}

#[test]
fn one_who_is_woken_for_room_and_then_refused_lets_the_next_one_look() {
    let _watch = watchdog();
    check_seeds(0..50, |seed| {
        Simulation::new(seed).run(|sim| async move {
            let system = sim.system(System::builder()).await.unwrap();
            let parent = named("parent").capacity(1);
            system.mount_with(parent, Counter::default).await.unwrap();
            let child = named("child").parent("parent");
            system.mount_with(child, Counter::default).await.unwrap();
            system.tell("parent://slow", Add(50)).await.unwrap();
            let first = system.clone();
            let first = sim.spawn(async move { first.tell("parent://sum", Add(1)).await });
            tokio::time::sleep(10 * MS).await;
            let relay = system.tell("parent/child://relay/parent", Add(2));
            relay.await.unwrap();
            tokio::time::sleep(10 * MS).await;
            // No path leads there any more, but the parent goes on until its child has ended.
            let ledger = system.unmount("parent").await.unwrap();
            assert_eq!(ledger.handled, 1);
            assert!(first.await.unwrap().is_err());
            system.stop().await.unwrap();
        })
    });
}

/// Mounts its child when it is restarted; told to replace that, it panics on the way.
#[derive(Subsystem, Default)]
struct Hasty;

#[routes]
impl Hasty {
    #[restarting]
    async fn again(&mut self, _: Failure, ctx: Context) -> anyhow::Result<()> {
        ctx.mount_with(named("child"), Counter::default).await?;
        Ok(())
    }

    /// Looks so often how it goes on with unmounting its child and mounting another.
    #[route("replace")]
    async fn replace(&mut self, Add(looks): Add, ctx: Context) -> u64 {
        let mounting = ctx.mount_with(named("child"), Counter::default);
        let mut both = pin!(async { tokio::join!(ctx.unmount("child"), mounting) });
        for look in 0..looks {
            match look {
                0 => {}
                1 => tokio::task::yield_now().await,
                _ => tokio::time::sleep(MS).await,
            }
            if poll_once(both.as_mut()).await.is_some() {
                break;
            }
        }
        panic!("{ON_PURPOSE}")
    }
}

#[test]
fn whoever_panics_while_it_replaces_a_child_is_made_anew_with_a_new_one() {
    let _watch = watchdog();
    quiet_panics();
    check_seeds(0..300, |seed| {
        Simulation::new(seed).run(|sim| async move {
            let system = sim.system(System::builder()).await.unwrap();
            system.mount(Hasty::default).await.unwrap();
            if seed % 3 > 0 {
                let child = named("child").parent("hasty");
                system.mount_with(child, Counter::default).await.unwrap();
                let slow = u64::from(sim.rng().below(8));
                system.tell("hasty/child://slow", Add(slow)).await.unwrap();
            }
            let mut watch = system.watch("hasty");
            let looks = u64::from(1 + sim.rng().below(8));
            system.tell("hasty://replace", Add(looks)).await.unwrap();
            let mut changes = Vec::new();
            while changes.last() != Some(&Change::Restarted) {
                changes.push(watch.next().await.unwrap().change);
            }
            // The name was free for its second life: that did not fail at its start.
            let panic = Change::Failed(Failure::Panic(ON_PURPOSE.into()));
            assert_eq!(changes, [panic, Change::Restarted]);
            assert_eq!(system.ask("hasty/child://sum", Add(1)).await.unwrap(), 1);
            system.stop().await.unwrap();
        })
    });
}
