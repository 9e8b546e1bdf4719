//! The agenda of a thread: the hosts that are due for a turn. `mailbox → `**`agenda`**` → host`
//!
//! A host that sleeps is woken through its executor: its task is queued, polled, looks for orders and gives the
//! host its turn; some 500 instructions. A handler that sends to a host on its own thread can do better. It notes
//! that host on the agenda. The host whose task runs now gives the noted hosts their turns, one after the other,
//! before it returns to the executor. An ask goes further and *lends* the asker's turn to the receiver, since the
//! asker would only wait.
//!
//! Bounds: [`ROUND`] turns, or [`ROUND_TIME`], before the executor runs again; [`DEPTH`] nested turns that are
//! lent.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use crate::base::sim::{self, Point};

/// The most turns in a round, before the executor runs again.
const ROUND: u32 = 32;
/// How long a round may begin further turns. The executor looks at its timers once in a few hundred polls of
/// tasks, each of which may be a round.
pub(crate) const ROUND_TIME: Duration = Duration::from_micros(5);
/// The most lent turns, one within the other: bounds the stack.
const DEPTH: u32 = 8;

/// A host, as its thread sees it.
pub(crate) trait Runnable {
    /// Gives the host a turn.
    fn take_turn(&self) -> Turn;

    /// Wakes the host's task, which gives the host a turn later.
    fn wake(&self);
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// There is more to do: the host goes to the end of the round.
    Again,
    /// There is more to do, but the host has had its share of this round: its task goes on later.
    Yield,
    /// There is nothing to do, but more is likely to come soon: its task looks again later.
    Linger,
    /// There is nothing to do until the host is woken.
    Sleep,
    /// The host has ended; its task does the rest.
    Over,
    /// The host is in the middle of a turn, so it can't have another.
    Busy,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Agenda {
    residents: RefCell<Vec<Option<Rc<dyn Runnable>>>>,
    /// Free numbers, of hosts that have gone.
    vacant: RefCell<Vec<u32>>,
    /// The numbers of the hosts that are due for a turn.
    noted: RefCell<VecDeque<u32>>,
    /// True while a host of this thread gives turns.
    is_round: Cell<bool>,
    depth: Cell<u32>,
}

impl Agenda {
    /// Adds a host to the thread and returns its number.
    pub(crate) fn enlist(&self, resident: Rc<dyn Runnable>) -> u32 {
        let mut residents = self.residents.borrow_mut();
        if let Some(number) = self.vacant.borrow_mut().pop() {
            residents[number as usize] = Some(resident);
            return number;
        }
        residents.push(Some(resident));
        // Reserves room to note every host, so that no message pays for an allocation.
        let mut noted = self.noted.borrow_mut();
        let missing = residents.len() - noted.len();
        noted.reserve(missing);
        residents.len() as u32 - 1
    }

    /// Removes a host.
    pub(crate) fn strike(&self, number: u32) {
        let struck = self.residents.borrow_mut()[number as usize].take();
        self.vacant.borrow_mut().push(number);
        // Outside of the borrow: it may be the last reference to a subsystem.
        drop(struck);
    }

    fn resident(&self, number: u32) -> Option<Rc<dyn Runnable>> {
        self.residents.borrow().get(number as usize)?.clone()
    }

    /// Notes a host that slept and has something to do now. Returns false if no round is under way: then the
    /// caller must wake its task.
    pub(crate) fn note(&self, number: u32) -> bool {
        let is_round = self.is_round.get() && !sim::coin(Point::Stranger);
        if is_round {
            self.noted.borrow_mut().push_back(number);
        }
        is_round
    }

    /// Gives turns to host `first` and to all noted hosts, until none is left or the round is over; then it wakes
    /// the tasks of the rest. Called by the task of `first`.
    pub(crate) fn round(&self, first: u32, mut is_late: impl FnMut() -> bool) {
        let depth = self.depth.get();
        self.is_round.set(true);
        let _round = Round {
            agenda: self,
            depth,
            ends: true,
        };
        self.give_turn(first);
        for _ in 1..ROUND {
            if is_late() || sim::coin(Point::Round) {
                break;
            }
            let Some(next) = self.next() else {
                break;
            };
            self.give_turn(next);
        }
    }

    fn next(&self) -> Option<u32> {
        let mut noted = self.noted.borrow_mut();
        match noted.len() > 1 && sim::coin(Point::Order) {
            false => noted.pop_front(),
            true => noted.pop_back(),
        }
    }

    /// Lends the caller's turn to a host that slept and has something to do now. Returns false if that is not
    /// possible: then the caller must note or wake it.
    pub(crate) fn lend(&self, number: u32) -> bool {
        let depth = self.depth.get();
        if depth == DEPTH || sim::coin(Point::Stranger) {
            return false;
        }
        self.depth.set(depth + 1);
        let was_round = self.is_round.replace(true);
        let _round = Round {
            agenda: self,
            depth,
            ends: !was_round,
        };
        self.give_turn(number);
        true
    }

    /// How many turns are lent now, one within the other.
    pub(crate) fn depth(&self) -> u32 {
        self.depth.get()
    }

    fn give_turn(&self, number: u32) {
        let Some(resident) = self.resident(number) else {
            return;
        };
        match resident.take_turn() {
            Turn::Again => self.noted.borrow_mut().push_back(number),
            Turn::Yield | Turn::Linger | Turn::Over | Turn::Busy => resident.wake(),
            Turn::Sleep => {}
        }
    }

    fn end_round(&self) {
        self.is_round.set(false);
        while let Some(number) = self.next() {
            if let Some(resident) = self.resident(number) {
                resident.wake();
            }
        }
    }
}

/// Guard of a round, or of a lent turn. When it is dropped, by a panic too, it restores the depth; a round also wakes
/// the hosts that are still noted.
struct Round<'a> {
    agenda: &'a Agenda,
    /// The depth before.
    depth: u32,
    /// True if this guard began the round.
    ends: bool,
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        if self.ends {
            self.agenda.end_round();
        }
        self.agenda.depth.set(self.depth);
    }
}
