//! Many seeds, one after the other.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::SimulationError;

/// The seed that a test is to run with alone.
const SEED: &str = "MYCELIA_SEED";

/// Runs a scenario with many seeds, or only with that of the environment variable `MYCELIA_SEED` if it
/// is set; returns what it gave, in the order of the seeds.
///
/// # Panics
/// At the first seed with which the scenario fails or panics, with the seed in the text.
///
/// # Examples
/// ```
/// use mycelia::test::{Simulation, check_seeds};
/// check_seeds(0..10, |seed| Simulation::new(seed).run(|sim| async move { sim.now() }));
/// ```
pub fn check_seeds<R>(
    seeds: impl IntoIterator<Item = u64>,
    scenario: impl Fn(u64) -> Result<R, SimulationError>,
) -> Vec<R> {
    let run = |seed: u64| match catch_unwind(AssertUnwindSafe(|| scenario(seed))) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => panic!("{error}; replay with {SEED}={seed}"),
        Err(panic) => {
            eprintln!("seed {seed} failed; replay with {SEED}={seed}");
            resume_unwind(panic)
        }
    };
    match std::env::var(SEED) {
        Ok(seed) => {
            let seed = seed.parse();
            vec![run(seed.unwrap_or_else(|_| {
                panic!("{SEED} is a number, as printed by the run that failed")
            }))]
        }
        Err(_) => seeds.into_iter().map(run).collect(),
    }
}
