//! Probes: they take the place of subsystems, and say what came.

use std::time::{Duration, Instant};

use mycelia::error::{AskError, MountError};
use mycelia::prelude::*;
use mycelia_test::Probe;

use super::failure;
use crate::common::{ON_PURPOSE, quiet, quiet_panics, watchdog};

#[derive(Message, Debug, PartialEq)]
#[message(reply = String)]
struct Charge(u64);

#[derive(Message, Debug, PartialEq)]
struct Refund(u64);

#[derive(Message)]
struct Pay(u64);

/// The code under test: it charges what is to be paid.
#[derive(Subsystem, Default)]
struct Orders;

#[routes]
impl Orders {
    #[route("{id}/pay")]
    async fn pay(
        &mut self,
        Pay(cents): Pay,
        Path(id): Path<u64>,
        system: System,
    ) -> anyhow::Result<()> {
        let path = format!("billing://charge/{id}?by=card");
        system.ask(path, Charge(cents)).await?;
        Ok(())
    }
}

const SOON: Duration = Duration::from_millis(20);

async fn start() -> (System, Probe) {
    let system = System::builder().threads(2).start().await.unwrap();
    let billing = Probe::new("billing")
        .on::<Charge>("charge/{id}", |Charge(cents), call| {
            Ok(format!("{cents} for {}", call.captures[0]))
        })
        .takes::<Refund>("refund/{*rest}")
        .showing::<Charge>()
        .mount(&system)
        .await
        .unwrap();
    (system, billing)
}

/// A failure's text without the place in this file, and the line of that.
fn without_place(text: &str) -> (String, u32) {
    let begin = text.find(&format!(" ({}:", file!())).expect("a place");
    let end = begin + text[begin..].find(')').unwrap();
    let line = text[begin..end].split(':').nth(1).unwrap();
    let rest = format!("{}{}", &text[..begin], &text[end + 1..]);
    (rest, line.parse().unwrap())
}

