//! Options: what the command line may say, and what is wrong with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use examples_lib::options::{CommandLine, mistake, outside};
use mycelia::schedule::Overflow;

/// Sends ten times as fast as the handler handles, under each overflow policy, and proves that memory
/// stays where it is and that every message is accounted for.
///
/// Exit status: 0 healthy, 1 unhealthy, 2 bad options, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "flood", version, allow_negative_numbers = true)]
pub(crate) struct Options {
    /// How long each policy is flooded, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    seconds: f64,

    /// How long the handler is busy with each message, in microseconds
    #[arg(long, value_name = "US", default_value_t = 50)]
    work_us: u64,

    /// How many times as fast as the handler the producer wants to send
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) times: u64,

    /// Room of the mailbox, in messages
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) capacity: u32,

    /// Only this policy
    #[arg(long, value_enum)]
    policy: Option<Policy>,

    /// Also write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Policy {
    /// The producer waits for room
    Wait,
    /// The producer gets the message back
    Reject,
    /// The new message is dropped
    DropNewest,
    /// The message that has waited longest is dropped
    DropOldest,
}

impl Policy {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Policy::Wait => "wait",
            Policy::Reject => "reject",
            Policy::DropNewest => "drop-newest",
            Policy::DropOldest => "drop-oldest",
        }
    }

    pub(crate) fn overflow(self) -> Overflow {
        match self {
            Policy::Wait => Overflow::Wait,
            Policy::Reject => Overflow::Reject,
            Policy::DropNewest => Overflow::DropNewest,
            Policy::DropOldest => Overflow::DropOldest,
        }
    }
}

impl CommandLine for Options {
    fn mistakes(&self) -> Vec<Option<String>> {
        let seconds = Duration::try_from_secs_f64(self.seconds);
        let is_short = seconds.is_err() || self.seconds < 1.0;
        vec![
            mistake(is_short, "--seconds must be at least 1"),
            outside("--work-us", self.work_us, 1..=100_000),
            outside("--times", self.times, 2..=1_000),
            outside("--capacity", self.capacity, 2..=100_000),
        ]
    }

    fn json(&self) -> Option<&Path> {
        self.json.as_deref()
    }
}

impl Options {
    /// For how long each policy is flooded.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// How long the handler is busy with each message.
    pub(crate) fn work(&self) -> Duration {
        Duration::from_micros(self.work_us)
    }

    /// Messages per second that the producer wants to send.
    pub(crate) fn rate(&self) -> f64 {
        self.times as f64 / self.work().as_secs_f64()
    }

    pub(crate) fn policies(&self) -> Vec<Policy> {
        match self.policy {
            Some(policy) => vec![policy],
            None => vec![
                Policy::Wait,
                Policy::Reject,
                Policy::DropNewest,
                Policy::DropOldest,
            ],
        }
    }
}
