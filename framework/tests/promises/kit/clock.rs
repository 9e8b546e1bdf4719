//! The manual clock: what follows its hand.

use std::time::{Duration, Instant};

use mycelia::error::AskError;
use mycelia::prelude::*;
use mycelia::time::Clock;

use crate::common::{figures, poll_once, quiet, watchdog};

const HOUR: Duration = Duration::from_secs(3600);

#[derive(Message)]
struct Wait;

#[derive(Message)]
#[message(reply = u64)]
struct Count;

#[derive(Subsystem, Default)]
struct Work {
    count: u64,
}

#[routes]
impl Work {
    #[route("wait")]
    async fn wait(&mut self, _: Wait) {
        std::future::pending().await
    }

    #[route("count")]
    fn count(&mut self, _: Count) -> u64 {
        self.count += 1;
        self.count
    }
}

#[mycelia::test]
async fn deadlines_follow_the_hand_and_nothing_else() {
    let _watch = watchdog();
    let (clock, hand) = Clock::manual();
    let builder = System::builder().threads(1).clock(clock).ask_deadline(HOUR);
    let system = builder.start().await.unwrap();
    for name in ["own", "default"] {
        system.mount_as(name, Work::default).await.unwrap();
    }
    let mut own = std::pin::pin!(system.ask_within("own://wait", Wait, Duration::from_nanos(5)));
    let mut default = std::pin::pin!(system.ask("default://wait", Wait));
    assert!(poll_once(own.as_mut()).await.is_none());
    assert!(poll_once(default.as_mut()).await.is_none());
    // Real time passes, as far as it likes.
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(poll_once(own.as_mut()).await.is_none());

    hand.advance(Duration::from_nanos(6));
    assert!(matches!(own.await, Err(AskError::DeadlineExceeded { .. })));
    assert!(poll_once(default.as_mut()).await.is_none());

    let begun = Instant::now();
    hand.advance(HOUR);
    assert!(matches!(
        default.await,
        Err(AskError::DeadlineExceeded { .. })
    ));
    assert!(begun.elapsed() < HOUR / 100);
    let stopped = system.stop_within(Duration::from_millis(10)).await;
    assert!(stopped.is_err(), "two handlers never end");
}

#[mycelia::test]
async fn an_ask_at_an_idle_system_follows_the_hand_too() {
    let _watch = watchdog();
    let (clock, hand) = Clock::manual();
    let builder = System::builder().threads(1).clock(clock).ask_deadline(None);
    let system = builder.start().await.unwrap();
    system.mount(Work::default).await.unwrap();
    let ask = system.ask_within("work://wait", Wait, HOUR);
    let (answer, ()) = tokio::join!(ask, async { hand.advance(2 * HOUR) });
    assert!(matches!(answer, Err(AskError::DeadlineExceeded { .. })));
    // Whether its handler had begun is left to chance: one that has never ends.
    let _ = system.stop_within(Duration::from_millis(10)).await;
    let [sent, _, failed, _, expired, _] = figures(&system.snapshot().total);
    assert_eq!((sent, failed + expired), (1, 1));
}

#[mycelia::test]
async fn a_system_works_while_its_clock_stands_still() {
    let _watch = watchdog();
    let (clock, _hand) = Clock::manual();
    let builder = System::builder().threads(1).pool(64).clock(clock);
    let system = builder.start().await.unwrap();
    system.mount_as("one", Work::default).await.unwrap();
    system.mount_as("two", Work::default).await.unwrap();
    const EACH: u64 = 5_000;
    let flood = |path| {
        let system = system.clone();
        async move {
            for _ in 0..EACH {
                system.tell(path, Count).await.unwrap();
            }
            system.ask(path, Count).await.unwrap()
        }
    };
    let (one, two) = tokio::join!(flood("one://count"), flood("two://count"));
    assert_eq!((one, two), (EACH + 1, EACH + 1));
    let ledger = quiet(&system).await;
    assert_eq!(figures(&ledger)[..2], [2 * EACH + 2, 2 * EACH + 2]);
    let snapshot = system.snapshot();
    let latency = snapshot.kind::<Work>().unwrap().latency("count").unwrap();
    assert_eq!(latency.count, 2 * EACH + 2);
    assert_eq!(latency.total.max_ns, 0, "no time has passed");
    system.stop().await.unwrap();
}
