//! Run with `cargo run --example timers_and_streams`
//!
//! A subsystem that sends itself messages: once, again and again, or as many as a stream has.

use futures_util::{StreamExt, stream};
use mycelia::prelude::*;
use mycelia::schedule::{MissedTick, Task};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

#[derive(Message)]
struct Alarm;

#[derive(Message)]
struct Beat;

#[derive(Message)]
struct Line(String);

#[derive(Message)]
#[message(reply = usize)]
struct Count;

/// What `main` waits for.
struct Done(Semaphore);

/// What a slow handler waits for.
struct Gate(Semaphore);

// ANCHOR: timers
#[derive(Subsystem, Default)]
struct Heart {
    beats: usize,
    beating: Option<Task>,
}

#[routes]
impl Heart {
    #[started]
    fn start(&mut self, ctx: Context) -> anyhow::Result<()> {
        ctx.after(Duration::from_millis(50), "alarm", Alarm)?;
        let period = Duration::from_millis(10);
        self.beating = Some(ctx.every(period, MissedTick::Skip, "beat", || Beat)?);
        Ok(())
    }

    #[route("beat")]
    fn beat(&mut self, _: Beat, State(done): State<Done>) {
        self.beats += 1;
        println!("beat {}", self.beats);
        if self.beats == 3
            && let Some(beating) = self.beating.take()
        {
            beating.cancel();
            done.0.add_permits(1);
        }
    }

    #[route("alarm")]
    fn alarm(&mut self, _: Alarm, State(done): State<Done>) {
        println!("the alarm rings, once");
        done.0.add_permits(1);
    }

    #[route("count")]
    fn count(&mut self, _: Count) -> usize {
        self.beats
    }
}
// ANCHOR_END: timers

/// Handles its first beat for as long as the gate is closed.
#[derive(Subsystem)]
struct Slow {
    missed: MissedTick,
}

#[routes]
impl Slow {
    #[started]
    fn start(&mut self, ctx: Context) -> anyhow::Result<()> {
        ctx.every(Duration::from_millis(10), self.missed, "beat", || Beat)?;
        Ok(())
    }

    #[route("beat")]
    async fn beat(&mut self, _: Beat, State(gate): State<Gate>) -> anyhow::Result<()> {
        let _open = gate.0.acquire().await?;
        Ok(())
    }
}

// ANCHOR: stream
#[derive(Subsystem, Default)]
struct Reader {
    letters: usize,
}

#[routes]
impl Reader {
    #[started]
    fn read(&mut self, ctx: Context) -> anyhow::Result<()> {
        // Any stream: a socket's lines, a channel's values. For the next one it is polled when there was
        // room for the last.
        let lines = stream::iter(["one", "two", "three"]).map(|line| Line(line.into()));
        ctx.stream("line", lines)?;
        Ok(())
    }

    #[route("line")]
    fn line(&mut self, Line(line): Line, State(done): State<Done>) {
        println!("line `{line}`");
        self.letters += line.len();
        done.0.add_permits(1);
    }

    #[route("count")]
    fn count(&mut self, _: Count) -> usize {
        self.letters
    }
}
// ANCHOR_END: stream

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    let done = Arc::new(Done(Semaphore::new(0)));
    let gate = Arc::new(Gate(Semaphore::new(0)));
    let system = System::builder()
        .shared_state(done.clone())
        .shared_state(gate.clone())
        .start()
        .await?;

    system.mount(Heart::default).await?;
    done.0.acquire_many(2).await?.forget(); // three beats, and the alarm
    assert_eq!(system.ask("heart://count", Count).await?, 3);

    system.mount(Reader::default).await?;
    done.0.acquire_many(3).await?.forget();
    assert_eq!(system.ask("reader://count", Count).await?, 11);

    // A timer whose subsystem is busy skips what it missed, or makes up for it.
    for (name, missed) in [("skip", MissedTick::Skip), ("burst", MissedTick::Burst)] {
        system.mount_as(name, move || Slow { missed }).await?;
    }
    let sent = |name| system.snapshot().subsystem(name).map(|one| one.ledger.sent);
    while sent("burst") < Some(5) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (skip, burst) = (sent("skip").unwrap_or(0), sent("burst").unwrap_or(0));
    println!("while the first beat was handled: skip sent {skip}, burst sent {burst}");
    assert!(skip <= 1 && burst >= 5);

    gate.0.add_permits(1);
    system.stop().await?; // ends the timers too
    Ok(())
}
