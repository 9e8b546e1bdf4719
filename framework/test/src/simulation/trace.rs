//! The decisions of a simulation: as a hash and, if enabled, one by one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use mycelia::__test::Point;

/// The most decisions that are kept; the oldest are dropped.
const KEPT: usize = 200_000;

/// Something that a simulation has decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// When it was decided, on the simulation's clock.
    pub at: Duration,
    /// The simulated thread that was running; 0 for the simulation itself.
    pub thread: u32,
    point: Point,
    answer: u32,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.as_nanos();
        write!(f, "{:>9}.{:03} us  ", at / 1000, at % 1000)?;
        match (self.thread, self.point) {
            (0, Point::Thread) => write!(f, "thread {} goes on", self.answer),
            (thread, Point::Thread) => {
                write!(f, "thread {} gets in between thread {thread}", self.answer)
            }
            (_, Point::Time) => write!(f, "{} us pass", self.answer),
            (thread, point) => write!(f, "thread {thread}: {point:?} {}", self.answer),
        }
    }
}

#[derive(Default)]
pub(super) struct Trace {
    hash: Cell<u64>,
    decisions: RefCell<VecDeque<Decision>>,
    is_kept: bool,
}

impl Trace {
    pub(super) fn new(is_kept: bool) -> Self {
        Trace {
            is_kept,
            ..Trace::default()
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash.get()
    }

    /// Takes the decisions that were kept.
    pub(super) fn take(&self) -> Vec<Decision> {
        self.decisions.take().into()
    }

    pub(super) fn note(&self, at_ns: u64, thread: u32, point: Point, answer: u32) {
        let mut hash = self.hash.get();
        for part in [
            at_ns,
            u64::from(thread) << 40 | (point as u64) << 32 | u64::from(answer),
        ] {
            hash = (hash.rotate_left(5) ^ part).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
        self.hash.set(hash);
        // Decisions to do nothing are left out: they would be most of the trace.
        if self.is_kept && (answer != 0 || point == Point::Thread) {
            let mut decisions = self.decisions.borrow_mut();
            if decisions.len() == KEPT {
                decisions.pop_front();
            }
            decisions.push_back(Decision {
                at: Duration::from_nanos(at_ns),
                thread,
                point,
                answer,
            });
        }
    }
}
