//! Topics: what is published reaches all who subscribe, each copy is accounted for, and no one waits for a peer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mycelia::error::{SendError, SubscribeError};
use mycelia::observe::{Change, DeadLetter, DeadReason, Event};
use mycelia::prelude::*;
use mycelia::schedule::Overflow;
use mycelia::{Replicas, observe::Published};
use tokio::sync::Mutex;

use super::common;

/// Waits until that is so.
async fn until(holds: impl FnMut() -> bool) {
    common::until("the subscribers have got all", holds).await;
}

/// A number that is published.
#[derive(Message, Clone, Debug, PartialEq)]
struct Placed(u64);

/// What the subscribers have seen: their name, the capture, the number.
#[derive(Default)]
struct Seen(std::sync::Mutex<Vec<(String, String, u64)>>);

impl Seen {
    fn of(&self, name: &str) -> Vec<u64> {
        let all = self.0.lock().unwrap();
        let of = all.iter().filter(|(who, ..)| who == name);
        of.map(|(.., number)| *number).collect()
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[derive(Subsystem, Default)]
struct Billing;

#[routes]
impl Billing {
    #[subscribe("orders://placed/{id}")]
    fn bill(
        &mut self,
        msg: Placed,
        Path(id): Path<String>,
        ctx: Context,
        State(seen): State<Seen>,
    ) {
        seen.0.lock().unwrap().push((ctx.name().into(), id, msg.0));
    }
}

/// Subscribes to everything on that name, and waits while the gate is shut.
#[derive(Subsystem, Default)]
struct Slow;

#[derive(Default)]
struct Gate(Mutex<()>);

#[routes]
impl Slow {
    #[subscribe("orders://{*all}")]
    async fn see(
        &mut self,
        msg: Placed,
        Path(all): Path<String>,
        ctx: Context,
        State(seen): State<Seen>,
        State(gate): State<Gate>,
    ) {
        drop(gate.0.lock().await);
        seen.0.lock().unwrap().push((ctx.name().into(), all, msg.0));
    }
}

struct World {
    system: System,
    seen: Arc<Seen>,
    gate: Arc<Gate>,
}

async fn world() -> World {
    let (seen, gate) = (Arc::new(Seen::default()), Arc::new(Gate::default()));
    let system = System::builder()
        .threads(2)
        .shared_state(seen.clone())
        .shared_state(gate.clone())
        .start()
        .await
        .unwrap();
    World { system, seen, gate }
}

fn ended(published: Published) -> (u64, u64, u64, u64) {
    let Published {
        matched,
        accepted,
        missed,
        closed,
        ..
    } = published;
    (matched, accepted, missed, closed)
}

#[tokio::test]
async fn what_is_published_reaches_all_whose_pattern_it_meets_with_the_captures_of_its_path() {
    let World { system, seen, .. } = world().await;
    system.mount_as("one", Billing::default).await.unwrap();
    system.mount_as("two", Billing::default).await.unwrap();
    system.mount(Slow::default).await.unwrap();
    let published = system.publish("orders://placed/a%20b", Placed(1)).await;
    assert_eq!(ended(published.unwrap()), (3, 3, 0, 0));
    let published = system.publish("orders://paid/7?x=1", Placed(2)).await;
    assert_eq!(ended(published.unwrap()), (1, 1, 0, 0));
    assert_eq!(
        system
            .publish("other://x", Placed(3))
            .await
            .unwrap()
            .matched,
        0
    );
    until(|| seen.len() == 4).await;
    let mut all = seen.0.lock().unwrap().clone();
    all.sort();
    let line = |who: &str, id: &str, n| (who.to_owned(), id.to_owned(), n);
    assert_eq!(
        all,
        [
            line("one", "a b", 1),
            line("slow", "paid/7", 2),
            line("slow", "placed/a b", 1),
            line("two", "a b", 1),
        ]
    );
    let snapshot = system.snapshot();
    assert_eq!(snapshot.topics.unheard, 1);
    assert_eq!(snapshot.topics.total().accepted, 4);
    assert_eq!(snapshot.total.sent, 4);
    system.stop().await.unwrap();
}

#[tokio::test]
async fn no_tell_and_no_ask_reach_a_subscription() {
    let World { system, .. } = world().await;
    system.mount(Billing::default).await.unwrap();
    for path in [
        "billing://placed/7",
        "billing://orders",
        "orders://placed/7",
    ] {
        assert!(system.try_tell(path, Placed(1)).is_err());
    }
    assert!(system.route::<Placed>("billing://placed/{id}").is_err());
    system.stop().await.unwrap();
}

#[tokio::test]
async fn a_slow_subscriber_delays_its_own_copies_and_not_those_of_its_peers() {
    let World { system, seen, gate } = world().await;
    system.mount(Billing::default).await.unwrap();
    let options = MountOptions::new().capacity(1);
    system.mount_with(options, Slow::default).await.unwrap();
    let shut = gate.0.lock().await;
    system
        .publish("orders://placed/1", Placed(1))
        .await
        .unwrap();
    let second = tokio::spawn({
        let system = system.clone();
        async move { system.publish("orders://placed/2", Placed(2)).await }
    });
    until(|| seen.of("billing") == [1, 2]).await;
    assert!(!second.is_finished());
    assert_eq!(system.snapshot().topics.total().waiting, 1);
    drop(shut);
    assert_eq!(ended(second.await.unwrap().unwrap()), (2, 2, 0, 0));
    until(|| seen.of("slow") == [1, 2]).await;
    system.stop().await.unwrap();
}

#[tokio::test]
async fn every_copy_is_accounted_for_and_a_missed_one_is_a_dead_letter() {
    let World { system, seen, gate } = world().await;
    let mut letters = system.dead_letters();
    for (name, overflow) in [
        ("waits", Overflow::Wait),
        ("rejects", Overflow::Reject),
        ("drops", Overflow::DropNewest),
    ] {
        let options = MountOptions::new()
            .name(name)
            .capacity(1)
            .overflow(overflow);
        system.mount_with(options, Slow::default).await.unwrap();
    }
    let shut = gate.0.lock().await;
    let first = system.publish("orders://1", Placed(1)).await.unwrap();
    assert_eq!(ended(first), (3, 3, 0, 0));
    // Who drops has accepted it, and accounts for it.
    let second = system.try_publish("orders://2", Placed(2)).unwrap();
    assert_eq!(ended(second), (3, 1, 2, 0));
    let within = system.publish_within("orders://3", Placed(3), Duration::from_millis(20));
    assert_eq!(ended(within.await.unwrap()), (3, 1, 2, 0));
    let cut = system.publish("orders://4", Placed(4));
    assert!(
        tokio::time::timeout(Duration::from_millis(20), cut)
            .await
            .is_err()
    );
    let ledger = system.snapshot().topics.total();
    assert_eq!((ledger.matched, ledger.accepted), (12, 6));
    assert_eq!((ledger.missed, ledger.closed), (5, 0));
    assert_eq!((ledger.cut, ledger.waiting), (1, 0));
    assert_eq!(system.snapshot().total.sent, ledger.accepted);
    drop(shut);
    until(|| seen.len() == 3).await;
    let mut missed = 0;
    while let Some(letter) = letters.try_next() {
        assert_eq!(&*letter.pattern, "orders://{*all}");
        missed += u64::from(matches!(letter.reason, DeadReason::Missed(_)));
    }
    assert_eq!(missed, 5);
    system.stop().await.unwrap();
}

#[tokio::test]
async fn a_subscriber_gets_what_one_publisher_publishes_in_order() {
    let World { system, seen, .. } = world().await;
    system.mount_as("one", Billing::default).await.unwrap();
    let options = MountOptions::new().name("two").capacity(3);
    system.mount_with(options, Billing::default).await.unwrap();
    for n in 0..2_000 {
        let path = format!("orders://placed/{}", n % 7);
        system.publish(path, Placed(n)).await.unwrap();
    }
    until(|| seen.len() == 4_000).await;
    for name in ["one", "two"] {
        assert!(seen.of(name).is_sorted(), "{name}");
    }
    system.stop().await.unwrap();
}

#[tokio::test]
async fn of_replicas_one_gets_a_copy_unless_each_is_asked_for() {
    #[derive(Subsystem, Default)]
    struct Cache;

    #[routes]
    impl Cache {
        #[subscribe("cache://clear", each)]
        fn clear(&mut self, _: Placed, State(seen): State<Seen>, ctx: Context) {
            seen.0
                .lock()
                .unwrap()
                .push((ctx.name().into(), String::new(), 0));
        }
    }
    let World { system, seen, .. } = world().await;
    system
        .mount_replicas(Replicas::round_robin(3), Cache::default)
        .await
        .unwrap();
    system
        .mount_replicas(Replicas::by_capture(3, "id"), Billing::default)
        .await
        .unwrap();
    assert_eq!(
        system
            .publish("cache://clear", Placed(0))
            .await
            .unwrap()
            .accepted,
        3
    );
    until(|| seen.len() == 3).await;
    for n in 0..30 {
        assert_eq!(
            system
                .publish("orders://placed/7", Placed(n))
                .await
                .unwrap()
                .matched,
            1
        );
    }
    until(|| seen.len() == 33).await;
    // All with the same capture have gone to the same.
    let all = (0..3).map(|n| seen.of(&format!("billing/{n}")).len());
    assert_eq!(all.filter(|count| *count > 0).collect::<Vec<_>>(), [30]);
    system.unmount("billing").await.unwrap();
    assert_eq!(
        system
            .publish("orders://placed/7", Placed(0))
            .await
            .unwrap()
            .matched,
        0
    );
    system.stop().await.unwrap();
}

#[tokio::test]
async fn who_is_unmounted_gets_no_copy_and_who_is_restarted_gets_all() {
    #[derive(Subsystem, Default)]
    struct Brittle;

    #[routes]
    impl Brittle {
        #[subscribe("numbers://{_n}")]
        fn number(&mut self, Placed(n): Placed, State(seen): State<Seen>) {
            seen.0
                .lock()
                .unwrap()
                .push(("brittle".into(), String::new(), n));
            assert!(n % 10 != 0, "on purpose");
        }
    }
    let World { system, seen, .. } = world().await;
    let options = MountOptions::new().intensity(1_000, Duration::from_secs(60));
    system.mount_with(options, Brittle::default).await.unwrap();
    for n in 1..=50 {
        assert_eq!(
            system
                .publish("numbers://1", Placed(n))
                .await
                .unwrap()
                .accepted,
            1
        );
    }
    until(|| seen.len() == 50).await;
    assert_eq!(seen.of("brittle"), Vec::from_iter(1..=50));
    system.unmount("brittle").await.unwrap();
    assert_eq!(
        ended(system.publish("numbers://1", Placed(1)).await.unwrap()),
        (0, 0, 0, 0)
    );
    let topics = system.snapshot().topics;
    assert_eq!(
        (topics.topics.len(), topics.gone.accepted, topics.unheard),
        (0, 50, 1)
    );
    system.stop().await.unwrap();
}

#[derive(Message)]
struct Follow(&'static str);

#[derive(Message)]
#[message(reply = bool)]
struct Leave(&'static str);

/// Subscribes as it runs.
#[derive(Subsystem, Default)]
struct Trader;

#[routes]
impl Trader {
    #[route("follow")]
    fn follow(
        &mut self,
        Follow(topic): Follow,
        ctx: Context,
        system: System,
    ) -> anyhow::Result<()> {
        let own = system.route::<Placed>("trader://price/{symbol}")?;
        ctx.subscribe(topic, &own)?;
        Ok(())
    }

    #[route("leave")]
    fn leave(&mut self, Leave(topic): Leave, ctx: Context) -> anyhow::Result<bool> {
        Ok(ctx.unsubscribe(topic)?)
    }

    #[route("price/{symbol}")]
    fn price(&mut self, Placed(n): Placed, Path(symbol): Path<String>, State(seen): State<Seen>) {
        seen.0.lock().unwrap().push(("trader".into(), symbol, n));
    }
}

#[tokio::test]
async fn a_subsystem_subscribes_as_it_runs_by_a_handle_until_it_ends() {
    let World { system, seen, .. } = world().await;
    system.mount(Trader::default).await.unwrap();
    // Twice is once.
    for _ in 0..2 {
        system
            .ask("trader://follow", Follow("market://{symbol}"))
            .await
            .unwrap();
    }
    system.publish("market://acme", Placed(1)).await.unwrap();
    until(|| seen.len() == 1).await;
    assert_eq!(seen.0.lock().unwrap()[0].1, "acme");
    assert!(
        system
            .ask("trader://leave", Leave("market://{s}"))
            .await
            .unwrap()
    );
    assert!(
        !system
            .ask("trader://leave", Leave("market://{s}"))
            .await
            .unwrap()
    );
    assert_eq!(
        system
            .publish("market://acme", Placed(2))
            .await
            .unwrap()
            .matched,
        0
    );
    let wrong = system
        .ask("trader://follow", Follow("market"))
        .await
        .unwrap_err();
    let failure = wrong.failure::<SubscribeError>();
    assert!(
        matches!(failure, Some(SubscribeError::NoName { .. })),
        "{wrong}"
    );
    system
        .ask("trader://follow", Follow("market://{symbol}"))
        .await
        .unwrap();
    system.unmount("trader").await.unwrap();
    assert_eq!(
        system
            .publish("market://acme", Placed(3))
            .await
            .unwrap()
            .matched,
        0
    );
    system.stop().await.unwrap();
}

#[tokio::test]
async fn code_outside_gets_a_bounded_stream_that_counts_what_it_misses() {
    let World { system, .. } = world().await;
    let mut stream = system.subscribe::<Placed>("orders://{*all}", 2).unwrap();
    for n in 0..3 {
        system.publish("orders://a/b", Placed(n)).await.unwrap();
    }
    assert_eq!(
        (stream.next().await, stream.try_next()),
        (Some(Placed(0)), Some(Placed(1)))
    );
    assert_eq!((stream.try_next(), stream.missed()), (None, 1));
    let ledger = system.snapshot().topics.total();
    assert_eq!((ledger.accepted, ledger.missed), (2, 1));
    drop(stream);
    assert_eq!(
        system
            .publish("orders://a/b", Placed(3))
            .await
            .unwrap()
            .matched,
        0
    );
    assert!(system.snapshot().topics.topics.is_empty());
    let mut last = system.subscribe::<Placed>("orders://{*all}", 2).unwrap();
    system.publish("orders://a/b", Placed(4)).await.unwrap();
    assert!(system.subscribe::<Placed>("orders", 2).is_err());
    assert!(system.subscribe::<Placed>("orders://{", 2).is_err());
    assert!(system.subscribe::<Placed>("orders://x", 0).is_err());
    system.stop().await.unwrap();
    assert_eq!(
        (last.next().await, last.next().await),
        (Some(Placed(4)), None)
    );
}

#[tokio::test]
async fn a_late_subscriber_gets_the_last_messages_that_are_retained() {
    #[derive(Subsystem, Default)]
    struct Late;

    #[routes]
    impl Late {
        #[subscribe("orders://placed/{id}", last = 2)]
        fn placed(&mut self, Placed(n): Placed, Path(id): Path<u64>, State(seen): State<Seen>) {
            seen.0
                .lock()
                .unwrap()
                .push(("late".into(), id.to_string(), n));
        }
    }
    let World { system, seen, .. } = world().await;
    system.retain::<Placed>("orders://{*all}", 3).unwrap();
    for n in 0..5 {
        system
            .publish(format!("orders://placed/{n}"), Placed(n))
            .await
            .unwrap();
    }
    system.publish("orders://paid/9", Placed(9)).await.unwrap();
    system.mount(Late::default).await.unwrap();
    system
        .publish("orders://placed/5", Placed(5))
        .await
        .unwrap();
    until(|| seen.len() == 3).await;
    assert_eq!(seen.of("late"), [3, 4, 5]);
    let mut stream = system
        .subscribe_last::<Placed>("orders://{*all}", 8, 1)
        .unwrap();
    assert_eq!(
        (stream.try_next(), stream.try_next()),
        (Some(Placed(5)), None)
    );
    system.retain::<Placed>("orders://{*all}", 0).unwrap();
    let mut stream = system
        .subscribe_last::<Placed>("orders://{*all}", 8, 1)
        .unwrap();
    assert_eq!(stream.try_next(), None);
    system.stop().await.unwrap();
}

#[tokio::test]
async fn a_circle_of_full_mailboxes_has_the_copy_missed_and_no_one_hangs() {
    #[derive(Subsystem, Default)]
    struct Echo;

    #[derive(Default)]
    struct Missed(AtomicU64);

    #[routes]
    impl Echo {
        #[subscribe("ring://{_n}")]
        async fn ring(
            &mut self,
            Placed(n): Placed,
            system: System,
            State(missed): State<Missed>,
        ) -> anyhow::Result<()> {
            if n > 0 {
                let published = system.publish("ring://x", Placed(n - 1)).await?;
                missed.0.fetch_add(published.missed, Ordering::Relaxed);
            }
            Ok(())
        }
    }
    let missed = Arc::new(Missed::default());
    let system = System::builder()
        .threads(2)
        .shared_state(missed.clone())
        .start()
        .await
        .unwrap();
    for name in ["one", "two"] {
        let options = MountOptions::new().name(name).capacity(1);
        system.mount_with(options, Echo::default).await.unwrap();
    }
    let published = system.publish("ring://x", Placed(4)).await.unwrap();
    assert_eq!(published.accepted, 2);
    until(|| system.snapshot().total.waiting == 0).await;
    let ledger = system.snapshot().topics.total();
    assert!(missed.0.load(Ordering::Relaxed) > 0);
    assert_eq!(ledger.matched, ledger.accepted + ledger.missed);
    assert_eq!(ledger.accepted, system.snapshot().total.handled);
    system.stop().await.unwrap();
}

#[tokio::test]
async fn lifecycle_and_dead_letters_are_topics_and_no_one_else_publishes_there() {
    let World { system, .. } = world().await;
    let mut events = system
        .subscribe::<Event>("mycelia://lifecycle/{*name}", 8)
        .unwrap();
    let mut letters = system
        .subscribe::<DeadLetter>("mycelia://dead-letters", 8)
        .unwrap();
    system.mount(Trader::default).await.unwrap();
    assert_eq!(events.next().await.unwrap().change, Change::Started);
    system
        .tell("trader://follow", Follow("wrong"))
        .await
        .unwrap();
    let letter = letters.next().await.unwrap();
    assert!(matches!(letter.reason, DeadReason::Failed(_)));
    let refused = system
        .publish("mycelia://dead-letters", letter)
        .await
        .unwrap_err();
    assert!(matches!(refused.reason(), SendError::Reserved { .. }));
    system.unmount("trader").await.unwrap();
    assert!(matches!(
        events.next().await.unwrap().change,
        Change::Ended(_)
    ));
    system.stop().await.unwrap();
}

#[tokio::test]
async fn a_capture_that_does_not_parse_misses_and_a_clone_that_panics_cuts() {
    #[derive(Subsystem, Default)]
    struct Strict;

    #[derive(Message)]
    struct Bomb(u32);

    impl Clone for Bomb {
        fn clone(&self) -> Self {
            assert!(self.0 == 0, "on purpose");
            Bomb(self.0)
        }
    }

    #[routes]
    impl Strict {
        #[subscribe("orders://placed/{id}")]
        fn placed(&mut self, _: Placed, Path(_): Path<u64>) {}
        #[subscribe("bombs://x")]
        fn bomb(&mut self, _: Bomb) {}
    }
    let World { system, .. } = world().await;
    system.mount_as("one", Strict::default).await.unwrap();
    system.mount_as("two", Strict::default).await.unwrap();
    let published = system
        .publish("orders://placed/x", Placed(1))
        .await
        .unwrap();
    assert_eq!(ended(published), (2, 0, 2, 0));
    let panics = tokio::spawn({
        let system = system.clone();
        async move { system.publish("bombs://x", Bomb(1)).await.map(drop) }
    });
    assert!(panics.await.unwrap_err().is_panic());
    let ledger = system.snapshot().topics.topic("bombs://x").unwrap().ledger;
    assert_eq!((ledger.matched, ledger.cut, ledger.waiting), (2, 2, 0));
    system.stop().await.unwrap();
}
