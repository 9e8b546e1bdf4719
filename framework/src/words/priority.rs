//! Priorities: which message of a mailbox comes next.

/// How urgent a message is. A subsystem handles its messages in the order sent within each priority, and
/// those of a higher priority first.
///
/// No priority starves forever: while a mailbox has messages of several, at most 16 are taken before
/// one of high priority, 32 before one of normal, 64 before one of low.
///
/// # Examples
/// ```
/// use mycelia::schedule::Priority;
/// use mycelia::prelude::*;
///
/// #[derive(Message)]
/// #[message(priority = control)]
/// struct Pause;
/// assert_eq!(Pause::PRIORITY, Priority::Control);
/// ```
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Overtakes everything: for what steers the subsystem itself.
    Control,
    /// Before normal ones.
    High,
    /// What messages have unless they, or the handle they are sent by, say otherwise.
    #[default]
    Normal,
    /// After normal ones.
    Low,
}

/// How many there are.
pub(crate) const PRIORITIES: usize = 4;

impl Priority {
    /// All, the most urgent first.
    pub const ALL: [Priority; PRIORITIES] = [
        Priority::Control,
        Priority::High,
        Priority::Normal,
        Priority::Low,
    ];

    /// Most messages that may be taken while one of this priority waits.
    fn patience(self) -> u8 {
        match self {
            Priority::Control => 0,
            Priority::High => 16,
            Priority::Normal => 32,
            Priority::Low => 64,
        }
    }
}

/// How often each priority has been passed over.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passed([u8; PRIORITIES]);

impl Passed {
    /// The priority whose turn it is, of those that wait.
    pub(crate) fn choose(&mut self, waits: [bool; PRIORITIES]) -> Option<Priority> {
        let waiting = || Priority::ALL.into_iter().filter(|p| waits[*p as usize]);
        // The least urgent first: its patience is the longest.
        let overdue = waiting()
            .rev()
            .find(|p| *p != Priority::Control && self.0[*p as usize] >= p.patience());
        let chosen = overdue.or_else(|| waiting().next())?;
        for other in Priority::ALL {
            let passed = &mut self.0[other as usize];
            *passed = match waits[other as usize] && other != chosen {
                true => passed.saturating_add(1),
                false => 0,
            };
        }
        Some(chosen)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_most_urgent_comes_first() {
        let mut passed = Passed::default();
        assert_eq!(passed.choose([true; 4]), Some(Priority::Control));
        assert_eq!(
            passed.choose([false, true, true, true]),
            Some(Priority::High)
        );
        assert_eq!(
            passed.choose([false, false, true, true]),
            Some(Priority::Normal)
        );
        assert_eq!(
            passed.choose([false, false, false, true]),
            Some(Priority::Low)
        );
        assert_eq!(passed.choose([false; 4]), None);
    }

    proptest! {
        #[test]
        fn no_priority_is_passed_over_more_often_than_its_patience(
            arrivals in proptest::collection::vec((0..4_usize, 1..200_u32), 1..50),
        ) {
            let mut waiting = [0_u32; 4];
            let mut since = [0_u8; 4];
            let mut passed = Passed::default();
            for (priority, count) in arrivals {
                waiting[priority] += count;
                for _ in 0..count / 2 {
                    let waits = waiting.map(|n| n > 0);
                    let chosen = passed.choose(waits).unwrap() as usize;
                    prop_assert!(waits[chosen]);
                    waiting[chosen] -= 1;
                    for at in 1..4 {
                        since[at] = if waits[at] && at != chosen { since[at] + 1 } else { 0 };
                        // Two may be overdue at once; then the more urgent waits for the other.
                        let bound = Priority::ALL[at].patience() + 2;
                        prop_assert!(since[at] <= bound, "{at} passed over {} times", since[at]);
                    }
                }
            }
        }
    }
}
