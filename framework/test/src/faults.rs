//! Injected faults: which, where, and how often.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use mycelia::__test::Planned;

use crate::pattern::{BadPattern, PathPattern};
use crate::sync::{Mutex, lock};

/// Faults that a system injects, to test what a program does when things go wrong.
///
/// Faults are set by patterns of paths ([`BadPattern`] describes their syntax): before the system starts
/// ([`BuilderExt::faults`](crate::BuilderExt::faults)) or while it runs
/// ([`SystemExt::faults`](crate::SystemExt::faults)). They can be removed at any time. A clone shares the same
/// faults. The ledger stays exact: each fault ends a message in one of the usual ways.
///
/// Random faults depend on the seed and on the order in which messages are sent: a test with one sender gets the
/// same faults with the same seed.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
/// use mycelia::error::AskError;
/// use mycelia_test::{BuilderExt, Faults};
/// # #[derive(Message)] struct Ping;
/// # #[derive(Subsystem, Default)] struct Api;
/// # #[routes] impl Api { #[route("ping")] fn ping(&mut self, _: Ping) {} }
///
/// # #[mycelia::main]
/// # async fn main() -> anyhow::Result<()> {
/// let faults = Faults::with_seed(7);
/// let panics = faults.panic("api://**", 1.0)?;
/// let system = System::builder().faults(&faults).start().await?;
/// system.mount(Api::default).await?;
/// assert!(matches!(system.ask("api://ping", Ping).await, Err(AskError::Panicked { .. })));
/// panics.remove();
/// system.ask("api://ping", Ping).await?;
/// assert_eq!(faults.injected().panics, 1);
/// # system.stop().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Faults(Arc<Set>);

struct Set {
    seed: u64,
    rules: Mutex<Rules>,
    /// 1 while there are rules.
    any: AtomicU8,
    injected: [AtomicU64; 4],
}

#[derive(Default)]
struct Rules {
    all: Vec<Arc<Rule>>,
    made: u64,
    /// For each mark, the rules that a message with this mark met. Mark 1 is the first.
    marks: Vec<Vec<Arc<Rule>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Panic,
    Delay(Duration),
    Drop,
    Full,
}

impl What {
    fn place(self) -> usize {
        match self {
            What::Panic => 0,
            What::Delay(_) => 1,
            What::Drop => 2,
            What::Full => 3,
        }
    }
}

#[derive(Debug)]
struct Rule {
    pattern: PathPattern,
    what: What,
    chance: f64,
    /// The state of the rule's own random sequence.
    drawn: AtomicU64,
    injected: AtomicU64,
    /// 1 once the rule is removed.
    removed: AtomicU8,
}

impl Rule {
    fn hits(&self, path: &str) -> bool {
        self.pattern.matches(path) && draw(&self.drawn) < self.chance
    }

    fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Relaxed) != 0
    }
}

/// Returns a random number from 0 to below 1; see `Shared::chance`.
fn draw(state: &AtomicU64) -> f64 {
    let mut mixed = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// A bit in a mark: the message's delay is over.
const DELAYED: u16 = 1 << 15;

/// How many faults were injected, those of removed rules included.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Injected {
    /// Messages whose handler panicked before it began.
    pub panics: u64,
    /// Messages that were held back before their handler.
    pub delays: u64,
    /// Messages that were dropped after they had been accepted.
    pub drops: u64,
    /// Attempts to send that found the mailbox full.
    pub full: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self::new()
    }
}

impl Faults {
    /// Makes a set of faults, still empty, with a random seed. [`seed`](Self::seed) returns it.
    pub fn new() -> Self {
        Self::with_seed(RandomState::new().build_hasher().finish())
    }

