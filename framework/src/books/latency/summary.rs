//! The totals of each subsystem: count, sum and maximum of its messages' waits and services.

use super::Sample;
use crate::base::clock::Clock;
use crate::base::sync::{AtomicU64, Ordering};

/// The number of messages, the sum of their latencies, and the longest. These figures are exact, and every
/// subsystem has them.
///
/// # Examples
/// ```
/// # use mycelia::prelude::*;
/// # #[derive(Message)] struct Ping;
/// # #[derive(Subsystem, Default)] struct Api;
/// # #[routes] impl Api { #[route("ping")] fn ping(&mut self, _: Ping) {} }
/// # #[mycelia::main]
/// # async fn main() -> anyhow::Result<()> {
/// # let system = System::builder().start().await?;
/// system.mount(Api::default).await?;
/// for _ in 0..3 {
///     system.ask("api://ping", Ping).await?;
/// }
/// let now = system.snapshot();
/// let service = now.subsystem("api").expect("it is mounted").service;
/// assert_eq!(service.count, 3);
/// assert!(service.mean_ns() <= service.max_ns as f64);
/// # system.stop().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LatencySummary {
    /// Messages recorded: all whose handler has begun.
    pub count: u64,
    /// The sum, in nanoseconds.
    pub sum_ns: u64,
    /// The largest value, in nanoseconds.
    pub max_ns: u64,
}

impl LatencySummary {
    /// The mean, in nanoseconds; 0 if there were no messages.
    pub fn mean_ns(&self) -> f64 {
        self.sum_ns as f64 / self.count.max(1) as f64
    }
}

/// The sums of a batch. Adding a message compares nothing, which keeps it cheap.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    wait: Span,
    service: Span,
}

#[derive(Debug, Default)]
struct Span {
    /// The sum. It may have wrapped if a value is above [`PLAIN`].
    sum_ns: u64,
    /// The bitwise OR of all values; no value is larger.
    bits: u64,
}

/// 78 hours. No batch is so large that the sum of values up to this one wraps.
const PLAIN: u64 = (1 << 48) - 1;

impl Span {
    #[inline(always)]
    fn add(&mut self, ns: u64) {
        self.sum_ns = self.sum_ns.wrapping_add(ns);
        self.bits |= ns;
    }
}

impl Batch {
    #[inline(always)]
    pub(super) fn add(&mut self, wait_ns: u64, service_ns: u64) {
        self.wait.add(wait_ns);
        self.service.add(service_ns);
    }
}

/// The totals of a subsystem. Its host is the only writer; any thread reads.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    count: AtomicU64,
    wait: SpanCell,
    service: SpanCell,
}

#[derive(Debug, Default)]
struct SpanCell {
    sum_ns: AtomicU64,
    max_ns: AtomicU64,
}

impl SpanCell {
    /// Adds the values of a batch. There is one writer, so a load and a store are enough.
    #[inline(always)]
    fn add<V: Iterator<Item = u64>>(&self, span: &Span, values: impl FnOnce() -> V) {
        let max_ns = self.max_ns.load(Ordering::Relaxed);
        let sum_ns = match span.bits > max_ns.min(PLAIN) {
            // Most batches have no new maximum.
            false => span.sum_ns,
            true => self.look_at(values()),
        };
        let sum_ns = self.sum_ns.load(Ordering::Relaxed).saturating_add(sum_ns);
        self.sum_ns.store(sum_ns, Ordering::Relaxed);
    }

    /// Finds the largest value, and the sum.
    #[cold]
    #[inline(never)]
    fn look_at(&self, values: impl Iterator<Item = u64>) -> u64 {
        let mut max_ns = self.max_ns.load(Ordering::Relaxed);
        let sum_ns = values.fold(0_u64, |sum_ns, ns| {
            max_ns = max_ns.max(ns);
            sum_ns.saturating_add(ns)
        });
        self.max_ns.store(max_ns, Ordering::Relaxed);
        sum_ns
    }

    fn read(&self, count: u64) -> LatencySummary {
        LatencySummary {
            count,
            sum_ns: self.sum_ns.load(Ordering::Relaxed),
            max_ns: self.max_ns.load(Ordering::Relaxed),
        }
    }
}

impl Totals {
    /// Adds a batch, made of these samples. Only the one writer may call it.
    #[inline(always)]
    pub(crate) fn add(&self, batch: &Batch, clock: &Clock, samples: &[Sample]) {
        let all = samples.iter();
        self.wait
            .add(&batch.wait, || all.clone().map(|one| one.wait_ns(clock)));
        self.service.add(&batch.service, || {
            all.clone().map(|one| one.service_ns(clock))
        });
        let count = self.count.load(Ordering::Relaxed);
        let count = count.saturating_add(samples.len() as u64);
        // Release: a reader that sees this count sees sums that include it.
        self.count.store(count, Ordering::Release);
    }

    /// Returns the waits and the services. The sums may be newer than the count, by one batch.
    pub(crate) fn read(&self) -> (LatencySummary, LatencySummary) {
        let count = self.count.load(Ordering::Acquire);
        (self.wait.read(count), self.service.read(count))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::clock::Stamp;
    use crate::books::latency::Book;

    fn sample(wait_ns: u64, service_ns: u64) -> Sample {
        Sample {
            route: 0,
            sent: Stamp(0),
            started: Stamp(wait_ns),
            ended: Stamp(wait_ns.saturating_add(service_ns)),
        }
    }

    /// Adds batches of waits and services, on a clock whose raw units are nanoseconds.
    fn totals(batches: &[&[(u64, u64)]]) -> (LatencySummary, LatencySummary) {
        let (clock, _hand) = Clock::manual();
        let (totals, book) = (Totals::default(), Book::new(1));
        for batch in batches {
            let samples: Vec<_> = batch.iter().map(|(w, s)| sample(*w, *s)).collect();
            totals.add(&book.enter(&clock, &samples), &clock, &samples);
        }
        totals.read()
    }

    #[test]
    fn batches_add_up_to_counts_sums_and_maxima() {
        assert_eq!(LatencySummary::default().mean_ns(), 0.0);
        // The second batch has all bits of 7 but no value above 6; the third has no new maximum.
        let (wait, service) = totals(&[&[(5, 10), (6, 2)], &[(3, 1), (4, 1)], &[(2, 12)]]);
        assert_eq!((wait.count, wait.sum_ns, wait.max_ns), (5, 20, 6));
        assert_eq!((service.count, service.sum_ns, service.max_ns), (5, 26, 12));
        assert_eq!(wait.mean_ns(), 4.0);
    }

    #[test]
    fn absurd_latencies_stop_at_the_most_that_can_be_told() {
        let long = u64::MAX / 2;
        let (wait, service) = totals(&[&[(long, 1); 3], &[(1, long); 3]]);
        assert_eq!((wait.count, wait.sum_ns, wait.max_ns), (6, u64::MAX, long));
        assert_eq!(service.sum_ns, u64::MAX);
        let (wait, _) = totals(&[&[(PLAIN, 1); 64], &[(PLAIN, 1); 64]]);
        assert_eq!((wait.sum_ns, wait.max_ns), (128 * PLAIN, PLAIN));
    }
}
