//! A share of the thread: turns by time, each on average as long as its slice says. `turn → `**`share`**
//!
//! No handler is interrupted, so a turn ends late by a part of a message. What it takes too long is
//! *owed*, and comes off the next turns; a subsystem that owes a whole turn or more lets turns pass.
//! Then shares are exact whatever the handlers take, without any estimate of it. The source of the idea:
//! Adiseshu, Parulkar and Varghese, "A reliable and scalable striping protocol", 1996 (surplus round
//! robin), after Shreedhar and Varghese's deficit round robin, 1995.

use std::time::Duration;

use super::batch::TurnBatch;
use crate::base::clock::{Clock, Stamp};
use crate::thread::agenda::Turn;
use crate::words::slice::Slice;

/// Most turns that are let pass for one that took too long: no one is shut out forever.
const PASSES: u64 = 1024;

/// What a subsystem owes to the others on its thread.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// Raw units of the clock.
    owed: u64,
    /// It has had its turn of this round: another one comes when its task does, not before. (Who is
    /// rung for while it is busy would else get one more.)
    has_had: bool,
}

/// A turn by time under way.
pub(super) struct Timed {
    /// None if it is let pass: looking for orders must not cost more than passing pays off.
    begun: Option<Stamp>,
    /// How long it is to take on average.
    time: u64,
}

impl Share {
    /// The host's task has come round.
    #[inline]
    pub(super) fn come_round(&mut self) {
        self.has_had = false;
    }

    /// True if a turn by time must wait until the host's task comes round, which it will.
    pub(super) fn has_had(&self) -> bool {
        self.has_had
    }

    /// Begins a turn by time; how many messages it may begin. `goes_on` says whether a handler is under
    /// way.
    #[cold]
    pub(super) fn begin(
        &self,
        slice: Slice,
        time: Duration,
        goes_on: bool,
        clock: &Clock,
        batch: &mut TurnBatch<'_>,
    ) -> (u32, Timed) {
        let begun = clock.now();
        let time = clock.ticks(time).max(1);
        let left = time.saturating_sub(self.owed);
        let mut timed = Timed {
            begun: Some(begun),
            time,
        };
        if left > 0 {
            batch.begin(begun, left);
            return (slice.messages(), timed);
        }
        if !goes_on {
            timed.begun = None;
        }
        (0, timed)
    }

    /// Ends a turn by time. One with more to do has used up what it may have of this round: it comes
    /// again when all others have been there.
    #[cold]
    pub(super) fn end(&mut self, turn: Turn, timed: Timed, clock: &Clock, is_idle: bool) -> Turn {
        let took = timed
            .begun
            .map_or(0, |begun| clock.now().0.saturating_sub(begun.0));
        self.owed = if is_idle {
            // Who leaves the thread to the others begins afresh.
            0
        } else {
            owes(self.owed, took, timed.time)
        };
        match turn {
            Turn::Again => {
                self.has_had = true;
                Turn::Yield
            }
            turn => turn,
        }
    }
}

/// What is owed after a turn that took `took` and should take `time` on average.
fn owes(before: u64, took: u64, time: u64) -> u64 {
    let owed = before.saturating_add(took).saturating_sub(time);
    owed.min(time.saturating_mul(PASSES))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The turns of subsystems whose messages never run out, round after round; the time each gets.
    fn rounds(rounds: u32, subsystems: &[(u64, u64)]) -> Vec<u64> {
        let mut owed = vec![0; subsystems.len()];
        let mut got = vec![0; subsystems.len()];
        for _ in 0..rounds {
            for (at, &(time, message)) in subsystems.iter().enumerate() {
                let mut took = 0;
                while owed[at] + took < time {
                    took += message;
                }
                got[at] += took;
                owed[at] = owes(owed[at], took, time);
            }
        }
        got
    }

    #[test]
    fn what_a_turn_takes_too_long_is_owed() {
        for (before, took, time, after) in [
            (0, 0, 10, 0),
            (0, 9, 10, 0),
            (0, 13, 10, 3),
            (3, 8, 10, 1),
            (25, 0, 10, 15),
            (0, u64::MAX, 10, 10_240),
            (u64::MAX, u64::MAX, u64::MAX, 0),
        ] {
            assert_eq!(owes(before, took, time), after, "{before} {took} {time}");
        }
    }

    #[test]
    fn time_is_shared_as_the_slices_say_whatever_a_message_takes() {
        for subsystems in [
            [(20, 3), (40, 3), (80, 3)],
            [(20, 700), (40, 1), (80, 39)],
            [(20, 1), (40, 5000), (80, 80)],
        ] {
            let got = rounds(100_000, &subsystems);
            for (got, (time, _)) in got.iter().zip(subsystems) {
                let share = *got as f64 / time as f64 / 100_000.0;
                assert!((0.99..1.01).contains(&share), "{share} of {subsystems:?}");
            }
        }
    }

    #[test]
    fn nobody_is_shut_out_by_one_message_that_took_for_ever() {
        let mut owed = owes(0, u64::MAX, 20);
        let mut passes = 0;
        while owed >= 20 {
            owed = owes(owed, 0, 20);
            passes += 1;
        }
        assert_eq!(passes, PASSES);
    }
}
