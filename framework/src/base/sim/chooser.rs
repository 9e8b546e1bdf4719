//! The chooser, which makes a simulation's decisions. `chooser_off.rs` replaces it without the feature `test`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::{Plant, Point};

/// Makes the decisions of a simulation.
pub trait Chooser {
    /// Decides yes or no.
    fn coin(&self, at: Point) -> bool;

    /// Chooses a number below `bound`, which is not 0.
    fn below(&self, at: Point, bound: u32) -> u32;

    /// May let another simulated thread run before the caller goes on.
    fn preempt(&self, at: Point);

    /// Lets another simulated thread run, because the caller is blocked; false if none can run.
    fn wait(&self) -> bool;

    /// Lets time pass, as if the caller had worked that long.
    fn spend(&self, time: Duration);

    /// True if the planted error must happen now.
    fn plants(&self, plant: Plant) -> bool;

    /// Reports a broken invariant.
    fn violated(&self, what: String);
}

thread_local! {
    /// The number of the simulated thread that runs now; 0 outside of simulations.
    static THREAD: Cell<u32> = const { Cell::new(0) };
    static CHOOSER: RefCell<Option<Rc<dyn Chooser>>> = const { RefCell::new(None) };
}

/// The number of a simulated thread. Several share one thread of the operating system; 0 is that thread itself.
pub(super) type ThreadNumber = u32;

/// Returns the number of the simulated thread that runs here now.
#[inline]
pub fn thread() -> ThreadNumber {
    THREAD.get()
}

/// True on a simulated thread.
#[inline]
pub(crate) fn is_simulated() -> bool {
    thread() != 0
}

/// Makes `number` the simulated thread that runs here. Returns the number before.
pub fn enter(number: u32) -> u32 {
    THREAD.replace(number)
}

/// Sets the chooser of this thread. Returns the one before.
pub fn decide(chooser: Option<Rc<dyn Chooser>>) -> Option<Rc<dyn Chooser>> {
    CHOOSER.replace(chooser)
}

fn ask<T>(question: impl FnOnce(&dyn Chooser) -> T) -> Option<T> {
    if !is_simulated() {
        return None;
    }
    // Cloned, so that no borrow is held: the chooser may let other threads run, which ask too.
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

/// `most`; in a simulation perhaps fewer, but at least 1.
#[inline]
pub(crate) fn at_most(at: Point, most: u32) -> u32 {
    if !is_simulated() || most < 2 || !coin(at) {
        return most;
    }
    ask(|chooser| 1 + chooser.below(at, most)).unwrap_or(most)
}

/// A job for a simulated thread.
pub type Job = Box<dyn FnOnce() + Send>;

/// Sends jobs to a simulated thread.
#[derive(Clone)]
pub struct Jobs(UnboundedSender<Job>);

impl Jobs {
    /// The receiver of `jobs` must run them on that thread, one after the other.
    pub fn new(jobs: UnboundedSender<Job>) -> Self {
        Jobs(jobs)
    }

    /// Runs `launch` on that thread. If the thread has ended, `launch` is dropped.
    pub(crate) fn run(&self, launch: impl FnOnce() + Send + 'static) {
        let _ = self.0.send(Box::new(launch));
    }
}

/// Lets time pass on the simulation's clock.
pub fn spend(time: Duration) {
    ask(|chooser| chooser.spend(time));
}

/// Runs the other threads while the calling simulated thread is blocked. Returns false on a thread of the
/// operating system, which must block by itself.
///
/// # Panics
/// If no other thread has anything to do.
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
