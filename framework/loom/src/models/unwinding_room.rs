//! Senders that wait for room, when their wakers or their attempts panic or call back.

use loom::thread;
use std::cell::Cell;
use std::sync::Arc;

use super::rogue::{Call, Rogue, catch, throw};
use super::waiters::{Looking, Pool};
use super::world::{Host, World};
use super::{Kept, Sleeper, in_full, up_to};
use crate::base::clock::{Due, Stamp};
use crate::envelope::mint;
use crate::envelope::token::Token;
use crate::runtime::shared::Shared;
use crate::send::Failed;
use crate::send::room::{Attempt, Sending, until_room};
use crate::words::error::Room;
use crate::words::overflow::Overflow;
use crate::words::priority::Priority::Normal;

/// The number of a handler's subsystem: its waits are edges of the wait graph.
const HANDLER: u32 = 7;

impl Pool {
    /// Starts a thread that returns envelope 0. Then the keepers make the deferred wakes.
    fn releaser(self: &Arc<Self>) -> thread::JoinHandle<()> {
        let pool = self.clone();
        thread::spawn(move || {
            pool.release(mint(0));
            pool.shared.pool.deferred.make();
        })
    }

    /// Starts another thread, which waits and returns the envelope that it got.
    fn waiter(self: &Arc<Self>) -> thread::JoinHandle<()> {
        let pool = self.clone();
        thread::spawn(move || pool.release(pool.acquire()))
    }

    fn assert_nothing_is_left(&self) {
        assert!(!self.shared.pool.room.any(), "a place in the queue is left");
        assert!(!self.shared.waits.any_undecided(), "a wait is left");
    }
}

/// Drops a future that has unwound.
fn give_up<F>(future: F) {
    let dropped = catch(|| drop(future));
    assert!(dropped.is_some(), "the drop of a future panics");
}

/// The future in which a handler waits, with its own way to look for an envelope.
fn handler_s<'m>(
    pool: &'m Pool,
    shared: &'m Arc<Shared>,
    look: impl Fn() -> Option<Token> + 'm,
    found: &'m Cell<Option<Token>>,
) -> Kept<Sending<(), impl Attempt<()> + 'm>> {
    let mailbox = &pool.mailbox;
    Kept::new(until_room(
        (),
        Looking {
            shared,
            mailbox,
            look,
            found,
        },
    ))
}

/// A look that panics the `nth` time, as a sender's parser may.
fn panics_at<'m>(pool: &'m Pool, nth: u32) -> impl Fn() -> Option<Token> + 'm {
    let looks = Cell::new(0);
    move || {
        looks.set(looks.get() + 1);
        if looks.get() == nth {
            throw();
        }
        pool.look()
    }
}

/// A handler makes an attempt whose `nth` look panics. Another sender waits for the same envelope.
fn an_attempt_that_panics(nth: u32) {
    up_to(2, move || {
        let pool = Pool::of(1);
        let (shared, found) = (pool.shared.of(HANDLER), Cell::new(None));
        let mut sending = handler_s(&pool, &shared, panics_at(&pool, nth), &found);
        let (waiter, releaser) = (pool.waiter(), pool.releaser());
        let sleeper = Sleeper::new();
        let sent = sleeper.block_on(|waker| match catch(|| sending.poll_with(waker)) {
            Some(None) => None,
            Some(Some(sent)) => Some(Some(sent)),
            None => Some(None),
        });
        give_up(sending);
        assert!(!shared.waits.any_undecided(), "a wait is left");
        if sent.is_some() {
            pool.release(found.take().unwrap());
        }
        waiter.join().unwrap();
        releaser.join().unwrap();
        pool.assert_nothing_is_left();
        assert!(!sleeper.is_held());
    });
}

#[test]
fn an_attempt_that_panics_in_the_queue_leaves_no_place_and_no_wait() {
    an_attempt_that_panics(2);
}

#[test]
fn an_attempt_that_panics_when_it_was_woken_passes_its_wake_up_on() {
    an_attempt_that_panics(3);
}

