//! What all rounds came to, and the ratios that are taken of them.

use crate::stats;
use crate::workload::{Note, Workload};

/// The contender that ratios are taken to, besides mycelia.
pub const BASE: &str = "actix";
/// mycelia as ratios are taken to it.
pub const OURS: &str = "mycelia";

/// All rounds of one contender on one workload.
#[derive(Debug, Clone)]
pub struct Row {
    /// The contender.
    pub contender: &'static str,
    /// The figure of each round.
    pub values: Vec<f64>,
    /// Allocations per message, from the counting round.
    pub allocations: Option<f64>,
    /// Second figures: the medians over the rounds, and those of the counting round only.
    pub notes: Vec<Note>,
}

impl Row {
    /// The median over the rounds.
    pub fn median(&self) -> f64 {
        stats::median(&self.values)
    }
}

/// A workload that has been run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Which.
    pub workload: Workload,
    /// By contender.
    pub rows: Vec<Row>,
}

impl Outcome {
    pub(super) fn row(&self, contender: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.contender == contender)
    }

    /// How many times as fast as raw actix a contender is: the median of the paired ratios.
    pub fn against_base(&self, row: &Row) -> Option<f64> {
        let base = self.row(BASE)?;
        let has_ratio = self.workload.has_ratios && base.contender != row.contender;
        stats::paired_ratio(&base.values, &row.values).filter(|_| has_ratio)
    }

    /// How many times as fast as a contender mycelia is: the median of the paired ratios.
    pub fn ours_against(&self, row: &Row) -> Option<f64> {
        let ours = self.row(OURS)?;
        let has_ratio = self.workload.has_ratios && ours.contender != row.contender;
        stats::paired_ratio(&row.values, &ours.values).filter(|_| has_ratio)
    }
}
