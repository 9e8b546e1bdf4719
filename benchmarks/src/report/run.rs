//! Rounds: the contenders of a workload take turns, A B C A B C, so that a machine that changes its
//! speed meanwhile treats them alike. One more round, not timed, counts allocations.

use std::io::IsTerminal;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

use super::outcome::{Outcome, Row};
use crate::workload::{Load, Note, Reading, Workload};
use crate::{allocator, stats};

/// How much is run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Timed rounds.
    pub rounds: usize,
    /// How much of everything in each.
    pub load: Load,
}

/// Runs the workloads; the progress goes to standard error, if that is a terminal.
///
/// # Errors
/// A contender failed, or lost a message that it must not lose.
pub fn run(workloads: Vec<Workload>, plan: Plan) -> anyhow::Result<Vec<Outcome>> {
    let entries: usize = workloads
        .iter()
        .map(|workload| workload.entries.len())
        .sum();
    let bar = progress(entries * (plan.rounds + 1));
    let run_one = |workload| run_one(workload, plan, &bar);
    let outcomes = workloads.into_iter().map(run_one).collect();
    bar.finish_and_clear();
    outcomes
}

fn progress(steps: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = "{bar:32}  {percent:>3} %  {elapsed_precise}  {msg}";
    ProgressBar::new(steps as u64)
        .with_style(ProgressStyle::with_template(style).expect("the template is right"))
}

fn run_one(workload: Workload, plan: Plan, bar: &ProgressBar) -> anyhow::Result<Outcome> {
    let mut readings: Vec<Vec<Reading>> = vec![Vec::new(); workload.entries.len()];
    let step = |at: usize| -> anyhow::Result<Reading> {
        let entry = &workload.entries[at];
        bar.set_message(format!("{} {}", workload.name, entry.contender));
        let reading = (entry.run)(plan.load);
        bar.inc(1);
        reading.with_context(|| format!("{}, {}", workload.name, entry.contender))
    };
    for _ in 0..plan.rounds {
        for (at, readings) in readings.iter_mut().enumerate() {
            readings.push(step(at)?);
        }
    }
    let mut rows = Vec::with_capacity(readings.len());
    for (at, readings) in readings.into_iter().enumerate() {
        allocator::count(true);
        let counted = step(at);
        allocator::count(false);
        rows.push(row(workload.entries[at].contender, &readings, counted?));
    }
    Ok(Outcome { workload, rows })
}

fn row(contender: &'static str, readings: &[Reading], counted: Reading) -> Row {
    let note = |note: &Note| {
        let all = readings.iter().flat_map(|reading| &reading.notes);
        let values: Vec<f64> = all
            .filter(|other| other.name == note.name)
            .map(|other| other.value)
            .collect();
        Note {
            // What only the counting round knows stays as it says.
            value: if values.is_empty() {
                note.value
            } else {
                stats::median(&values)
            },
            ..note.clone()
        }
    };
    Row {
        contender,
        values: readings.iter().map(|reading| reading.value).collect(),
        allocations: counted.allocations,
        notes: counted.notes.iter().map(note).collect(),
    }
}
