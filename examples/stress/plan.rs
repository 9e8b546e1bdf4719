//! Plans: what one run is to do.

use std::time::Duration;

use clap::ValueEnum;
use mycelia::Builder;
use mycelia::schedule::{Adaptive, LoadBased, RoundRobin, Weighted};

/// How messages are kept in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Tells, in bursts; a burst has ended when all of it has been handled.
    Burst,
    /// Asks, one at a time: the next is sent when the last is answered.
    Sequential,
    /// Asks, so many in flight at once.
    Window,
    /// Bursts, one after another, for a time.
    Sustained,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::Burst => "burst",
            Mode::Sequential => "sequential",
            Mode::Window => "window",
            Mode::Sustained => "sustained",
        }
    }
}

/// How messages are addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Addressing {
    Textual,
    Typed,
}

impl Addressing {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Addressing::Textual => "textual",
            Addressing::Typed => "typed",
        }
    }

    /// For a heading.
    pub(crate) fn long_name(self) -> &'static str {
        match self {
            Addressing::Textual => "textual paths",
            Addressing::Typed => "resolved handles",
        }
    }
}

/// How the supervisor slices the threads' time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StrategyName {
    RoundRobin,
    /// By the weights of the mounts.
    #[value(alias = "priority")]
    Weighted,
    LoadBased,
    Adaptive,
}

impl StrategyName {
    /// Gives a system this strategy.
    pub(crate) fn give_to(self, builder: Builder) -> Builder {
        match self {
            StrategyName::RoundRobin => builder.strategy(RoundRobin::default()),
            StrategyName::Weighted => builder.strategy(Weighted::default()),
            StrategyName::LoadBased => builder.strategy(LoadBased::default()),
            StrategyName::Adaptive => builder.strategy(Adaptive::default()),
        }
    }
}

/// When a run has sent enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Until {
    Messages(u64),
    Elapsed(Duration),
}

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) mode: Mode,
    pub(crate) addressing: Addressing,
    pub(crate) until: Until,
    pub(crate) pool: usize,
    /// Messages of a burst.
    pub(crate) burst: u64,
    /// Between bursts.
    pub(crate) pause: Duration,
    /// Asks in flight at once.
    pub(crate) window: u64,
    pub(crate) threads: usize,
    pub(crate) senders: u64,
    pub(crate) strategy: StrategyName,
}

impl Plan {
    /// Messages sent before anything is measured: enough to have had every envelope in flight.
    pub(crate) fn warm_up(&self) -> u64 {
        (2 * self.pool as u64).max(10_000)
    }

    /// Messages between two looks at the clock, at Ctrl-C and at the windows: small enough that a
    /// window of throughput spans several.
    pub(crate) fn stride(&self) -> u64 {
        match self.until {
            Until::Messages(messages) => {
                (messages / self.senders / (4 * crate::pace::WINDOWS)).clamp(1, 1000)
            }
            Until::Elapsed(_) => 1000,
        }
    }

    /// The part of `from..to` that a sender of that rank sends.
    pub(crate) fn share(&self, from: u64, to: u64, rank: u64) -> std::ops::Range<u64> {
        let part = |rank| {
            from + (u128::from(to - from) * u128::from(rank) / u128::from(self.senders)) as u64
        };
        part(rank)..part(rank + 1)
    }

    pub(crate) fn strategy_name(&self) -> String {
        let value = self.strategy.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub(crate) fn title(&self) -> String {
        let addressing = self.addressing.long_name();
        match self.mode {
            Mode::Burst => format!("burst, {addressing}"),
            Mode::Sequential => format!("sequential, {addressing}"),
            Mode::Window => format!("window of {}, {addressing}", self.window),
            Mode::Sustained => format!("sustained, {addressing}"),
        }
    }
}
