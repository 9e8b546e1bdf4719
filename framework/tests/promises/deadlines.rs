//! Promise 2, of time: a message whose time is over, or whose asker has gone, is not handled, and counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::{figures, poll_once, quiet, until, watchdog};
use mycelia::error::AskError;
use mycelia::prelude::*;
use tokio::sync::Semaphore;

const FOREVER: Duration = Duration::from_secs(3600);

#[derive(Message)]
#[message(reply = Option<Duration>)]
struct Left;

/// Asks the next in line for what is left there.
#[derive(Message)]
#[message(reply = Option<Duration>)]
struct Pass {
    within: Option<Duration>,
}

/// Waits for a permit.
#[derive(Message)]
#[message(reply = u32)]
struct Hold(u32);

struct Gate(Semaphore);

#[derive(Subsystem, Default)]
struct Front;

#[routes]
impl Front {
    #[route("pass")]
    async fn pass(
        &mut self,
        Pass { within }: Pass,
        system: System,
    ) -> anyhow::Result<Option<Duration>> {
        Ok(match within {
            Some(deadline) => system.ask_within("back://left", Left, deadline).await?,
            None => system.ask("back://left", Left).await?,
        })
    }

    #[route("hold")]
    async fn hold(&mut self, hold: Hold, system: System) -> anyhow::Result<u32> {
        Ok(system.ask("back://hold", hold).await?)
    }
}

#[derive(Subsystem, Default)]
struct Back {
    handled: u32,
}

#[routes]
impl Back {
    #[route("left")]
    fn left(&mut self, _: Left, Deadline(left): Deadline) -> Option<Duration> {
        left
    }

    #[route("hold")]
    async fn hold(&mut self, Hold(n): Hold, State(gate): State<Gate>) -> u32 {
        self.handled += 1;
        gate.0.acquire().await.unwrap().forget();
        n
    }

    #[route("handled")]
    fn handled(&mut self, _: Hold) -> u32 {
        self.handled
    }
}

async fn system(ask_deadline: Option<Duration>) -> (System, Arc<Gate>) {
    let gate = Arc::new(Gate(Semaphore::new(0)));
    let system = System::builder()
        .threads(2)
        .ask_deadline(ask_deadline)
        .shared_state(gate.clone())
        .start()
        .await
        .unwrap();
    system.mount(Front::default).await.unwrap();
    system.mount(Back::default).await.unwrap();
    (system, gate)
}

#[mycelia::test]
async fn an_ask_has_the_system_s_deadline_unless_it_says_otherwise() {
    let _watch = watchdog();
    let (system, _gate) = system(Some(FOREVER)).await;
    let left = system.ask("back://left", Left).await.unwrap().unwrap();
    assert!(left <= FOREVER && left > FOREVER / 2, "{left:?}");
    let short = Duration::from_secs(20);
    let left = system.ask_within("back://left", Left, short).await.unwrap();
    assert!(left.unwrap() <= short, "{left:?}");
    // A tell has none.
    system.tell("back://left", Left).await.unwrap();
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn without_a_system_s_deadline_an_ask_waits_for_ever() {
    let _watch = watchdog();
    let (system, _gate) = system(None).await;
    assert_eq!(system.ask("back://left", Left).await.unwrap(), None);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn the_system_s_deadline_ends_an_ask_whose_handler_does_not_end() {
    let _watch = watchdog();
    let (system, gate) = system(Some(Duration::from_millis(100))).await;
    let begun = Instant::now();
    let asked = system.ask("back://hold", Hold(1)).await;
    let took = begun.elapsed();
    assert!(
        matches!(asked, Err(AskError::DeadlineExceeded { .. })),
        "{asked:?}"
    );
    assert!(took >= Duration::from_millis(100), "{took:?}");
    gate.0.add_permits(1);
    // The handler had begun, and came to its end.
    assert_eq!(figures(&quiet(&system).await), [1, 1, 0, 0, 0, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_nested_ask_has_no_more_time_than_the_message_that_made_it() {
    let _watch = watchdog();
    let (system, _gate) = system(Some(FOREVER)).await;
    let short = Duration::from_secs(20);
    for within in [None, Some(FOREVER)] {
        let pass = system.ask_within("front://pass", Pass { within }, short);
        let left = pass.await.unwrap().unwrap();
        assert!(left <= short, "{left:?}");
    }
    // The shorter of both holds.
    let shorter = Duration::from_secs(10);
    let within = Some(shorter);
    let pass = system.ask_within("front://pass", Pass { within }, short);
    assert!(pass.await.unwrap().unwrap() <= shorter);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_nested_ask_ends_when_the_time_of_the_outer_one_is_over() {
    let _watch = watchdog();
    let (system, gate) = system(Some(FOREVER)).await;
    let asked = system
        .ask_within("front://hold", Hold(1), Duration::from_millis(50))
        .await;
    // Either learns first that the time is over.
    match asked {
        Err(AskError::DeadlineExceeded { deadline, .. }) => {
            assert_eq!(deadline, Duration::from_millis(50));
        }
        Err(AskError::Failed(error)) => {
            let inner = error.downcast::<AskError<Hold>>().unwrap();
            assert!(matches!(
                inner,
                AskError::DeadlineExceeded { deadline, .. } if deadline <= Duration::from_millis(50)
            ));
        }
        other => panic!("{other:?}"),
    }
    // The one in front gives up too, long before its own ask's hour is over.
    until("the one in front has given up", || {
        system.snapshot().subsystem("front").unwrap().ledger.failed == 1
    })
    .await;
    gate.0.add_permits(1);
    quiet(&system).await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_message_whose_asker_has_gone_is_not_handled() {
    let _watch = watchdog();
    let (system, gate) = system(Some(FOREVER)).await;
    let first = system.ask("back://hold", Hold(1));
    let mut first = Box::pin(first);
    assert!(poll_once(&mut first).await.is_none());
    until("the first is in its handler", || {
        system.snapshot().total.waiting == 1
    })
    .await;
    for n in 0..10 {
        assert!(
            poll_once(system.ask("back://hold", Hold(n)))
                .await
                .is_none()
        );
    }
    gate.0.add_permits(100);
    assert_eq!(first.await.unwrap(), 1);
    assert_eq!(system.ask("back://handled", Hold(0)).await.unwrap(), 1);
    assert_eq!(figures(&quiet(&system).await), [12, 2, 0, 0, 10, 0]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_message_that_waited_until_its_deadline_is_not_handled() {
    let _watch = watchdog();
    let (system, gate) = system(Some(FOREVER)).await;
    let mut first = Box::pin(system.ask("back://hold", Hold(1)));
    assert!(poll_once(&mut first).await.is_none());
    let late = system.ask_within("back://hold", Hold(2), Duration::from_millis(20));
    assert!(matches!(
        late.await,
        Err(AskError::DeadlineExceeded { deadline, .. }) if deadline <= Duration::from_millis(20)
    ));
    gate.0.add_permits(100);
    assert_eq!(first.await.unwrap(), 1);
    assert_eq!(system.ask("back://handled", Hold(0)).await.unwrap(), 1);
    assert_eq!(figures(&quiet(&system).await), [3, 2, 0, 0, 1, 0]);
    system.stop().await.unwrap();
}
