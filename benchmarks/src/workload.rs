//! A workload: a question, who can answer it, and what an answer is made of.

use std::time::Instant;

use crate::allocator::{self, Count};
use crate::contender::Contender;

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Messages of the throughput workloads; others take a share.
    pub messages: u64,
}

impl Load {
    /// One in `share` of the messages, but at least `least`.
    pub fn share(&self, share: u64, least: u64) -> u64 {
        (self.messages / share).max(least)
    }
}

/// What one run of one contender has measured.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The figure of the workload, in its unit; less is better.
    pub value: f64,
    /// Allocations per message; meaningful only while allocations are counted.
    pub allocations: Option<f64>,
    /// What else there is to say.
    pub notes: Vec<Note>,
}

/// A second figure.
#[derive(Debug, Clone)]
pub struct Note {
    /// What it is.
    pub name: &'static str,
    /// In which unit.
    pub unit: &'static str,
    /// How much.
    pub value: f64,
}

impl Reading {
    /// A reading without allocations.
    pub fn of(value: f64) -> Self {
        Reading {
            value,
            ..Reading::default()
        }
    }

    /// Adds a second figure.
    pub fn note(mut self, name: &'static str, unit: &'static str, value: f64) -> Self {
        self.notes.push(Note { name, unit, value });
        self
    }
}

/// A contender's way to run a workload.
pub type Run = fn(Load) -> anyhow::Result<Reading>;

/// One contender of a workload.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The contender's name.
    pub contender: &'static str,
    /// Runs it once.
    pub run: Run,
}

/// A question, and who can answer it.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Its name in tables and filters.
    pub name: &'static str,
    /// The question.
    pub title: &'static str,
    /// The unit of its figure.
    pub unit: &'static str,
    /// Who runs it, the first first.
    pub entries: Vec<Entry>,
    /// False if a ratio of two figures says nothing.
    pub has_ratios: bool,
    /// Takes so long that a quick run leaves it out, unless it is asked for by name.
    pub is_long: bool,
}

impl Workload {
    /// A workload without contenders.
    pub fn new(name: &'static str, title: &'static str, unit: &'static str) -> Self {
        Workload {
            name,
            title,
            unit,
            entries: Vec::new(),
            has_ratios: true,
            is_long: false,
        }
    }

    /// Adds a contender.
    pub fn with<C: Contender>(mut self, run: Run) -> Self {
        self.entries.push(Entry {
            contender: C::NAME,
            run,
        });
        self
    }

    /// Leaves it out of quick runs.
    pub fn long(mut self) -> Self {
        self.is_long = true;
        self
    }

    /// Leaves the ratios out.
    pub fn without_ratios(mut self) -> Self {
        self.has_ratios = false;
        self
    }
}

/// Time and allocations from here on.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    begun: Instant,
    before: Count,
}

impl Meter {
    /// Begins to measure.
    pub fn start() -> Self {
        let before = allocator::so_far();
        Meter {
            begun: Instant::now(),
            before,
        }
    }

    /// Nanoseconds and allocations for each of `count`.
    pub fn each(self, count: u64) -> Reading {
        let elapsed = self.begun.elapsed();
        let allocations = allocator::so_far().allocations - self.before.allocations;
        Reading {
            value: elapsed.as_nanos() as f64 / count as f64,
            allocations: Some(allocations as f64 / count as f64),
            notes: Vec::new(),
        }
    }
}
