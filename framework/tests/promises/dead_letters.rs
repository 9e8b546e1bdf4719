//! Promise 2, seen from outside: whatever is not handled can be seen, with path, type, reason, sender and trace.

use std::time::Duration;

use crate::common::{ON_PURPOSE, quiet, quiet_panics, until, watchdog};
use mycelia::error::{AskError, StopError};
use mycelia::observe::DeadReason;
use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = u32)]
struct Job(#[allow(dead_code, reason = "a body to carry")] u32);

#[derive(Message)]
struct Relay(u32);

#[derive(Subsystem, Default)]
struct Work;

#[routes]
impl Work {
    #[route("fail/{id}")]
    fn fail(&mut self, _: Job, Path(id): Path<u32>) -> anyhow::Result<u32> {
        anyhow::bail!("no {id}")
    }

    #[route("panic")]
    fn panic(&mut self, _: Job) -> u32 {
        panic!("{ON_PURPOSE}")
    }

    #[route("for/ever")]
    async fn for_ever(&mut self, _: Job) -> u32 {
        std::future::pending().await
    }
}

#[derive(Subsystem, Default)]
struct Front;

#[routes]
impl Front {
    #[route("relay")]
    async fn relay(&mut self, Relay(n): Relay, system: System) -> anyhow::Result<()> {
        system.tell("work://fail/7", Job(n)).await?;
        Ok(())
    }
}

async fn system() -> System {
    quiet_panics();
    let system = System::builder().threads(1).start().await.unwrap();
    system.mount(Work::default).await.unwrap();
    system.mount(Front::default).await.unwrap();
    system
}

#[mycelia::test]
async fn an_error_on_a_tell_becomes_a_dead_letter_with_all_that_is_known() {
    let _watch = watchdog();
    let system = system().await;
    let mut letters = system.dead_letters();
    system.tell("front://relay", Relay(1)).await.unwrap();
    let letter = letters.next().await.unwrap();
    assert_eq!(letter.path(), "work://fail/{id}");
    assert!(letter.message.ends_with("Job"));
    assert_eq!(letter.reason, DeadReason::Failed("no 7".into()));
    assert_eq!(letter.sender.as_deref(), Some("front"));
    let text = letter.to_string();
    assert!(
        text.contains("work://fail/{id}") && text.contains("no 7"),
        "{text}"
    );
    quiet(&system).await;
    let now = system.snapshot();
    assert_eq!(now.dead_letters, 1);
    assert_eq!(now.last_dead_letters, [letter]);
    assert_eq!(now.total.failed, 1);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn what_follows_from_a_message_has_its_trace() {
    let _watch = watchdog();
    let system = system().await;
    let mut letters = system.dead_letters();
    for n in 0..2 {
        system.tell("front://relay", Relay(n)).await.unwrap();
        system.tell("work://fail/1", Job(n)).await.unwrap();
    }
    let mut traces = Vec::new();
    for _ in 0..4 {
        traces.push(letters.next().await.unwrap().trace);
    }
    traces.sort();
    traces.dedup();
    assert_eq!(traces.len(), 4, "each was sent by itself");
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_panic_on_a_tell_becomes_one_too() {
    let _watch = watchdog();
    let system = system().await;
    let mut letters = system.dead_letters();
    system.tell("work://panic", Job(1)).await.unwrap();
    let reason = letters.next().await.unwrap().reason;
    assert_eq!(reason, DeadReason::Panicked(ON_PURPOSE.into()));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn what_an_asker_is_told_is_none() {
    let _watch = watchdog();
    let system = system().await;
    assert!(matches!(
        system.ask("work://fail/1", Job(1)).await,
        Err(AskError::Failed(_))
    ));
    assert!(matches!(
        system.ask("work://panic", Job(1)).await,
        Err(AskError::Panicked { .. })
    ));
    let late = system.ask_within("work://fail/1", Job(1), Duration::ZERO);
    assert!(late.await.is_err());
    quiet(&system).await;
    assert_eq!(system.snapshot().dead_letters, 0);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn what_a_stop_does_not_get_to_becomes_one() {
    let _watch = watchdog();
    let system = system().await;
    let mut letters = system.dead_letters();
    system.tell("work://for/ever", Job(1)).await.unwrap();
    for n in 0..3 {
        system.tell("work://fail/1", Job(n)).await.unwrap();
    }
    let stopped = system.stop_within(Duration::from_millis(20)).await;
    assert!(matches!(stopped, Err(StopError::DeadlineExceeded(_))));
    let mut count = 0;
    while let Some(letter) = letters.try_next() {
        assert_eq!(letter.reason, DeadReason::Undeliverable);
        count += 1;
    }
    assert_eq!(count, 4);
}

#[mycelia::test]
async fn a_slow_subscriber_learns_how_many_it_missed_and_holds_nobody_up() {
    let _watch = watchdog();
    let system = system().await;
    let mut letters = system.dead_letters();
    for n in 0..3_000 {
        system.tell("work://fail/1", Job(n)).await.unwrap();
    }
    quiet(&system).await;
    until("all are buried", || system.snapshot().dead_letters == 3_000).await;
    let mut seen = 0;
    while letters.try_next().is_some() {
        seen += 1;
    }
    assert_eq!(seen + letters.missed(), 3_000);
    assert_eq!(seen, 1_024);
    assert_eq!(system.snapshot().last_dead_letters.len(), 64);
    system.stop().await.unwrap();
}
