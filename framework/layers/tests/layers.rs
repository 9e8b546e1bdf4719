//! What the layers promise. Time is a manual clock's, and tokio's, which is paused: no test waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mycelia::error::{AskError, SendError};
use mycelia::prelude::*;
use mycelia::schedule::Overflow;
use mycelia::time::{Clock, ClockHand};
use mycelia_layers::{
    CircuitBreaker, CircuitState, Layer, LayerCounts, Layered, Next, Outcome, RateLimit, Retry,
    RouteExt, Timeout, Verb,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// What the subsystem is to do with a message.
#[derive(Message, Clone, Copy, PartialEq, Eq, Debug)]
#[message(reply = u64)]
enum Do {
    Answer,
    Fail,
    /// Take the reply along, and drop it.
    Forget,
    /// Answer never.
    Hang,
}

#[derive(Message)]
#[message(reply = u64)]
struct Handled;

#[derive(Default, Subsystem)]
struct Work {
    handled: u64,
    kept: Vec<Reply<Do>>,
}

#[routes]
impl Work {
    #[route("do/{id}")]
    fn work(&mut self, what: Do, Path(id): Path<u64>, reply: Reply<Do>) {
        self.handled += 1;
        match what {
            Do::Answer => drop(reply.send(id)),
            Do::Fail => drop(reply.fail(std::io::Error::other("on purpose"))),
            Do::Forget => drop(reply),
            Do::Hang => self.kept.push(reply),
        }
    }

    #[route("handled")]
    fn handled(&mut self, _: Handled) -> u64 {
        self.handled
    }
}

struct Fixture {
    system: System,
    hand: ClockHand,
    work: Route<Do>,
}

async fn fixture(options: MountOptions) -> Fixture {
    let (clock, hand) = Clock::manual();
    let system = System::builder().threads(1).clock(clock).start().await;
    let system = system.unwrap();
    system.mount_with(options, Work::default).await.unwrap();
    let work = system.route("work://do/7").unwrap();
    Fixture { system, hand, work }
}

async fn handled(system: &System) -> u64 {
    system.ask("work://handled", Handled).await.unwrap()
}

/// The time after which a refused message may be sent again; it has come home.
fn refused(outcome: Result<u64, AskError<Do>>, layer: &str) -> Duration {
    let error = outcome.unwrap_err();
    let retry_after = error.retry_after();
    assert_eq!(error.is_retryable(), retry_after < Some(Duration::MAX));
    let AskError::Undelivered(undelivered) = error else {
        panic!("{error:?}");
    };
    match undelivered.reason() {
        SendError::Refused { by, subsystem, .. } => {
            assert_eq!((*by, &**subsystem), (layer, "work"));
        }
        other => panic!("{other:?}"),
    }
    retry_after.expect("a refusal says when")
}

fn counts<M: Message>(layered: &Layered<M>, index: usize) -> (u64, u64, u64) {
    let LayerCounts {
        calls,
        passed,
        refused,
        ..
    } = layered.counts()[index];
    (calls, passed, refused)
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_says_when_to_try_again_and_keeps_its_word() {
    let Fixture { system, hand, work } = fixture(MountOptions::new()).await;
    let work = work.layer(RateLimit::per_second(4).burst(2));
    let clone = work.clone();
    assert_eq!(work.ask(Do::Answer).await.unwrap(), 7);
    assert_eq!(clone.ask(Do::Answer).await.unwrap(), 7);
    let retry_after = refused(work.ask(Do::Answer).await, "RateLimit");
    assert_eq!(retry_after, 250 * MS);
    hand.advance(retry_after - MS);
    refused(clone.ask(Do::Answer).await, "RateLimit");
    hand.advance(MS);
    assert_eq!(work.ask(Do::Answer).await.unwrap(), 7);
    // Each verb passes the layer.
    let told = work.tell(Do::Answer).await.map(|()| 0);
    refused(told, "RateLimit");
    let told = work.try_tell(Do::Answer).await.map(|()| 0);
    refused(told, "RateLimit");
    let told = work.tell_within(Do::Answer, SECOND).await.map(|()| 0);
    refused(told, "RateLimit");
    refused(work.ask_within(Do::Answer, SECOND).await, "RateLimit");
    assert_eq!(counts(&work, 0), (9, 3, 6));
    // The route itself is as it was.
    work.route().tell(Do::Answer).await.unwrap();
    assert_eq!(handled(&system).await, 4);
    system.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_of_a_mounted_route_holds_for_all_senders() {
    let limit = Arc::new(RateLimit::new(3, SECOND));
    let options = MountOptions::new().admission("do/{id}", limit.clone());
    let Fixture { system, hand, work } = fixture(options).await;
    let pattern = system.route::<Do>("work://do/{id}").unwrap();
    assert_eq!(work.ask(Do::Answer).await.unwrap(), 7);
    assert_eq!(pattern.at(8).ask(Do::Answer).await.unwrap(), 8);
    assert_eq!(system.ask("work://do/9", Do::Answer).await.unwrap(), 9);
    for _ in 0..3 {
        assert!(work.ask(Do::Answer).await.unwrap_err().is_retryable());
        assert!(pattern.at(8).try_tell(Do::Answer).is_err());
        assert!(system.tell("work://do/9", Do::Answer).await.is_err());
    }
    hand.advance(SECOND);
    for _ in 0..3 {
        system.tell("work://do/9", Do::Answer).await.unwrap();
    }
    assert!(work.try_tell(Do::Answer).is_err());
    // Other routes have no limit.
    assert_eq!(handled(&system).await, 6);
    system.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_lets_one_trial_pass_and_closes() {
    let Fixture { system, hand, work } = fixture(MountOptions::new()).await;
    let breaker = CircuitBreaker::new().failures(3).open_for(SECOND);
    let breaker = Arc::new(breaker);
    let work = work.layer(breaker.clone());
    // A success between failures begins the count again; a handler's error is no failure of the receiver.
    for what in [Do::Forget, Do::Forget, Do::Fail, Do::Forget, Do::Forget] {
        assert!(work.ask(what).await.is_err());
    }
    assert_eq!(breaker.state(), CircuitState::Closed);
    assert!(work.ask(Do::Forget).await.is_err());
    assert_eq!(breaker.state(), CircuitState::Open);
    assert_eq!(
        refused(work.ask(Do::Answer).await, "CircuitBreaker"),
        SECOND
    );
    assert_eq!(handled(&system).await, 6);

    // The trial fails, and it is open again.
    hand.advance(SECOND);
    assert!(work.ask(Do::Forget).await.is_err());
    refused(work.ask(Do::Answer).await, "CircuitBreaker");
    assert_eq!(handled(&system).await, 7);

    // While a trial is under way no other passes. Given up, it makes the next one a trial.
    hand.advance(SECOND);
    {
        let mut trial = std::pin::pin!(work.ask(Do::Hang));
        let first = tokio::time::timeout(MS, trial.as_mut()).await;
        assert!(first.is_err(), "no one answers");
        assert_eq!(breaker.state(), CircuitState::HalfOpen);
        refused(work.ask(Do::Answer).await, "CircuitBreaker");
    }
    assert_eq!(work.ask(Do::Answer).await.unwrap(), 7);
    assert_eq!(breaker.state(), CircuitState::Closed);
    assert_eq!(counts(&work, 0), (12, 9, 3));
    // It may have begun what hangs: a stop would wait for that.
    system.unmount("work").await.unwrap();
    system.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_not_accepted_is_sent_again_and_handled_once() {
    let Fixture { system, work, .. } = fixture(MountOptions::new()).await;
    // Refuses so many before it lets one pass.
    struct Shut(AtomicU32);
    impl Layer<Do> for Shut {
        async fn call(&self, message: Do, next: Next<'_, Do>) -> Outcome<Do> {
            match self
                .0
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
            {
                Ok(_) => next.refuse(message, 5 * MS),
                Err(_) => next.run(message).await,
            }
        }
    }
    let begun = tokio::time::Instant::now();
    let retry = Retry::new().times(3).first_pause(10 * MS).seed(7);
    let retried = work.clone().layer(retry).layer(Shut(3.into()));
    assert_eq!(retried.ask(Do::Answer).await.unwrap(), 7);
    // 10, 20 and 40 ms, by jitter up to twice as long, and 5 ms each that the refusal says.
    let paused = begun.elapsed();
    assert!((85 * MS..=158 * MS).contains(&paused), "{paused:?}");
    assert_eq!(counts(&retried, 0), (1, 4, 0));
    assert_eq!(counts(&retried, 1), (4, 1, 3));
    assert_eq!(handled(&system).await, 1);

    // One time more than it tries: the last refusal is the outcome, and the message has come home.
    let retried = work.clone().layer(Retry::new()).layer(Shut(4.into()));
    refused(retried.ask(Do::Answer).await, "Shut");
    assert_eq!(handled(&system).await, 1);
    system.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_handled_is_sent_again_only_on_request() {
    let Fixture { system, work, .. } = fixture(MountOptions::new()).await;
    let safe = work.clone().layer(Retry::new());
    for what in [Do::Fail, Do::Forget] {
        assert!(safe.ask(what).await.is_err());
    }
    assert_eq!(handled(&system).await, 2);
    let no_reply = |error: &AskError<Do>| matches!(error, AskError::NoReply { .. });
    let bold = work.layer(Retry::new().times(2).when(no_reply));
    assert!(matches!(bold.ask(Do::Fail).await, Err(AskError::Failed(_))));
    assert_eq!(handled(&system).await, 3);
    assert!(matches!(
        bold.ask(Do::Forget).await,
        Err(AskError::NoReply { .. })
    ));
    assert_eq!(handled(&system).await, 6);
    system.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_for_room_where_the_mailbox_refuses() {
    let options = MountOptions::new().capacity(1).overflow(Overflow::Reject);
    let Fixture { system, work, .. } = fixture(options).await;
    work.tell(Do::Hang).await.unwrap();
    let full = work.try_tell(Do::Answer).unwrap_err();
    assert!(full.reason().is_full());
    let retried = work.clone().layer(Retry::new());
    let made_room = async {
        tokio::time::sleep(15 * MS).await;
        system.set_capacity("work", 2).unwrap();
    };
    let (told, ()) = tokio::join!(retried.try_tell(Do::Answer), made_room);
    told.unwrap();
    let (_, tries, _) = counts(&retried, 0);
    assert!((2..=3).contains(&tries), "{tries}");
    system.set_capacity("work", None).unwrap();
    assert_eq!(handled(&system).await, 2);
    system.unmount("work").await.unwrap();
    system.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_pause_goes_beyond_the_deadline_nor_beyond_the_longest() {
    let Fixture { system, work, .. } = fixture(MountOptions::new()).await;
    struct For(Duration);
    impl Layer<Do> for For {
        async fn call(&self, message: Do, next: Next<'_, Do>) -> Outcome<Do> {
            next.refuse(message, self.0)
        }
    }
    let begun = tokio::time::Instant::now();
    let timed = work.clone().layer(Timeout::new(SECOND)).layer(Retry::new());
    refused(timed.layer(For(2 * SECOND)).ask(Do::Answer).await, "For");
    let retried = work.clone().layer(Retry::new()).layer(For(Duration::MAX));
    refused(retried.ask(Do::Answer).await, "For");
    refused(retried.ask_within(Do::Answer, SECOND).await, "For");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(handled(&system).await, 0);
    system.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_an_ask_by_the_clock_of_the_system() {
    let Fixture { system, hand, work } = fixture(MountOptions::new()).await;
    let timed = work.layer(Timeout::new(SECOND));
    let at = timed.at(7);
    let late = async {
        while handled(&system).await == 0 {
            tokio::task::yield_now().await;
        }
        hand.advance(2 * SECOND);
    };
    // The sooner of two holds.
    let (asked, ()) = tokio::join!(at.ask_within(Do::Hang, 10 * SECOND), late);
    let Err(AskError::DeadlineExceeded { deadline, .. }) = asked else {
        panic!("{asked:?}");
    };
    assert_eq!(deadline, SECOND);
    system.unmount("work").await.unwrap();
    system.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn layers_are_passed_in_their_order_and_know_the_verb() {
    let Fixture { system, work, .. } = fixture(MountOptions::new()).await;
    #[derive(Clone, Default)]
    struct Seen(Arc<std::sync::Mutex<Vec<(&'static str, Verb)>>>);
    struct Named(&'static str, Seen);
    impl Layer<Do> for Named {
        async fn call(&self, message: Do, next: Next<'_, Do>) -> Outcome<Do> {
            self.1.0.lock().unwrap().push((self.0, next.verb()));
            assert_eq!(&*next.subsystem(), "work");
            next.run(message).await
        }
    }
    let seen = Seen::default();
    let work = work.layer(Named("outer", seen.clone()));
    let work = work.layer(Named("inner", seen.clone()));
    work.ask(Do::Answer).await.unwrap();
    work.try_tell(Do::Answer).await.unwrap();
    let expected = [
        ("outer", Verb::Ask),
        ("inner", Verb::Ask),
        ("outer", Verb::TryTell),
        ("inner", Verb::TryTell),
    ];
    assert_eq!(*seen.0.lock().unwrap(), expected);
    let names: Vec<_> = work.counts().iter().map(|counts| counts.name).collect();
    assert_eq!(names, ["Named", "Named"]);
    assert_eq!(
        format!("{work:?}"),
        "Layered { route: Route(work://do/{id}), layers: [\"Named\", \"Named\"] }"
    );
    system.stop().await.unwrap();
}