    /// Makes a set of faults, still empty, whose random decisions depend on `seed`.
    pub fn with_seed(seed: u64) -> Self {
        Faults(Arc::new(Set {
            seed,
            rules: Mutex::default(),
            any: AtomicU8::new(0),
            injected: Default::default(),
        }))
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// Makes the handlers of messages to matching paths panic before they begin, with a probability of `chance`,
    /// 0 to 1. The effects are those of any panic; the message counts as failed.
    ///
    /// # Errors
    /// If the pattern or the chance is invalid.
    pub fn panic(&self, pattern: &str, chance: f64) -> Result<Fault, BadPattern> {
        self.set(pattern, What::Panic, chance)
    }

    /// Delays messages to matching paths for `by`, of real time, before their handler begins. The subsystem
    /// handles nothing meanwhile; its thread serves others. The delay counts as wait, not as service.
    ///
    /// # Errors
    /// If the pattern is invalid.
    pub fn delay(&self, pattern: &str, by: Duration) -> Result<Fault, BadPattern> {
        self.set(pattern, What::Delay(by), 1.0)
    }

    /// Drops messages to matching paths before their handler begins, with a probability of `chance`, 0 to 1. They
    /// were accepted, and count as dropped. An asker gets
    /// [`AskError::Dropped`](mycelia::error::AskError::Dropped); all others become [dead
    /// letters](mycelia::observe::DeadReason::Injected).
    ///
    /// # Errors
    /// If the pattern or the chance is invalid.
    pub fn drop(&self, pattern: &str, chance: f64) -> Result<Fault, BadPattern> {
        self.set(pattern, What::Drop, chance)
    }

    /// Makes the mailbox look full to attempts to send to matching paths, with a probability of `chance`, 0 to 1.
    /// The effect depends on the verb and on the mailbox's overflow policy: `try_tell` hands the message back;
    /// `tell` and `ask` wait, and try again every millisecond.
    ///
    /// # Errors
    /// If the pattern or the chance is invalid.
    pub fn full(&self, pattern: &str, chance: f64) -> Result<Fault, BadPattern> {
        self.set(pattern, What::Full, chance)
    }

    fn set(&self, pattern: &str, what: What, chance: f64) -> Result<Fault, BadPattern> {
        if !(0.0..=1.0).contains(&chance) {
            return Err(BadPattern::BadChance { chance });
        }
        let pattern = PathPattern::parse(pattern)?;
        let mut rules = lock(&self.0.rules);
        rules.made += 1;
        let rule = Arc::new(Rule {
            pattern,
            what,
            chance,
            // Each rule has its own sequence, so other rules do not change it.
            drawn: AtomicU64::new(self.0.seed ^ rules.made.wrapping_mul(0xa076_1d64_78bd_642f)),
            injected: AtomicU64::new(0),
            removed: AtomicU8::new(0),
        });
        rules.all.push(rule.clone());
        self.0.any.store(1, Ordering::Relaxed);
        Ok(Fault {
            rule,
            faults: self.clone(),
        })
    }

    /// Removes all faults. A delayed message still arrives at the end of its delay.
    pub fn clear(&self) {
        let mut rules = lock(&self.0.rules);
        for rule in rules.all.drain(..) {
            rule.removed.store(1, Ordering::Relaxed);
        }
        self.0.any.store(0, Ordering::Relaxed);
    }

    /// How many faults were injected so far.
    pub fn injected(&self) -> Injected {
        let [panics, delays, drops, full] =
            (self.0.injected.each_ref()).map(|count| count.load(Ordering::Relaxed));
        Injected {
            panics,
            delays,
            drops,
            full,
        }
    }

    fn count(&self, rule: &Rule) {
        rule.injected.fetch_add(1, Ordering::Relaxed);
        self.0.injected[rule.what.place()].fetch_add(1, Ordering::Relaxed);
    }

    /// True if there are faults.
    #[inline]
    pub(crate) fn are_set(&self) -> bool {
        self.0.any.load(Ordering::Relaxed) != 0
    }

    /// True if an attempt to send to `path` must find the mailbox full.
    pub(crate) fn finds_full(&self, path: &str) -> bool {
        let rules = lock(&self.0.rules);
        let mut full = rules.all.iter().filter(|rule| rule.what == What::Full);
        let Some(rule) = full.find(|rule| rule.hits(path)) else {
            return false;
        };
        self.count(rule);
        true
    }

    /// Returns the mark of a message sent to `path`; 0 if no fault can hit it.
    pub(crate) fn mark(&self, path: &str) -> u16 {
        let mut rules = lock(&self.0.rules);
        let hit: Vec<Arc<Rule>> = (rules.all.iter())
            .filter(|rule| rule.what != What::Full && rule.hits(path))
            .cloned()
            .collect();
        if hit.is_empty() {
            return 0;
        }
        let is_same = |known: &Vec<Arc<Rule>>| {
            known.len() == hit.len() && known.iter().zip(&hit).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        let at = match rules.marks.iter().position(is_same) {
            Some(at) => at,
            None => {
                rules.marks.push(hit);
                rules.marks.len() - 1
            }
        };
        // There are as many marks as different sets of rules that messages met. With thousands of sets, the last
        // have no mark.
        u16::try_from(at + 1)
            .ok()
            .filter(|mark| *mark < DELAYED)
            .unwrap_or(0)
    }

    /// Returns what must be done with a message with this mark, and counts it.
    pub(crate) fn plan(&self, mark: u16) -> Planned {
        let rules = lock(&self.0.rules);
        let at = usize::from(mark & !DELAYED).wrapping_sub(1);
        let Some(hit) = rules.marks.get(at) else {
            return Planned::Nothing;
        };
        let still = || hit.iter().filter(|rule| !rule.is_removed());
        if mark & DELAYED == 0 {
            let mut delay = Duration::ZERO;
            for rule in still() {
                if let What::Delay(by) = rule.what {
                    self.count(rule);
                    delay = delay.saturating_add(by);
                }
            }
            if !delay.is_zero() {
                return Planned::Delay(delay, mark | DELAYED);
            }
        }
        for rule in still() {
            match rule.what {
                What::Drop => {
                    self.count(rule);
                    return Planned::Drop;
                }
                What::Panic => {
                    self.count(rule);
                    return Planned::Panic(format!(
                        "on purpose, a fault of `{}`",
                        rule.pattern.as_str()
                    ));
                }
                What::Delay(_) | What::Full => {}
            }
        }
        Planned::Nothing
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults")
            .field("seed", &self.0.seed)
            .field("rules", &lock(&self.0.rules).all)
            .field("injected", &self.injected())
            .finish()
    }
}

/// A fault that was set. Dropping this value does not remove it.
#[derive(Clone)]
pub struct Fault {
    rule: Arc<Rule>,
    faults: Faults,
}

impl Fault {
    /// How often this fault was injected.
    pub fn injected(&self) -> u64 {
        self.rule.injected.load(Ordering::Relaxed)
    }

    /// Removes this fault. The others stay.
    pub fn remove(&self) {
        let mut rules = lock(&self.faults.0.rules);
        self.rule.removed.store(1, Ordering::Relaxed);
        rules.all.retain(|rule| !Arc::ptr_eq(rule, &self.rule));
        let any = u8::from(!rules.all.is_empty());
        self.faults.0.any.store(any, Ordering::Relaxed);
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rule.fmt(f)
    }
}
