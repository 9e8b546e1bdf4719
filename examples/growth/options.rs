//! Options: what the command line may say, and what is wrong with it.

use clap::Parser;
use examples_lib::options::{CommandLine, mistake};

use crate::feature::Feature;

/// Uses every feature over and over, and counts the live bytes of the heap: what has ended must be freed.
///
/// Exit status: 0 healthy, 1 unhealthy, 2 bad options, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "growth", version)]
pub(crate) struct Options {
    /// Operations of each feature; those that start threads or subsystems do a part of them
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(crate) operations: u64,

    /// The same number of operations of every feature, however long that takes
    #[arg(long)]
    pub(crate) full: bool,

    /// Only this feature
    #[arg(long, value_enum)]
    feature: Option<Feature>,
}

impl CommandLine for Options {
    fn mistakes(&self) -> Vec<Option<String>> {
        let text = "--operations: at least 400, for four quarters that can be told apart";
        vec![mistake(self.operations < 400, text)]
    }
}

impl Options {
    pub(crate) fn features(&self) -> Vec<Feature> {
        match self.feature {
            Some(feature) => vec![feature],
            None => Feature::ALL.to_vec(),
        }
    }

    /// How many operations of a feature are done in each quarter.
    pub(crate) fn quarter(&self, feature: Feature) -> u64 {
        let all = match self.full {
            true => self.operations,
            false => (self.operations / feature.weight()).max(200),
        };
        all.div_ceil(4).next_multiple_of(4)
    }
}
