//! What is counted: a sender and a receiver on one thread, and as many messages as asked for.
//!
//! Whatever does not depend on the number of messages cancels out, see `count`; so the pool is as large
//! for few messages as for many, and large enough that no one waits for an envelope.

use std::hint::black_box;

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use mycelia::prelude::*;
use mycelia::time::Clock;

/// Messages that the pool has envelopes for.
pub(crate) const MOST_MESSAGES: u64 = 100_000;
/// Envelopes; more than messages, for the question at the end and its answer.
const POOL: usize = MOST_MESSAGES as usize + 1000;
/// Paths that a sender by path goes through, all equally long.
const PATHS: u64 = 1000;

/// One way to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Tells by a resolved handle
    TellHandle,
    /// Tells by the text of a path, with a capture
    TellPath,
    /// Asks by a resolved handle, one at a time
    AskHandle,
    /// The same of a handler that takes its reply, and gives it at once
    AskDeferred,
    /// Resolves a handle from the text of a pattern; sends nothing
    Resolve,
}

impl Scenario {
    /// All, in the order of the table.
    pub(crate) const ALL: [Scenario; 5] = [
        Scenario::TellHandle,
        Scenario::TellPath,
        Scenario::AskHandle,
        Scenario::AskDeferred,
        Scenario::Resolve,
    ];

    /// Its name on the command line and in the baseline.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scenario::TellHandle => "tell-handle",
            Scenario::TellPath => "tell-path",
            Scenario::AskHandle => "ask-handle",
            Scenario::AskDeferred => "ask-deferred",
            Scenario::Resolve => "resolve",
        }
    }

    /// Runs it once.
    ///
    /// # Errors
    /// A send failed, the receiver did not handle exactly what was sent, or the ledger does not close.
    pub(crate) fn run(self, messages: u64) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(self.play(messages))
    }

    async fn play(self, messages: u64) -> anyhow::Result<()> {
        let (clock, _hand) = Clock::manual();
        let builder = System::builder().threads(1).pool(POOL).clock(clock);
        let system = builder.start().await?;
        system.mount(Receiver::default).await?;
        system.mount(Sender::default).await?;
        let drive = Drive(self, messages);
        let driven = system.ask("sender://drive", drive).await;
        let pool = system.snapshot().pool;
        let report = system.stop().await?;
        driven?;
        let ledger = report.ledger;
        ensure!(
            ledger.closes() && ledger.is_quiet(),
            "the ledger does not close: {ledger:?}"
        );
        ensure!(
            pool.high_water < pool.capacity,
            "the sender may have waited for envelopes: {pool:?}"
        );
        Ok(())
    }
}

#[derive(Message)]
struct Add(u64);

#[derive(Message)]
#[message(reply = u64)]
struct Ask(u64);

/// How many messages came, each at its turn.
#[derive(Message)]
#[message(reply = u64)]
struct Handled;

#[derive(Subsystem, Default)]
#[subsystem(name = "receiver")]
struct Receiver {
    handled: u64,
}

impl Receiver {
    /// Counts a message that comes at its turn: after a lost or doubled one no other does.
    fn count(&mut self, n: u64) {
        self.handled += u64::from(self.handled == n);
    }
}

#[routes]
impl Receiver {
    #[route("add")]
    fn add(&mut self, Add(n): Add) {
        self.count(n);
    }

    #[route("users/{id}")]
    fn add_user(&mut self, Add(n): Add, Path(id): Path<u64>) {
        black_box(id);
        self.count(n);
    }

    #[route("ask")]
    fn ask(&mut self, Ask(n): Ask) -> u64 {
        self.count(n);
        n + 1
    }

    #[route("deferred")]
    fn defer(&mut self, Ask(n): Ask, reply: Reply<Ask>) {
        self.count(n);
        reply.send(n + 1);
    }

    #[route("handled")]
    fn handled(&mut self, _: Handled) -> u64 {
        self.handled
    }
}

#[derive(Message)]
struct Drive(Scenario, u64);

#[derive(Subsystem, Default)]
#[subsystem(name = "sender")]
struct Sender;

#[routes]
impl Sender {
    #[route("drive")]
    async fn drive(
        &mut self,
        Drive(scenario, messages): Drive,
        system: System,
    ) -> anyhow::Result<()> {
        let expected = match scenario {
            Scenario::Resolve => 0,
            _ => messages,
        };
        match scenario {
            Scenario::TellHandle => tell_handle(&system, messages).await?,
            Scenario::TellPath => tell_path(&system, messages).await?,
            Scenario::AskHandle => ask_handle(&system, "receiver://ask", messages).await?,
            Scenario::AskDeferred => ask_handle(&system, "receiver://deferred", messages).await?,
            Scenario::Resolve => resolve(&system, messages)?,
        }
        let handled = system.ask("receiver://handled", Handled).await?;
        ensure!(
            handled == expected,
            "{expected} messages were sent and {handled} were handled at their turn"
        );
        Ok(())
    }
}

async fn tell_handle(system: &System, messages: u64) -> anyhow::Result<()> {
    let add = system.route::<Add>("receiver://add")?;
    for n in 0..messages {
        add.tell(Add(n)).await?;
    }
    Ok(())
}

async fn tell_path(system: &System, messages: u64) -> anyhow::Result<()> {
    let paths: Vec<String> = (0..PATHS)
        .map(|i| format!("receiver://users/{}", PATHS + i))
        .collect();
    for (n, path) in (0..messages).zip(paths.iter().cycle()) {
        system.tell(path.as_str(), Add(n)).await?;
    }
    Ok(())
}

async fn ask_handle(system: &System, pattern: &str, messages: u64) -> anyhow::Result<()> {
    let ask = system.route::<Ask>(pattern)?;
    for n in 0..messages {
        let reply = ask.ask(Ask(n)).await?;
        ensure!(reply == n + 1, "{n} was answered with {reply}");
    }
    Ok(())
}

fn resolve(system: &System, messages: u64) -> anyhow::Result<()> {
    for n in 0..messages {
        let text = black_box("receiver://users/{id}");
        let route = system.route::<Add>(text);
        black_box(route.with_context(|| format!("the {n}th time"))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_handles_exactly_what_it_sends() -> anyhow::Result<()> {
        for scenario in Scenario::ALL {
            scenario.run(1000).context(scenario.name())?;
        }
        Ok(())
    }

    #[test]
    fn a_lost_and_a_doubled_message_show() {
        let handled = |numbers: &[u64]| {
            let mut receiver = Receiver::default();
            numbers.iter().for_each(|&n| receiver.count(n));
            receiver.handled
        };
        assert_eq!(handled(&[0, 1, 2]), 3);
        assert_eq!(handled(&[0, 2, 3]), 1);
        assert_eq!(handled(&[0, 0, 1, 3]), 2);
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        for scenario in Scenario::ALL {
            assert_eq!(Scenario::from_str(scenario.name(), false), Ok(scenario));
        }
    }
}
