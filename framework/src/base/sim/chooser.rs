//! The chooser, by which a simulation decides. `chooser_off.rs` is its stand-in without the feature `test`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::{Plant, Point};

/// Who decides.
pub trait Chooser {
    /// Yes or no.
    fn coin(&self, at: Point) -> bool;

    /// A number below `bound`, which is not 0.
    fn below(&self, at: Point, bound: u32) -> u32;

    /// Perhaps lets another thread go on before the one that asks.
    fn preempt(&self, at: Point);

    /// Lets another thread go on because the one that asks is blocked; false if none can.
    fn wait(&self) -> bool;

    /// Lets time pass while the one that asks works.
    fn spend(&self, time: Duration);

    /// True if a planted error is to happen now.
    fn plants(&self, plant: Plant) -> bool;

    /// Something happened that must not.
    fn violated(&self, what: String);
}

thread_local! {
    /// The number of the simulated thread that runs now; 0 for none.
    static THREAD: Cell<u32> = const { Cell::new(0) };
    static CHOOSER: RefCell<Option<Rc<dyn Chooser>>> = const { RefCell::new(None) };
}

/// Tells the simulated threads of one thread of the operating system apart; 0 for none.
pub(super) type ThreadNumber = u32;

/// The number of the simulated thread that runs here now.
#[inline]
pub fn thread() -> ThreadNumber {
    THREAD.get()
}

/// True on a simulated thread.
#[inline]
pub(crate) fn is_simulated() -> bool {
    thread() != 0
}

/// From now on simulated thread `number` runs; which did before.
pub fn enter(number: u32) -> u32 {
    THREAD.replace(number)
}

/// Puts the decision on this thread into other hands; whose it was.
pub fn decide(chooser: Option<Rc<dyn Chooser>>) -> Option<Rc<dyn Chooser>> {
    CHOOSER.replace(chooser)
}

fn ask<T>(question: impl FnOnce(&dyn Chooser) -> T) -> Option<T> {
    if !is_simulated() {
        return None;
    }
    // Cloned: it may let others run, who ask too.
    let chooser = CHOOSER
        .try_with(|chooser| chooser.borrow().clone())
        .ok()??;
    Some(question(&*chooser))
}

#[inline]
pub(crate) fn coin(at: Point) -> bool {
    is_simulated() && ask(|chooser| chooser.coin(at)).unwrap_or(false)
}

#[inline]
pub(crate) fn preempt(at: Point) {
    if is_simulated() {
        ask(|chooser| chooser.preempt(at));
    }
}

/// `most`, or fewer, but no less than 1.
#[inline]
pub(crate) fn at_most(at: Point, most: u32) -> u32 {
    if !is_simulated() || most < 2 || !coin(at) {
        return most;
    }
    ask(|chooser| 1 + chooser.below(at, most)).unwrap_or(most)
}

/// Work for a simulated thread.
pub type Job = Box<dyn FnOnce() + Send>;

/// Where a simulated thread takes its work from.
#[derive(Clone)]
pub struct Jobs(UnboundedSender<Job>);

impl Jobs {
    /// What is sent on `jobs` is to be run there, one after the other.
    pub fn new(jobs: UnboundedSender<Job>) -> Self {
        Jobs(jobs)
    }

    /// Runs `launch` on that thread; dropped if it has ended.
    pub(crate) fn run(&self, launch: impl FnOnce() + Send + 'static) {
        let _ = self.0.send(Box::new(launch));
    }
}

/// Lets time pass on the simulation's clock.
pub fn spend(time: Duration) {
    ask(|chooser| chooser.spend(time));
}

/// Runs the others while the calling simulated thread is blocked; false on a thread of the operating system,
/// which is to block itself.
///
/// # Panics
/// If none of them has anything to do.
pub(crate) fn waits_for_others() -> bool {
    if !is_simulated() {
        return false;
    }
    let others = ask(|chooser| chooser.wait()).unwrap_or(false);
    assert!(
        others,
        "a thread of a simulation blocks, and waits for what comes by a timer only: use `tell`"
    );
    true
}

#[inline]
pub(crate) fn plants(plant: Plant) -> bool {
    is_simulated() && ask(|chooser| chooser.plants(plant)).unwrap_or(false)
}

#[cold]
pub(crate) fn violated(what: String) {
    ask(|chooser| chooser.violated(what));
}
