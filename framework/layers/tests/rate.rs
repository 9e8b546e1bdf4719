//! A property: over no schedule does more than the rate pass.

use std::time::Duration;

use mycelia::schedule::Admission;
use mycelia::time::Clock;
use mycelia_layers::RateLimit;
use proptest::prelude::*;

proptest! {
    #[test]
    fn in_no_interval_more_than_the_burst_and_the_rate_passes(
        count in 1_u32..50,
        period_ns in 1_000_u64..1_000_000_000,
        burst in 1_u32..20,
        pauses in prop::collection::vec(prop_oneof![Just(0), 0_u64..50_000_000], 1..300),
    ) {
        let period = Duration::from_nanos(period_ns);
        let limit = RateLimit::new(count, period).burst(burst);
        let each = u64::try_from((period / count).as_nanos()).unwrap();
        let (clock, hand) = Clock::manual();
        let (mut now, mut passed) = (0, Vec::new());
        for pause in pauses {
            hand.advance(Duration::from_nanos(pause));
            now += pause;
            match limit.admit(&clock) {
                Ok(()) => passed.push(now),
                // What it says is true: no sooner, and then it does.
                Err(retry_after) => {
                    let wait = u64::try_from(retry_after.as_nanos()).unwrap();
                    prop_assert!(wait > 0 && wait <= each);
                    hand.advance(Duration::from_nanos(wait - 1));
                    prop_assert!(limit.admit(&clock).is_err());
                    hand.advance(Duration::from_nanos(1));
                    now += wait;
                    prop_assert!(limit.admit(&clock).is_ok());
                    passed.push(now);
                }
            }
        }
        for (first, begun) in passed.iter().enumerate() {
            for (last, ended) in passed.iter().enumerate().skip(first) {
                let most = u64::from(burst) + (ended - begun) / each;
                prop_assert!((last - first + 1) as u64 <= most);
            }
        }
    }
}

#[test]
#[should_panic(expected = "a rate of 0 lets nothing pass")]
fn a_rate_of_nothing_is_a_mistake() {
    RateLimit::per_second(0);
}

#[test]
#[should_panic(expected = "at least one nanosecond for each message")]
fn a_rate_above_what_the_clock_can_tell_is_a_mistake() {
    RateLimit::new(10, Duration::from_nanos(9));
}