/// A send to a bounded mailbox, whose `nth` look panics.
struct Parsing<'w> {
    world: &'w World,
    looks: u32,
    nth: u32,
}

impl Attempt<()> for Parsing<'_> {
    fn shared(&self) -> &Arc<Shared> {
        &self.world.shared
    }

    fn due(&mut self) -> Option<Due> {
        Some(Due::NEVER)
    }

    fn attempt(&mut self, _message: &mut Option<()>) -> Result<(), Failed> {
        self.looks += 1;
        if self.looks == self.nth {
            throw();
        }
        let full = |_| Failed::Full(Room::Mailbox, self.world.mailbox.clone());
        self.world.post(1, Normal).map_err(full)
    }
}

#[test]
fn an_attempt_that_panics_when_there_is_a_place_leaves_it_to_the_next_one() {
    up_to(2, || {
        let world = World::with(3, 1, Overflow::Wait);
        world.post(0, Normal).unwrap();
        let attempt = Parsing {
            world: &world,
            looks: 0,
            nth: 3,
        };
        let mut sending = Kept::new(until_room((), attempt));
        let sleeper = Sleeper::new();
        let first = sending.poll_with(&sleeper.waker());
        assert!(first.is_none());
        let next = world.sender([(2, Normal)]);
        let mut host = Host::of(&world);
        assert!(host.begin());
        host.finish();
        assert!(catch(|| sending.poll_with(&sleeper.waker())).is_none_or(|sent| sent.is_none()));
        give_up(sending);
        assert_eq!(next.join().unwrap().0, [2]);
    });
}

#[test]
fn a_waiter_whose_waker_panics_is_woken_by_the_keepers() {
    in_full(|| {
        let pool = Pool::of(1);
        let releaser = pool.releaser();
        let found = Cell::new(None);
        let mut waiting = Kept::new(pool.acquiring(&found));
        let rogue = Rogue::throws_once(Call::Wake);
        rogue.block_on(|waker| waiting.poll_with(waker)).unwrap();
        releaser.join().unwrap();
        pool.assert_nothing_is_left();
    });
}

#[test]
fn room_for_a_waiter_that_cannot_be_woken_is_found_by_the_supervisor() {
    up_to(3, || {
        let pool = Pool::of(1);
        let found = Cell::new(None);
        let mut waiting = Kept::new(pool.acquiring(&found));
        let rogue = Rogue::throws(Call::Wake);
        assert!(rogue.poll(|waker| waiting.poll_with(waker)).is_some());
        let (waiter, releaser) = (pool.waiter(), pool.releaser());
        releaser.join().unwrap();
        // The supervisor's check, as in `Pool::look_after_waiters`.
        pool.shared.pool.wake_next();
        waiter.join().unwrap();
        give_up(waiting);
        pool.assert_nothing_is_left();
        pool.shared.pool.deferred.make();
        assert!(!rogue.is_held());
    });
}

#[test]
fn a_waiter_whose_waker_panics_as_it_is_copied_has_no_place_until_it_comes_again() {
    in_full(|| {
        let pool = Pool::of(1);
        let releaser = pool.releaser();
        let found = Cell::new(None);
        let mut waiting = Kept::new(pool.acquiring(&found));
        let rogue = Rogue::throws_once(Call::Copy);
        match rogue.poll(|waker| waiting.poll_with(waker)) {
            None => {
                pool.assert_nothing_is_left();
                assert!(!rogue.is_held());
                rogue.block_on(|waker| waiting.poll_with(waker)).unwrap();
            }
            Some(sent) => sent.expect("it waits only with a waker").unwrap(),
        }
        releaser.join().unwrap();
        pool.assert_nothing_is_left();
    });
}

