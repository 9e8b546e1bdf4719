//! The strategy that adapts: short turns where they help somebody, long ones where they disturb no one.
//!
//! A controller that halves at once and grows by small steps, as TCP does: a goal that is at risk is
//! safe again within some ticks, and one that is kept is not put at risk by a leap.

use super::strategy::{Load, Strategy, by_thread};
use crate::words::slice::Slice;

/// Keeps the latency goals of subsystems mounted with a
/// [`wait_goal`](crate::MountOptions::wait_goal); around the stated slice.
///
/// *Without a goal on the thread*: halves the slice of anyone who has much waiting while a mate on its
/// thread also has something to do, and doubles it when it is alone, from an eighth of the stated slice
/// to eight times it.
///
/// *With one*: once 99 in 100 messages wait for more than half of the goal, the slices of all others on
/// the thread are halved, down to one message. They grow again, by a quarter, while that wait is
/// less than a quarter of the goal (a sixteenth, if it is that of less than 8 messages). It can't keep a goal that is shorter than the handlers of the others
/// take, one message each, or that the subsystem misses by its own handlers' time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Adaptive(pub Slice);

impl Strategy for Adaptive {
    fn slices(&mut self, loads: &[Load], slices: &mut [Slice]) {
        let threads = by_thread(loads, ThreadGoals::add);
        let base = self.0.messages();
        for (load, slice) in loads.iter().zip(slices) {
            *slice = self
                .0
                .with_messages(next(base, load, &threads[load.thread]));
        }
    }

    fn name(&self) -> &'static str {
        "adaptive"
    }
}

/// Messages whose longest wait tells what a message has to expect.
const MANY: u64 = 8;

/// How it stands with a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GoalState {
    /// Nothing was handled that would tell.
    Unknown,
    Kept,
    /// Kept, but there is nothing to give away.
    Tight,
    AtRisk,
}

impl GoalState {
    #[expect(clippy::arithmetic_side_effects, reason = "divided by numbers but 0")]
    fn of(load: &Load) -> Option<Self> {
        let goal = load.wait_goal?;
        Some(match load.wait_p99 {
            None => GoalState::Unknown,
            Some(wait) if wait > goal / 2 => GoalState::AtRisk,
            // A few messages may have been lucky.
            Some(wait) if wait < goal / 16 || wait < goal / 4 && load.ended >= MANY => {
                GoalState::Kept
            }
            Some(_) => GoalState::Tight,
        })
    }
}

/// What the subsystems of a thread come to.
#[derive(Debug, Clone, Default)]
struct ThreadGoals {
    busy: usize,
    goals: usize,
    kept: usize,
    tight: usize,
    at_risk: usize,
}

impl ThreadGoals {
    fn add(&mut self, load: &Load) {
        let add = |count: &mut usize, some: bool| *count = count.saturating_add(some.into());
        add(&mut self.busy, is_busy(load));
        if let Some(goal) = GoalState::of(load) {
            add(&mut self.goals, true);
            match goal {
                GoalState::Unknown => {}
                GoalState::Kept => add(&mut self.kept, true),
                GoalState::Tight => add(&mut self.tight, true),
                GoalState::AtRisk => add(&mut self.at_risk, true),
            }
        }
    }
}

fn is_busy(load: &Load) -> bool {
    load.waiting > 0 || load.ended > 0
}

/// The next slice of a load, in messages.
fn next(base: u32, load: &Load, thread: &ThreadGoals) -> u32 {
    let now = load.slice.messages();
    let usual = without_goals(base, load, thread);
    let is_at_risk = GoalState::of(load) == Some(GoalState::AtRisk);
    let others_at_risk = thread.at_risk > usize::from(is_at_risk);
    match (is_at_risk, others_at_risk) {
        (true, false) => now.saturating_mul(2).clamp(base, most(base)),
        (true, true) => base,
        (false, true) => (now / 2).max(1),
        // Only who has proof that there is room takes some of it.
        (false, false) if thread.goals > 0 && usual > now => {
            if thread.kept > 0 && thread.tight == 0 {
                usual.min(now.saturating_add(now / 4).saturating_add(1))
            } else {
                now
            }
        }
        (false, false) => usual,
    }
}

fn most(base: u32) -> u32 {
    base.saturating_mul(8)
}

