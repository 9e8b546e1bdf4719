//! Those who wait for room: for a token of a free list, or for a place in a bounded mailbox.

use std::task::Waker;

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use std::sync::Arc;

use super::{Slab, Sleeper, in_full, up_to};
use crate::mailbox::inbox::Inbox;
use crate::pool::stack::Stack;
use crate::pool::waiters::{Place, Waiters};
use crate::token::Token;

/// A sender's place in the queue, as `until_room` keeps it.
pub(super) struct Queued<'w> {
    waiters: &'w Waiters,
    place: Option<Place>,
    again: bool,
}

impl<'w> Queued<'w> {
    pub(super) fn new(waiters: &'w Waiters) -> Self {
        Queued {
            waiters,
            place: None,
            again: false,
        }
    }

    /// Makes sure of a place, and looks for room if it is a new one.
    pub(super) fn poll<T>(&mut self, waker: &Waker, look: impl FnOnce() -> Option<T>) -> Option<T> {
        if let Some(place) = self.place
            && self.waiters.renew(place, waker)
        {
            return None;
        }
        self.place = Some(self.waiters.register(waker, self.again));
        self.again = true;
        look()
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        // A model that has failed already shall say so, not fail again.
        if !std::thread::panicking()
            && let Some(place) = self.place
            && !self.waiters.leave(place)
        {
            self.waiters.wake(1);
        }
    }
}

/// A pool: a free list and those who wait for its tokens.
struct Pool {
    slab: Slab,
    stack: Stack,
    room: Waiters,
}

impl Pool {
    /// With no token on its list.
    fn of(envelopes: usize) -> Arc<Self> {
        Arc::new(Pool {
            slab: Slab::new(envelopes),
            stack: Stack::new(),
            room: Waiters::new(),
        })
    }

    fn look(&self) -> Option<Token> {
        self.stack
            .pop(&self.slab.links)
            .inspect(|token| self.slab.touch(token))
    }

    /// Waits for a token.
    fn acquire(&self) -> Token {
        if let Some(token) = self.look() {
            return token;
        }
        let mut queued = Queued::new(&self.room);
        Sleeper::new().block_on(|waker| queued.poll(waker, || self.look()))
    }

    /// Returns a token and wakes one who waits.
    fn release(&self, token: Token) {
        self.slab.touch(&token);
        self.slab.push(&self.stack, token);
        if self.room.any() {
            self.room.wake(1);
        }
    }

    /// Begins to wait, polled twice at most, and leaves.
    fn begin_and_leave(&self, polls: usize) {
        let sleeper = Sleeper::new();
        let mut queued = Queued::new(&self.room);
        for _ in 0..polls {
            if let Some(token) = queued.poll(&sleeper.waker(), || self.look()) {
                self.release(token);
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
        let releaser = thread::spawn(move || theirs.release(Token::mint(0)));
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
                pool.release(Token::mint(0));
                pool.release(Token::mint(1));
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
        pool.release(Token::mint(0));
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
            thread::spawn(move || pool.release(Token::mint(0)))
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
            thread::spawn(move || pool.release(Token::mint(0)))
        };
        let token = pool.acquire();
        leaver.join().unwrap();
        releaser.join().unwrap();
        drop(token);
    });
}

#[test]
fn a_sender_waits_for_room_in_a_mailbox_until_there_is_some() {
    up_to(3, || {
        let slab = Slab::new(2);
        let shared = Arc::new((slab, Inbox::new(), AtomicU64::new(0), Waiters::new()));
        shared.1.open();
        let host = {
            let shared = shared.clone();
            thread::spawn(move || {
                let (slab, inbox, finished, room) = &*shared;
                while finished.load(Ordering::Relaxed) < 2 {
                    let Some(taken) = inbox.take(&slab.links, false) else {
                        thread::yield_now();
                        continue;
                    };
                    assert_eq!(taken.chain.len(), 1);
                    finished.store(taken.ticket, Ordering::Release);
                    if room.any() {
                        room.wake(taken.chain.len() as usize);
                    }
                }
            })
        };
        let (slab, inbox, finished, room) = &*shared;
        for envelope in 0..2 {
            let mut queued = Queued::new(room);
            let look = || {
                inbox
                    .push(&slab.links, Token::mint(envelope), 1, || {
                        finished.load(Ordering::Acquire)
                    })
                    .ok()
            };
            if look().is_none() {
                Sleeper::new().block_on(|waker| queued.poll(waker, look));
            }
        }
        host.join().unwrap();
    });
}

#[test]
fn those_who_wait_for_room_in_a_mailbox_learn_that_it_closes() {
    in_full(|| {
        let slab = Slab::new(2);
        let shared = Arc::new((slab, Inbox::new(), Waiters::new()));
        shared.1.open();
        let push = |(slab, inbox, _): &(Slab, Inbox, Waiters), envelope| {
            inbox.push(&slab.links, Token::mint(envelope), 1, || 0)
        };
        assert!(push(&shared, 0).is_ok());
        let host = {
            let shared = shared.clone();
            thread::spawn(move || {
                let (slab, inbox, room) = &*shared;
                assert!(inbox.close(&slab.links).is_some());
                room.wake(usize::MAX);
            })
        };
        let mut queued = Queued::new(&shared.2);
        Sleeper::new().block_on(|waker| {
            queued.poll(waker, || match push(&shared, 1) {
                Err((_, crate::mailbox::inbox::Refusal::Closed)) => Some(()),
                refused => {
                    assert!(refused.is_err());
                    None
                }
            })
        });
        host.join().unwrap();
    });
}

/// A pool with a list for each thread and a common one, where all tokens lie at first.
struct Lanes {
    slab: Slab,
    common: Stack,
    lanes: [Stack; 3],
    room: Waiters,
}

impl Lanes {
    fn new(envelopes: u32) -> Arc<Self> {
        let slab = Slab::new(envelopes as usize);
        Arc::new(Lanes {
            common: slab.stack(0..envelopes),
            lanes: [(); 3].map(|()| Stack::new()),
            slab,
            room: Waiters::new(),
        })
    }

    /// As `Pool::acquire`: from the own list, or all that another holds; what moves is announced.
    fn look(&self, own: usize) -> Option<Token> {
        let links = &self.slab.links;
        let own = &self.lanes[own];
        let token = own.pop(links).or_else(|| {
            let others = std::iter::once(&self.common).chain(&self.lanes);
            let token = others
                .filter(|other| !std::ptr::eq(*other, own))
                .find_map(|other| own.steal(links, other))?;
            if self.room.any() {
                self.room.wake(1);
            }
            Some(token)
        })?;
        self.slab.touch(&token);
        Some(token)
    }

    fn acquire(&self, own: usize) -> Token {
        if let Some(token) = self.look(own) {
            return token;
        }
        let mut queued = Queued::new(&self.room);
        Sleeper::new().block_on(|waker| queued.poll(waker, || self.look(own)))
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
