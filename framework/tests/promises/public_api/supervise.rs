//! What happens after a failure.

use mycelia::prelude::MountOptions;
use mycelia::supervise::{Backoff, Failure, Intensity, Restart, RestartScope, WhenStuck};
use std::time::Duration;

#[test]
fn what_follows_a_failure_is_said_at_the_mount() {
    let second = Duration::from_secs(1);
    let borne = Intensity {
        restarts: 3,
        within: second,
    };
    let _: MountOptions = MountOptions::new()
        .restart(Restart::Permanent)
        .restart_scope(RestartScope::AllForOne)
        .intensity(borne.restarts, borne.within)
        .stuck_after(second)
        .when_stuck(WhenStuck::Restart)
        .backoff(Backoff::new(second, 8 * second).jitter(0.1));
    assert!(Failure::Panic("why".into()).to_string().contains("why"));
}
