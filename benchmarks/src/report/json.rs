//! The outcome as JSON, complete: every round of every contender.

use serde_json::{Map, Value, json};

use super::outcome::{Outcome, Row};
use super::run::Plan;
use crate::{allocator, process, stats, versions};

/// The versions of everything that is measured.
pub(super) const PACKAGES: [&str; 7] = [
    "mycelia",
    "actix",
    "kameo",
    "ractor",
    "xtra",
    "tokio",
    "crossbeam-channel",
];

fn row(outcome: &Outcome, row: &Row) -> Value {
    let notes: Map<String, Value> = row
        .notes
        .iter()
        .map(|note| (format!("{} ({})", note.name, note.unit), json!(note.value)))
        .collect();
    json!({
        "contender": row.contender,
        "median": row.median(),
        "min": stats::min(&row.values),
        "max": stats::max(&row.values),
        "rounds": row.values,
        "times_as_fast_as_actix": outcome.against_base(row),
        "mycelia_times_as_fast": outcome.ours_against(row),
        "allocations": row.allocations,
        "notes": notes,
    })
}

/// Everything that was measured, and on what.
pub fn document(outcomes: &[Outcome], plan: Plan) -> Value {
    let versions: Map<String, Value> = PACKAGES
        .iter()
        .map(|&package| (package.into(), versions::of(package).into()))
        .collect();
    let workloads: Vec<Value> = outcomes
        .iter()
        .map(|outcome| {
            json!({
                "name": outcome.workload.name,
                "title": outcome.workload.title,
                "unit": outcome.workload.unit,
                "rows": outcome.rows.iter().map(|r| row(outcome, r)).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "versions": versions,
        "allocator": allocator::NAME,
        "processor": process::processor(),
        "processors": process::processors(),
        "rounds": plan.rounds,
        "messages": plan.load.messages,
        "workloads": workloads,
    })
}
