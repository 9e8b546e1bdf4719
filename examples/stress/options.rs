//! Options: what the command line may say, what is wrong with it, and which plans it means.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use examples_lib::options::{CommandLine, mistake, outside};

use crate::plan::{Addressing, Mode, Plan, StrategyName, Until};

/// Messages per run, unless stated.
const MESSAGES: u64 = 1_000_000;
/// Sequential asks, unless stated: each is a round trip between two threads, some 45 µs, so that a
/// million would take 45 s.
const SEQUENTIAL: u64 = 100_000;
/// More envelopes than this a system does not take.
const MOST_ENVELOPES: usize = 16_777_207;

/// Sends real messages through the whole framework, proves that each was handled, and reports how
/// fast.
///
/// Exit status: 0 healthy, 1 unhealthy, 2 bad options, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "stress", version, allow_negative_numbers = true)]
pub(crate) struct Options {
    /// Messages of each run [default: 1000000; sequential runs of `all`: at most 100000]
    #[arg(long, value_name = "N")]
    messages: Option<u64>,

    /// Envelopes of the pool: the most messages in flight
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pool: usize,

    /// Messages of a burst
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    burst: u64,

    /// Pause between bursts, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pause_ms: u64,

    /// What to run
    #[arg(long, value_enum, default_value_t = ModeName::All)]
    mode: ModeName,

    /// Asks in flight at once, of all senders together (mode window) [default: 100, or the pool]
    #[arg(long, value_name = "N")]
    window: Option<u64>,

    /// How long to go on, in seconds (mode sustained)
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    duration: f64,

    /// Threads for subsystems
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) threads: usize,

    /// Threads that send
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) senders: u64,

    /// How the supervisor slices the threads' time
    #[arg(long, value_enum, default_value_t = StrategyName::RoundRobin)]
    strategy: StrategyName,

    /// Send to handles that were resolved once
    #[arg(long, conflicts_with = "textual")]
    typed: bool,

    /// Send to paths as text, as the original does [default; `all` runs bursts both ways]
    #[arg(long)]
    textual: bool,

    /// Run as the original did: bursts of 10,000 out of a pool of 5,000, 100 ms pause between them
    #[arg(long, conflicts_with_all = ["pool", "burst", "pause_ms", "mode", "typed", "senders"])]
    seed_replica: bool,

    /// Also write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModeName {
    /// Tells in bursts
    Burst,
    /// Asks, one at a time
    Sequential,
    /// Asks, so many in flight at once
    Window,
    /// Bursts for a time
    Sustained,
    /// Bursts on textual paths, bursts on resolved handles, sequential, window
    All,
}

impl CommandLine for Options {
    fn mistakes(&self) -> Vec<Option<String>> {
        let seconds = Duration::try_from_secs_f64(self.duration);
        let (pool, senders) = (self.pool, self.senders);
        let window = |is_mistake: &dyn Fn(u64) -> bool| self.window.is_some_and(is_mistake);
        vec![
            mistake(self.messages == Some(0), "--messages must be at least 1"),
            mistake(
                !(1..=MOST_ENVELOPES).contains(&pool),
                format!("--pool must be 1 to {MOST_ENVELOPES} envelopes"),
            ),
            mistake(self.burst == 0, "--burst must be at least 1 message"),
            mistake(
                window(&|width| width == 0),
                "--window must be at least 1 message",
            ),
            outside("--threads", self.threads, 1..=1024),
            outside("--senders", senders, 1..=64),
            mistake(
                seconds.is_err() || self.duration <= 0.0,
                "--duration must be more than 0 seconds",
            ),
            mistake(
                window(&|width| width > pool as u64),
                format!("--window must be at most --pool, which is {pool}"),
            ),
            mistake(
                window(&|width| width < senders),
                format!("--window must be at least --senders, which is {senders}"),
            ),
        ]
    }

    fn json(&self) -> Option<&Path> {
        self.json.as_deref()
    }
}

impl Options {
    /// The runs, in order.
    pub(crate) fn plans(&self) -> Vec<Plan> {
        let textual = if self.typed {
            Addressing::Typed
        } else {
            Addressing::Textual
        };
        let messages = self.messages.unwrap_or(MESSAGES);
        if self.seed_replica {
            return vec![Plan {
                pause: Duration::from_millis(100),
                ..self.plan(Mode::Burst, Addressing::Textual, messages)
            }];
        }
        match self.mode {
            ModeName::Burst => vec![self.plan(Mode::Burst, textual, messages)],
            ModeName::Window => vec![self.plan(Mode::Window, textual, messages)],
            ModeName::Sequential => {
                let messages = self.messages.unwrap_or(SEQUENTIAL);
                vec![self.plan(Mode::Sequential, textual, messages)]
            }
            ModeName::Sustained => vec![Plan {
                until: Until::Elapsed(Duration::from_secs_f64(self.duration)),
                ..self.plan(Mode::Sustained, textual, 0)
            }],
            ModeName::All => {
                let mut plans = vec![self.plan(Mode::Burst, textual, messages)];
                if !self.typed && !self.textual {
                    plans.push(self.plan(Mode::Burst, Addressing::Typed, messages));
                }
                plans.push(self.plan(Mode::Sequential, textual, messages.min(SEQUENTIAL)));
                plans.push(self.plan(Mode::Window, textual, messages));
                plans
            }
        }
    }

    fn plan(&self, mode: Mode, addressing: Addressing, messages: u64) -> Plan {
        Plan {
            mode,
            addressing,
            until: Until::Messages(messages),
            pool: self.pool,
            burst: self.burst,
            pause: Duration::from_millis(self.pause_ms),
            window: self.window.unwrap_or(100.min(self.pool as u64)),
            threads: self.threads,
            senders: self.senders,
            strategy: self.strategy,
        }
    }
}
