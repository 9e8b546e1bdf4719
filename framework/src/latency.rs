//! Latency: what every message took. `host → `**`latency`**
//!
//! Three intervals per message, from three readings of the clock: *wait* (sent until its handler
//! begins), *service* (the handler), *total*. Every message is recorded, none sampled. A host gathers
//! a turn's samples and enters them into its subsystem's [`Book`] under one lock, so that a snapshot
//! can read the book at any time without stopping anyone.
//!
//! Histograms are hdrhistograms with two significant digits (relative error below 0.8 %) that start
//! empty and grow with the largest value: 18 KB for values up to 10 ms, 29 KB up to 1 s, 58 KB for the
//! whole range of 64 bits. A subsystem has none until its first message. The first
//! [`OWN_BOOKS`] active subsystems of a system have books of their own; those beyond share one by
//! kind, that is by Rust type. 10,000 active subsystems of one kind so stay under 50 MB.

use hdrhistogram::Histogram;

use crate::clock::{Clock, Stamp};
use crate::sync::{Mutex, lock};

/// How many subsystems of a system have latency histograms of their own; further ones share by kind.
pub const OWN_BOOKS: usize = 512;

/// One message's stamps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) route: u16,
    pub(crate) sent: Stamp,
    pub(crate) started: Stamp,
    pub(crate) ended: Stamp,
}

/// The histograms of a subsystem, or of a kind, by route.
#[derive(Debug, Default)]
pub(crate) struct Book(Mutex<Vec<Option<Box<Page>>>>);

#[derive(Debug, Clone)]
struct Page {
    wait: Histogram<u64>,
    service: Histogram<u64>,
    total: Histogram<u64>,
}

impl Page {
    fn new() -> Self {
        let histogram = || Histogram::new(2).expect("two significant digits are in range");
        Page {
            wait: histogram(),
            service: histogram(),
            total: histogram(),
        }
    }
}

impl Book {
    /// Enters samples.
    pub(crate) fn enter(&self, clock: &Clock, samples: &[Sample]) {
        let mut pages = lock(&self.0);
        for sample in samples {
            let route = usize::from(sample.route);
            if pages.len() <= route {
                pages.resize_with(route + 1, || None);
            }
            let page = pages[route].get_or_insert_with(|| Box::new(Page::new()));
            // Recording can only fail for a histogram of fixed range; these grow.
            let _ = page
                .wait
                .record(clock.between_ns(sample.sent, sample.started));
            let _ = page
                .service
                .record(clock.between_ns(sample.started, sample.ended));
            let _ = page
                .total
                .record(clock.between_ns(sample.sent, sample.ended));
        }
    }

    /// What has been recorded on a route.
    pub(crate) fn read(&self, route: u16) -> Option<RouteLatency> {
        let pages = lock(&self.0);
        let page = pages.get(usize::from(route))?.as_ref()?;
        Some(RouteLatency {
            count: page.total.len(),
            wait: Latency::of(&page.wait),
            service: Latency::of(&page.service),
            total: Latency::of(&page.total),
        })
    }
}

/// The latencies of a route.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RouteLatency {
    /// Messages recorded: all that a handler was begun for.
    pub count: u64,
    /// From sent until the handler began.
    pub wait: Latency,
    /// From the handler's beginning to its end.
    pub service: Latency,
    /// From sent to the handler's end.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_book_records_the_three_intervals_of_every_message() {
        let (clock, hand) = Clock::manual();
        let book = Book::default();
        for service_us in 1..=100 {
            let sent = clock.now();
            hand.advance(Duration::from_micros(10));
            let started = clock.now();
            hand.advance(Duration::from_micros(service_us));
            let ended = clock.now();
            book.enter(
                &clock,
                &[Sample {
                    route: 1,
                    sent,
                    started,
                    ended,
                }],
            );
        }
        assert_eq!(book.read(0), None);
        let read = book.read(1).unwrap();
        assert_eq!(read.count, 100);
        let within = |value: u64, of: u64| value.abs_diff(of) as f64 <= of as f64 * 0.008;
        assert!(within(read.wait.p99_ns, 10_000), "{read:?}");
        assert!(within(read.service.p50_ns, 50_000), "{read:?}");
        assert!(within(read.total.max_ns, 110_000), "{read:?}");
    }
}
