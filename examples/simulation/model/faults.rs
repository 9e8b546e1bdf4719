//! Faults of the model's own code: what misbehaves, how, and how often.

use std::panic::panic_any;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::book::Book;

/// What panics on purpose say, so that they can be kept out of the output.
pub(crate) const ON_PURPOSE: &str = "on purpose";

/// The faults of one system: chance out of its seed, and what has come of it.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    state: AtomicU64,
    /// Of a thousand points of user code, so many misbehave.
    per_mille: u64,
    /// How many futures may yet be forgotten: one of an ask costs the pool an envelope.
    may_forget: AtomicU32,
    forgotten: AtomicU64,
    /// Messages, replies, subsystems and closures that were made and not dropped yet.
    live: AtomicU64,
    panics: AtomicU64,
}

impl Faults {
    pub(crate) fn new(seed: u64, per_mille: u64, may_forget: u32) -> Self {
        Faults {
            state: AtomicU64::new(seed),
            per_mille,
            may_forget: AtomicU32::new(may_forget),
            ..Faults::default()
        }
    }

    /// Something goes wrong now and then.
    pub(crate) fn are_on(&self) -> bool {
        self.per_mille > 0
    }

    /// Here something is to go wrong.
    pub(crate) fn strike(&self) -> bool {
        if !self.are_on() {
            return false;
        }
        let step = 0x9e37_79b9_7f4a_7c15;
        let state = self.state.fetch_add(step, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 32) % 1000 < self.per_mille
    }

    /// Panics if something is to go wrong here.
    pub(crate) fn perhaps_panic(&self) {
        if self.strike() {
            self.panic();
        }
    }

    /// Panics, with a text of its own or with a payload whose drop panics.
    pub(crate) fn panic(&self) -> ! {
        let number = self.panics.fetch_add(1, Ordering::Relaxed) + 1;
        if self.strike() || self.are_on() && number.is_multiple_of(5) {
            panic_any(Bomb);
        }
        panic!("{ON_PURPOSE} #{number}")
    }

    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// A future is to be forgotten.
    pub(crate) fn forgets(&self) -> bool {
        self.strike() && self.may_forget()
    }

    /// One more future may be forgotten.
    pub(crate) fn may_forget(&self) -> bool {
        let one_less = |left: u32| left.checked_sub(1);
        (self.may_forget)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
    }

    /// A future was forgotten, with what it holds.
    pub(crate) fn forgot(&self) {
        self.forgotten.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// Values that live and are not those of forgotten futures.
    pub(crate) fn leaked(&self) -> u64 {
        let live = self.live.load(Ordering::Relaxed);
        live.saturating_sub(self.forgotten())
    }
}

/// A panic's payload whose drop panics.
pub(crate) struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("{ON_PURPOSE}, by a payload");
        }
    }
}

/// A part of a value of the user's: it lives until it is dropped, and its drop may panic.
pub(crate) struct Token {
    book: Arc<Book>,
    is_lit: bool,
    /// Of a message to a blocking handler that has not begun.
    is_to_block: bool,
}

impl Token {
    pub(crate) fn new(book: &Arc<Book>) -> Self {
        let faults = &book.faults;
        faults.live.fetch_add(1, Ordering::Relaxed);
        Token {
            book: book.clone(),
            is_lit: faults.strike(),
            is_to_block: false,
        }
    }

    /// Its drop will not panic: it is its owner's who has no interest in that.
    pub(crate) fn defuse(&mut self) {
        self.is_lit = false;
    }

    /// What it belongs to goes to a blocking handler.
    pub(crate) fn is_to_block(&mut self, is_to: bool) {
        self.is_to_block = is_to;
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let faults = &self.book.faults;
        faults.live.fetch_sub(1, Ordering::Relaxed);
        if self.is_to_block {
            self.book.never_begun();
        }
        // Two panics in the same frames would abort the process, whatever the framework does.
        if self.is_lit && !std::thread::panicking() {
            faults.panic();
        }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({})", self.is_lit)
    }
}

/// A capture: parsing `panics` panics, and so does the drop of one that was `burns`.
#[derive(Debug, Clone)]
pub(crate) struct Fussy {
    burns: bool,
}

/// The only panic that a sender may meet.
pub(crate) const UNWINDS: &str = "on purpose, by the text of a capture";
pub(crate) const PANICS: &str = "panics";
pub(crate) const BURNS: &str = "burns";

impl FromStr for Fussy {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == PANICS {
            std::panic::panic_any(UNWINDS);
        }
        Ok(Fussy {
            burns: text == BURNS,
        })
    }
}

impl Drop for Fussy {
    fn drop(&mut self) {
        if self.burns && !std::thread::panicking() {
            panic!("{ON_PURPOSE}, by a capture's drop");
        }
    }
}

/// An error that panics when it is put in words, or when it is dropped.
#[derive(Debug)]
pub(crate) struct Grudge {
    speaks: bool,
    _token: Token,
}

impl Grudge {
    pub(crate) fn new(book: &Arc<Book>) -> Self {
        Grudge {
            speaks: !book.faults.strike(),
            _token: Token::new(book),
        }
    }
}

impl std::fmt::Display for Grudge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        assert!(self.speaks, "{ON_PURPOSE}, by an error");
        f.write_str(ON_PURPOSE)
    }
}

impl std::error::Error for Grudge {}
