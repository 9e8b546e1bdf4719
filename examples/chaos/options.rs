//! Options: what the command line may say, and what is wrong with it.

use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use examples_lib::options::{CommandLine, mistake, outside};

/// Sends numbered messages while subsystems panic, fail, are killed, mounted and unmounted, and proves
/// that each message ended exactly once and in order.
///
/// Exit status: 0 healthy, 1 unhealthy, 2 bad options, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "chaos", version)]
pub(crate) struct Options {
    /// Messages under chaos, of all rounds together; as many again are sent in calm
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(crate) messages: u64,

    /// Messages per second, of all senders together
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub(crate) rate: u64,

    /// Rounds; each is calm first, then chaos, or the other way round
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) rounds: u64,

    /// Threads for subsystems
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) threads: usize,

    /// Threads that send
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) senders: usize,

    /// Decides where every message goes, what happens to it, and whom the attacker attacks; which
    /// thread runs when it does not decide [default: one by chance, which is printed]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Falsifies one message, to see that it is noticed
    #[arg(long, value_enum)]
    pub(crate) plant: Option<Plant>,

    /// Also write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What the program does to one message of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plant {
    /// It says that it was sent, and does not send it
    Lose,
    /// It sends it a second time
    Twice,
    /// It sends it after a later one
    Reorder,
}

impl CommandLine for Options {
    fn mistakes(&self) -> Vec<Option<String>> {
        vec![
            mistake(
                !(1_000..=1_000_000_000).contains(&self.messages),
                "--messages must be 1,000 to 1,000,000,000",
            ),
            mistake(self.rate == 0, "--rate must be at least 1"),
            outside("--rounds", self.rounds, 1..=1000),
            outside("--threads", self.threads, 1..=1024),
            outside("--senders", self.senders, 1..=64),
        ]
    }

    fn json(&self) -> Option<&Path> {
        self.json.as_deref()
    }
}
