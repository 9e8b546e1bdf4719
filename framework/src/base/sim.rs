//! Fate: what a simulation decides in the place of chance and of the operating system.
//!
//! Where threads could get between each other, or where it must not matter what the framework does
//! first, the code asks here. A simulation (`mycelia::test::Simulation`) answers from its seed; without
//! one every answer is "no", and without the feature `test` there is no question in the machine code at
//! all.

/// Where fate is asked.
#[cfg_attr(
    not(feature = "test"),
    allow(dead_code, reason = "what is asked is not built in")
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// A host's task comes later.
    Late,
    /// A round of turns ends.
    Round,
    /// The host that was noted last has its turn first.
    Order,
    /// A host on the sender's own thread is woken like one elsewhere.
    Stranger,
    /// A turn is cut short.
    Slice,
    /// A host goes to rest at once, or looks again.
    Rest,
    /// A message is about to be put into a mailbox.
    Push,
    /// It is there, and the bell is not rung yet.
    Ring,
    /// A host is about to go to sleep.
    Sleep,
    /// A turn's endings are entered, and no one is woken yet.
    Entered,
    /// Envelopes are free again, and no one is woken yet.
    Freed,
    /// A waiter is in the queue, and has not looked again yet.
    Queued,
    /// A reply is there, and not handed over yet.
    Reply,
    /// An asker is about to look for its reply.
    Asker,
    /// A message has to make room for another.
    Evict,
    /// A mailbox is closed, and what was inside has not ended yet.
    Closed,
    /// A keeper is between two looks.
    Keeper,
    /// One of the planted errors happens.
    Plant,
    /// A simulation chooses the thread that goes on.
    Thread,
    /// It chooses how much time passes.
    Time,
}

/// Errors that a simulation can put in, to show that it would find them.
#[doc(hidden)]
#[cfg(feature = "test")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// Now and then a host that sleeps is not woken.
    LostWakeUp,
    /// Now and then an envelope is returned twice.
    DoubleRelease,
    /// Now and then two messages change places.
    Reorder,
}

#[cfg(feature = "test")]
pub(crate) use simulated::*;

#[cfg(feature = "test")]
mod simulated {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;
    use std::time::Duration;

    use super::{Plant, Point};

    /// Who decides.
    pub(crate) trait Fate {
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
        static FATE: RefCell<Option<Rc<dyn Fate>>> = const { RefCell::new(None) };
    }

    /// The number of the simulated thread that runs here now; 0 for none.
    #[inline]
    pub(crate) fn thread() -> u32 {
        THREAD.get()
    }

    /// From now on simulated thread `number` runs; which did before.
    pub(crate) fn enter(number: u32) -> u32 {
        THREAD.replace(number)
    }

    /// Puts the decision on this thread into other hands; whose it was.
    pub(crate) fn decide(fate: Option<Rc<dyn Fate>>) -> Option<Rc<dyn Fate>> {
        FATE.replace(fate)
    }

    fn ask<T>(question: impl FnOnce(&dyn Fate) -> T) -> Option<T> {
        if thread() == 0 {
            return None;
        }
        // Cloned: fate may let others run, who ask too.
        let fate = FATE.try_with(|fate| fate.borrow().clone()).ok()??;
        Some(question(&*fate))
    }

    #[inline]
    pub(crate) fn coin(at: Point) -> bool {
        thread() != 0 && ask(|fate| fate.coin(at)).unwrap_or(false)
    }

    #[inline]
    pub(crate) fn preempt(at: Point) {
        if thread() != 0 {
            ask(|fate| fate.preempt(at));
        }
    }

    /// `most`, or fewer, but no less than 1.
    #[inline]
    pub(crate) fn at_most(at: Point, most: u32) -> u32 {
        if thread() == 0 || most < 2 || !coin(at) {
            return most;
        }
        ask(|fate| 1 + fate.below(at, most)).unwrap_or(most)
    }

    /// Lets time pass on the simulation's clock.
    pub(crate) fn spend(time: Duration) {
        ask(|fate| fate.spend(time));
    }

    /// Runs the others while the calling simulated thread is blocked.
    ///
    /// # Panics
    /// If none of them has anything to do.
    pub(crate) fn wait_for_others() {
        let others = ask(|fate| fate.wait()).unwrap_or(false);
        assert!(
            others,
            "a thread of a simulation blocks, and waits for what comes by a timer only: use `tell`"
        );
    }

    #[inline]
    pub(crate) fn plants(plant: Plant) -> bool {
        thread() != 0 && ask(|fate| fate.plants(plant)).unwrap_or(false)
    }

    #[cold]
    pub(crate) fn violated(what: String) {
        ask(|fate| fate.violated(what));
    }
}

#[cfg(not(feature = "test"))]
#[inline(always)]
pub(crate) fn coin(_: Point) -> bool {
    false
}

#[cfg(not(feature = "test"))]
#[inline(always)]
pub(crate) fn preempt(_: Point) {}

#[cfg(not(feature = "test"))]
#[inline(always)]
pub(crate) fn at_most(_: Point, most: u32) -> u32 {
    most
}

/// A thread, as what belongs to it is kept: of the operating system's, which a simulation divides into
/// several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ThreadKey {
    thread: std::thread::ThreadId,
    #[cfg(feature = "test")]
    simulated: u32,
}

impl ThreadKey {
    /// That of the calling thread.
    pub(crate) fn current() -> Self {
        ThreadKey {
            thread: std::thread::current().id(),
            #[cfg(feature = "test")]
            simulated: thread(),
        }
    }
}
