//! Run with `cargo run --example priority_and_deadlines`
//!
//! What is urgent comes first, and what comes too late is not done at all.

use mycelia::prelude::*;
use mycelia::schedule::Priority;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

#[derive(Message)]
struct Hold;

#[derive(Message)]
struct Job(&'static str);

// ANCHOR: priority
/// Overtakes whatever waits.
#[derive(Message)]
#[message(reply = Vec<&'static str>, priority = control)]
struct Report;
// ANCHOR_END: priority

#[derive(Message)]
#[message(reply = Duration)]
struct TimeLeft;

struct Gate {
    begun: Semaphore,
    go_on: Semaphore,
}

#[derive(Subsystem, Default)]
struct Desk {
    done: Vec<&'static str>,
}

#[routes]
impl Desk {
    #[route("hold")]
    async fn hold(&mut self, _: Hold, State(gate): State<Gate>) -> anyhow::Result<()> {
        gate.begun.add_permits(1);
        gate.go_on.acquire().await?.forget();
        Ok(())
    }

    #[route("jobs")]
    fn job(&mut self, Job(name): Job) {
        self.done.push(name);
    }

    #[route("report")]
    fn report(&mut self, _: Report) -> Vec<&'static str> {
        self.done.clone()
    }

    // ANCHOR: deadline
    /// What is left of the asker's time, here or anywhere further down.
    #[route("time-left")]
    fn time_left(&mut self, _: TimeLeft, Deadline(left): Deadline) -> Duration {
        left.unwrap_or(Duration::MAX)
    }
    // ANCHOR_END: deadline
}

#[derive(Subsystem, Default)]
struct Front;

#[routes]
impl Front {
    /// It wants an hour, and has what is left of its asker's ten seconds.
    #[route("time-left")]
    async fn ask(&mut self, _: TimeLeft, system: System) -> anyhow::Result<Duration> {
        let hour = Duration::from_secs(3600);
        Ok(system
            .ask_within("desk://time-left", TimeLeft, hour)
            .await?)
    }
}

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    let gate = Arc::new(Gate {
        begun: Semaphore::new(0),
        go_on: Semaphore::new(0),
    });
    let system = System::builder().shared_state(gate.clone()).start().await?;
    system.mount(Desk::default).await?;
    system.mount(Front::default).await?;

    // The desk is busy, so all that follows has to wait.
    system.tell("desk://hold", Hold).await?;
    gate.begun.acquire().await?.forget();

    // ANCHOR: handle
    // The type of a message says how urgent it is, or the handle that it is sent by.
    let jobs = system.route::<Job>("desk://jobs")?;
    let low = jobs.with_priority(Priority::Low);
    let high = jobs.with_priority(Priority::High);
    // ANCHOR_END: handle
    low.tell(Job("sweep")).await?;
    jobs.tell(Job("write")).await?;
    high.tell(Job("answer the door")).await?;
    jobs.tell(Job("read")).await?;

    // An ask whose time is over before its handler begins is not handled.
    let soon = Duration::from_millis(20);
    let late = system.ask_within("desk://time-left", TimeLeft, soon).await;
    let error = late.unwrap_err();
    println!("too late:  {error}");
    assert!(matches!(error, AskError::DeadlineExceeded { .. }));

    // Sent last, handled first.
    let report = system.route::<Report>("desk://report")?;
    let open = async { gate.go_on.add_permits(1) };
    let (done, ()) = futures_util::future::join(report.ask(Report), open).await;
    println!("a report, sent last, found done: {:?}", done.as_ref().ok());
    assert!(done?.is_empty());

    let left = system
        .ask_within("front://time-left", TimeLeft, Duration::from_secs(10))
        .await?;
    println!("time left: {left:.1?}");
    assert!(left <= Duration::from_secs(10));

    // The handle may say otherwise than the type: this one comes after all the jobs.
    let done = report.with_priority(Priority::Low).ask(Report).await?;
    println!("in order:  {done:?}");
    assert_eq!(done, ["answer the door", "write", "read", "sweep"]);

    let report = system.stop().await?;
    println!("{:?}", report.ledger);
    assert_eq!(report.ledger.expired, 1);
    Ok(())
}
