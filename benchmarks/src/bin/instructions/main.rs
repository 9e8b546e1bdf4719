//! Run with `cargo run --release -p mycelia-benchmarks --bin instructions`
//!
//! What a message costs in instructions, held against the baseline in `benchmarks/instructions.json`.
//! Time swings by tens of percent from run to run and from machine to machine, instructions by
//! thousandths: so a change that makes messages dearer shows. They say nothing of caches, of branches
//! or of what threads wait for.
//!
//! The clock is a manual one, for the default clock measures itself at its start, in a loop that takes
//! time and not instructions: to read the real clock, three times a message, is therefore not counted.
//! Nor is what the kernel does.

mod baseline;
mod count;
mod scenario;

use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Parser;

use baseline::{Baseline, Built};
use count::{Count, NoValgrind};
use scenario::{MOST_MESSAGES, Scenario};

/// Most that a scenario may grow by over its baseline: 5 %
const TOLERANCE: f64 = 0.05;

/// Instructions per message, counted by valgrind and held against benchmarks/instructions.json
#[derive(Debug, Parser)]
#[command(after_help = "\
Exit status: 0 if every scenario is at most 5 % above its baseline, 1 if one is not or was not
handled as it should be, 2 if there is no valgrind.

For a profile by function:
  valgrind --tool=callgrind target/release/instructions --scenario tell-handle
  callgrind_annotate callgrind.out.*")]
struct Instructions {
    /// Writes what is counted now as the new baseline, and compares nothing
    #[arg(long, conflicts_with = "scenario")]
    save: bool,
    /// Runs one scenario here, uncounted
    #[arg(long)]
    scenario: Option<Scenario>,
    /// Messages of that run; counted is what twice as many take more
    #[arg(long, default_value_t = 20_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1000..=MOST_MESSAGES))]
    messages: u64,
    /// Counts so often, and takes the median
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
}

fn main() -> ExitCode {
    let options = match Instructions::try_parse() {
        Ok(options) => options,
        Err(error) => {
            let _ = error.print();
            // 2, which clap would end with, is taken.
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    let ended = match options.scenario {
        Some(scenario) => scenario.run(options.messages),
        None => check(&options),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<NoValgrind>() { 2 } else { 1 })
        }
    }
}

fn check(options: &Instructions) -> anyhow::Result<()> {
    ensure!(
        !cfg!(debug_assertions),
        "built without optimisation, the counts mean nothing; use --release"
    );
    ensure!(
        2 * options.messages <= MOST_MESSAGES,
        "at most {} messages can be counted",
        MOST_MESSAGES / 2
    );
    count::find_valgrind()?;
    if options.save {
        let mut counts = Vec::new();
        for scenario in Scenario::ALL {
            let count = count(scenario, options)?;
            println!(
                "{:<14}{:>12.1}   spread {}",
                scenario.name(),
                count.median,
                percent(count.spread)
            );
            counts.push((scenario.name(), count.median));
        }
        let path = Baseline::new(&counts).save()?;
        println!("saved to {}", path.display());
        return Ok(());
    }
    let baseline = Baseline::load()?;
    let (then, now) = (baseline.built(), Built::now());
    if then != now {
        println!("note: the baseline was made with {then}, this is {now}; compared all the same");
    }
    compare(&baseline, options)
}

fn count(scenario: Scenario, options: &Instructions) -> anyhow::Result<Count> {
    count::per_message(scenario, options.messages, options.rounds)
        .with_context(|| format!("{} was not counted", scenario.name()))
}

fn compare(baseline: &Baseline, options: &Instructions) -> anyhow::Result<()> {
    let mut dearer = Vec::new();
    let mut is_cheaper = false;
    println!(
        "{:<14}{:>12}{:>12}{:>12}{:>12}",
        "per message", "baseline", "now", "change", "spread"
    );
    for scenario in Scenario::ALL {
        let name = scenario.name();
        let then = baseline
            .of(name)
            .with_context(|| format!("the baseline has no {name}; save a new one with --save"))?;
        let now = count(scenario, options)?;
        let change = now.median / then - 1.0;
        println!(
            "{name:<14}{then:>12.1}{:>12.1}{:>12}{:>12}",
            now.median,
            format!("{:+.2} %", change * 100.0),
            percent(now.spread),
        );
        if change > TOLERANCE {
            dearer.push(format!("{name} by {}", percent(change)));
        }
        is_cheaper |= change < -TOLERANCE;
    }
    ensure!(
        dearer.is_empty(),
        "more than {:.0} % above the baseline: {}",
        TOLERANCE * 100.0,
        dearer.join(", ")
    );
    if is_cheaper {
        println!(
            "note: more than {:.0} % below the baseline; save it with --save",
            TOLERANCE * 100.0
        );
    }
    Ok(())
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}
