//! The messages that every contender takes, and what its handlers keep of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use hdrhistogram::Histogram;

/// A tell: the message that throughput is measured with.
#[derive(Debug, actix::Message, mycelia::Message)]
#[rtype(result = "()")]
pub struct Add(pub u64);

/// Tells off the measured path.
#[derive(Debug, actix::Message, mycelia::Message)]
#[rtype(result = "()")]
pub enum Aside {
    /// Record the latency since this instant.
    Timed(Instant),
    /// Be busy for so long, then count.
    Work(Duration),
    /// Count in [`COUNTED`], where the handlers of many actors meet.
    Count,
}

/// Messages counted by the handlers of all actors of the process.
pub static COUNTED: AtomicU64 = AtomicU64::new(0);

/// An ask: the reply is the number plus one.
#[derive(Debug, actix::Message, mycelia::Message)]
#[rtype(result = "u64")]
#[message(reply = u64)]
pub struct Ask(pub u64);

/// Hands over what the handlers have kept, and starts anew.
#[derive(Debug, actix::Message, mycelia::Message)]
#[rtype(result = "Tally")]
#[message(reply = Tally)]
pub struct Take;

/// What the handlers of one actor have received.
#[derive(Debug, Default)]
pub struct Tally {
    /// Messages handled.
    pub count: u64,
    /// A sum of all numbers received.
    pub sum: u64,
    /// How often a number was not larger than the one before.
    pub disorder: u64,
    last: u64,
    /// Latencies of the messages that carried their sending time, in nanoseconds.
    pub latencies: Option<Box<Histogram<u64>>>,
}

/// What a number leaves in the sum: two mistakes are unlikely to cancel out.
#[inline]
fn mark(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Tally {
    /// Handles an [`Add`].
    #[inline]
    pub fn add(&mut self, n: u64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(mark(n));
        self.disorder += u64::from(n < self.last);
        self.last = n;
    }

    /// Handles an [`Aside`].
    pub fn aside(&mut self, aside: Aside) {
        self.count += 1;
        match aside {
            Aside::Timed(sent) => {
                let ns = sent.elapsed().as_nanos() as u64;
                let _ = self.latencies.get_or_insert_with(histogram).record(ns);
            }
            Aside::Work(duration) => spin(duration),
            Aside::Count => {
                COUNTED.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Handles an [`Ask`].
    #[inline]
    pub fn ask(&mut self, n: u64) -> u64 {
        self.add(n);
        n + 1
    }

    /// Handles a [`Take`].
    pub fn take(&mut self) -> Tally {
        std::mem::take(self)
    }

    /// Joins what several actors have received.
    pub fn merge(&mut self, other: &Tally) {
        self.count += other.count;
        self.sum = self.sum.wrapping_add(other.sum);
        self.disorder += other.disorder;
    }

    /// Makes sure that exactly the numbers `0..count` have been received, each once.
    ///
    /// # Errors
    /// Something was lost, received twice or changed.
    pub fn check(&self, count: u64) -> anyhow::Result<()> {
        ensure!(
            self.count == count,
            "{count} messages were sent and {} were handled",
            self.count
        );
        let sum = (0..count).fold(0_u64, |sum, n| sum.wrapping_add(mark(n)));
        ensure!(self.sum == sum, "the messages handled are not those sent");
        Ok(())
    }

    /// As [`check`](Self::check), and that they were received in the order sent.
    ///
    /// # Errors
    /// Also if the order was another.
    pub fn check_in_order(&self, count: u64) -> anyhow::Result<()> {
        self.check(count)?;
        ensure!(
            self.disorder == 0,
            "{} messages were handled before one sent earlier",
            self.disorder
        );
        Ok(())
    }
}

/// A histogram for latencies in nanoseconds, three significant digits.
pub fn histogram() -> Box<Histogram<u64>> {
    Box::new(Histogram::new(3).expect("three significant digits are in range"))
}

/// Keeps the processor busy.
pub fn spin(duration: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < duration {
        std::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(numbers: &[u64]) -> Tally {
        let mut tally = Tally::default();
        for n in numbers {
            tally.add(*n);
        }
        tally
    }

    #[test]
    fn a_lost_a_doubled_and_a_changed_message_show() {
        assert!(tally(&[0, 1, 2]).check_in_order(3).is_ok());
        assert!(tally(&[0, 2]).check(3).is_err());
        assert!(tally(&[0, 1, 1]).check(3).is_err());
        assert!(tally(&[0, 1, 7]).check(3).is_err());
    }

    #[test]
    fn another_order_shows() {
        assert!(tally(&[1, 0, 2]).check(3).is_ok());
        assert!(tally(&[1, 0, 2]).check_in_order(3).is_err());
    }
}
