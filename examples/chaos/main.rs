//! Run with `cargo run --release --example chaos`
//!
//! Sends a million numbered messages while handlers panic and fail, hooks, factories, drops, timers, captures
//! and wakers panic too, subsystems are killed, stopped, unmounted and mounted, and other systems are dropped
//! while they work, and proves by two accounts, the framework's and its own, that each message
//! ended exactly once and came in order. `-- --help` shows the options, `-- --plant lose` that the proof
//! can fail.
//!
//! It is read in this order: the [`scene`] is what subsystems there are; the [`senders`] send to them,
//! the [`attacker`] attacks, [`abandoned`] systems come and go, and [`faults`] are built in; every message notes in the [`log`] what became of it; a [`round`] is carried
//! out in calm or under attack, and the [`report`] says what must hold.
//!
//! Exit status: 0 healthy, 1 unhealthy, 2 bad options, 130 interrupted.

mod abandoned;
mod attacker;
mod faults;
mod log;
mod options;
mod report;
mod round;
mod scene;
mod senders;

use std::process::ExitCode;

use examples_lib::silence::Silence;
use examples_lib::verdict::{Verdict, conclude};
use examples_lib::{chance, interrupt, program, say};
use options::Options;
use senders::Plan;

#[mycelia::main]
async fn main() -> ExitCode {
    program::run(chaos).await
}

async fn chaos(options: &Options) -> anyhow::Result<Verdict> {
    let seed = options.seed.unwrap_or_else(chance::any_seed);
    report::configuration(options, seed);
    let silence = Silence::begin();
    let mut outcomes = Vec::new();
    'rounds: for round in 0..options.rounds {
        // Which of the two comes first alternates, so that neither has the better moments.
        for is_chaos in [round % 2 == 1, round % 2 == 0] {
            let plan = plan(options, seed, round, is_chaos);
            let title = format!("round {} of {}", round + 1, options.rounds);
            let outcome = round::run(title, plan, options.threads).await?;
            report::round(&outcome);
            outcomes.push(outcome);
            if interrupt::is_wanted() {
                break 'rounds;
            }
        }
    }
    drop(silence);
    report::summary(&outcomes);
    let checks = report::checks(&outcomes, interrupt::is_wanted());
    let verdict = conclude(&checks, options, || report::json(options, seed, &outcomes))?;
    if verdict == Verdict::Unhealthy {
        say!("\nto see it again, as far as threads allow: --seed {seed}");
    }
    Ok(verdict)
}

/// The same messages for both rounds of a pair.
fn plan(options: &Options, seed: u64, round: u64, is_chaos: bool) -> Plan {
    let more = u64::from(round < options.messages % options.rounds);
    Plan {
        messages: options.messages / options.rounds + more,
        senders: options.senders as u64,
        rate: options.rate,
        seed: chance::mix(seed ^ chance::mix(round)),
        is_chaos,
        plant: options.plant.filter(|_| is_chaos && round == 0),
    }
}
