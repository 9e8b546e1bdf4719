//! Options: what the command line may say, and what is wrong with it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::common::verdict::check_writable;

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
    pub(crate) json: Option<PathBuf>,
}

impl Options {
    /// Looks for what can't be run, before anything is run.
    ///
    /// # Errors
    /// One line that says what to change.
    pub(crate) fn check(&self) -> Result<(), String> {
        let minutes = Duration::try_from_secs_f64(self.minutes * 60.0);
        let mistakes = [
            (
                minutes.is_err() || !(0.1..=1e6).contains(&self.minutes),
                "--minutes must be 0.1 to 1000000",
            ),
            (
                !(100..=1_000_000).contains(&self.rate),
                "--rate must be 100 to 1000000",
            ),
            (
                !(1..=1024).contains(&self.threads),
                "--threads must be 1 to 1024",
            ),
        ];
        if let Some((_, mistake)) = mistakes.into_iter().find(|(is_mistake, _)| *is_mistake) {
            return Err(mistake.to_owned());
        }
        check_writable(self.json.as_deref())
    }

    /// How long it runs.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }
}
