//! Senders that wait for an envelope, in the shipped future.

use loom::thread;
use std::cell::Cell;
use std::sync::Arc;

use super::{Kept, Slab, Sleeper, in_full, up_to};
use crate::base::clock::Due;
use crate::envelope::mint;
use crate::envelope::pool::stack::Stack;
use crate::envelope::token::Token;
use crate::mailbox::Mailbox;
use crate::runtime::shared::Shared;
use crate::send::Failed;
use crate::send::room::{Attempt, Sending, park_on, until_room};
use crate::words::error::Room;

/// A look for an envelope, as the attempt of a send that needs nothing else.
pub(super) struct Looking<'m, L> {
    pub(super) shared: &'m Arc<Shared>,
    /// The receiver.
    pub(super) mailbox: &'m Arc<Mailbox>,
    pub(super) look: L,
    /// Where the token is left.
    pub(super) found: &'m Cell<Option<Token>>,
}

impl<L: Fn() -> Option<Token>> Attempt<()> for Looking<'_, L> {
    fn shared(&self) -> &Arc<Shared> {
        self.shared
    }

    fn due(&mut self) -> Option<Due> {
        Some(Due::NEVER)
    }

    fn attempt(&mut self, _message: &mut Option<()>) -> Result<(), Failed> {
        let full = || Failed::Full(Room::Pool, self.mailbox.clone());
        self.found.set(Some((self.look)().ok_or_else(full)?));
        Ok(())
    }
}

/// A pool: a free list, and the senders that wait for its tokens.
pub(super) struct Pool {
    pub(super) slab: Slab,
    pub(super) stack: Stack,
    pub(super) shared: Arc<Shared>,
    pub(super) mailbox: Arc<Mailbox>,
}

impl Pool {
    /// Makes a pool with no token on its list.
    pub(super) fn of(envelopes: usize) -> Arc<Self> {
        Arc::new(Pool {
            slab: Slab::new(envelopes),
            stack: Stack::new(),
            shared: Shared::new(),
            mailbox: Arc::new(Mailbox::new(1, "mailbox".into(), Arc::default())),
        })
    }

    pub(super) fn look(&self) -> Option<Token> {
        self.stack
            .pop(&self.slab.links)
            .inspect(|token| self.slab.touch(token))
    }

    /// The future of a wait for a token.
    pub(super) fn acquiring<'m>(
        &'m self,
        found: &'m Cell<Option<Token>>,
    ) -> Sending<(), Looking<'m, impl Fn() -> Option<Token>>> {
        let (shared, mailbox) = (&self.shared, &self.mailbox);
        until_room(
            (),
            Looking {
                shared,
                mailbox,
                look: || self.look(),
                found,
            },
        )
    }

    pub(super) fn acquire(&self) -> Token {
        let found = Cell::new(None);
        Sleeper::new().run(self.acquiring(&found)).unwrap();
        found.take().unwrap()
    }

    /// Returns a token and wakes a waiter: `Pool::release_one`.
    pub(super) fn release(&self, token: Token) {
        self.slab.touch(&token);
        self.slab.push(&self.stack, token);
        let pool = &self.shared.pool;
        if pool.room.any() {
            pool.wake_next();
        }
    }

    /// Begins to wait, polls `polls` times, and leaves.
    fn begin_and_leave(&self, polls: usize) {
        let sleeper = Sleeper::new();
        let found = Cell::new(None);
        let mut waiting = Kept::new(self.acquiring(&found));
        for _ in 0..polls {
            if waiting.poll_with(&sleeper.waker()).is_some() {
                self.release(found.take().unwrap());
                break;
            }
        }
    }
}

#[test]
fn a_waiter_is_woken_for_a_token_that_comes_back() {
    in_full(|| {
        let pool = Pool::of(1);
        let theirs = pool.clone();
        let releaser = thread::spawn(move || theirs.release(mint(0)));
        let _token = pool.acquire();
        releaser.join().unwrap();
    });
}

#[test]
fn two_waiters_are_both_woken_for_two_tokens() {
    up_to(3, || {
        let pool = Pool::of(2);
        let waiter = {
            let pool = pool.clone();
            thread::spawn(move || drop(pool.acquire()))
        };
        let releaser = {
            let pool = pool.clone();
            thread::spawn(move || {
                pool.release(mint(0));
                pool.release(mint(1));
            })
        };
        let _token = pool.acquire();
        waiter.join().unwrap();
        releaser.join().unwrap();
    });
}

#[test]
fn one_token_serves_two_waiters_one_after_the_other() {
    up_to(3, || {
        let pool = Pool::of(1);
        let theirs = pool.clone();
        let waiter = thread::spawn(move || {
            let token = theirs.acquire();
            theirs.release(token);
        });
        pool.release(mint(0));
        let token = pool.acquire();
        pool.release(token);
        waiter.join().unwrap();
        pool.slab.assert_whole(&[&pool.stack]);
    });
}

#[test]
fn a_waiter_that_leaves_passes_its_wake_up_on() {
    up_to(3, || {
        let pool = Pool::of(1);
        let leaver = {
            let pool = pool.clone();
            thread::spawn(move || pool.begin_and_leave(1))
        };
        let releaser = {
            let pool = pool.clone();
            thread::spawn(move || pool.release(mint(0)))
        };
        let token = pool.acquire();
        leaver.join().unwrap();
        releaser.join().unwrap();
        drop(token);
    });
}

