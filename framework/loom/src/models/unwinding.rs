//! Wakers that panic or call back while a reply, a waker or a deferred wake is handed over.

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::sync::Arc;
use std::task::{Wake, Waker};

use super::rogue::{Call, Rogue, catch, throw};
use super::{Slab, Sleeper, in_full, up_to};
use crate::base::deferred::DeferredWakes;
use crate::base::waker_slot::WakerSlot;
use crate::envelope::reply::{Claim, ReplySlot};
use crate::envelope::token::Token;
use crate::envelope::{claim, mint};

/// One envelope, number 0, which was sent as an ask.
struct Ask {
    slab: Slab,
    slot: ReplySlot,
    deferred: DeferredWakes,
}

impl Ask {
    fn new() -> Arc<Self> {
        let slot = ReplySlot::new();
        slot.reset(0, 0);
        Arc::new(Ask {
            slab: Slab::new(1),
            slot,
            deferred: DeferredWakes::default(),
        })
    }

    /// The host replies, as `TurnBatch::answer`. Returns true if it keeps the envelope. Then the keepers make the
    /// deferred wakes.
    fn answer(&self) -> bool {
        let token = mint(0);
        self.slab.touch(&token);
        let keeps_it = match self.slot.reply(token) {
            Ok(asker) => {
                if let Some(asker) = asker {
                    self.deferred.wake(asker);
                }
                false
            }
            Err(token) => {
                self.slab.touch(&token);
                true
            }
        };
        self.deferred.make();
        keeps_it
    }

    fn host(self: &Arc<Self>) -> thread::JoinHandle<bool> {
        let ask = self.clone();
        thread::spawn(move || ask.answer())
    }

    /// The end of an asker, in any case: if it has its claim, it gives up. Returns true if it has or had the
    /// envelope.
    fn leave(&self, claim: &mut Option<Claim>, token: Option<Token>) -> bool {
        let has_it = token.is_some();
        let late = claim.take().and_then(|claim| {
            let left = catch(|| self.slot.abandon(claim));
            left.expect("an asker that goes away does not unwind")
        });
        assert!(!(has_it && late.is_some()), "it has the envelope twice");
        let token = token.or(late);
        token.inspect(|token| self.slab.touch(token)).is_some()
    }
}

/// An asker with such a waker looks `looks` times and gives up.
fn one_of_both_has_the_envelope(looks: usize, asker: impl Fn() -> Rogue + Send + Sync + 'static) {
    in_full(move || {
        let (ask, asker) = (Ask::new(), asker());
        let host = ask.host();
        let (mut claim, mut token) = (Some(claim(0)), None);
        for _ in 0..looks {
            if token.is_none() {
                let looked = asker.poll(|waker| ask.slot.poll(waker, &mut claim));
                token = looked.flatten();
            }
        }
        let asker_has_it = ask.leave(&mut claim, token);
        assert_ne!(host.join().unwrap(), asker_has_it);
        assert!(!asker.is_held(), "the slot keeps the asker's task alive");
    });
}

#[test]
fn an_asker_whose_waker_panics_as_it_is_copied_keeps_its_claim() {
    one_of_both_has_the_envelope(1, || Rogue::throws(Call::Copy));
    one_of_both_has_the_envelope(2, || Rogue::throws_once(Call::Copy));
}

#[test]
fn an_asker_whose_waker_panics_as_it_is_dropped_keeps_its_claim() {
    one_of_both_has_the_envelope(1, || Rogue::throws(Call::Drop));
    one_of_both_has_the_envelope(2, || Rogue::throws_once(Call::Drop));
}

#[test]
fn an_asker_whose_waker_panics_as_it_is_woken_leaves_the_host_unharmed() {
    one_of_both_has_the_envelope(1, || Rogue::throws(Call::Wake));
}

#[test]
fn an_asker_whose_waker_panics_as_it_is_woken_is_woken_by_the_keepers() {
    in_full(|| {
        let (ask, asker) = (Ask::new(), Rogue::throws_once(Call::Wake));
        let host = ask.host();
        let mut claim = Some(claim(0));
        let token = asker.block_on(|waker| ask.slot.poll(waker, &mut claim));
        assert!(ask.leave(&mut claim, Some(token)));
        assert!(!host.join().unwrap());
    });
}

#[test]
fn an_asker_whose_first_waker_panics_as_another_takes_its_place_is_woken_by_the_other() {
    in_full(|| {
        let ask = Ask::new();
        let (before, asker) = (Rogue::throws(Call::Drop), Sleeper::new());
        let mut claim = Some(claim(0));
        assert!(
            before
                .poll(|waker| ask.slot.poll(waker, &mut claim))
                .is_some()
        );
        let host = ask.host();
        let token = asker.block_on(|waker| {
            // It unwinds after the slot was set, so the task looks again.
            let looked = catch(|| ask.slot.poll(waker, &mut claim));
            looked.unwrap_or_else(|| ask.slot.poll(waker, &mut claim))
        });
        assert!(ask.leave(&mut claim, Some(token)));
        assert!(!host.join().unwrap());
    });
}

/// A slot for wakers, and the word that says that a task need not sleep.
#[derive(Default)]
struct Place {
    slot: WakerSlot,
    is_over: AtomicUsize,
}

impl Place {
    fn end(&self) {
        self.is_over.store(1, Ordering::Release);
        if let Some(waker) = self.slot.take() {
            waker.wake();
        }
    }