#[test]
fn a_waiter_whose_next_waker_panics_as_it_is_copied_passes_its_wake_up_on() {
    up_to(2, || {
        let pool = Pool::of(1);
        let (shared, found) = (pool.shared.of(HANDLER), Cell::new(None));
        let mut waiting = handler_s(&pool, &shared, || pool.look(), &found);
        let before = Sleeper::new();
        assert!(waiting.poll_with(&before.waker()).is_none());
        let (waiter, releaser) = (pool.waiter(), pool.releaser());
        let rogue = Rogue::throws(Call::Copy);
        let polled = rogue.poll(|waker| waiting.poll_with(waker));
        assert!(
            polled.is_none(),
            "it is copied, or the waiter is queued again"
        );
        give_up(waiting);
        waiter.join().unwrap();
        releaser.join().unwrap();
        pool.assert_nothing_is_left();
        assert!(!before.is_held() && !rogue.is_held());
    });
}

#[test]
fn a_waiter_whose_waker_panics_as_it_is_dropped_leaves_all_the_same() {
    up_to(2, || {
        let pool = Pool::of(1);
        let (shared, found) = (pool.shared.of(HANDLER), Cell::new(None));
        let mut waiting = handler_s(&pool, &shared, || pool.look(), &found);
        let rogue = Rogue::throws(Call::Drop);
        assert!(rogue.poll(|waker| waiting.poll_with(waker)).is_some());
        let (waiter, releaser) = (pool.waiter(), pool.releaser());
        give_up(waiting);
        assert!(!shared.waits.any_undecided(), "a wait is left");
        waiter.join().unwrap();
        releaser.join().unwrap();
        pool.assert_nothing_is_left();
        assert!(!rogue.is_held());
    });
}

#[test]
fn a_waiter_whose_first_waker_panics_as_another_takes_its_place_is_woken_by_the_other() {
    in_full(|| {
        let pool = Pool::of(1);
        let found = Cell::new(None);
        let mut waiting = Kept::new(pool.acquiring(&found));
        let before = Rogue::throws(Call::Drop);
        assert!(before.poll(|waker| waiting.poll_with(waker)).is_some());
        let releaser = pool.releaser();
        let sent = Sleeper::new().block_on(|waker| {
            let polled = catch(|| waiting.poll_with(waker));
            polled.unwrap_or_else(|| waiting.poll_with(waker))
        });
        sent.unwrap();
        releaser.join().unwrap();
        pool.assert_nothing_is_left();
        assert!(!before.is_held());
    });
}

#[test]
fn a_waker_that_calls_back_finds_the_queue_open() {
    in_full(|| {
        let pool = Pool::of(1);
        let theirs = pool.shared.clone();
        // It takes the queue's lock, and finds no expired waiter.
        let rogue = Rogue::new(move |_| theirs.pool.room.remind(Stamp(0), &theirs.pool.deferred));
        let found = Cell::new(None);
        let mut waiting = Kept::new(pool.acquiring(&found));
        assert!(rogue.poll(|waker| waiting.poll_with(waker)).is_some());
        assert!(waiting.poll_with(&Sleeper::new().waker()).is_none());
        let releaser = pool.releaser();
        rogue.block_on(|waker| waiting.poll_with(waker)).unwrap();
        releaser.join().unwrap();
        pool.assert_nothing_is_left();
    });
}

#[test]
fn a_waiter_that_keeps_no_timer_is_woken_once_for_room_or_at_its_deadline() {
    in_full(|| {
        let pool = Pool::of(1);
        let room = &pool.shared.pool.room;
        let waiters = [Rogue::throws_once(Call::Wake), Rogue::throws(Call::Drop)];
        for waiter in &waiters {
            let waker = std::mem::ManuallyDrop::new(waiter.waker());
            let _place = room.register(&waker, false, Due::at(8, true));
        }
        let releaser = pool.releaser();
        room.remind(Stamp(10), &pool.shared.pool.deferred);
        releaser.join().unwrap();
        pool.shared.pool.deferred.make();
        assert_eq!(waiters.each_ref().map(Rogue::woken), [1, 1]);
        pool.assert_nothing_is_left();
    });
}
