//! Strategies: how many messages each subsystem may handle in a turn.
//!
//! A strategy is a pure function from what is going on ([`Load`]s) to [`Slice`]s. The supervisor asks
//! it every so often; the hosts obey at their next turn. A slice bounds how long the others on the same
//! thread must wait; the ratio of slices is the ratio of shares when all are busy.

/// What a strategy knows of a subsystem.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Load {
    /// Its name.
    pub name: std::sync::Arc<str>,
    /// The system's thread on which it lives.
    pub thread: usize,
    /// The weight it was mounted with; 1 unless stated.
    pub weight: u32,
    /// Messages accepted and not ended.
    pub waiting: u64,
    /// Messages ended since the strategy was last asked.
    pub ended: u64,
    /// Its slice now.
    pub slice: Slice,
}

/// Messages that a subsystem may begin in one turn: 1 or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slice(u32);

impl Slice {
    /// A slice of that many messages, at least 1.
    pub fn new(messages: u32) -> Self {
        Slice(messages.max(1))
    }

    /// The number of messages.
    pub fn messages(self) -> u32 {
        self.0
    }
}

impl Default for Slice {
    /// 64 messages: about 5 µs of handlers that do little.
    fn default() -> Self {
        Slice(64)
    }
}

/// Decides the slices of all subsystems of a system.
///
/// # Examples
/// ```
/// use mycelia::{Load, Slice, Strategy};
///
/// /// Whoever is called `urgent` gets a long turn, the others a short one.
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

/// Slices in proportion to the weights of the mounts; weight 1 gets the stated slice.
#[derive(Debug, Clone, Copy)]
pub struct Weighted(pub Slice);

impl Default for Weighted {
    fn default() -> Self {
        Weighted(Slice::new(32))
    }
}

impl Strategy for Weighted {
    fn slices(&mut self, loads: &[Load], slices: &mut [Slice]) {
        for (load, slice) in loads.iter().zip(slices) {
            *slice = Slice::new(self.0.0.saturating_mul(load.weight));
        }
    }

    fn name(&self) -> &'static str {
        "weighted"
    }
}

/// Slices in proportion to what waits, among those on the same thread, around the stated slice.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadBased(pub Slice);

/// How far a slice may be from the stated one: a quarter of it to four times it.
const SPREAD: u64 = 4;

impl Strategy for LoadBased {
    fn slices(&mut self, loads: &[Load], slices: &mut [Slice]) {
        let base = u64::from(self.0.0);
        for (load, slice) in loads.iter().zip(slices) {
            let mates = loads.iter().filter(|mate| mate.thread == load.thread);
            let (sum, count) =
                mates.fold((0, 0), |(sum, count), mate| (sum + mate.waiting, count + 1));
            let share = (base * load.waiting).saturating_mul(count);
            let wanted = share.checked_div(sum).unwrap_or(base);
            let bounded = wanted.clamp(base / SPREAD, base * SPREAD);
            *slice = Slice::new(bounded as u32);
        }
    }

    fn name(&self) -> &'static str {
        "load-based"
    }
}

/// Halves the slice of whoever has much waiting while a mate on its thread also has something
/// waiting, and doubles it when it is alone: long turns when they disturb no one, short ones when they
/// do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Adaptive(pub Slice);

impl Strategy for Adaptive {
    fn slices(&mut self, loads: &[Load], slices: &mut [Slice]) {
        let base = self.0.0;
        let (least, most) = ((base / 8).max(1), base.saturating_mul(8));
        for (load, slice) in loads.iter().zip(slices) {
            let busy = |load: &Load| load.waiting > 0 || load.ended > 0;
            let disturbs = loads
                .iter()
                .any(|mate| mate.thread == load.thread && mate.name != load.name && busy(mate));
            let now = slice.0;
            let next = match (load.waiting > u64::from(now), disturbs) {
                (true, true) => now / 2,
                (true, false) => now.saturating_mul(2),
                // Not pressed: back towards the stated slice.
                (false, _) if now < base => now.saturating_mul(2).min(base),
                (false, _) => (now / 2).max(base),
            };
            *slice = Slice::new(next.clamp(least, most));
        }
    }

    fn name(&self) -> &'static str {
        "adaptive"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(name: &str, weight: u32, waiting: u64, slice: u32) -> Load {
        Load {
            name: name.into(),
            thread: 0,
            weight,
            waiting,
            ended: 0,
            slice: Slice::new(slice),
        }
    }

    fn decide(strategy: &mut impl Strategy, loads: &[Load]) -> Vec<u32> {
        let mut slices: Vec<Slice> = loads.iter().map(|load| load.slice).collect();
        strategy.slices(loads, &mut slices);
        slices.into_iter().map(Slice::messages).collect()
    }

    #[test]
    fn round_robin_gives_everyone_the_same() {
        let loads = [load("a", 1, 0, 3), load("b", 9, 1000, 5)];
        assert_eq!(decide(&mut RoundRobin::default(), &loads), [64, 64]);
    }

    #[test]
    fn priority_follows_the_weights() {
        let loads = [load("a", 1, 0, 1), load("b", 2, 0, 1), load("c", 4, 0, 1)];
        assert_eq!(decide(&mut Weighted(Slice::new(10)), &loads), [10, 20, 40]);
    }

    #[test]
    fn load_based_follows_what_waits_within_bounds() {
        let loads = [
            load("a", 1, 0, 64),
            load("b", 1, 100, 64),
            load("c", 1, 300, 64),
        ];
        assert_eq!(decide(&mut LoadBased::default(), &loads), [16, 48, 144]);
        let idle = [load("a", 1, 0, 64), load("b", 1, 0, 64)];
        assert_eq!(decide(&mut LoadBased::default(), &idle), [64, 64]);
    }

    #[test]
    fn adaptive_shortens_turns_that_disturb_and_lengthens_lonely_ones() {
        let together = [load("flooded", 1, 10_000, 64), load("calm", 1, 1, 64)];
        assert_eq!(decide(&mut Adaptive::default(), &together), [32, 64]);
        let alone = [load("flooded", 1, 10_000, 64), load("idle", 1, 0, 8)];
        assert_eq!(decide(&mut Adaptive::default(), &alone), [128, 16]);
    }

    #[test]
    fn no_strategy_ever_gives_an_empty_slice() {
        let loads = [load("a", 0, 0, 1), load("b", 0, u64::MAX / 1000, 1)];
        assert!(
            decide(&mut Weighted(Slice::new(0)), &loads)
                .iter()
                .all(|n| *n >= 1)
        );
        assert!(
            decide(&mut LoadBased(Slice::new(1)), &loads)
                .iter()
                .all(|n| *n >= 1)
        );
        assert!(
            decide(&mut Adaptive(Slice::new(1)), &loads)
                .iter()
                .all(|n| *n >= 1)
        );
    }
}
