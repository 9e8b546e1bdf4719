//! Latency: how long every message took. `host → `**`latency`**
//!
//! Three readings of the clock give three intervals per message: *wait* (from sent until its handler begins),
//! *service* (the handler), *total*. Every message is recorded, none is sampled. The record goes into the
//! [`Book`] that the thread has for the subsystem's kind (Rust type), so memory is bounded by the program and not
//! by the number of subsystems. A book has one writer, its thread, and any number of readers. So recording takes
//! plain loads and stores, and a snapshot can read at any time. Every subsystem also has its own [`Totals`], and
//! on request a book of its own.
//!
//! Histograms have two significant digits (relative error below 0.8 %). They are stored as bare counts in
//! hdrhistogram's buckets, which hdrhistogram reads. A histogram takes 270 bytes for every doubling of the value
//! that occurred, and a KB more where one value occurred often: 1 to 12 KB in all. A route has none until its
//! first message.

mod buckets;
mod counts;
mod summary;

use crate::base::clock::{Clock, Stamp};
use crate::base::sync::OnceBox;
use hdrhistogram::Histogram;

#[cfg_attr(loom, expect(unused_imports, reason = "they are for the snapshot"))]
pub use buckets::{Bucket, Buckets, RouteBuckets};
use counts::{Counts, Interval, least};
#[cfg_attr(loom, expect(unused_imports, reason = "it is for the snapshot"))]
pub use summary::LatencySummary;
pub(crate) use summary::{Batch, Totals};

/// The stamps of one message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) route: u16,
    pub(crate) sent: Stamp,
    pub(crate) started: Stamp,
    pub(crate) ended: Stamp,
}

impl Sample {
    /// A placeholder.
    pub(crate) const NONE: Sample = Sample {
        route: 0,
        sent: Stamp(0),
        started: Stamp(0),
        ended: Stamp(0),
    };

    #[inline(always)]
    fn wait_ns(&self, clock: &Clock) -> u64 {
        clock.between_ns(self.sent, self.started)
    }

    #[inline(always)]
    fn service_ns(&self, clock: &Clock) -> u64 {
        clock.between_ns(self.started, self.ended)
    }
}

/// The histograms of a kind on one thread, or of a subsystem, by route.
#[derive(Debug)]
pub(crate) struct Book(Box<[OnceBox<Counts>]>);

impl Book {
    pub(crate) fn new(routes: usize) -> Self {
        Book((0..routes).map(|_| OnceBox::new()).collect())
    }

    /// Records messages, and adds them up. Only the book's one writer may call it.
    ///
    /// Inlined at its caller, so that the sums stay in registers.
    #[inline(always)]
    pub(crate) fn enter(&self, clock: &Clock, samples: &[Sample]) -> Batch {
        let mut batch = Batch::default();
        for run in samples.chunk_by(|one, next| one.route == next.route) {
            let Some(counts) = run.first().and_then(|first| self.counts(first.route)) else {
                continue;
            };
            for sample in run {
                let (wait_ns, service_ns) = (sample.wait_ns(clock), sample.service_ns(clock));
                counts.record(Interval::Wait, wait_ns);
                counts.record(Interval::Service, service_ns);
                counts.record(Interval::Total, wait_ns.saturating_add(service_ns));
                batch.add(wait_ns, service_ns);
            }
        }
        batch
    }

    fn counts(&self, route: u16) -> Option<&Counts> {
        let counts = self.0.get(usize::from(route))?;
        Some(match counts.get() {
            Some(counts) => counts,
            None => counts.get_or_init(Box::default),
        })
    }
}

/// Reads the latencies of one route out of several books, each with the route's number in it.
pub(crate) fn read<'b>(
    places: impl Iterator<Item = (&'b Book, u16)>,
) -> Option<(RouteLatency, RouteBuckets)> {
    let all: Vec<&Counts> = places
        .filter_map(|(book, route)| book.0.get(usize::from(route))?.get())
        .collect();
    if all.is_empty() {
        return None;
    }
    let intervals = [Interval::Wait, Interval::Service, Interval::Total];
    let [wait, service, total] = intervals.map(|interval| histogram(&all, interval));
    let latency = RouteLatency {
        count: total.len(),
        wait: Latency::of(&wait),
        service: Latency::of(&service),
        total: Latency::of(&total),
    };
    let buckets = RouteBuckets {
        wait: Buckets::of(&wait),
        service: Buckets::of(&service),
        total: Buckets::of(&total),
    };
    Some((latency, buckets))
}

/// Sums up one interval of several counts as a histogram.
fn histogram(all: &[&Counts], interval: Interval) -> Histogram<u64> {
    let mut sums = Vec::new();
    for counts in all {
        counts.add_onto(interval, &mut sums);
    }
    let used = sums.iter().enumerate().filter(|(_, count)| **count > 0);
    let greatest = used
        .clone()
        .next_back()
        .map_or(0, |(bucket, _)| least(bucket));
    let mut histogram =
        Histogram::new_with_max(greatest.max(2), 2).expect("two significant digits are in range");
    for (bucket, count) in used {
        // It can fail only for a value above the maximum, which was given above.
        let _ = histogram.record_n(least(bucket), *count);
    }
    histogram
}

/// Reads repeatedly what was recorded in a book since the last reading.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    /// Waits by bucket at the last reading, summed over all routes.
    before: Vec<u64>,
    now: Vec<u64>,
}

