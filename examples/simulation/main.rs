//! Run with `cargo run --release --features test --example simulation -- --seeds 10000`
//!
//! A model of a system, once per seed: subsystems, children, clients, failures, restarts, overload,
//! replicas, mounts and unmounts, restarts, pauses and clears by hand, timers, streams, asks given up, messages kept
//! for later, replies that come later or not at all, futures beside the mailbox, systems that come
//! and go beside it, and faults of user code wherever the framework calls some: all chosen by the seed, on
//! one thread and in virtual time (see `mycelia_test::Simulation`). At the end of each, every message must be accounted for once, in the
//! order in which it was sent, and every envelope must be at home. `--seed N` runs one again and prints
//! what was decided; `--plant` puts an error into the framework, to see that it is found. The exit code
//! is 0 only if all seeds passed.

mod model;
mod options;
mod progress;
mod workers;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use indicatif::HumanCount;

use model::Sum;
use options::Options;
use workers::Workers;

fn main() -> ExitCode {
    let options = Options::parse();
    match options.seed {
        Some(seed) => replay(seed, &options),
        None => run(&options),
    }
}

/// Runs one seed and prints what was decided.
fn replay(seed: u64, options: &Options) -> ExitCode {
    let plant = options.plant();
    let (trace, end, code) = match workers::on_a_large_stack(|| model::simulate(seed, plant, true))
    {
        Ok(outcome) => {
            let took = outcome.took;
            let end = format!("seed {seed} passed: {:?} in {took:?}", outcome.value);
            (outcome.trace, end, ExitCode::SUCCESS)
        }
        Err(error) => (error.trace.clone(), error.to_string(), ExitCode::FAILURE),
    };
    let mut text = String::new();
    for decision in trace {
        text += &format!("{decision}\n");
    }
    text += &format!("{end}\n");
    // A reader that has gone (`| head`) is no error.
    let _ = std::io::stdout().write_all(text.as_bytes());
    code
}

/// Runs many seeds on all cores.
fn run(options: &Options) -> ExitCode {
    let begun = Instant::now();
    let workers = Workers::start(options.seeds(), options.workers, options.plant());
    if let Err(error) = workers.stop_on_ctrl_c() {
        eprintln!("Ctrl-C will end this without a report: {error}");
    }
    let failure = progress::watch(&workers);
    let (seeds, sum) = workers.sum();
    if let Some(failure) = &failure {
        let plant = match options.plant {
            Some(plant) => format!(" --plant {}", plant.name()),
            None => String::new(),
        };
        eprintln!("{}", failure.text);
        eprintln!(
            "replay with: cargo run --release --features test --example simulation -- --seed {}{plant}",
            failure.seed
        );
    }
    let Sum {
        messages,
        restarts,
        dropped,
        ..
    } = sum;
    println!(
        "{} of {} seeds passed: {} messages, {} restarts, {} drops ({} failed, {} expired, {} \
         undeliverable, {} refused), {} timers fired, {} stream items ({} cancelled), {} asks given up, \
         {} kept for later, {} replies later, {} panics on purpose, {} futures forgotten, {} systems ({} dropped under \
         load) in {:.1} s",
        HumanCount(seeds),
        HumanCount(options.seeds),
        HumanCount(messages),
        HumanCount(restarts),
        HumanCount(dropped),
        HumanCount(sum.failed),
        HumanCount(sum.expired),
        HumanCount(sum.undeliverable),
        HumanCount(sum.refused),
        HumanCount(sum.fired),
        HumanCount(sum.items),
        HumanCount(sum.cancelled),
        HumanCount(sum.given_up),
        HumanCount(sum.kept),
        HumanCount(sum.later),
        HumanCount(sum.panics),
        HumanCount(sum.forgotten),
        HumanCount(sum.systems),
        HumanCount(sum.abandoned),
        begun.elapsed().as_secs_f64()
    );
    match failure.is_none() && seeds == options.seeds {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