#[mycelia::test]
async fn a_probe_takes_the_place_of_a_subsystem_and_hands_over_what_came() {
    let _watch = watchdog();
    let (system, billing) = start().await;
    system.mount(Orders::default).await.unwrap();
    system.tell("orders://7/pay", Pay(300)).await.unwrap();
    let charge = billing.expect::<Charge>().at("charge/7").received().await;
    assert_eq!(charge.message, Charge(300));
    assert_eq!(charge.call.path, "billing://charge/7?by=card");
    assert_eq!(charge.call.captures, ["7"]);
    assert_eq!(charge.call.query.as_deref(), Some("by=card"));
    assert_eq!(charge.call.sender.as_deref(), Some("orders"));
    assert_eq!(billing.count(), 1);
    quiet(&system).await;
    assert_eq!(system.snapshot().total.handled, 2);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn an_expectation_waits_for_what_comes_later() {
    let _watch = watchdog();
    let (system, billing) = start().await;
    let expects = async { billing.expect::<Refund>().await };
    let sends = async {
        tokio::task::yield_now().await;
        system.tell("billing://refund/a/b", Refund(1)).await
    };
    let (refund, sent) = tokio::join!(expects, sends);
    sent.unwrap();
    assert_eq!(refund, Refund(1));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_probe_answers_by_script_with_replies_errors_and_panics() {
    let _watch = watchdog();
    quiet_panics();
    let system = System::builder().threads(1).start().await.unwrap();
    let probe = Probe::new("bank")
        .replies::<Charge>("same", "yes".into())
        .replies_in_turn::<Charge>("turns", [Ok("first".into()), Err(anyhow::anyhow!("no"))])
        .on::<Charge>("panic", |_, _| panic!("{ON_PURPOSE}"))
        .mount(&system)
        .await
        .unwrap();
    for _ in 0..2 {
        assert_eq!(system.ask("bank://same", Charge(1)).await.unwrap(), "yes");
    }
    let turns = system.route::<Charge>("bank://turns").unwrap();
    assert_eq!(turns.ask(Charge(2)).await.unwrap(), "first");
    for text in ["no", "the probe at `bank://turns` has 2 answers, no more"] {
        match turns.ask(Charge(3)).await {
            Err(AskError::Failed(error)) => assert_eq!(error.to_string(), text),
            other => panic!("{other:?}"),
        }
    }
    let panicked = system.ask("bank://panic", Charge(4)).await;
    assert!(matches!(panicked, Err(AskError::Panicked { .. })));
    // What made it panic is there all the same.
    assert_eq!(probe.expect::<Charge>().at("panic").await, Charge(4));
    assert_eq!(probe.expect_n::<Charge>(5).await.len(), 5);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn a_failure_says_what_was_expected_where_and_what_came_instead() {
    let _watch = watchdog();
    let (system, billing) = start().await;
    let here = line!() + 1;
    let expectation = || billing.expect::<Charge>().at("charge/7").within(SOON);
    let (text, line) = without_place(&failure(expectation()).await);
    assert_eq!(line, here);
    let expected = "`billing` was to get a `promises::kit::probe::Charge` at `billing://charge/7` within 20ms\n";
    assert_eq!(text, format!("{expected}nothing came"));

    system.mount(Orders::default).await.unwrap();
    let refund = system.route::<Refund>("billing://refund/{*rest}").unwrap();
    refund.at("a b/c").tell(Refund(1)).await.unwrap();
    billing.expect::<Refund>().await;
    system.tell("orders://8/pay", Pay(800)).await.unwrap();
    quiet(&system).await;
    refund.at("x").tell(Refund(2)).await.unwrap();
    quiet(&system).await;
    let (text, _) = without_place(&failure(expectation()).await);
    let came = "what came and was not taken:
  1. `promises::kit::probe::Charge` at `billing://charge/8?by=card` from `orders`: Charge(800)
  2. `promises::kit::probe::Refund` at `billing://refund/x` from outside
before, the test had taken 1";
    assert_eq!(text, format!("{expected}{came}"));
    // What did not fit is still there.
    billing.expect_next::<Charge>().at("charge/{id}").await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn what_no_route_of_the_probe_takes_is_not_waited_for() {
    let _watch = watchdog();
    let (system, billing) = start().await;
    let text = failure(billing.expect::<Charge>().at("chrage/7")).await;
    let (text, _) = without_place(&text);
    assert_eq!(
        text,
        "`billing` was to get a `promises::kit::probe::Charge` at `billing://chrage/7` within 5s
it has no such route; its routes are:
  `promises::kit::probe::Charge` at `billing://charge/{id}`
  `promises::kit::probe::Refund` at `billing://refund/{*rest}`"
    );
    let text = failure(billing.expect::<Pay>()).await;
    assert!(text.contains("it has no such route"), "{text}");
    let text = failure(billing.expect::<Charge>().at("charge//7")).await;
    assert!(text.contains("the segment at byte 7 is empty"), "{text}");
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn several_are_taken_together_or_not_at_all() {
    let _watch = watchdog();
    let (system, billing) = start().await;
    for n in 0..5 {
        let path = format!("billing://charge/{}", n % 2);
        system.tell(path, Charge(n)).await.unwrap();
    }
    quiet(&system).await;
    let four = billing.expect::<Charge>().at("charge/0").times(4);
    let text = failure(four.within(Duration::ZERO)).await;
    let (text, _) = without_place(&text);
    let first = text.lines().next().unwrap();
    assert_eq!(
        first,
        "`billing` was to get 4 `promises::kit::probe::Charge` at `billing://charge/0` within 0ns, and got 3"
    );
    let odd = billing
        .expect_n::<Charge>(2)
        .matching(|charge| charge.0 % 2 == 1);
    assert_eq!(odd.await, [Charge(1), Charge(3)]);
    let even = billing.expect::<Charge>().times(3).received().await;
    assert!(even.iter().all(|one| one.call.path == "billing://charge/0"));
    let even: Vec<u64> = even.into_iter().map(|one| one.message.0).collect();
    assert_eq!(even, [0, 2, 4]);
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn the_next_message_is_the_one_expected_or_the_test_fails_at_once() {
    let _watch = watchdog();
    let (system, billing) = start().await;
    system.tell("billing://charge/1", Charge(1)).await.unwrap();
    system.tell("billing://refund/1", Refund(1)).await.unwrap();
    quiet(&system).await;
    let begun = Instant::now();
    let day = Duration::from_secs(86_400);
    let text = failure(billing.expect_next::<Refund>().within(day)).await;
    assert!(begun.elapsed() < day / 1000);
    let (text, _) = without_place(&text);
    assert_eq!(
        text,
        "`billing` was to get next a `promises::kit::probe::Refund` within 86400s
what came and was not taken:
  1. `promises::kit::probe::Charge` at `billing://charge/1` from outside: Charge(1)
  2. `promises::kit::probe::Refund` at `billing://refund/1` from outside"
    );
    assert_eq!(billing.expect_next::<Charge>().await, Charge(1));
    assert_eq!(billing.expect_next::<Refund>().await, Refund(1));
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn nothing_is_expected_until_something_comes() {
    let _watch = watchdog();
    let (system, billing) = start().await;
    let begun = Instant::now();
    billing.expect_nothing(SOON).await;
    assert!(begun.elapsed() >= SOON);
    let here = line!() + 1;
    let expects = failure(billing.expect_nothing(Duration::from_secs(86_400)));
    let sends = system.tell("billing://charge/1", Charge(1));
    let (text, sent) = tokio::join!(expects, sends);
    sent.unwrap();
    let (text, line) = without_place(&text);
    assert_eq!(line, here);
    assert_eq!(
        text,
        "`billing` was to get nothing for 86400s
what came and was not taken:
  1. `promises::kit::probe::Charge` at `billing://charge/1` from outside: Charge(1)"
    );
    // A message that was taken is not in the way.
    billing.expect::<Charge>().await;
    billing.expect_nothing(Duration::ZERO).await;
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn the_time_limit_is_real_though_the_executors_clock_is_paused() {
    let _watch = watchdog();
    let (system, billing) = start().await;
    tokio::time::pause();
    let hour = Duration::from_secs(3600);
    let sends = async {
        // Takes no time: the clock jumps, far over the limit.
        tokio::time::sleep(hour).await;
        system.tell("billing://charge/1", Charge(1)).await
    };
    let (charge, sent) = tokio::join!(async { billing.expect::<Charge>().await }, sends);
    sent.unwrap();
    assert_eq!(charge, Charge(1));
    // And it ends though no clock goes on.
    let text = failure(billing.expect::<Charge>().within(SOON)).await;
    assert!(text.contains("nothing else came"), "{text}");
    tokio::time::resume();
    system.stop().await.unwrap();
    // Nor does it need the system.
    failure(billing.expect::<Charge>().within(SOON)).await;
}

#[mycelia::test]
async fn a_probe_is_a_subsystem_like_others() {
    let _watch = watchdog();
    let system = System::builder().threads(1).start().await.unwrap();
    system.mount(Orders::default).await.unwrap();
    let options = MountOptions::new().parent("orders").capacity(1);
    let child = Probe::new("child")
        .options(options)
        .takes::<Refund>("r/{n}");
    let child = child.mount(&system).await.unwrap();
    assert_eq!(child.name(), "orders/child");
    system.tell("orders/child://r/1", Refund(1)).await.unwrap();
    child.expect::<Refund>().at("r/1").await;

    let twice = Probe::new("orders")
        .takes::<Refund>("x")
        .mount(&system)
        .await;
    assert!(
        matches!(twice, Err(MountError::NameTaken { .. })),
        "{twice:?}"
    );
    let wrong = Probe::new("wrong")
        .takes::<Refund>("a//b")
        .mount(&system)
        .await;
    assert!(
        matches!(&wrong, Err(MountError::BadPattern { subsystem, .. }) if &**subsystem == "wrong"),
        "{wrong:?}"
    );
    system.stop().await.unwrap();
}