fn without_goals(base: u32, load: &Load, thread: &ThreadGoals) -> u32 {
    let now = load.slice.messages();
    let disturbs = thread.busy > usize::from(is_busy(load));
    let next = match (load.waiting > u64::from(now), disturbs) {
        (true, true) => now / 2,
        (true, false) => now.saturating_mul(2),
        // Not pressed: back towards the stated slice.
        (false, _) if now < base => now.saturating_mul(2).min(base),
        (false, _) => (now / 2).max(base),
    };
    next.clamp((base / 8).max(1), most(base))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::strategy::tests::{decide, load, messages};
    use super::*;

    fn marked(waiting: u64, slice: u32, goal_us: u64, p99_us: Option<u64>) -> Load {
        let mut load = load("marked", 1, waiting, slice);
        load.wait_goal = Some(Duration::from_micros(goal_us));
        load.wait_p99 = p99_us.map(Duration::from_micros);
        load.ended = MANY;
        load
    }

    #[test]
    fn turns_that_disturb_get_shorter_and_lonely_ones_longer() {
        let restart_scope = [load("flooded", 1, 10_000, 64), load("calm", 1, 1, 64)];
        assert_eq!(messages(&mut Adaptive::default(), &restart_scope), [32, 64]);
        let alone = [load("flooded", 1, 10_000, 64), load("idle", 1, 0, 8)];
        assert_eq!(messages(&mut Adaptive::default(), &alone), [128, 16]);
    }

    #[test]
    fn without_a_goal_slices_stay_within_an_eighth_and_eight_times_the_stated_one() {
        for (slice, waiting, mate_waits, expected) in [
            (8, 10_000, 1, 8),
            (512, 10_000, 0, 512),
            (1, 10_000, 1, 8),
            (512, 0, 1, 256),
            (u32::MAX, 0, 0, 512),
        ] {
            let loads = [load("a", 1, waiting, slice), load("b", 1, mate_waits, 64)];
            let next = messages(&mut Adaptive::default(), &loads)[0];
            assert_eq!(next, expected, "{slice} {waiting} {mate_waits}");
        }
    }

    #[test]
    fn a_goal_decides_the_slices_of_the_others_on_its_thread() {
        for (p99_us, slice, expected) in [
            // At risk: halved, below what any flood would get otherwise, down to a message.
            (Some(900), 64, 32),
            (Some(501), 8, 4),
            (Some(501), 2, 1),
            (Some(501), 1, 1),
            // Tight: as it is.
            (Some(500), 4, 4),
            (Some(250), 4, 4),
            // Kept: a quarter more, up to where it would be without a goal.
            (Some(249), 4, 6),
            (Some(249), 7, 8),
            (Some(0), 8, 8),
            (Some(249), 1, 2),
            // Not known: no one takes what may be needed.
            (None, 4, 4),
            (None, 64, 32),
        ] {
            let loads = [
                load("flooded", 1, 10_000, slice),
                marked(1, 64, 1000, p99_us),
            ];
            let next = messages(&mut Adaptive::default(), &loads);
            assert_eq!(next[0], expected, "{p99_us:?} {slice}");
        }
    }

    #[test]
    fn a_few_messages_that_waited_little_prove_less_than_many() {
        for (p99_us, ended, expected) in [
            (249, 8, 6),
            (249, 7, 4),
            (63, 7, 4),
            (62, 7, 6),
            (62, 1, 6),
            // One that waited long proves as much as many.
            (501, 1, 2),
        ] {
            let mut loads = [
                load("flooded", 1, 10_000, 4),
                marked(1, 64, 1000, Some(p99_us)),
            ];
            loads[1].ended = ended;
            let next = messages(&mut Adaptive::default(), &loads)[0];
            assert_eq!(next, expected, "{p99_us} {ended}");
        }
    }

    #[test]
    fn a_goal_is_nobody_s_business_on_other_threads() {
        let mut loads = [
            load("flooded", 1, 10_000, 64),
            marked(1, 64, 1000, Some(900)),
        ];
        loads[0].thread = 1;
        assert_eq!(messages(&mut Adaptive::default(), &loads)[0], 128);
    }

    #[test]
    fn who_misses_its_goal_gets_longer_turns_unless_another_misses_too() {
        for (mine_us, other_us, slice, expected) in [
            (900, 100, 64, 128),
            (900, 100, 512, 512),
            (900, 900, 512, 64),
            (100, 900, 64, 32),
            (100, 900, 1, 1),
        ] {
            let loads = [
                marked(10_000, slice, 1000, Some(mine_us)),
                marked(1, 64, 1000, Some(other_us)),
            ];
            let next = messages(&mut Adaptive::default(), &loads)[0];
            assert_eq!(next, expected, "{mine_us} {other_us} {slice}");
        }
    }

    #[test]
    fn a_goal_at_risk_is_safe_after_some_ticks_and_stays_so() {
        // A wait of 10 µs for each message in the slices of four floods.
        let wait_us = |slice: u32| 4 * 10 * u64::from(slice);
        let (goal_us, mut slice) = (300, 64);
        let mut waits_us = Vec::new();
        for _ in 0..100 {
            waits_us.push(wait_us(slice));
            let mut loads: Vec<Load> = (0..4).map(|_| load("flooded", 1, 9999, slice)).collect();
            loads.push(marked(1, 64, goal_us, Some(wait_us(slice))));
            slice = messages(&mut Adaptive::default(), &loads)[0];
        }
        assert!(waits_us[0] > 8 * goal_us);
        let settled = &waits_us[6..];
        assert!(
            settled.iter().all(|wait| *wait <= goal_us / 2),
            "{waits_us:?}"
        );
    }

    #[test]
    fn it_does_not_fail_at_absurd_figures() {
        let mut loads = [
            load("a", 0, 0, 1),
            load("b", 1, u64::MAX, u32::MAX),
            marked(u64::MAX, u32::MAX, 0, Some(0)),
            marked(0, 1, u64::MAX / 1000, Some(u64::MAX / 1000)),
        ];
        loads[1].ended = u64::MAX;
        for stated in [0, 1, u32::MAX] {
            let slices = decide(&mut Adaptive(Slice::new(stated)), &loads);
            assert!(slices.iter().all(|slice| slice.messages() >= 1));
        }
    }
}
