//! The clock.

use mycelia::time::{Clock, ClockHand, Stamp};
use std::time::Duration;

#[test]
fn a_clock_stands_still_until_its_hand_is_turned() {
    let (clock, hand): (Clock, ClockHand) = Clock::manual();
    let before: Stamp = clock.now();
    hand.advance(Duration::from_nanos(7));
    assert_eq!(clock.between_ns(before, clock.now()), 7);
}