impl Recent {
    /// The 99th percentile of the waits recorded since the last call; `None` if there were none. Costs about a
    /// nanosecond per bucket in use, some microseconds in all; it allocates once.
    pub(crate) fn wait_p99_ns(&mut self, book: &Book) -> Option<u64> {
        self.now.clear();
        for counts in book.0.iter().filter_map(OnceBox::get) {
            counts.add_onto(Interval::Wait, &mut self.now);
        }
        self.before.resize(self.now.len(), 0);
        let fresh = |(now, before): (&u64, &u64)| now - before;
        let both = || self.now.iter().zip(&self.before);
        let mut longer = both().map(fresh).sum::<u64>() / 100;
        let p99 = both().map(fresh).enumerate().rev().find(|(_, count)| {
            let is_it = *count > longer;
            longer = longer.saturating_sub(*count);
            is_it
        });
        let p99 = p99.map(|(bucket, _)| least(bucket));
        std::mem::swap(&mut self.now, &mut self.before);
        p99
    }
}

/// The latencies of a route.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RouteLatency {
    /// Messages recorded: all whose handler has begun.
    pub count: u64,
    /// From its sending until its handler began.
    pub wait: Latency,
    /// From the handler's beginning to its end.
    pub service: Latency,
    /// From its sending to its handler's end.
    pub total: Latency,
}

/// A distribution of latencies, in nanoseconds, each within 0.8 %.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Latency {
    /// The median.
    pub p50_ns: u64,
    /// The 90th percentile.
    pub p90_ns: u64,
    /// The 99th percentile.
    pub p99_ns: u64,
    /// The 99.9th percentile.
    pub p999_ns: u64,
    /// The largest value.
    pub max_ns: u64,
    /// The mean.
    pub mean_ns: f64,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Latency {
            p50_ns: at(0.50),
            p90_ns: at(0.90),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            max_ns: histogram.max(),
            mean_ns: histogram.mean(),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::strategy::Strategy as _;
    use std::time::Duration;

    proptest::proptest! {
        #[test]
        fn counts_become_the_histogram_that_would_have_been_recorded(
            values in proptest::collection::vec(
                (proptest::num::u64::ANY, 0_u32..64).prop_map(|(value, shift)| value >> shift),
                1..200,
            ),
        ) {
            let counts = [Counts::default(), Counts::default()];
            let mut histogram = Histogram::<u64>::new(2).unwrap();
            for (i, value) in values.into_iter().enumerate() {
                counts[i % 2].record(Interval::Service, value);
                histogram.record(value).unwrap();
            }
            let read = super::histogram(&counts.each_ref(), Interval::Service);
            proptest::prop_assert_eq!(&read, &histogram);
            proptest::prop_assert_eq!(Latency::of(&read), Latency::of(&histogram));
        }
    }

    #[test]
    fn a_bucket_counts_on_when_its_count_of_16_bits_is_full() {
        let counts = Counts::default();
        for n in 1..=200_000_u64 {
            counts.record(Interval::Total, 1_000_003);
            if n.is_multiple_of(1 << 16) || n % 50_000 == 1 {
                assert_eq!(super::histogram(&[&counts], Interval::Total).len(), n);
            }
        }
        counts.record(Interval::Total, 1_100_003);
        let read = super::histogram(&[&counts], Interval::Total);
        assert_eq!((read.len(), read.count_at(1_000_003)), (200_001, 200_000));
    }

    #[test]
    fn what_was_recorded_since_the_last_look_is_read_alone() {
        let (clock, hand) = Clock::manual();
        let book = Book::new(3);
        let enter = |route, wait_us| {
            let sent = clock.now();
            hand.advance(Duration::from_micros(wait_us));
            let now = clock.now();
            let (started, ended) = (now, now);
            book.enter(
                &clock,
                &[Sample {
                    route,
                    sent,
                    started,
                    ended,
                }],
            );
        };
        let mut recent = Recent::default();
        let mut p99_us = || {
            let p99_ns = recent.wait_p99_ns(&book)?;
            Some((p99_ns as f64 / 1000.0).round() as u64)
        };
        assert_eq!(p99_us(), None);
        (1..=200).for_each(|wait_us| enter(0, wait_us));
        assert_eq!(p99_us(), Some(198));
        assert_eq!(p99_us(), None);
        enter(2, 5);
        assert_eq!(p99_us(), Some(5));
        (0..99).for_each(|_| enter(1, 3));
        enter(2, 100_000);
        assert_eq!(p99_us(), Some(3));
        (0..98).for_each(|_| enter(1, 3));
        enter(2, 100);
        assert_eq!(p99_us(), Some(100));
    }

    #[test]
    fn a_book_records_the_three_intervals_of_every_message_and_several_are_read_as_one() {
        let (clock, hand) = Clock::manual();
        let (one, other) = (Book::new(2), Book::new(2));
        for service_us in 1..=100 {
            let sent = clock.now();
            hand.advance(Duration::from_micros(10));
            let started = clock.now();
            hand.advance(Duration::from_micros(service_us));
            let sample = Sample {
                route: 1,
                sent,
                started,
                ended: clock.now(),
            };
            let book = if service_us % 2 == 0 { &one } else { &other };
            book.enter(&clock, &[sample]);
        }
        let places = |route| [(&one, route), (&other, route)].into_iter();
        assert_eq!(read(places(0)), None);
        let read = read(places(1)).unwrap().0;
        assert_eq!(read.count, 100);
        let within = |value: u64, of: u64| value.abs_diff(of) as f64 <= of as f64 * 0.008;
        assert!(within(read.wait.p99_ns, 10_000), "{read:?}");
        assert!(within(read.service.p50_ns, 50_000), "{read:?}");
        assert!(within(read.total.max_ns, 110_000), "{read:?}");
    }
}
