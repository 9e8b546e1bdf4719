//! Strategies: how much each subsystem may do in a turn.
//!
//! A strategy is a pure function from what is going on ([`Load`]s) to [`Slice`]s. The supervisor asks
//! it every so often; the hosts obey at their next turn. A slice bounds how long the others on the same
//! thread must wait; the ratio of slices is the ratio of shares when all are busy.

use std::sync::Arc;
use std::time::Duration;

use crate::words::slice::Slice;

/// What a strategy knows of a subsystem.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Load {
    /// Its name.
    pub name: Arc<str>,
    /// The system's thread on which it lives.
    pub thread: usize,
    /// The weight it was mounted with; 1 unless stated.
    pub weight: u32,
    /// Messages accepted and not ended.
    pub waiting: u64,
    /// Messages ended since the strategy was last asked.
    pub ended: u64,
    /// How long its messages should wait at most, 99 in 100 of them, if it was mounted with a
    /// [`wait_goal`](crate::MountOptions::wait_goal).
    pub wait_goal: Option<Duration>,
    /// How long 99 in 100 messages did wait at most, of those whose handlers began since the strategy was
    /// last asked; within 0.8 %. `None` if there were none, or it has no goal.
    pub wait_p99: Option<Duration>,
    /// Its slice now.
    pub slice: Slice,
}

/// Decides the slices of all subsystems of a system.
///
/// It runs on the supervisor's thread: it must not block. If it panics, [`RoundRobin`] takes its place,
/// as [`Snapshot::strategy`](crate::observe::Snapshot::strategy) tells.
///
/// # Examples
/// ```
/// use mycelia::schedule::{Load, Slice, Strategy};
///
/// /// Anyone who is called `urgent` gets a long turn, the others a short one.
/// struct Urgent;
/// impl Strategy for Urgent {
///     fn slices(&mut self, loads: &[Load], slices: &mut [Slice]) {
///         for (load, slice) in loads.iter().zip(slices) {
///             *slice = Slice::new(if &*load.name == "urgent" { 256 } else { 16 });
///         }
///     }
/// }
/// ```
pub trait Strategy: Send + 'static {
    /// Writes the slice of each load into the place of the same index; the slices that hold now
    /// stand there before.
    fn slices(&mut self, loads: &[Load], slices: &mut [Slice]);

    /// How a report calls it.
    fn name(&self) -> &'static str {
        "user-defined"
    }
}

/// What the loads of each thread come to, by thread.
pub(super) fn by_thread<T: Clone + Default>(
    loads: &[Load],
    mut add: impl FnMut(&mut T, &Load),
) -> Vec<T> {
    let threads = loads
        .iter()
        .map(|load| load.thread.saturating_add(1))
        .max()
        .unwrap_or(0);
    let mut sums = vec![T::default(); threads];
    for load in loads {
        add(&mut sums[load.thread], load);
    }
    sums
}

/// Everyone the same slice.
#[derive(Debug, Clone, Copy, Default)]
pub struct RoundRobin(pub Slice);

impl Strategy for RoundRobin {
    fn slices(&mut self, _: &[Load], slices: &mut [Slice]) {
        slices.fill(self.0);
    }

    fn name(&self) -> &'static str {
        "round-robin"
    }
}

/// Shares of the thread's time in proportion to the weights of the mounts, whatever the handlers take:
/// weights 1, 2 and 4 get a seventh, two and four of it while all three have messages waiting.
///
/// A turn of weight 1 takes the stated time on average; or less, so that the turn of the largest weight on
/// its thread takes no more than [`Slice::LONGEST`]; so weights count as no less than a 500th of it. By
/// default 50 µs, long against the 0.2 µs that it costs to change from one subsystem to the next.
#[derive(Debug, Clone, Copy)]
pub struct Weighted(pub Duration);

impl Default for Weighted {
    fn default() -> Self {
        Weighted(Duration::from_micros(50))
    }
}

impl Strategy for Weighted {
    fn slices(&mut self, loads: &[Load], slices: &mut [Slice]) {
        let largest = by_thread(loads, |largest: &mut u32, load| {
            *largest = load.weight.max(*largest);
        });
        for (load, slice) in loads.iter().zip(slices) {
            let time = turn_of(self.0, load.weight, largest[load.thread]);
            *slice = Slice::new(u32::MAX).within(time);
        }
    }

    fn name(&self) -> &'static str {
        "weighted"
    }
}

/// How long the turn of a weight takes, if that of weight 1 is to take `unit` and that of `largest` must
/// not be too long.
fn turn_of(unit: Duration, weight: u32, largest: u32) -> Duration {
    let longest = Slice::LONGEST;
    let (weight, largest) = (weight.max(1), largest.max(1));
    if unit.saturating_mul(largest) <= longest {
        unit.saturating_mul(weight)
    } else {
        let turn = longest.saturating_mul(weight).checked_div(largest);
        turn.unwrap_or(longest)
    }
}

/// Slices in proportion to what waits, among those on the same thread, around the stated slice.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadBased(pub Slice);

/// How far a slice may be from the stated one: a quarter of it to four times it.
const SPREAD: u64 = 4;

