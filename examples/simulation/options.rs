//! The command line.

use std::ops::Range;

use clap::{Parser, ValueEnum};
use mycelia_test::Plant;

/// Runs a model of a system, once per seed, on a scheduler that does its worst.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// How many seeds to run
    #[arg(long, default_value_t = 1000)]
    pub(crate) seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    pub(crate) first: u64,
    /// Run only this seed, and print what was decided
    #[arg(long, conflicts_with = "seeds")]
    pub(crate) seed: Option<u64>,
    /// Put an error into the framework, to see that it is found
    #[arg(long)]
    pub(crate) plant: Option<Planted>,
    /// Simulations at once [default: one per core]
    #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, usize::from), hide_default_value = true)]
    pub(crate) workers: usize,
}

/// Errors that can be put in.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Planted {
    /// Now and then a subsystem that sleeps is not woken
    LostWakeUp,
    /// Now and then an envelope is returned twice
    DoubleRelease,
    /// Now and then two messages change places
    Reorder,
}

impl Planted {
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or(String::new(), |value| value.get_name().to_owned())
    }
}

impl Options {
    pub(crate) fn seeds(&self) -> Range<u64> {
        self.first..self.first.saturating_add(self.seeds)
    }

    pub(crate) fn plant(&self) -> Option<Plant> {
        self.plant.map(|plant| match plant {
            Planted::LostWakeUp => Plant::LostWakeUp,
            Planted::DoubleRelease => Plant::DoubleRelease,
            Planted::Reorder => Plant::Reorder,
        })
    }
}
