//! Options: what the command line may say, and what is wrong with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use examples_lib::options::{CommandLine, outside};

/// Runs a mixed load for a long time, and proves that neither memory nor latency creeps up and that
/// every message is accounted for.
///
/// Exit status: 0 healthy, 1 unhealthy, 2 bad options, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "soak", version, allow_negative_numbers = true)]
pub(crate) struct Options {
    /// How long, in minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 60.0)]
    minutes: f64,

    /// Messages that are told and asked per second
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pub(crate) rate: u64,

    /// Threads for subsystems
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) threads: usize,

    /// Also write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl CommandLine for Options {
    fn mistakes(&self) -> Vec<Option<String>> {
        vec![
            outside("--minutes", self.minutes, 0.1..=1e6),
            outside("--rate", self.rate, 100..=1_000_000),
            outside("--threads", self.threads, 1..=1024),
        ]
    }

    fn json(&self) -> Option<&Path> {
        self.json.as_deref()
    }
}

impl Options {
    /// How long it runs.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }
}
