//! What a system says of itself.

use super::{Add, Counter};
use crate::common::watchdog;
use mycelia::observe::{
    Bucket, Buckets, Change, DeadLetter, DeadLetterStream, DeadReason, EndReason, Event,
    KindRouteSnapshot, KindSnapshot, Latency, LatencySummary, Ledger, PoolStats, Published,
    RouteBuckets, RouteLatency, RouteSnapshot, Snapshot, Stamps, StopReason, Stuck, StuckIn,
    SubsystemSnapshot, TopicLedger, TopicSnapshot, TopicsSnapshot, TraceId, Watch,
};
use mycelia::prelude::{MountOptions, System};

#[derive(mycelia::Message, Clone)]
struct Word;

#[mycelia::test]
async fn a_system_says_what_it_does() -> anyhow::Result<()> {
    let _watchdog = watchdog();
    let system = System::builder().stamps(Stamps::Own).start().await?;
    let mut watch: Watch = system.watch("counter");
    let mut letters: DeadLetterStream = system.dead_letters();
    let options = MountOptions::new().own_histograms(true);
    system.mount_with(options, Counter::default).await?;
    let event: Event = watch.next().await.expect("it was mounted");
    assert_eq!(event.change, Change::Started);
    system.ask("counter://sum", Add(1)).await?;

    let _words = system.subscribe::<Word>("words://{word}", 1)?;
    let published: Published = system.publish("words://a", Word).await?;
    assert_eq!((published.matched, published.accepted), (1, 1));

    let snapshot: Snapshot = system.snapshot();
    let topics: &TopicsSnapshot = &snapshot.topics;
    let words: &TopicSnapshot = topics.topic("words://{word}").expect("it has a subscriber");
    let copies: TopicLedger = words.ledger;
    assert_eq!((copies, words.subscribers), (topics.total(), 1));
    let ledger: Ledger = snapshot.total;
    assert!(ledger.closes() && ledger.is_quiet());
    let pool: PoolStats = snapshot.pool;
    assert_eq!(pool.in_flight, 0);
    let counter: &SubsystemSnapshot = snapshot.subsystem("counter").expect("it is mounted");
    let stuck: Option<Stuck> = counter.stuck;
    let place = stuck.map(|stuck| stuck.place == StuckIn::Thread);
    assert_eq!((place, counter.is_paused), (None, false));
    let wait: LatencySummary = counter.wait;
    assert_eq!(wait.count, 1);
    let route: &RouteSnapshot = snapshot.route("counter://sum").expect("it is a route");
    let latency: RouteLatency = route.latency.expect("it has histograms of its own");
    let total: Latency = latency.total;
    assert!(total.p50_ns <= total.max_ns);
    let kind: &KindSnapshot = snapshot.kind::<Counter>().expect("one was mounted");
    let of_kind: &KindRouteSnapshot = &kind.routes[0];
    assert_eq!(&*of_kind.pattern, "sum");
    let buckets: &RouteBuckets = of_kind.buckets.as_ref().expect("it has had a message");
    let total: &Buckets = &buckets.total;
    let last: Option<&Bucket> = total.buckets.last();
    assert!(last.is_some_and(|bucket| bucket.count <= total.count));

    let none: Option<DeadLetter> = letters.try_next();
    let died = |letter: DeadLetter| -> (DeadReason, TraceId) { (letter.reason, letter.trace) };
    assert!(none.map(died).is_none());
    assert_eq!(system.stop().await?.reason, StopReason::Requested);
    let ended = watch.next().await.expect("it has ended");
    assert_eq!(ended.change, Change::Ended(EndReason::SystemStopped));
    Ok(())
}
