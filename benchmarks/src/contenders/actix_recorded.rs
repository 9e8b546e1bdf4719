//! Raw actix whose messages are stamped and recorded by hand, as one would who wants to know what mycelia tells:
//! how long each message waited, how long its handler took, and both together. So equal work stands beside unequal.

use actix::prelude::*;
use hdrhistogram::Histogram;
use quanta::Instant;

use super::actix::{Actix, on_arbiter};
use crate::contender::{self, Contender, Threads, YIELDS_AFTER};
use crate::tally::{Aside, Take, Tally};

/// Raw actix, every message recorded.
#[derive(Debug)]
pub struct ActixRecorded;

#[derive(Message)]
#[rtype(result = "()")]
struct Add {
    n: u64,
    sent: Instant,
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Ask {
    n: u64,
    sent: Instant,
}

/// As many significant digits as mycelia's histograms have.
const DIGITS: u8 = 2;

/// What took longer is recorded as this: an hour.
const MOST_NS: u64 = 3_600_000_000_000;

struct Latencies {
    wait: Histogram<u64>,
    service: Histogram<u64>,
    total: Histogram<u64>,
}

impl Latencies {
    fn new() -> Self {
        let histogram = || Histogram::new_with_max(MOST_NS, DIGITS).expect("good bounds");
        Latencies {
            wait: histogram(),
            service: histogram(),
            total: histogram(),
        }
    }

    #[inline]
    fn record(&mut self, sent: Instant, begun: Instant) {
        let ended = Instant::now();
        let ns = |from: Instant, to: Instant| to.duration_since(from).as_nanos() as u64;
        self.wait.saturating_record(ns(sent, begun));
        self.service.saturating_record(ns(begun, ended));
        self.total.saturating_record(ns(sent, ended));
    }
}

struct Counter {
    tally: Tally,
    latencies: Latencies,
}

impl Counter {
    fn new() -> Self {
        Counter {
            tally: Tally::default(),
            latencies: Latencies::new(),
        }
    }
}

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Add> for Counter {
    type Result = ();

    fn handle(&mut self, Add { n, sent }: Add, _: &mut Self::Context) {
        let begun = Instant::now();
        self.tally.add(n);
        self.latencies.record(sent, begun);
    }
}

impl Handler<Ask> for Counter {
    type Result = u64;

    fn handle(&mut self, Ask { n, sent }: Ask, _: &mut Self::Context) -> u64 {
        let begun = Instant::now();
        let reply = self.tally.ask(n);
        self.latencies.record(sent, begun);
        reply
    }
}

impl Handler<Aside> for Counter {
    type Result = ();

    fn handle(&mut self, aside: Aside, _: &mut Self::Context) {
        self.tally.aside(aside);
    }
}

impl Handler<Take> for Counter {
    type Result = MessageResult<Take>;

    fn handle(&mut self, _: Take, _: &mut Self::Context) -> Self::Result {
        let tally = self.tally.take();
        let recorded = self.latencies.total.len();
        assert_eq!(recorded, tally.count, "every message is recorded");
        self.latencies = Latencies::new();
        MessageResult(tally)
    }
}

/// The address of a counting actor that records.
#[derive(Clone)]
pub struct Address(Addr<Counter>);

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Address")
    }
}

impl contender::Address for Address {
    const YIELDS_AFTER: Option<u64> = Some(YIELDS_AFTER);

    #[inline]
    fn tell(&self, n: u64) -> impl Future<Output = ()> + Send {
        let sent = Instant::now();
        self.0.do_send(Add { n, sent });
        std::future::ready(())
    }

    #[inline]
    fn aside(&self, aside: Aside) -> impl Future<Output = ()> + Send {
        self.0.do_send(aside);
        std::future::ready(())
    }

    async fn ask(&self, n: u64) -> u64 {
        let sent = Instant::now();
        self.0.send(Ask { n, sent }).await.expect("the actor lives")
    }

    async fn take(&self) -> Tally {
        self.0.send(Take).await.expect("the actor lives")
    }
}

impl Contender for ActixRecorded {
    const NAME: &'static str = "actix-recorded";
    const PACKAGE: &'static str = "actix";

    type Stage = ArbiterHandle;
    type Address = Address;
    type Idle = Address;

    fn play<R, F, Fut>(threads: Threads, script: F) -> anyhow::Result<R>
    where
        R: Send + 'static,
        F: FnOnce(Self::Stage) -> Fut + Send + 'static,
        Fut: Future<Output = anyhow::Result<R>> + Send + 'static,
    {
        Actix::play(threads, script)
    }

    async fn start(stage: &Self::Stage, count: usize) -> anyhow::Result<Vec<Address>> {
        let start = move || (0..count).map(|_| Address(Counter::new().start()));
        on_arbiter(stage, move || start().collect()).await
    }

    async fn start_idle(stage: &Self::Stage, count: usize) -> anyhow::Result<Vec<Address>> {
        Self::start(stage, count).await
    }

    async fn ask_idle(_: &Self::Stage, idle: &Address) -> anyhow::Result<u64> {
        let sent = Instant::now();
        Ok(idle.0.send(Ask { n: 1, sent }).await?)
    }
}