    /// Leaves a waker, and looks.
    fn is_over(&self, waker: &Waker) -> Option<()> {
        self.slot.set(waker);
        (self.is_over.load(Ordering::Acquire) != 0).then_some(())
    }
}

fn ender(place: &Arc<Place>) -> thread::JoinHandle<()> {
    let place = place.clone();
    thread::spawn(move || place.end())
}

#[test]
fn a_waker_that_is_left_while_another_takes_is_not_lost() {
    in_full(|| {
        let place = Arc::new(Place::default());
        let ender = ender(&place);
        Sleeper::new().block_on(|waker| place.is_over(waker));
        ender.join().unwrap();
    });
}

#[test]
fn a_waker_that_calls_back_finds_the_slot_open() {
    for at in [Call::Copy, Call::Drop] {
        in_full(move || {
            let place = Arc::new(Place::default());
            let again = place.clone();
            let rogue = Rogue::new(move |call| {
                if call == at
                    && let Some(other) = again.slot.take()
                {
                    other.wake();
                }
            });
            assert!(rogue.poll(|waker| place.is_over(waker)).is_some());
            let ender = ender(&place);
            // Replaces the rogue's waker, whose drop wakes this one without need.
            Sleeper::new().block_on(|waker| place.is_over(waker));
            ender.join().unwrap();
            let _ = rogue.poll(|waker| place.is_over(waker));
            drop(place.slot.take());
            assert!(!rogue.is_held());
        });
    }
}

#[test]
fn a_waker_that_panics_as_it_is_copied_leaves_the_one_before_in_its_place() {
    in_full(|| {
        let place = Arc::new(Place::default());
        let (before, rogue) = (Sleeper::new(), Rogue::throws(Call::Copy));
        let is_over = place.is_over(&before.waker());
        assert!(is_over.is_none());
        let ender = ender(&place);
        assert!(rogue.poll(|waker| place.is_over(waker)).is_none());
        before.0.0.wait();
        ender.join().unwrap();
    });
}

/// The keepers: a task that the bell wakes.
struct Keepers {
    deferred: Arc<DeferredWakes>,
    task: Sleeper,
}

impl Keepers {
    fn new() -> Self {
        let keepers = Keepers {
            deferred: Arc::default(),
            task: Sleeper::new(),
        };
        let bell = keepers.task.0.clone();
        keepers.deferred.set_bell(move || bell.clone().wake());
        keepers
    }

    /// Makes deferred wakes until `is_enough`. Returns how many envelopes came free.
    fn make_until(&self, is_enough: impl Fn(usize) -> bool) -> usize {
        let mut freed = 0;
        self.task.block_on(|_| {
            freed += self.deferred.make();
            is_enough(freed).then_some(())
        });
        // Nothing is made a second time.
        freed + self.deferred.make()
    }
}

#[test]
fn two_wakes_that_panic_on_two_threads_are_made_by_the_keepers() {
    up_to(3, || {
        let keepers = Keepers::new();
        let tasks = [0, 1].map(|_| Arc::new(Rogue::throws_once(Call::Wake)));
        let wakers = tasks.each_ref().map(|task| {
            let (task, deferred) = (task.clone(), keepers.deferred.clone());
            thread::spawn(move || deferred.wake(task.waker()))
        });
        let freed = keepers.make_until(|_| tasks.iter().all(|task| task.woken() > 0));
        assert_eq!(freed, 0);
        for waker in wakers {
            waker.join().unwrap();
        }
        for task in tasks {
            assert_eq!(task.woken(), 1);
            assert!(!task.is_held());
        }
    });
}

#[test]
fn a_wake_that_defers_another_while_the_keepers_make_it_does_not_block_them() {
    in_full(|| {
        let keepers = Keepers::new();
        let next = Arc::new(Rogue::throws(Call::Copy));
        let (other, deferred) = (next.clone(), keepers.deferred.clone());
        let first = Rogue::new(move |call| {
            if call == Call::Wake {
                deferred.defer(other.waker());
            }
        });
        let waker = first.waker();
        let deferred = keepers.deferred.clone();
        let thread = thread::spawn(move || deferred.defer(waker));
        keepers.make_until(|_| next.woken() > 0);
        thread.join().unwrap();
        assert_eq!(first.woken(), 1);
    });
}

#[test]
fn a_wake_that_panics_twice_hinders_no_other() {
    in_full(|| {
        let keepers = Keepers::new();
        let (rogue, other) = (Rogue::throws(Call::Wake), Rogue::throws_once(Call::Wake));
        let (waker, deferred) = (rogue.waker(), keepers.deferred.clone());
        let thread = thread::spawn(move || deferred.wake(waker));
        keepers.deferred.wake(other.waker());
        keepers.make_until(|_| other.woken() > 0);
        thread.join().unwrap();
        keepers.deferred.make();
        assert_eq!((rogue.woken(), other.woken()), (0, 1));
        assert!(!rogue.is_held() && !other.is_held());
    });
}

#[test]
fn envelopes_that_come_free_on_two_threads_are_all_told_of_once() {
    in_full(|| {
        let keepers = Keepers::new();
        let threads = [1, 2].map(|envelopes| {
            let deferred = keepers.deferred.clone();
            thread::spawn(move || deferred.defer_freed(envelopes))
        });
        assert_eq!(keepers.make_until(|freed| freed >= 3), 3);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_panic_that_is_caught_is_the_waker_s_own() {
    in_full(|| {
        assert!(catch(throw).is_none());
        assert_eq!(catch(|| 7), Some(7));
    });
}
