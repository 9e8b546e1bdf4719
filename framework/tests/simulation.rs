//! The simulation: one seed, one run; and with it the promises under a scheduler that does its worst.

mod common;

use std::time::Duration;

use common::watchdog;
use mycelia::prelude::*;
use mycelia::test::{Outcome, Simulation, SimulationError, check_seeds};

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

    #[route("slow")]
    async fn slow(&mut self, Add(n): Add) -> u64 {
        tokio::time::sleep(Duration::from_secs(n)).await;
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

#[path = "../../examples/simulation/model/mod.rs"]
mod model;

#[test]
fn every_message_is_accounted_for_once_whatever_the_scheduler_does() {
    let _watch = watchdog();
    check_seeds(0..300, |seed| model::simulate(seed, None, false));
}
