//! Systems that come and go beside the first one; some are stopped, some dropped while they work.

use std::time::Duration;

use mycelia_test::SimulationHandle;

use super::plan::Plan;
use super::sum::Sum;
use super::{PATIENCE, Scene, THREADS, all};

/// Starts so many systems, one after the other, and ends them.
pub(crate) async fn come_and_go(sim: SimulationHandle, count: u32) -> Sum {
    let mut sum = Sum::default();
    for _ in 0..count {
        let rng = sim.rng();
        let scene = Scene::set(&sim, Plan::beside(&rng, THREADS), &rng).await;
        if rng.chance(0.4) {
            sum += scene.play(&rng).await;
        } else {
            tokio::time::sleep(Duration::from_millis(rng.below(20).into())).await;
            sum += scene.abandon().await;
        }
    }
    sum
}

impl Scene {
    /// Drops the system, and sees that its clients end and that nothing is left of what it had.
    async fn abandon(self) -> Sum {
        let Scene {
            system,
            book,
            clients,
            ..
        } = self;
        drop(system);
        all(clients).await;
        book.outside.give_all();
        let mut waited = Duration::ZERO;
        while let Some(violation) = book.violation_of_one_dropped() {
            assert!(
                waited < PATIENCE,
                "of a system that was dropped: {violation}"
            );
            let pause = Duration::from_millis(50);
            tokio::time::sleep(pause).await;
            waited += pause;
        }
        Sum {
            panics: book.faults.panics(),
            forgotten: book.faults.forgotten(),
            systems: 1,
            abandoned: 1,
            ..Sum::default()
        }
    }
}
