//! Waits of any length: the longest never end.

use std::time::Duration;

use tokio::time::Instant;

/// A wait of this length or longer, 136 years, never ends. tokio's timers add to an instant, and that would
/// overflow near the last instant that can be represented.
const NEVER: Duration = Duration::from_secs(1 << 32);

/// The instant `wait` after `now`; `None` if that is never.
pub(crate) fn after(now: Instant, wait: Duration) -> Option<Instant> {
    if wait >= NEVER {
        return None;
    }
    now.checked_add(wait)
}

/// Waits until `deadline`; `None` never ends.
pub(crate) async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Waits for `wait`, counted from the call, not from the first poll. Must be called on a thread with timers.
pub(crate) fn sleep_for(wait: Duration) -> impl Future<Output = ()> {
    sleep_until(after(Instant::now(), wait))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_of_any_length_can_be_begun_and_the_longest_never_end() {
        let second = Duration::from_secs(1);
        let begun = Instant::now();
        sleep_for(second).await;
        assert_eq!(begun.elapsed(), second);
        for bits in 0..64 {
            for wait in [
                Duration::from_nanos(1 << bits),
                Duration::from_secs(1 << bits),
                Duration::from_secs(u64::MAX >> bits),
                Duration::MAX - Duration::from_secs(u64::MAX >> bits),
            ] {
                let mut wait_for = pin!(sleep_for(wait));
                assert_eq!(wait_for.as_mut().now_or_never().is_some(), wait.is_zero());
            }
        }
        assert_eq!(after(Instant::now(), Duration::MAX), None);
        assert_eq!(after(Instant::now(), NEVER), None);
        let longest = NEVER - Duration::from_nanos(1);
        assert!(after(Instant::now(), longest).is_some());
    }
}
