//! The counts of a route's histograms: how they are recorded, and how they are read.
//!
//! The buckets are those of an hdrhistogram with two significant digits. Recording there takes 52 instructions,
//! three times per message; here it takes some 20. Counts have 16 bits, so that the counts a message touches are
//! likely to be still in the cache when the next message comes to a subsystem that is one of many. A count that
//! is full starts again at 0 and *carries* into a wide count beside it. A reader that may have read during a
//! carry reads again. (Writer and reader: H. Boehm, "Can seqlocks get along with programming language memory
//! models?", 2012.)

use crate::base::sync::{AtomicU16, AtomicU32, AtomicU64, OnceBox, Ordering, fence, thread};

/// Each doubling of the value has 2^7 counts, so a bucket is within 1 / 2^7 of the value.
const HALF_BITS: u32 = 7;
const HALF: usize = 1 << HALF_BITS;
/// Values below this one have a count each.
const EXACT: u64 = 2 << HALF_BITS;
/// Runs of counts, one for each doubling; the exact values have two. The number is rounded up to a power of two,
/// so that no bounds are checked.
const RUNS: usize = (64 - HALF_BITS as usize + 1).next_power_of_two();

/// A count that would reach this value carries it into the wide count. Small in a loom model.
const FULL: u32 = if cfg!(loom) { 2 } else { 1 << 16 };

/// The three intervals that are measured of each message.
#[derive(Debug, Clone, Copy)]
pub(super) enum Interval {
    Wait,
    Service,
    Total,
}

/// The counts of a route. One thread writes them, any number read.
pub(super) struct Counts {
    /// A run is allocated when its first value is recorded. The runs of the three intervals are adjacent: a
    /// message's wait and its total are often in the same doubling.
    runs: [[OnceBox<CountRun>; 3]; RUNS],
}

/// The counts of a doubling.
struct CountRun {
    counts: [AtomicU16; HALF],
    /// Allocated when one of the counts is full.
    carried: OnceBox<Carried>,
}

/// The wide counts, into which full counts are carried.
struct Carried {
    /// Raised by the writer before and after each carry, so it is odd during one. A reader that finds it odd or
    /// changed reads again.
    turn: AtomicU32,
    counts: [AtomicU64; HALF],
}

/// The bucket of a value.
#[inline]
pub(super) fn bucket(value: u64) -> usize {
    if value < EXACT {
        return value as usize;
    }
    let doublings = value.ilog2() - HALF_BITS;
    ((doublings as usize) << HALF_BITS) + (value >> doublings) as usize
}

/// The least value of a bucket.
pub(super) fn least(bucket: usize) -> u64 {
    let doublings = (bucket >> HALF_BITS).saturating_sub(1);
    ((bucket - (doublings << HALF_BITS)) as u64) << doublings
}

impl Default for Counts {
    fn default() -> Self {
        Counts {
            runs: std::array::from_fn(|_| std::array::from_fn(|_| OnceBox::new())),
        }
    }
}

impl std::fmt::Debug for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counts").finish_non_exhaustive()
    }
}

impl Counts {
    /// Counts a value. Only the one writer may call it.
    #[inline]
    pub(super) fn record(&self, interval: Interval, value: u64) {
        let bucket = bucket(value);
        let run = &self.runs[(bucket >> HALF_BITS) % RUNS][interval as usize];
        let run = match run.get() {
            Some(run) => run,
            None => CountRun::begin(run),
        };
        let at = bucket & (HALF - 1);
        let count = &run.counts[at];
        // There is one writer, so a load and a store are enough. A full count has wrapped to 0.
        let next = count.load(Ordering::Relaxed).wrapping_add(1);
        if next == FULL as u16 {
            run.carry(at);
        } else {
            count.store(next, Ordering::Relaxed);
        }
    }

    /// Adds the counts of an interval to `sums`, bucket by bucket.
    pub(super) fn add_onto(&self, interval: Interval, sums: &mut Vec<u64>) {
        for (i, run) in self.runs.iter().enumerate() {
            let Some(run) = run[interval as usize].get() else {
                continue;
            };
            let first = i << HALF_BITS;
            sums.resize(sums.len().max(first + HALF), 0);
            for (sum, count) in sums[first..].iter_mut().zip(run.read()) {
                *sum += count;
            }
        }
    }
}

impl CountRun {
    #[cold]
    fn begin(run: &OnceBox<CountRun>) -> &CountRun {
        run.get_or_init(|| {
            Box::new(CountRun {
                counts: std::array::from_fn(|_| AtomicU16::new(0)),
                carried: OnceBox::new(),
            })
        })
    }

    /// Counts a value in a bucket whose count is full.
    #[cold]
    fn carry(&self, at: usize) {
        let carried = self.carried.get_or_init(|| {
            Box::new(Carried {
                turn: AtomicU32::new(0),
                counts: std::array::from_fn(|_| AtomicU64::new(0)),
            })
        });
        let turn = carried.turn.load(Ordering::Relaxed);
        carried.turn.store(turn.wrapping_add(1), Ordering::Relaxed);
        // A reader that sees one of the next two stores also sees the raised turn.
        fence(Ordering::Release);
        let wide = &carried.counts[at];
        wide.store(
            wide.load(Ordering::Relaxed) + u64::from(FULL),
            Ordering::Relaxed,
        );
        self.counts[at].store(0, Ordering::Relaxed);
        carried.turn.store(turn.wrapping_add(2), Ordering::Release);
    }

    fn turn(&self) -> u32 {
        let carried = self.carried.get();
        carried.map_or(0, |carried| carried.turn.load(Ordering::Acquire))
    }

    /// Reads all counts consistently.
    fn read(&self) -> [u64; HALF] {
        loop {
            let turn = self.turn();
            let mut counts = self
                .counts
                .each_ref()
                .map(|count| u64::from(count.load(Ordering::Relaxed)));
            if let Some(carried) = self.carried.get() {
                for (count, carried) in counts.iter_mut().zip(&carried.counts) {
                    *count += carried.load(Ordering::Relaxed);
                }
            }
            fence(Ordering::Acquire);
            if turn.is_multiple_of(2) && self.turn() == turn {
                return counts;
            }
            thread::yield_now();
        }
    }
}