impl Strategy for LoadBased {
    fn slices(&mut self, loads: &[Load], slices: &mut [Slice]) {
        let threads = by_thread(loads, |(waiting, count): &mut (u64, u64), load| {
            *waiting = waiting.saturating_add(load.waiting);
            *count = count.saturating_add(1);
        });
        let base = u64::from(self.0.messages());
        for (load, slice) in loads.iter().zip(slices) {
            let (waiting, count) = threads[load.thread];
            let share = base.saturating_mul(load.waiting).saturating_mul(count);
            let wanted = share.checked_div(waiting).unwrap_or(base);
            let bounded = wanted.clamp(base / SPREAD, base.saturating_mul(SPREAD));
            let messages = u32::try_from(bounded).unwrap_or(u32::MAX);
            *slice = self.0.with_messages(messages);
        }
    }

    fn name(&self) -> &'static str {
        "load-based"
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn load(name: &str, weight: u32, waiting: u64, slice: u32) -> Load {
        Load {
            name: name.into(),
            thread: 0,
            weight,
            waiting,
            ended: 0,
            wait_goal: None,
            wait_p99: None,
            slice: Slice::new(slice),
        }
    }

    pub(in super::super) fn decide(strategy: &mut impl Strategy, loads: &[Load]) -> Vec<Slice> {
        let mut slices: Vec<Slice> = loads.iter().map(|load| load.slice).collect();
        strategy.slices(loads, &mut slices);
        slices
    }

    pub(in super::super) fn messages(strategy: &mut impl Strategy, loads: &[Load]) -> Vec<u32> {
        let slices = decide(strategy, loads);
        slices.into_iter().map(Slice::messages).collect()
    }

    #[test]
    fn round_robin_gives_everyone_the_same() {
        let loads = [load("a", 1, 0, 3), load("b", 9, 1000, 5)];
        assert_eq!(messages(&mut RoundRobin::default(), &loads), [64, 64]);
    }

    #[test]
    fn weighted_turns_take_times_as_the_weights_and_the_largest_fits_a_turn() {
        let nine_weights = [0, 1, 2, 4, 25, 26, 100, 1000, u32::MAX];
        for (unit_us, weights, expected_ns) in [
            (10, &nine_weights[1..4], vec![10_000, 20_000, 40_000]),
            (20, &nine_weights[..1], vec![20_000]),
            (
                20,
                &nine_weights[1..5],
                vec![20_000, 40_000, 80_000, 500_000],
            ),
            (20, &nine_weights[4..6], vec![480_769, 500_000]),
            (
                20,
                &nine_weights[1..7],
                vec![5_000, 10_000, 20_000, 125_000, 130_000, 500_000],
            ),
            (1_000, &nine_weights[2..4], vec![250_000, 500_000]),
            (0, &nine_weights[1..3], vec![1_000, 1_000]),
            (20, &nine_weights[7..], vec![1_000, 500_000]),
        ] {
            let loads: Vec<Load> = weights.iter().map(|w| load("a", *w, 0, 1)).collect();
            let slices = decide(&mut Weighted(Duration::from_micros(unit_us)), &loads);
            let times_ns: Vec<u128> = slices
                .iter()
                .map(|slice| slice.time().unwrap().as_nanos())
                .collect();
            assert_eq!(times_ns, expected_ns, "{weights:?} at {unit_us} µs");
            assert!(slices.iter().all(|slice| slice.messages() == u32::MAX));
        }
    }

    #[test]
    fn weights_are_compared_on_each_thread_alone() {
        let mut loads = [load("a", 1, 0, 1), load("b", 100, 0, 1), load("c", 1, 0, 1)];
        loads[2].thread = 1;
        let slices = decide(&mut Weighted::default(), &loads);
        let times_us = slices.iter().map(|slice| slice.time().unwrap().as_micros());
        assert_eq!(times_us.collect::<Vec<_>>(), [5, 500, 50]);
    }

    #[test]
    fn load_based_follows_what_waits_within_bounds() {
        let loads = [
            load("a", 1, 0, 64),
            load("b", 1, 100, 64),
            load("c", 1, 300, 64),
        ];
        assert_eq!(messages(&mut LoadBased::default(), &loads), [16, 48, 144]);
        let idle = [load("a", 1, 0, 64), load("b", 1, 0, 64)];
        assert_eq!(messages(&mut LoadBased::default(), &idle), [64, 64]);
    }

    #[test]
    fn load_based_looks_at_each_thread_alone_and_keeps_the_stated_time() {
        let mut loads = [load("a", 1, 900, 64), load("b", 1, 100, 64)];
        loads[1].thread = 3;
        let time = Duration::from_micros(7);
        let stated = Slice::new(10).within(time);
        assert_eq!(decide(&mut LoadBased(stated), &loads), [stated, stated]);
    }

    #[test]
    fn no_strategy_fails_at_absurd_figures() {
        let loads = [
            load("a", 0, 0, 1),
            load("b", u32::MAX, u64::MAX, 1),
            load("c", 1, u64::MAX, u32::MAX),
        ];
        for stated in [0, 1, u32::MAX] {
            let stated = Slice::new(stated);
            for slices in [
                decide(&mut RoundRobin(stated), &loads),
                decide(&mut Weighted(Duration::MAX), &loads),
                decide(&mut Weighted(Duration::ZERO), &loads),
                decide(&mut LoadBased(stated), &loads),
            ] {
                assert!(slices.iter().all(|slice| slice.messages() >= 1));
            }
        }
        assert!(decide(&mut Weighted::default(), &[]).is_empty());
    }
}
