//! Latencies as cumulative buckets, for metrics systems that add them up themselves.

use hdrhistogram::Histogram;

/// The least bound is one below 2^10 ns, about a microsecond; the greatest one below 2^34 ns, about 17 s.
const BOUNDS: std::ops::RangeInclusive<u32> = 10..=34;

/// A distribution of latencies as cumulative counts: how many values were at most each bound.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Buckets {
    /// The bounds are the same for every route, each about twice the one before: from 1 µs to 17 s.
    pub buckets: Vec<Bucket>,
    /// How many values there are, including those beyond the last bound.
    pub count: u64,
    /// Their sum in nanoseconds, within 0.8 %.
    pub sum_ns: u64,
}

/// How many values are at most the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bucket {
    /// The bound, in nanoseconds.
    pub at_most_ns: u64,
    /// How many values are at most the bound; exact.
    pub count: u64,
}

/// The buckets of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteBuckets {
    /// From its sending until its handler began.
    pub wait: Buckets,
    /// From the handler's beginning to its end.
    pub service: Buckets,
    /// From its sending to its handler's end.
    pub total: Buckets,
}

impl Buckets {
    pub(super) fn of(histogram: &Histogram<u64>) -> Self {
        let mut recorded = histogram.iter_recorded().peekable();
        let mut count = 0_u64;
        let mut buckets = Vec::with_capacity(BOUNDS.count());
        for bound in BOUNDS {
            let at_most_ns = (1 << bound) - 1;
            // The histogram's own buckets end where these do.
            while let Some(value) =
                recorded.next_if(|value| value.value_iterated_to() <= at_most_ns)
            {
                count = count.saturating_add(value.count_at_value());
            }
            buckets.push(Bucket { at_most_ns, count });
        }
        Buckets {
            buckets,
            count: histogram.len(),
            sum_ns: (histogram.mean() * histogram.len() as f64) as u64,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_the_buckets_from_its_own_on() {
        let mut histogram = Histogram::<u64>::new(2).unwrap();
        let values = [1, 1_023, 1_024, 5_000, 1 << 33, (1 << 34) - 1, 1 << 40];
        for value in values {
            histogram.record(value).unwrap();
        }
        let read = Buckets::of(&histogram);
        for bucket in &read.buckets {
            let at_most = values.iter().filter(|value| **value <= bucket.at_most_ns);
            assert_eq!(
                bucket.count,
                at_most.count() as u64,
                "{}",
                bucket.at_most_ns
            );
        }
        assert_eq!(read.count, values.len() as u64);
        let sum: u64 = values.iter().sum();
        assert!(read.sum_ns.abs_diff(sum) < sum / 100);
    }
}