#[test]
fn a_waiter_polled_again_before_it_leaves_strands_nobody() {
    up_to(2, || {
        let pool = Pool::of(1);
        let leaver = {
            let pool = pool.clone();
            thread::spawn(move || pool.begin_and_leave(2))
        };
        let releaser = {
            let pool = pool.clone();
            thread::spawn(move || pool.release(mint(0)))
        };
        let token = pool.acquire();
        leaver.join().unwrap();
        releaser.join().unwrap();
        drop(token);
    });
}

#[test]
fn a_thread_that_waits_is_unparked_for_a_token_that_comes_back() {
    in_full(|| {
        let pool = Pool::of(1);
        let theirs = pool.clone();
        let releaser = thread::spawn(move || theirs.release(mint(0)));
        park_on(Kept::new(pool.acquiring(&Cell::new(None)))).unwrap();
        releaser.join().unwrap();
    });
}

#[test]
fn a_waiter_that_goes_to_another_task_is_woken_there() {
    in_full(|| {
        let pool = Pool::of(1);
        let found = Cell::new(None);
        let mut waiting = Kept::new(pool.acquiring(&found));
        let before = Sleeper::new();
        if waiting.poll_with(&before.waker()).is_some() {
            unreachable!("there is no token yet");
        }
        let theirs = pool.clone();
        let releaser = thread::spawn(move || theirs.release(mint(0)));
        Sleeper::new().run(waiting).unwrap();
        releaser.join().unwrap();
    });
}

/// A pool with a list for each thread and a common one, which has all tokens at first.
struct Lanes {
    slab: Slab,
    common: Stack,
    lanes: [Stack; 3],
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
}

impl Lanes {
    fn new(envelopes: u32) -> Arc<Self> {
        let slab = Slab::new(envelopes as usize);
        Arc::new(Lanes {
            common: slab.stack(0..envelopes),
            lanes: [(); 3].map(|()| Stack::new()),
            slab,
            shared: Shared::new(),
            mailbox: Arc::new(Mailbox::new(1, "mailbox".into(), Arc::default())),
        })
    }

    /// As `Pool::acquire`: takes from the thread's own list, or steals all that another list holds. Then waiters
    /// are woken for the moved ones.
    fn look(&self, own: usize) -> Option<Token> {
        let links = &self.slab.links;
        let own = &self.lanes[own];
        let token = own.pop(links).or_else(|| {
            let others = std::iter::once(&self.common).chain(&self.lanes);
            let token = others
                .filter(|other| !std::ptr::eq(*other, own))
                .find_map(|other| own.steal(links, other))?;
            let pool = &self.shared.pool;
            if pool.room.any() {
                pool.wake_next();
            }
            Some(token)
        })?;
        self.slab.touch(&token);
        Some(token)
    }

    fn acquire(&self, own: usize) -> Token {
        self.acquire_by(|| self.look(own))
    }

    /// Acquires in a task that sleeps on one thread and is woken on another.
    fn acquire_elsewhere(&self, before: usize, after: usize) -> Token {
        let looks = Cell::new(0);
        self.acquire_by(|| {
            // It looks twice before it sleeps.
            let own = if looks.replace(looks.get() + 1) < 2 {
                before
            } else {
                after
            };
            self.look(own)
        })
    }

    fn acquire_by(&self, look: impl Fn() -> Option<Token>) -> Token {
        let (shared, mailbox) = (&self.shared, &self.mailbox);
        let found = &Cell::new(None);
        let looking = Looking {
            shared,
            mailbox,
            look,
            found,
        };
        Sleeper::new().run(until_room((), looking)).unwrap();
        found.take().unwrap()
    }
}

#[test]
fn a_waiter_is_woken_for_tokens_that_moved_while_it_looked() {
    up_to(4, || {
        let lanes = Lanes::new(2);
        let theirs = lanes.clone();
        let thief = thread::spawn(move || drop(theirs.acquire(1)));
        let _token = lanes.acquire(0);
        thief.join().unwrap();
    });
}

#[test]
fn two_waiters_are_woken_for_tokens_that_moved_while_they_looked() {
    up_to(2, || {
        let lanes = Lanes::new(3);
        let others = [1, 2].map(|own| {
            let lanes = lanes.clone();
            thread::spawn(move || drop(lanes.acquire(own)))
        });
        let _token = lanes.acquire(0);
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn one_who_is_woken_on_the_thief_s_own_thread_lets_the_next_one_look() {
    up_to(2, || {
        let lanes = Lanes::new(3);
        // The thief wakes a waiter, which finds an envelope in the thief's own list and moves none. So only that
        // waiter can wake the next one, which saw no envelope either while they moved.
        let moved = {
            let lanes = lanes.clone();
            thread::spawn(move || drop(lanes.acquire_elsewhere(1, 0)))
        };
        let other = {
            let lanes = lanes.clone();
            thread::spawn(move || drop(lanes.acquire(2)))
        };
        let _token = lanes.acquire(0);
        moved.join().unwrap();
        other.join().unwrap();
    });
}
