//! The agenda of a thread: which of its hosts have a turn coming. `mailbox → `**`agenda`**` → host`
//!
//! A host that has slept is woken through its executor: the task is queued, comes round, looks for
//! orders and gives the host its turn; some 500 instructions. But anyone who sends to a neighbour on its own thread,
//! from within a handler, knows that the thread will come by: it notes the neighbour on the agenda, and
//! the host whose task runs gives those noted their turns, one after the other, before it returns to the
//! executor. An asker goes further and *lends* its turn to the one it asks, since it would only wait.
//!
//! Bounds: [`ROUND`] turns, or [`ROUND_TIME`], before the executor comes by; [`DEPTH`] turns lent one within
//! the other.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use crate::base::sim::{self, Point};

/// Most turns given by one host before the executor comes round.
const ROUND: u32 = 32;
/// Longest that such a round may go on beginning turns after its first. The executor looks at timers
/// once in a few hundred polls of tasks, each of which may be a round.
pub(crate) const ROUND_TIME: Duration = Duration::from_micros(5);
/// Most turns that are lent one within the other: bounds the stack.
const DEPTH: u32 = 8;

/// A host, as its thread knows it.
pub(crate) trait Runnable {
    /// Gives it a turn.
    fn take_turn(&self) -> Turn;

    /// Has its own task give it one later.
    fn wake(&self);
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// More to do: let others run, then go on.
    Again,
    /// More to do, and it has had its share of this round: let all others run, then go on.
    Yield,
    /// Nothing to do, but more is likely to come soon: let others run, then look again.
    Linger,
    /// Nothing to do until woken.
    Sleep,
    /// It has ended; its task sees to the rest.
    Over,
    /// It can't have one now: it is in the middle of one.
    Busy,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Agenda {
    residents: RefCell<Vec<Option<Rc<dyn Runnable>>>>,
    /// Numbers of hosts that have gone.
    vacant: RefCell<Vec<u32>>,
    /// Those who have a turn coming, by number.
    noted: RefCell<VecDeque<u32>>,
    /// A host is giving turns.
    is_round: Cell<bool>,
    depth: Cell<u32>,
}

impl Agenda {
    /// Adds a host to the thread's; its number.
    pub(crate) fn enlist(&self, resident: Rc<dyn Runnable>) -> u32 {
        let mut residents = self.residents.borrow_mut();
        if let Some(number) = self.vacant.borrow_mut().pop() {
            residents[number as usize] = Some(resident);
            return number;
        }
        residents.push(Some(resident));
        // Room to note each of them, so that no message ever pays for it.
        let mut noted = self.noted.borrow_mut();
        let missing = residents.len() - noted.len();
        noted.reserve(missing);
        residents.len() as u32 - 1
    }

    /// Takes it out again.
    pub(crate) fn strike(&self, number: u32) {
        let struck = self.residents.borrow_mut()[number as usize].take();
        self.vacant.borrow_mut().push(number);
        // Outside of the borrow: it may be the last hold on a subsystem.
        drop(struck);
    }

    fn resident(&self, number: u32) -> Option<Rc<dyn Runnable>> {
        self.residents.borrow().get(number as usize)?.clone()
    }

    /// Notes a host that slept and has something to do now. False if no one would come by: then its
    /// task must be woken.
    pub(crate) fn note(&self, number: u32) -> bool {
        let is_round = self.is_round.get() && !sim::coin(Point::Stranger);
        if is_round {
            self.noted.borrow_mut().push_back(number);
        }
        is_round
    }

    /// Gives turns to host `first` and to all who are noted, until none is left or the round is over;
    /// then the others' tasks are woken. To be called by the host's task.
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

    /// Lends the caller's turn to a host that slept and has something to do now; false if that can't be
    /// done: then it must be noted or woken.
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
    /// How many turns were lent before.
    depth: u32,
    /// There was no round before.
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
