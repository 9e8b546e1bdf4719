//! The decision: what happens to a subsystem that failed, as a pure function of its policy, its history
//! and the time.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Backoff, Failure, Intensity, Restart};
use crate::words::stuck::WhenStuck;

/// For factories that fail at a restart where no pause is asked for.
const FOR_STARTS: Backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1));

/// How a subsystem is supervised.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) struct Policy {
    pub(crate) restart: Restart,
    pub(crate) intensity: Option<Intensity>,
    pub(crate) backoff: Backoff,
    pub(crate) on_error: bool,
    /// It stays, closed, when it has failed for good.
    pub(crate) keep_failed: bool,
    /// When its handler counts as stuck, if that is not as the system has it.
    pub(crate) stuck_after: Option<Duration>,
    pub(crate) when_stuck: WhenStuck,
}

/// What happens to a subsystem that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RestartDecision {
    Restart {
        after: Duration,
    },
    /// It ends for good.
    End,
    /// It ends, and its parent fails.
    Escalate,
}

/// The restarts of a subsystem so far, as far as they matter.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// When, within the intensity's interval.
    recent: VecDeque<Duration>,
    last: Option<Duration>,
    /// How many followed soon on each other.
    streak: u32,
}

impl Policy {
    /// Decides; `now` is read off a clock that never goes back, `chance` is 0 to 1.
    pub(crate) fn decide(
        &self,
        history: &mut History,
        failure: &Failure,
        now: Duration,
        chance: f64,
    ) -> RestartDecision {
        match self.restart {
            Restart::Never => return RestartDecision::End,
            Restart::Transient if *failure == Failure::Stopped => return RestartDecision::End,
            Restart::Transient | Restart::Permanent => {}
        }
        let is_start = matches!(failure, Failure::Start(_));
        // As many as can be counted can't be exceeded: none of them needs to be remembered.
        let limit = self.intensity.filter(|limit| limit.restarts < u32::MAX);
        if let Some(Intensity { restarts, within }) = limit {
            let recent = &mut history.recent;
            while recent
                .front()
                .is_some_and(|then| now.saturating_sub(*then) >= within)
            {
                recent.pop_front();
            }
            if recent.len() >= restarts as usize {
                return RestartDecision::Escalate;
            }
            recent.push_back(now);
        } else if is_start && self.intensity.is_none() {
            // Without a limit it would be tried forever, and those who wait for it would wait forever.
            return RestartDecision::End;
        }
        let backoff = match self.backoff {
            Backoff::NONE if is_start => FOR_STARTS,
            backoff => backoff,
        };
        let calm = history
            .streak
            .checked_sub(1)
            .map(|before| backoff.calm(before));
        if let (Some(last), Some(calm)) = (history.last, calm)
            && now.saturating_sub(last) > calm
        {
            history.streak = 0;
        }
        let after = backoff.pause(history.streak, chance);
        history.streak = history.streak.saturating_add(1);
        history.last = Some(now.saturating_add(after));
        RestartDecision::Restart { after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{Clock, ClockHand, Stamp};

    const MS: Duration = Duration::from_millis(1);

    /// A policy on a manual clock.
    struct Bench {
        policy: Policy,
        history: History,
        clock: Clock,
        hand: ClockHand,
    }

    impl Bench {
        fn new(policy: Policy) -> Self {
            let (clock, hand) = Clock::manual();
            Bench {
                policy,
                history: History::default(),
                clock,
                hand,
            }
        }

        fn fails(&mut self, failure: Failure) -> RestartDecision {
            let now_ns = self.clock.between_ns(Stamp(0), self.clock.now());
            let now = Duration::from_nanos(now_ns);
            self.policy.decide(&mut self.history, &failure, now, 0.0)
        }

        /// The pauses before as many restarts, each of which fails at once.
        fn pauses(&mut self, failures: usize) -> Vec<Duration> {
            (0..failures)
                .map(|_| match self.fails(Failure::Panic("".into())) {
                    RestartDecision::Restart { after } => {
                        self.hand.advance(after);
                        after
                    }
                    other => panic!("{other:?}"),
                })
                .collect()
        }
    }

    #[test]
    fn whether_it_is_restarted_is_a_table() {
        let at_once = RestartDecision::Restart {
            after: Duration::ZERO,
        };
        let panic = || Failure::Panic("".into());
        let child = || Failure::Child {
            name: "a/b".into(),
            failure: panic().into(),
        };
        let table = [
            (Restart::Permanent, panic(), at_once),
            (Restart::Permanent, Failure::Error("".into()), at_once),
            (Restart::Permanent, child(), at_once),
            (Restart::Permanent, Failure::Stopped, at_once),
            (
                Restart::Permanent,
                Failure::Start("".into()),
                RestartDecision::End,
            ),
            (Restart::Transient, panic(), at_once),
            (Restart::Transient, Failure::Error("".into()), at_once),
            (Restart::Transient, child(), at_once),
            (Restart::Transient, Failure::Stopped, RestartDecision::End),
            (
                Restart::Transient,
                Failure::Start("".into()),
                RestartDecision::End,
            ),
            (Restart::Never, panic(), RestartDecision::End),
            (Restart::Never, Failure::Stopped, RestartDecision::End),
            (
                Restart::Never,
                Failure::Start("".into()),
                RestartDecision::End,
            ),
        ];
        for (restart, failure, expected) in table {
            let mut bench = Bench::new(Policy {
                restart,
                ..Policy::default()
            });
            let decision = bench.fails(failure.clone());
            assert_eq!(decision, expected, "{restart:?} {failure:?}");
        }
    }

    #[test]
    fn intensity_counts_within_a_sliding_window() {
        let mut bench = Bench::new(Policy {
            intensity: Some(Intensity {
                restarts: 2,
                within: 100 * MS,
            }),
            ..Policy::default()
        });
        let panic = || Failure::Panic("".into());
        // At 0 and 60 ms it is borne; at 99 it would be the third within 100 ms; at 100 the first is over.
        let table = [
            (0, true),
            (60, true),
            (39, false),
            (1, true),
            (59, false),
            (1, true),
        ];
        for (pause, is_borne) in table {
            bench.hand.advance(pause * MS);
            let decision = bench.fails(panic());
            assert_eq!(decision != RestartDecision::Escalate, is_borne, "{pause}");
        }
    }

    #[test]
    fn no_restart_at_all_can_be_borne() {
        let mut bench = Bench::new(Policy {
            intensity: Some(Intensity {
                restarts: 0,
                within: MS,
            }),
            ..Policy::default()
        });
        assert_eq!(
            bench.fails(Failure::Panic("".into())),
            RestartDecision::Escalate
        );
    }

    #[test]
    fn pauses_double_up_to_the_cap_and_begin_again_after_calm() {
        let mut bench = Bench::new(Policy {
            backoff: Backoff::new(10 * MS, 65 * MS),
            ..Policy::default()
        });
        assert_eq!(
            bench.pauses(5),
            [10 * MS, 20 * MS, 40 * MS, 65 * MS, 65 * MS]
        );
        bench.hand.advance(130 * MS);
        assert_eq!(bench.pauses(1), [65 * MS], "calm for twice the last pause");
        bench.hand.advance(131 * MS);
        assert_eq!(bench.pauses(2), [10 * MS, 20 * MS]);
    }

    #[test]
    fn jitter_only_shortens() {
        let backoff = Backoff::new(100 * MS, 100 * MS).jitter(0.25);
        assert_eq!(backoff.pause(0, 0.0), 100 * MS);
        assert_eq!(backoff.pause(0, 1.0), 75 * MS);
        assert_eq!(Backoff::NONE.jitter(0.5).pause(3, 0.7), Duration::ZERO);
    }

    #[test]
    fn pauses_never_overflow() {
        let backoff = Backoff::new(Duration::from_secs(1 << 40), Duration::MAX);
        assert!(backoff.pause(u32::MAX, 0.0) > Duration::ZERO);
    }

    #[test]
    fn a_start_that_fails_is_tried_again_with_pauses_until_the_intensity_is_reached() {
        let mut bench = Bench::new(Policy {
            intensity: Some(Intensity {
                restarts: 3,
                within: Duration::from_secs(1),
            }),
            ..Policy::default()
        });
        for after in [10, 20, 40] {
            let after = after * MS;
            let decision = bench.fails(Failure::Start("".into()));
            assert_eq!(decision, RestartDecision::Restart { after });
            bench.hand.advance(after);
        }
        assert_eq!(
            bench.fails(Failure::Start("".into())),
            RestartDecision::Escalate
        );
    }
}
