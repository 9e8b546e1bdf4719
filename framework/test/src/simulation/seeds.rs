//! Runs a scenario with many seeds, one after the other.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::SimulationError;

/// The environment variable with the only seed that tests run with.
const SEED: &str = "MYCELIA_SEED";
const STACK: usize = 64 << 20;

/// Runs a scenario with many seeds, or only with the one in the environment variable `MYCELIA_SEED` if it is set.
/// Returns the scenarios' results, in the order of the seeds. They run on a thread with a stack of 64 MB, because
/// threads that interrupt each other share one stack.
///
/// # Panics
/// At the first seed with which the scenario fails or panics. The text has the seed.
///
/// # Examples
/// ```
/// use mycelia_test::{Simulation, check_seeds};
/// check_seeds(0..10, |seed| Simulation::new(seed).run(|sim| async move { sim.now() }));
/// ```
pub fn check_seeds<R: Send>(
    seeds: impl IntoIterator<Item = u64, IntoIter: Send>,
    scenario: impl Fn(u64) -> Result<R, SimulationError> + Send,
) -> Vec<R> {
    let run = move |seed: u64| match catch_unwind(AssertUnwindSafe(|| scenario(seed))) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => panic!("{error}; replay with {SEED}={seed}"),
        Err(panic) => {
            eprintln!("seed {seed} failed; replay with {SEED}={seed}");
            resume_unwind(panic)
        }
    };
    let seeds = seeds.into_iter();
    let all = move || match std::env::var(SEED) {
        Ok(seed) => {
            let seed = seed.parse();
            vec![run(seed.unwrap_or_else(|_| {
                panic!("{SEED} is a number, as printed by the run that failed")
            }))]
        }
        Err(_) => seeds.map(run).collect(),
    };
    let name = std::thread::current().name().unwrap_or("seeds").to_owned();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name(name)
            .stack_size(STACK)
            .spawn_scoped(scope, all)
            .expect("the operating system has a thread for the seeds");
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}
