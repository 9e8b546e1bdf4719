//! The envelopes kept for subsystems that hold few, and the senders that wait for them.

use loom::thread;
use std::cell::Cell;
use std::sync::Arc;

use super::{Kept, Slab, Sleeper, in_full, up_to};
use crate::base::clock::Due;
use crate::envelope::mint;
use crate::envelope::pool::reserve::Reserve;
use crate::envelope::pool::stack::Stack;
use crate::envelope::token::Token;
use crate::mailbox::Mailbox;
use crate::runtime::shared::Shared;
use crate::send::Failed;
use crate::send::room::{Attempt, Sending, until_room};
use crate::words::error::Room;

/// The smallest pool with a reserve, which is one envelope, number 0.
const CAPACITY: u32 = 8;

/// A pool whose other envelopes are all out, and two subsystems that hold none.
struct Pool {
    slab: Slab,
    /// The free list outside of the reserve.
    common: Stack,
    shared: Arc<Shared>,
    mailboxes: [Arc<Mailbox>; 2],
}

impl Pool {
    fn of(envelopes: usize) -> Arc<Self> {
        Arc::new(Pool {
            slab: Slab::new(envelopes),
            common: Stack::new(),
            shared: Shared::with(CAPACITY),
            mailboxes: [1, 2]
                .map(|id| Arc::new(Mailbox::new(id, "mailbox".into(), Arc::default()))),
        })
    }

    fn reserve(&self) -> &Reserve {
        &self.shared.pool.reserve
    }

    /// Takes the envelope in reserve, for a subsystem that holds none.
    fn take(&self) -> Option<Token> {
        let token = self.reserve().take(&self.slab.links, 0, mint)?;
        self.slab.touch(&token);
        Some(token)
    }

    /// `Pool::release`. Returns how many went to the common list.
    fn release(&self, tokens: impl IntoIterator<Item = Token>) -> u32 {
        let chain = self.slab.chain(tokens);
        let rest = match self.reserve().lacks() {
            true => self.reserve().refill(&self.slab.links, chain),
            false => chain,
        };
        let for_all = rest.len();
        self.common.push(&self.slab.links, rest);
        for_all
    }

    /// A send to one of the subsystems, which can get only the envelope in reserve.
    fn sending<'m>(&'m self, to: usize, found: &'m Cell<Option<Token>>) -> Sending<(), Taking<'m>> {
        let pool = self;
        until_room((), Taking { pool, to, found })
    }

    fn send(&self, to: usize) -> Token {
        let found = Cell::new(None);
        Sleeper::new().run(self.sending(to, &found)).unwrap();
        found.take().unwrap()
    }
}

struct Taking<'m> {
    pool: &'m Pool,
    to: usize,
    found: &'m Cell<Option<Token>>,
}

impl Attempt<()> for Taking<'_> {
    fn shared(&self) -> &Arc<Shared> {
        &self.pool.shared
    }

    fn due(&mut self) -> Option<Due> {
        Some(Due::NEVER)
    }

    fn attempt(&mut self, _message: &mut Option<()>) -> Result<(), Failed> {
        let mailbox = &self.pool.mailboxes[self.to];
        let full = || Failed::Full(Room::Pool, mailbox.clone());
        self.found.set(Some(self.pool.take().ok_or_else(full)?));
        Ok(())
    }
}

#[test]
fn what_was_taken_is_put_back_before_others_have_it() {
    in_full(|| {
        let pool = Pool::of(3);
        let theirs = pool.clone();
        // Two envelopes come back while the one in reserve is taken.
        let releaser = thread::spawn(move || theirs.release([1, 2].map(mint)));
        let token = pool.take().expect("it is kept for this");
        let for_all = releaser.join().unwrap();
        // The envelope that was taken is replaced by one that came back later, or by itself.
        let replaced = for_all == 1;
        assert_eq!(pool.reserve().free(), u32::from(replaced));
        assert_eq!(pool.release([token]), u32::from(replaced));
        assert_eq!(pool.reserve().free(), 1);
        assert!(!pool.reserve().lacks());
        let kept = pool.take().unwrap();
        pool.slab.push(&pool.common, kept);
        pool.slab.assert_whole(&[&pool.common]);
    });
}

#[test]
fn two_that_take_and_return_at_once_lose_and_double_nothing() {
    up_to(3, || {
        let pool = Pool::of(2);
        let theirs = pool.clone();
        let use_one = |pool: &Pool| {
            if let Some(token) = pool.take() {
                pool.release([token]);
            }
        };
        let other = thread::spawn(move || use_one(&theirs));
        pool.release([mint(1)]);
        use_one(&pool);
        other.join().unwrap();
        assert_eq!(pool.reserve().free(), 1);
        assert!(!pool.reserve().lacks());
        let kept = pool.take().unwrap();
        pool.slab.push(&pool.common, kept);
        pool.slab.assert_whole(&[&pool.common]);
    });
}

#[test]
fn a_sender_that_may_have_an_envelope_is_woken_when_one_is_kept_again() {
    in_full(|| {
        let pool = Pool::of(1);
        let token = pool.take().unwrap();
        let theirs = pool.clone();
        let releaser = thread::spawn(move || theirs.release([token]));
        let _token = pool.send(0);
        releaser.join().unwrap();
    });
}

#[test]
fn one_kept_envelope_serves_senders_to_two_subsystems_one_after_the_other() {
    up_to(2, || {
        let pool = Pool::of(1);
        let token = pool.take().unwrap();
        let theirs = pool.clone();
        let other = thread::spawn(move || {
            let token = theirs.send(1);
            theirs.release([token]);
        });
        pool.release([token]);
        let token = pool.send(0);
        pool.release([token]);
        other.join().unwrap();
    });
}

#[test]
fn a_sender_that_leaves_passes_the_kept_envelope_on() {
    up_to(2, || {
        let pool = Pool::of(1);
        let token = pool.take().unwrap();
        let leaver = {
            let pool = pool.clone();
            thread::spawn(move || {
                let sleeper = Sleeper::new();
                let found = Cell::new(None);
                let mut sending = Kept::new(pool.sending(0, &found));
                if sending.poll_with(&sleeper.waker()).is_some() {
                    pool.release(found.take());
                }
            })
        };
        let releaser = {
            let pool = pool.clone();
            thread::spawn(move || pool.release([token]))
        };
        let _token = pool.send(1);
        leaver.join().unwrap();
        releaser.join().unwrap();
    });
}
