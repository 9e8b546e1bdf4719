//! The workloads: one question each, put to every contender that can answer it.

pub mod ask;
pub mod light;
pub mod overload;
pub mod recovery;
pub mod resolve;
pub mod spawn;
pub mod tell;

pub mod scale;

use crate::savina;
use crate::workload::Workload;

/// All workloads, in the order in which they run.
pub fn all() -> Vec<Workload> {
    let mut all = Vec::new();
    all.extend(tell::workloads());
    all.extend(ask::workloads());
    all.extend(savina::ping_pongs());
    all.extend(light::workloads());
    all.extend(spawn::workloads());
    all.extend(overload::workloads());
    all.extend(recovery::workloads());
    all.extend(resolve::workloads());
    all.extend(scale::workloads());
    all
}
